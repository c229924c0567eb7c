"""What an export costs: against a bare loop of json.dumps, and in memory as rows grow."""

from __future__ import annotations

import json
import tracemalloc

import pandas as pd
import pytest
from export_rows import candidate_rows, conversation_rows, figure_rows, pair_rows
from measuring import median_seconds

from vital_lib.exports import FORMS, export, parquet

pytestmark = pytest.mark.slow

FIGURES = 200
# Measured: 6 to 7 for text files, 13 to 14 for Parquet, 18 and 28 for pairs, which are written
# twice. An export also checks texts for control tokens and images by their hash, and copies them.
BOUNDS = {"llava": 18, "ms-swift": 18, "llama-factory": 18, "trl": 35, "dataset": 35}
BOUNDS |= {"dpo": 50, "reward": 75}


def _conversations(n: int) -> pd.DataFrame:
    rows = conversation_rows(n, rounds=3)
    return rows.assign(figure_id=[f"F{k % FIGURES}" for k in range(n)])


def _pairs(n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows, candidates = pair_rows(n), candidate_rows(n)
    return rows, candidates.assign(figure_id=[f"F{k // 2 % FIGURES}" for k in range(2 * n)])


@pytest.mark.parametrize("form", FORMS)
def test_an_export_against_a_bare_loop_of_json(form, report, tmp_path):
    figures = figure_rows(tmp_path / "originals", FIGURES)
    figures["image"] = [figures["image"][k % 20] for k in range(FIGURES)]
    figures["sha256"] = [figures["sha256"][k % 20] for k in range(FIGURES)]
    n, how = 4_000, {"form": form}
    rows = _conversations(n)
    if FORMS[form].rows == "pairs":
        rows, how["candidates"] = _pairs(n)

    def bare() -> None:
        with open(tmp_path / "bare.jsonl", "w") as file:
            for row in rows.to_dict("records"):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")

    plain, whole = median_seconds(bare, lambda: export(rows, figures, tmp_path / form, **how))
    ratio = whole / plain
    name = form.replace("-", "_")
    figures_of = {f"{name}_rows_per_second": n / whole, f"{name}_over_json_dumps": ratio}
    report("export", **figures_of)
    assert ratio < BOUNDS[form]


def _peak(rows: pd.DataFrame, figures: pd.DataFrame, folder) -> float:
    """The highest memory of an export in MB, beyond the rows that it was given."""
    tracemalloc.start()
    export(rows, figures, folder, form="dataset")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def test_the_memory_of_a_data_set_does_not_grow_with_its_rows(report, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "GROUP_BYTES", 2_000_000)
    figures = figure_rows(tmp_path / "originals", 20)
    figures = pd.concat([figures] * 10, ignore_index=True)
    figures["figure_id"] = [f"F{k}" for k in range(FIGURES)]
    _peak(_conversations(200), figures, tmp_path / "warm")
    small, large = (_peak(_conversations(n), figures, tmp_path / f"{n}") for n in (1_000, 8_000))
    report("export", dataset_peak_mb_of_1000=small, dataset_peak_mb_of_8000=large)
    assert large - small < 7_000 * 300 / 1e6  # 300 bytes a row: its name, no text and no image

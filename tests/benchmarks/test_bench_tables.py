"""What checked tables cost beside pandas' own Parquet."""

from __future__ import annotations

import pandas as pd
import pytest
from measuring import median_seconds

from vital_lib.tables import Workspace

pytestmark = pytest.mark.slow


def _candidates(number: int) -> pd.DataFrame:
    rows = range(number)
    return pd.DataFrame({
        "candidate_id": [f"F{k}-final-r1-a" for k in rows],
        "instruction_id": [f"F{k}-final-r1" for k in rows],
        "conversation_id": [f"F{k}-final" for k in rows],
        "figure_id": [f"F{k}" for k in rows], "group_id": [f"g{k}" for k in rows], "split": "train",
        "stage": "final", "arm": "clinician", "round": 1,
        "instruction": [f"On which side is finding {k}?" for k in rows],
        "response": [f"Finding {k} lies in the upper third of the left lung." for k in rows],
        "question_type": "side", "demonstration_ids": [[f"D{k % 50}", "D0"] for k in rows],
        "generator": "clinic", "prompt_version": "v1", "seed": 0,
        "reply_id": [f"reply-{k}" for k in rows], "flags": [[] for _ in rows],
    })  # fmt: skip


def test_a_table_checked_value_by_value_costs_a_bounded_factor_of_pandas_own_file(tmp_path, report):
    """The yardstick checks no type, keeps no origin, and does not wait for the disk."""
    workspace, frame, file = Workspace(tmp_path), _candidates(10_000), tmp_path / "pandas.parquet"
    seconds = median_seconds(
        lambda: workspace.write("candidates", frame),
        lambda: frame.to_parquet(file, compression="zstd"),
        lambda: workspace.read("candidates"),
        lambda: pd.read_parquet(file),
    )
    write, pandas_write, read, pandas_read = seconds
    report(
        "tables",
        write_10000_seconds=write,
        write_over_pandas=write / pandas_write,
        read_10000_seconds=read,
        read_over_pandas=read / pandas_read,
    )
    assert write < 40 * pandas_write
    assert read < 4 * pandas_read

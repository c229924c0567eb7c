"""Measured ratios, each against its yardstick within one run; ``make bench`` prints them.

Seconds are reported, never asserted: machines are shared and noisy. The figures go to
``data/runs/bench/benchmarks.json``, flat, ``<part>.<figure>``.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from vital_lib import selector
from vital_lib.labels import LabelLog

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
REPORT = ROOT / "data" / "runs" / "bench" / "benchmarks.json"


def _report(capsys, **figures: float) -> None:
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    named = {name.replace("__", "."): round(value, 4) for name, value in figures.items()}
    REPORT.write_text(json.dumps({**known, **named}, indent=1, sort_keys=True) + "\n")
    with capsys.disabled():
        print("\n" + "\n".join(f"{name:<48} {value:>10}" for name, value in named.items()))


def _median_seconds(work, times: int = 5) -> float:
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _label(number: int) -> dict:
    return {
        "item_id": f"F{number}-r1", "annotator": "ann", "left_id": f"F{number}-r1-a",
        "right_id": f"F{number}-r1-b", "left_accepted": True, "right_accepted": False,
    }  # fmt: skip


def test_a_durable_label_costs_less_than_rewriting_a_file_of_1000(tmp_path, capsys):
    """The published way of keeping results reads, appends and rewrites one JSON file."""
    log, numbers = LabelLog(f"sqlite:///{tmp_path / 'labels.sqlite'}"), iter(range(10_000))
    log.record_many(_label(next(numbers)) for _ in range(1_000))
    file = tmp_path / "labels.json"
    file.write_text(json.dumps([_label(n) | {"text": "x" * 2_600} for n in range(1_000)]))

    def rewrite() -> None:
        file.write_text(json.dumps([*json.loads(file.read_text()), _label(0)]))

    ours = _median_seconds(lambda: log.record(**_label(next(numbers))), times=50)
    theirs = _median_seconds(rewrite, times=10)
    _report(
        capsys,
        labels__record_seconds=ours,
        labels__rewrite_seconds=theirs,
        labels__record_over_rewrite=ours / theirs,
    )
    assert ours < theirs


def test_features_encoded_once_beat_encoding_in_every_epoch(capsys):
    """The published selector encodes image and text anew for every pair of every epoch."""
    rng = np.random.default_rng(0)
    names = [f"c{n}" for n in range(600)]
    raw = rng.normal(size=(600, 64, 96)).astype(np.float32)
    body = torch.nn.TransformerEncoderLayer(96, 4, 384, batch_first=True).eval()
    left, right = rng.permutation(600), rng.permutation(600)
    kept = left != right
    pairs = pd.DataFrame({
        "left_id": [names[i] for i in left[kept]], "right_id": [names[i] for i in right[kept]],
        "preferred": 1.0, "weight": 1.0, "source": "judge", "annotator": "j", "split": "train",
    })  # fmt: skip

    def encode(rows: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return body(torch.from_numpy(raw[rows])).mean(dim=1).numpy()

    def once() -> None:
        features = selector.Features(names, encode(np.arange(600)))
        selector.train_selector(pairs, features, w_human=0, epochs=6, steps_at_least=1)

    def every_epoch() -> None:
        features = selector.Features(names, encode(np.arange(600)))
        for _ in range(6):
            encode(left[kept])
            encode(right[kept])
        selector.train_selector(pairs, features, w_human=0, epochs=6, steps_at_least=1)

    ours, theirs = _median_seconds(once, 3), _median_seconds(every_epoch, 3)
    _report(capsys, selector__once_seconds=ours, selector__once_over_every_epoch=ours / theirs)
    assert ours < theirs


@pytest.mark.parametrize("module", ["vital_lib", "vital_lib.vlm", "vital_lib.labels"])
def test_importing_costs_little_beside_pandas(module, capsys):
    def seconds(name: str) -> float:
        return _median_seconds(
            lambda: subprocess.run([sys.executable, "-c", f"import {name}"], check=True)
        )

    ours, pandas = seconds(module), seconds("pandas, pyarrow.parquet")
    _report(capsys, **{
        f"import__{module}_seconds": ours, f"import__{module}_over_pandas": ours / pandas
    })  # fmt: skip
    assert ours < 4 * pandas

"""Measured ratios, each against its yardstick within one run; ``make bench`` prints them.

Seconds are reported, never asserted: machines are shared and noisy. A bound on a ratio is two to
three times what was measured. The figures go to ``data/runs/bench/benchmarks.json``, flat,
``<part>.<figure>``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

REPORT = Path(__file__).parents[2] / "data" / "runs" / "bench" / "benchmarks.json"


@pytest.fixture
def report(capsys) -> Callable[..., None]:
    """Prints and keeps the figures of a part: report("labels", record_seconds=0.0008)."""

    def add(part: str, **figures: float) -> None:
        named = {f"{part}.{name}": float(f"{value:.4g}") for name, value in figures.items()}
        REPORT.parent.mkdir(parents=True, exist_ok=True)
        known = json.loads(REPORT.read_text()) if REPORT.exists() else {}
        REPORT.write_text(json.dumps({**known, **named}, indent=1, sort_keys=True) + "\n")
        with capsys.disabled():
            print("\n" + "\n".join(f"{name:<48} {value:>12}" for name, value in named.items()))

    return add

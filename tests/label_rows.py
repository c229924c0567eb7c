"""Drafts for tests of labels: ids alone, for what is labelled is not read. Knows no log."""

from __future__ import annotations

import pandas as pd


def drafts(figures: int = 30, rounds: int = 3) -> pd.DataFrame:
    """Two responses, a and b, to each of `rounds` instructions about each of F0, F1 ..."""
    rows = [
        {"figure_id": f"F{f}", "instruction_id": f"F{f}-r{r}", "candidate_id": f"F{f}-r{r}-{side}"}
        for f in range(figures)
        for r in range(1, rounds + 1)
        for side in "ab"
    ]
    return pd.DataFrame(rows)

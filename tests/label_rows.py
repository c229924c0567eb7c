"""Rows for tests of labels: ids alone, for what is labelled is not read. Knows no log."""

from __future__ import annotations

import pandas as pd


def drafts(figures: int = 30, rounds: int = 3) -> pd.DataFrame:
    """Two responses, a and b, to each of `rounds` instructions about F0, F1 ...: two an article."""
    rows = [
        {
            "figure_id": f"F{f}",
            "group_id": f"g{f // 2}",
            "instruction_id": f"F{f}-r{r}",
            "candidate_id": f"F{f}-r{r}-{side}",
        }
        for f in range(figures)
        for r in range(1, rounds + 1)
        for side in "ab"
    ]
    return pd.DataFrame(rows)


def judged(item: str = "i1", ticks: tuple = (True, False), who: str = "ann", **more) -> dict:
    """The arguments of one `record`."""
    left, right = ticks
    return {
        "item_id": item,
        "left_id": f"{item}-a",
        "right_id": f"{item}-b",
        "left_accepted": left,
        "right_accepted": right,
        "annotator": who,
        **more,
    }

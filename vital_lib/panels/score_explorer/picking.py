"""Rows on which two opinions differ: a selector and a judge, or two selectors and one cut."""

from __future__ import annotations

import pandas as pd

AGAINST = ("rating", "other")
"""The columns that the score is compared with: the judge's rating, another selector's score."""

FAR = 0.5
"""A difference of places in the ranking, as a share of it, that counts as a disagreement."""


def disagreement(rows: pd.DataFrame, other: str) -> pd.Series:
    """Return how much higher the score places each row than column `other`: from -1 to 1.

    A place is the share of the rows that lie lower; equal values share their mean place. Rows
    without a value in `other` are left out.

    Args:
        rows: columns candidate_id, score and `other`.
    """
    both = rows.dropna(subset=["score", other]).set_index("candidate_id")
    return both["score"].rank(pct=True) - both[other].rank(pct=True)


def label_of(who: str, higher: str | None) -> str:
    """Return what to call the rows that the "selector" or the "other" (`who`) places far higher."""
    labels = {"selector": f"selector higher than {who}", "other": f"{who} higher"}
    return labels.get(higher or "", f"selector and {who} disagree")


def far_apart(rows: pd.DataFrame, other: str) -> pd.Series:
    """Return the `disagreement` of rows that are at least `FAR` apart, largest first."""
    gap = disagreement(rows, other)
    far = gap[gap.abs() >= FAR]
    return far.reindex(far.abs().sort_values(ascending=False, kind="stable").index)

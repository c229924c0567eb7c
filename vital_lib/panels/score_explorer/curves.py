"""Curves with 95 % intervals as plain values for the page: computed once, not at each drag."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from vital_lib.annotators import Votes, beside, who
from vital_lib.plots._colours import BLUE, GREY, OCHRE, PINK
from vital_lib.plots.selector import LEARNERS

_COLOURS = (BLUE, GREY, OCHRE, PINK)


def curves_of(
    expected: pd.DataFrame | None,
    learning: pd.DataFrame | None,
    sweep: pd.DataFrame | None,
    votes: Votes | None,
) -> dict[str, dict[str, Any]]:
    """Return the curves given, by name: title, axes, series of points, and a note.

    A point is [x, y, low, high], all but x in percent; low and high are null without an interval.
    A series whose `ordinal` is set has equally spaced points with the texts in `ticks`.

    Args:
        expected: from `selection.accepted_by_share`.
        learning: columns learned (both, people only, published), questions, agreement, low, high.
        sweep: columns w_human, validation_agreement, as from `selector.sweep_published`.
    """
    by, note, found = who(votes), beside(votes), {}
    if expected is not None and len(expected):
        whole = expected[expected["share"] == expected["share"].max()].iloc[0]
        found["expected"] = {
            "title": "accepted share",
            "x": "share kept (%)",
            "y": f"accepted by {by} (%)",
            "series": _series(expected, "ranked_by", "share", "accepted", scale=100),
            "note": f"{whole['candidates']:,} held-out responses about {whole['articles']:,} "
            f"articles{note}; bands are 95 % intervals over articles",
        }
    if learning is not None and len(learning):
        labels = {name: label for name, (label, _) in LEARNERS.items()}
        named = learning.assign(learned=learning["learned"].replace(labels))
        found["learning"] = {
            "title": "learning curve",
            "x": "labelled questions",
            "y": f"agreement with {by} (%)",
            "ordinal": True,
            "series": _series(named, "learned", "questions", "agreement"),
            "note": f"held-out pairs{note}; bands are 95 % intervals over articles",
        }
    if sweep is not None and len(sweep):
        named = sweep.assign(recipe="published recipe")
        found["sweep"] = {
            "title": "weight of a human pair",
            "x": "weight of a human pair (w_human)",
            "y": f"agreement with {by} (%)",
            "ordinal": True,
            "series": _series(named, "recipe", "w_human", "validation_agreement"),
            "note": f"validation pairs{note}; no intervals were computed",
        }
    for curve in found.values():
        if curve.get("ordinal"):
            curve["ticks"] = sorted(
                {point[0] for one in curve["series"] for point in one["points"]}
            )
    return found


def _series(rows: pd.DataFrame, by: str, x: str, y: str, scale: float = 1) -> list[dict[str, Any]]:
    series = []
    for place, (name, own) in enumerate(rows.groupby(by, sort=False)):
        low, high = (own.get(end, pd.Series(math.nan, own.index)) for end in ("low", "high"))
        columns = [scale * own[x], 100 * own[y], 100 * low, 100 * high]
        points = [[_number(cell) for cell in row] for row in zip(*columns, strict=True)]
        colour = _COLOURS[place % len(_COLOURS)]
        series.append({"name": str(name), "colour": colour, "points": sorted(points)})
    return series


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 6)

"""The selector's learning curve: agreement with annotators by number of labelled questions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vital_lib.annotators import Votes, who
from vital_lib.plots._canvas import (
    BESIDE,
    BLUE,
    DASHED,
    GREY,
    ORANGE,
    PINK,
    below,
    canvas,
    legend_below_title,
    styled,
    value_of,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEARNERS = {
    "recipe": ("ratings and ticks", BLUE),
    "people only": ("ticks only", ORANGE),
    "published": ("published recipe", PINK),
}


@styled
def learning_curve(
    curve: pd.DataFrame, metrics: Mapping[str, float], *, votes: Votes | None = None
) -> Figure:
    """Agreement on held-out pairs by the number of labelled questions, with 95 % intervals.

    A line marks the agreement of the mean of five judge ratings if `metrics` has it. The points are
    equally spaced.

    Args:
        curve: columns `learned` (recipe, people only, published), `questions`, `agreement`,
            `low`, `high`, all as shares.
        metrics: for judge.agreement_mean_of_5.
        votes: the votes for training and for held-out pairs.
    """
    sizes = sorted(curve["questions"].unique())
    figure, axes = canvas(7.6, 3.9)
    for shift, (name, (label, colour)) in enumerate(_LEARNERS.items()):
        rows = curve[curve["learned"] == name].sort_values("questions")
        if rows.empty:
            continue
        places = np.searchsorted(sizes, rows["questions"]) + 0.08 * (shift - 1)
        middle, low, high = (100 * rows[key].to_numpy() for key in ("agreement", "low", "high"))
        around = np.maximum(0, [middle - low, high - middle])
        line = {"color": colour, "marker": "o", "markersize": 4.5, "capsize": 2, "elinewidth": 1}
        axes.errorbar(places, middle, around, label=label, **line)
    judge = 100 * value_of(metrics, "judge.agreement_mean_of_5")
    if not math.isnan(judge):
        axes.axhline(judge, label=f"mean of five judge ratings, {judge:.1f} %", **DASHED)
    axes.axhline(50, color=GREY, linewidth=0.8)
    axes.annotate("chance", (1, 50), (9, 0), xycoords=("axes fraction", "data"), **BESIDE)
    axes.set_xticks(range(len(sizes)), [f"{size:,}" for size in sizes])
    axes.set_xlabel(f"labelled questions{below(votes)}")
    axes.set_ylabel("agreement (%), 95 % interval")
    axes.set_title(f"Agreement with {who(votes)}, by number of labelled questions")
    legend_below_title(axes)
    return figure

"""Plots of the study: what the method gains while one cause is varied."""

from __future__ import annotations

from textwrap import fill

import numpy as np
import pandas as pd

from vital_lib.plots._canvas import canvas, legend_at_the_right, styled
from vital_lib.plots._colours import BLUE, GREY, LEAF, OCHRE, PINK
from vital_lib.plots._types import Figure

_COLOURS = (BLUE, OCHRE, LEAF, PINK)


@styled
def sweep_lines(found: pd.DataFrame, names: dict[str, str]) -> Figure:
    """One plot per cause that is varied: each measure's difference by value, with 95 % intervals.

    Args:
        found: varied, value, measure, estimate, low, high (points), as `study.run_sweeps` returns.
        names: measure -> its name in the legend, in order.
    """
    causes = list(found["varied"].unique())
    figure, drawn = canvas(9.6, 2.3 * len(causes), rows=len(causes))
    for axes, cause in zip(np.atleast_1d(drawn), causes, strict=True):
        rows = found[found["varied"] == cause]
        values = list(rows["value"].unique())
        for shift, (measure, colour) in enumerate(zip(names, _COLOURS, strict=False)):
            own = rows[rows["measure"] == measure]
            places = [values.index(value) + 0.08 * (shift - 1.5) for value in own["value"]]
            middle, low, high = (own[key].to_numpy() for key in ("estimate", "low", "high"))
            around = np.maximum(0, [middle - low, high - middle])
            style = {"color": colour, "marker": "o", "markersize": 4.5, "capsize": 2}
            axes.errorbar(places, middle, around, linestyle="none", label=names[measure], **style)
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.set_xticks(range(len(values)), [fill(str(value), 18) for value in values])
        title, _, unit = cause.partition(", ")
        axes.set_title(title)
        axes.set_xlabel(unit or "value")
        axes.set_ylabel("points")
    legend_at_the_right(np.atleast_1d(drawn)[0])
    return figure

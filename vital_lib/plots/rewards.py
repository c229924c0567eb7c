"""A plot of what annotators and judges reward: one row per property, with intervals."""

from __future__ import annotations

import pandas as pd

from vital_lib.annotators import Votes, who
from vital_lib.plots._canvas import below, canvas, legend_below_title, styled
from vital_lib.plots._colours import BLUE, GREY, OCHRE
from vital_lib.plots._rows import name_rows
from vital_lib.plots._types import Axes, Figure

_KINDS = {"all annotators": (-0.16, BLUE, "o"), "judge": (0.16, OCHRE, "D")}


@styled
def reward_forest(found: pd.DataFrame, *, votes: Votes | None = None) -> Figure:
    """Draw the effect of each property on acceptance and on the ratings, with 95 % intervals.

    A filled mark is an effect beyond chance after the correction for the number of tests; an open
    one is not. The pale lines are single annotators. Properties that could not be tested have no
    row.

    Args:
        found: from `rewards.rewards`.
        votes: the votes behind it.
    """
    shown = found[found["p"].notna()]
    units = list(shown["unit"].unique())
    figure, axes = canvas(8.6, 1.9 + 0.36 * len(units))
    axes.axvline(0, color=GREY, linewidth=0.8)
    for (kind, source), rows in shown.groupby(["kind", "source"], sort=False):
        if kind in _KINDS:
            name = f"acceptance by {who(votes)}" if kind != "judge" else f"rating by judge {source}"
            _marks(axes, rows, units, kind, name)
        else:
            places = [units.index(unit) - 0.16 for unit in rows["unit"]]
            axes.plot(rows["effect"], places, "|", color=GREY, markersize=9, alpha=0.7)
    name_rows(axes, range(len(units)), units)
    axes.set_ylim(len(units) - 0.4, -0.6)
    label = "change in points of 100 (one tick, or a rating of 10), with 95 % interval"
    axes.set_xlabel(f"{label}\nopen mark: not beyond chance; pale: single annotators{below(votes)}")
    axes.set_title("What goes with acceptance, and with the judge's rating")
    if len(units):
        legend_below_title(axes)
    return figure


def _marks(axes: Axes, rows: pd.DataFrame, units: list[str], kind: str, name: str) -> None:
    shift, colour, mark = _KINDS[kind]
    for row in rows.itertuples():
        place = units.index(row.unit) + shift
        axes.plot([row.low, row.high], [place, place], color=colour, linewidth=1.6)
        fill = colour if row.found else "none"
        axes.plot(row.effect, place, mark, color=colour, markerfacecolor=fill, markersize=6)
    axes.plot([], [], mark, color=colour, label=name)

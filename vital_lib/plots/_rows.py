"""Plots of rows, shared by the stages: bars and intervals with their names and texts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vital_lib.annotators import votes_behind, who
from vital_lib.plots._canvas import BESIDE, DASHED, below, canvas, legend_below_title, value_of
from vital_lib.plots._colours import GREY, INK
from vital_lib.plots._types import Axes, Figure


class MissingMetric(KeyError):
    """None of a plot's metrics is present; the message names them."""

    def __str__(self) -> str:
        return str(self.args[0])


def name_rows(axes: Axes, places: Iterable[float], names: Iterable[str]) -> None:
    """Name the rows of a horizontal plot, without ticks and grid lines."""
    axes.set_yticks(list(places), list(names))
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)


def note_beside(axes: Axes, place: float, text: str) -> None:
    """Write `text` to the right of the row at `place`."""
    axes.annotate(text, (1, place), (9, 0), xycoords=("axes fraction", "data"), **BESIDE)


def forest_row(
    axes: Axes,
    place: float,
    interval: tuple[float, float, float],
    colour: str,
    text: str,
    pale: Sequence[float],
) -> None:
    """Draw an interval (estimate, low, high) as a dot on a line, with pale marks, and `text`."""
    estimate, *ends = interval
    axes.plot(ends, [place, place], color=colour, linewidth=1.8)
    axes.plot(pale, [place] * len(pale), "|", color=GREY, markersize=10, markeredgewidth=2)
    axes.plot(estimate, place, "o", color=colour, markersize=5.5)
    note_beside(axes, place, text)


def bars(
    axes: Axes,
    metrics: Mapping[str, float],
    named: Mapping[str, tuple[str, str]],
    title: str,
    label: str,
    *,
    unit: float = 100,
    note: str = "",
    line: tuple[float, str] | None = None,
) -> None:
    """Draw horizontal bars, in percent, for the metrics of `named` that are present.

    Args:
        axes: where to draw.
        metrics: the flat metrics of a run.
        named: metric -> its bar's name and colour.
        title: of the axes.
        label: of the horizontal axis.
        unit: the factor from a metric to percent.
        note: further text below the axis label.
        line: a reference value in percent, and its name.

    Raises:
        MissingMetric: no metric of `named` is present.
    """
    shown = {name: bar for name, bar in named.items() if not math.isnan(value_of(metrics, name))}
    if not shown:
        raise MissingMetric(f"none of {', '.join(named)} is among the metrics: measure one first")
    ends = False
    for place, (metric, (_, colour)) in enumerate(shown.items()):
        value = unit * value_of(metrics, metric)
        low, high = (unit * value_of(metrics, f"{metric}_{end}") for end in ("low", "high"))
        axes.barh(place, value, color=colour, height=0.62)
        text = f"{value:.1f}"
        if not math.isnan(low + high):
            ends, text = True, f"{value:.1f}  ({low:.1f} to {high:.1f})"
            axes.plot([low, high], [place, place], color=INK, linewidth=1.3, clip_on=False)
            axes.plot([low, high], [place, place], "|", color=INK, markersize=7, clip_on=False)
        note_beside(axes, place, text)
    name_rows(axes, range(len(shown)), [name for name, _ in shown.values()])
    axes.set_xlim(0, 100)
    axes.set_xlabel(f"{label} (%)" + (", with 95 % interval" if ends else "") + note)
    axes.set_title(title)
    if line:
        axes.axvline(line[0], label=f"{line[1]}, {line[0]:.3g} %", **DASHED)
        legend_below_title(axes)


def bar_figure(
    metrics: Mapping[str, float],
    named: Mapping[str, tuple[str, str]],
    title: str,
    label: str,
    **options: Any,
) -> Figure:
    """A figure with one set of bars."""
    rows = sum(name in metrics for name in named)
    more = sum(bool(options.get(name)) for name in ("line", "note"))
    figure, axes = canvas(7.6, 1.35 + 0.38 * rows + 0.22 * more)
    bars(axes, metrics, named, title, label, **options)
    return figure


def accepted_bars(
    metrics: Mapping[str, float], named: Mapping[str, tuple[str, str]], title: str
) -> Figure:
    """A figure with bars of accepted shares, which says whose votes they are."""
    votes = votes_behind(metrics, next(iter(named)))
    return bar_figure(metrics, named, title, f"accepted by {who(votes)}", note=below(votes))

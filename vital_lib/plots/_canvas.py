"""The shared style of all plots: colours, fonts, canvas, bars. It names no metric."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from vital_lib.annotators import Votes, beside

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PINK, GREY, INK, PALE = "#56B4E9", "#CC79A7", "#8A8F98", "#24292F", "#C3C9D1"
BESIDE = {"textcoords": "offset points", "fontsize": 8.5, "color": INK, "va": "center"}
DASHED = {"color": INK, "linestyle": (0, (4, 3)), "linewidth": 1}
_LINE, _TICK = "#6E7781", "#57606A"
_RC = {
    "font.size": 9.5,
    **{"axes.titlesize": 10.5, "axes.titleweight": "bold", "axes.titlelocation": "left"},
    **{"axes.titlepad": 9, "axes.edgecolor": _LINE, "axes.labelcolor": INK, "axes.linewidth": 0.8},
    **{"axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True},
    **{"axes.grid": True, "grid.color": "#E6E8EB", "grid.linewidth": 0.8, "text.color": INK},
    **{"xtick.color": _TICK, "ytick.color": _TICK, "xtick.labelcolor": INK},
    **{"ytick.labelcolor": INK, "legend.frameon": False, "legend.fontsize": 9},
}


class MissingMetric(KeyError):
    """None of a plot's metrics is present; the message names them."""

    def __str__(self) -> str:
        return str(self.args[0])


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Run `draw` in this module's style, independent of the caller's rcParams."""

    @functools.wraps(draw)
    def drawn(*args: Any, **options: Any) -> Figure:
        import matplotlib

        with matplotlib.rc_context({**matplotlib.rcParamsDefault, **_RC}):
            return draw(*args, **options)

    return drawn


def canvas(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, Any]:
    """Return a figure of `width` x `height` inches and its axes."""
    figure = _figure_class()(figsize=(width, height), dpi=110, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.07)
    return figure, figure.subplots(rows, columns)


@functools.cache
def _figure_class() -> type:
    """Return a Figure class that a notebook can display without pyplot."""
    from io import BytesIO

    from matplotlib.figure import Figure

    class Plot(Figure):
        def _repr_png_(self) -> bytes:
            file = BytesIO()
            self.savefig(file, format="png")
            return file.getvalue()

    return Plot


def value_of(metrics: Mapping[str, float], name: str) -> float:
    """Return a metric as a float; NaN if it is missing or null."""
    value = metrics.get(name)
    return math.nan if value is None else float(value)


def below(votes: Votes | None) -> str:
    """Return the note on the votes, as a separate line below an axis label."""
    return beside(votes).replace(" ", "\n", 1)


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
        axes.annotate(text, (1, place), (9, 0), xycoords=("axes fraction", "data"), **BESIDE)
    axes.set_yticks(range(len(shown)), [name for name, _ in shown.values()])
    axes.set_xlim(0, 100)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"{label} (%)" + (", with 95 % interval" if ends else "") + note)
    axes.set_title(title)
    if line:
        axes.axvline(line[0], label=f"{line[1]}, {line[0]:.3g} %", **DASHED)
        legend_below_title(axes)


def legend_below_title(axes: Axes) -> None:
    """Place a one-row legend between title and plot, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    place = {"loc": "lower left", "bbox_to_anchor": (-0.01, 1.0), "ncols": max(1, len(labels))}
    axes.legend(handles, labels, borderaxespad=0.1, handlelength=1.6, columnspacing=1.4, **place)
    axes.set_title(axes.get_title(loc="left"), pad=25)


def bar_figure(
    metrics: Mapping[str, float],
    named: Mapping[str, tuple[str, str]],
    title: str,
    label: str,
    **options: Any,
) -> Figure:
    """A figure with one set of bars."""
    rows = sum(name in metrics for name in named)
    more = ("line" in options) + bool(options.get("note"))
    figure, axes = canvas(7.6, 1.35 + 0.38 * rows + 0.22 * more)
    bars(axes, metrics, named, title, label, **options)
    return figure

"""The shared style of all plots: fonts, lines, canvas, legend. It names no metric."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

from vital_lib.annotators import Votes, beside
from vital_lib.plots._colours import GRID, INK, LINE, TICK
from vital_lib.plots._types import Axes, Figure

BESIDE = dict[str, Any](textcoords="offset points", fontsize=8.5, color=INK, va="center")
DASHED = dict[str, Any](color=INK, linestyle=(0, (4, 3)), linewidth=1)
_RC: dict[Any, Any] = {
    "font.size": 9.5,
    "text.parse_math": False,  # a "$" in a name is data
    **{"axes.titlesize": 10.5, "axes.titleweight": "bold", "axes.titlelocation": "left"},
    **{"axes.titlepad": 9, "axes.edgecolor": LINE, "axes.labelcolor": INK, "axes.linewidth": 0.8},
    **{"axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True},
    **{"axes.grid": True, "grid.color": GRID, "grid.linewidth": 0.8, "text.color": INK},
    **{"xtick.color": TICK, "ytick.color": TICK, "xtick.labelcolor": INK},
    **{"ytick.labelcolor": INK, "legend.frameon": False, "legend.fontsize": 9},
    **{"figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none"},
}


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

    import matplotlib.figure

    class Plot(matplotlib.figure.Figure):
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


def legend_below_title(axes: Axes) -> None:
    """Place a one-row legend between title and plot, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    place = {"loc": "lower left", "bbox_to_anchor": (-0.01, 1.0), "ncols": max(1, len(labels))}
    axes.legend(handles, labels, borderaxespad=0.1, handlelength=1.6, columnspacing=1.4, **place)
    axes.set_title(axes.get_title(loc="left"), pad=25)


def legend_at_the_right(axes: Axes) -> None:
    """Place a legend of many entries beside the plot, where it covers nothing."""
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.1, handlelength=1.6)

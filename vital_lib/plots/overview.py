"""The overview of the method as one row of steps, named as the tables are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vital_lib.plots._canvas import canvas, styled
from vital_lib.plots._colours import BLUE, GREY, INK, LEAF, OCHRE
from vital_lib.plots._types import Axes, Figure

_STAGES = ((0, 4, "1  Generation"), (4, 7, "2  Selection"), (7, 9, "3  Tuning and evaluation"))
_STEPS = (
    ("Figures", "image, caption,\nmentions", False),
    ("Drafts", "two responses to\neach instruction", False),
    ("Preferences", "clinicians tick or\ncross each response", True),
    ("Candidates", "generator shown\ndemonstrations", False),
    ("Ratings", "a judge, 0 to 10,\nby written policy", False),
    ("Selector", "learns from ticks\nand ratings", False),
    ("Selected set", "the best-scored\nshare", False),
    ("Tuned model", "vision-language\nmodel, tuned on it", False),
    ("Evaluation", "VQA, open chat,\nwin rate", False),
)


_STATES = {
    "written": ("✓ written", LEAF),
    "stale": ("stale", OCHRE),
    "missing": ("not yet", INK),
}


@styled
def pipeline_overview(states: Mapping[str, str] | None = None) -> Figure:
    """Draw the method in one row: three stages, and the two ways in which clinicians steer them.

    Args:
        states: name of a step -> "written", "stale" or "missing", which is drawn in its box.
    """
    figure, axes = canvas(12.6, 2.7)
    axes.axis("off")
    axes.set(xlim=(0, 9), ylim=(-0.35, 1.95))
    for start, end, title in _STAGES:
        axes.plot([start + 0.07, end - 0.07], [0, 0], color=GREY, linewidth=2)
        axes.text((start + end) / 2, -0.2, title, ha="center", va="center", color=INK)
    for place, step in enumerate(_STEPS):
        _step_box(axes, place, *step, state=(states or {}).get(step[0]))
        if place:
            _arrow(axes, [(place - 0.07, 0.67), (place + 0.07, 0.67)], GREY)
    _arrow(axes, [(2.64, 1.18), (2.64, 1.42), (3.5, 1.42), (3.5, 1.2)], BLUE)
    _arrow(axes, [(2.36, 1.18), (2.36, 1.7), (5.5, 1.7), (5.5, 1.2)], BLUE)
    by_people = {"ha": "center", "va": "bottom", "color": BLUE, "fontsize": 8.5}
    axes.text(3.07, 1.45, "demonstrations", **by_people)
    axes.text(3.93, 1.73, "ticks", **by_people)
    return figure


def _arrow(axes: Axes, points: list[tuple[float, float]], colour: str) -> None:
    """Draw a line through `points` with an arrowhead at the end."""
    axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.3, solid_joinstyle="round")
    tip = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.3, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", points[-1], points[-2], arrowprops=tip)


def _step_box(
    axes: Axes, place: int, name: str, lines: str, by_people: bool, *, state: str | None
) -> None:
    """Draw one step of the overview; steps of people are filled, missing ones dashed."""
    from matplotlib.patches import FancyBboxPatch

    word, colour = _STATES.get(state or "", ("", GREY))
    face, edge, ink = (BLUE, BLUE, "white") if by_people else ("none", colour, INK)
    shape = "round,pad=0,rounding_size=0.06"
    dashes = "--" if state == "missing" else "-"
    look: dict[str, Any] = {"facecolor": face, "edgecolor": edge, "linestyle": dashes}
    axes.add_patch(FancyBboxPatch((place + 0.07, 0.16), 0.86, 1.02, shape, **look))
    middle: dict[str, Any] = {"ha": "center", "va": "center", "color": ink}
    up = 0.06 if state else 0
    axes.text(place + 0.5, 0.92 + up, name, fontweight="bold", **middle)
    axes.text(place + 0.5, 0.5 + 2 * up, lines, fontsize=7.8, linespacing=1.35, **middle)
    middle |= {} if by_people else {"color": colour}
    axes.text(place + 0.5, 0.29, word, fontsize=8.5, fontweight="bold", **middle)

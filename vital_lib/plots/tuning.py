"""Plot of the training loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from vital_lib.plots._canvas import canvas, legend_below_title, styled
from vital_lib.plots._colours import OCHRE, ORANGE
from vital_lib.plots._types import Figure
from vital_lib.plots.evaluation import MODELS
from vital_lib.plots.figures import MODALITY_COLOURS


@styled
def loss_curves(
    losses: Mapping[str, Sequence[float]],
    held_out: Mapping[str, Sequence[tuple[int, float]]] | None = None,
) -> Figure:
    """Training losses per model: every step in a pale line, with the running mean on top.

    Args:
        losses: model name -> loss at every step.
        held_out: model name -> (step, held-out loss), drawn as dots on a dashed line.
    """
    figure, axes = canvas(6.8, 3.6)
    palette = list(MODALITY_COLOURS.values())
    for place, (model, values) in enumerate(losses.items()):
        name, colour = MODELS.get(model, (model, palette[place % len(palette)]))
        colour = OCHRE if colour == ORANGE else colour
        steps = range(1, len(values) + 1)
        smooth = pd.Series(values, dtype=float).ewm(span=max(2, len(values) // 20)).mean()
        axes.plot(steps, values, color=colour, alpha=0.22, linewidth=0.8)
        axes.plot(steps, smooth, color=colour, linewidth=1.7, label=name)
        if points := (held_out or {}).get(model):
            axes.plot(*zip(*points, strict=True), color=colour, ls="--", lw=1.2, marker="o", ms=3)
    axes.set_xlabel("step")
    axes.set_ylabel("loss per token (nats)")
    axes.set_title("Training loss" + (", and held-out loss (dashed)" if held_out else ""))
    axes.set_ylim(bottom=0)
    axes.margins(x=0.01)
    legend_below_title(axes)
    return figure

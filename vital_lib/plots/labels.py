"""A forest plot of annotator agreement: one line per scope, with its interval and n."""

from __future__ import annotations

import pandas as pd

from vital_lib.annotators import Votes, who
from vital_lib.modalities import MODALITY_LABELS
from vital_lib.plots._canvas import below, canvas, styled
from vital_lib.plots._colours import BLUE, GREEN, GREY, INK, OCHRE
from vital_lib.plots._rows import forest_row, name_rows
from vital_lib.plots._types import Figure

_COLOURS = {"overall": INK, "modality": BLUE, "pair": OCHRE, "self": GREEN}


@styled
def agreement_forest(agreement: pd.DataFrame, *, votes: Votes | None = None) -> Figure:
    """Krippendorff's alpha by modality, pair and person, each with its 95 % interval and n.

    A small pale mark on each line is the raw agreement. High raw agreement with low alpha means
    that nearly all ticks are the same and agreement carries little information. Scopes in which
    nothing was judged twice have no line.

    Args:
        agreement: from `labels.agreement`: scope, kind, items, alpha, alpha_low, alpha_high, raw.
        votes: the votes that are compared.
    """
    names = {**MODALITY_LABELS, "all": "all", "not_stated": "modality not stated"}
    agreement = agreement[(agreement["items"] > 0) | (agreement["kind"] == "overall")]
    figure, axes = canvas(8.6, 1.7 + 0.3 * len(agreement))
    lowest = min(0.0, agreement[["alpha", "alpha_low"]].min().min())
    axes.axvline(0, color=GREY, linewidth=0.8)
    for place, row in enumerate(agreement.itertuples()):
        text = "too few" if pd.isna(row.alpha) else f"{row.alpha:.2f}"
        if not pd.isna(row.alpha_low + row.alpha_high):
            text += f"  ({row.alpha_low:.2f} to {row.alpha_high:.2f})"
        text += f"  n = {row.items:,}"
        interval = (row.alpha, row.alpha_low, row.alpha_high)
        forest_row(axes, place, interval, _COLOURS[row.kind], text, [row.raw])
    name_rows(axes, range(len(agreement)), [names.get(name, name) for name in agreement.scope])
    axes.set_ylim(len(agreement) - 0.4, -0.6)
    axes.set_xlim(lowest - 0.03, 1.03)
    label = "Krippendorff's alpha over single ticks, random arm, with 95 % interval"
    axes.set_xlabel(f"{label}\n(pale mark: raw agreement){below(votes)}")
    axes.set_title(f"Agreement among {who(votes)}")
    return figure

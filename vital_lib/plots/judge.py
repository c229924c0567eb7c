"""Plots of the judge: rating distribution, reliability diagram, probes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from vital_lib.annotators import Votes, votes_behind, who
from vital_lib.plots._canvas import DASHED, below, canvas, legend_below_title, styled, value_of
from vital_lib.plots._colours import BLUE, GREY, ORANGE
from vital_lib.plots._rows import bar_figure
from vital_lib.plots._sums import accepted_share, wilson
from vital_lib.plots._types import Figure
from vital_lib.plots.figures import MODALITY_COLOURS

_ERRORS = {
    "judge.probe_drop_rate_modality": ("wrong modality", BLUE),
    "judge.probe_drop_rate_negation": ("flipped negation", BLUE),
    "judge.probe_drop_rate_count": ("wrong count", BLUE),
    "judge.probe_drop_rate_side": ("wrong side", BLUE),
    "judge.blank_drop_rate": ("blanked image", ORANGE),
}


@styled
def judge_probes(metrics: Mapping[str, float]) -> Figure:
    """Draw the share of accepted answers that are rated lower with one error put in.

    The dashed line, with its interval as a band, is the share of unchanged answers that are rated
    lower when they are rated again. The bars of a judge that notices no errors end there.
    """
    control = 100 * value_of(metrics, "judge.probe_drop_rate_control")
    line = None if control != control else (control, "unchanged answer rated again")
    votes = votes_behind(metrics, "judge.probe_drop_rate_control")
    note = f"\nof those accepted by {who(votes)}{below(votes)}"
    title, label = "Errors that the judge notices", "answers rated lower"
    figure = bar_figure(metrics, _ERRORS, title, label, note=note, line=line)
    band = [
        100 * value_of(metrics, f"judge.probe_drop_rate_control_{end}") for end in ("low", "high")
    ]
    if not any(map(math.isnan, band)):
        figure.axes[0].axvspan(*band, color=GREY, alpha=0.3, linewidth=0)
    return figure


@styled
def rating_distribution(ratings: pd.DataFrame) -> Figure:
    """Distribution of the judge's ratings (0 to 10), with the number of replies that had one.

    Args:
        ratings: columns `judge` and `overall` (null if the reply had no rating).
    """
    figure, axes = canvas(6.8, 3.5)
    judges = list(ratings.groupby("judge").overall)
    edges = np.arange(-0.25, 10.5, 0.5)
    for place, (judge, overall) in enumerate(judges):
        read = overall.dropna()
        label = f"{judge} ({len(read):,} of {len(overall):,} read)"
        width = 0.42 / len(judges)
        shift = width * (place - (len(judges) - 1) / 2)
        colour = list(MODALITY_COLOURS.values())[place % 7]
        places, counts = edges[:-1] + 0.25 + shift, np.histogram(read, edges)[0]
        axes.bar(places, counts, width, color=colour, label=label)
    axes.set_xticks(range(11))
    axes.set_xlabel("rating (0 to 10)")
    axes.set_ylabel("ratings")
    axes.set_title("The judge's ratings")
    axes.grid(False, axis="x")
    legend_below_title(axes)
    return figure


@styled
def reliability_diagram(
    ratings: pd.DataFrame, accepted: pd.DataFrame, *, votes: Votes | None = None
) -> Figure:
    """Share accepted by annotators at each rating, with Wilson's (1927) interval and n.

    Args:
        ratings: columns `candidate_id`, `overall`; repeats are averaged.
        accepted: columns `candidate_id`, `accepted` (yes/no or a share); repeats are averaged.
        votes: the votes behind `accepted`.
    """
    by = who(votes)
    both = ratings.dropna(subset="overall").groupby("candidate_id").overall.mean().to_frame()
    both = both.join(accepted_share(accepted), how="inner")
    bins = both.groupby(both.overall.round().astype(int)).accepted.agg(["mean", "size"])
    share, n = 100 * bins["mean"].to_numpy(), bins["size"].to_numpy()
    figure, axes = canvas(6.8, 3.9)
    axes.plot([0, 10], [0, 100], label="rating / 10", **{**DASHED, "color": GREY})
    points = {"fmt": "o", "color": BLUE, "capsize": 3, "label": f"accepted by {by}"}
    axes.errorbar(bins.index, share, wilson(share, n), **points)
    for rating, count in zip(bins.index, n, strict=True):
        axes.text(rating, 106, f"n={count:,}", fontsize=8.5, ha="center", va="center")
    axes.set_xticks(range(11))
    axes.set(xlim=(-0.5, 10.5), ylim=(-2, 112), yticks=range(0, 101, 20))
    axes.set_xlabel(f"the judge's rating, rounded (0 to 10){below(votes)}")
    axes.set_ylabel("accepted (%), 95 % interval")
    axes.set_title(f"Acceptance by {by} at each judge rating ({len(both):,} candidates)")
    legend_below_title(axes)
    return figure

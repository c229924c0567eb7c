"""Plots of the selector: agreement, score distributions, learning curve."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from vital_lib.annotators import Votes, votes_behind, who
from vital_lib.plots._canvas import (
    BESIDE,
    DASHED,
    below,
    canvas,
    legend_at_the_right,
    legend_below_title,
    styled,
    value_of,
)
from vital_lib.plots._colours import BLUE, GREY, OCHRE, ORANGE, PALE, PINK, SKY
from vital_lib.plots._rows import bar_figure, note_beside
from vital_lib.plots._sums import accepted_share
from vital_lib.plots._types import Figure

_FILLED = 3  # groups of a histogram; more of them would hide one another
LEARNERS = {
    "both": ("ratings and ticks", BLUE),
    "people only": ("ticks only", OCHRE),
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
        curve: columns `learned` (both, people only, published), `questions`, `agreement`,
            `low`, `high`, all as shares.
        metrics: for judge.agreement_mean_of_5.
        votes: the votes for training and for held-out pairs.
    """
    sizes = sorted(curve["questions"].unique())
    figure, axes = canvas(7.6, 3.9)
    for shift, (name, (label, colour)) in enumerate(LEARNERS.items()):
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
    note_beside(axes, 50, "chance")
    axes.set_xticks(range(len(sizes)), [f"{size:,}" for size in sizes])
    axes.set_xlabel(f"labelled questions{below(votes)}")
    axes.set_ylabel("agreement (%), 95 % interval")
    axes.set_title(f"Agreement with {who(votes)}, by number of labelled questions")
    legend_below_title(axes)
    return figure


@styled
def agreement_bars(metrics: Mapping[str, float]) -> Figure:
    """Agreement of the judge, the selector and its controls with annotators on held-out pairs."""
    named = {
        "judge.agreement": ("judge, one rating", PALE),
        "judge.agreement_mean_of_5": ("judge, mean of five ratings", GREY),
        "selector.agreement_published": ("published recipe (MLP)", PINK),
        "selector.agreement_image_shuffled": ("selector, images shuffled", PALE),
        "selector.agreement_text_only": ("selector, text only", GREY),
        "selector.agreement_judge_only": ("selector, judge ratings only", SKY),
        "selector.agreement_human_only": ("selector, ticks only", ORANGE),
        "selector.agreement": ("selector", BLUE),
    }
    votes = votes_behind(metrics, "selector.agreement")
    title = f"Agreement with {who(votes)} on held-out pairs"
    label = "pairs in agreement"
    return bar_figure(metrics, named, title, label, note=below(votes), line=(50, "chance"))


@styled
def score_distributions(
    scores: pd.DataFrame, labels: pd.DataFrame, *, votes: Votes | None = None
) -> Figure:
    """Score distributions of accepted and of rejected candidates.

    Args:
        scores: columns `candidate_id`, `score`.
        labels: columns `candidate_id`, `accepted` (yes/no, or a share: one half or more counts as
            accepted).
        votes: the votes behind `labels`.
    """
    by = who(votes)
    both = scores.set_index("candidate_id").score.to_frame()
    both = both.join(accepted_share(labels), how="inner")
    edges = score_edges(both.score.to_numpy(float), 30)
    figure, axes = canvas(7.6, 3.5)
    groups = {"accepted": (both.accepted >= 0.5, BLUE), "rejected": (both.accepted < 0.5, OCHRE)}
    for name, (rows, colour) in groups.items():
        values = both.score[rows]
        heights = np.histogram(values, edges)[0] / max(1, len(values))
        label = f"{name} by {by} ({len(values):,})"
        axes.stairs(100 * heights, edges, fill=True, color=colour, alpha=0.3, label=label)
        axes.stairs(100 * heights, edges, color=colour, linewidth=1.4)
    axes.set_xlabel(f"score (only the order is meaningful){below(votes)}")
    axes.set_ylabel("share of group (%)")
    axes.set_title(f"Scores of candidates accepted and rejected by {by}")
    axes.grid(False, axis="x")
    legend_below_title(axes)
    return figure


def score_edges(scores: np.ndarray, bins: int) -> np.ndarray:
    """Return the edges of `bins` equal bins of finite scores, also if these hardly differ."""
    try:
        return np.histogram_bin_edges(scores, bins)
    except ValueError:  # NumPy finds no room for so many bins between the scores
        half = max(1e-6 * float(np.abs(scores).max()), 0.5)
        return np.linspace(scores.mean() - half, scores.mean() + half, bins + 1)


@styled
def score_histogram(
    scores: Mapping[str, tuple[str, np.ndarray]], *, cut: float | None = None
) -> Figure:
    """Histograms of scores by group; with a cut, a line at its score.

    Args:
        scores: label of a group -> its colour and the scores of its candidates.
        cut: the score from which on candidates are kept, if there are no quotas.
    """
    edges = score_edges(np.concatenate([own for _, own in scores.values()]), 40)
    figure, axes = canvas(7.6, 3.5)
    for name, (colour, own) in scores.items():
        counts = np.histogram(own, edges)[0]
        label = f"{name} ({len(own):,})"
        if len(scores) <= _FILLED:
            axes.stairs(counts, edges, fill=True, color=colour, alpha=0.25)
        axes.stairs(counts, edges, color=colour, linewidth=1.4, label=label)
    if cut is not None:
        axes.axvline(cut, **DASHED)
        axes.annotate("cut", (cut, 1), (4, -8), xycoords=("data", "axes fraction"), **BESIDE)
    axes.set_xlabel("score (only the order is meaningful)")
    axes.set_ylabel("candidates")
    axes.set_title(f"Scores of {sum(len(own) for _, own in scores.values()):,} candidates")
    axes.grid(False, axis="x")
    legend_at_the_right(axes)
    return figure

"""Matplotlib figures, one per function, for the notebooks and the report; also a readable table.

Every plot takes plain frames, arrays or the flat metrics of a run and returns a new
``matplotlib.figure.Figure`` that a notebook displays as the last line of a cell. The colours are
Okabe and Ito's (2008), which colour-blind readers can distinguish; intervals are the 95 % intervals
in the metrics. This package computes no metric and is independent of files, models and pyplot.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vital_lib.annotators import Votes, votes_behind, who
from vital_lib.modalities import MODALITY_LABELS
from vital_lib.plots._agreement import agreement_forest
from vital_lib.plots._canvas import (
    BESIDE,
    BLUE,
    DASHED,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PALE,
    PINK,
    RED,
    SKY,
    MissingMetric,
    bars,
    below,
    canvas,
    legend_below_title,
    styled,
)
from vital_lib.plots._evaluation import MODELS, claims_forest, evaluation_bars, win_rate_bars
from vital_lib.plots._judge import judge_probes
from vital_lib.plots._overview import pipeline_overview
from vital_lib.plots._selector import learning_curve
from vital_lib.plots._sums import pca_2d, wilson
from vital_lib.plots._table import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "MODALITY_COLOURS",
    "MissingMetric",
    "accepted_share_by_arm",
    "agreement_bars",
    "agreement_forest",
    "claims_forest",
    "cluster_map",
    "evaluation_bars",
    "figure_grid",
    "judge_probes",
    "learning_curve",
    "loss_curves",
    "modality_counts",
    "pipeline_overview",
    "reliability_diagram",
    "rating_distribution",
    "score_distributions",
    "selection_bars",
    "table",
    "win_rate_bars",
]

MODALITY_COLOURS = dict(
    zip(MODALITY_LABELS, [BLUE, ORANGE, GREEN, PINK, RED, SKY, GREY], strict=True)
)


@styled
def modality_counts(figures: pd.DataFrame) -> Figure:
    """Figures by modality, stacked by split; a figure with several modalities counts under each.

    Args:
        figures: columns `modalities` (list of str), `split`.
    """
    flags = figures.assign(modality=[list(m) or ["not_stated"] for m in figures.modalities])
    counts = flags.explode("modality").groupby(["modality", "split"]).size().unstack(fill_value=0)
    names = [name for name in MODALITY_LABELS if name in counts.index][::-1]
    figure, axes = canvas(6.8, 1.4 + 0.36 * len(names))
    edge = np.zeros(len(names))
    for split, colour in {"train": BLUE, "validation": ORANGE, "test": GREEN}.items():
        if split in counts:
            width = counts.loc[names, split].to_numpy()
            label = f"{split} ({(figures.split == split).sum():,})"
            axes.barh(range(len(names)), width, left=edge, color=colour, height=0.62, label=label)
            edge = edge + width
    for place, total in enumerate(edge):
        axes.annotate(f"{int(total):,}", (total, place), (5, 0), **BESIDE)
    axes.set_yticks(range(len(names)), [MODALITY_LABELS[name] for name in names])
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.set_xlabel("figures")
    axes.set_title(f"{len(figures):,} figures by modality")
    legend_below_title(axes)
    return figure


@styled
def cluster_map(features: np.ndarray, clusters: Sequence[int], sampled: Sequence[bool]) -> Figure:
    """Figures on two principal components, with rings around those chosen for labelling.

    Args:
        features: (n, d) features; plotted directly if d is 2.
        clusters: (n,) K-means cluster of each figure; colours repeat after eight.
        sampled: (n,) whether the figure was chosen.
    """
    points, explained = pca_2d(np.asarray(features, dtype=float))
    clusters, chosen = np.asarray(clusters), np.asarray(sampled, dtype=bool)
    figure, axes = canvas(6.8, 4.8)
    colours = np.array([*MODALITY_COLOURS.values(), "#8F8A2B"])[clusters % 8]
    axes.scatter(*points[~chosen].T, s=15, c=colours[~chosen], alpha=0.4, linewidths=0)
    axes.scatter(*points[chosen].T, s=38, c=colours[chosen], edgecolors=INK, linewidths=1.1)
    ring = {"s": 38, "c": "white", "edgecolors": INK, "linewidths": 1.1}
    axes.scatter([], [], label=f"chosen for labelling ({chosen.sum():,})", **ring)
    axes.set_title(f"{len(chosen):,} figures in {len(np.unique(clusters))} clusters (by colour)")
    axes.set_xlabel(f"first component{explained[0]}")
    axes.set_ylabel(f"second component{explained[1]}")
    legend_below_title(axes)
    return figure


@styled
def figure_grid(images: Sequence[Any], titles: Sequence[str], *, columns: int = 5) -> Figure:
    """Images in a grid, each below its title.

    Args:
        images: PIL images or arrays.
        titles: one per image; long titles are cut.
        columns: at most this many per row.
    """
    columns = max(1, min(columns, len(images)))
    rows = max(1, math.ceil(len(images) / columns))
    figure, grid = canvas(2.1 * columns, 2.3 * rows, rows, columns)
    for axes in np.ravel(grid):
        axes.axis("off")
    for axes, image, title in zip(np.ravel(grid), images, titles, strict=False):
        axes.imshow(np.asarray(image), cmap="gray")
        short = title if len(title) <= 26 else title[:25] + "…"
        axes.set_title(short, fontsize=8, fontweight="normal", loc="center", pad=4)
    return figure


@styled
def accepted_share_by_arm(metrics: Mapping[str, float]) -> Figure:
    """Share of candidates that annotators accept, by the demonstrations in the request."""
    named = {
        "candidates.accepted_share_none": ("no demonstrations", PALE),
        "candidates.accepted_share_random": ("random demonstrations", ORANGE),
        "candidates.accepted_share_clinician": ("accepted demonstrations", BLUE),
    }
    title = "Accepted candidates, by demonstrations shown"
    votes = votes_behind(metrics, "candidates.accepted_share_none")
    return _bar_figure(metrics, named, title, f"accepted by {who(votes)}", note=below(votes))


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
    both = both.join(_accepted_share(accepted), how="inner")
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
    return _bar_figure(metrics, named, title, label, note=below(votes), line=(50, "chance"))


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
    both = both.join(_accepted_share(labels), how="inner")
    edges = np.histogram_bin_edges(both.score, bins=30)
    figure, axes = canvas(7.6, 3.5)
    groups = {"accepted": (both.accepted >= 0.5, BLUE), "rejected": (both.accepted < 0.5, ORANGE)}
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


@styled
def selection_bars(metrics: Mapping[str, float]) -> Figure:
    """Accepted share of the selected sets, by selection method."""
    named = {
        "selection.accepted_share_random": ("random", ORANGE),
        "selection.accepted_share_length": ("longest", PALE),
        "selection.accepted_share_similarity": ("highest image-answer similarity", PALE),
        "selection.accepted_share_cluster_typical": ("most typical of the cluster", PALE),
        "selection.accepted_share_judge_top": ("highest judge rating", GREY),
        "selection.accepted_share_judge_mean_of_5_top": (
            "highest mean of five judge ratings",
            GREY,
        ),
        "selection.accepted_share_selected": ("highest selector score", BLUE),
    }
    title = "Sets of equal size, by selection method"
    votes = votes_behind(metrics, "selection.accepted_share_selected")
    return _bar_figure(metrics, named, title, f"accepted by {who(votes)}", note=below(votes))


@styled
def loss_curves(losses: Mapping[str, Sequence[float]], *, log: bool = False) -> Figure:
    """Training losses per model: every step in a pale line, with the running mean on top.

    Args:
        losses: model name -> loss at every step.
        log: use a logarithmic scale, for losses of different magnitude.
    """
    figure, axes = canvas(6.8, 3.6)
    palette = list(MODALITY_COLOURS.values())
    for place, (model, values) in enumerate(losses.items()):
        name, colour = MODELS.get(model, (model, palette[place % len(palette)]))
        steps = range(1, len(values) + 1)
        smooth = pd.Series(values, dtype=float).ewm(span=max(2, len(values) // 20)).mean()
        axes.plot(steps, values, color=colour, alpha=0.22, linewidth=0.8)
        axes.plot(steps, smooth, color=colour, linewidth=1.7, label=name)
    axes.set_xlabel("step")
    axes.set_ylabel("loss per token (nats), log scale" if log else "loss per token (nats)")
    axes.set_title("Training loss")
    if log:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.margins(x=0.01)
    legend_below_title(axes)
    return figure


def _bar_figure(
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


def _accepted_share(labels: pd.DataFrame) -> pd.Series:
    """Mean `accepted` by candidate_id; candidates without one are left out."""
    known = labels.dropna(subset="accepted")
    return known.accepted.astype(float).groupby(known.candidate_id).mean().rename("accepted")

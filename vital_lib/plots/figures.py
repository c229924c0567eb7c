"""Plots of the figures: modalities, clusters and a grid of images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from vital_lib.modalities import MODALITY_LABELS
from vital_lib.plots._canvas import BESIDE, canvas, legend_at_the_right, legend_below_title, styled
from vital_lib.plots._colours import BLUE, GREEN, INK, MARKS, ORANGE
from vital_lib.plots._rows import name_rows
from vital_lib.plots._sums import pca_2d
from vital_lib.plots._types import Figure

MODALITY_COLOURS = dict(zip(MODALITY_LABELS, MARKS, strict=True))
_CLUSTER_COLOURS = MARKS[:6]
_SHAPES = ("o", "s", "^", "D")
_NUMBERED: dict[str, Any] = {
    **{"ha": "center", "va": "center", "fontsize": 8.5, "fontweight": "bold", "color": "white"},
    "bbox": {"boxstyle": "circle,pad=0.2", "facecolor": "#3A3F45", "edgecolor": "none"},
}


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
    name_rows(axes, range(len(names)), [MODALITY_LABELS[name] for name in names])
    axes.set_xlabel("figures")
    axes.set_title(f"{len(figures):,} figures by modality")
    legend_below_title(axes)
    return figure


@styled
def cluster_map(features: np.ndarray, clusters: Sequence[int], sampled: Sequence[bool]) -> Figure:
    """Figures on two principal components, with rings around those chosen for labelling.

    Args:
        features: (n, d) features; plotted directly if d is 2.
        clusters: (n,) K-means cluster of each figure. Each has a colour and a shape of its own, up
            to 24 of them, and its number at its median.
        sampled: (n,) whether the figure was chosen.
    """
    points, explained = pca_2d(np.asarray(features, dtype=float))
    chosen = np.asarray(sampled, dtype=bool)
    figure, axes = canvas(6.8, 4.8)
    names = np.asarray(clusters)
    for place, name in enumerate(np.unique(names)):
        shape = _SHAPES[place // len(_CLUSTER_COLOURS) % len(_SHAPES)]
        mark = {"marker": shape, "color": _CLUSTER_COLOURS[place % len(_CLUSTER_COLOURS)]}
        own = names == name
        axes.scatter(*points[own & ~chosen].T, s=17, alpha=0.4, linewidths=0, **mark)
        axes.scatter(*points[own & chosen].T, s=40, edgecolors=INK, linewidths=1.1, **mark)
        axes.annotate(str(name), np.median(points[own], axis=0), **_NUMBERED)
    ring = {"s": 38, "c": "none", "edgecolors": INK, "linewidths": 1.1}
    axes.scatter([], [], label=f"chosen for labelling ({chosen.sum():,})", **ring)
    axes.set_title(f"{len(chosen):,} figures in {len(np.unique(names))} numbered clusters")
    axes.set_xlabel(f"first component{explained[0]}")
    axes.set_ylabel(f"second component{explained[1]}")
    legend_below_title(axes)
    return figure


@styled
def conversation_map(dots: pd.DataFrame) -> Figure:
    """Figures on two axes, coloured by modality; large if they have a conversation to pick.

    Args:
        dots: columns x, y, modality (key of `MODALITY_LABELS`), state (figure, conversation,
            picked). Figures of picked conversations have rings.
    """
    figure, axes = canvas(6.8, 4.8)
    for name, label in MODALITY_LABELS.items():
        own = dots[dots["modality"] == name]
        if own.empty:
            continue
        size = own["state"].astype(str).map({"figure": 8, "conversation": 30, "picked": 45})
        ring = np.where(own["state"] == "picked", 1.3, 0)
        look = {"s": size, "color": MODALITY_COLOURS[name], "edgecolors": INK, "linewidths": ring}
        axes.scatter(own["x"], own["y"], label=label, **look)
    picked = int((dots["state"] == "picked").sum())
    axes.set_title(f"{len(dots):,} figures; {picked:,} with a picked conversation, in rings")
    axes.set_xlabel("first component")
    axes.set_ylabel("second component")
    legend_at_the_right(axes)
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

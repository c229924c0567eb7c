"""Agreement between raters on the same units, with intervals over groups."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vital_lib.statistics.intervals import RESAMPLES, Interval, sums_interval


def alpha_of_counts(
    counts: np.ndarray, groups: Iterable, *, seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """Krippendorff's alpha (nominal) of any number of raters (Krippendorff 2011).

    Args:
        counts: (units, categories): how many raters put the unit into the category. A unit with
            fewer than two raters has no agreement: leave it out.
        groups: the group of each unit.

    Returns:
        NaN if all raters used one category. `n` is the number of units.
    """
    counts = np.asarray(counts, dtype=float)
    raters = counts.sum(axis=1)
    apart = (raters**2 - (counts**2).sum(axis=1)) / (raters - 1)
    columns = (apart, *counts.T)
    return sums_interval(groups, columns, _alpha, n=len(counts), seed=seed, resamples=resamples)


def agreement_interval(
    counts: np.ndarray, groups: Iterable, *, seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """The share of equal pairs among all pairs of ratings of one unit; arguments as above."""
    counts = np.asarray(counts, dtype=float)
    equal, raters = (counts * (counts - 1)).sum(axis=1), counts.sum(axis=1)
    columns = (equal, raters * (raters - 1))
    return sums_interval(groups, columns, _share, n=len(counts), seed=seed, resamples=resamples)


def _alpha(sums: np.ndarray) -> np.ndarray:
    """1 - (n - 1) * disagreement / (n ** 2 - sum of squared counts), from sums (R, 1 + k)."""
    apart, used = sums[:, 0], sums[:, 1:]
    n = used.sum(axis=1)
    by_chance = n**2 - (used**2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(by_chance > 0, 1 - (n - 1) * apart / by_chance, np.nan)


def _share(sums: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return sums[:, 0] / sums[:, 1]

"""Prediction-powered inference: a mean of a judge's values, corrected by labels on few of them.

Angelopoulos et al. 2023, "Prediction-powered inference", with the weight of "PPI++: Efficient
prediction-powered inference". The point estimate is that of the package ppi-python. Its interval
takes rows as independent; here rows of one article are not, so whole articles are resampled, each
with its labelled and its unlabelled rows.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vital_lib.statistics.intervals import (
    RESAMPLES,
    Interval,
    as_floats,
    check_groups,
    mean_interval,
    sums_interval,
)

LEAST_LABELLED = 20
"""Articles with a label that a correction needs: with fewer, intervals are too narrow."""

_TINY = 1e-12  # below it, a variance is rounding


def corrected_interval(
    labels: Iterable[float],
    values: Iterable[float],
    groups: Iterable,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """Return the mean that the labels would have on all rows, predicted by the values.

    `mean of labels + w (mean of the unlabelled rows' values - mean of the labelled rows' values)`.
    The weight w, from 0 to 1, is measured: 0 if labels and values are uncorrelated or the values
    do not vary, so a judge that says nothing leaves the labels' own mean. Labels must be a random
    sample of the rows or of the articles.

    If all labels are equal, resampling shows no spread. The bounds are then those of the share of
    articles that are like the labelled ones: with 95 % confidence at least 0.05 ** (1 / articles).

    Args:
        labels: (n,), from 0 to 1; null where a row has none.
        values: (n,), from 0 to 1, of every row.
        groups: (n,), articles or patients.

    Returns:
        `n` is the number of labels, `groups` the number of groups with one.

    Raises:
        ValueError: as `mean_interval`; also if no row has a label.
    """
    given, every = as_floats(labels), as_floats(values)
    known = ~np.isnan(given)
    if len(given) != len(every) or not np.isfinite(every).all():
        bad = int((~np.isfinite(every)).sum())
        raise ValueError(f"{len(given)} labels, {len(every)} values, {bad} of them NaN or infinite")
    names = np.asarray(check_groups(groups, len(given)), dtype=object)
    own = mean_interval(given[known], names[known], seed=seed, resamples=1)  # also checks
    if given[known].min() == given[known].max():
        return _bounded(own)
    label = np.where(known, given, 0.0)
    columns = (known, label, every * known, every * label, every**2 * known)
    columns += (~known, every * ~known, every**2 * ~known)
    numbers = [np.asarray(column, dtype=float) for column in columns]
    found = sums_interval(names, numbers, _corrected, n=own.n, seed=seed, resamples=resamples)
    return Interval(found.estimate, found.low, found.high, own.n, own.groups)


def _corrected(sums: np.ndarray) -> np.ndarray:
    """Estimate from sums (R, 8): of labelled rows their number, label, value, value * label and
    value ** 2; of the others their number, value and value ** 2."""
    n, label, value, both, square, others, other, other_square = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        mean, predicted = label / n, value / n
        rows = n + others
        spread = (square + other_square) / rows - ((value + other) / rows) ** 2
        weight = (both / n - mean * predicted) / ((1 + n / others) * spread)
        weight = np.where(spread > _TINY, np.clip(weight, 0, 1), 0.0)
        apart = np.where(others > 0, other / others - predicted, 0.0)
    return mean + np.where(others > 0, weight, 0.0) * apart


def _bounded(own: Interval) -> Interval:
    """Return the bounds of a mean between 0 and 1 of which all labels are equal."""
    alike = 0.05 ** (1 / (own.groups or 1))
    low = alike * own.estimate
    return Interval(own.estimate, low, low + 1 - alike, own.n, own.groups)

"""Intervals for every stage that reports a number.

All intervals are 95 % percentile bootstraps over *groups* (articles or patients). Answers about one
article are correlated, so the bootstrap draws whole groups, never rows. This module sees only
numbers and their groups; it is independent of figures, models and notebooks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

RESAMPLES = 2000
"""Resamples of a percentile interval; another seed moves its bounds by about 2 % of its width."""

FLIPS = 9_999
"""Random flips of a sign-flip test: no p-value is below 1 in 10,000."""

_DRAWS_AT_ONCE = 4_000_000  # cells of one block of resample counts: 32 MB


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval.

    `n` is the number of values (for alpha: responses) and `groups` the number of their groups
    (None: unknown). `low` and `high` are NaN for a single group, which has no spread to resample.
    """

    estimate: float
    low: float
    high: float
    n: int
    groups: int | None = None

    def __str__(self) -> str:
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}], n = {self.n}"

    def metrics(self, name: str) -> dict[str, float]:
        """`{name, name_low, name_high}` for metrics.json, without NaN values."""
        found = {name: self.estimate, f"{name}_low": self.low, f"{name}_high": self.high}
        return {key: value for key, value in found.items() if not math.isnan(value)}


def interval_of(metrics: Mapping[str, float], name: str) -> Interval | None:
    """Return the interval that `Interval.metrics` wrote as `name`, or None if there is none.

    Its `n` is 0. A missing bound is NaN.
    """
    if name not in metrics:
        return None
    low, high = (metrics.get(f"{name}_{end}", math.nan) for end in ("low", "high"))
    return Interval(metrics[name], low, high, 0)


def mean_interval(
    values: Iterable[float], groups: Iterable, *, seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """The mean of `values` (n,), resampled by `groups` (n,).

    With a single group, `low` and `high` are NaN.

    Raises:
        ValueError: no values, unequal lengths, non-finite values or missing groups; the message
            counts them.
    """
    numbers = _numbers("values", values)
    ones = np.ones(len(numbers))
    return ratio_interval(numbers, ones, groups, seed=seed, resamples=resamples)


def difference_interval(
    a: Iterable[float],
    b: Iterable[float],
    groups: Iterable,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """The mean of a - b, where row i of `a` and of `b` (n,) measure the same item.

    Both sides share each resample of groups, so what they have in common cancels. Raises as
    `mean_interval`.
    """
    first, second = _numbers("a", a), _numbers("b", b)
    if len(first) != len(second):
        raise ValueError(f"paired values differ in length: {len(first)} in a, {len(second)} in b")
    return mean_interval(first - second, groups, seed=seed, resamples=resamples)


def ratio_interval(
    numerators: Iterable[float],
    denominators: Iterable[float],
    groups: Iterable,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """sum(numerators) / sum(denominators), both (n,), such as wins over decided comparisons.

    The percentiles leave out resamples whose denominators sum to 0.

    Raises:
        ValueError: as `mean_interval`; also if all denominators sum to 0.
    """
    above, below = _numbers("numerators", numerators), _numbers("denominators", denominators)
    if len(above) != len(below):
        raise ValueError(f"{len(above)} numerators but {len(below)} denominators")
    if below.sum() == 0:
        raise ValueError(f"the {len(below)} denominators sum to 0: there is no ratio to report")
    groups = check_groups(groups, len(above))
    options = {"n": len(above), "seed": seed, "resamples": resamples}
    return sums_interval(groups, (above, below), _quotient, **options)


def share_difference_interval(
    a: Iterable[float],
    a_groups: Iterable,
    b: Iterable[float],
    b_groups: Iterable,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """mean(a) - mean(b) of two unpaired sets, `a` (n,) and `b` (m,).

    Both sets are resampled together: an article in both sets is drawn for both. Resamples that
    leave one side empty are left out. `n` is the number of values on both sides. Raises as
    `mean_interval`.
    """
    first, second = _numbers("a", a), _numbers("b", b)
    in_a = np.r_[np.ones(len(first)), np.zeros(len(second))]
    numbers = np.r_[first, second]
    both = [*check_groups(a_groups, len(first)), *check_groups(b_groups, len(second))]
    columns = (numbers * in_a, in_a, numbers * (1 - in_a), 1 - in_a)
    options = {"n": len(numbers), "seed": seed, "resamples": resamples}

    def difference(sums: np.ndarray) -> np.ndarray:
        return _quotient(sums[:, :2]) - _quotient(sums[:, 2:])

    return sums_interval(both, columns, difference, **options)


def sums_interval(
    groups: Iterable,
    columns: Iterable[np.ndarray],
    statistic: Callable[[np.ndarray], np.ndarray],
    *,
    n: int,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """A statistic of sums over rows, with its bootstrap interval over groups.

    Args:
        groups: the group of each row (n,).
        columns: k arrays (n,), summed over the rows of a resample.
        statistic: sums (R, k) -> values (R,); a value that is not finite is left out.
        n: the number of observations to report.
    """
    several = sums_intervals(
        groups,
        columns,
        lambda sums: statistic(sums)[:, None],
        n=[n],
        seed=seed,
        resamples=resamples,
    )
    return several[0]


def sums_intervals(
    groups: Iterable,
    columns: Iterable[np.ndarray],
    statistics: Callable[[np.ndarray], np.ndarray],
    *,
    n: Sequence[int],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[Interval]:
    """Several statistics of the same sums, as `sums_interval`; all share each resample.

    Args:
        statistics: sums (R, k) -> values (R, m).
        n: the number of observations of each statistic (m,).
    """
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, not {resamples!r}")
    sums = _sums_by_group(groups, *columns)  # (G, k)
    estimates = statistics(sums.sum(axis=0, keepdims=True))[0]
    drawn = np.empty((0, len(estimates)))
    if len(sums) > 1:
        drawn = statistics(_resampled_sums(sums, seed, resamples))  # (R, m)
    found = []
    for estimate, column, count in zip(estimates, drawn.T, n, strict=True):
        column = column[np.isfinite(column)]
        ends = np.quantile(column, [0.025, 0.975]) if len(column) else (math.nan, math.nan)
        found.append(Interval(float(estimate), *map(float, ends), count, len(sums)))
    return found


def sign_flip_test(
    values: np.ndarray, groups: Iterable, *, seed: int = 0, flips: int = FLIPS
) -> np.ndarray:
    """Test whether each column of `values` (n, k) sums to 0: two-sided p-values (k,).

    A randomisation test that flips the sign of whole groups. It is exact, for any spread and any
    number of groups, if a group's sum is as likely as its negative without an effect.
    """
    sums = _sums_by_group(groups, *values.T)  # (G, k)
    observed = np.abs(sums.sum(axis=0)) * (1 - 1e-9)  # equal up to rounding
    rng, as_far = np.random.default_rng(seed), np.zeros(len(observed))
    block = max(1, _DRAWS_AT_ONCE // max(1, len(sums)))
    for start in range(0, flips, block):
        signs = rng.integers(0, 2, (min(block, flips - start), len(sums)), np.int8) * 2.0 - 1
        as_far += (np.abs(signs @ sums) >= observed).sum(axis=0)
    return (1 + as_far) / (1 + flips)


def as_floats(values: Iterable[float]) -> np.ndarray:
    """Return `values` as float64 (n,), with NaN for every null, also pandas' own."""
    column = pd.Series(values if hasattr(values, "__len__") else list(values), dtype="Float64")
    return column.to_numpy(float, na_value=np.nan)


def _numbers(name: str, values: Iterable[float]) -> np.ndarray:
    """Return `values` as float64 (n,); refuse and count null and non-finite values."""
    numbers = as_floats(values)
    if not len(numbers):
        raise ValueError(f"no {name}: an interval needs at least one")
    bad = int((~np.isfinite(numbers)).sum())
    if bad:
        raise ValueError(
            f"{bad} of {len(numbers)} {name} are NaN or infinite: leave them out first and report "
            f"n = {len(numbers) - bad}"
        )
    return numbers


def check_groups(groups: Iterable, length: int) -> list:
    """Return `groups` as a list; refuse another number than `length`, and missing values."""
    found = list(groups)
    if len(found) != length:
        raise ValueError(f"{len(found)} groups for {length} values: every value needs a group")
    missing = int(pd.isna(pd.Series(found, dtype=object)).sum())
    if missing:
        raise ValueError(f"{missing} of {length} values have no group")
    return found


def _sums_by_group(groups: Iterable, *columns: np.ndarray) -> np.ndarray:
    """Sum each column (n,) within its group: (G, number of columns)."""
    codes, names = pd.factorize(np.asarray(list(groups), dtype=object))
    return np.stack([np.bincount(codes, column, len(names)) for column in columns], axis=1)


def _quotient(sums: np.ndarray) -> np.ndarray:
    """Divide the first column of (R, 2) by the second; NaN where the second is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(sums[:, 1] != 0, sums[:, 0] / sums[:, 1], np.nan)


def _resampled_sums(sums: np.ndarray, seed: int, resamples: int) -> np.ndarray:
    """Return sums (resamples, k) over G groups drawn with replacement."""
    rng = np.random.default_rng(seed)
    chances = np.full(len(sums), 1 / len(sums))
    block = max(1, _DRAWS_AT_ONCE // len(sums))
    parts = [
        rng.multinomial(len(sums), chances, size=min(block, resamples - start)) @ sums
        for start in range(0, resamples, block)
    ]
    return np.concatenate(parts)

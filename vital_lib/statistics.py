"""Intervals, agreement, and what a difference says in words, for every stage that reports a number.

All intervals are 95 % percentile bootstraps over *groups* (articles or patients): answers about one
article rise and fall together, so whole groups are drawn, never rows. This module knows nothing of
figures, models or notebooks: it sees numbers and the group that each belongs to.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

RESAMPLES = 2000
"""Resamples of a percentile interval; another seed moves its bounds by about 2 % of its width."""

LEAST_GROUPS = 10
"""Groups that a claim needs: the spread of fewer is hardly known."""

_DRAWS_AT_ONCE = 4_000_000  # cells of one block of resample counts: 32 MB


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval.

    `n` is the number of values (for alpha: of responses) behind it, `groups` the number of groups
    they lie in (None: not known). `low` and `high` are NaN where one group alone gives no spread
    to draw from.
    """

    estimate: float
    low: float
    high: float
    n: int
    groups: int | None = None

    def __str__(self) -> str:
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}], n = {self.n}"

    def metrics(self, name: str) -> dict[str, float]:
        """`{name, name_low, name_high}` for metrics.json; what is NaN is left out, not written."""
        found = {name: self.estimate, f"{name}_low": self.low, f"{name}_high": self.high}
        return {key: value for key, value in found.items() if not math.isnan(value)}


def interval_of(metrics: Mapping[str, float], name: str) -> Interval | None:
    """The interval that `Interval.metrics` wrote as `name`, its n as 0; None where it is not there.

    A bound that is not there is NaN.
    """
    if name not in metrics:
        return None
    low, high = (metrics.get(f"{name}_{end}", math.nan) for end in ("low", "high"))
    return Interval(metrics[name], low, high, 0)


def claim_difference(
    what: str,
    interval: Interval | None,
    *,
    unit: str = "points",
    scale: float = 100,
    words: tuple[str, str] = ("better than", "worse than"),
) -> str:
    """What a difference says, as a sentence that is computed and not chosen.

    "better than random: +4.4 points [1.4, 7.2]" where the whole interval lies above 0, "worse than
    ..." where it lies below, else "not told apart from random: +0.8 points [-1.2, 2.9]".

    Args:
        what: what it is compared with, such as "random" or "the judge's mean of five".
        interval: of the difference to it; None where it was not measured.
        unit, scale: what `scale` times the difference is counted in.
        words: how a higher and a lower value are called, up to `what`.

    Returns:
        The sentence, without a full stop. It makes no claim, and says why, where the interval is
        None or NaN, or lies over fewer than `LEAST_GROUPS` groups.
    """
    if interval is None or math.isnan(interval.estimate):
        return f"no claim against {what}: the difference was not measured"
    number = f"{_signed(scale * interval.estimate)} {unit}"
    if interval.groups is not None and interval.groups < LEAST_GROUPS:
        counted = "1 article" if interval.groups == 1 else f"{interval.groups} articles"
        return f"no claim against {what}: {counted} of the {LEAST_GROUPS} it needs ({number})"
    if math.isnan(interval.low) or math.isnan(interval.high):
        return f"no claim against {what}: {number} without an interval"
    better, worse = words
    told = better if interval.low > 0 else worse if interval.high < 0 else "not told apart from"
    low, high = (_signed(scale * end, plus="") for end in (interval.low, interval.high))
    return f"{told} {what}: {number} [{low}, {high}]"


def _signed(value: float, plus: str = "+") -> str:
    """One digit behind the point, and no minus before a zero."""
    value = round(value, 1) + 0.0
    return f"{value:{plus}.1f}"


def mean_interval(
    values: Iterable[float], groups: Iterable, *, seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """The mean of `values` (n,), drawn anew by `groups` (n,).

    One group alone gives `low` and `high` NaN: its spread cannot be known from itself.

    Raises:
        ValueError: no values, lengths that differ, a value that is not finite, a missing group;
            the message counts them.
    """
    numbers = _numbers("values", values)
    sums = _sums_by_group(_groups(groups, len(numbers)), numbers, np.ones(len(numbers)))
    return _interval(sums, _quotient, n=len(numbers), seed=seed, resamples=resamples)


def difference_interval(
    a: Iterable[float],
    b: Iterable[float],
    groups: Iterable,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """The mean of a - b where row i of `a` and of `b` (n,) is the same thing measured twice.

    Both sides see the same draw of groups, so what they share cancels. Raises as `mean_interval`.
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
    """sum(numerators) / sum(denominators), both (n,); such as wins over decided comparisons.

    A resample whose denominators sum to 0 has no ratio and is left out of the percentiles.

    Raises:
        ValueError: as `mean_interval`; also where all denominators sum to 0.
    """
    above, below = _numbers("numerators", numerators), _numbers("denominators", denominators)
    if len(above) != len(below):
        raise ValueError(f"{len(above)} numerators but {len(below)} denominators")
    if below.sum() == 0:
        raise ValueError(f"the {len(below)} denominators sum to 0: there is no ratio to report")
    sums = _sums_by_group(_groups(groups, len(above)), above, below)
    return _interval(sums, _quotient, n=len(above), seed=seed, resamples=resamples)


def share_difference_interval(
    a: Iterable[float],
    a_groups: Iterable,
    b: Iterable[float],
    b_groups: Iterable,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """mean(a) - mean(b) of two sets whose rows are not the same things, `a` (n,) and `b` (m,).

    Groups of both sets are drawn together: an article that stands in both is drawn for both, one
    that stands in one only for that one. A resample that leaves a side empty is left out. `n` is
    the number of values on both sides. Raises as `mean_interval`.
    """
    first, second = _numbers("a", a), _numbers("b", b)
    in_a = np.r_[np.ones(len(first)), np.zeros(len(second))]
    numbers = np.r_[first, second]
    both = [*_groups(a_groups, len(first)), *_groups(b_groups, len(second))]
    sums = _sums_by_group(both, numbers * in_a, in_a, numbers * (1 - in_a), 1 - in_a)
    return _interval(
        sums,
        lambda drawn: _quotient(drawn[:, :2]) - _quotient(drawn[:, 2:]),
        n=len(numbers),
        seed=seed,
        resamples=resamples,
    )


def alpha_interval(
    preferences: pd.DataFrame,
    groups: Iterable,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """Krippendorff's alpha (nominal) of the annotators' ticks and crosses.

    A unit is one response (the candidate, on whichever side it stood); the annotators are its
    coders; a skip is a missing value. `n` is the number of responses that two or more judged.
    Where every tick is the same there is nothing to disagree about: alpha is NaN.

    Args:
        preferences: item_id, annotator, left_id, right_id, left_accepted, right_accepted.
        groups: the group of each row of `preferences`.

    Raises:
        ValueError: no rows, a missing group, one annotator twice on a response, or no response
            that two annotators judged.
    """
    ticks = _ticks(preferences, groups)
    units = ticks.groupby(["group", "item_id", "candidate_id"], sort=False)["accepted"]
    units = units.agg(["sum", "size"]).reset_index()
    units = units[units["size"] > 1]  # a response judged once says nothing of agreement
    if units.empty:
        raise ValueError(
            f"agreement needs responses that two annotators judged: {len(ticks)} ticks by "
            f"{ticks['annotator'].nunique()} annotators share none"
        )
    ticked = units["sum"].to_numpy(float)
    crossed = units["size"].to_numpy(float) - ticked
    mismatches = ticked * crossed / (ticked + crossed - 1)
    sums = _sums_by_group(units["group"], mismatches, ticked, crossed)
    return _interval(sums, _alpha, n=len(units), seed=seed, resamples=resamples)


def _alpha(sums: np.ndarray) -> np.ndarray:
    """Nominal alpha of two values from sums (R, 3): coincidences of unlike ticks, ticks, crosses.

    1 - (n - 1) o_01 / (n_0 n_1), Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability".
    """
    mismatches, ticked, crossed = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        alpha = 1 - (ticked + crossed - 1) * mismatches / (ticked * crossed)
    return np.where(ticked * crossed > 0, alpha, np.nan)


def _ticks(preferences: pd.DataFrame, groups: Iterable) -> pd.DataFrame:
    """One row per tick or cross: group, item_id, annotator, candidate_id, accepted (0 or 1)."""
    if not len(preferences):
        raise ValueError("no preferences: label some in notebooks/03_label_preferences.ipynb")
    rows = preferences.assign(group=_groups(groups, len(preferences)))
    sides = [
        rows[["group", "item_id", "annotator", f"{side}_id", f"{side}_accepted"]].set_axis(
            ["group", "item_id", "annotator", "candidate_id", "accepted"], axis=1
        )
        for side in ("left", "right")
    ]
    ticks = pd.concat(sides).dropna(subset="accepted")
    twice = ticks[ticks.duplicated(["item_id", "candidate_id", "annotator"])]
    if len(twice):
        row = twice.iloc[0]
        raise ValueError(
            f"{len(twice)} responses judged twice by one annotator, first {row['candidate_id']!r} "
            f"by {row['annotator']!r}: give the log's preferences(), not its history()"
        )
    return ticks.assign(accepted=ticks["accepted"].astype(float))


def _numbers(name: str, values: Iterable[float]) -> np.ndarray:
    """`values` as float64 (n,), with null and non-finite ones refused by count."""
    column = pd.Series(values if hasattr(values, "__len__") else list(values))
    if not len(column):
        raise ValueError(f"no {name}: an interval needs at least one")
    numbers = column.astype("Float64").to_numpy(float, na_value=np.nan)
    bad = int((~np.isfinite(numbers)).sum())
    if bad:
        raise ValueError(
            f"{bad} of {len(numbers)} {name} are NaN or infinite: leave them out first and report "
            f"n = {len(numbers) - bad}"
        )
    return numbers


def _groups(groups: Iterable, length: int) -> list:
    found = list(groups)
    if len(found) != length:
        raise ValueError(f"{len(found)} groups for {length} values: every value needs its group")
    missing = int(pd.isna(pd.Series(found, dtype=object)).sum())
    if missing:
        raise ValueError(f"{missing} of {length} values have no group")
    return found


def _sums_by_group(groups: Iterable, *columns: np.ndarray) -> np.ndarray:
    """Each column (n,) summed within its group: (G, number of columns)."""
    codes, names = pd.factorize(np.asarray(list(groups), dtype=object))
    return np.stack([np.bincount(codes, column, len(names)) for column in columns], axis=1)


def _quotient(sums: np.ndarray) -> np.ndarray:
    """First over second column of (R, 2); NaN where the second is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(sums[:, 1] != 0, sums[:, 0] / sums[:, 1], np.nan)


def _interval(sums: np.ndarray, statistic, *, n: int, seed: int, resamples: int) -> Interval:
    """`statistic` of the sums (G, k) over all groups, and its 2.5 and 97.5 % points by resample."""
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, not {resamples!r}")
    estimate = float(statistic(sums.sum(axis=0, keepdims=True))[0])
    if len(sums) < 2:
        return Interval(estimate, math.nan, math.nan, n, len(sums))
    drawn = statistic(_resampled_sums(sums, seed, resamples))
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return Interval(estimate, math.nan, math.nan, n, len(sums))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(estimate, float(low), float(high), n, len(sums))


def _resampled_sums(sums: np.ndarray, seed: int, resamples: int) -> np.ndarray:
    """(resamples, k): the sums over as many groups as there are, drawn with replacement."""
    rng = np.random.default_rng(seed)
    chances = np.full(len(sums), 1 / len(sums))
    block = max(1, _DRAWS_AT_ONCE // len(sums))
    parts = [
        rng.multinomial(len(sums), chances, size=min(block, resamples - start)) @ sums
        for start in range(0, resamples, block)
    ]
    return np.concatenate(parts)

"""Several comparisons at once, and the sample that a difference needs.

Both start from a 95 % interval, as `metrics.json` keeps it: no rows are needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import NormalDist

import numpy as np

from vital_lib.statistics.intervals import Interval

POWER = 0.8
"""Chance of finding a difference that is there, for which `times_needed` plans."""

_NORMAL = NormalDist()
_BOUND = _NORMAL.inv_cdf(0.975)  # standard errors between an estimate and its bound


def p_value(interval: Interval) -> float:
    """Return the two-sided p-value of a difference from 0, as its interval implies it.

    The bound that faces 0 is 1.96 standard errors from the estimate. So p < 0.05 exactly if the
    interval lies on one side of 0. NaN without an interval.
    """
    estimate, low, high = interval.estimate, interval.low, interval.high
    if any(map(math.isnan, (estimate, low, high))):
        return math.nan
    if estimate == 0:
        return 1.0
    reach = estimate - low if estimate > 0 else high - estimate
    return 2 * _NORMAL.cdf(-_BOUND * abs(estimate) / reach) if reach > 0 else 0.0


def adjusted_p_values(p_values: Iterable[float]) -> np.ndarray:
    """Adjust p-values (n,) for their number by Holm's step-down method (Holm 1979).

    Among all the comparisons, the chance of any false "p < 0.05" is then at most 5 %, however they
    depend on one another. NaN is no comparison and stays NaN.
    """
    given = np.asarray(list(p_values), dtype=float)
    known = np.flatnonzero(~np.isnan(given))
    order = known[np.argsort(given[known], kind="stable")]
    steps = given[order] * np.arange(len(order), 0, -1)
    adjusted = given.copy()
    adjusted[order] = np.minimum(1, np.maximum.accumulate(steps))
    return adjusted


def times_needed(interval: Interval, difference: float, *, power: float = POWER) -> float:
    """Return how many times this sample would show a `difference` with the given power.

    Multiply the number of questions and of articles by it. Both grow together, so the design
    effect stays as measured: the interval is one over articles and contains it.

    Args:
        interval: of a mean or difference measured on this sample.
        difference: to be found at the 5 % level (two-sided), in the interval's unit.

    Raises:
        ValueError: a difference of 0, or a power that is not between 0 and 1.
    """
    if not difference or not 0 < power < 1:
        raise ValueError(
            f"difference {difference!r}, power {power!r}: give a difference other than 0 and a "
            "power between 0 and 1"
        )
    error = (interval.high - interval.low) / (2 * _BOUND)
    return ((_BOUND + _NORMAL.inv_cdf(power)) * error / difference) ** 2

"""Differences in words: sentences that an interval determines."""

from __future__ import annotations

import math

from vital_lib.statistics.intervals import Interval

LEAST_GROUPS = 10
"""Groups that a claim needs: fewer give no reliable estimate of the spread."""


def claim_difference(
    what: str,
    interval: Interval | None,
    *,
    unit: str = "points",
    scale: float = 100,
    words: tuple[str, str] = ("better than", "worse than"),
) -> str:
    """Describe a difference in a sentence that its interval determines.

    "better than random: +4.4 points [1.4, 7.2]" if the interval lies above 0, "worse than ..." if
    it lies below, else "no clear difference from random: +0.8 points [-1.2, 2.9]".

    Args:
        what: the baseline, such as "random" or "the mean of five judge ratings".
        interval: of the difference from the baseline; None if it was not measured.
        unit, scale: the unit in which `scale` times the difference is given.
        words: the words before `what` for a higher and for a lower value.

    Returns:
        The sentence, without a full stop. It compares nothing, and states why, if the interval is
        None or NaN or covers fewer than `LEAST_GROUPS` groups.
    """
    if interval is None or math.isnan(interval.estimate):
        return f"no comparison with {what}: the difference was not measured"
    number = f"{_signed(scale * interval.estimate)} {unit}"
    if interval.groups is not None and interval.groups < LEAST_GROUPS:
        counted = "1 article" if interval.groups == 1 else f"{interval.groups} articles"
        return f"no comparison with {what}: {counted}, {LEAST_GROUPS} needed ({number})"
    if math.isnan(interval.low) or math.isnan(interval.high):
        return f"no comparison with {what}: {number} without an interval"
    better, worse = words
    verdict = (
        better if interval.low > 0 else worse if interval.high < 0 else "no clear difference from"
    )
    low, high = (_signed(scale * end, plus="") for end in (interval.low, interval.high))
    return f"{verdict} {what}: {number} [{low}, {high}]"


def _signed(value: float, plus: str = "+") -> str:
    """Format with one decimal and a minus sign, and zero without one."""
    value = round(value, 1) + 0.0
    return f"{value:{plus}.1f}".replace("-", "−")

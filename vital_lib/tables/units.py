"""Units of metrics, and a metric's value and interval as text in its unit."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

_MOST_DIGITS = 6  # a value that these digits show as 0 is rounding error
_LARGEST = 1e15  # from here on, floating-point numbers have no unit digit


@dataclass(frozen=True)
class Unit:
    """A unit of metrics.

    Attributes:
        name: as written after the number; empty for a plain number or a count.
        scale: the factor from the recorded number to the unit.
        digits: digits after the point; None for as many as a count needs.
        signed: whether a positive number has a plus, as a difference has.
    """

    name: str = ""
    scale: float = 1
    digits: int | None = 1
    signed: bool = False

    def text(self, value: float) -> str:
        """Return `value` with its unit, such as "85.6 %" or "1,012"; "no value" for NaN."""
        if math.isnan(value):
            return "no value"
        return f"{self._number(value)} {self.name}".strip()

    def interval(self, low: float, high: float) -> str:
        """Return an interval, such as "[82.1, 88.9]"; empty if an end is missing."""
        if math.isnan(low) or math.isnan(high):
            return ""
        return f"[{self._number(low, plus='')}, {self._number(high, plus='')}]"

    @property
    def difference(self) -> Unit:
        """The unit of a difference of two such values."""
        return replace(self, name="points" if self.name == "%" else self.name, signed=True)

    def _number(self, value: float, plus: str = "+") -> str:
        number = self.scale * value
        sign = plus if self.signed and number else ""
        if math.isinf(number):
            return f"{number:{sign}}".replace("-", "−").replace("inf", "∞")
        if abs(number) >= _LARGEST:
            return f"{number:{sign}.3g}".replace("-", "−")
        digits = self.digits
        if digits is None:
            digits = 0 if number == round(number) else 1
        if 0 < abs(number) < 0.5 * 10**-digits:  # a small rate is not shown as 0
            digits = min(_MOST_DIGITS, -math.floor(math.log10(abs(number))))
        rounded = round(number, digits) + 0.0  # without the minus of −0
        sign = plus if self.signed and rounded else ""
        return f"{rounded:{sign},.{digits}f}".replace("-", "−")


def decimals(value: Any, digits: int, sign: str = "") -> str:
    """Return a number as text; null is empty.

    Args:
        sign: "+" to mark numbers above 0, too.
    """
    return "" if pd.isna(value) else f"{value:{sign}z.{digits}f}".replace("-", "−")


UNITS = {
    "share": Unit("%", scale=100),  # recorded from 0 to 1
    "share difference": Unit("points", scale=100, signed=True),
    "percent": Unit("%"),  # recorded in percent
    "percent change": Unit("%", signed=True),
    "points": Unit("points", signed=True),  # recorded in points of 100
    "rating": Unit("rating points", digits=2),  # of the scale from 0 to 10
    "count": Unit(digits=None),
    "number": Unit(digits=3),
    "USD": Unit("USD", digits=2),
    "seconds": Unit("s", digits=None),
}
"""The units by their names in `metrics.csv`."""

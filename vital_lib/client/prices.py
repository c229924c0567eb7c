"""Model prices and image token rules, one line per model in an editable table.

``prices.csv``, next to this module, has US dollars per million tokens and the date of the price. A
user's own table overrides it line by line. Each line also names the provider's published rule for
counting image tokens:

- ``tiles BASE EACH``: the image is fitted into 2048 x 2048 pixels, then its shorter side is scaled
  to 768; BASE tokens plus EACH per 512 x 512 tile, partial tiles included (OpenAI, "Images and
  vision", high detail);
- ``patches FACTOR MOST``: the image is scaled down until at most MOST patches of 32 x 32 cover it;
  FACTOR tokens per patch, partial patches included (OpenAI, same page, the smaller models);
- ``low TOKENS``: the image is sent at 512 pixels with low detail; TOKENS at any size;
- ``side PIXELS TOKENS``: the longer side is at most PIXELS; TOKENS per image; for free models.

This module does not depend on prompts, ledgers or networks.
"""

from __future__ import annotations

import contextlib
import csv
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from vital_lib.records import read_text

TABLE = Path(__file__).with_name("prices.csv")
"""The price table included in this package."""

_USD = ("usd_per_million_in", "usd_per_million_out")
_NUMBERS = {"tiles": 2, "patches": 2, "low": 1, "side": 2}
_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")  # as in gpt-4.1-2025-04-14


class UnknownPrice(ValueError):
    """The price table has no line for this model; the message shows the line to add."""


@dataclass(frozen=True)
class ImageRule:
    """A provider's rule for scaling images and counting their tokens.

    Args:
        kind: tiles, patches, low or side; see the module.
        numbers: the numbers of that kind, in order.
    """

    kind: str
    numbers: tuple[float, ...]

    @classmethod
    def read(cls, text: str) -> ImageRule:
        """Parse a rule in the price table's notation, such as "tiles 85 170"."""
        kind, *numbers = text.split() or [""]
        with contextlib.suppress(ValueError):
            rule = cls(kind, tuple(map(float, numbers)))
            if _NUMBERS.get(kind) == len(numbers) and all(0 < n < math.inf for n in rule.numbers):
                return rule
        raise ValueError(
            f"image_tokens is {text!r}; write 'tiles BASE EACH', 'patches FACTOR MOST', "
            "'low TOKENS' or 'side PIXELS TOKENS', with numbers above 0"
        )

    def __str__(self) -> str:
        return " ".join([self.kind, *(f"{number:g}" for number in self.numbers)])

    @property
    def detail(self) -> str | None:
        """The image's `detail` field; None omits the field."""
        return {"side": None, "low": "low"}.get(self.kind, "high")

    def fit(self, width: int, height: int) -> tuple[int, int]:
        """Return the width and height to send; the provider would scale larger images down."""
        if self.kind == "patches":
            scale = _patch_scale(width, height, self.numbers[1])
        elif self.kind == "tiles":
            scale = min(1.0, 2048 / max(width, height))
            scale *= min(1.0, 768 / (min(width, height) * scale))
        else:
            side = 512 if self.kind == "low" else self.numbers[0]
            scale = min(1.0, side / max(width, height))
        return max(1, round(width * scale)), max(1, round(height * scale))

    def tokens(self, width: int, height: int) -> int:
        """Return the tokens charged for an image of `width` x `height` pixels."""
        wide, high = self.fit(width, height)
        if self.kind == "tiles":
            return int(self.numbers[0] + self.numbers[1] * _cells(wide, high, 512))
        if self.kind == "patches":
            return math.ceil(self.numbers[0] * _cells(wide, high, 32))
        return int(self.numbers[-1])


@dataclass(frozen=True)
class Price:
    """A line of the price table.

    Raises:
        ValueError: a price is negative or not a number, or a date or rule cannot be parsed.
    """

    model: str
    usd_per_million_in: float
    usd_per_million_out: float
    image_tokens: str
    as_of: str

    def __post_init__(self) -> None:
        for name in _USD:
            value = float(getattr(self, name))
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} is {value!r}; give US dollars, 0 or more")
            object.__setattr__(self, name, value)
        if self.as_of:
            date.fromisoformat(self.as_of)
        ImageRule.read(self.image_tokens)

    @property
    def images(self) -> ImageRule:
        """The model's image rule."""
        return ImageRule.read(self.image_tokens)

    def usd(self, tokens_in: float, tokens_out: float) -> float:
        """Return the cost of these tokens in US dollars."""
        return (tokens_in * self.usd_per_million_in + tokens_out * self.usd_per_million_out) / 1e6

    def in_batch(self) -> Price:
        """Return the price of requests in batches: half, as OpenAI and Azure state it."""
        halves = {name: getattr(self, name) / 2 for name in _USD}
        return replace(self, **halves)


def nothing(model: str) -> Price:
    """Return the price of a free model, with the embedded model's image rule."""
    return Price(model, 0.0, 0.0, "side 768 85", "")


def price_of(model: str, own: Path | None = None) -> Price:
    """Return the line of a model; for a dated snapshot without a line, that of its base model.

    Args:
        own: a table like ``prices.csv`` whose lines override it.

    Raises:
        UnknownPrice: there is no such line.
        ValueError: a line cannot be parsed; the message names the file and line.
    """
    tables = [table for table in (own, TABLE) if table is not None]
    lines = {price.model: price for table in reversed(tables) for price in _read(Path(table))}
    found = lines.get(model) or lines.get(_SNAPSHOT.sub("", model))
    if found is None:
        today = datetime.now(UTC).date().isoformat()
        raise UnknownPrice(
            f"model {model!r} has no price. Add a line to {tables[0]} with the US dollars per "
            "million tokens in and out and the image rule, both from its provider's page, such "
            f"as\n{model},2.50,10.00,tiles 85 170,{today}\n"
            "or pass local=True if it costs nothing."
        )
    return found


def _read(table: Path) -> Iterable[Price]:
    columns = [column.name for column in fields(Price)]
    rows = csv.DictReader(read_text(table).splitlines(), skipinitialspace=True)
    if rows.fieldnames != columns:
        raise ValueError(f"{table}: its first line must be {','.join(columns)}")
    for row in rows:
        try:
            yield Price(**dict[str, Any](row))  # its fields turn the text into numbers
        except (TypeError, ValueError) as error:
            raise ValueError(f"{table}, line {rows.line_num}: {error}") from None


def _cells(width: int, height: int, side: int) -> int:
    """Return the number of squares of `side` pixels that cover an image."""
    return math.ceil(width / side) * math.ceil(height / side)


def _patch_scale(width: int, height: int, most: float) -> float:
    """Return the scale at which at most `most` patches of 32 pixels cover an image."""
    if _cells(width, height, 32) <= most:
        return 1.0
    scale = math.sqrt(most * 32**2 / (width * height))
    wide, high = width * scale / 32, height * scale / 32
    return scale * min(math.floor(wide) / wide, math.floor(high) / high)

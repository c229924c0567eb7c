"""What a model costs and how it counts images: a line each of a table that anyone can edit.

The table beside this module, ``prices.csv``, has US dollars per million tokens with the day they
were looked up; lines of a file of the user's own go before it. How images count is the provider's
published rule, named in the same line:

- ``tiles BASE EACH``: fitted into 2048 x 2048 pixels, then the shorter side to 768; EACH for every
  tile of 512 x 512 begun, and BASE (OpenAI, "Images and vision", high detail);
- ``patches FACTOR MOST``: FACTOR for every patch of 32 x 32 begun, the image being scaled down
  until at most MOST patches cover it (OpenAI, same page, the smaller models);
- ``low TOKENS``: sent at 512 pixels and with low detail, TOKENS whatever its size;
- ``side PIXELS TOKENS``: no side longer than PIXELS, TOKENS each; for what is not charged.

Knows nothing of prompts, ledgers or networks.
"""

from __future__ import annotations

import contextlib
import csv
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from pathlib import Path

TABLE = Path(__file__).with_name("prices.csv")
"""The table that comes with this package."""

_NUMBERS = {"tiles": 2, "patches": 2, "low": 1, "side": 2}
_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")  # as in gpt-4.1-2025-04-14


class UnknownPrice(ValueError):
    """No line of the price table is about this model; shows the line to add."""


@dataclass(frozen=True)
class ImageRule:
    """How a provider scales and counts an image.

    Args:
        kind: tiles, patches, low or side: see the module.
        numbers: what the kind takes, in its order.
    """

    kind: str
    numbers: tuple[float, ...]

    @classmethod
    def read(cls, text: str) -> ImageRule:
        """The rule as the price table words it, such as "tiles 85 170"."""
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
        """What to send as the image's `detail`; None is to leave it out."""
        return {"side": None, "low": "low"}.get(self.kind, "high")

    def fit(self, width: int, height: int) -> tuple[int, int]:
        """Width and height worth sending: beyond them the provider scales down itself."""
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
        """Tokens that an image of `width` x `height` pixels counts as."""
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
        ValueError: a price below zero or not a number, a date or a rule that cannot be read.
    """

    model: str
    usd_per_million_in: float
    usd_per_million_out: float
    image_tokens: str
    as_of: str

    def __post_init__(self) -> None:
        for name in ("usd_per_million_in", "usd_per_million_out"):
            value = float(getattr(self, name))
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} is {value!r}; give US dollars, 0 or more")
            object.__setattr__(self, name, value)
        if self.as_of:
            date.fromisoformat(self.as_of)
        ImageRule.read(self.image_tokens)

    @property
    def images(self) -> ImageRule:
        """How the model counts images."""
        return ImageRule.read(self.image_tokens)

    def usd(self, tokens_in: float, tokens_out: float) -> float:
        """What so many tokens cost."""
        return (tokens_in * self.usd_per_million_in + tokens_out * self.usd_per_million_out) / 1e6


def nothing(model: str) -> Price:
    """The price of a model that is not charged for; images as the embedded one counts them."""
    return Price(model, 0.0, 0.0, "side 768 85", "")


def price_of(model: str, own: Path | None = None) -> Price:
    """The line of a model, or of the model that it is a dated snapshot of.

    Args:
        own: a table like ``prices.csv`` whose lines go before that one's.

    Raises:
        UnknownPrice: there is no such line.
        ValueError: a line cannot be read; names the file and the line.
    """
    tables = [table for table in (own, TABLE) if table is not None]
    lines = {price.model: price for table in reversed(tables) for price in _read(Path(table))}
    found = lines.get(model) or lines.get(_SNAPSHOT.sub("", model))
    if found is None:
        today = datetime.now(UTC).date().isoformat()
        raise UnknownPrice(
            f"no price is known for model {model!r}. Add a line to {tables[0]}, with the US "
            "dollars per million tokens in and out of its provider's page and how it counts "
            f"images, such as\n{model},2.50,10.00,tiles 85 170,{today}\n"
            "or pass local=True if it costs nothing."
        )
    return found


def _read(table: Path) -> Iterable[Price]:
    columns = [column.name for column in fields(Price)]
    with table.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file, skipinitialspace=True)
        if rows.fieldnames != columns:
            raise ValueError(f"{table}: its first line must be {','.join(columns)}")
        for row in rows:
            try:
                yield Price(**row)
            except (TypeError, ValueError) as error:
                raise ValueError(f"{table}, line {rows.line_num}: {error}") from None


def _cells(width: int, height: int, side: int) -> int:
    """Squares of `side` pixels that it takes to cover an image."""
    return math.ceil(width / side) * math.ceil(height / side)


def _patch_scale(width: int, height: int, most: float) -> float:
    """The scale at which at most so many patches of 32 pixels cover an image whole."""
    if _cells(width, height, 32) <= most:
        return 1.0
    scale = math.sqrt(most * 32**2 / (width * height))
    wide, high = width * scale / 32, height * scale / 32
    return scale * min(math.floor(wide) / wide, math.floor(high) / high)

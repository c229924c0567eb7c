"""Turns the 16-bit greys of a PNG into shades: the rescale first, then a window.

What a PNG cannot say (slope, intercept, windows) lies in a JSON file beside it, which names the
PNG by its hash. Other code, and the preference card in the browser, compute the same shades by the
same formulas (PS3.3 C.11.2.1). This module needs numpy alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

LEVELS = 65_536
"""Greys that 16 bits hold."""

FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID", "TABLE")
_LARGEST = 4_000_000  # bytes of the JSON file: windows with some tables of 65,536 entries


@dataclass(frozen=True)
class Window:
    """Which values are shown from black to white.

    Args:
        name: such as "LUNG" or "window 2".
        centre, width: in rescaled values, such as HU.
        function: one of `FUNCTIONS`. "TABLE" looks a value up: `table` holds shades from 0 to
            65,535 for the whole values from `first` on, and the ends beyond them.
    """

    name: str
    centre: float
    width: float
    function: str = "LINEAR"
    first: int = 0
    table: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        least = 1 if self.function == "LINEAR" else 0
        numbers = (self.centre, self.width, *self.table[:1])
        if self.function not in FUNCTIONS or not all(map(math.isfinite, numbers)):
            raise ValueError(f"no such window: {self.function!r}, {self.centre} / {self.width}")
        if self.width < least or self.width == 0 or (self.function == "TABLE") != bool(self.table):
            raise ValueError(f"a {self.function} window of width {self.width} shows nothing")

    def shares(self, values: np.ndarray) -> np.ndarray:
        """Return where rescaled values lie between black (0.0) and white (1.0)."""
        values = np.asarray(values, np.float64)
        if self.function == "TABLE":
            places = np.floor(values + 0.5) - self.first
            table = np.asarray(self.table, np.float64) / (LEVELS - 1)
            return table[np.clip(places, 0, len(table) - 1).astype(np.int64)]
        if self.function == "SIGMOID":
            exponent = np.clip(-4 * (values - self.centre) / self.width, -700, 700)
            return 1 / (1 + np.exp(exponent))
        linear = self.function == "LINEAR"
        centre, width = self.centre - 0.5 * linear, self.width - linear
        if width == 0:
            return (values > centre).astype(np.float64)
        return np.clip((values - centre) / width + 0.5, 0, 1)


@dataclass(frozen=True)
class Greys:
    """How the stored greys of one PNG are shown.

    Args:
        slope, intercept: value = slope * grey + intercept.
        windows: at least one; the first is shown unless another is chosen.
        inverted: whether low values are white (MONOCHROME1).
        unit: of the values, such as "HU"; "" if it is not known.
    """

    slope: float
    intercept: float
    windows: tuple[Window, ...]
    inverted: bool = False
    unit: str = ""

    def __post_init__(self) -> None:
        if not (self.windows and math.isfinite(self.slope) and math.isfinite(self.intercept)):
            raise ValueError(f"wanted windows and finite numbers, received {self.slope!r}")

    def values(self, greys: np.ndarray) -> np.ndarray:
        """Return the rescaled values of stored greys, as float64."""
        return self.slope * np.asarray(greys, np.float64) + self.intercept

    def shades(self, window: Window | None = None) -> np.ndarray:
        """Return the shade (0 to 255, uint8) of each of the 65,536 greys in a window."""
        shares = (window or self.windows[0]).shares(self.values(np.arange(LEVELS)))
        return np.floor(255 * (1 - shares if self.inverted else shares) + 0.5).astype(np.uint8)

    def black_in(self, stored: np.ndarray) -> int:
        """Return the grey that is darkest in all windows together, near those of a picture.

        Args:
            stored: the picture's greys, uint16. The one returned lies among them if one of them is
                as dark as any, so that the picture's range does not grow.
        """
        shades = np.stack([self.shades(window) for window in self.windows]).sum(0, dtype=np.int64)
        darkest = np.flatnonzero(shades == shades.min())
        beyond = np.abs(darkest - darkest.clip(stored.min(), stored.max()))
        nearest = darkest[beyond == beyond.min()]
        return int(nearest[0] if shades[0] <= shades[-1] else nearest[-1])

    def note(self) -> str:
        """Return in words what is shown, for the notes of an image."""
        first, unit = self.windows[0], f" {self.unit}" if self.unit else ""
        others = f", the first of {len(self.windows)} windows" if len(self.windows) > 1 else ""
        turned = ", low values white" if self.inverted else ""
        return (
            f"shown in the window {first.name!r}: centre {first.centre:g}, width {first.width:g}"
            f"{unit} ({first.function.lower()}){others}{turned}"
        )


def greys_file(png: Path) -> Path:
    """Return the path of the JSON file beside a PNG."""
    return png.with_suffix(".greys.json")


def beside(png: Path, sha256: str) -> dict[str, Any]:
    """Return what the JSON file beside a PNG says: sha256, greys, kept and tiles.

    It is empty without a file of JSON that names the PNG's hash.
    """
    file = greys_file(png)
    try:
        if file.stat().st_size > _LARGEST:
            return {}
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    named = isinstance(found, dict) and found.get("sha256") == sha256
    return found if named else {}


def greys_beside(png: Path, sha256: str) -> Greys | None:
    """Return how a PNG is shown; None without a valid JSON file that names the PNG's hash."""
    try:
        given = beside(png, sha256)["greys"]
        windows = [_window(window) for window in given["windows"]]
        return Greys(
            float(given["slope"]),
            float(given["intercept"]),
            tuple(windows),
            bool(given["inverted"]),
            str(given["unit"]),
        )
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def _window(given: Mapping[str, Any]) -> Window:
    return Window(
        str(given["name"]),
        float(given["centre"]),
        float(given["width"]),
        str(given["function"]),
        int(given["first"]),
        tuple(int(entry) for entry in given["table"]),
    )

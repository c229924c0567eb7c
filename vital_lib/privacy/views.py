"""The pictures in which people may see a figure: greys of 16 bits have one for each window.

On a card, people set level and width as they like. So whatever is searched for, by a person or by
a program, is looked for in the whole range as well, and with the shades spread over the greys that
occur: then the faintest difference can be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
from PIL import Image

from vital_lib.dicom import Greys, Window
from vital_lib.dicom.windows import LEVELS
from vital_lib.figures import FigureImage

_ALIKE = 16  # shades by which two pictures differ at most that are shown as one


class View(NamedTuple):
    """A picture's name, and a function that makes it: RGB, of the figure's size."""

    name: str
    picture: Callable[[], Image.Image]


def views_of(image: FigureImage) -> list[View]:
    """Return the pictures in which a figure may be seen, first as models see it.

    Raises:
        UnreadableImage: the file has changed since it was opened.
    """
    found = image.stored_greys(max(image.width, image.height))
    if found is None:
        return [View("as shown", image.pixels)]
    stored, greys = found
    counts = np.bincount(stored.ravel(), minlength=LEVELS)
    shown: list[np.ndarray] = []
    views = []
    for name, shades in _shades(counts, greys):
        own = shades[counts > 0].astype(int)
        if all(np.abs(own - other).max() > _ALIKE for other in shown):
            shown.append(own)
            views.append(View(name, partial(_picture, stored, shades)))
    return views


def _picture(stored: np.ndarray, shades: np.ndarray) -> Image.Image:
    return Image.fromarray(shades[stored]).convert("RGB")


def _shades(counts: np.ndarray, greys: Greys) -> Iterator[tuple[str, np.ndarray]]:
    """Yield names, and the shade of each of the 65,536 greys, uint8."""
    for window in greys.windows:
        yield window.name, greys.shades(window)
    low, high = sorted(greys.values(np.flatnonzero(counts)[[0, -1]]))
    if low < high:
        whole = Window("whole range", (low + high) / 2, high - low, "LINEAR_EXACT")
        yield whole.name, greys.shades(whole)
        below = np.cumsum(counts) - counts / 2
        yield "shades spread", np.floor(255 * below / counts.sum()).astype(np.uint8)

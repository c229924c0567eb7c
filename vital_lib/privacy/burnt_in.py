"""Finds text that is burnt into an image, by optical character recognition, with its place.

The recogniser is RapidOCR with the models in its package, an extra: nothing is downloaded and
nothing leaves. Small, faint or rotated text may be missed.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from vital_lib.figures import FigureImage
from vital_lib.privacy.views import views_of

_NO_TEXT = re.compile(r"[\W_]*\w?[\W_]*")  # one character: a side marker, or a bone
_SURE = 0.5  # lowest confidence of a text
_LEAST_SIDE = 640  # smaller images are enlarged: characters below 10 pixels are not recognised
_MOST_TIMES = 4
_MOST_OF_IT = 0.9  # of a box, within another


class Box(NamedTuple):
    """A part of an image: its left upper corner and its size, in pixels of the image as shown."""

    x: int
    y: int
    width: int
    height: int


class BurntIn(NamedTuple):
    """A text in an image, and where it is."""

    text: str
    box: Box


def find_burnt_in(image: FigureImage) -> list[BurntIn]:
    """Return the texts in an image, from top to bottom.

    A single character, such as the markers L and R, is no text, because the shapes of bones and
    vessels are often taken for one. A name of one character is therefore missed.

    Greys of 16 bits are searched in each window, in their whole range, and with their shades spread
    (`views_of`). A text that is found in several of these is returned once.

    Raises:
        ImportError: RapidOCR is not installed.
        UnreadableImage: the file has changed since it was opened.
    """
    recognise, texts = _recogniser(), []
    for view in views_of(image):
        more = _texts_in(view.picture(), recognise)
        texts += [one for one in more if not any(_covers(known.box, one.box) for known in texts)]
    return sorted(texts, key=lambda one: (one.box.y, one.box.x))


def _texts_in(picture: Image.Image, recognise: Any) -> list[BurntIn]:
    width, height = picture.size
    times = min(_MOST_TIMES, -(-_LEAST_SIDE // max(width, height)))
    if times > 1:
        picture = picture.resize((width * times, height * times))
    found, _ = recognise(np.asarray(picture)[:, :, ::-1])  # as BGR
    return [
        BurntIn(text.strip(), _box(corners, times, width, height))
        for corners, text, sure in found or ()
        if float(sure) >= _SURE and not _NO_TEXT.fullmatch(text.strip())
    ]


def _covers(known: Box, other: Box) -> bool:
    """Return whether a box covers most of another."""
    right = min(known.x + known.width, other.x + other.width)
    bottom = min(known.y + known.height, other.y + other.height)
    shared = max(0, right - max(known.x, other.x)) * max(0, bottom - max(known.y, other.y))
    return shared >= _MOST_OF_IT * other.width * other.height


def _box(corners: Any, times: int, width: int, height: int) -> Box:
    """Return the upright box around four corners, a little larger, within the image."""
    across, down = np.asarray(corners, dtype=float).T / times
    edge = max(1.0, 0.15 * (down.max() - down.min()))
    left, top = max(0, int(across.min() - edge)), max(0, int(down.min() - edge))
    right = min(width, int(np.ceil(across.max() + edge)))
    bottom = min(height, int(np.ceil(down.max() + edge)))
    return Box(left, top, right - left, bottom - top)


@cache
def _recogniser() -> Any:
    try:
        from rapidocr_onnxruntime import RapidOCR  # ty: ignore[import-not-found]
    except ImportError as error:
        raise ImportError(
            f"burnt-in text is found by RapidOCR, which cannot be imported ({error}): "
            "pip install 'vital-workbench[ocr]'"
        ) from None
    return RapidOCR()

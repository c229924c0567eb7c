"""Tells whether one picture is a copy of another: re-encoded, resized, cropped or with a border.

Two thumbnails are aligned by their margins, then their local contrast is compared. So brightness,
contrast and a border do not matter, while a mirrored picture, and another picture of the same
organ, are no copies. This module knows neither files nor figure sets.
"""

from __future__ import annotations

from functools import cache, cached_property

import numpy as np
from PIL import Image

SIDE = 96
"""Sides of a thumbnail, in pixels."""

SAME = 0.96
"""Least likeness of copies (`tests/test_copies.py` measures it on real pictures)."""

ALIKE = 0.90
"""Least likeness of pictures that a person should look at."""

_COMPARED = 48  # sides of the parts that are compared
_AROUND = 7  # side of the neighbourhood whose mean and contrast are removed
_NOISE = 4.0  # grey levels of contrast that count as noise of the file format
_MARGINS = np.arange(9) / 100  # tried for each side, as a share of it
_HOPELESS = 0.75  # likeness after the first alignment below which none is refined
_BORDER = 12  # grey levels within which a margin counts as uniform


Thumbnails = tuple[np.ndarray, np.ndarray | None]
"""The thumbnail of a picture, and that of its part inside a uniform border if it has one."""


def thumbnails(pixels: Image.Image) -> Thumbnails:
    """Return the thumbnails of a picture, whole and inside its border, as `Picture` takes them."""
    grey = thumbnail(pixels)
    return grey, _inside(pixels, grey)


def thumbnail(pixels: Image.Image) -> np.ndarray:
    """Return the grey thumbnail (SIDE, SIDE), 8 bits, of a picture; its proportions are lost."""
    return np.asarray(pixels.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))


def picture_hashes(pixels: Image.Image) -> tuple[str, str]:
    """Return the perceptual hashes of a picture and of its part inside a uniform border.

    Both have 16 hexadecimal digits; they are equal if there is no border.
    """
    from imagehash import phash  # slow to import

    pixels = pixels.convert("L")
    whole, grey = str(phash(pixels)), thumbnail(pixels)
    inner = without_border(grey)
    return whole, whole if inner is grey else str(phash(Image.fromarray(inner)))


def without_border(grey: np.ndarray) -> np.ndarray:
    """Return a thumbnail without the margins that have the grey of its upper left corner."""
    rows, columns = _unlike_border(grey)
    if min(len(rows), len(columns)) == 0:
        return grey
    part = grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return part if SIDE // 4 <= min(part.shape) < SIDE else grey


def _unlike_border(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and the columns that have another grey than the upper left corner."""
    inside = np.abs(grey.astype(np.int16) - int(grey[0, 0])) > _BORDER
    return np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))


def _inside(pixels: Image.Image, grey: np.ndarray) -> np.ndarray | None:
    """Return the thumbnail of a picture's part inside its border, None without a border.

    The border is found in the picture itself: a thumbnail mixes its edge with the inside.
    """
    if without_border(grey) is grey:
        return None
    rows, columns = _unlike_border(np.asarray(pixels.convert("L")))
    box = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    left, top, right, low = map(int, box)
    return thumbnail(pixels.crop((left, top, right, low)))


class Picture:
    """A thumbnail prepared for `likeness`; `grey` is (SIDE, SIDE) of 8 bits.

    `inside` is the thumbnail of the part inside a border, if there is one.
    """

    def __init__(self, grey: np.ndarray, inside: np.ndarray | None = None) -> None:
        self.grey = grey.astype(np.float32)
        self.inside = None if inside is None else Picture(inside)

    @cached_property
    def contrast(self) -> np.ndarray:
        """The local contrast (_COMPARED ** 2,) of the whole picture."""
        return self.contrasts(_all_windows()[:1], _all_windows()[:1])[0]

    @cached_property
    def profiles(self) -> tuple[np.ndarray, np.ndarray]:
        """Unit profiles (k, _COMPARED): means over rows and over columns, for each two margins."""
        first, second = (_unit(_all_windows() @ self.grey.mean(axis)) for axis in (0, 1))
        return first, second

    def contrasts(self, across: np.ndarray, down: np.ndarray) -> np.ndarray:
        """Return the local contrast (k, _COMPARED ** 2) of the parts seen through k windows."""
        return _contrast(down @ self.grey @ across.swapaxes(1, 2))


def likeness(one: Picture, other: Picture) -> float:
    """Return the correlation of two pictures' local contrast where they overlap.

    It is 1 for equal pictures, and 0 if one has no contrast. Pictures with a border are compared
    whole and without it, and the higher number counts.
    """
    best = 0.0
    for ours in filter(None, (one, one.inside)):
        for theirs in filter(None, (other, other.inside)):
            if (best := max(best, _aligned(ours, theirs))) >= SAME:
                return best
    return best


def _aligned(one: Picture, other: Picture) -> float:
    best = float(one.contrast @ other.contrast)
    if best >= SAME:
        return best
    margins, found = _by_profiles(one, other)
    if found < best:
        margins, found = np.zeros(4), best
    best = found
    for _ in range(4 if best >= _HOPELESS else 0):
        margins, found = _nearer(one, other, margins)
        if found < best + 1e-3:
            break
        best = found
    return best


# Margins (left, right, top, bottom) are shares of a side. A positive one is cut from the first
# picture, a negative one from the second.


def _by_profiles(one: Picture, other: Picture) -> tuple[np.ndarray, float]:
    """Return the margins at which the means over rows and columns agree best, and the likeness."""
    margins, first, second = _signed()
    across, down = (
        int(np.einsum("ij,ij->i", profile[first], against[second]).argmax())
        for profile, against in zip(one.profiles, other.profiles, strict=True)
    )
    ours, theirs = (
        picture.contrasts(*(_all_windows()[places[[at]]] for at in (across, down)))[0]
        for picture, places in ((one, first), (other, second))
    )
    return np.concatenate([margins[across], margins[down]]), float(ours @ theirs)


def _nearer(
    one: Picture, other: Picture, margins: np.ndarray, step: float = 0.004
) -> tuple[np.ndarray, float]:
    """Return margins one Gauss-Newton step nearer to equal local contrast, and the likeness."""
    ours, theirs = _parts(one, other, np.vstack([margins, margins + step * np.eye(4)]))
    error = ours - theirs
    slopes = (error[1:] - error[0]) / step
    change = np.linalg.lstsq(slopes.T, -error[0], rcond=None)[0]
    margins = np.clip(margins + np.clip(change, -0.02, 0.02), -_MARGINS[-1], _MARGINS[-1])
    [ours], [theirs] = _parts(one, other, margins[None])
    return margins, float(ours @ theirs)


def _parts(one: Picture, other: Picture, margins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both pictures' local contrast for each row of margins."""
    ours, theirs = (
        picture.contrasts(_windows(*cut[:, :2].T), _windows(*cut[:, 2:].T))
        for picture, cut in ((one, np.maximum(margins, 0)), (other, np.maximum(-margins, 0)))
    )
    return ours, theirs


@cache
def _signed() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return all signed margins of a side (k, 2), and their places in both pictures' profiles."""
    steps = np.arange(1 - len(_MARGINS), len(_MARGINS))
    low, high = (part.ravel() for part in np.meshgrid(steps, steps, indexing="ij"))
    first, second = (
        np.maximum(sign * low, 0) * len(_MARGINS) + np.maximum(sign * high, 0) for sign in (1, -1)
    )
    return np.stack([low, high], axis=1) * _MARGINS[1], first, second


@cache
def _all_windows() -> np.ndarray:
    low, high = np.meshgrid(_MARGINS, _MARGINS, indexing="ij")
    return _windows(low.ravel(), high.ravel())


def _windows(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return (k, _COMPARED, SIDE): means over equal parts of a side without two margins."""
    steps = np.arange(_COMPARED + 1) / _COMPARED
    edges = SIDE * (low[:, None] + (1 - low - high)[:, None] * steps)
    reached = np.clip(edges[:, :, None] - np.arange(SIDE), 0, 1)
    covered = np.diff(reached, axis=1)
    return (covered / covered.sum(axis=2, keepdims=True)).astype(np.float32)


def _contrast(pictures: np.ndarray) -> np.ndarray:
    """Return unit vectors of the local contrast of pictures (k, h, w), zero without contrast."""
    detail = pictures - _around(pictures)
    strength = np.sqrt(np.maximum(_around(detail * detail), 0))
    return _unit((detail / (strength + _NOISE)).reshape(len(pictures), -1))


def _around(pictures: np.ndarray) -> np.ndarray:
    """Return the mean of each pixel's neighbourhood."""
    height, width = pictures.shape[1:]
    return _box(height) @ pictures @ _box(width).T


@cache
def _box(size: int) -> np.ndarray:
    places = np.arange(size)
    near = np.abs(places[:, None] - places) <= _AROUND // 2
    return (near / near.sum(axis=1, keepdims=True)).astype(np.float32)


def _unit(rows: np.ndarray) -> np.ndarray:
    rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.maximum(length, 1e-3)

"""Converts images to 8-bit RGB: stretches greys of more than 8 bits, fills transparency with white.

Each change is reported as a note. This module does not depend on files or figure sets.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageFile, ImageOps, TiffImagePlugin

PERCENTILES = (1.0, 99.0)
"""Greys of more than 8 bits are stretched between these percentiles if the extremes lie far out."""

GREYS = "greys"
"""First word of the note that reports how greys were stretched."""

_ENOUGH = 1_000_000  # evenly spaced pixels from which percentiles are computed
_PHOTOMETRIC = 262  # TIFF tag PhotometricInterpretation: 0 means that white is zero

_forms: dict[Any, Any] = TiffImagePlugin.OPEN_INFO
for _key, _modes in tuple(_forms.items()):
    # Pillow reads some grey formats only with black as zero. Read the others alike and invert them.
    if _key[1] == 1 and _modes[0][0] in "IF":
        _forms.setdefault((_key[0], 0, *_key[2:]), _modes)


def upright_rgb(
    image: ImageFile.ImageFile, again: Callable[[], ImageFile.ImageFile]
) -> tuple[Image.Image, tuple[str, ...]]:
    """Convert the first frame of a newly opened image to upright RGB.

    Greys of more than 8 bits are stretched from minimum to maximum. The 1st or the 99th percentile
    replaces an extreme that lies far beyond it. The percentiles leave out a value that most pixels
    share, and values that are not finite. 16-bit colours keep their upper 8 bits; if nearly all of
    these are below 16, the colours are stretched like greys.

    Args:
        again: opens the same image once more.

    Returns:
        The RGB image, and one note for each change.

    Raises:
        ValueError: the image has no finite value.
        OSError, SyntaxError and others: Pillow's errors on damaged data.
    """
    notes = _frames(image)
    raw = _raw_mode(image)
    tiff = isinstance(image, TiffImagePlugin.TiffImageFile)
    white_is_zero = tiff and image.tag_v2.get(_PHOTOMETRIC) == 0
    if raw == "LA;16B":  # Pillow would drop the lower 8 bits; read as RGBA, all four bytes remain
        image.tile = [tile._replace(args="RGBA") for tile in image.tile]
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    if raw == "LA;16B":
        high, low, opaque, _ = np.moveaxis(np.asarray(image).astype(np.uint16), 2, 0)  # (H, W)
        return _stretched(high * 256 + low, opaque / 255.0, False, notes)
    if image.mode.startswith("I") or image.mode == "F":
        values, clear = np.asarray(image), image.info.get("transparency")
        opaque = None if clear is None else (values != clear).astype(float)
        return _stretched(values, opaque, white_is_zero, notes)
    if ";16" in raw and raw.startswith(("RGB", "CMYK")):
        if raw[:-1] in ("RGB;16", "RGBA;16") and _dark(upper := np.asarray(image)):
            lower = np.asarray(ImageOps.exif_transpose(_lower_bytes(again(), raw)))
            values = upper[..., :3] * np.uint16(256) + lower[..., :3]  # (H, W, 3)
            opaque = upper[..., 3:] / 255.0 if upper.shape[2] == 4 else None
            return _stretched(values, opaque, False, notes)
        notes.append("16-bit colours: only the upper 8 bits are shown")
    return _eight_bits(image), tuple(notes)


def _dark(upper: np.ndarray) -> bool:
    """Return whether nearly all upper bytes are small: values of 12 bits or fewer stored in 16."""
    return bool(np.percentile(upper[::4, ::4, :3], 99) < 16)


def _lower_bytes(image: ImageFile.ImageFile, raw: str) -> ImageFile.ImageFile:
    """Load the lower 8 bits of 16-bit colours, by naming the opposite byte order to Pillow."""
    upper = {"L": "little", "B": "big", "N": sys.byteorder}[raw[-1]]
    other = raw[:-1] + ("B" if upper == "little" else "L")
    image.tile = [
        tile._replace(args=(other, *tile.args[1:]) if isinstance(tile.args, tuple) else other)
        for tile in image.tile
    ]
    image.load()
    return image


def _frames(image: Image.Image) -> list[str]:
    try:
        frames = getattr(image, "n_frames", 1)
    except (OSError, SyntaxError, ValueError, EOFError, KeyError, TypeError, struct.error) as error:
        return [f"only the first frame is shown: the others cannot be read ({error})"]
    return [f"only the first of {frames:,} frames is shown"] if frames > 1 else []


def rgb(image: Image.Image) -> Image.Image:
    """Return an image of any mode as 8-bit RGB, changed as `upright_rgb` changes a file's."""
    if image.mode[0] in "IF":
        return _stretched(np.asarray(image), None, False, [])[0]
    return _eight_bits(image)


def _raw_mode(image: ImageFile.ImageFile) -> str:
    """Return Pillow's name for the pixel layout of the file."""
    args = image.tile[0].args if image.tile else ""
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else ""


def _eight_bits(image: Image.Image) -> Image.Image:
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def _stretched(
    values: np.ndarray, opaque: np.ndarray | None, white_is_zero: bool, notes: list[str]
) -> tuple[Image.Image, tuple[str, ...]]:
    """Stretch greys (H, W) or colours (H, W, 3) to RGB; `opaque` ((H, W[, 1])) is 0 to 1."""
    seen = values if opaque is None else values[opaque.reshape(values.shape[:2]) > 0]
    low, high, note = _window(seen) if seen.size else (0, 1, f"{GREYS} wholly transparent")
    exact = np.float64 if values.dtype == np.int32 else np.float32
    known = np.nan_to_num(values.astype(exact), nan=low, posinf=high, neginf=low)
    shades = np.clip((known - exact(low)) * exact(255 / (high - low) if high > low else 0), 0, 255)
    if white_is_zero:
        shades = 255 - shades
    if opaque is not None:
        shades = 255 - (255 - shades) * opaque
    picture = Image.fromarray(shades.round().astype(np.uint8)).convert("RGB")
    return picture, (*notes, note)


def _window(values: np.ndarray) -> tuple[float, float, str]:
    """Return the values to show as black and as white, and the note that reports them."""
    known = values[np.isfinite(values)] if values.dtype.kind == "f" else values.ravel()
    if not known.size:
        raise ValueError("none of its values is a finite number")
    least, most = float(known.min()), float(known.max())
    some = known[:: max(1, known.size // _ENOUGH)]
    common = np.percentile(some, 50, method="lower")
    others = some[some != common]
    if not 0 < others.size < some.size / 2:
        others, common = some, None
    ends = [
        np.percentile(others, PERCENTILES[0], method="higher"),
        np.percentile(others, PERCENTILES[1], method="lower"),
    ]
    ends += [] if common is None else [common]
    low, high = float(min(ends)), float(max(ends))
    beyond = (high - low) / 2
    low = least if least >= low - beyond else low
    high = most if most <= high + beyond else high
    whole = f"{GREYS} from {least:g} to {most:g}"
    if (low, high) == (least, most):
        return low, high, f"{whole} stretched to black and white"
    return low, high, f"{whole} stretched between {low:g} and {high:g} (1st and 99th percentile)"

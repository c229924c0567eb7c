"""Shows image values as 8-bit RGB: greys beyond 8 bits stretched, transparency laid on white.

What is changed on the way is said in a sentence. Knows nothing of files and figure sets.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin

PERCENTILES = (1.0, 99.0)
"""Greys beyond 8 bits are shown between these, where the rest lies far outside of them."""

GREYS = "greys"
"""With this begins the sentence that says how greys were stretched."""

_ENOUGH = 1_000_000  # pixels that percentiles are taken from, evenly spread
_PHOTOMETRIC = 262  # the TIFF tag: 0 where white is zero

for _key, _modes in tuple(TiffImagePlugin.OPEN_INFO.items()):
    # Pillow knows some greys only where black is zero: the same values, to be turned here.
    if _key[1] == 1 and _modes[0][0] in "IF":
        TiffImagePlugin.OPEN_INFO.setdefault((_key[0], 0, *_key[2:]), _modes)


def upright_rgb(
    image: Image.Image, again: Callable[[], Image.Image]
) -> tuple[Image.Image, tuple[str, ...]]:
    """The first frame of a just opened image as upright RGB, and what was changed to show it.

    Greys of more than 8 bits run from their 1st to their 99th percentile where the least or the
    greatest lies far beyond, else from the least to the greatest. A value that most pixels have is
    left out of the percentiles, so is what is no finite number. Colours of 16 bits are shown by
    their upper 8, or stretched alike where nearly all of those are 0.

    Args:
        again: opens the same image anew.

    Raises:
        ValueError: not one finite value.
        OSError, SyntaxError and others: what Pillow raises on damaged data.
    """
    said = _frames(image)
    raw = _raw_mode(image)
    white_is_zero = image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == 0
    if raw == "LA;16B":  # Pillow would drop the lower 8 bits; as RGBA the four bytes come whole
        image.tile = [tile._replace(args="RGBA") for tile in image.tile]
    image.load()
    upright = ImageOps.exif_transpose(image)
    if raw == "LA;16B":
        high, low, opaque, _ = np.moveaxis(np.asarray(upright).astype(np.uint16), 2, 0)  # (H, W)
        return _stretched(high * 256 + low, opaque / 255.0, False, said)
    if upright.mode.startswith("I") or upright.mode == "F":
        values, clear = np.asarray(upright), image.info.get("transparency")
        opaque = None if clear is None else (values != clear).astype(float)
        return _stretched(values, opaque, white_is_zero, said)
    if ";16" in raw and raw.startswith(("RGB", "CMYK")):
        if raw[:-1] in ("RGB;16", "RGBA;16") and _dark(upper := np.asarray(upright)):
            lower = np.asarray(ImageOps.exif_transpose(_other_bytes(again(), raw)))
            values = upper[..., :3] * np.uint16(256) + lower[..., :3]  # (H, W, 3)
            opaque = upper[..., 3:] / 255.0 if upper.shape[2] == 4 else None
            return _stretched(values, opaque, False, said)
        said.append("colours of 16 bits shown by their upper 8")
    return _eight_bits(upright), tuple(said)


def _dark(upper: np.ndarray) -> bool:
    """Whether nearly all of the upper 8 bits say nothing: 12 bits or less, kept in 16."""
    return bool(np.percentile(upper[::4, ::4, :3], 99) < 16)


def _other_bytes(image: Image.Image, raw: str) -> Image.Image:
    """Colours of 16 bits by their lower 8: Pillow takes the upper byte of the order it is told."""
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
        return [f"the first frame: what follows it cannot be read ({error})"]
    return [f"the first of {frames:,} frames"] if frames > 1 else []


def _raw_mode(image: Image.Image) -> str:
    """How the pixels lie in the file, in Pillow's names."""
    args = image.tile[0].args if getattr(image, "tile", None) else ""
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else ""


def _eight_bits(image: Image.Image) -> Image.Image:
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def _stretched(
    values: np.ndarray, opaque: np.ndarray | None, white_is_zero: bool, said: list[str]
) -> tuple[Image.Image, tuple[str, ...]]:
    """Greys (H, W) or colours (H, W, 3) as RGB, on white where not opaque ((H, W[, 1]), 0 to 1)."""
    seen = values if opaque is None else values[opaque.reshape(values.shape[:2]) > 0]
    low, high, sentence = _window(seen) if seen.size else (0, 1, f"{GREYS} wholly transparent")
    exact = np.float64 if values.dtype == np.int32 else np.float32
    known = np.nan_to_num(values.astype(exact), nan=low, posinf=high, neginf=low)
    shades = np.clip((known - exact(low)) * exact(255 / (high - low) if high > low else 0), 0, 255)
    if white_is_zero:
        shades = 255 - shades
    if opaque is not None:
        shades = 255 - (255 - shades) * opaque
    picture = Image.fromarray(shades.round().astype(np.uint8)).convert("RGB")
    return picture, (*said, sentence)


def _window(values: np.ndarray) -> tuple[float, float, str]:
    """The values to show as black and as white, and a sentence that says so."""
    known = values[np.isfinite(values)] if values.dtype.kind == "f" else values.ravel()
    if not known.size:
        raise ValueError("not one of its values is a finite number")
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

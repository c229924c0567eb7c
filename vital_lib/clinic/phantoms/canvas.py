"""Drawing tools of all phantoms: coordinates, soft shapes, textures and placement.

A picture is a square of ``SIZE`` pixels; coordinates run from -1 to 1, x to the right and y down.
This module knows nothing about modalities or the look of a finding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIZE = 224
PIXEL = 2.0 / SIZE
"""Side of one pixel, in the coordinates of a picture."""
_AXIS = ((np.arange(SIZE) + 0.5) * PIXEL - 1.0).astype(np.float32)
X, Y = np.meshgrid(_AXIS, _AXIS)
_ANGLE_CELLS, _RADIUS_CELLS = 512, 160
_ANGLE = ((np.arctan2(Y, X) / (2 * np.pi) + 0.5) * (_ANGLE_CELLS - 1)).astype(np.intp)
_RADIUS = np.clip(np.hypot(X, Y) / 1.42 * (_RADIUS_CELLS - 1), 0, None).astype(np.intp)


@dataclass(frozen=True)
class Spot:
    """Place of one finding: centre and radius in picture coordinates."""

    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Layout:
    """Places and radii (pixels) of one modality's findings.

    ``x`` is the distance of a side's centre from the midline. ``levels`` are the centres of upper,
    middle and lower. ``left`` is the image side of the patient's left: -1 is left, 1 is right.
    """

    x: float
    levels: tuple[float, float, float]
    small_pixels: float
    large_pixels: float
    left: int = 1


def place(
    layout: Layout, side: str, level: str, size: str, count: int, rng: np.random.Generator
) -> list[Spot]:
    """Place `count` spots of one size around the centre of (side, level) without overlap.

    The spots form a rotated pair or triangle, so that no position has to be tried twice.
    """
    radius = getattr(layout, f"{size}_pixels") * rng.uniform(0.93, 1.07) * PIXEL
    gap = radius * 2 + rng.uniform(4, 6 if size == "large" else 9) * PIXEL
    reach = 0.0 if count == 1 else gap / 2 if count == 2 else gap / math.sqrt(3)
    jitter = 0.07 if size == "small" or count == 1 else 0.03
    toward = layout.left if side == "left" else -layout.left
    x = toward * layout.x + rng.uniform(-jitter, jitter)
    y = layout.levels[("upper", "middle", "lower").index(level)] + rng.uniform(-jitter, jitter)
    turn = rng.uniform(0, 2 * math.pi)
    angles = [turn + 2 * math.pi * k / count for k in range(count)]
    return [Spot(x + reach * math.cos(a), y + reach * math.sin(a), radius) for a in angles]


def ramp(field: np.ndarray, edge: float | np.ndarray, width: float) -> np.ndarray:
    """0 where `field` is well below `edge`, 1 well above, with a smooth step of `width` between."""
    t = np.clip((field - edge) / width + 0.5, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def inside(
    x: np.ndarray, y: np.ndarray, cx: float, cy: float, rx: float, ry: float,
    tilt: float = 0.0, width: float = 0.08,
) -> np.ndarray:  # fmt: skip
    """1 inside an ellipse, 0 outside, with an edge of `width` radii; `tilt` in radians."""
    u, v = x - cx, y - cy
    if tilt:
        c, s = math.cos(tilt), math.sin(tilt)
        u, v = u * c + v * s, v * c - u * s
    return 1.0 - ramp(np.sqrt((u / rx) ** 2 + (v / ry) ** 2), 1.0, width)


def cloud(rng: np.random.Generator, rows: int, columns: int | None = None) -> np.ndarray:
    """Smooth noise, (SIZE, SIZE), from a grid of `rows` by `columns` standard normal values."""
    small = rng.standard_normal((rows, columns or rows), dtype=np.float32)
    return np.asarray(Image.fromarray(small).resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def polar_cloud(rng: np.random.Generator, around: int, outward: int) -> np.ndarray:
    """Smooth noise in polar coordinates around the picture's centre, (SIZE, SIZE)."""
    small = rng.standard_normal((outward, around), dtype=np.float32)
    small = np.concatenate([small[:, -2:], small, small[:, :2]], axis=1)
    step = _ANGLE_CELLS / around
    box = (2.0, 0.0, 2.0 + around, float(outward))
    image = Image.fromarray(small).resize(
        (round(step * around), _RADIUS_CELLS), Image.Resampling.BICUBIC, box=box
    )
    table = np.asarray(image)
    return table[_RADIUS, np.minimum(_ANGLE, table.shape[1] - 1)]


def grain(rng: np.random.Generator) -> np.ndarray:
    """Standard normal noise, independent in every pixel, (SIZE, SIZE)."""
    return rng.standard_normal((SIZE, SIZE), dtype=np.float32)


def bent(rng: np.random.Generator, tilt: float, amount: float) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates rotated by up to `tilt` radians and warped by `amount`, to vary the anatomy."""
    a = rng.uniform(-tilt, tilt)
    c, s = np.float32(math.cos(a)), np.float32(math.sin(a))
    dx, dy = cloud(rng, 4) * np.float32(amount), cloud(rng, 4) * np.float32(amount)
    return X * c + Y * s + dx, Y * c - X * s + dy


@dataclass(frozen=True)
class Patch:
    """A window of the picture around a spot, measured in the spot's radii."""

    window: tuple[slice, slice]
    distance: np.ndarray
    """Distance from the centre in radii, (h, w); 1 on the outline."""
    angle: np.ndarray
    x: np.ndarray
    y: np.ndarray


def patch(
    spot: Spot, rng: np.random.Generator, *, rough: float = 0.0, waves: int = 3, reach: float = 2.2
) -> Patch:
    """The window of `reach` radii around `spot`, with an outline of roughness `rough`."""
    low = [max(0, int((c - reach * spot.radius + 1) / PIXEL)) for c in (spot.x, spot.y)]
    high = [min(SIZE, int((c + reach * spot.radius + 1) / PIXEL) + 1) for c in (spot.x, spot.y)]
    window = (slice(low[1], high[1]), slice(low[0], high[0]))
    x, y = (X[window] - spot.x) / spot.radius, (Y[window] - spot.y) / spot.radius
    angle = np.arctan2(y, x)
    distance = np.hypot(x, y)
    if rough:
        wander = sum(
            np.cos(k * angle + rng.uniform(0, 2 * np.pi)) / math.sqrt(k - waves + 1)
            for k in range(waves, waves + 3)
        )
        distance = distance / (1.0 + rough * wander)
    return Patch(window, distance, angle, x, y)


def mix(canvas: np.ndarray, area: Patch, cover: np.ndarray, value: object) -> None:
    """Blend `value` (number, array or colour) into `canvas` in place, with weight `cover`."""
    part = canvas[area.window]
    if canvas.ndim == 3:
        cover = cover[..., None]
    part += cover * (value - part)


@lru_cache(maxsize=32)
def lettering(text: str, pixels: int) -> np.ndarray:
    """`text` as a mask from 0 to 1, in Pillow's default font."""
    font = ImageFont.load_default(size=pixels)
    left, top, right, bottom = font.getbbox(text)
    image = Image.new("L", (math.ceil(right - left) + 2, math.ceil(bottom - top) + 2))
    ImageDraw.Draw(image).text((1 - left, 1 - top), text, fill=255, font=font)
    return np.asarray(image, dtype=np.float32) / 255.0


def write(canvas: np.ndarray, text: str, pixels: int, left: int, top: int, value: object) -> None:
    """Write `text` on `canvas` in place, its upper left corner at pixel (`left`, `top`)."""
    mask = lettering(text, pixels)
    part = canvas[top : top + mask.shape[0], left : left + mask.shape[1]]
    mask = mask[: part.shape[0], : part.shape[1]]
    part += (mask[..., None] if canvas.ndim == 3 else mask) * (value - part)


def to_image(canvas: np.ndarray) -> Image.Image:
    """`canvas`, (SIZE, SIZE) or (SIZE, SIZE, 3) from 0 to 1, as an RGB picture."""
    pixels = np.clip(canvas * 255.0 + 0.5, 0, 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    return image if image.mode == "RGB" else image.convert("RGB")

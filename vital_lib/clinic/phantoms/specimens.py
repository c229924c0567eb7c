"""Phantoms in colour: the stained section under the microscope and the specimen photograph.

The section's left is the viewer's left. The organ lies as in the body seen from the front, so its
left is the viewer's right. Each painter takes the finding's name (or "none") and its spots, and
returns a (SIZE, SIZE, 3) canvas from 0 to 1. This module knows nothing about captions or the
sampling of truths.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from vital_lib.clinic.phantoms.canvas import (
    SIZE,
    Layout,
    Spot,
    X,
    Y,
    bent,
    cloud,
    grain,
    lettering,
    mix,
    patch,
    ramp,
    write,
)

SECTION = Layout(
    x=0.46, levels=(-0.58, -0.04, 0.50), small_pixels=9.0, large_pixels=16.5, left=-1
)  # fmt: skip
SPECIMEN = Layout(x=0.38, levels=(-0.46, -0.06, 0.34), small_pixels=7.2, large_pixels=13.5)

_HAEMATOXYLIN = np.array([0.86, 1.06, 0.42], dtype=np.float32)
_EOSIN = np.array([0.10, 0.98, 0.42], dtype=np.float32)
"""Optical density of unit stain in red, green and blue, after Ruifrok and Johnston."""


def histology(finding: str, spots: list[Spot], rng: np.random.Generator) -> np.ndarray:
    """A section in haematoxylin and eosin: pink stroma, many violet nuclei, a scale bar."""
    eosin, gaps = _stroma(rng)
    nuclei = _Nuclei(rng)
    tissue = _grid(rng, 10.5)
    keep = gaps[_pixel(tissue[:, 1]), _pixel(tissue[:, 0])] < 0.4
    nuclei.scatter(tissue[keep], spindle=0.45)
    if finding != "none":
        for spot in spots:
            _SECTION_FINDINGS[finding](eosin, nuclei, spot, rng)
    blue = 0.06 + 0.05 * cloud(rng, 30) + nuclei.density()
    blue = np.clip(blue, 0, None) * rng.uniform(0.9, 1.15)
    density = (
        blue[..., None] * _HAEMATOXYLIN + (eosin * rng.uniform(0.85, 1.15))[..., None] * _EOSIN
    )
    field = np.exp(-density) * 0.985 + 0.008 * grain(rng)[..., None]
    field[216:219, 172:216] = 0.08
    write(field, "0.1 mm", 12, 174, 203, 0.08)
    return field


def _stroma(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Eosin concentration, and where the tissue is torn open (1), both (SIZE, SIZE)."""
    bend = cloud(rng, 4)
    turn = rng.uniform(0, np.pi)
    along = X * np.cos(turn) + Y * np.sin(turn) + 0.16 * bend
    wave = np.sin(along * rng.uniform(26, 36) + 2.2 * cloud(rng, 12))
    gaps = ramp(cloud(rng, 13) + 0.55 * wave, rng.uniform(1.7, 2.2), 0.3)
    eosin = 0.30 + 0.07 * wave + 0.05 * cloud(rng, 26) + 0.04 * bend
    return np.clip(eosin * (1 - gaps) + 0.01, 0.01, None), gaps


def _grid(rng: np.random.Generator, spacing_pixels: float) -> np.ndarray:
    """Points of a jittered grid over the picture, (n, 2), in pixels."""
    steps = np.arange(spacing_pixels / 2, SIZE, spacing_pixels)
    points: np.ndarray = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    return points + rng.uniform(-0.5, 0.5, points.shape) * spacing_pixels


def _pixel(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, SIZE - 1).astype(np.intp)


class _Nuclei:
    """Cell nuclei, drawn at twice the size and scaled down for smooth edges."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._image = Image.new("L", (2 * SIZE, 2 * SIZE))
        self._pen = ImageDraw.Draw(self._image)

    def scatter(self, points: np.ndarray, *, spindle: float = 0.0, radius: float = 2.1) -> None:
        """Draw a nucleus at each of `points` (n, 2), in pixels; a share `spindle` is elongated."""
        rng, n = self._rng, len(points)
        shades = rng.integers(140, 256, n).tolist()
        wide = (2 * radius * rng.uniform(0.75, 1.3, n)).tolist()
        high = (2 * radius * rng.uniform(0.75, 1.3, n)).tolist()
        lean = rng.uniform(-7, 7, (n, 2)).tolist()
        thin = (rng.random(n) < spindle).tolist()
        for k, (x, y) in enumerate((2 * points).tolist()):
            if thin[k]:
                dx, dy = lean[k]
                self._pen.line((x - dx, y - dy, x + dx, y + dy), fill=shades[k], width=4)
            else:
                box = (x - wide[k], y - high[k], x + wide[k], y + high[k])
                self._pen.ellipse(box, fill=shades[k])

    def clear(self, spot: Spot, reach: float) -> None:
        """Remove the nuclei within `reach` radii of `spot`."""
        x, y, r = (spot.x + 1) * SIZE, (spot.y + 1) * SIZE, reach * spot.radius * SIZE
        self._pen.ellipse((x - r, y - r, x + r, y + r), fill=0)

    def around(self, spot: Spot, inner: float, outer: float, spacing_pixels: float) -> np.ndarray:
        """Points between `inner` and `outer` radii of `spot`, (n, 2), in pixels."""
        reach = outer * spot.radius * SIZE / 2
        steps = np.arange(-reach, reach + 0.1, spacing_pixels)
        points: np.ndarray = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
        points += self._rng.uniform(-0.35, 0.35, points.shape) * spacing_pixels
        distance = np.hypot(points[:, 0], points[:, 1]) / (spot.radius * SIZE / 2)
        points = points[(distance >= inner) & (distance <= outer)]
        return points + (np.array([spot.x, spot.y]) + 1) * SIZE / 2

    def density(self) -> np.ndarray:
        """Haematoxylin concentration of the nuclei, (SIZE, SIZE)."""
        return np.asarray(self._image.reduce(2), dtype=np.float32) * np.float32(0.95 / 255)


def _granuloma(eosin, nuclei, spot, rng) -> None:
    """A nest of pale epithelioid cells inside a dark ring of lymphocytes."""
    area = patch(spot, rng, rough=0.04)
    mix(eosin, area, 1 - ramp(area.distance, 0.95, 0.2), 0.10)
    nuclei.clear(spot, 1.2)
    nuclei.scatter(nuclei.around(spot, 0.72, 1.18, 2.9), radius=1.9)
    nuclei.scatter(nuclei.around(spot, 0.0, 0.40, 8.5), radius=1.1)


def _necrosis(eosin, nuclei, spot, rng) -> None:
    """Dead tissue: strongly pink, without nuclei, with a crumbled texture."""
    area = patch(spot, rng, rough=0.07, waves=3)
    mix(eosin, area, 1 - ramp(area.distance, 1.02, 0.2), 0.95 + 0.12 * cloud(rng, 60)[area.window])
    nuclei.clear(spot, 0.98)


def _lymphoid_aggregate(eosin, nuclei, spot, rng) -> None:
    """A dense crowd of small dark lymphocytes."""
    nuclei.clear(spot, 1.0)
    nuclei.scatter(nuclei.around(spot, 0.0, 1.04, 2.9), radius=1.9)


def gross(finding: str, spots: list[Spot], rng: np.random.Generator) -> np.ndarray:
    """A photograph of a resected organ on a cloth, with shadow, wet highlights and a ruler."""
    x, y = bent(rng, 0.10, 0.035)
    u, v = x / rng.uniform(0.80, 0.88), (y + 0.07) / rng.uniform(0.72, 0.78)
    notch = rng.uniform(-0.10, 0.10) * np.exp(-((u / 0.35) ** 2))
    r = (np.abs(u) ** 2.5 + np.abs(v + notch) ** 2.5) ** np.float32(0.4)
    organ = 1 - ramp(r, 1.0, 0.035)
    picture = _cloth(rng)
    shadow = np.roll(1 - ramp(r, 1.02, 0.25), (7, 6), axis=(0, 1))
    picture *= (1 - 0.6 * shadow)[..., None]
    hue = np.array(_ORGANS[rng.integers(len(_ORGANS))], dtype=np.float32)
    hue = hue * rng.uniform(0.92, 1.1)
    lumps, veins = cloud(rng, 22), cloud(rng, 9)
    flesh = hue * (1.0 + 0.07 * lumps + 0.06 * veins)[..., None]
    flesh -= (0.10 * (1 - ramp(np.abs(veins), 0.05, 0.12)))[..., None] * hue
    if finding != "none":
        for spot in spots:
            _SPECIMEN_FINDINGS[finding](flesh, spot, rng)
    height = np.sqrt(np.clip(1.03 - r * r, 0, None))
    light = 0.42 + 0.60 * height - 0.12 * x - 0.14 * y
    wet = ramp(cloud(rng, 40, 24) - 1.1 * np.hypot(u + 0.35, v + 0.45), 1.2, 0.9) * height
    lit = flesh * light[..., None] + 0.30 * wet[..., None]
    picture += organ[..., None] * (lit - picture)
    picture[198:218, 12:212] = _ruler()
    picture += np.float32(0.010) * grain(rng)[..., None]
    return picture * rng.uniform(0.94, 1.06)


_ORGANS = ((0.60, 0.24, 0.17), (0.66, 0.28, 0.24), (0.52, 0.19, 0.22))
"""Colours of liver, kidney and spleen: red, green and blue in even light."""
_CLOTHS = ((0.20, 0.42, 0.66), (0.14, 0.50, 0.46), (0.24, 0.52, 0.60))
"""Blue, green and teal surgical drapes."""


def _cloth(rng: np.random.Generator) -> np.ndarray:
    colour = np.array(_CLOTHS[rng.integers(len(_CLOTHS))], dtype=np.float32)
    folds = 1.0 + 0.07 * cloud(rng, 5, 3) + 0.05 * cloud(rng, 3, 12) + _weave()
    return colour * folds[..., None]


@lru_cache(maxsize=1)
def _weave() -> np.ndarray:
    """The threads of the cloth."""
    return 0.035 * np.sin(X * 350) * np.sin(Y * 350)


@lru_cache(maxsize=1)
def _ruler() -> np.ndarray:
    """A paper ruler of ten centimetres, (20, 200, 3)."""
    strip = Image.new("RGB", (200, 20), (240, 238, 226))
    pen = ImageDraw.Draw(strip)
    for tick in range(41):
        length = 8 if tick % 4 == 0 else 6 if tick % 2 == 0 else 4
        pen.line((tick * 5 - (tick == 40), 0, tick * 5 - (tick == 40), length), fill=(25, 25, 30))
    pixels = np.asarray(strip.filter(ImageFilter.SMOOTH), dtype=np.float32) / 255.0
    for centimetre in range(1, 10):
        mark = lettering(str(centimetre), 9)
        left = centimetre * 20 - mark.shape[1] // 2
        part = pixels[10 : 10 + mark.shape[0], left : left + mark.shape[1]]
        part *= 1 - 0.9 * mark[: part.shape[0], :, None]
    return pixels


def _metastasis(flesh, spot, rng) -> None:
    """A cream-white knot with a dimple in its middle."""
    area = patch(spot, rng, rough=0.03)
    cover = 1 - ramp(area.distance, 1.0, 0.16)
    shade = 1.0 - 0.10 * (area.x + area.y)
    mix(flesh, area, cover, np.array([0.93, 0.86, 0.76]) * shade[..., None])
    mix(flesh, area, 0.55 * (1 - ramp(area.distance, 0.30, 0.4)), np.array([0.78, 0.55, 0.48]))


def _abscess(flesh, spot, rng) -> None:
    """Yellow-green pus inside a dark red wall."""
    area = patch(spot, rng, rough=0.05)
    mix(flesh, area, 1 - ramp(area.distance, 1.12, 0.2), np.array([0.30, 0.03, 0.05]))
    mix(flesh, area, 1 - ramp(area.distance, 0.82, 0.2), np.array([0.80, 0.74, 0.16]))


def _infarction_scar(flesh, spot, rng) -> None:
    """A sunken dark star, puckered around a pale middle."""
    area = patch(spot, rng, rough=0.11, waves=int(rng.integers(4, 6)))
    mix(flesh, area, 0.8 * (1 - ramp(area.distance, 1.10, 0.35)), np.array([0.26, 0.09, 0.10]))
    mix(flesh, area, 1 - ramp(area.distance, 0.92, 0.25), np.array([0.10, 0.05, 0.07]))
    mix(flesh, area, 0.8 * (1 - ramp(area.distance, 0.24, 0.25)), np.array([0.45, 0.38, 0.38]))


_SECTION_FINDINGS = {
    "granuloma": _granuloma,
    "necrosis": _necrosis,
    "lymphoid aggregate": _lymphoid_aggregate,
}
_SPECIMEN_FINDINGS = {
    "metastasis": _metastasis,
    "abscess": _abscess,
    "infarction scar": _infarction_scar,
}

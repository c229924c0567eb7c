"""Phantoms in grey: the frontal chest film, the head CT slice and the head MR slice.

The picture's left is the patient's right, the radiological convention. Each painter takes the
finding's name (or "none") and its spots, and returns a (SIZE, SIZE) canvas from 0 to 1. This module
knows nothing about captions or the sampling of truths.
"""

from __future__ import annotations

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
    inside,
    mix,
    patch,
    polar_cloud,
    ramp,
    write,
)

CHEST = Layout(x=0.47, levels=(-0.44, -0.04, 0.33), small_pixels=7.0, large_pixels=13.0)
HEAD = Layout(x=0.34, levels=(-0.44, 0.0, 0.44), small_pixels=6.3, large_pixels=12.0)


def chest_xray(finding: str, spots: list[Spot], rng: np.random.Generator) -> np.ndarray:
    """A frontal chest film: ribs, lungs, heart, clavicles, spine, diaphragm, marker, film grain."""
    x, y = bent(rng, 0.035, 0.012)
    x, y = x / rng.uniform(0.96, 1.04), y / rng.uniform(0.97, 1.03)
    across = np.abs(x)
    body = 1.0 - ramp(across, 0.24 + 0.86 * ramp(y, -0.86, 0.5) - 0.14 * ramp(y, 0.1, 0.9), 0.07)
    lung = _lungs(x, y, across, rng)
    film = body * (0.53 + 0.12 * ramp(across, 0.95, 0.5) + 0.10 * ramp(y, 0.55, 0.5))
    film = film - 0.40 * lung
    heart = inside(
        x, y, rng.uniform(0.10, 0.16), 0.27, rng.uniform(0.30, 0.37), rng.uniform(0.28, 0.33),
        tilt=0.55, width=0.12,
    )  # fmt: skip
    vessels = inside(x, y, 0.04, -0.14, 0.16, 0.42, width=0.35)
    knob = inside(x, y, 0.13, -0.26, 0.09, 0.10, width=0.4)
    centre = np.maximum(np.maximum(heart, 0.75 * vessels), 0.8 * knob)
    film += centre * (0.09 + 0.27 * lung)
    film += _skeleton(x, y, across, body, lung, rng)
    film += lung * _markings(rng) + 0.012 * cloud(rng, 20)
    if finding != "none":
        for spot in spots:
            _CHEST_FINDINGS[finding](film, spot, rng)
    film = np.clip(film, 0, 1.15) * (1.0 - 0.10 * (X * X + Y * Y)) * rng.uniform(0.92, 1.08)
    film = 0.03 + film + rng.uniform(0.012, 0.03) * grain(rng) * (0.4 + film)
    write(film, "R", 20, 8 + int(rng.integers(0, 5)), 12 + int(rng.integers(0, 8)), 0.97)
    return film


def _lungs(x: np.ndarray, y: np.ndarray, across: np.ndarray, rng: np.random.Generator):
    """Air from 0 to 1: two tall lobes cut off below by the domes of the diaphragm."""
    wide = rng.uniform(0.95, 1.05)
    u = (across - (0.43 + 0.06 * y)) / ((0.33 + 0.09 * y) * wide)
    v = (y + 0.06) / rng.uniform(0.76, 0.82)
    lobe = 1.0 - ramp(u * u + v * v * v * v, 1.0, 0.28)
    dome = 0.66 + rng.uniform(-0.04, 0.04) + 0.75 * (across - 0.36) ** 2 - 0.14
    dome -= rng.uniform(0.02, 0.07) * (1.0 - ramp(x, 0.0, 0.1))
    return lobe * (1.0 - ramp(y, dome, 0.06))


def _skeleton(x, y, across, body, lung, rng) -> np.ndarray:
    """The contribution of ribs, clavicles, spine and windpipe to the film's brightness."""
    spacing, start = rng.uniform(0.175, 0.20), rng.uniform(0, 1)
    cage = body * ramp(across, 0.10, 0.1) * (1 - ramp(across, 0.86, 0.1))
    cage = cage * ramp(y, -0.80, 0.1) * (1 - ramp(y, 0.75, 0.3))
    back = np.cos(2 * np.pi * ((y - 0.55 * across * across + 0.12 * across) / spacing + start))
    front = np.cos(2 * np.pi * ((y - 0.75 * across + 0.25) / (1.15 * spacing) + start))
    ribs = 0.085 * ramp(back, 0.25, 0.5) + 0.05 * (1.0 - ramp(np.abs(back - 0.2), 0.22, 0.05))
    ribs += 0.05 * ramp(front, 0.45, 0.5) * ramp(across, 0.3, 0.2)
    slope = rng.uniform(0.16, 0.26)
    collar = np.abs(y + 0.60 + slope * (across - 0.1) - 0.05 * np.sin(5 * across))
    clavicle = (1 - ramp(collar, 0.042, 0.03)) * ramp(across, 0.09, 0.05)
    clavicle *= 1 - ramp(across, 0.80, 0.2)
    spine = (1 - ramp(across, 0.10, 0.06)) * (0.5 + 0.5 * ramp(np.cos(y * 34 + start), 0.1, 0.9))
    airway = (1 - ramp(np.abs(x + 0.015), 0.05, 0.05)) * (1 - ramp(y, -0.32, 0.15))
    bone = cage * ribs * (0.45 + 0.55 * lung) + 0.17 * clavicle * body
    return bone + body * (0.09 * spine * ramp(y, -0.95, 0.2) - 0.13 * airway)


def _markings(rng: np.random.Generator) -> np.ndarray:
    """Lung vessels that branch out from both hila."""
    image = Image.new("L", (SIZE, SIZE))
    pen = ImageDraw.Draw(image)
    for side in (-1, 1):
        for angle in rng.uniform(-1.25, 1.35, 11):
            x, y = 112 + side * 17, 107 + rng.uniform(-9, 12)
            for width, shade in ((4, 150), (3, 105), (2, 75), (1, 55)):
                length = rng.uniform(9, 15)
                angle += rng.uniform(-0.3, 0.3)
                end = (x + side * length * np.cos(angle), y + length * np.sin(angle))
                pen.line((x, y, *end), fill=shade, width=width)
                x, y = end
    soft = image.filter(ImageFilter.GaussianBlur(1.3))
    return np.asarray(soft, dtype=np.float32) * np.float32(0.26 / 255)


def _nodule(film, spot, rng) -> None:
    """A solid round shadow with a clear edge."""
    area = patch(spot, rng, rough=0.03)
    cover = 1.0 - ramp(area.distance, 0.96, 0.22)
    mix(film, area, 0.88 * cover, 0.90 - 0.08 * area.distance)


def _consolidation(film, spot, rng) -> None:
    """A patch like cotton wool, without an edge, with streaks of air inside."""
    area = patch(spot, rng, rough=0.10, waves=3)
    cover = np.exp(-((area.distance / 1.02) ** 4))
    texture = cloud(rng, 46)[area.window]
    mix(film, area, cover * np.clip(0.70 + 0.22 * texture, 0.25, 0.9), 0.80)


def _cavity(film, spot, rng) -> None:
    """A ring: a bright wall around air that is darker than the lung."""
    area = patch(spot, rng, rough=0.04)
    cover = 1.0 - ramp(area.distance, 1.02, 0.2)
    hollow = 1.0 - ramp(area.distance, 0.60, 0.2)
    mix(film, area, 0.95 * (cover - hollow), 0.95)
    mix(film, area, hollow, 0.02)


def ct_scan(finding: str, spots: list[Spot], rng: np.random.Generator) -> np.ndarray:
    """An axial head CT slice in a brain window: white skull, grey brain, dark ventricles."""
    x, y, r = _head(rng)
    folds = polar_cloud(rng, 60, 5) + 0.35 * polar_cloud(rng, 90, 14)
    skull = rng.uniform(0.885, 0.905)
    brain = 0.40 + 0.055 * ramp(r + 0.05 * folds, 0.72, 0.14) + 0.01 * cloud(rng, 9)
    sulci = ramp(folds, 0.75, 0.7) * ramp(r, 0.76, 0.16)
    brain -= 0.11 * sulci + 0.20 * ramp(r, skull - 0.012, 0.05)
    nuclei = inside(np.abs(x), y, 0.27, -0.04, 0.10, 0.17, tilt=-0.3, width=0.5)
    brain += 0.035 * nuclei
    brain += (0.08 - brain) * _ventricles(x, y, rng)
    falx = (1 - ramp(np.abs(x), 0.010, 0.02)) * ramp(np.abs(y + 0.03), 0.46, 0.1)
    brain += 0.14 * falx
    if finding != "none":
        for spot in spots:
            _CT_FINDINGS[finding](brain, spot, rng)
    bone = ramp(r, skull, 0.035) * (1 - ramp(r, 1.0, 0.03))
    scalp = 1 - ramp(r, rng.uniform(1.05, 1.085), 0.03)
    slab = scalp * 0.27
    slab += (1 - ramp(r, 0.95, 0.04)) * (brain - slab)
    slab += bone * (1.02 + 0.04 * folds - slab)
    rest = np.abs(np.sqrt(X * X + (Y + 0.12) ** 2) - 1.085)
    slab += 0.16 * (1 - ramp(rest, 0.012, 0.012)) * (Y > 0.55)
    slab = slab * rng.uniform(0.92, 1.08) + rng.uniform(0.012, 0.032) * grain(rng) * (0.25 + scalp)
    write(slab, "R", 16, 6, 104, 0.95)
    return slab


def _head(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates of a head and the distance from its centre, 1 on the outer face of the skull."""
    x, y = bent(rng, 0.10, 0.010)
    wide, long = rng.uniform(0.74, 0.80), rng.uniform(0.87, 0.92)
    return x, y, np.sqrt((x / (wide * (1.0 + 0.07 * y))) ** 2 + (y / long) ** 2)


def _ventricles(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Fluid from 0 to 1: frontal and occipital horns on both sides, third ventricle between."""
    size = rng.uniform(0.75, 1.25)
    across = np.abs(x)
    front = inside(across, y, 0.085, -0.24, 0.047 * size, 0.16, tilt=0.38, width=0.35)
    back = inside(across, y, 0.165, 0.25, 0.047 * size, 0.19, tilt=-0.40, width=0.35)
    third = inside(across, y, 0.0, 0.02, 0.022 * size, 0.10, width=0.5)
    return np.maximum(np.maximum(front, back), third)


def _haemorrhage(brain, spot, rng) -> None:
    """Fresh blood: bright, even and smooth, in a dark rim of oedema."""
    area = patch(spot, rng, rough=0.05, waves=2)
    mix(brain, area, 0.85 * (1 - ramp(area.distance, 1.22, 0.5)), 0.20)
    mix(brain, area, 1 - ramp(area.distance, 0.92, 0.25), 0.80)


def _infarct(brain, spot, rng) -> None:
    """Dead tissue: a dark, even wedge."""
    area = patch(spot, rng, rough=0.09, waves=3)
    mix(brain, area, 1 - ramp(area.distance, 1.05, 0.3), 0.13)


def _calcification(brain, spot, rng) -> None:
    """A cluster of sharp specks as white as bone, with brain between them."""
    area = patch(spot, rng)
    specks = np.zeros_like(area.distance)
    for k in range(9):
        turn, out = 2.4 * k + rng.uniform(-0.4, 0.4), 0.9 * np.sqrt((k + 0.3) / 9)
        near = np.hypot(area.x - out * np.cos(turn), area.y - out * np.sin(turn))
        specks = np.maximum(specks, 1 - ramp(near, rng.uniform(0.17, 0.30), 0.14))
    mix(brain, area, specks, 1.08)


def mri(finding: str, spots: list[Spot], rng: np.random.Generator) -> np.ndarray:
    """An axial head MR slice, T1-weighted or FLAIR at random; fluid and bone are dark in both."""
    x, y, r = _head(rng)
    folds, fine = polar_cloud(rng, 46, 4), polar_cloud(rng, 80, 14)
    folds = folds + 0.35 * fine
    white, grey = (0.66, 0.43) if rng.random() < 0.55 else (0.40, 0.58)
    ribbon = ramp(r + 0.09 * folds, 0.72, 0.06)
    brain = white + (grey - white) * ribbon + 0.02 * cloud(rng, 9)
    sulci = ramp(folds, 0.95, 0.5) * ramp(r, 0.66, 0.22)
    brain += (0.10 - brain) * np.maximum(0.7 * sulci, ramp(r, 0.875, 0.04))
    deep = inside(np.abs(x), y, 0.26, -0.04, 0.10, 0.18, tilt=-0.3, width=0.4)
    brain += (grey - brain) * 0.8 * deep
    brain += (0.06 - brain) * _ventricles(x, y, rng)
    fissure = (1 - ramp(np.abs(x), 0.010, 0.025)) * ramp(np.abs(y + 0.03), 0.46, 0.1)
    brain += (0.12 - brain) * fissure
    if finding != "none":
        for spot in spots:
            _MRI_FINDINGS[finding](brain, spot, rng)
    slab = (1 - ramp(r, 0.90, 0.025)) * brain
    rim = ramp(r, 0.965, 0.025) * (1 - ramp(r, rng.uniform(1.035, 1.06), 0.03))
    slab += rim * (0.78 + 0.08 * fine)
    shade = 1.0 + rng.uniform(-0.10, 0.10) * X + rng.uniform(-0.10, 0.10) * Y
    slab = slab * shade * rng.uniform(0.93, 1.07)
    slab = 0.02 + slab + rng.uniform(0.010, 0.026) * np.abs(grain(rng))
    write(slab, "R", 16, 6, 104, 0.95)
    return slab


def _tumour(brain, spot, rng) -> None:
    """An enhancing mass: a thick, ragged white ring, a grey core, grey oedema around."""
    area = patch(spot, rng, rough=0.07, waves=int(rng.integers(2, 5)))
    mix(brain, area, 0.8 * (1 - ramp(area.distance, 1.35, 0.5)), 0.28)
    mix(brain, area, 1 - ramp(area.distance, 1.0, 0.2), 0.98)
    mix(brain, area, 1 - ramp(area.distance, 0.50, 0.3), 0.42)


def _cyst(brain, spot, rng) -> None:
    """A sharp, round, black hole with a thin pale wall."""
    area = patch(spot, rng)
    mix(brain, area, 1 - ramp(area.distance, 1.08, 0.15), 0.74)
    mix(brain, area, 1 - ramp(area.distance, 0.94, 0.15), 0.01)


def _plaque(brain, spot, rng) -> None:
    """A smooth white oval without a rim, its long axis across the ventricles' walls."""
    tilt = rng.uniform(-0.35, 0.35)
    area = patch(spot, rng)
    u = area.x * np.cos(tilt) + area.y * np.sin(tilt)
    v = area.y * np.cos(tilt) - area.x * np.sin(tilt)
    mix(brain, area, 1 - ramp(np.hypot(u / 1.16, v / 0.70), 1.0, 0.3), 1.0)


_CHEST_FINDINGS = {"nodule": _nodule, "consolidation": _consolidation, "cavity": _cavity}
_CT_FINDINGS = {"haemorrhage": _haemorrhage, "infarct": _infarct, "calcification": _calcification}
_MRI_FINDINGS = {"tumour": _tumour, "cyst": _cyst, "plaque": _plaque}

"""Copies of a picture as reprints and data sets have them, and changes that make no copy."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageEnhance, ImageOps


def scene(seed: int, size: tuple[int, int] = (320, 260)) -> Image.Image:
    """A picture with coarse and fine structure; each `seed` gives a different one."""
    rng = np.random.default_rng(seed)
    width, height = size
    layers = [
        Image.fromarray(rng.integers(0, 256, (n, n), dtype=np.uint8)).resize(size, 3)
        for n in (4, 12, 40)
    ]
    weights = zip((0.5, 0.3, 0.2), layers, strict=True)
    grey = sum(weight * np.asarray(layer, np.float32) for weight, layer in weights)
    return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).convert("RGB")


def as_jpeg(picture: Image.Image, quality: int = 60) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def scaled(picture: Image.Image, by: float) -> Image.Image:
    size = [max(1, round(side * by)) for side in picture.size]
    return picture.resize(size, Image.Resampling.LANCZOS)


def cropped(picture: Image.Image, left: float, top: float, right: float, low: float) -> Image.Image:
    w, h = picture.size
    return picture.crop((int(w * left), int(h * top), w - int(w * right), h - int(h * low)))


def bordered(picture: Image.Image, share: float, colour: str) -> Image.Image:
    return ImageOps.expand(picture, int(share * max(picture.size)), colour)


COPIES = {
    "JPEG": as_jpeg,
    "JPEG of half the size": lambda p: as_jpeg(scaled(p, 0.5), 75),
    "a quarter of the size": lambda p: scaled(p, 0.25),
    "larger": lambda p: scaled(p, 1.6),
    "grey": lambda p: p.convert("L").convert("RGB"),
    "darker": lambda p: ImageEnhance.Brightness(p).enhance(0.75),
    "brighter": lambda p: ImageEnhance.Brightness(p).enhance(1.25),
    "more contrast": lambda p: ImageEnhance.Contrast(p).enhance(1.3),
    "1 % cropped": lambda p: cropped(p, *[0.01] * 4),
    "2 % cropped": lambda p: cropped(p, *[0.02] * 4),
    "5 % of one side cropped": lambda p: cropped(p, 0, 0, 0.05, 0),
    "white border of 2 %": lambda p: bordered(p, 0.02, "white"),
    "white border of 5 %": lambda p: bordered(p, 0.05, "white"),
    "white border of 10 %": lambda p: bordered(p, 0.1, "white"),
    "black border of 5 %": lambda p: bordered(p, 0.05, "black"),
    "black border of 10 %": lambda p: bordered(p, 0.1, "black"),
    "grey border of 5 %, as JPEG": lambda p: as_jpeg(bordered(p, 0.05, "grey"), 75),
    "5 % cropped": lambda p: cropped(p, *[0.05] * 4),
}
NO_COPIES = {
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "turned by half": lambda p: p.rotate(180),
    "turned by a quarter": lambda p: p.rotate(90, expand=True),
    "inverted": ImageOps.invert,
}

"""Phantom figures: synthetic pictures with known findings, drawn from a seed.

A phantom has a recognisable modality and shows one kind of finding on one side and level. It is a
drawing, not a model of disease: nothing learned from it applies to patients. The package knows
nothing about captions, questions or models.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from vital_lib.clinic.lexicon import FINDINGS, Truth
from vital_lib.clinic.phantoms.canvas import SIZE, Spot, place, to_image
from vital_lib.clinic.phantoms.radiology import CHEST, HEAD, chest_xray, ct_scan, mri
from vital_lib.clinic.phantoms.specimens import SECTION, SPECIMEN, gross, histology
from vital_lib.modalities import MODALITIES

NONE_SHARE = 0.15
"""Share of phantoms without a finding."""

_PAINTERS = {
    "chest_xray": (chest_xray, CHEST),
    "ct_scan": (ct_scan, HEAD),
    "mri": (mri, HEAD),
    "histology": (histology, SECTION),
    "gross": (gross, SPECIMEN),
}


def sample_truth(rng: np.random.Generator, modality: str | None = None) -> Truth:
    """Draw the content of one phantom, every value uniformly; `modality` fixes its modality.

    Raises:
        ValueError: `modality` is unknown.
    """
    if modality is not None and modality not in MODALITIES:
        raise ValueError(f"modality {modality!r}: give one of {', '.join(MODALITIES)}")
    modality = modality or MODALITIES[rng.integers(len(MODALITIES))]
    if rng.random() < NONE_SHARE:
        return Truth(modality, "none", None, None, None, 0)
    return Truth(
        modality=modality,
        finding=FINDINGS[modality][rng.integers(len(FINDINGS[modality]))],
        side=("left", "right")[rng.integers(2)],
        level=("upper", "middle", "lower")[rng.integers(3)],
        size=("small", "large")[rng.integers(2)],
        count=int(rng.integers(1, 4)),
    )


def draw(truth: Truth, rng: np.random.Generator) -> Image.Image:
    """`truth` as an RGB picture of ``SIZE`` by ``SIZE`` pixels; `rng` varies the anatomy."""
    return draw_with_spots(truth, rng)[0]


def draw_with_spots(truth: Truth, rng: np.random.Generator) -> tuple[Image.Image, tuple[Spot, ...]]:
    """The picture that `draw` returns, and the spots of its findings."""
    paint, layout = _PAINTERS[truth.modality]
    spots = []
    if truth.count:
        spots = place(layout, truth.side, truth.level, truth.size, truth.count, rng)
    return to_image(paint(truth.finding, spots, rng)), tuple(spots)

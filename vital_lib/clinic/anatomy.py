"""The organ that a figure's text is about, and the matching words for its images and places.

Uses only the text and the modality flags. If they name no organ or several, the generator may not
state anything specific to one organ. Independent of rates, questions and the ground truth.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

LUNG, BRAIN, SKIN = "lung", "brain", "skin"
UNKNOWN = ""
"""The organ of a text that names no organ, or several."""

_ORGANS = {
    LUNG: r"chest|lungs?\b|pulmon|thora[cx]|bronch|alveol|pneumon|respiratory",
    BRAIN: r"\bbrain|cerebr|cerebell|crani|hemispher|\bhead\b(?! of)|neuro(?:imag|log|surg)",
    SKIN: r"\bskin|\bcutane|dermat|\brash|psoria|eczema",
    "liver": r"\bliver|hepat",
    "kidney": r"\bkidney|\brenal|nephr",
    "heart": r"\bheart|cardi|coronary",
    "bowel": r"colon|bowel|intestin|gastr|stomach|rectal|rectum",
    "bone": r"\bbones?\b|femur|tibia|\b(?:hand|wrist|knee|hip)s?\b|spine|spinal|\bdis[ck]",
    "breast": r"breast|mammar",
    "blood": r"\bblood (?:smear|cell|stage|from)|peripheral smear|\bred cells?\b|erythrocyt|leuk",
    "eye": r"\beyes?\b|retina|fundus|macula",
    "lymph node": r"lymph nodes?\b|hodgkin|lymphoma",
    "thyroid": r"thyroid",
    "pancreas": r"pancrea",
    "spleen": r"spleen|splenic",
    "mouth": r"dental|\bteeth|\btooth|\boral",
}  # fmt: skip
_PATTERNS = {organ: re.compile(words, re.IGNORECASE) for organ, words in _ORGANS.items()}
_SPECIMEN = re.compile(
    r"specimen|\borgan\b|autops|cut surface|gross|macroscop|resect|section|operative", re.IGNORECASE
)
_LIQUID = re.compile(r"blood|smear|aspirate|cytolog|parasit|trophozoite", re.IGNORECASE)


@dataclass(frozen=True)
class Scene:
    """What the wording of a figure's instructions and responses depends on.

    Args:
        organ: the only organ that the text names, or UNKNOWN.
        region: the key of PLACES that describes places: lung, brain, field, specimen or plain.
        specimen: the text says that a photograph shows a specimen and not a person.
        liquid: the slide is a smear and not a tissue section.
    """

    organ: str = UNKNOWN
    region: str = "plain"
    specimen: bool = False
    liquid: bool = False


@lru_cache(maxsize=4096)
def scene_of(modality: str | None, texts: tuple[str, ...], flags: Sequence[str] = ()) -> Scene:
    """Return the scene from `texts` (caption first) and the figure's modality flags."""
    text = " ".join(texts)
    organ = LUNG if tuple(flags) == ("chest_xray",) else organ_of(texts)
    specimen = modality == "gross" and bool(_SPECIMEN.search(text))
    region = {
        ("chest_xray", LUNG): "lung",
        ("ct_scan", BRAIN): "brain",
        ("mri", BRAIN): "brain",
    }.get((modality, organ), "plain")
    region = "field" if modality == "histology" else "specimen" if specimen else region
    return Scene(organ, region, specimen, bool(_LIQUID.search(texts[0])))


def organ_of(texts: tuple[str, ...]) -> str:
    """Return the organ named in the caption, or in the mentions if the caption names none."""
    for part in (texts[:1], texts[1:]):
        named = [organ for organ, words in _PATTERNS.items() if any(map(words.search, part))]
        if named:
            return named[0] if len(named) == 1 else UNKNOWN
    return UNKNOWN


def images_of(modality: str | None, scene: Scene) -> tuple[str, ...]:
    """Return names of an image of this modality, with article; empty if it is unknown."""
    if modality == "chest_xray" and scene.organ != LUNG:
        return ("a radiograph", "an X-ray image", "a plain radiograph")
    if modality == "gross" and not scene.specimen:
        return ("a photograph", "a clinical photograph", "a macroscopic photograph")
    if modality == "histology" and not scene.liquid:
        return (*_IMAGES[modality], "a histological section")
    return _IMAGES.get(modality or "", ())


_IMAGES = {
    "chest_xray": ("a chest radiograph", "a chest X-ray", "a plain chest radiograph"),
    "ct_scan": ("a CT scan", "a CT image", "a computed tomography image"),
    "mri": ("an MRI scan", "an MR image", "a magnetic resonance image"),
    "histology": ("a photomicrograph", "a light micrograph", "a microscopic image"),
    "gross": (
        "a photograph of a gross specimen",
        "a gross pathology photograph",
        "a macroscopic photograph of a specimen",
    ),
    "ultrasound": ("an ultrasound image", "a sonogram"),  # named in captions; has no modality flag
}

# Region -> phrases for a side, for a level and for both. "plain" fits any image.
PLACES = {
    "lung": (
        ("in the {side} lung", "in the {side} hemithorax"),
        ("in the {level} zone", "in the {level} lung zone"),
        ("in the {level} zone of the {side} lung", "in the {side} lung, in the {level} zone"),
    ),
    "brain": (
        ("in the {side} hemisphere", "in the {side} cerebral hemisphere"),
        ("in the {level} part of the brain", "in the {level} third of the brain"),
        ("in the {level} part of the {side} hemisphere", "in the {side} hemisphere, {level} part"),
    ),
    "field": (
        ("in the {side} half of the field", "on the {side} side of the field"),
        ("in the {level} part of the field", "in the {level} third of the field"),
        (
            "in the {level} part of the {side} half of the field",
            "in the {level} {side} part of the field",
        ),
    ),
    "specimen": (
        ("in the {side} half of the organ", "on the {side} side of the organ"),
        ("in the {level} part of the organ", "in the {level} third of the organ"),
        (
            "in the {level} part of the organ, on the {side} side",
            "in the {level} {side} part of the organ",
        ),
    ),
    "plain": (
        ("on the {side}", "on the {side} side"),
        ("in the {level} part", "in the {level} third"),
        ("in the {level} part, on the {side} side", "on the {side}, in the {level} part"),
    ),
}
HALVES = {
    "lung": "in which lung",
    "brain": "in which hemisphere",
    "field": "in which half of the field",
    "specimen": "in which half of the organ",
    "plain": "on which side",
}
THIRDS = {
    "lung": "in which zone of the lung",
    "brain": "at which level from front to back",
    "field": "in which third of the field",
    "specimen": "in which third of the organ",
    "plain": "at which level",
}

"""The five imaging modalities of the caption schema: their flags and display names."""

from __future__ import annotations

from collections.abc import Sequence

MODALITIES = ("chest_xray", "ct_scan", "mri", "histology", "gross")
"""The modality flags; a figure may have several or none."""

MODALITY_NAMES = {
    "chest_xray": "chest X-ray",
    "ct_scan": "CT scan",
    "mri": "MRI",
    "histology": "histology",
    "gross": "gross pathology",
}
"""Names of the modalities in prompts."""

MODALITY_LABELS = {
    **MODALITY_NAMES,
    "ct_scan": "CT",
    "several": "several",
    "not_stated": "not stated",
}
"""Labels of the values of `modality_of` in plots and panels."""


_OTHER_NAMES = {
    **dict.fromkeys(("ct", "ct_scan", "computed_tomography"), "ct_scan"),
    **dict.fromkeys(("mr", "mri", "magnetic_resonance_imaging"), "mri"),
    **dict.fromkeys(("chest_x_ray", "chest_radiograph", "cxr"), "chest_xray"),
    **dict.fromkeys(("gross_pathology", "gross_specimen"), "gross"),
    "histopathology": "histology",
}


def flag_of(name: str) -> str | None:
    """Return the flag of a modality by its name, such as "CT" or "Chest X-ray"; None for others."""
    plain = "_".join(name.lower().replace("-", " ").replace("_", " ").split())
    return plain if plain in MODALITIES else _OTHER_NAMES.get(plain)


def modality_of(modalities: Sequence[str]) -> str:
    """Return a figure's only flag, ``several`` or ``not_stated``: a key of `MODALITY_LABELS`."""
    return "several" if len(modalities) > 1 else next(iter(modalities), "not_stated")

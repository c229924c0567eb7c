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


def modality_of(modalities: Sequence[str]) -> str:
    """Return a figure's only flag, ``several`` or ``not_stated``: a key of `MODALITY_LABELS`."""
    return "several" if len(modalities) > 1 else next(iter(modalities), "not_stated")

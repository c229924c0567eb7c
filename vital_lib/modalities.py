"""The five imaging modalities of the caption schema: their flags and how they are written."""

from __future__ import annotations

from collections.abc import Sequence

MODALITIES = ("chest_xray", "ct_scan", "mri", "histology", "gross")
"""The modality flags of a figure; it may have several, or none."""

MODALITY_NAMES = {
    "chest_xray": "chest X-ray",
    "ct_scan": "CT scan",
    "mri": "MRI",
    "histology": "histology",
    "gross": "gross pathology",
}
"""How a modality is written in a prompt."""

MODALITY_LABELS = {
    **MODALITY_NAMES,
    "ct_scan": "CT",
    "several": "several",
    "not_stated": "not stated",
}
"""How a value of `modality_of` is written in a plot or a panel."""


def modality_of(modalities: Sequence[str]) -> str:
    """A figure's one modality flag, ``several`` or ``not_stated``: a key of `MODALITY_LABELS`."""
    return "several" if len(modalities) > 1 else next(iter(modalities), "not_stated")

"""The closed world of the clinic: what a phantom can show, and what a text can claim about it.

Independent of images and of the wording and authors of texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vital_lib.modalities import MODALITIES

FINDINGS = {
    "chest_xray": ("nodule", "consolidation", "cavity"),
    "ct_scan": ("haemorrhage", "infarct", "calcification"),
    "mri": ("tumour", "cyst", "plaque"),
    "histology": ("granuloma", "necrosis", "lymphoid aggregate"),
    "gross": ("metastasis", "abscess", "infarction scar"),
}
SIDES = ("left", "right")
LEVELS = ("upper", "middle", "lower")
SIZES = ("small", "large")
COUNTS = (1, 2, 3)
NO_FINDING = "none"
ATTRIBUTES = ("modality", "finding", "side", "level", "size", "count")


@dataclass(frozen=True)
class Truth:
    """The ground truth of one phantom.

    All findings of a figure have the same kind, side, level and size. Without a finding, `finding`
    is "none", `count` is 0, and side, level and size are None.

    Raises:
        ValueError: a value is outside the closed world, or does not fit the others.
    """

    modality: str
    finding: str
    side: Any  # a text, or None without a finding; so are level and size
    level: Any
    size: Any
    count: int

    def __post_init__(self) -> None:
        if self.modality not in MODALITIES:
            raise ValueError(f"modality {self.modality!r} is not one of {MODALITIES}")
        if self.finding == NO_FINDING:
            allowed: tuple[tuple, ...] = ((None,), (None,), (None,), (0,))
        elif self.finding in FINDINGS[self.modality]:
            allowed = (SIDES, LEVELS, SIZES, COUNTS)
        else:
            raise ValueError(
                f"finding {self.finding!r}: a {self.modality} shows {NO_FINDING!r} or one of "
                f"{FINDINGS[self.modality]}"
            )
        for name, values in zip(ATTRIBUTES[2:], allowed, strict=True):
            if getattr(self, name) not in values:
                raise ValueError(
                    f"{name} {getattr(self, name)!r}: with finding {self.finding!r} "
                    f"it must be one of {values}"
                )

    def facts(self) -> dict[str, str | int]:
        """Return attribute -> value, for the attributes that apply to this figure."""
        facts = {name: getattr(self, name) for name in ATTRIBUTES}
        return {name: value for name, value in facts.items() if value is not None}


@dataclass(frozen=True)
class Claim:
    """One statement of a text: the attribute has the value, or lacks it if `holds` is False."""

    attribute: str
    value: str | int
    holds: bool = True

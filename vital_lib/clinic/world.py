"""The closed world of the clinic: what a phantom can show, and what a text can claim about it.

Plain values only. It knows nothing of images, of wordings, or of who says what.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    """What one phantom really shows.

    All findings of one figure are of one kind, lie on one side and level and have one size.
    Without a finding, `finding` is "none", `count` is 0, and side, level and size are None.

    Raises:
        ValueError: a value outside the closed world, or one that does not fit the others.
    """

    modality: str
    finding: str
    side: str | None
    level: str | None
    size: str | None
    count: int

    def __post_init__(self) -> None:
        if self.modality not in MODALITIES:
            raise ValueError(f"modality {self.modality!r} is none of {MODALITIES}")
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
        """Attribute -> value, for the attributes that apply to this figure."""
        facts = {name: getattr(self, name) for name in ATTRIBUTES}
        return {name: value for name, value in facts.items() if value is not None}


@dataclass(frozen=True)
class Claim:
    """One statement read in a text: the attribute has the value (or has not: holds=False)."""

    attribute: str
    value: str | int
    holds: bool = True

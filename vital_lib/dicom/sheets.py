"""Where the frames of a contact sheet lie, so that what is drawn on one of them holds for all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vital_lib.dicom.windows import beside

_MOST = 1_000  # frames on a sheet

Box = tuple[int, int, int, int]
"""Left, top, width, height, in pixels."""


@dataclass(frozen=True)
class Tiles:
    """The frames of a contact sheet, row by row.

    Args:
        width, height: of a frame on the sheet, in pixels.
        gap: pixels between two frames.
        across: frames in a row.
        count: frames in all.
    """

    width: int
    height: int
    gap: int
    across: int
    count: int

    def __post_init__(self) -> None:
        least = min(self.width, self.height, self.across, self.count)
        if least < 1 or self.gap < 0 or self.count > _MOST:
            raise ValueError(f"no such contact sheet: {asdict(self)}")

    def corners(self) -> Iterator[tuple[int, int]]:
        """Yield the left and the top of each frame."""
        for place in range(self.count):
            down, along = divmod(place, self.across)
            yield along * (self.width + self.gap), down * (self.height + self.gap)

    def on_all(self, boxes: Sequence[Sequence[int]]) -> list[Box]:
        """Return the boxes, and what each covers of a frame at the same place of every frame."""
        corners, own = list(self.corners()), [(x, y, w, h) for x, y, w, h in boxes]
        parts = {part for box in own for corner in corners for part in self._part(box, corner)}
        repeated = {(left + x, top + y, w, h) for left, top in corners for x, y, w, h in parts}
        return [*own, *sorted(repeated.difference(own))]

    def _part(self, box: Sequence[int], corner: tuple[int, int]) -> Iterator[Box]:
        """Yield what a box covers of the frame at `corner`, from that corner, if it does."""
        x, y = box[0] - corner[0], box[1] - corner[1]
        left, top = max(0, x), max(0, y)
        right, bottom = min(self.width, x + box[2]), min(self.height, y + box[3])
        if left < right and top < bottom:
            yield left, top, right - left, bottom - top


def tiles_beside(png: Path, sha256: str) -> Tiles | None:
    """Return the frames of a PNG that is a contact sheet, from the JSON file beside it, or None."""
    try:
        given: Any = beside(png, sha256)["tiles"]
        return Tiles(**{name: int(value) for name, value in given.items()})
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None

"""A read-only browser of figures: image, caption, mentions, modalities and source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pandas as pd

from vital_lib.modalities import MODALITY_LABELS
from vital_lib.panels._panel import Paged, plain, script_beside

_FACTS = ("figure_id", "group_id", "split", "source", "licence", "credit")


class FigureBrowser(Paged):
    """Figures shown one at a time, of all modalities or of a selected one.

    Args:
        figures: columns figure_id, caption, mentions, modalities; group_id, split, source,
            licence and credit are shown if present.
        image_of: figure_id -> its FigureImage, or JPEG bytes.
    """

    _draw = script_beside(__file__)
    _actions = (*Paged._actions, "filter")

    def __init__(self, figures: pd.DataFrame, image_of: Callable[[str], Any]) -> None:
        super().__init__(image_of)
        self._figures = figures.reset_index(drop=True)
        self._flags = [list(flags) or ["not_stated"] for flags in self._figures["modalities"]]
        found = Counter(flag for flags in self._flags for flag in set(flags))
        names = MODALITY_LABELS.items()
        self._counts = [[name, label, found[name]] for name, label in names if found[name]]
        self.modality: str | None = None
        self.filter(None)

    @property
    def figure_id(self) -> str | None:
        """The id of the figure shown; None if no figure passes the filter."""
        return self._figures["figure_id"][self._items[self._place]] if self._items else None

    def filter(self, modality: str | None) -> None:
        """Show only figures of `modality` ("not_stated": unflagged figures; None: all figures).

        Raises:
            ValueError: an unknown modality.
        """
        if modality not in (None, *MODALITY_LABELS):
            raise ValueError(f"modality {modality!r}: give one of {', '.join(MODALITY_LABELS)}")
        self.modality = modality
        kept = [i for i, flags in enumerate(self._flags) if modality is None or modality in flags]
        self._items = kept
        self.jump(1)

    def jump(self, number: int | str) -> None:
        """Show figure `number` of those that pass the filter, or the figure with that figure_id.

        Raises:
            ValueError: no figure with that id passes the filter.
        """
        if isinstance(number, str):
            ids = [self._figures["figure_id"][row] for row in self._items]
            if number not in ids:
                raise ValueError(f"no figure {number!r} among the {len(ids)} that pass the filter")
            number = ids.index(number) + 1
        super().jump(number)

    def _state(self) -> dict[str, Any]:
        return {
            **self._pages(),
            "all": len(self._figures),
            "modality": self.modality,
            "modalities": self._counts,
            "figure": self._figure(),
        }

    def _figure(self) -> dict[str, Any] | None:
        if not self._items:
            return None
        row = self._figures.iloc[self._items[self._place]]
        facts = [(name.replace("_", " "), plain(row.get(name))) for name in _FACTS]
        return {
            "id": plain(row["figure_id"]),
            "caption": plain(row["caption"]),
            "mentions": [plain(mention) for mention in row["mentions"]],
            "modalities": [MODALITY_LABELS.get(m, m) for m in row["modalities"]],
            "facts": [[name, value] for name, value in facts if value],
        }

"""A read-only browser of figures: image, caption, mentions, modalities and source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup

from vital_lib.modalities import MODALITY_LABELS
from vital_lib.panels._panel import Paged, figure_texts, listed, plain, script_beside
from vital_lib.panels._static import Form, joined, paragraph, side_by_side

_SAVED = 6  # figures in the static form
_FACTS = ("figure_id", "group_id", "split", "source", "licence", "credit")


class FigureBrowser(Paged):
    """Figures shown one at a time, of all modalities or of a selected one.

    Args:
        figures: columns figure_id, caption, mentions, modalities; group_id, split, source,
            licence and credit are shown if present.
        image_of: figure_id -> its FigureImage, or JPEG bytes.
    """

    _script = script_beside(__file__)
    _actions = (*Paged._actions, "filter")
    _items: Sequence[str] = ()  # figure_ids

    def __init__(self, figures: pd.DataFrame, image_of: Callable[[str], Any]) -> None:
        super().__init__(image_of)
        self._figures = figures.set_index("figure_id", drop=False)
        self._flags = [listed(flags) or ["not_stated"] for flags in self._figures["modalities"]]
        found = Counter(flag for flags in self._flags for flag in set(flags))
        names = MODALITY_LABELS.items()
        self._counts = [[name, label, found[name]] for name, label in names if found[name]]
        self.modality: str | None = None
        self.filter(None)

    def filter(self, modality: str | None) -> None:
        """Show only figures of `modality` ("not_stated": unflagged figures; None: all figures).

        Raises:
            ValueError: an unknown modality.
        """
        if modality not in (None, *MODALITY_LABELS):
            raise ValueError(f"modality {modality!r}: give one of {', '.join(MODALITY_LABELS)}")
        self.modality = modality
        flagged = zip(self._figures.index, self._flags, strict=True)
        self._items = [name for name, own in flagged if modality is None or modality in own]
        self.jump(1)

    @property
    def figure_id(self) -> str | None:
        """The id of the figure shown; None if there is none."""
        return self._items[self._place] if self._items else None

    def jump(self, number: int | str) -> None:
        """Show figure `number`, counted from 1, or the figure with that figure_id.

        Raises:
            ValueError: no figure listed has that id.
        """
        if isinstance(number, str):
            if number not in self._items:
                raise ValueError(f"no figure {number!r} among the {len(self._items)} listed")
            number = self._items.index(number) + 1
        super().jump(number)

    def _state(self) -> dict[str, Any]:
        return {
            **self._pages(),
            "all": len(self._figures),
            "modality": self.modality,
            "modalities": self._counts,
            "figure": self._figure(),
        }

    def _static(self, state: dict[str, Any]) -> Form:
        names = self._items[:_SAVED]
        counts = ", ".join(f"{label} {n:,}" for _, label, n in state["modalities"])
        summary = f"Figures: {len(names)} of {state['of']:,} shown; by modality: {counts}"
        return Form(summary, [self._saved(name) for name in names])

    def _saved(self, name: str) -> Markup:
        row = self._figures.loc[name]
        flags = ", ".join(_modalities(row)) or "not stated"
        title = f"{plain(name)} ({flags}; {plain(row.get('split')) or 'no split'})"
        mentions = " · ".join(figure_texts(row)["mentions"])
        texts = paragraph(title, row["caption"]), paragraph("In-text mentions", mentions)
        return side_by_side(self._thumbnail(name), joined(*texts))

    def _figure(self) -> dict[str, Any] | None:
        if not self._items:
            return None
        row = self._figures.loc[self.figure_id]
        facts = [(name.replace("_", " "), plain(row.get(name))) for name in _FACTS]
        return {
            "id": plain(row["figure_id"]),
            **figure_texts(row),
            "modalities": _modalities(row),
            "facts": [[name, value] for name, value in facts if value],
        }


def _modalities(row: pd.Series) -> list[str]:
    return [MODALITY_LABELS.get(name, name) for name in listed(row["modalities"])]

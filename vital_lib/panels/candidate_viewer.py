"""A read-only view of one figure's candidates: one column per conversation, rounds aligned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from vital_lib.panels._panel import PagedFigures, figure_texts, plain, script_beside
from vital_lib.tables import flags_in_words

_ARMS = ("none", "random", "clinician")
_ARM_NAMES = {
    "none": "no demonstrations",
    "random": "random demonstrations",
    "clinician": "accepted demonstrations",
}


class CandidateViewer(PagedFigures):
    """The conversations about one figure side by side, drafts first, then by arm.

    Args:
        candidates: columns of table `candidates` (or `drafts`).
        figures: columns figure_id, caption, mentions.
        image_of: figure_id -> its FigureImage, or JPEG bytes.
    """

    _script = script_beside(__file__)

    def __init__(
        self, candidates: pd.DataFrame, figures: pd.DataFrame, image_of: Callable[[str], Any]
    ) -> None:
        super().__init__(image_of)
        self._conversations = dict(list(candidates.groupby("figure_id", sort=False)))
        self._figures = figures.set_index("figure_id")
        self._items = list(self._conversations)
        self._show()

    def _state(self) -> dict[str, Any]:
        if self.figure_id is None:
            return {**self._pages(), "figure": None}
        rows = self._conversations[self.figure_id]
        columns = [_column(c) for _, c in rows.groupby("conversation_id", sort=False)]
        columns.sort(key=lambda column: column["order"])
        return {
            **self._pages(),
            "figure": self.figure_id,
            **figure_texts(self._figures.loc[self.figure_id]),
            "columns": columns,
            "rounds": sorted({int(number) for number in rows["round"]}),
        }


def _column(conversation: pd.DataFrame) -> dict[str, Any]:
    """Return one conversation: its arm, how it was generated, and its rounds by number."""
    first = conversation.iloc[0]
    arm, shown = plain(first["arm"]), len(first["demonstration_ids"])
    demonstrations = f"{shown} demonstration{'' if shown == 1 else 's'} shown"
    about = [first["stage"], first["generator"], f"prompt {plain(first['prompt_version'])[:6]}"]
    order = _ARMS.index(arm) if arm in _ARMS else len(_ARMS)
    return {
        "order": [plain(first["stage"]) != "draft", order],
        "arm": _ARM_NAMES.get(arm, arm),
        "about": " · ".join([*map(plain, about), demonstrations]),
        "rounds": {str(number): _round(rows) for number, rows in conversation.groupby("round")},
    }


def _round(rows: pd.DataFrame) -> dict[str, Any]:
    return {
        "instruction": plain(rows["instruction"].iloc[0]),
        "responses": [plain(response) for response in rows["response"]],
        "type": plain(rows["question_type"].iloc[0]),
        "flags": flags_in_words(plain(flag) for flags in rows["flags"] for flag in flags),
    }

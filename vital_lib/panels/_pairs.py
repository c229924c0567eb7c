"""What a page is shown of an item: its figure, its texts and, to whoever adjudicates, its votes.

This module knows no queue and no log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from vital_lib.panels._judgement import SIDES
from vital_lib.panels._panel import plain
from vital_lib.panels._sealed import sealed


class Pairs:
    """The drafts and figures behind the items of a queue.

    Args:
        drafts: columns candidate_id, figure_id, instruction, response.
        figures: columns figure_id, caption, mentions.
        votes: columns annotator, candidate_id, accepted; None where nobody is to see any.
    """

    def __init__(
        self, drafts: pd.DataFrame, figures: pd.DataFrame, votes: pd.DataFrame | None
    ) -> None:
        self._responses = drafts.set_index("candidate_id")
        self._figures = figures.set_index("figure_id")
        self._votes = _by_response(votes)

    @property
    def candidates(self) -> pd.Index:
        """The ids of all responses."""
        return self._responses.index

    def check(self, row: Mapping[str, Any]) -> None:
        """Refuse an item with a ValueError where a response or the figure is not among the rows."""
        for side in ("left_id", "right_id"):
            if row[side] not in self.candidates:
                raise ValueError(f"{side} {row[side]!r} of the queue is not among the drafts")
        if (figure := self.figure_of(row)) not in self._figures.index:
            raise ValueError(f"figure {figure!r} of the queue is not among the figures")

    def figure_of(self, row: Mapping[str, Any]) -> Any:
        """The figure_id of an item."""
        return self._responses.at[row["left_id"], "figure_id"]

    def instruction_of(self, row: Mapping[str, Any]) -> str:
        """The instruction of an item."""
        return plain(self._responses.at[row["left_id"], "instruction"])

    def as_card(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """An item as the page gets it: plain values, and nothing of who wrote a response."""
        figure_id = self.figure_of(row)
        figure = self._figures.loc[figure_id]
        return {
            "key": sealed(row),
            "figure": plain(figure_id),
            "caption": plain(figure["caption"]),
            "mentions": [plain(mention) for mention in figure["mentions"]],
            "instruction": self.instruction_of(row),
            **{side: plain(self._responses.at[row[f"{side}_id"], "response"]) for side in SIDES},
            "votes": [self._votes.get(row[f"{side}_id"], []) for side in SIDES],
            "before": row.get("before"),
            "revises": row.get("revises", False),
        }


def _by_response(votes: pd.DataFrame | None) -> dict[str, list[list[Any]]]:
    """candidate_id -> who accepted it: [annotator, accepted] pairs."""
    found: dict[str, list[list[Any]]] = {}
    rows = () if votes is None else votes.dropna(subset=["accepted"]).itertuples(index=False)
    for vote in rows:
        found.setdefault(vote.candidate_id, []).append([plain(vote.annotator), bool(vote.accepted)])
    return found

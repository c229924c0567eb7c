"""What a page is shown of an item: its figure, its texts and, to whoever adjudicates, its votes.

This module knows no queue and no log.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd
from pandas.api.types import is_list_like

from vital_lib.panels._item_key import item_key
from vital_lib.panels._judgement import SIDES, NotHere
from vital_lib.panels._panel import plain
from vital_lib.tables import NO_ANSWER, flags_in_words


class Pairs:
    """The drafts and figures behind the items of a queue.

    Args:
        drafts: columns candidate_id, figure_id, instruction, response; where an item is an
            instruction, instruction_id; flags, of which those are shown that need no figure.
        figures: columns figure_id, caption, mentions.
        votes: columns annotator, candidate_id, accepted; None where nobody is to see any.
    """

    def __init__(
        self, drafts: pd.DataFrame, figures: pd.DataFrame, votes: pd.DataFrame | None
    ) -> None:
        self._responses = drafts.set_index("candidate_id")
        self._figures = figures.set_index("figure_id")
        self._votes = _by_response(votes)

    def check(self, row: Mapping[str, Any], arms: Collection[str] | None = None) -> None:
        """Refuse an item that is not made of these rows, or where given, not of these `arms`.

        Raises:
            NotHere: a response is not among the drafts, or it is of another arm.
            ValueError: the responses are not of the item, or the figure is not among the figures.
        """
        for side in ("left_id", "right_id"):
            if row[side] not in self._responses.index:
                raise NotHere(f"{side} {row[side]!r} of the queue is not among the drafts")
            of = self._responses.get("instruction_id", {}).get(row[side], row["item_id"])
            if of != row["item_id"]:
                raise ValueError(f"{side} {row[side]!r} is of {of!r}, not of {row['item_id']!r}")
        if (figure := self.figure_of(row)) not in self._figures.index:
            raise ValueError(f"figure {figure!r} of the queue is not among the figures")
        if arms is not None and row["queue_arm"] not in arms:
            raise NotHere(f"queue_arm {row['queue_arm']!r} is none of {', '.join(arms)}")

    def knows(self, row: Mapping[str, Any]) -> bool:
        """Whether `check` lets an item pass."""
        try:
            self.check(row)
        except ValueError:
            return False
        return True

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
            "key": item_key(row),
            "figure": plain(figure_id),
            "caption": plain(figure["caption"]),
            "mentions": [plain(mention) for mention in figure["mentions"]],
            "instruction": self.instruction_of(row),
            **{side: plain(self._responses.at[row[f"{side}_id"], "response"]) for side in SIDES},
            "flags": [self._flags_of(row[f"{side}_id"]) for side in SIDES],
            "votes": [self._votes.get(row[f"{side}_id"], []) for side in SIDES],
            "before": row.get("before"),
            "revises": row.get("revises", False),
        }

    def _flags_of(self, candidate_id: str) -> list[str]:
        """What a response lacks to be an answer: of its figure's text people judge unprompted."""
        found = self._responses["flags"].at[candidate_id] if "flags" in self._responses else None
        return flags_in_words(name for name in NO_ANSWER if is_list_like(found) and name in found)


def _by_response(votes: pd.DataFrame | None) -> dict[str, list[list[Any]]]:
    """candidate_id -> who accepted it: [annotator, accepted] pairs."""
    found: dict[str, list[list[Any]]] = {}
    rows = () if votes is None else votes.dropna(subset=["accepted"]).itertuples(index=False)
    for vote in rows:
        found.setdefault(vote.candidate_id, []).append([plain(vote.annotator), bool(vote.accepted)])
    return found

"""What the page shows of an item: its figure, its texts and, in adjudication, its votes.

This module does not depend on the queue or the log.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from vital_lib.labels import SIDES
from vital_lib.panels._panel import listed, plain
from vital_lib.panels.preference_card.item_key import item_key
from vital_lib.panels.preference_card.judgement import NotHere
from vital_lib.tables import NO_ANSWER, flags_in_words


class Pairs:
    """The drafts and figures behind the items of a queue.

    Args:
        drafts: columns candidate_id, figure_id, instruction, response; optional instruction_id,
            to check which item a response belongs to; optional flags, of which those in
            `NO_ANSWER` are shown.
        figures: columns figure_id, caption, mentions.
        votes: columns annotator, candidate_id, accepted; None to show no votes.
    """

    def __init__(
        self, drafts: pd.DataFrame, figures: pd.DataFrame, votes: pd.DataFrame | None
    ) -> None:
        self._responses = drafts.set_index("candidate_id")
        self._figures = figures.set_index("figure_id")
        self._votes = _by_response(votes)

    def check(self, row: Mapping[str, Any], arms: Collection[str] | None = None) -> None:
        """Check that an item is built from these rows and, if `arms` is given, is of one of them.

        Raises:
            NotHere: a response is not among the drafts, or the item is of another arm.
            ValueError: a response belongs to another item, or the figure is not among the figures.
        """
        for side in ("left_id", "right_id"):
            if row[side] not in self._responses.index:
                raise NotHere(f"{side} {row[side]!r} of the queue is not among the drafts")
            of = self._responses.get("instruction_id", {}).get(row[side], row["item_id"])
            if of != row["item_id"]:
                raise ValueError(
                    f"{side} {row[side]!r} belongs to {of!r}, not to {row['item_id']!r}"
                )
        if (figure := self.figure_of(row)) not in self._figures.index:
            raise ValueError(f"figure {figure!r} of the queue is not among the figures")
        if arms is not None and row["drawn_by"] not in arms:
            raise NotHere(f"drawn_by {row['drawn_by']!r}: this card takes {', '.join(arms)}")

    def knows(self, row: Mapping[str, Any]) -> bool:
        """Return whether an item passes `check`."""
        try:
            self.check(row)
        except ValueError:
            return False
        return True

    def figure_of(self, row: Mapping[str, Any]) -> Any:
        """Return the figure_id of an item."""
        return self._responses.at[row["left_id"], "figure_id"]

    def instruction_of(self, row: Mapping[str, Any]) -> str:
        """Return the instruction of an item."""
        return plain(self._responses.at[row["left_id"], "instruction"])

    def as_card(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return an item for the page: plain values that do not show who wrote a response."""
        figure_id = self.figure_of(row)
        figure = self._figures.loc[figure_id]
        return {
            "key": item_key(row),
            "figure": plain(figure_id),
            "caption": plain(figure["caption"]),
            "mentions": [plain(mention) for mention in listed(figure["mentions"])],
            "instruction": self.instruction_of(row),
            **{side: plain(self._responses.at[row[f"{side}_id"], "response"]) for side in SIDES},
            "flags": {side: self._flags_of(row[f"{side}_id"]) for side in SIDES},
            "votes": {side: self._votes.get(row[f"{side}_id"], []) for side in SIDES},
            "before": row.get("before"),
            "revises": row.get("revises", False),
        }

    def _flags_of(self, candidate_id: str) -> list[str]:
        """Return the `NO_ANSWER` flags of a response as text; annotators judge the rest unaided."""
        found = self._responses["flags"].at[candidate_id] if "flags" in self._responses else ()
        raised = listed(found)
        return flags_in_words(name for name in NO_ANSWER if name in raised)


def _by_response(votes: pd.DataFrame | None) -> dict[str, list[list[Any]]]:
    """Return candidate_id -> list of [annotator, accepted]."""
    found: dict[str, list[list[Any]]] = {}
    rows = () if votes is None else votes.dropna(subset=["accepted"]).itertuples(index=False)
    for vote in rows:
        found.setdefault(vote.candidate_id, []).append([plain(vote.annotator), bool(vote.accepted)])
    return found

"""The feedback of a calibration round: an own judgement beside what the others decided, and why.

This module does not depend on the queue, the log or the page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from vital_lib.labels import SIDES, calibration_in_words
from vital_lib.panels._panel import plain
from vital_lib.panels.preference_card.item_key import ITEM
from vital_lib.panels.preference_card.pairs import Pairs

_FLAGS = ("left_accepted", "right_accepted", "cannot_judge", "unsafe")


class Feedback:
    """What is known of the items of a calibration round.

    Args:
        reference: candidate_id -> accepted.
        others: `labels.calibration_feedback`; without it, no numbers and no reasons are given.
    """

    def __init__(self, reference: Mapping[str, bool], others: Mapping[str, Any] | None) -> None:
        self._reference, self._others = reference, others or {}

    def on(self, item: Mapping[str, Any], standing: pd.DataFrame) -> dict[str, Any]:
        """Return the feedback on one judged item.

        Keys: reference (side -> accepted, None without a reference), accepted (side -> number of
        the others), judged and annotators (numbers of the others), reasons (reason -> number),
        so_far (the agreement in `standing`, as sentences).

        Args:
            standing: the annotator's current calibration judgements.
        """
        counts: dict[str, Any] = {"annotators": 0, "judged": 0, "accepted": {}, "reasons": {}}
        counts |= self._others.get(item["item_id"], {})
        ids = {side: item[f"{side}_id"] for side in SIDES}
        return {
            **counts,
            "reference": {side: self._reference.get(ids[side]) for side in SIDES},
            "accepted": {side: counts["accepted"].get(ids[side], 0) for side in SIDES},
            "so_far": self.so_far(standing),
        }

    def so_far(self, standing: pd.DataFrame) -> str:
        """Return the agreement in `standing` as sentences; empty without items."""
        known = [one in self._reference for one in (*standing["left_id"], *standing["right_id"])]
        return calibration_in_words(standing, self._reference) if any(known) else ""

    def reviewed(self, standing: pd.DataFrame, pairs: Pairs) -> list[dict[str, Any]]:
        """Return the judged items that have a reference and are among `pairs`, in order.

        Keys: card (`Pairs.as_card`), act (the judgement as the page sent it) and those of `on`.
        """
        events = standing.to_dict("records")
        return [
            {
                "card": pairs.as_card({name: event[name] for name in ITEM}),
                "act": _own_judgement(event),
                **self.on(event, standing),
            }
            for event in events
            if pairs.knows(event) and self._knows(event)
        ]

    def _knows(self, event: Mapping[str, Any]) -> bool:
        """Return whether both responses of a judgement have a reference."""
        return all(event[f"{side}_id"] in self._reference for side in SIDES)


def known(
    reference: Mapping[str, bool] | Callable[[], tuple[Any, Any]] | None,
    others: Mapping[str, Any] | None,
) -> Feedback:
    """Return the feedback from `reference` and `others`, or from what the function returns now."""
    if reference is None or isinstance(reference, Mapping):
        return Feedback(reference or {}, others)
    return Feedback(*reference())


def _own_judgement(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an annotator's judgement as the page sent it: ticks, reasons and note."""
    flags = {name: None if pd.isna(event[name]) else bool(event[name]) for name in _FLAGS}
    return {**flags, "reasons": list(event["reasons"]), "note": plain(event["note"])}

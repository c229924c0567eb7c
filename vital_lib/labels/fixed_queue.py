"""Rows that one annotator judges in their own order: a calibration round, an adjudication.

This module claims nothing: these rows are for one annotator alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from vital_lib.labels.log import LabelLog, check_text


class FixedQueue:
    """Rows handed out in their own order: a calibration round, an adjudication.

    Args:
        rows: columns item_id, left_id, right_id and, where they matter, queue_arm, figure_id.
        log: where given, rows that `annotator` has judged in their arm are left out.
    """

    def __init__(self, rows: pd.DataFrame, annotator: str, log: LabelLog | None = None) -> None:
        check_text("annotator", annotator)
        self.annotator, self._log = annotator, log
        plain = rows.astype(object).where(rows.notna(), None).to_dict("records")
        self._rows = [{"queue_arm": "random", "repeat_of": None, **row} for row in plain]
        self._handed: set[int] = set()

    @property
    def progress(self) -> tuple[int, int]:
        """How many rows are judged (without a log: handed out), and how many there are."""
        return len(self._handed if self._log is None else self._judged()), len(self._rows)

    def take(self, n: int = 1) -> list[dict[str, Any]]:
        """The next `n` rows, fewer at the end; with a log, none that the annotator has judged."""
        passed = self._handed | self._judged()
        places = [place for place in range(len(self._rows)) if place not in passed][:n]
        self._handed.update(places)
        return [dict(self._rows[place]) for place in places]

    def hold(self, row: dict[str, Any]) -> None:
        """Nothing: these rows are claimed by nobody else."""

    def still_open(self, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those of `rows` that are not judged in their arm; without a log, all."""
        done = self._done()
        return [row for row in rows if (row["item_id"], row["queue_arm"]) not in done]

    def release(self) -> None:
        """Let the rows handed out be handed out again; with a log, those not judged."""
        self._handed.clear()

    def _judged(self) -> set[int]:
        done = self._done()
        return {n for n, row in enumerate(self._rows) if (row["item_id"], row["queue_arm"]) in done}

    def _done(self) -> set[tuple[str, str]]:
        """The item and arm of everything judged."""
        if self._log is None:
            return set()
        arms = {row["queue_arm"] for row in self._rows}
        said = self._log.standing(self.annotator, arms=arms)
        return set(zip(said["item_id"], said["queue_arm"], strict=True))

"""A queue with a fixed order for one annotator: a calibration round or an adjudication.

It takes no leases, because no other annotator judges its rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from vital_lib.labels.events import check_text
from vital_lib.labels.log import LabelLog


class FixedQueue:
    """Rows handed out in the given order.

    Args:
        rows: columns item_id, left_id, right_id; optionally drawn_by, repeat_of, figure_id.
        log: if given, rows that `annotator` has judged in their arm are left out.
    """

    def __init__(self, rows: pd.DataFrame, annotator: str, log: LabelLog | None = None) -> None:
        check_text("annotator", annotator)
        self.annotator, self._log = annotator, log
        plain = rows.astype(object).where(rows.notna(), None).to_dict("records")
        self._rows = [{"drawn_by": "random", "repeat_of": None, **row} for row in plain]
        self._handed_out: set[int] = set()

    @property
    def progress(self) -> tuple[int, int]:
        """Number of rows judged (without a log: handed out), and number of all rows."""
        return len(self._handed_out if self._log is None else self._judged()), len(self._rows)

    def take(self, n: int = 1) -> list[dict[str, Any]]:
        """Return the next `n` rows, fewer at the end; with a log, only rows not judged yet."""
        skipped = self._handed_out | self._judged()
        places = [place for place in range(len(self._rows)) if place not in skipped][:n]
        self._handed_out.update(places)
        return [dict(self._rows[place]) for place in places]

    def hold(self, row: dict[str, Any]) -> None:
        """Do nothing: these rows need no lease."""

    def still_open(self, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the `rows` not judged in their arm yet; without a log, all of them."""
        done = self._done()
        return [row for row in rows if (row["item_id"], row["drawn_by"]) not in done]

    def release(self) -> None:
        """Make the handed-out rows available again; with a log, only those not judged yet."""
        self._handed_out.clear()

    def _judged(self) -> set[int]:
        done = self._done()
        return {n for n, row in enumerate(self._rows) if (row["item_id"], row["drawn_by"]) in done}

    def _done(self) -> set[tuple[str, str]]:
        """Return item and arm of each judgement of the annotator in these arms."""
        if self._log is None:
            return set()
        arms = {str(row["drawn_by"]) for row in self._rows}
        judged = self._log.standing(self.annotator, arms=arms)
        return set(zip(judged["item_id"], judged["drawn_by"], strict=True))

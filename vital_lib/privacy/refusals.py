"""Refusals in the log of clearances: figures that were rejected, or of which parts were removed.

Table figures holds the decisions as they were when notebook 01 wrote it. A refusal holds at once,
and for other figures with the same file.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

import pandas as pd

from vital_lib.privacy.log import ClearanceLog, text_hash

_NEWER = "a newer decision is in the log of clearances: run the last cells of notebook 01 again"
_SAME_FILE = "its image file was rejected or redacted as another figure: decide on this one, too"
_SAME_TEXTS = "words of its texts were removed in another figure: decide on this one, too"


class Refusals:
    """The newest refusals of a log.

    Args:
        decisions: as `ClearanceLog.decisions` returns them.
    """

    def __init__(self, decisions: pd.DataFrame) -> None:
        newest = decisions.drop_duplicates(["figure_id", "sha256"], keep="last")
        boxed = newest["boxes"].map(len).gt(0)
        self._files = set(newest["sha256"][boxed | ~newest["cleared"].astype(bool)])
        newest = decisions.drop_duplicates(["figure_id", "text_sha256"], keep="last")
        self._texts = set(newest["text_sha256"][newest["spans"].map(len).gt(0)])

    def of_the_same(self, row: Mapping[str, Any]) -> str | None:
        """Return why no rule clears a row of table figures, by decisions on others; or None."""
        if row["sha256"] in self._files:
            return _SAME_FILE
        return _SAME_TEXTS if text_hash(row) in self._texts else None


def with_newer_refusals(
    figures: pd.DataFrame, run: str | PathLike[str], known: int | None
) -> pd.DataFrame:
    """Return table figures, in which no figure is cleared that was refused since.

    Args:
        figures: table figures as it was written.
        run: the run's folder, with its log of clearances.
        known: the number of decisions in the log when the table was made; None if it is not known.
            Then a refusal is newer unless the table has the time of it.

    Raises:
        DamagedLog: the log cannot be read.
    """
    newer = ClearanceLog(run).decisions().iloc[known or 0 :]
    last = newer.drop_duplicates("figure_id", keep="last")
    removed = last["boxes"].map(len) + last["spans"].map(len)
    refused = last[removed.gt(0) | ~last["cleared"].astype(bool)]
    at = figures["figure_id"].map(dict(zip(refused["figure_id"], refused["at"], strict=True)))
    held = at.notna() & (at.ne(figures["cleared_at"]) | (known is not None))
    if not held.any():
        return figures
    return figures.assign(
        cleared=figures["cleared"].astype(object).mask(held, None),
        cleared_reason=figures["cleared_reason"].mask(held, _NEWER),
    )

"""Refusals in the log of clearances: figures that were rejected, or of which parts were removed.

Table figures holds the decisions as they were when notebook 01 wrote it. A refusal holds at once,
and for other figures, and questions of benchmarks, with the same file.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from os import PathLike
from typing import Any

import pandas as pd

from vital_lib.figures import is_cleared
from vital_lib.privacy.log import ClearanceLog, text_hash

_NEWER = "a newer decision is in the log of clearances: run the last cells of notebook 01 again"
_SAME_FILE = "its image file was rejected or redacted as another figure: decide on this one, too"
_SAME_TEXTS = "words of its texts were removed in another figure: decide on this one, too"


class Refusals:
    """The newest refusals of a log; `files` are the hashes of refused image files.

    Args:
        decisions: as `ClearanceLog.decisions` returns them.
    """

    def __init__(self, decisions: pd.DataFrame) -> None:
        newest = decisions.drop_duplicates(["figure_id", "sha256"], keep="last")
        boxed = newest["boxes"].map(len).gt(0)
        self.files = set(newest["sha256"][boxed | ~newest["cleared"].astype(bool)])
        newest = decisions.drop_duplicates(["figure_id", "text_sha256"], keep="last")
        self._texts = set(newest["text_sha256"][newest["spans"].map(len).gt(0)])

    def of_the_same(self, row: Mapping[str, Any]) -> str | None:
        """Return why no rule clears a row of table figures, by decisions on others; or None."""
        if row["sha256"] in self.files:
            return _SAME_FILE
        return _SAME_TEXTS if self._texts and text_hash(row) in self._texts else None


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
    decisions = ClearanceLog(run).decisions()
    newer, elsewhere = decisions.iloc[known or 0 :], Refusals(decisions)
    last = newer.drop_duplicates("figure_id", keep="last")
    removed = last["boxes"].map(len) + last["spans"].map(len)
    refused = last[removed.gt(0) | ~last["cleared"].astype(bool)]
    at = figures["figure_id"].map(dict(zip(refused["figure_id"], refused["at"], strict=True)))
    held = at.notna() & (at.ne(figures["cleared_at"]) | (known is not None))
    by_rule = figures["cleared_by"].fillna("(").str.startswith("(") & is_cleared(figures)
    same = [
        elsewhere.of_the_same(row) if ruled else None
        for row, ruled in zip(figures.to_dict("records"), by_rule, strict=True)
    ]
    return _held(figures, pd.Series(same, figures.index, object).mask(held, _NEWER))


def questions_held(questions: pd.DataFrame, refused: Collection[str]) -> pd.DataFrame:
    """Return table questions, in which none about a refused image file is cleared.

    Args:
        questions: columns sha256, cleared, cleared_reason.
        refused: hashes of files (`refused_files`).
    """
    held = questions["sha256"].isin(set(refused))
    return _held(questions, held.map({True: _SAME_FILE}).astype(object))


def refused_files(run: str | PathLike[str]) -> set[str]:
    """Return the hashes of the image files that were rejected or redacted.

    Raises:
        DamagedLog: the log cannot be read.
    """
    return Refusals(ClearanceLog(run).decisions()).files


def _held(rows: pd.DataFrame, why: pd.Series) -> pd.DataFrame:
    """Return the rows; each with a reason is not cleared."""
    if why.isna().all():
        return rows
    return rows.assign(
        cleared=rows["cleared"].astype(object).where(why.isna(), None),
        cleared_reason=rows["cleared_reason"].where(why.isna(), why),
    )

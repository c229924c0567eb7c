"""Whether a figure may leave the workbench: the one rule that every way out applies.

A figure is cleared by its row of table `figures` (or `questions`), and only as the file that the
row names: an image whose bytes have another hash than the row's is not cleared. Whatever states no
clearance is not cleared. This module decides nothing about a figure; ``vital_lib.privacy`` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd


class NotCleared(ValueError):
    """Raised instead of letting a figure leave; the message names the figure and the reason."""


class Clearance(NamedTuple):
    """Whether the image and the texts of a figure may leave, and why."""

    figure: str
    cleared: bool
    reason: str

    @property
    def refusal(self) -> str | None:
        """Why the figure may not leave, or None if it may."""
        return None if self.cleared else f"{self.figure} is not cleared: {self.reason}"


CLINIC = "comes with the workbench's clinic"
"""Why phantoms, and questions about them, are cleared."""

UNCHECKED = "nobody has checked it"
_NOT_STATED = Clearance("a text", False, "its prompt does not state whose figure it is about")


def clearance_of(row: Mapping[str, Any]) -> Clearance:
    """Return the clearance of a row of table `figures` or `questions`.

    Only a true value in `cleared` clears; a null, a missing column, a number or a text does not.
    """
    name = row.get("figure_id")
    name = row.get("question_id") if name is None or pd.isna(name) else name
    cleared = row.get("cleared")
    reason = row.get("cleared_reason")
    stated = reason if isinstance(reason, str) and reason else UNCHECKED
    is_true = isinstance(cleared, bool | np.bool_) and bool(cleared)
    return Clearance(str(name), is_true, stated)


def clearances(rows: pd.DataFrame) -> list[Clearance]:
    """Return the clearance of each row."""
    names = ("figure_id", "question_id", "cleared", "cleared_reason")
    return [clearance_of(row) for row in rows[rows.columns.intersection(names)].to_dict("records")]


def is_cleared(rows: pd.DataFrame) -> np.ndarray:
    """Return which rows of table `figures` or `questions` are cleared, as booleans (n,)."""
    return np.array([one.cleared for one in clearances(rows)], dtype=bool)


def refusal_of(stated: Iterable[Clearance] | None) -> str | None:
    """Return why what is about these figures may not leave, or None; None states no figure."""
    each = (_NOT_STATED,) if stated is None else stated
    return next((one.refusal for one in each if not one.cleared), None)


def held_back_in_words(rows: pd.DataFrame, what: str = "figures") -> str:
    """Return how many rows are not cleared, why, and what to do; empty if all are cleared."""
    held = [one for one in clearances(rows) if not one.cleared]
    if not held:
        return ""
    reasons = pd.Series([one.reason for one in held]).value_counts()
    why = "; ".join(f"{n:,}: {reason}" for reason, n in reasons.head(3).items())
    others = int(reasons.iloc[3:].sum())
    more = f"; {others:,}: other reasons" if others else ""
    return (
        f"{len(held):,} of {len(rows):,} {what} are not cleared: held back ({why}{more}). Clear "
        "them in notebook 01, with cleared_sources or one by one, or use a model of your own "
        "(local = True)"
    )

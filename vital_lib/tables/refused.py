"""Holds back what a person refused after a table of figures or questions was written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

DECISIONS = "decisions"
"""How many decisions of the log of clearances a table figures knows: in its frame's `attrs` and in
the origin of its file."""


def as_refused(
    name: str, rows: pd.DataFrame, run: Path, origin: Mapping[str, Any] | None
) -> pd.DataFrame:
    """Return the rows of a table; of figures and questions, what was refused since is not cleared.

    Args:
        run: the run's folder, with its log of clearances if anything was decided.
        origin: as the table's file holds it.
    """
    if name not in ("figures", "questions") or not (run / "clearances.sqlite").exists():
        return rows
    from vital_lib.privacy import refusals  # a package above this one

    if name == "questions":
        return refusals.questions_held(rows, refusals.refused_files(run))
    return refusals.with_newer_refusals(rows, run, (origin or {}).get(DECISIONS))

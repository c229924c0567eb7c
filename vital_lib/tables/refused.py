"""Holds back figures that a person refused after the table figures was written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

DECISIONS = "decisions"
"""How many decisions of the log of clearances a table figures knows: in its frame's `attrs` and in
the origin of its file."""


def as_refused(figures: pd.DataFrame, run: Path, origin: Mapping[str, Any] | None) -> pd.DataFrame:
    """Return table figures; a figure that was refused since is not cleared.

    Args:
        run: the run's folder, with its log of clearances if anything was decided.
        origin: as the table's file holds it.
    """
    if not (run / "clearances.sqlite").exists():
        return figures
    from vital_lib.privacy.refusals import with_newer_refusals  # a package above this one

    return with_newer_refusals(figures, run, (origin or {}).get(DECISIONS))

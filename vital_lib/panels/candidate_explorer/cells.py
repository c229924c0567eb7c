"""What the table shows of a row, as text, and what it says of the clinic's simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from vital_lib.annotators import Votes, is_simulated
from vital_lib.panels._panel import listed, plain
from vital_lib.tables import ARMS, decimals

_CUT = 240  # characters of a text in the table
_SHOWN = ("arm", "rating", "accepted", "score", "flags", "instruction", "response")


def cells_of(rows: pd.DataFrame, places: np.ndarray, sorted_by: str | None) -> list[dict[str, Any]]:
    """Return the cells of the rows at `places`; `sorted` is a column that has no cell."""
    hidden = None if sorted_by in (None, *_SHOWN) else sorted_by
    read = [name for name in rows if name in (*_SHOWN, "stage", "annotators", hidden)]
    return [
        _cells(row) | {"sorted": _short(row[hidden]) if hidden else None}
        for row in rows[read].take(places).to_dict("records")
    ]


def _cells(row: dict[str, Any]) -> dict[str, Any]:
    arm, accepted = plain(row.get("arm")), row.get("accepted")
    judged = accepted is not None and not pd.isna(accepted)
    return {
        "instruction": _short(row.get("instruction")),
        "response": _short(row.get("response")),
        "arm": "draft" if row.get("stage") == "draft" else ARMS.get(arm, arm).split(" ")[0],
        "rating": decimals(row.get("rating"), 1),
        "accepted": f"{accepted * row['annotators']:.0f} of {row['annotators']}" if judged else "",
        "score": decimals(row.get("score"), 2),
        "flags": len(listed(row.get("flags"))),
    }


def _short(value: Any) -> str:
    return plain(value)[:_CUT]


def simulated(rows: pd.DataFrame, ticks: pd.DataFrame | None) -> str:
    """Say which of the texts and ticks come from the clinic's simulation."""
    writers = rows["generator"].unique() if "generator" in rows else ()
    simulated = ["texts"] if "clinic" in writers else []
    if ticks is not None and len(ticks):
        n = ticks["annotator"].value_counts()
        votes = Votes(len(ticks), int(sum(n[name] for name in n.index if is_simulated(name))))
        simulated += [f"ticks of {votes.who}"] if votes.simulated else []
    return f"simulated by the clinic: {' and '.join(simulated)}" if simulated else ""

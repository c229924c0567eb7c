"""The columns that a page gets once, as bytes, so that a drag needs no message from the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from vital_lib.panels.score_explorer.items import Facet
from vital_lib.panels.score_explorer.picking import AGAINST
from vital_lib.panels.score_explorer.pool_cut import NEVER, PoolCut

Message = tuple[dict[str, Any], list[bytes]]


def points_message(
    items: pd.DataFrame,
    sets: Mapping[str, np.ndarray],
    facets: Mapping[str, Facet],
    curves: Mapping[str, Any],
) -> Message:
    """Return each row's score, sets (one bit each), other opinions and groups, with their names.

    Args:
        items: of `scored_items`, best first.
        sets: name -> (n,) whether each row is in the set.
        facets, curves: of `facets_of` and `curves_of`.
    """
    bits = sum(rows.astype(np.uint8) << place for place, rows in enumerate(sets.values()))
    numbers = [items[name].to_numpy(np.float32) for name in ("score", *AGAINST)]
    codes = [facet.codes for facet in facets.values()]
    named = {
        name: {"label": facet.label, "names": facet.names, "colours": facet.colours}
        for name, facet in facets.items()
    }
    content = {"points": len(items), "facets": named, "curves": dict(curves)}
    return content, _bytes(numbers[0], bits, *numbers[1:], *codes)


def cut_message(items: pd.DataFrame, cut: PoolCut) -> Message:
    """Return each row's group and place in it, and the quotas, line and share of each step."""
    places = cut.places.reindex(items["candidate_id"])
    group, place = places["group"].fillna(0), places["place"].fillna(NEVER)
    columns = [group.astype(np.int32), place.astype(np.int32), cut.grid]
    numbers = [cut.lines.astype(np.float32), cut.shares]
    return {"cut": len(cut.shares)}, _bytes(*columns, *numbers)


def _bytes(*columns: Any) -> list[bytes]:
    return [np.ascontiguousarray(column).tobytes() for column in columns]

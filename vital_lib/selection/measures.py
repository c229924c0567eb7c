"""What people make of the selected set and of its controls: accepted shares, and differences."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from vital_lib.statistics import Interval, mean_interval, share_difference_interval


def accepted_shares(
    chosen: Mapping[str, pd.DataFrame],
    ticks: pd.DataFrame,
    groups: Mapping[str, str] | pd.Series,
    *,
    of: str = "selected",
    seed: int = 0,
) -> dict[str, Interval]:
    """The share of ticks in each chosen set, and how far that of set `of` lies above the others.

    Intervals are drawn over articles; a difference sees one draw of articles for both sets, so
    what the sets share cancels.

    Args:
        chosen: name -> rows with candidate_id. One that stands several times counts as often, so
            that several random draws can stand in one frame.
        ticks: candidate_id, figure_id, accepted: any number of ticks and crosses of each.
        groups: figure_id -> article or patient.

    Returns:
        `<name>` for every set, and `<of>_minus_<name>` for every other than `of`.

    Raises:
        ValueError: a set that no one ticked, or a candidate in it.
    """
    group = dict(groups)
    ticked = {name: rows[["candidate_id"]].merge(ticks) for name, rows in chosen.items()}
    for name, rows in chosen.items():
        lost = set(rows["candidate_id"]) - set(ticks["candidate_id"])
        if lost or rows.empty:
            raise ValueError(
                f"{len(lost)} of {len(rows)} candidates of {name!r} have no tick or cross, first "
                f"{min(lost, default=None)!r}: have every chosen candidate judged"
            )
    sides = {
        name: (rows["accepted"].astype(float), rows["figure_id"].map(group))
        for name, rows in ticked.items()
    }
    found = {name: mean_interval(*side, seed=seed) for name, side in sides.items()}
    for name, side in sides.items():
        if name != of:
            both = share_difference_interval(*sides[of], *side, seed=seed)
            found[f"{of}_minus_{name}"] = both
    return found

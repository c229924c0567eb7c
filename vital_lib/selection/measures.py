"""Acceptance of the selected set and of its controls: accepted shares and differences."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from vital_lib.statistics import Interval, mean_interval, share_difference_interval


def accepted_shares(
    chosen: Mapping[str, pd.DataFrame],
    ticks: pd.DataFrame,
    *,
    of: str = "selected",
    seed: int = 0,
) -> dict[str, Interval]:
    """Return the accepted share of votes in each set, and its difference from set `of`.

    Intervals resample articles. A difference uses the same resample for both sets, so shared
    candidates cancel out.

    Args:
        chosen: name -> rows with candidate_id and group_id. A repeated candidate counts each time,
            so one frame can hold several random draws.
        ticks: candidate_id, accepted; any number of votes per candidate.

    Returns:
        `<name>` for every set, and `<of>_minus_<name>` for every set other than `of`.

    Raises:
        ValueError: an empty set, or candidates in a set without votes.
    """
    votes = ticks[["candidate_id", "accepted"]]
    ticked = {
        name: rows[["candidate_id", "group_id"]].merge(votes) for name, rows in chosen.items()
    }
    for name, rows in chosen.items():
        missing = set(rows["candidate_id"]) - set(ticks["candidate_id"])
        if missing or rows.empty:
            raise ValueError(
                f"{len(missing)} of {len(rows)} candidates of {name!r} have no vote, first "
                f"{min(missing, default=None)!r}: label every chosen candidate"
            )
    sides = {
        name: (rows["accepted"].astype(float), rows["group_id"]) for name, rows in ticked.items()
    }
    found = {name: mean_interval(*side, seed=seed) for name, side in sides.items()}
    for name, side in sides.items():
        if name != of:
            both = share_difference_interval(*sides[of], *side, seed=seed)
            found[f"{of}_minus_{name}"] = both
    return found

"""Acceptance of the selected set and its controls, and of every share that a cut could keep."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from vital_lib.selection.cut import Grouping, Scores, top_candidates
from vital_lib.statistics import Interval, mean_interval, share_difference_interval, sums_intervals


def accepted_shares(
    chosen: Mapping[str, pd.DataFrame], ticks: pd.DataFrame, *, of: str = "selected", seed: int = 0
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


def accepted_by_share(
    candidates: pd.DataFrame,
    rankings: Mapping[str, Scores],
    ticks: pd.DataFrame,
    *,
    shares: Sequence[float] = tuple(np.arange(1, 21) / 20),
    within: Grouping | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the accepted share of votes among the best candidates, for each share and ranking.

    Give held-out candidates: those that a selector learned from would flatter it. A random choice
    accepts the mean of all candidates at every share, with the interval of that mean.

    Args:
        candidates: columns candidate_id, group_id and those in `within`.
        rankings: name -> scores as for `cut`. All are compared on the same candidates: those that
            have a score in every ranking.
        ticks: candidate_id, accepted; any number of votes per candidate. Candidates without a
            vote are left out.
        shares: shares of the candidates to keep, each above 0 and at most 1.

    Returns:
        ranked_by, share, accepted, low, high (95 %, bootstrap over articles), candidates (kept) and
        articles; no rows if no candidate has a vote and all scores.
    """
    columns = ["ranked_by", "share", "accepted", "low", "high", "candidates", "articles"]
    voted = candidates[candidates["candidate_id"].isin(ticks["candidate_id"])]
    for numbers in rankings.values():
        voted = voted[voted["candidate_id"].map(pd.Series(numbers, dtype=float)).notna()]
    if voted.empty:
        return pd.DataFrame(columns=columns)

    votes = ticks.groupby("candidate_id")["accepted"].agg(["sum", "size"]).astype(float)
    sums, sizes = votes.loc[voted["candidate_id"]].to_numpy().T  # (n,) each
    numbers = {share: max(1, round(share * len(voted))) for share in shares}
    masks = {}
    for (name, scores), share in itertools.product(rankings.items(), shares):
        how = {"within": within, "seed": seed, "flagged": True}
        kept = top_candidates(voted, scores, n=numbers[share], **how)["candidate_id"]
        masks[name, share] = voted["candidate_id"].isin(kept).to_numpy(float)
    masks |= {("random", share): np.ones(len(voted)) for share in shares}
    of_kept = np.stack([*masks.values()])  # (m, n)

    def accepted(totals: np.ndarray) -> np.ndarray:  # (R, 2m) -> (R, m)
        with np.errstate(invalid="ignore"):
            return totals[:, : len(masks)] / totals[:, len(masks) :]

    both = np.concatenate([of_kept * sums, of_kept * sizes])
    counted = [numbers[share] for _, share in masks]
    found = sums_intervals(voted["group_id"], both, accepted, n=counted, seed=seed)
    rows = [
        (*name, each.estimate, each.low, each.high, each.n, each.groups)
        for name, each in zip(masks, found, strict=True)
    ]
    return pd.DataFrame(rows, columns=columns)

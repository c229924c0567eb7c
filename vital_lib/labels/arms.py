"""Votes on pairs of two prompts or arms: the comparison, and the votes on the original candidates.

The pairs and their key come from ``generation.paired_drafts``.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from vital_lib.labels.votes import votes_long
from vital_lib.statistics import difference_interval, mean_interval, share_difference_interval
from vital_lib.tables import column_of, refuse_strays


def compare_arms(
    preferences: pd.DataFrame, key: pd.DataFrame, *, seed: int = 0
) -> dict[str, float]:
    """Compare sides a and b by the labels of the pairs of `generation.paired_drafts`.

    A label is a win for the side that alone was accepted, and a tie if both or neither were.

    Args:
        preferences: columns of table `preferences`; items that are not in `key` and skips are
            left out.
        key: the key of `generation.paired_drafts`.

    Returns:
        ``arms.a_win_rate``: (wins + half the ties) / labels; ``arms.a_minus_b_accepted``: the
        difference of the acceptance rates; both with 95 % intervals over articles. Counts:
        ``arms.a_wins``, ``arms.b_wins``, ``arms.ties``, ``arms.skips``, ``arms.pairs`` labelled.

    Raises:
        ValueError: no pair is labelled, or a labelled response is not in `key`.
    """
    own = preferences[preferences["item_id"].isin(key["instruction_id"])]
    judged = own.dropna(subset=["left_accepted", "right_accepted"])
    if judged.empty:
        raise ValueError(
            f"none of {len(preferences)} labels is for a pair in the key: give their key"
        )
    pairs = {"what": "labels", "to": "pairs"}
    side_of = key.set_index("candidate_id")["side"]
    for side in ("left_id", "right_id"):  # labels may be older than the arms
        refuse_strays(judged, side, side_of.index, **pairs)
    left_is_a = (judged["left_id"].map(side_of) == "a").to_numpy()
    left, right = (judged[f"{side}_accepted"].to_numpy(float) for side in ("left", "right"))
    a, b = np.where(left_is_a, [left, right], [right, left])
    groups = column_of(judged["item_id"], "group_id", key, "instruction_id", **pairs)
    return {
        **mean_interval((1 + a - b) / 2, groups, seed=seed).metrics("arms.a_win_rate"),
        **difference_interval(a, b, groups, seed=seed).metrics("arms.a_minus_b_accepted"),
        "arms.a_wins": int((a > b).sum()),
        "arms.b_wins": int((a < b).sum()),
        "arms.ties": int((a == b).sum()),
        "arms.skips": len(own) - len(judged),
        "arms.pairs": int(judged["item_id"].nunique()),
    }


def ticks_of_pairs(preferences: pd.DataFrame, key: pd.DataFrame) -> pd.DataFrame:
    """Convert the labels of pairs to ticks and crosses of the original candidates.

    Args:
        preferences, key: as in `compare_arms`.

    Returns:
        Columns candidate_id, figure_id, annotator, accepted (True or False), as in
        ``Clinicians.ticks``. Skips and items that are not in `key` are left out.
    """
    sides = key.set_index("candidate_id")[["original_id", "figure_id"]]
    ticks = votes_long(preferences).join(sides, on="candidate_id", how="inner")
    ticks = ticks.assign(candidate_id=ticks["original_id"], accepted=ticks["accepted"].astype(bool))
    return ticks[["candidate_id", "figure_id", "annotator", "accepted"]].reset_index(drop=True)


def accepted_by_arm(
    ticks: pd.DataFrame, candidates: pd.DataFrame, *, seed: int = 0
) -> dict[str, float]:
    """Return ``candidates.accepted_share_<arm>`` for each arm, and what `clinician` adds to others.

    The differences are ``candidates.accepted_share_clinician_minus_<arm>``; all have 95 % intervals
    over articles.

    Args:
        ticks: columns candidate_id and accepted, as `ticks_of_pairs` returns.
        candidates: columns candidate_id, arm and group_id.

    Raises:
        ValueError: a tick is not about one of the candidates.
    """
    refuse_strays(ticks, "candidate_id", candidates["candidate_id"], what="ticks", to="candidates")
    ticked = ticks.merge(candidates[["candidate_id", "arm", "group_id"]], on="candidate_id")
    found: dict[str, float] = {}
    for arm, rows in ticked.groupby("arm"):
        share = mean_interval(rows["accepted"], rows["group_id"], seed=seed)
        found |= share.metrics(f"candidates.accepted_share_{arm}")
    own = ticked[ticked["arm"] == "clinician"]
    for arm, rows in ticked[ticked["arm"] != "clinician"].groupby("arm") if len(own) else ():
        sides = (part[name] for part in (own, rows) for name in ("accepted", "group_id"))
        ahead = share_difference_interval(*sides, seed=seed)
        found |= ahead.metrics(f"candidates.accepted_share_clinician_minus_{arm}")
    return found

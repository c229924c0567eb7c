"""Counts of votes: acceptance shares, majorities, and the group of each vote.

The functions take and return plain frames and do not open the log.
"""

from __future__ import annotations

import pandas as pd


def accepted_share(preferences: pd.DataFrame) -> pd.DataFrame:
    """Return the acceptance share of each response: candidate_id, accepted, annotators.

    `accepted` is the share of annotators who accepted it, 0 to 1, and `annotators` is their number.
    Skips do not count.

    Args:
        preferences: columns of table `preferences`.
    """
    ticks = votes_long(preferences).groupby("candidate_id", sort=False)["accepted"]
    shares = ticks.agg(["mean", "size"]).reset_index()
    return shares.set_axis(["candidate_id", "accepted", "annotators"], axis=1)


def majority_ticks(preferences: pd.DataFrame) -> pd.DataFrame:
    """Return the majority vote on each response, one row per item.

    Columns item_id, first_id, second_id (its two responses, sorted by id), first_accepted,
    second_accepted: True or False, or null if exactly half of the annotators accepted it.

    Raises:
        ValueError: an item with votes on more or fewer than two responses.
    """
    ticks = votes_long(preferences)
    shares = ticks.groupby(["item_id", "candidate_id"])["accepted"].mean().reset_index()
    sizes = shares.groupby("item_id").size()
    if (sizes != 2).any():
        item = sizes[sizes != 2].index[0]
        raise ValueError(f"item {item!r} was judged on {sizes[item]} responses: give exactly two")
    shares["tick"] = (shares["accepted"] > 0.5).astype("boolean").mask(shares["accepted"] == 0.5)
    first, second = (shares.iloc[place::2].reset_index(drop=True) for place in (0, 1))
    return pd.DataFrame(
        {
            "item_id": first["item_id"],
            "first_id": first["candidate_id"],
            "second_id": second["candidate_id"],
            "first_accepted": first["tick"],
            "second_accepted": second["tick"],
        }
    )


def decided_items(preferences: pd.DataFrame) -> list[str]:
    """Return ids of items whose majority accepted one response and rejected the other."""
    votes = majority_ticks(preferences)
    decided = (votes["first_accepted"] != votes["second_accepted"]).fillna(False)
    return list(votes["item_id"][decided.astype(bool)])


def check_same_texts(preferences: pd.DataFrame, before: pd.DataFrame, after: pd.DataFrame) -> None:
    """Refuse drafts that change the text of a response that was judged.

    Args:
        preferences: the votes so far; columns left_id, right_id.
        before, after: the present drafts and the new ones; columns candidate_id, instruction,
            response.

    Raises:
        ValueError: the text of a judged response would change. The message gives the number of
            such responses and the first of them.
    """
    judged = set(preferences["left_id"]) | set(preferences["right_id"])
    texts = ["candidate_id", "instruction", "response"]
    both = before[texts].merge(after[texts], on="candidate_id", suffixes=("", "_after"))
    both = both[both["candidate_id"].isin(judged)]
    same = (both["instruction"] == both["instruction_after"]) & (
        both["response"] == both["response_after"]
    )
    if not same.all():
        raise ValueError(
            f"{(~same).sum():,} of {len(both):,} judged responses would get another text, first "
            f"{both['candidate_id'][~same].iloc[0]!r}: a label belongs to the text judged. "
            "Copy the run folder without its labels.sqlite and draft in the copy: paid replies are "
            "in its ledger and are not requested again"
        )


def votes_long(preferences: pd.DataFrame) -> pd.DataFrame:
    """Return one row per tick: item_id, annotator, candidate_id, accepted (0.0 or 1.0)."""
    sides = [
        preferences[["item_id", "annotator", f"{side}_id", f"{side}_accepted"]].set_axis(
            ["item_id", "annotator", "candidate_id", "accepted"], axis=1
        )
        for side in ("left", "right")
    ]
    ticks = pd.concat(sides).dropna(subset="accepted")
    return ticks.assign(accepted=ticks["accepted"].astype(float))

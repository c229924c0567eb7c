"""What the judgements amount to: votes, shares, groups.

Plain frames in and out; the log itself is not opened here.
"""

from __future__ import annotations

import pandas as pd


def accepted_share(preferences: pd.DataFrame) -> pd.DataFrame:
    """How much of its annotators accepted each response: candidate_id, accepted, annotators.

    `accepted` is a share from 0 to 1, `annotators` how many judged; skips are left out.

    Args:
        preferences: columns of table `preferences`.
    """
    ticks = votes_long(preferences).groupby("candidate_id", sort=False)["accepted"]
    shares = ticks.agg(["mean", "size"]).reset_index()
    return shares.set_axis(["candidate_id", "accepted", "annotators"], axis=1)


def majority_ticks(preferences: pd.DataFrame) -> pd.DataFrame:
    """The tick or cross of each response by the majority of its annotators, one row per item.

    Columns item_id, first_id, second_id (its two responses, by id), first_accepted,
    second_accepted: True or False, or null where exactly half of the annotators accepted it.

    Raises:
        ValueError: an item whose rows name other than two responses.
    """
    ticks = votes_long(preferences)
    shares = ticks.groupby(["item_id", "candidate_id"])["accepted"].mean().reset_index()
    sizes = shares.groupby("item_id").size()
    if (sizes != 2).any():
        item = sizes[sizes != 2].index[0]
        raise ValueError(f"item {item!r} was judged on {sizes[item]} responses: two are compared")
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
    """Ids of the items of which the majority accepted one response and rejected the other."""
    votes = majority_ticks(preferences)
    decided = (votes["first_accepted"] != votes["second_accepted"]).fillna(False)
    return list(votes["item_id"][decided.astype(bool)])


def check_same_texts(preferences: pd.DataFrame, before: pd.DataFrame, after: pd.DataFrame) -> None:
    """Refuse drafts that put another text under the id of a response that was judged.

    Args:
        preferences: columns left_id, right_id: the votes so far.
        before, after: the drafts as they are and as they would be; columns candidate_id,
            instruction, response.

    Raises:
        ValueError: how many judged responses would change, the first of them, and the way out.
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
            f"{both['candidate_id'][~same].iloc[0]!r}: a label belongs to the text that was read. "
            "Copy the run folder without its labels.sqlite and draft there: what was paid for is "
            "in its ledger and not asked again"
        )


def groups_of(preferences: pd.DataFrame, drafts: pd.DataFrame, figures: pd.DataFrame) -> list[str]:
    """The group_id (article or patient) of each row of `preferences`, through drafts and figures.

    Raises:
        ValueError: items that are not in `drafts`, or whose figures are not in `figures`.
    """
    figure_of = dict(zip(drafts["instruction_id"], drafts["figure_id"], strict=True))
    group_of = dict(zip(figures["figure_id"], figures["group_id"], strict=True))
    groups = [group_of.get(figure_of.get(item)) for item in preferences["item_id"]]
    lost = [item for item, group in zip(preferences["item_id"], groups, strict=True) if not group]
    if lost:
        raise ValueError(
            f"{len(lost)} of {len(groups)} judgements are of items without a figure, first "
            f"{lost[0]!r}: keep those whose item_id is among the drafts' instruction_id"
        )
    return groups


def votes_long(preferences: pd.DataFrame) -> pd.DataFrame:
    """One row per tick or cross: item_id, annotator, candidate_id, accepted (0.0 or 1.0)."""
    sides = [
        preferences[["item_id", "annotator", f"{side}_id", f"{side}_accepted"]].set_axis(
            ["item_id", "annotator", "candidate_id", "accepted"], axis=1
        )
        for side in ("left", "right")
    ]
    ticks = pd.concat(sides).dropna(subset="accepted")
    return ticks.assign(accepted=ticks["accepted"].astype(float))

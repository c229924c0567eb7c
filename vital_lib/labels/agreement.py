"""How far annotators agree, and what they disagree on.

Plain frames in and out: votes are counted and never merged, and what is done with a disagreement is
decided elsewhere. The log is not opened here; the statistics are those of ``vital_lib.statistics``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations

import pandas as pd

from vital_lib.labels.votes import groups_of, votes_long
from vital_lib.statistics import RESAMPLES, Interval, alpha_interval, ratio_interval

LEAST_GROUPS = 10
"""An interval drawn from fewer groups says less than it seems to, and is not given."""
_UNKNOWN = Interval(math.nan, math.nan, math.nan, 0)
_ADJUDICATED = ["item_id", "left_id", "right_id", "queue_arm", "repeat_of", "figure_id"]


def agreement(
    preferences: pd.DataFrame,
    events: pd.DataFrame,
    drafts: pd.DataFrame,
    figures: pd.DataFrame,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Krippendorff's alpha and raw agreement over single ticks, from the random arm alone.

    Rows, by `kind`: "overall" (scope "all"), "modality" (a figure with several counts under each),
    "pair" ("A and B") and "self" ("self: A", hidden repeats against the judgement they repeat, as
    it was made). Columns scope, kind, items (judged at least twice), and alpha and raw, each with
    _low and _high, 95 % by bootstrap over groups. Raw agreement is the share of pairs of ticks of
    one response that are alike. Skips are no ticks. A scope in which nothing was judged twice, or
    too little to say, has NaN there; so have _low and _high where what was judged twice is of
    fewer than `LEAST_GROUPS` groups, or where they would be one number: that is no interval.

    Args:
        preferences: `LabelLog.preferences()`.
        events: `LabelLog.history()`; the hidden repeats are taken from it, those of items that are
            not among the drafts are left out.
        drafts: columns figure_id, instruction_id.
        figures: columns figure_id, group_id, modalities.

    Raises:
        ValueError: preferences of items that are not among the drafts, or drafts without a figure.
    """
    events = events[events["item_id"].isin(drafts["instruction_id"])]
    votes = preferences[preferences["queue_arm"] == "random"]
    people = sorted(set(votes["annotator"]))
    votes, again = (
        rows.assign(group=groups_of(rows, drafts, figures)) for rows in (votes, _repeats(events))
    )
    flags = dict(zip(figures["figure_id"], figures["modalities"], strict=True))
    figure_of = dict(zip(drafts["instruction_id"], drafts["figure_id"], strict=True))
    stated = [list(flags[figure_of[item]]) or ["not_stated"] for item in votes["item_id"]]
    scopes = [("all", "overall", votes)]
    for name in sorted({name for names in stated for name in names}):
        scopes.append((name, "modality", votes[[name in names for names in stated]]))
    for pair in combinations(people, 2):
        scopes.append((" and ".join(pair), "pair", votes[votes["annotator"].isin(pair)]))
    for person in people:
        rows = again[again["person"] == person]
        rows = rows.assign(item_id=rows["repeat"])  # two repeats of an item are two occasions
        scopes.append((f"self: {person}", "self", rows))
    options = {"seed": seed, "resamples": resamples}
    return pd.DataFrame(
        {"scope": scope, "kind": kind, **_measured(rows, **options)} for scope, kind, rows in scopes
    )


def standing(events: pd.DataFrame) -> pd.DataFrame:
    """The judgements among `events` (of `LabelLog.history()`) neither undone nor replaced."""
    kept = _never_undone(events)
    return kept[~kept["event_id"].isin(set(kept["corrects"].dropna()))]


def disagreements(preferences: pd.DataFrame, drafts: pd.DataFrame) -> pd.DataFrame:
    """One row per response that some accepted and others rejected, the most divided first.

    Columns item_id, candidate_id, accepted_by and rejected_by (lists of annotators), share (of
    those who accepted, 0 to 1), and what `drafts` has of figure_id, instruction, response.

    Args:
        preferences: `LabelLog.preferences()`, all arms.
        drafts: column candidate_id.
    """
    rows = []
    for (item, candidate), ticks in votes_long(preferences).groupby(["item_id", "candidate_id"]):
        accepted = ticks["accepted"].astype(bool)
        by = [sorted(ticks["annotator"][chosen]) for chosen in (accepted, ~accepted)]
        if all(by):
            rows.append((item, candidate, *by, float(accepted.mean())))
    columns = ["item_id", "candidate_id", "accepted_by", "rejected_by", "share"]
    found = pd.DataFrame(rows, columns=columns)
    found["divided"] = (found["share"] - 0.5).abs()
    found["judged"] = -(found["accepted_by"].map(len) + found["rejected_by"].map(len))
    found = found.sort_values(["divided", "judged", "item_id", "candidate_id"])
    texts = drafts.filter(["candidate_id", "figure_id", "instruction", "response"])
    return found[columns].merge(texts, on="candidate_id", how="left")


def adjudication_rows(
    disagreements: pd.DataFrame, drafts: pd.DataFrame, annotator: str, seed: int = 0
) -> pd.DataFrame:
    """The items of `disagreements` as rows of a fixed queue, in its order, arm "adjudication".

    Columns item_id, left_id, right_id, queue_arm, repeat_of (none), figure_id; which response
    stands left is a coin per item and annotator.

    Args:
        drafts: columns figure_id, instruction_id, candidate_id.

    Raises:
        ValueError: an item without exactly two responses among the drafts.
    """
    items = list(dict.fromkeys(disagreements["item_id"]))
    return rows_to_judge(items, drafts, annotator, "adjudication", seed)


def rows_to_judge(
    items: Iterable[str], drafts: pd.DataFrame, annotator: str, arm: str, seed: int
) -> pd.DataFrame:
    """`items` as rows of a fixed queue, in their order; columns as of `adjudication_rows`."""
    items = list(items)
    shown = drafts[drafts["instruction_id"].isin(items)].groupby("instruction_id")
    sides = {item: sorted(ids) for item, ids in shown["candidate_id"]}
    rows = []
    for item in items:
        ids = sides.get(item, [])
        if len(ids) != 2 or ids[0] == ids[1]:
            raise ValueError(f"instruction {item!r} has the responses {ids}: two are compared")
        coin = hashlib.sha256(f"{seed}\x1f{annotator}\x1f{item}".encode(errors="replace")).digest()
        rows.append((item, *(ids if coin[0] % 2 else ids[::-1]), arm, None))
    figure_of = dict(zip(drafts["instruction_id"], drafts["figure_id"], strict=True))
    frame = pd.DataFrame(rows, columns=_ADJUDICATED[:-1])
    return frame.assign(figure_id=[figure_of[item] for item in items])


def _never_undone(events: pd.DataFrame) -> pd.DataFrame:
    undo = events["left_accepted"].isna() & ~events["cannot_judge"].astype(bool)
    return events[~undo & ~events["event_id"].isin(set(events["corrects"][undo].dropna()))]


def _repeats(events: pd.DataFrame) -> pd.DataFrame:
    """Each standing hidden repeat and what it repeats: two rows, annotator "first" and "again".

    Also `person`, who judged, and `repeat`, which sets the two rows apart from other repeats.
    """
    firsts = _never_undone(events).set_index("event_id")
    repeats = standing(events)
    repeats = repeats[repeats["repeat_of"].isin(firsts.index) & (repeats["queue_arm"] == "random")]
    firsts = firsts.loc[repeats["repeat_of"]]
    sides = ["item_id", "left_id", "right_id", "left_accepted", "right_accepted"]
    both = pd.concat(
        [
            rows[sides].assign(
                annotator=occasion,
                person=repeats["annotator"].to_numpy(),
                repeat=repeats["event_id"].to_numpy(),
            )
            for occasion, rows in (("first", firsts), ("again", repeats))
        ]
    )
    return both.reset_index(drop=True)


def _measured(rows: pd.DataFrame, **options: int) -> dict:
    """The columns items to raw_high of one scope's `rows`."""
    units = votes_long(rows).groupby(["item_id", "candidate_id"])["accepted"].agg(["sum", "size"])
    units = units[units["size"] > 1].reset_index()
    alpha = raw = _UNKNOWN
    if len(units):
        ticked, crossed = units["sum"], units["size"] - units["sum"]
        alike = ticked * (ticked - 1) + crossed * (crossed - 1)
        pairs = units["size"] * (units["size"] - 1)
        group_of = dict(zip(rows["item_id"], rows["group"], strict=True))
        alpha = alpha_interval(rows, rows["group"], **options)
        groups = units["item_id"].map(group_of)
        raw = ratio_interval(alike, pairs, groups, **options)
        if groups.nunique() < LEAST_GROUPS:
            alpha, raw = (replace(one, low=math.nan, high=math.nan) for one in (alpha, raw))
    shown = {"items": units["item_id"].nunique()}
    for name, one in (("alpha", alpha), ("raw", raw)):
        ends = (one.low, one.high) if one.low < one.high else (math.nan, math.nan)
        shown |= {name: one.estimate, f"{name}_low": ends[0], f"{name}_high": ends[1]}
    return shown

"""Agreement between annotators, and the responses on which they disagree.

The functions take and return plain frames and do not open the log. Votes are counted, never
merged. The statistics come from ``vital_lib.statistics``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations

import pandas as pd

from vital_lib.labels.alpha import alpha_interval
from vital_lib.labels.events import standing, without_undone
from vital_lib.labels.order import rows_to_judge
from vital_lib.labels.votes import votes_long
from vital_lib.statistics import Interval, ratio_interval
from vital_lib.tables import column_of

LEAST_GROUPS = 10
"""Smallest number of groups for which an interval is given; with fewer it would mislead."""
_UNKNOWN = Interval(math.nan, math.nan, math.nan, 0)


def agreement(
    preferences: pd.DataFrame,
    events: pd.DataFrame,
    drafts: pd.DataFrame,
    figures: pd.DataFrame,
    **options: int,
) -> pd.DataFrame:
    """Krippendorff's alpha and raw agreement over single ticks, from the random arm only.

    Rows, by `kind`: "overall" (scope "all"), "modality" (a figure with several modalities counts
    in each), "pair" ("A and B") and "self" ("self: A": hidden repeats against the judgement that
    they repeat, before any revision of it). Columns scope, kind, items (judged at least twice),
    and alpha and raw, each with _low and _high, the 95 % bootstrap interval over groups. Raw
    agreement is the share of equal pairs among all pairs of ticks on one response. A skip has no
    ticks.

    alpha and raw are NaN in a scope without an item judged twice; alpha is also NaN if all ticks
    are equal. _low and _high are also NaN if the items judged twice come from fewer than
    `LEAST_GROUPS` groups, or if both ends are equal.

    Args:
        preferences: `LabelLog.preferences()`.
        events: `LabelLog.history()`, the source of the hidden repeats. Items that are not among
            the drafts are left out.
        drafts: columns figure_id, instruction_id, group_id.
        figures: columns figure_id, modalities.
        options: seed and resamples of the intervals.

    Raises:
        ValueError: a preference on an item that is not among the drafts, or a draft without a
            figure.
    """
    events = events[events["item_id"].isin(drafts["instruction_id"])]
    votes = preferences[preferences["drawn_by"] == "random"]
    annotators = sorted(set(votes["annotator"]))
    about = {"known": drafts, "key": "instruction_id", "what": "labels", "to": "drafts"}
    votes, repeats = (
        rows.assign(group=column_of(rows["item_id"], "group_id", **about))
        for rows in (votes, _repeats(events))
    )
    shown = column_of(votes["item_id"], "figure_id", **about)
    flags = column_of(shown, "modalities", figures, "figure_id", what="drafts", to="figures")
    modalities = [list(names) or ["not_stated"] for names in flags]
    scopes = [("all", "overall", votes)]
    for name in sorted({name for names in modalities for name in names}):
        scopes.append((name, "modality", votes[[name in names for names in modalities]]))
    for pair in combinations(annotators, 2):
        scopes.append((" and ".join(pair), "pair", votes[votes["annotator"].isin(pair)]))
    for annotator in annotators:
        rows = repeats[repeats["person"] == annotator]
        rows = rows.assign(item_id=rows["repeat"])  # several repeats of one item are separate units
        scopes.append((f"self: {annotator}", "self", rows))
    return pd.DataFrame(
        {"scope": scope, "kind": kind, **_measured(rows, **options)} for scope, kind, rows in scopes
    )


def disagreements(preferences: pd.DataFrame, drafts: pd.DataFrame) -> pd.DataFrame:
    """Return the responses that some annotators accepted and others rejected, most divided first.

    One row per response. Columns item_id, candidate_id, accepted_by and rejected_by (lists of
    annotators), share (of annotators who accepted it, 0 to 1), and those of figure_id, instruction
    and response that `drafts` has.

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
    disagreements: pd.DataFrame,
    drafts: pd.DataFrame,
    annotator: str,
    seed: int = 0,
    *,
    requested: Iterable[str] = (),
) -> pd.DataFrame:
    """Return requested items and those of `disagreements`, in order, as rows of a fixed queue.

    Columns item_id, left_id, right_id, drawn_by ("adjudication"), repeat_of (None), figure_id. The
    left response is drawn by a hash of seed, annotator and item.

    Args:
        drafts: columns figure_id, instruction_id, candidate_id.
        requested: `LabelLog.requests("adjudication")`; items that are not drafts are left out.

    Raises:
        ValueError: an item that does not have exactly two responses in the drafts.
    """
    known = set(drafts["instruction_id"])
    asked = [item for item in requested if item in known]
    items = list(dict.fromkeys([*asked, *disagreements["item_id"]]))
    return rows_to_judge(items, drafts, annotator, "adjudication", seed)


def _repeats(events: pd.DataFrame) -> pd.DataFrame:
    """Return each current hidden repeat and the judgement that it repeats, as two rows.

    Their `annotator` is "first" or "again". `person` holds the real annotator. `repeat` holds the
    event_id of the repeat, which keeps several repeats of one item apart.
    """
    firsts = without_undone(events).set_index("event_id")
    repeats = standing(events)
    repeats = repeats[repeats["repeat_of"].isin(firsts.index) & (repeats["drawn_by"] == "random")]
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
    """Return the columns items to raw_high for the `rows` of one scope."""
    units = votes_long(rows).groupby(["item_id", "candidate_id"])["accepted"].agg(["sum", "size"])
    units = units[units["size"] > 1].reset_index()
    alpha = raw = _UNKNOWN
    if len(units):
        accepted, rejected = units["sum"], units["size"] - units["sum"]
        alike = accepted * (accepted - 1) + rejected * (rejected - 1)
        pairs = units["size"] * (units["size"] - 1)
        group_of = dict(zip(rows["item_id"], rows["group"], strict=True))
        alpha = alpha_interval(rows, rows["group"], **options)
        groups = units["item_id"].map(group_of)
        raw = ratio_interval(alike, pairs, groups, **options)
        if groups.nunique() < LEAST_GROUPS:
            alpha, raw = (replace(found, low=math.nan, high=math.nan) for found in (alpha, raw))
    measures = {"items": units["item_id"].nunique()}
    for name, found in (("alpha", alpha), ("raw", raw)):
        ends = (found.low, found.high) if found.low < found.high else (math.nan, math.nan)
        measures |= {name: found.estimate, f"{name}_low": ends[0], f"{name}_high": ends[1]}
    return measures

"""The calibration round: a new annotator judges items on which others agreed, with feedback.

The functions take and return plain frames; only `calibration_now` reads a log. The preference card
shows the feedback, and the log keeps the judgements in arm "calibration".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vital_lib.annotators import votes_of
from vital_lib.english import counted
from vital_lib.labels.events import VOTES, latest_votes, standing
from vital_lib.labels.hollow_pairs import left_out
from vital_lib.labels.order import number, rows_to_judge
from vital_lib.labels.votes import accepted_share, votes_long

if TYPE_CHECKING:
    from vital_lib.labels.log import LabelLog


def calibration_reference(
    preferences: pd.DataFrame, events: pd.DataFrame | None = None, annotator: str | None = None
) -> dict[str, bool]:
    """Return candidate_id -> accepted for responses with two or more ticks, all equal.

    With `events` and `annotator`, an item that this annotator has calibrated on is referenced by
    the votes at that time. Later votes, revisions and undos then do not change the result.

    Args:
        preferences: `LabelLog.preferences()`.
        events: `LabelLog.history()`.
    """
    if events is not None:
        preferences = _at_calibration(preferences, events, annotator)
    shares = accepted_share(preferences)
    alike = shares[(shares["annotators"] > 1) & shares["accepted"].isin([0, 1])]
    return {row.candidate_id: bool(row.accepted) for row in alike.itertuples()}


def _at_calibration(
    preferences: pd.DataFrame, events: pd.DataFrame, annotator: str | None
) -> pd.DataFrame:
    """Return `preferences`, with past votes for the items that `annotator` has calibrated on."""
    times = enumerate(map(datetime.fromisoformat, events["at"]))
    events = events.assign(time=[(time, place) for place, time in times])
    own = standing(events[events["annotator"] == annotator])
    own = own[own["drawn_by"] == "calibration"]
    calibrated_at = dict(zip(own["item_id"], own["time"], strict=True))
    acts = zip(events["item_id"], events["time"], strict=True)
    before = np.array(
        [item in calibrated_at and time <= calibrated_at[item] for item, time in acts], dtype=bool
    )
    votes = standing(events[before])
    votes = latest_votes(votes[votes["drawn_by"].isin(VOTES)])
    others = preferences[~preferences["item_id"].isin(calibrated_at)]
    return pd.concat([others, votes[votes.columns.intersection(others.columns)]])


def calibration_rows(
    preferences: pd.DataFrame,
    drafts: pd.DataFrame,
    annotator: str,
    n: int = 10,
    seed: int = 0,
    calibrated: Collection[str] = (),
) -> pd.DataFrame:
    """Return up to `n` items with a reference for both responses, as rows of a fixed queue.

    Accepted and rejected responses are balanced, and figures repeat as late as possible. Items
    that `annotator` has judged and the pairs of `left_out` are not used. There are fewer rows, or
    none, if others have agreed on fewer items. Columns item_id, left_id, right_id, drawn_by
    ("calibration"), repeat_of (None), figure_id.

    Args:
        preferences: `LabelLog.preferences()`.
        drafts: columns figure_id, instruction_id, candidate_id; optionally flags.
        calibrated: ids of the items that `annotator` has calibrated on. They come first, whatever
            votes were added since, so that a started round continues and a finished one stays
            finished.
    """
    reference = calibration_reference(preferences)
    excluded = set(preferences["item_id"][preferences["annotator"] == annotator])
    excluded |= set(left_out(drafts)["instruction_id"])
    calibrated = set(calibrated)
    started, lean = [], {}  # item -> 1 if both are accepted, 0 if one is, -1 if none is
    for item, ids in drafts.groupby("instruction_id", sort=True)["candidate_id"]:
        if item in calibrated:
            started.append(item)
        if item not in excluded and all(name in reference for name in ids):
            lean[item] = sum(reference[name] for name in ids) - 1
    # Sort by a hash of each item, so that new judgements do not reorder the other items.
    remaining = sorted(lean.keys() - calibrated, key=lambda item: number(seed, item, "calibration"))
    figure_of = dict(zip(drafts["instruction_id"], drafts["figure_id"], strict=True))
    chosen = started[:n]
    shown = Counter(figure_of[item] for item in chosen)
    while remaining and len(chosen) < n:
        balance = sum(lean.get(item, 0) for item in chosen)
        item = min(remaining, key=lambda item: (shown[figure_of[item]], abs(balance + lean[item])))
        remaining.remove(item)
        chosen.append(item)
        shown[figure_of[item]] += 1
    return rows_to_judge(chosen, drafts, annotator, "calibration", seed)


def calibration_feedback(
    events: pd.DataFrame, annotator: str, items: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Return what the others decided on each of `items`, and why: item_id -> counts.

    The counts of an item: `annotators` who voted on it; `judged`, those of them who did not skip
    it; `accepted`, candidate_id -> number who accepted the response; `reasons`, reason -> number
    who gave it, most frequent first. An item without votes is missing. Names and notes are left
    out: annotators are promised that other annotators do not see them. For an item on which
    `annotator` has calibrated, the votes are those at that time, as in `calibration_reference`.

    Args:
        events: `LabelLog.history()`.
    """
    now = standing(events)
    votes = _at_calibration(latest_votes(now[now["drawn_by"].isin(VOTES)]), events, annotator)
    votes = votes[votes["item_id"].isin(items) & (votes["annotator"] != annotator)]
    return {str(item): _counts(rows) for item, rows in votes.groupby("item_id")}


def calibration_now(
    log: LabelLog, annotators: str, annotator: str, items: Collection[str]
) -> tuple[dict[str, bool], dict[str, dict[str, Any]]]:
    """Return `calibration_reference` and `calibration_feedback` by the votes that are in `log` now.

    A card with an open round reads them at each judgement, because others may vote, revise or undo
    in the meantime.

    Args:
        annotators: whose votes count, "clinic" or "people", as for `votes_of`.
        items: ids of the items of the round.
    """
    events = votes_of(log.history(), annotators)
    reference = calibration_reference(votes_of(log.preferences(), annotators), events, annotator)
    return reference, calibration_feedback(events, annotator, items)


def _counts(votes: pd.DataFrame) -> dict[str, Any]:
    """Return the counts of `calibration_feedback` for the votes on one item."""
    accepted = votes_long(votes).groupby("candidate_id")["accepted"].sum().astype(int)
    reasons = Counter(name for given in votes["reasons"] for name in dict.fromkeys(given))
    return {
        "annotators": len(votes),
        "judged": int(votes["left_accepted"].notna().sum()),
        "accepted": accepted.to_dict(),
        "reasons": dict(reasons.most_common()),
    }


def calibration_in_words(calibrations: pd.DataFrame, reference: Mapping[str, bool]) -> str:
    """Return the result of one annotator's calibration round as sentences.

    An item is agreed on if both ticks equal the reference; a skipped item is not. The second
    sentence counts the differences in each direction.

    Args:
        calibrations: the annotator's rows of `LabelLog.calibrations()`.
        reference: from `calibration_reference`; with events and annotator, later votes do not
            change the result. Items without a reference are not counted.
    """
    known = calibrations["left_id"].isin(reference) & calibrations["right_id"].isin(reference)
    ticks = votes_long(calibrations[known])
    alike = ticks["accepted"] == ticks["candidate_id"].map(dict(reference))
    agreed = int((alike.groupby([ticks["item_id"], ticks["annotator"]]).sum() == 2).sum())
    against = [int((~alike & (ticks["accepted"] == tick)).sum()) for tick in (1, 0)]
    items = counted(int(known.sum()), "item")
    words = f"You agree with the others on both responses of {agreed} of {items}."
    differences = [
        f"{did} {counted(number, 'response')} that they {they}"
        for number, did, they in zip(
            against, ("accepted", "rejected"), ("rejected", "accepted"), strict=True
        )
        if number
    ]
    return f"{words} You {' and '.join(differences)}." if differences else words

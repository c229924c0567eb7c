"""The calibration round: items on which all agreed, judged again by who begins, with feedback.

Plain frames in and out; the card shows the feedback, the log keeps the answers (arm "calibration").
The one-page guideline, shown with the same card, is handed out here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime
from importlib import resources

import numpy as np
import pandas as pd

from vital_lib.labels.agreement import rows_to_judge, standing
from vital_lib.labels.hollow_pairs import left_out
from vital_lib.labels.log import VOTES
from vital_lib.labels.order import number
from vital_lib.labels.votes import accepted_share, votes_long


def guideline() -> str:
    """The one-page guideline for clinicians, as plain text."""
    return resources.files("vital_lib.labels").joinpath("guideline.md").read_text("utf-8")


def calibration_reference(
    preferences: pd.DataFrame, events: pd.DataFrame | None = None, annotator: str | None = None
) -> dict[str, bool]:
    """candidate_id -> accepted, of the responses that two or more judged and all judged alike.

    With `events` and `annotator`, of an item that she has calibrated on the votes count that stood
    when she did, so that her result does not change by what is said, revised or undone later.

    Args:
        preferences: `LabelLog.preferences()`.
        events: `LabelLog.history()`.
    """
    if events is not None:
        preferences = _as_it_was(preferences, events, annotator)
    shares = accepted_share(preferences)
    alike = shares[(shares["annotators"] > 1) & shares["accepted"].isin([0, 1])]
    return {row.candidate_id: bool(row.accepted) for row in alike.itertuples()}


def _as_it_was(
    preferences: pd.DataFrame, events: pd.DataFrame, annotator: str | None
) -> pd.DataFrame:
    """`preferences`, of the items that `annotator` has calibrated on as they stood then."""
    times = enumerate(map(datetime.fromisoformat, events["at"]))
    events = events.assign(at=[(time, place) for place, time in times])
    hers = standing(events[events["annotator"] == annotator])
    hers = hers[hers["queue_arm"] == "calibration"]
    when = dict(zip(hers["item_id"], hers["at"], strict=True))
    acts = zip(events["item_id"], events["at"], strict=True)
    till_then = np.array([item in when and at <= when[item] for item, at in acts], dtype=bool)
    votes = standing(events[till_then])
    votes = votes[votes["queue_arm"].isin(VOTES) & votes["repeat_of"].isna()].sort_values("at")
    votes = votes.drop_duplicates(["item_id", "annotator"], keep="last")
    others = preferences[~preferences["item_id"].isin(when)]
    return pd.concat([others, votes[votes.columns.intersection(others.columns)]])


def calibration_rows(
    preferences: pd.DataFrame,
    drafts: pd.DataFrame,
    annotator: str,
    n: int = 10,
    seed: int = 0,
    calibrated: Collection[str] = (),
) -> pd.DataFrame:
    """Up to `n` items with a reference for both responses, as rows of a fixed queue.

    Accepted and rejected responses are kept in balance and figures are repeated as late as can be;
    items that `annotator` has judged are left out, and pairs that are no choice (`left_out`). Fewer
    rows, or none, where the others have agreed on fewer items. Columns item_id, left_id, right_id,
    queue_arm ("calibration"), repeat_of (none), figure_id.

    Args:
        preferences: `LabelLog.preferences()`.
        drafts: columns figure_id, instruction_id, candidate_id; flags, where there are any.
        calibrated: ids of the items that `annotator` has calibrated on; they come first, whatever
            was said of them since, so that a round begun goes on and a finished one stays finished.
    """
    reference = calibration_reference(preferences)
    seen = set(preferences["item_id"][preferences["annotator"] == annotator])
    seen |= set(left_out(drafts)["instruction_id"])
    calibrated = set(calibrated)
    begun, lean = [], {}  # item -> 1 both accepted, 0 one of them, -1 neither
    for item, ids in drafts.groupby("instruction_id", sort=True)["candidate_id"]:
        if item in calibrated:
            begun.append(item)
        if item not in seen and all(name in reference for name in ids):
            lean[item] = sum(reference[name] for name in ids) - 1
    # By a number of the item's own: what is judged in between does not shuffle the rest.
    left = sorted(lean.keys() - calibrated, key=lambda item: number(seed, item, "calibration"))
    figure_of = dict(zip(drafts["instruction_id"], drafts["figure_id"], strict=True))
    chosen = begun[:n]
    shown = Counter(figure_of[item] for item in chosen)
    while left and len(chosen) < n:
        tilt = sum(lean.get(item, 0) for item in chosen)
        item = min(left, key=lambda item: (shown[figure_of[item]], abs(tilt + lean[item])))
        left.remove(item)
        chosen.append(item)
        shown[figure_of[item]] += 1
    return rows_to_judge(chosen, drafts, annotator, "calibration", seed)


def calibration_result(calibrations: pd.DataFrame, reference: Mapping[str, bool]) -> dict:
    """How one person's calibration round went: items, agreed, share (agreed / items, 0 to 1).

    An item is agreed on when both ticks are the reference's, so one that was skipped is not. The
    share of no items is None.

    Args:
        calibrations: that person's rows of `LabelLog.calibrations()`.
        reference: from `calibration_reference`, with that person's events where the result is to
            stay what it was; items without one are not counted.
    """
    known = calibrations["left_id"].isin(reference) & calibrations["right_id"].isin(reference)
    ticks = votes_long(calibrations[known])
    alike = ticks["accepted"] == ticks["candidate_id"].map(dict(reference))
    agreed = int((alike.groupby([ticks["item_id"], ticks["annotator"]]).sum() == 2).sum())
    items = int(known.sum())
    return {"items": items, "agreed": agreed, "share": agreed / items if items else None}

"""Rows of table label_events: their kinds, their checks, and which judgements stand.

What stands is computed here alone: in SQL by ``standing_events``, and for a frame of events by
``standing``. This module opens no log.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from vital_lib.labels.database import label_events as _events

SIDES = ("left", "right")
STRATEGIES = ("random", "cluster", "uncertainty")
"""The orders of a queue, and the arms of the items that they choose."""
REQUESTED = "requested"
"""The arm of items that a person has asked for by `LabelLog.request`."""
VOTES = (*STRATEGIES, REQUESTED)
"""The arms whose judgements are votes; an arm is the way in which an item was chosen."""
DRAWN_BY = (*VOTES, "calibration", "adjudication", "comparison")
"""All arms; judgements in calibration, adjudication and comparisons of models are not votes."""
KINDS = ("label", "repeat", "calibration", "adjudication", "comparison", "revision", "undo")
"""The kinds of events.

A judgement is a label, a hidden repeat of an earlier label, or made in calibration, in adjudication
or in a comparison of two models' answers. A revision replaces the judgement that `corrects` names,
and an undo withdraws it.
"""

EVENT_COLUMNS = [column.name for column in _events.columns if column.name != "place"]
ITEM_COLUMNS = ["item_id", "annotator", "left_id", "right_id"]
_NULLABLE = {column.name for column in _events.columns if column.nullable}
_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(["cannot_judge", "unsafe"], (bool,)),
    **dict.fromkeys(["note", "repeat_of", "corrects"], (str,)),
    "seconds": (int, float),
}


def check_text(name: str, value: Any) -> None:
    """Raise ValueError unless `value` is a string with more than blanks."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} must be a non-empty string, not {value!r}")


def event_row(event: Mapping[str, Any], *, undo: bool = False) -> dict[str, Any]:
    """Return a full row of label_events: the arguments of `LabelLog.record`, kind and time.

    Raises:
        ValueError: as for `LabelLog.record`, except for ids that the log does not know.
    """
    if unknown := set(event) - (set(EVENT_COLUMNS) - {"at", "kind"}):
        raise ValueError(f"an event has no field called {', '.join(sorted(unknown))}")
    given = {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in event.items()
        if value is not None
    }
    for name in [*ITEM_COLUMNS, *(["event_id"] if "event_id" in given else [])]:
        check_text(name, given.get(name))
    if given["left_id"] == given["right_id"]:
        raise ValueError(
            f"left_id and right_id are both {given['left_id']!r}: give two different ones"
        )
    defaults = {"cannot_judge": False, "unsafe": False, "note": "", "drawn_by": "random"}
    row = {**dict.fromkeys(EVENT_COLUMNS), **defaults, "reasons": [], **given}
    _check_types(row)
    _check_ticks(row, undo)
    row["event_id"] = row["event_id"] or uuid.uuid4().hex
    row["kind"] = "undo" if undo else kind_of(row)
    row["reasons"] = list(row["reasons"])
    return {**row, "at": datetime.now(UTC).isoformat(timespec="milliseconds")}


def kind_of(judgement: Mapping[str, Any]) -> str:
    """Return the kind of a judgement by its columns corrects, repeat_of and drawn_by."""
    if judgement.get("corrects"):
        return "revision"
    if judgement.get("repeat_of"):
        return "repeat"
    return "label" if judgement.get("drawn_by") in VOTES else str(judgement.get("drawn_by"))


def with_kind(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event of an older format in the present one: with `kind`, by `drawn_by`.

    Format 1, which commit 0ff7728 writes, has `queue_arm` for `drawn_by`. Formats 1 and 2 have no
    kinds: an undo is an event that corrects another and has neither ticks nor cannot_judge.
    """
    row = {"drawn_by" if name == "queue_arm" else name: event[name] for name in event}
    judges = row.get("left_accepted") is not None or row.get("cannot_judge")
    return {**row, "kind": kind_of(row) if judges or not row.get("corrects") else "undo"}


def read_event(event: Any) -> dict[str, Any]:
    """Return the row of an event in JSON, with its own time.

    Raises:
        ValueError: `event` is a ValueError or no event, lacks a column, or is not valid.
    """
    if isinstance(event, ValueError):
        raise event
    if not isinstance(event, dict):
        raise ValueError(f"expected an event, received {str(event)[:60]!r}")
    for name in EVENT_COLUMNS:
        if name not in event or (event[name] is None and name not in _NULLABLE):
            raise ValueError(f"{name} is missing")
        if isinstance(event[name], str):
            event[name].encode()  # raises ValueError for a lone surrogate, which cannot be stored
    if datetime.fromisoformat(str(event["at"])).tzinfo is None:
        raise ValueError(f"at {event['at']!r} has no time zone")
    given = {name: event[name] for name in EVENT_COLUMNS if name not in ("at", "kind")}
    row = event_row(given, undo=event["kind"] == "undo")
    if row["kind"] != event["kind"]:
        raise ValueError(f"kind {event['kind']!r}: by its columns the event is a {row['kind']}")
    return {**row, "at": event["at"]}


def _check_types(row: Mapping[str, Any]) -> None:
    """Raise ValueError for a value that is not of its column's type, or out of range."""
    for name, kinds in _TYPES.items():
        if row[name] is not None and type(row[name]) not in kinds:
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise ValueError(f"{name} must be of type {wanted}, not {row[name]!r}")
    if not 0 <= (row["seconds"] or 0) < 1e9:
        raise ValueError(
            f"seconds {row['seconds']!r} is out of range: give 0 or more and less than 1e9"
        )
    given = row["reasons"]
    is_list = isinstance(given, Sequence) and not isinstance(given, str)
    if not is_list or not all(isinstance(reason, str) for reason in given):
        raise ValueError(f"reasons {given!r}: give a list of strings")
    if row["drawn_by"] not in DRAWN_BY:
        raise ValueError(f"drawn_by {row['drawn_by']!r}: give one of {', '.join(DRAWN_BY)}")


def _check_ticks(row: Mapping[str, Any], undo: bool) -> None:
    ticks = [row[f"{side}_accepted"] for side in SIDES]
    if undo:
        if ticks != [None, None] or row["cannot_judge"] or not row["corrects"]:
            raise ValueError(f"ticks {ticks} of an undo: give None, and the event_id it corrects")
    elif row["cannot_judge"]:
        if ticks != [None, None]:
            raise ValueError(f"ticks {ticks} with cannot_judge=True: give None for both responses")
    elif not all(isinstance(tick, bool) for tick in ticks):
        raise ValueError(
            f"ticks {ticks}: each response needs True or False, or set cannot_judge=True"
        )


@cache
def standing_events(*columns: str) -> sa.Select:
    """Select the current judgements: not undone, and not replaced by one that is not undone.

    `columns` limits the columns; by default all are selected.
    """
    undo, newer, undo_newer = (_events.alias(name) for name in ("undo", "newer", "undo_newer"))
    undone, newer_undone = (
        sa.exists().where(act.c.corrects == of.c.event_id, act.c.kind == "undo")
        for act, of in ((undo, _events), (undo_newer, newer))
    )
    replaced = sa.exists().where(
        newer.c.corrects == _events.c.event_id, newer.c.kind == "revision", ~newer_undone
    )
    chosen = [_events.c[name] for name in columns] or [_events]
    return sa.select(*chosen).where(_events.c.kind != "undo", ~undone, ~replaced)


def standing(events: pd.DataFrame) -> pd.DataFrame:
    """Return the current judgements in `events`: those neither undone nor replaced.

    Args:
        events: `LabelLog.history()`.
    """
    kept = without_undone(events)
    return kept[~kept["event_id"].isin(set(kept["corrects"].dropna()))]


def without_undone(events: pd.DataFrame) -> pd.DataFrame:
    """Return `events` without undos and without the judgements that they undo."""
    undo = events["kind"] == "undo"
    return events[~undo & ~events["event_id"].isin(set(events["corrects"][undo]))]


def latest_votes(standing: pd.DataFrame) -> pd.DataFrame:
    """Return the latest judgement per item and annotator by time, without hidden repeats.

    The latest is not always the last one stored, because older judgements may be imported later.

    Args:
        standing: current judgements in storage order; columns of label_events.
    """
    votes = standing[standing["repeat_of"].isna()]
    times = [datetime.fromisoformat(at) for at in votes["at"]]
    by_time = votes.iloc[sorted(range(len(times)), key=times.__getitem__)]
    return by_time.drop_duplicates(["item_id", "annotator"], keep="last").sort_index()

"""Import of labels from Label Studio's JSON of annotated tasks: unchanged, edited and new ones.

Label Studio assigns its own id to an imported annotation, keeps ours as `import_id`, and gives the
annotation's creator and editor as user numbers. The import compares each annotation with the log,
so a file can be imported any number of times. This module reads one file and
writes to the log.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from vital_lib.labels.events import EVENT_COLUMNS, SIDES, kind_of, read_event, standing
from vital_lib.labels.exchange import (
    EXCHANGE_FORMAT,
    Imported,
    in_this_version,
    plain_events,
    read_json,
    store,
)
from vital_lib.labels.label_studio import HELD, TICKS, as_annotation
from vital_lib.labels.log import LabelLog
from vital_lib.labels.names import LabelStudioUsers
from vital_lib.records import InvalidRecord, UnreadableFile, read_records

_Event = dict[str, Any]


def import_label_studio(
    path: str | Path,
    log: LabelLog,
    *,
    drawn_by: str = "random",
    people: Mapping[int | str, str] | None = None,
) -> Imported:
    """Append the labels of Label Studio's JSON to `log`.

    The file is one of `export_label_studio`, or Label Studio's export of its tasks. The events of
    `export_label_studio` are imported unchanged. An annotation that its annotator has edited since
    corrects the judgement; a new annotation becomes a new judgement. A second edit of the same
    annotation is refused: export the labels again before it. An annotation deleted in Label Studio
    changes nothing in the log. A pairwise choice without ticks, or one changed without its ticks,
    accepts that response and rejects the other.

    Label Studio omits tasks without annotations unless it exports with `download_all_tasks=true`.
    Use this option if annotations were deleted in Label Studio.

    Args:
        drawn_by: the arm of annotations made in Label Studio; "random" only if its tasks were a
            random sample.
        people: Label Studio's user number (or e-mail address) -> annotator. Its plain export gives
            users by number only. With the serialization option
            `annotations__completed_by: {"only_id": false}` it gives e-mail addresses, whose case
            is ignored.

    Raises:
        ValueError: the file is not a JSON list of tasks, or names of users differ from annotators
            of the log, or from one another, only by case or blanks. One error lists all such names
            before anything is stored.
    """
    tasks = _tasks(Path(path))
    known: list[tuple[str, Any]] = []
    given: list[tuple[str, Any, Mapping, list]] = []
    for n, task in enumerate(tasks, 1):
        try:
            events, annotations = _task_events(task), _annotations(task)
        except ValueError as error:
            known.append((f"task {n}", error))
            continue
        known += [(f"task {n}, event {k}", event) for k, event in enumerate(events, 1)]
        for k, annotation in enumerate(annotations, 1):
            given.append((f"task {n}, annotation {k}", annotation, task, events))
    known.sort(key=lambda found: _place(found[1]))
    events = [*plain_events(log.history()), *(event for _, event in known)]
    users, judgements = _users(events, given, people or {}), _Judgements(events)
    made = []
    for place, annotation, task, of_task in given:
        try:
            event = _event_made(annotation, task, of_task, judgements, drawn_by, users)
        except ValueError as error:
            event = error
        made += [(place, event)] if event else []
    made.sort(key=lambda found: str(found[1]["at"]) if isinstance(found[1], dict) else "")
    return store(log, [*known, *made], total=len(known) + len(made))


def _tasks(path: Path) -> list[Any]:
    try:
        found = list(read_records(path, fields=("annotations", "data", "meta")))
    except UnreadableFile as error:
        raise ValueError(f"{path} is not a JSON list of tasks: {error}") from None
    alone = len(found) == 1 and not found[0][0].endswith("]")
    if alone and "annotations" not in (found[0][1] if isinstance(found[0][1], dict) else ()):
        raise ValueError(f"{path} is not a JSON list of tasks: export from Label Studio as JSON")
    return [record for _, record in found]


def _users(events: list[Any], given: list[tuple], people: Mapping) -> LabelStudioUsers:
    """Return the file's users; raise ValueError if names differ only by case or blanks."""
    names = [event.get("annotator") for event in events if isinstance(event, Mapping)]
    known = {name for name in names if isinstance(name, str)}
    annotations = [annotation for _, annotation, _, _ in given if isinstance(annotation, dict)]
    named = [
        annotation.get(name)
        for annotation in annotations
        for name in ("completed_by", "updated_by")
    ]
    users = LabelStudioUsers(people, known, named)
    if unclear := users.unclear(named):
        listed = "; ".join(
            f"{name!r}, {where}: {', '.join(map(repr, others))}"
            for name, _, others, where in unclear
        )
        name, key, others, _ = unclear[0]
        raise ValueError(
            f"{len(unclear)} names in Label Studio differ only by case or blanks from names in the "
            f"log or the file ({listed}): map each to its annotator with "
            f"people={{{key!r}: {others[0]!r}}}, or with people={{{name!r}: {name!r}}} if it is "
            "another person"
        )
    return users


class _Judgements:
    """The judgements in the log and in the file, and those that stand.

    The event_id of an imported edit is a hash of the judgement that it corrects and of its content,
    so that an edit that was read before is recognised.
    """

    def __init__(self, events: list[Any]) -> None:
        self._events: dict[str, dict[str, Any]] = {}
        for event in events:
            with suppress(ValueError):  # `store` reports it
                row = read_event(event)
                self._events[row["event_id"]] = row
        rows = pd.DataFrame(self._events.values(), columns=EVENT_COLUMNS)
        self._standing = set(standing(rows)["event_id"])
        self._edits = {
            event["corrects"]: event
            for event in self._events.values()
            if event["kind"] == "revision"
            and event["event_id"] == _id(event["corrects"], _content_of(event))
        }

    def changed(self, event_id: str, content: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return judgement `event_id` if `content` changes it; None if that is known already.

        Raises:
            ValueError: the judgement no longer stands.
        """
        event, edit = self._events[event_id], self._edits.get(event_id)
        if content == _content_of(edit or event):
            return None
        if event_id not in self._standing:
            raise ValueError(
                f"edited in Label Studio, but the judgement {event_id!r} of "
                f"{event['annotator']!r} was revised or undone in the log since: the log's version "
                "is kept. To edit that one, export the labels to Label Studio again"
            )
        return event

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._events


def _content_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a judgement, as it is read from its annotation."""
    return _content(as_annotation(event))


def _id(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _task_events(task: Any) -> list[Any]:
    """Return the events in a task's meta; none if the task was not exported by this library."""
    if isinstance(task, InvalidRecord):
        raise task
    if not isinstance(task, dict):
        raise ValueError(f"expected a task, received {str(task)[:60]!r}")
    meta = task.get("meta")
    if not isinstance(meta, dict) or meta.get("format") != EXCHANGE_FORMAT:
        return []
    events = read_json(str(meta.get("events")).encode(errors="surrogatepass"))
    if not isinstance(events, list):
        raise ValueError(f"meta.events is not a list: {str(events)[:80]}")
    return in_this_version(events, meta.get("version"))


def _annotations(task: Mapping[str, Any]) -> list[Any]:
    if "annotations" not in task:
        raise ValueError(
            "a task without annotations: export as JSON (JSON-MIN omits what is needed)"
        )
    return _listed(task, "annotations")


def _listed(holder: Mapping[str, Any], name: str) -> list[Any]:
    found = holder.get(name) or []
    if not isinstance(found, list):
        raise ValueError(f"{name} is not a list: {str(found)[:60]!r}")
    return found


def _place(event: Any) -> float:
    place = event.get("place") if isinstance(event, dict) else None
    return place if isinstance(place, int) else float("inf")


def _event_made(
    annotation: Any,
    task: Mapping[str, Any],
    events: list,
    judgements: _Judgements,
    drawn_by: str,
    users: LabelStudioUsers,
) -> dict[str, Any] | None:
    """Return the event of an annotation that is new or edited in Label Studio, otherwise None."""
    if not isinstance(annotation, dict):
        raise ValueError(f"expected an annotation, received {str(annotation)[:60]!r}")
    # Label Studio assigns new ids and keeps ours as import_id, which is empty for new annotations.
    place = annotation.get("import_id", annotation.get("id"))
    exported = [event for event in events if place is not None and _place(event) == place]
    data = task["data"] if isinstance(task.get("data"), dict) else {}
    if exported:
        read_event(exported[0])
        event_id = exported[0]["event_id"]
        content = _content(annotation, before=as_annotation(exported[0]))
    else:
        own_id = annotation.get("unique_id") or annotation.get("id")
        event_id = _id("made there", own_id, [data.get("left_id"), data.get("right_id")])
        content = _content(annotation)
    if event_id in judgements:
        before = judgements.changed(event_id, content)
        if before is None:
            return None
        event = {**before, "corrects": event_id, "event_id": _id(event_id, content)}
    else:
        event: _Event = {**data, "drawn_by": drawn_by, "event_id": event_id, "corrects": None}
        event |= {"annotator": _maker(annotation, users), "repeat_of": None}
    _check_editor(annotation, event["annotator"], users)
    seconds = annotation.get("lead_time")
    seconds = seconds if isinstance(seconds, (int, float)) else None
    made = {**event, **content, "seconds": seconds, "at": _time(annotation)}
    return {**made, "kind": kind_of(made)}


def _content(annotation: Mapping[str, Any], before: Mapping | None = None) -> dict[str, Any]:
    """Return ticks, flags, reasons and note of an annotation; `before`: as exported."""
    given = _values(annotation)
    if before and not before["was_cancelled"]:
        former = _values(before)
        ticked = [[values.get(f"{side}_tick") for side in SIDES] for values in (given, former)]
        if ticked[0] == ticked[1] and given.get("pairwise") != former.get("pairwise"):
            given = {name: value for name, value in given.items() if not name.endswith("_tick")}
    cannot = bool(annotation.get("was_cancelled"))
    ticks = [None, None] if cannot else _ticks(given, edited=before is not None)
    note = given.get("note") or []
    return {
        **{f"{side}_accepted": tick for side, tick in zip(SIDES, ticks, strict=True)},
        **{"cannot_judge": cannot, "unsafe": "unsafe" in (given.get("flags") or [])},
        "reasons": given.get("reasons") or [],
        "note": "\n".join(map(str, note)) if isinstance(note, list) else note,
    }


def _values(annotation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of an annotation's results, by name of their control."""
    given: dict[str, Any] = {}
    for part in _listed(annotation, "result"):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in list(HELD):  # such as a region drawn on the image
            continue
        held = part["value"].get(HELD[kind]) if isinstance(part.get("value"), dict) else None
        if not isinstance(held, (str, list)):
            raise ValueError(f"a {kind} without {HELD[kind]}: {str(part)[:60]!r}")
        given["pairwise" if kind == "pairwise" else str(part.get("from_name"))] = held
    return given


def _ticks(given: Mapping[str, Any], edited: bool) -> list[bool]:
    """Return whether each side is accepted; if `edited`, ticks override the pairwise choice."""
    ticks = [given.get(f"{side}_tick") for side in SIDES]
    chosen = given.get("pairwise") if given.get("pairwise") in SIDES else None
    if chosen and not any(ticks):
        return [side == chosen for side in SIDES]
    for side, tick in zip(SIDES, ticks, strict=True):
        if tick not in (TICKS[True], TICKS[False]):
            raise ValueError(f"the {side} response is neither accepted nor rejected: {tick!r}")
    accepted = [tick == TICKS[True] for tick in ticks]
    if chosen and not edited and accepted == [side != chosen for side in SIDES]:
        raise ValueError(
            f"the pairwise choice is {chosen}, but only the other response is accepted"
        )
    return accepted


def _maker(annotation: Mapping[str, Any], users: LabelStudioUsers) -> str:
    user = annotation.get("completed_by")
    if user is None:
        raise ValueError("completed_by is missing: the annotation has no annotator")
    name = users.name(user)
    if name is None:
        raise ValueError(
            f"completed_by is unknown user {user!r}: give the annotator by people={{{user!r}: ...}}"
        )
    return name


def _check_editor(annotation: Mapping[str, Any], annotator: str, users: LabelStudioUsers) -> None:
    """Raise ValueError for an edit by anyone but the annotator of the judgement."""
    maker, editor = (annotation.get(name) for name in ("completed_by", "updated_by"))
    if editor is None or users.same(maker, editor):
        return
    name = users.name(editor)
    if name != annotator:
        raise ValueError(f"edited by user {name or editor!r}, not by the annotator {annotator!r}")


def _time(annotation: Mapping[str, Any]) -> str:
    for name in ("updated_at", "created_at"):
        try:
            return datetime.fromisoformat(str(annotation.get(name))).astimezone(UTC).isoformat()
        except (ValueError, OverflowError):
            continue
    return datetime.now(UTC).isoformat(timespec="milliseconds")

"""Import of labels from Label Studio's JSON of annotated tasks: unchanged, edited and new ones.

Label Studio assigns its own id to an imported annotation, keeps ours as `import_id`, and gives the
annotation's creator and editor as user numbers. The import compares each annotation with the log,
so a file can be imported any number of times, even an older one. This module reads one file and
writes to the log.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vital_lib.labels.exchange import (
    EXCHANGE_FORMAT,
    EXCHANGE_VERSION,
    Imported,
    check_event,
    plain_events,
    read_json,
    store,
)
from vital_lib.labels.label_studio import HELD, SIDES, TICKS, as_annotation
from vital_lib.labels.log import LabelLog
from vital_lib.labels.names import LabelStudioUsers
from vital_lib.records import InvalidRecord, UnreadableFile, read_records


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
    corrects the judgement; a new annotation becomes a new judgement. An annotation deleted in
    Label Studio changes nothing in the log. A pairwise choice without ticks, or one changed without
    its ticks, accepts that response and rejects the other.

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
    history = plain_events(log.history())
    chains = _Chains([*history, *(event for _, event in known)])
    users = _users([*history, *(event for _, event in known)], given, people or {})
    made = []
    for place, annotation, task, events in given:
        try:
            event = _event_made(annotation, task, events, chains, drawn_by, users)
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
    known = {event["annotator"] for event in events if _has_annotator(event)}
    annotations = [annotation for _, annotation, _, _ in given if isinstance(annotation, dict)]
    named = [
        annotation.get(name)
        for annotation in annotations
        for name in ("completed_by", "updated_by")
    ]
    users = LabelStudioUsers(people, known, named)
    if unclear := users.unclear(named):
        listed = "; ".join(
            f"{item.name!r}, {'log' if item.known else 'file, too'}: "
            f"{', '.join(map(repr, item.known or item.here))}"
            for item in unclear
        )
        name, key, others = unclear[0].name, unclear[0].key, unclear[0].known or unclear[0].here
        raise ValueError(
            f"{len(unclear)} names in Label Studio differ only by case or blanks from names in the "
            f"log or the file ({listed}): map each to its annotator with "
            f"people={{{key!r}: {others[0]!r}}}, or with people={{{name!r}: {name!r}}} if it is "
            "another person"
        )
    return users


def _has_annotator(event: Any) -> bool:
    return isinstance(event, Mapping) and isinstance(event.get("annotator"), str)


class _Chains:
    """Chains of events per annotation: the first judgement, then each imported edit of it.

    An edit's event_id is a hash of the previous event_id and the edit's content. The import thus
    recognises edits that it has read before, and a return to an earlier answer is a new edit.
    """

    def __init__(self, events: Iterable[Any]) -> None:
        self._events: dict[str, Mapping[str, Any]] = {}
        self._corrections: dict[str, list[Mapping[str, Any]]] = {}
        for event in events:
            try:
                check_event(event)
            except ValueError:
                continue  # `store` reports it
            self._events[event["event_id"]] = event
            self._corrections.setdefault(event["corrects"], []).append(event)

    def latest(self, event_id: str) -> Mapping[str, Any] | None:
        """Return the last imported edit of a judgement, or itself; None for an unknown event_id."""
        found = self._events.get(event_id)
        while found:
            here = found["event_id"]
            edit = next((e for e in self._corrections.get(here, ()) if _is_edit(e, here)), None)
            if edit is None:
                break
            found = edit
        return found

    def check_unchanged(self, event: Mapping[str, Any]) -> None:
        """Raise ValueError if the judgement was revised or undone in the log."""
        if self._corrections.get(event["event_id"]):
            raise ValueError(
                f"edited in Label Studio, but the judgement {event['event_id']!r} of "
                f"{event['annotator']!r} was revised or undone in the log since: the log's version "
                "is kept"
            )


def _is_edit(event: Mapping[str, Any], of: str) -> bool:
    undo = event["left_accepted"] is None and not event["cannot_judge"]
    return not undo and event["event_id"] == _id(of, _content_of(event))


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
    if meta.get("version") != EXCHANGE_VERSION:
        raise ValueError(f"version {meta.get('version')!r}, this release reads {EXCHANGE_VERSION}")
    events = read_json(str(meta.get("events")).encode(errors="surrogatepass"))
    if not isinstance(events, list):
        raise ValueError(f"meta.events is not a list: {str(events)[:80]}")
    return events


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
    chains: _Chains,
    drawn_by: str,
    users: LabelStudioUsers,
) -> dict[str, Any] | None:
    """Return the event of an annotation that is new or edited in Label Studio, otherwise None."""
    if not isinstance(annotation, dict):
        raise ValueError(f"expected an annotation, received {str(annotation)[:60]!r}")
    # Label Studio assigns new ids and keeps ours as import_id, which is empty for new annotations.
    place = annotation.get("import_id", annotation.get("id"))
    exported = next(
        (event for event in events if place is not None and _place(event) == place), None
    )
    if exported is not None:
        check_event(exported)
        first, content = exported["event_id"], _content(annotation, before=as_annotation(exported))
    else:
        first, content = _id("made there", _own_id(annotation), _ids(task)), _content(annotation)
    before = chains.latest(first)
    if before and content == _content_of(before):
        return None
    if before:
        chains.check_unchanged(before)
        _check_editor(annotation, before["annotator"], users)
        event = {**before, "corrects": before["event_id"]}
        event_id = _id(before["event_id"], content)
    else:
        data = task.get("data")
        event = {**(data if isinstance(data, dict) else {}), "drawn_by": drawn_by}
        annotator = _maker(annotation, users)
        _check_editor(annotation, annotator, users)
        event |= {"annotator": annotator, "repeat_of": None, "corrects": None}
        event_id = first
    seconds = annotation.get("lead_time")
    seconds = seconds if isinstance(seconds, (int, float)) else None
    return {**event, **content, "seconds": seconds, "at": _time(annotation), "event_id": event_id}


def _own_id(annotation: Mapping[str, Any]) -> Any:
    return annotation.get("unique_id") or annotation.get("id")


def _ids(task: Mapping[str, Any]) -> list[Any]:
    data = task.get("data")
    return [data.get(name) if isinstance(data, dict) else None for name in ("left_id", "right_id")]


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

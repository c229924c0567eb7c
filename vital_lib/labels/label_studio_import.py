"""Labels back from Label Studio's JSON of annotated tasks: what left, what was edited, what is new.

Label Studio gives an imported annotation an id of its own, keeps ours as `import_id`, and says who
made and who changed it by the numbers of its users. What it says now is compared with what the log
says, so that a file may be read any number of times, an older one included. This module reads one
file and writes to the log.
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
    queue_arm: str = "random",
    people: Mapping[int | str, str] | None = None,
) -> Imported:
    """Append the labels of Label Studio's JSON (of ours, or exported by it again) to `log`.

    Events that left with `export_label_studio` come back as they were. An annotation edited since,
    by whoever made it, corrects its judgement; a new one becomes a judgement of its own. One that
    was deleted there changes nothing here. Of a pairwise choice without ticks, or changed where the
    ticks were not, that response is accepted and the other rejected.

    Label Studio leaves out tasks without annotations unless it exports with
    `download_all_tasks=true`: where annotations were deleted there, export so.

    Args:
        queue_arm: the arm of annotations made in Label Studio; "random" only if its tasks were a
            random sample.
        people: Label Studio's number (or e-mail address) of a user -> the annotator. Its plain
            export names users by number alone; one made with the serialization option
            `annotations__completed_by: {"only_id": false}` names them by e-mail address, whose case
            means nothing.

    Raises:
        ValueError: the file is not a JSON list of tasks, or users whose names differ from
            annotators of the log, or from one another, by case or blanks alone: who they are is
            asked once, for all of them, before anything is stored.
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
            event = _made(annotation, task, events, chains, queue_arm, users)
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
    """Who the file's users are; asks once about all whose names are nearly those of others."""
    known = {event["annotator"] for event in events if _has_annotator(event)}
    annotations = [annotation for _, annotation, _, _ in given if isinstance(annotation, dict)]
    named = [one.get(name) for one in annotations for name in ("completed_by", "updated_by")]
    users = LabelStudioUsers(people, known, named)
    if unclear := users.unclear(named):
        told = "; ".join(
            f"{one.name!r}, {'log' if one.known else 'file, too'}: "
            f"{', '.join(map(repr, one.known or one.here))}"
            for one in unclear
        )
        name, key, others = unclear[0].name, unclear[0].key, unclear[0].known or unclear[0].here
        raise ValueError(
            f"{len(unclear)} names of Label Studio are, but for case or blanks, the log's or "
            f"another of the file ({told}): say who each is by "
            f"people={{{key!r}: {others[0]!r}}}, or by people={{{name!r}: {name!r}}} where it is "
            "another person"
        )
    return users


def _has_annotator(event: Any) -> bool:
    return isinstance(event, Mapping) and isinstance(event.get("annotator"), str)


class _Chains:
    """Which judgement an annotation has come to: the first, then each edit that was read since.

    An edit's event_id is a hash of the one before it and of what it says: so the edits that were
    read are found again, and going back to an earlier answer is an edit, too.
    """

    def __init__(self, events: Iterable[Any]) -> None:
        self._events: dict[str, Mapping[str, Any]] = {}
        self._corrections: dict[str, list[Mapping[str, Any]]] = {}
        for event in events:
            try:
                check_event(event)
            except ValueError:
                continue  # told where it is stored
            self._events[event["event_id"]] = event
            self._corrections.setdefault(event["corrects"], []).append(event)

    def latest(self, event_id: str) -> Mapping[str, Any] | None:
        """The last edit read of the judgement `event_id`, or itself; None where it is not known."""
        found = self._events.get(event_id)
        while found:
            here = found["event_id"]
            edit = next((e for e in self._corrections.get(here, ()) if _is_edit(e, here)), None)
            if edit is None:
                break
            found = edit
        return found

    def check_unchanged(self, event: Mapping[str, Any]) -> None:
        """Refuse to correct what was revised or taken back where it was judged."""
        if self._corrections.get(event["event_id"]):
            raise ValueError(
                f"edited there, but the judgement {event['event_id']!r} of {event['annotator']!r} "
                "was revised or taken back here since: what stands here is kept"
            )


def _is_edit(event: Mapping[str, Any], of: str) -> bool:
    undo = event["left_accepted"] is None and not event["cannot_judge"]
    return not undo and event["event_id"] == _id(of, _said_of(event))


def _said_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """What a judgement says, as an annotation that was made of it would be read."""
    return _said(as_annotation(event))


def _id(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _task_events(task: Any) -> list[Any]:
    """The events that lie in a task's meta; none where the task is not of our making."""
    if isinstance(task, InvalidRecord):
        raise task
    if not isinstance(task, dict):
        raise ValueError(f"wanted a task, received {str(task)[:60]!r}")
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
        raise ValueError("a task without annotations: export as JSON (JSON-MIN says too little)")
    return _listed(task, "annotations")


def _listed(holder: Mapping[str, Any], name: str) -> list[Any]:
    found = holder.get(name) or []
    if not isinstance(found, list):
        raise ValueError(f"{name} is not a list: {str(found)[:60]!r}")
    return found


def _place(event: Any) -> float:
    place = event.get("place") if isinstance(event, dict) else None
    return place if isinstance(place, int) else float("inf")


def _made(
    annotation: Any,
    task: Mapping[str, Any],
    events: list,
    chains: _Chains,
    queue_arm: str,
    users: LabelStudioUsers,
) -> dict[str, Any] | None:
    """The event that an annotation made or edited in Label Studio amounts to; None if neither."""
    if not isinstance(annotation, dict):
        raise ValueError(f"wanted an annotation, received {str(annotation)[:60]!r}")
    # Label Studio gives new ids and keeps ours as import_id, empty for those made there.
    place = annotation.get("import_id", annotation.get("id"))
    mine = next((one for one in events if place is not None and _place(one) == place), None)
    if mine is not None:
        check_event(mine)
        first, said = mine["event_id"], _said(annotation, before=as_annotation(mine))
    else:
        first, said = _id("made there", _own_id(annotation), _ids(task)), _said(annotation)
    before = chains.latest(first)
    if before and said == _said_of(before):
        return None
    if before:
        chains.check_unchanged(before)
        _check_editor(annotation, before["annotator"], users)
        about = {**before, "corrects": before["event_id"]}
        event_id = _id(before["event_id"], said)
    else:
        data = task.get("data")
        about = {**(data if isinstance(data, dict) else {}), "queue_arm": queue_arm}
        maker = _maker(annotation, users)
        _check_editor(annotation, maker, users)
        about |= {"annotator": maker, "repeat_of": None, "corrects": None}
        event_id = first
    seconds = annotation.get("lead_time")
    seconds = seconds if isinstance(seconds, (int, float)) else None
    return {**about, **said, "seconds": seconds, "at": _time(annotation), "event_id": event_id}


def _own_id(annotation: Mapping[str, Any]) -> Any:
    return annotation.get("unique_id") or annotation.get("id")


def _ids(task: Mapping[str, Any]) -> list[Any]:
    data = task.get("data")
    return [data.get(name) if isinstance(data, dict) else None for name in ("left_id", "right_id")]


def _said(annotation: Mapping[str, Any], before: Mapping | None = None) -> dict[str, Any]:
    """Ticks, flags, reasons and note of an annotation; `before`: what it was when it left."""
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
    """What an annotation's results hold, by the name of their control."""
    given: dict[str, Any] = {}
    for part in _listed(annotation, "result"):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in list(HELD):  # a region drawn on the image, say
            continue
        held = part["value"].get(HELD[kind]) if isinstance(part.get("value"), dict) else None
        if not isinstance(held, (str, list)):
            raise ValueError(f"a {kind} without {HELD[kind]}: {str(part)[:60]!r}")
        given["pairwise" if kind == "pairwise" else str(part.get("from_name"))] = held
    return given


def _ticks(given: Mapping[str, Any], edited: bool) -> list[bool]:
    """Whether each side is accepted; of one `edited` there, ticks outweigh the pairwise choice."""
    ticks = [given.get(f"{side}_tick") for side in SIDES]
    chosen = given.get("pairwise") if given.get("pairwise") in SIDES else None
    if chosen and not any(ticks):
        return [side == chosen for side in SIDES]
    for side, tick in zip(SIDES, ticks, strict=True):
        if tick not in (TICKS[True], TICKS[False]):
            raise ValueError(f"the {side} response is neither accepted nor rejected: {tick!r}")
    accepted = [tick == TICKS[True] for tick in ticks]
    if chosen and not edited and accepted == [side != chosen for side in SIDES]:
        raise ValueError(f"the pairwise choice is {chosen}, and only the other one is accepted")
    return accepted


def _maker(annotation: Mapping[str, Any], users: LabelStudioUsers) -> str:
    person = annotation.get("completed_by")
    if person is None:
        raise ValueError("completed_by does not say whose annotation this is")
    name = users.name(person)
    if name is None:
        raise ValueError(
            f"completed_by is user {person!r}: say who that is by people={{{person!r}: ...}}"
        )
    return name


def _check_editor(annotation: Mapping[str, Any], annotator: str, users: LabelStudioUsers) -> None:
    """Refuse an edit by another person: nobody's judgement is put into somebody else's mouth."""
    maker, editor = (annotation.get(name) for name in ("completed_by", "updated_by"))
    if editor is None or users.same(maker, editor):
        return
    name = users.name(editor)
    if name != annotator:
        raise ValueError(f"edited by user {name or editor!r}, not by {annotator!r} who judged")


def _time(annotation: Mapping[str, Any]) -> str:
    for name in ("updated_at", "created_at"):
        try:
            return datetime.fromisoformat(str(annotation.get(name))).astimezone(UTC).isoformat()
        except (ValueError, OverflowError):
            continue
    return datetime.now(UTC).isoformat(timespec="milliseconds")

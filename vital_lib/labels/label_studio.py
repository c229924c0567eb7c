"""Labels as Label Studio's JSON of annotated tasks, there and back without loss.

The layout is Label Studio's own ("Label Studio JSON format of annotated tasks"; tags Pairwise,
Choices, TextArea). This module reads and writes files: it speaks to no server and opens no image.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pandas as pd

from vital_lib.labels.agreement import standing
from vital_lib.labels.exchange import (
    EXCHANGE_FORMAT,
    EXCHANGE_VERSION,
    Imported,
    check_event,
    plain_events,
    read_json,
    store,
)
from vital_lib.labels.log import LabelLog
from vital_lib.tables import write_whole

_SIDES = ("left", "right")
_HELD = {"pairwise": "selected", "textarea": "text", "choices": "choices"}
_TICKS = {True: ["accepted"], False: ["rejected"], None: []}
_REASONS = '  <Choices name="reasons" toName="instruction" choice="multiple" showInline="true">'
_CONFIG = """\
<View>
  <Image name="image" value="$image" zoom="true"/>
  <Text name="caption" value="$caption"/>
  <Text name="mentions" value="$mentions"/>
  <Header value="Accept or reject each response by itself; skip what you cannot judge"/>
  <Text name="instruction" value="$instruction"/>
  <Pairwise name="pairwise" toName="left,right"/>
  <View style="display: flex; gap: 1em">
    <View style="flex: 1">
      <Text name="left" value="$left"/>
      <Choices name="left_tick" toName="left" choice="single-radio" showInline="true">
        <Choice value="accepted"/>
        <Choice value="rejected"/>
      </Choices>
    </View>
    <View style="flex: 1">
      <Text name="right" value="$right"/>
      <Choices name="right_tick" toName="right" choice="single-radio" showInline="true">
        <Choice value="accepted"/>
        <Choice value="rejected"/>
      </Choices>
    </View>
  </View>
  <Choices name="flags" toName="instruction" choice="multiple">
    <Choice value="unsafe"/>
  </Choices>
<!-- reasons -->
  <TextArea name="note" toName="instruction" maxSubmissions="1" editable="true"/>
</View>
"""
# Characters that neither XML nor PostgreSQL's JSON takes: Label Studio would refuse the whole file.
_UNSHOWABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def label_studio_config(reasons: Iterable[str] = ()) -> str:
    """The labelling interface for Label Studio, as XML, that fits `export_label_studio`'s tasks.

    Args:
        reasons: choices offered as reasons, such as the criteria of the judge's policy.
    """
    lines = [f"    <Choice value={quoteattr(_shown(reason))}/>\n" for reason in reasons]
    offered = f"{_REASONS}\n{''.join(lines)}  </Choices>\n" if lines else ""
    return _CONFIG.replace("<!-- reasons -->\n", offered)


def export_label_studio(
    events: pd.DataFrame,
    drafts: pd.DataFrame,
    figures: pd.DataFrame,
    path: str | Path,
    resolve: Callable[[str], Any] | None = None,
    *,
    reasons: Iterable[str] = (),
) -> int:
    """Write `LabelLog.history()` as Label Studio tasks and return their number.

    A task is an item with its two responses as they stood; its annotations are the judgements that
    stand: choices `left_tick` and `right_tick`, the pairwise choice where one response alone was
    accepted, flags, reasons, note; a skip is a cancelled annotation. Label Studio keeps a task's
    `meta` as it is, so the whole events lie there. The labelling interface is written beside the
    file, with the ending .xml; set the project up with it, then import the file.

    Label Studio attributes annotations to its own members by e-mail address, and refuses the whole
    file for an address that it does not know; annotators with other names are kept in `meta` alone.

    Args:
        events: `LabelLog.history()`.
        drafts: columns candidate_id, figure_id, instruction, response.
        figures: columns figure_id, image, caption, mentions.
        resolve: an `image` value -> the address at which Label Studio finds it, such as
            `lambda image: f"/data/local-files/?d={image}"`; without it the value itself is written.
        reasons: reasons to offer, beside those that occur.
    """
    path = Path(path)
    responses = drafts.drop_duplicates("candidate_id").set_index("candidate_id").to_dict("index")
    shown = figures.drop_duplicates("figure_id").set_index("figure_id").to_dict("index")
    stand = set(standing(events)["event_id"])
    tasks: dict[tuple[str, ...], list[dict]] = {}
    rows = [{"place": n, **event} for n, event in enumerate(plain_events(events), 1)]
    for row in rows:
        tasks.setdefault((row["item_id"], row["left_id"], row["right_id"]), []).append(row)
    marks = {"format": EXCHANGE_FORMAT, "version": EXCHANGE_VERSION}
    written = [
        {
            "id": n,
            "data": _task_data(ids, responses, shown, resolve),
            # A text within JSON: Label Studio's database would refuse a NUL, here it is escaped.
            "meta": {**marks, "events": json.dumps(of_task)},
            "annotations": [_annotation(one) for one in of_task if one["event_id"] in stand],
        }
        for n, (ids, of_task) in enumerate(tasks.items(), 1)
    ]
    occurring = [_shown(text) for event in rows for text in event["reasons"]]
    offered = dict.fromkeys([*map(_shown, reasons), *occurring])
    config = label_studio_config(text for text in offered if text.strip())
    text = json.dumps(written, indent=1) + "\n"
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="ascii"))
    beside = path.with_suffix(".xml")
    write_whole(beside, lambda temporary: temporary.write_text(config, encoding="utf-8"))
    return len(written)


def import_label_studio(path: str | Path, log: LabelLog, *, queue_arm: str = "random") -> Imported:
    """Append the labels of Label Studio's JSON (of ours, or exported by it again) to `log`.

    Events that left with `export_label_studio` come back as they were. An annotation that was
    edited since corrects its judgement; a new one becomes a judgement of its own, by the person's
    e-mail address. One that was deleted there changes nothing here. Without ticks, a pairwise
    choice counts as accepting that response and rejecting the other.

    Args:
        queue_arm: the arm of annotations made in Label Studio; "random" only if its tasks were a
            random sample.

    Raises:
        ValueError: the file is not a JSON list of tasks.
    """
    tasks = read_json(Path(path).read_bytes())
    if not isinstance(tasks, list):
        raise ValueError(f"{path} is not a JSON list of tasks: export from Label Studio as JSON")
    known: list[tuple[str, Any]] = []
    made: list[tuple[str, Any]] = []
    for n, task in enumerate(tasks, 1):
        try:
            events, annotations = _task_events(task), _listed(task, "annotations")
        except ValueError as error:
            known.append((f"task {n}", error))
            continue
        known += [(f"task {n}, event {k}", event) for k, event in enumerate(events, 1)]
        for k, annotation in enumerate(annotations, 1):
            try:
                event = _made(annotation, task, events, queue_arm)
            except ValueError as error:
                event = error
            made += [(f"task {n}, annotation {k}", event)] if event else []
    known.sort(key=lambda found: _place(found[1]))
    made.sort(key=lambda found: str(found[1]["at"]) if isinstance(found[1], dict) else "")
    return store(log, [*known, *made], total=len(known) + len(made))


def _shown(text: Any) -> str:
    return _UNSHOWABLE.sub("\ufffd", str(text))


def _task_data(
    ids: Sequence[str], responses: Mapping, figures: Mapping, resolve: Callable | None
) -> dict[str, str]:
    item, *sides = ids
    left, right = (responses.get(name, {}) for name in sides)
    figure_id = left.get("figure_id", "")
    figure = figures.get(figure_id, {})
    image = figure.get("image", "")
    data = {
        **{"item_id": item, "left_id": sides[0], "right_id": sides[1], "figure_id": figure_id},
        "image": resolve(image) if resolve and image else image,
        "caption": figure.get("caption", ""),
        "mentions": "\n".join(figure.get("mentions", ())),
        "instruction": left.get("instruction", ""),
        **{"left": left.get("response", ""), "right": right.get("response", "")},
    }
    return {name: _shown(value) for name, value in data.items()}


def _annotation(event: Mapping[str, Any]) -> dict[str, Any]:
    """A judgement as Label Studio's annotation; `id` comes back from there as `import_id`."""
    accepted = [event["left_accepted"], event["right_accepted"]]
    said = {
        "pairwise": _SIDES[accepted.index(True)] if sorted(map(bool, accepted)) == [0, 1] else None,
        **{f"{side}_tick": _TICKS[tick] for side, tick in zip(_SIDES, accepted, strict=True)},
        "flags": ["unsafe"] if event["unsafe"] else [],
        "reasons": [_shown(reason) for reason in event["reasons"]],
        "note": [_shown(event["note"])] if event["note"] else [],
    }
    person = event["annotator"]
    return {
        "id": event["place"],
        **({"completed_by": {"email": person}} if "@" in person else {}),
        "result": [_result(name, value) for name, value in said.items() if value],
        "was_cancelled": event["cannot_judge"],
        "ground_truth": False,  # or Label Studio takes every imported annotation for the truth
        "lead_time": event["seconds"],
        **{"created_at": event["at"], "updated_at": event["at"]},
    }


def _result(name: str, value: Any) -> dict[str, Any]:
    kind = {"pairwise": "pairwise", "note": "textarea"}.get(name, "choices")
    # A pairwise result is about the control itself, as Label Studio's editor writes it.
    about = {"pairwise": name, "left_tick": "left", "right_tick": "right"}.get(name, "instruction")
    place = {"id": name, "from_name": name, "to_name": about}
    return {**place, "type": kind, "value": {_HELD[kind]: value}}


def _task_events(task: Any) -> list[Any]:
    """The events that lie in a task's meta; none where the task is not of our making."""
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


def _listed(holder: Mapping[str, Any], name: str) -> list[Any]:
    found = holder.get(name) or []
    if not isinstance(found, list):
        raise ValueError(f"{name} is not a list: {str(found)[:60]!r}")
    return found


def _place(event: Any) -> float:
    place = event.get("place") if isinstance(event, dict) else None
    return place if isinstance(place, int) else float("inf")


def _made(annotation: Any, task: Mapping, events: list, queue_arm: str) -> dict[str, Any] | None:
    """The event that an annotation made or edited in Label Studio amounts to; None if neither."""
    if not isinstance(annotation, dict):
        raise ValueError(f"wanted an annotation, received {str(annotation)[:60]!r}")
    # Label Studio gives new ids and keeps ours as import_id, empty for those made there.
    place = annotation.get("import_id", annotation.get("id"))
    mine = next((one for one in events if place is not None and _place(one) == place), None)
    said = _said(annotation)
    if mine is not None:
        check_event(mine)
        if said == _said(_annotation(mine)):
            return None
        about = {**mine, "corrects": mine["event_id"]}
        key = [mine["event_id"]]
    else:
        data = task.get("data")
        about = dict(data) if isinstance(data, dict) else {}
        about |= {"annotator": _person(annotation), "queue_arm": queue_arm}
        about |= {"repeat_of": None, "corrects": None}
        key = [about["annotator"], annotation.get("id"), *map(about.get, ("left_id", "right_id"))]
    seconds = annotation.get("lead_time")
    text = json.dumps([key, said])
    return {
        **about,
        **said,
        "seconds": seconds if isinstance(seconds, (int, float)) else None,
        "at": _time(annotation),
        "event_id": hashlib.sha256(text.encode()).hexdigest()[:32],
    }


def _said(annotation: Mapping[str, Any]) -> dict[str, Any]:
    """Ticks, flags, reasons and note of an annotation."""
    given: dict[str, Any] = {}
    for part in _listed(annotation, "result"):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in list(_HELD):  # a region drawn on the image, say
            continue
        held = part["value"].get(_HELD[kind]) if isinstance(part.get("value"), dict) else None
        if not isinstance(held, (str, list)):
            raise ValueError(f"a {kind} without {_HELD[kind]}: {str(part)[:60]!r}")
        given["pairwise" if kind == "pairwise" else str(part.get("from_name"))] = held
    cannot = bool(annotation.get("was_cancelled"))
    ticks = [None, None] if cannot else [_tick(given, side) for side in _SIDES]
    note = given.get("note") or []
    return {
        **{f"{side}_accepted": tick for side, tick in zip(_SIDES, ticks, strict=True)},
        **{"cannot_judge": cannot, "unsafe": "unsafe" in (given.get("flags") or [])},
        "reasons": given.get("reasons") or [],
        "note": "\n".join(map(str, note)) if isinstance(note, list) else note,
    }


def _tick(given: Mapping[str, Any], side: str) -> bool:
    ticks = [given.get(f"{name}_tick") for name in _SIDES]
    tick = given.get(f"{side}_tick")
    if not any(ticks) and given.get("pairwise") in _SIDES:
        tick = _TICKS[given["pairwise"] == side]
    if tick not in (_TICKS[True], _TICKS[False]):
        raise ValueError(f"the {side} response is neither accepted nor rejected: {tick!r}")
    return tick == _TICKS[True]


def _person(annotation: Mapping[str, Any]) -> str:
    person = annotation.get("completed_by")
    if isinstance(person, dict):
        person = person.get("email") or person.get("id")
    if person is None:
        raise ValueError("completed_by does not say whose annotation this is")
    return person if isinstance(person, str) else f"Label Studio user {person}"


def _time(annotation: Mapping[str, Any]) -> str:
    for name in ("updated_at", "created_at"):
        try:
            return datetime.fromisoformat(str(annotation.get(name))).astimezone(UTC).isoformat()
        except (ValueError, OverflowError):
            continue
    return datetime.now(UTC).isoformat(timespec="milliseconds")

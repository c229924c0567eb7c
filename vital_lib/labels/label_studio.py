"""Labels as Label Studio's JSON of annotated tasks: the way out (`label_studio_import`: back).

The layout is Label Studio's own ("Label Studio JSON format of annotated tasks"; tags Pairwise,
Choices, TextArea), tried on its release 1.23. This module writes files: it speaks to no server and
opens no image.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pandas as pd

from vital_lib.labels.agreement import standing
from vital_lib.labels.exchange import EXCHANGE_FORMAT, EXCHANGE_VERSION, plain_events
from vital_lib.tables import write_atomically

SIDES = ("left", "right")
TICKS = {True: ["accepted"], False: ["rejected"], None: []}
"""A tick as the choices of Label Studio's control of that side."""
HELD = {"pairwise": "selected", "textarea": "text", "choices": "choices"}
"""What a result of each type holds its value under."""
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
    `meta` as it is, so the whole events lie there; those of tasks without annotations, which its
    own export leaves out, travel with the first task that has some. The labelling interface is
    written beside the file, with the ending .xml; set the project up with it, then import the file.

    Label Studio attributes annotations to its own members by e-mail address, and refuses the whole
    file for an address that it does not know; annotators with other names are kept in `meta` alone,
    and an edit of theirs counts as theirs.

    Args:
        events: `LabelLog.history()`.
        drafts: columns candidate_id, figure_id, instruction, response.
        figures: columns figure_id, image, caption, mentions.
        resolve: an `image` value -> the address at which Label Studio finds it, such as
            `lambda image: f"/data/local-files/?d={image}"` (which needs local files to be served
            and a storage of them in the project); without it the value itself is written.
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
    carried = _carried(tasks, stand)
    marks = {"format": EXCHANGE_FORMAT, "version": EXCHANGE_VERSION}
    written = [
        {
            "id": n,
            "data": _task_data(ids, responses, shown, resolve),
            # A text within JSON: Label Studio's database would refuse a NUL, here it is escaped.
            "meta": {**marks, "events": json.dumps(carried[ids])},
            "annotations": [as_annotation(one) for one in of_task if one["event_id"] in stand],
        }
        for n, (ids, of_task) in enumerate(tasks.items(), 1)
    ]
    occurring = [_shown(text) for event in rows for text in event["reasons"]]
    offered = dict.fromkeys([*map(_shown, reasons), *occurring])
    config = label_studio_config(text for text in offered if text.strip())
    text = json.dumps(written, indent=1) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="ascii"))
    beside = path.with_suffix(".xml")
    write_atomically(beside, lambda temporary: temporary.write_text(config, encoding="utf-8"))
    return len(written)


def _carried(tasks: Mapping[tuple, list[dict]], stand: set[str]) -> dict[tuple, list[dict]]:
    """The events that each task carries: its own, and of idle tasks all with the first other."""
    active = {ids for ids, rows in tasks.items() if any(row["event_id"] in stand for row in rows)}
    if not active:
        return dict(tasks)
    first = next(ids for ids in tasks if ids in active)
    idle = {ids: [] for ids in tasks if ids not in active}
    return {**tasks, first: [*tasks[first], *(row for ids in idle for row in tasks[ids])], **idle}


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


def as_annotation(event: Mapping[str, Any]) -> dict[str, Any]:
    """A judgement as Label Studio's annotation; `id` comes back from there as `import_id`."""
    accepted = [event["left_accepted"], event["right_accepted"]]
    said = {
        "pairwise": SIDES[accepted.index(True)] if sorted(map(bool, accepted)) == [0, 1] else None,
        **{f"{side}_tick": TICKS[tick] for side, tick in zip(SIDES, accepted, strict=True)},
        "flags": ["unsafe"] if event["unsafe"] else [],
        "reasons": [_shown(reason) for reason in event["reasons"]],
        "note": [_shown(event["note"])] if event["note"] else [],
    }
    person = event["annotator"]
    return {
        "id": event.get("place"),
        **({"completed_by": {"email": person.lower()}} if "@" in person else {}),
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
    return {**place, "type": kind, "value": {HELD[kind]: value}}

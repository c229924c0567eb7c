"""Export of labels as Label Studio's JSON of annotated tasks; see also `label_studio_import`.

The layout is Label Studio's own ("Label Studio JSON format of annotated tasks"; tags Pairwise,
Choices, TextArea), tested with its release 1.23. This module only writes files: it contacts no
server and opens no image.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pandas as pd

from vital_lib.figures import is_cleared
from vital_lib.labels.events import SIDES, standing
from vital_lib.labels.exchange import EXCHANGE_FORMAT, EXCHANGE_VERSION, plain_events
from vital_lib.records import read_text
from vital_lib.tables import write_text

LOG = logging.getLogger(__name__)
_Event = dict[str, Any]

TICKS = {True: ["accepted"], False: ["rejected"], None: []}
"""The choices of Label Studio's control for a side, by tick."""
HELD = {"pairwise": "selected", "textarea": "text", "choices": "choices"}
"""The key under which a result holds its value, by type of result."""
_REASONS = '  <Choices name="reasons" toName="instruction" choice="multiple" showInline="true">'
# XML or PostgreSQL's JSON rejects these characters: Label Studio would refuse the whole file.
_UNSHOWABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def label_studio_config(reasons: Iterable[str] = ()) -> str:
    """Return Label Studio's labelling interface, as XML, for tasks of `export_label_studio`.

    Args:
        reasons: the reasons offered as choices, such as the criteria of the judge's policy.
    """
    lines = [f"    <Choice value={quoteattr(_showable(reason))}/>\n" for reason in reasons]
    offered = f"{_REASONS}\n{''.join(lines)}  </Choices>\n" if lines else ""
    config = read_text(Path(__file__).with_name("label_studio.xml"))
    return config.replace("<!-- reasons -->\n", offered)


def export_label_studio(
    events: pd.DataFrame,
    drafts: pd.DataFrame,
    figures: pd.DataFrame,
    path: str | Path,
    address_of: Callable[[str], Any] | None = None,
    *,
    reasons: Iterable[str] = (),
) -> int:
    """Write `LabelLog.history()` as Label Studio tasks and return the number of tasks.

    A task is an item with its responses on the sides shown. Its annotations are the current
    judgements: choices `left_tick` and `right_tick`, the pairwise choice if only one response was
    accepted, flags, reasons and note. A skip is a cancelled annotation. Set up the project with the
    labelling interface, written next to the file with suffix .xml, then import the file.

    Items about figures that are not cleared are not written, and the log counts them. Label Studio
    keeps a task's `meta`, so `meta` holds the complete events. Its own export omits tasks without
    annotations; the first with annotations holds their events.

    Label Studio attributes annotations to members by e-mail address and refuses unknown addresses.
    Other names are only in `meta`, and edits of their annotations count as theirs.

    Args:
        events: `LabelLog.history()`.
        drafts: columns candidate_id, figure_id, instruction, response.
        figures: columns figure_id, image, caption, mentions, cleared, cleared_reason.
        address_of: maps the path of an image to the address at which Label Studio finds it, such
            as `lambda image: f"/data/local-files/?d={image}"` (with local file serving and a local
            storage); paths below the folder of `path` are relative to it. That file is shown with
            its metadata. Without it, a task names the image by its figure's id.
        reasons: reasons to offer in addition to those in `events`.
    """
    path = Path(path)
    responses = drafts.drop_duplicates("candidate_id").set_index("candidate_id").to_dict("index")
    events = _of_cleared(events, responses, set(figures["figure_id"][is_cleared(figures)]))
    figure_rows = _figure_rows(figures, path.parent.resolve(), address_of)
    current = set(standing(events)["event_id"])
    tasks: dict[tuple[str, ...], list[_Event]] = {}
    rows: list[_Event] = [{"place": n, **event} for n, event in enumerate(plain_events(events), 1)]
    for row in rows:
        tasks.setdefault((row["item_id"], row["left_id"], row["right_id"]), []).append(row)
    carried = _carried(tasks, current)
    marks = {"format": EXCHANGE_FORMAT, "version": EXCHANGE_VERSION}
    written = [
        {
            "id": n,
            "data": _task_data(ids, responses, figure_rows),
            # A JSON string in JSON, which escapes NUL: Label Studio's database refuses a NUL.
            "meta": {**marks, "events": json.dumps(carried[ids])},
            "annotations": [as_annotation(e) for e in of_task if e["event_id"] in current],
        }
        for n, (ids, of_task) in enumerate(tasks.items(), 1)
    ]
    occurring = [_showable(text) for event in rows for text in event["reasons"]]
    offered = dict.fromkeys([*map(_showable, reasons), *occurring])
    config = label_studio_config(filter(str.strip, offered))
    write_text(path, json.dumps(written, indent=1) + "\n")
    write_text(path.with_suffix(".xml"), config)
    return len(written)


def _of_cleared(events: pd.DataFrame, responses: Mapping, cleared: set[str]) -> pd.DataFrame:
    """Return the events of items about cleared figures; the log counts the other items."""
    figure_of = {name: row["figure_id"] for name, row in responses.items()}
    allowed = events["left_id"].map(figure_of).isin(cleared)
    if not allowed.all():
        counts = events["item_id"][~allowed].nunique(), events["item_id"].nunique()
        LOG.warning("%d of %d items are held back: their figures are not cleared", *counts)
    return events[allowed]


def _carried(tasks: Mapping[tuple, list[dict]], current: set[str]) -> dict[tuple, list[dict]]:
    """Return the events of each task; the first active task also gets those of idle tasks."""
    active = {ids for ids, rows in tasks.items() if any(row["event_id"] in current for row in rows)}
    if not active:
        return dict(tasks)
    first = next(ids for ids in tasks if ids in active)
    idle = {ids: [] for ids in tasks if ids not in active}
    return {**tasks, first: [*tasks[first], *(row for ids in idle for row in tasks[ids])], **idle}


def _showable(text: Any) -> str:
    return _UNSHOWABLE.sub("\ufffd", str(text))


def _figure_rows(
    figures: pd.DataFrame, folder: Path, address_of: Callable[[str], Any] | None
) -> dict[str, dict]:
    """Return the figures by id, each `image` as its address, or as a name without one."""

    def address(figure_id: str, image: str) -> Any:
        if address_of is None or not image:
            return f"{figure_id}{Path(image).suffix}" if image else image
        below = Path(image).is_relative_to(folder)
        return address_of(Path(image).relative_to(folder).as_posix() if below else image)

    rows = figures.drop_duplicates("figure_id").set_index("figure_id")
    return rows.assign(image=list(map(address, rows.index, rows["image"]))).to_dict("index")


def _task_data(ids: Sequence[str], responses: Mapping, figures: Mapping) -> dict[str, str]:
    item, *sides = ids
    left, right = (responses.get(name, {}) for name in sides)
    figure_id = left.get("figure_id", "")
    figure = figures.get(figure_id, {})
    data = {
        **{"item_id": item, "left_id": sides[0], "right_id": sides[1], "figure_id": figure_id},
        "image": figure.get("image", ""),
        "caption": figure.get("caption", ""),
        "mentions": "\n".join(figure.get("mentions", ())),
        "instruction": left.get("instruction", ""),
        **{"left": left.get("response", ""), "right": right.get("response", "")},
    }
    return {name: _showable(value) for name, value in data.items()}


def as_annotation(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return a judgement as an annotation; Label Studio returns its `id` as `import_id`."""
    accepted = [event["left_accepted"], event["right_accepted"]]
    values = {
        "pairwise": SIDES[accepted.index(True)] if sorted(map(bool, accepted)) == [0, 1] else None,
        **{f"{side}_tick": TICKS[tick] for side, tick in zip(SIDES, accepted, strict=True)},
        "flags": ["unsafe"] if event["unsafe"] else [],
        "reasons": [_showable(reason) for reason in event["reasons"]],
        "note": [_showable(event["note"])] if event["note"] else [],
    }
    annotator = event["annotator"]
    return {
        "id": event.get("place"),
        **({"completed_by": {"email": annotator.lower()}} if "@" in annotator else {}),
        "result": [_result(name, value) for name, value in values.items() if value],
        "was_cancelled": event["cannot_judge"],
        "ground_truth": False,  # by default, imported annotations are ground truth
        "lead_time": event["seconds"],
        **{"created_at": event["at"], "updated_at": event["at"]},
    }


def _result(name: str, value: Any) -> dict[str, Any]:
    kind = {"pairwise": "pairwise", "note": "textarea"}.get(name, "choices")
    # A pairwise result refers to the control itself, as in files of Label Studio's editor.
    target = {"pairwise": name, "left_tick": "left", "right_tick": "right"}.get(name, "instruction")
    result = {"id": name, "from_name": name, "to_name": target}
    return {**result, "type": kind, "value": {HELD[kind]: value}}

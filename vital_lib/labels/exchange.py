"""Labels out of and into a log: events as JSON lines, and what every import shares.

An export carries every column of every event, undone and replaced ones too: read into an empty log
it gives the same history, and read twice it is stored once. What cannot be read is told with its
place, and the rest goes on. Label Studio's format lies in ``label_studio``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import sqlalchemy as sa
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from vital_lib.labels.database import label_events
from vital_lib.labels.log import EVENT_COLUMNS, LabelLog, event_row, unstored
from vital_lib.records import UnreadableFile, read_records
from vital_lib.tables import UnsupportedFormat, write_atomically

EXCHANGE_FORMAT = "vital label events"
EXCHANGE_VERSION = 1
"""Version of both files, written into them; another one is refused."""


class _Event(BaseModel):
    """A row of label_events as JSON holds it, every column of its own type."""

    model_config = ConfigDict(strict=True)

    event_id: str
    item_id: str
    annotator: str
    left_id: str
    right_id: str
    left_accepted: bool | None
    right_accepted: bool | None
    cannot_judge: bool
    unsafe: bool
    reasons: list[str]
    note: str
    queue_arm: str
    repeat_of: str | None
    corrects: str | None
    seconds: Annotated[Any, AfterValidator(lambda value: _seconds(value))]
    at: Annotated[str, AfterValidator(lambda value: _time_zoned(value))]


@dataclass(frozen=True)
class Imported:
    """What an import found: `read` of `total` events could be read, `stored` of them were new.

    `rejected` says why of the others: place (in the file), reason.
    """

    total: int
    read: int
    stored: int
    rejected: pd.DataFrame

    def __str__(self) -> str:
        text = f"{self.read} of {self.total} events read, {self.stored} of them new"
        if len(self.rejected):
            first = self.rejected.iloc[0]
            text += f"; {len(self.rejected)} rejected, first {first.place}: {first.reason}"
        return text


def export_jsonl(events: pd.DataFrame, path: str | Path) -> int:
    """Write `LabelLog.history()` as JSON lines and return the number of events.

    The first line names format, version and number of events; then one event a line, in order, with
    every column of label_events. The file appears whole or not at all.
    """
    rows = plain_events(events)
    header = {"format": EXCHANGE_FORMAT, "version": EXCHANGE_VERSION, "events": len(rows)}
    text = "".join(json.dumps(row) + "\n" for row in [header, *rows])
    write_atomically(Path(path), lambda temporary: temporary.write_text(text, encoding="ascii"))
    return len(rows)


def import_jsonl(path: str | Path, log: LabelLog) -> Imported:
    """Append the events of a file of `export_jsonl` to `log`, as they were, times included.

    Raises:
        UnsupportedFormat: the first line is not this format's, or of another version.
    """
    try:
        (_, header), *rest = read_records(path, fields=(*EVENT_COLUMNS, "format"))
    except (UnreadableFile, ValueError) as error:
        told = error if isinstance(error, UnreadableFile) else f"{path} holds nothing"
        raise UnsupportedFormat(f"{told}: give a file of export_jsonl") from None
    known = isinstance(header, dict) and header.get("format") == EXCHANGE_FORMAT
    if not known or header.get("version") != EXCHANGE_VERSION:
        raise UnsupportedFormat(
            f"{path} begins with {str(header)[:80]!r}, not with format {EXCHANGE_FORMAT!r} of "
            f"version {EXCHANGE_VERSION}: give a file of export_jsonl, or the release that wrote it"
        )
    found = [(f"line {place.rpartition(':')[2]}", event) for place, event in rest]
    total = header["events"] if isinstance(header.get("events"), int) else 0
    if total > len(found):
        found.append(("end of file", ValueError(f"{total - len(found)} events are missing")))
    return store(log, found, total=max(len(found), total))


def store(log: LabelLog, found: Sequence[tuple[str, Any]], total: int) -> Imported:
    """Append what was found, (place, event or error), to the log in one commit."""
    rejected, rows, places = [], [], []
    for place, event in found:
        try:
            rows.append(_row(log, event))
            places.append(place)
        except ValueError as error:
            rejected.append((place, str(error)))
    stored, refused = _append(log, rows)
    rejected += [(places[n], reason) for n, reason in refused.items()]
    frame = pd.DataFrame(rejected, columns=["place", "reason"])
    return Imported(total, len(rows) - len(refused), stored, frame)


def _append(log: LabelLog, rows: list[dict]) -> tuple[int, dict[int, str]]:
    """How many rows were new, and why others were refused, by their number in `rows`."""
    with log.database.writing() as connection:

        def kept(part: list[dict]) -> int:
            with connection.begin_nested():
                new = unstored(connection, part)
                if new:
                    connection.execute(sa.insert(label_events), new)
            return len(new)

        try:
            return kept(rows), {}
        except (ValueError, sa.exc.DataError):
            stored, refused = 0, {}  # some of them cannot be stored: one by one, to learn which
        for n, row in enumerate(rows):
            try:
                stored += kept([row])
            except (ValueError, sa.exc.DataError) as error:
                refused[n] = str(getattr(error, "orig", error))
        return stored, refused


def _row(log: LabelLog, event: Any) -> dict[str, Any]:
    """A whole row of label_events from what a file holds; raises ValueError for anything else."""
    check_event(event)
    given = {name: event[name] for name in EVENT_COLUMNS if name != "at"}
    silent = event["left_accepted"] is None is event["right_accepted"]
    undo = silent and event["corrects"] and not event["cannot_judge"]
    row = event_row(given) if undo else log.checked(**given)
    return {**row, "at": event["at"]}


def check_event(event: Any) -> None:
    """Refuse what does not have every column of label_events, each of its type."""
    if isinstance(event, ValueError):
        raise event
    if not isinstance(event, dict):
        raise ValueError(f"wanted an event, received {str(event)[:60]!r}")
    for text in (event.get(name) for name in EVENT_COLUMNS):
        if isinstance(text, str):
            text.encode()  # half a character cannot be stored: a ValueError says which
    try:
        _Event.model_validate(event)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    else:
        return
    name, *inside = first["loc"]
    received = str(event.get(name))[:60]
    if first["type"] == "missing":
        raise ValueError(f"{name} is missing")
    if cause := first.get("ctx", {}).get("error"):
        raise ValueError(str(cause))
    if inside:
        raise ValueError(f"{name} {received} are not all texts")
    raise ValueError(f"{name} {received!r} is not of the right type")


def _seconds(value: Any) -> Any:
    if type(value) not in (int, float, type(None)):
        raise ValueError(f"seconds {str(value)[:60]!r} is not of the right type")
    if value is not None and not abs(value) < 1e9:
        raise ValueError(f"seconds {value!r} is no time that someone took")
    return value


def _time_zoned(value: str) -> str:
    if datetime.fromisoformat(value).tzinfo is None:
        raise ValueError(f"at {value!r} has no time zone")
    return value


def plain_events(events: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of label_events as JSON knows them: None for what is missing."""
    frame = events[EVENT_COLUMNS].astype(object)
    return frame.where(frame.notna(), None).to_dict("records")


def read_json(text: bytes) -> Any:
    """What the JSON says, NaN as missing; a ValueError as a value where it is none."""
    try:
        return json.loads(text.decode("utf-8-sig"), parse_constant=lambda name: None)
    except (ValueError, RecursionError) as error:
        return ValueError(f"not JSON ({error}): {text[:60]!r}")

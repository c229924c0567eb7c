"""Export and import of labels as JSON lines, and the checks that all imports share.

An export holds every column of every event, including undone and replaced ones. Imported into an
empty log it gives the same history; imported twice it is stored once. An import reports each event
that it cannot read, with its place, and continues. ``label_studio`` has Label Studio's format.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from vital_lib.labels.database import label_events
from vital_lib.labels.events import EVENT_COLUMNS, read_event, with_kind
from vital_lib.labels.log import LabelLog, unstored
from vital_lib.records import UnreadableFile, read_records
from vital_lib.tables import UnsupportedFormat, write_text

EXCHANGE_FORMAT = "vital label events"
EXCHANGE_VERSION = 3
"""Version of both file formats, written into the files."""
_OLDER_VERSIONS = (1, 2)  # read, too; other versions are refused


@dataclass(frozen=True)
class Imported:
    """The result of an import: `read` of `total` events were valid, `stored` of them were new.

    `rejected` lists the other events: columns place (in the file), reason.
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

    The first line gives format, version and number of events. Each further line is one event, in
    order, with every column of label_events. The file is written atomically.
    """
    rows = plain_events(events)
    header = {"format": EXCHANGE_FORMAT, "version": EXCHANGE_VERSION, "events": len(rows)}
    write_text(Path(path), "".join(json.dumps(row) + "\n" for row in [header, *rows]))
    return len(rows)


def import_jsonl(path: str | Path, log: LabelLog) -> Imported:
    """Append the events of an `export_jsonl` file to `log`, with their original ids and times.

    Raises:
        UnsupportedFormat: the file is unreadable or empty, or its first line gives another format
            or version.
    """
    try:
        (_, header), *rest = read_records(path, fields=(*EVENT_COLUMNS, "format"))
    except (UnreadableFile, ValueError) as error:
        reason = error if isinstance(error, UnreadableFile) else f"{path} contains no records"
        raise UnsupportedFormat(f"{reason}: give a file written by export_jsonl") from None
    recognised = isinstance(header, dict) and header.get("format") == EXCHANGE_FORMAT
    version = header.get("version") if recognised else None
    if version not in (EXCHANGE_VERSION, *_OLDER_VERSIONS):
        raise UnsupportedFormat(
            f"{path} begins with {str(header)[:80]!r}, not with format {EXCHANGE_FORMAT!r} of "
            f"version {EXCHANGE_VERSION}: give a file written by export_jsonl, or use the release "
            "that wrote it"
        )
    events = in_this_version([event for _, event in rest], version)
    places = [f"line {place.rpartition(':')[2]}" for place, _ in rest]
    found: list[tuple[str, Any]] = list(zip(places, events, strict=True))
    total = header["events"] if isinstance(header.get("events"), int) else 0
    if total > len(found):
        found.append(("end of file", ValueError(f"{total - len(found)} events are missing")))
    return store(log, found, total=max(len(found), total))


def store(log: LabelLog, found: Sequence[tuple[str, Any]], total: int) -> Imported:
    """Append events, given as (place, event or error), to the log in one commit."""
    rejected, rows, places = [], [], []
    for place, event in found:
        try:
            rows.append(read_event(event))
            places.append(place)
        except ValueError as error:
            rejected.append((place, str(error)))
    stored, refused = _append(log, rows)
    rejected += [(places[n], reason) for n, reason in refused.items()]
    frame = pd.DataFrame(rejected, columns=["place", "reason"])
    return Imported(total, len(rows) - len(refused), stored, frame)


def _append(log: LabelLog, rows: list[dict]) -> tuple[int, dict[int, str]]:
    """Return the number of new rows, and the reason of each refused row by index in `rows`."""
    with log.database.writing() as connection:

        def inserted(part: list[dict]) -> int:
            with connection.begin_nested():
                new = unstored(connection, part)
                if new:
                    connection.execute(sa.insert(label_events), new)
            return len(new)

        try:
            return inserted(rows), {}
        except (ValueError, sa.exc.DataError):
            stored, refused = 0, {}  # insert singly, to find the rows that cannot be stored
        for n, row in enumerate(rows):
            try:
                stored += inserted([row])
            except (ValueError, sa.exc.DataError) as error:
                refused[n] = str(getattr(error, "orig", error))
        return stored, refused


def in_this_version(events: list[Any], version: Any) -> list[Any]:
    """Return the events of a file of `version` in the present one.

    Raises:
        ValueError: this release does not read the version.
    """
    if version == EXCHANGE_VERSION:
        return events
    if version not in _OLDER_VERSIONS:
        raise ValueError(f"version {version!r}, this release reads {EXCHANGE_VERSION}")
    return [with_kind(event) if isinstance(event, dict) else event for event in events]


def plain_events(events: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows of label_events as dicts for JSON, with None for missing values."""
    frame = events[EVENT_COLUMNS].astype(object)
    return frame.where(frame.notna(), None).to_dict("records")


def read_json(text: bytes) -> Any:
    """Return the parsed JSON, with None for NaN; return a ValueError if it is not JSON."""
    try:
        return json.loads(text.decode("utf-8-sig"), parse_constant=lambda name: None)
    except (ValueError, RecursionError) as error:
        return ValueError(f"not JSON ({error}): {text[:60]!r}")

"""The label log: judgements of pairs of responses, kept as events that are never changed.

An event is on disk before ``record`` returns. Undo and revision append events, and ``preferences``
derives the current votes. This module does not depend on widgets, images or models.
"""

from __future__ import annotations

import weakref
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import sqlalchemy as sa

from vital_lib.labels.database import Database
from vital_lib.labels.database import label_events as _events
from vital_lib.labels.database import label_requests as _requests
from vital_lib.labels.events import (
    EVENT_COLUMNS,
    ITEM_COLUMNS,
    VOTES,
    check_text,
    event_row,
    latest_votes,
    standing_events,
)
from vital_lib.tables import TABLES

PURPOSES = ("label", "adjudication")
"""What an item can be requested for."""
LOOK_UP_AT_ONCE = 500  # ids per IN (...), far below any database's limit
_KINDS = {
    **dict.fromkeys(["left_accepted", "right_accepted", "cannot_judge", "unsafe"], "boolean"),
    **{"repeat_of": "str", "corrects": "str", "seconds": "float64"},
}
_JUDGEMENT = [*ITEM_COLUMNS, "kind", "left_accepted", "right_accepted", "cannot_judge", "unsafe"]
_CHOICES = {(1, 0): "left", (0, 1): "right", (1, 1): "both", (0, 0): "neither"}


class LabelLog:
    """The append-only log of judgements behind an SQLAlchemy URL.

    Args:
        url: `sqlite:///path` (created if missing) or `postgresql+psycopg://...`.

    Raises:
        UnsupportedFormat, LabelsNotSaved, ValueError: as for `Database`, from any method.

    Attributes:
        database: the database of the events, and of the queue's leases.
    """

    def __init__(self, url: str) -> None:
        self.database = Database(url)

    def __repr__(self) -> str:
        return f"LabelLog({str(self.database)!r})"

    @property
    def identity(self) -> str:
        """A random name of this log, the same for everyone who opens it."""
        return self.database.identity

    def close(self) -> None:
        """Close the pooled connections; the log can still be used afterwards."""
        self.database.close()

    def record(
        self,
        *,
        item_id: str,
        annotator: str,
        left_id: str,
        right_id: str,
        left_accepted: bool | None,
        right_accepted: bool | None,
        cannot_judge: bool = False,
        unsafe: bool = False,
        reasons: Sequence[str] = (),
        note: str = "",
        seconds: float | None = None,
        event_id: str | None = None,
        drawn_by: str = "random",
        repeat_of: str | None = None,
        corrects: str | None = None,
    ) -> str:
        """Append one judgement and return its event_id once it is on disk.

        An event_id sent twice (a double click, a retry) is stored once.

        Args:
            item_id, annotator: the item and who judges it; non-empty, as all ids.
            left_id, right_id: the candidates shown on the two sides.
            left_accepted, right_accepted: whether each response is accepted; both are None if and
                only if `cannot_judge`.
            cannot_judge: whether the annotator skips the item.
            unsafe: whether the annotator marks a response as unsafe.
            reasons, note: why, in the words offered and in the annotator's own.
            seconds: time taken.
            event_id: a random one by default.
            drawn_by: one of `DRAWN_BY`, the way in which the item was chosen.
            repeat_of: event_id of the judgement that this hidden repeat repeats.
            corrects: event_id of the judgement that this one replaces, by the same annotator, on
                the same item and with the same drawn_by and repeat_of.

        Raises:
            LabelsNotSaved: the database fails at the moment; a retry with the same event_id is
                safe.
            ValueError: an empty id, a missing tick, a value of another type, a reference
                to an event that does not exist or does not fit, or an event_id already used for
                another judgement. The message shows the value.
        """
        event = {name: value for name, value in locals().items() if name != "self"}
        return self.record_many([event])[0]

    def record_many(self, events: Iterable[Mapping[str, Any]]) -> list[str]:
        """Append judgements in one commit, all or none, and return their event_ids.

        Each mapping holds the arguments of `record`. Raises the same errors as `record`.
        """
        rows = [event_row(event) for event in events]
        with self.database.writing() as connection:
            new = unstored(connection, rows)
            if new:
                connection.execute(sa.insert(_events), new)
        return [row["event_id"] for row in rows]

    def undo(self, annotator: str, arms: Collection[str] | None = None) -> str | None:
        """Undo `annotator`'s latest current judgement by appending an event that corrects it.

        With `arms`, undo the latest judgement in these arms. Returns the event_id of the undone
        judgement, or None if there is none. The judgement that it replaced is current again.
        """
        latest = _standing_of(annotator, arms).order_by(_events.c.place.desc()).limit(1)
        with self.database.writing() as connection:
            found = connection.execute(latest).mappings().first()
            if found is None:
                return None
            kept = {name: found[name] for name in [*ITEM_COLUMNS, "drawn_by", "repeat_of"]}
            row = event_row({**kept, "corrects": found["event_id"]}, undo=True)
            connection.execute(sa.insert(_events), [row])
            return found["event_id"]

    def history(self) -> pd.DataFrame:
        """Return every event in storage order, undos included; columns of label_events."""
        return self._frame(sa.select(_events).order_by(_events.c.place))

    def standing(
        self,
        annotator: str,
        item_id: str | None = None,
        arms: Collection[str] | None = None,
        limit: int | None = None,
    ) -> pd.DataFrame:
        """Return `annotator`'s current judgements in storage order; columns of label_events.

        `item_id` selects the judgements of one item, `arms` those in the given arms, and `limit`
        the latest ones up to that number.
        """
        own = _standing_of(annotator, arms)
        if item_id is not None:
            own = own.where(_events.c.item_id == item_id)
        latest_first = own.order_by(_events.c.place.desc()).limit(limit)
        return self._frame(latest_first).iloc[::-1].reset_index(drop=True)

    def preferences(self) -> pd.DataFrame:
        """Return the votes: one row per item and annotator, columns of table `preferences`.

        If an annotator has several current judgements of an item, the latest by time counts. Hidden
        repeats, calibration, adjudication and comparisons are not votes.
        """
        return self._current(VOTES)

    def latest(self) -> tuple[int, str] | None:
        """Return place and event_id of the last stored event; None in an empty log.

        Events are only appended, so the log is unchanged as long as this value is.
        """
        last = sa.select(_events.c.place, _events.c.event_id).order_by(_events.c.place.desc())
        with self.database.reading() as connection:
            found = connection.execute(last.limit(1)).first()
        return found and (found.place, found.event_id)

    def annotators(self) -> set[str]:
        """Return the names of all annotators with an event in the log."""
        with self.database.reading() as connection:
            return set(connection.execute(sa.select(_events.c.annotator).distinct()).scalars())

    def calibrations(self) -> pd.DataFrame:
        """Return the judgements of calibration rounds; columns of `preferences`."""
        return self._current(["calibration"])

    def adjudications(self) -> pd.DataFrame:
        """Return the judgements that settle disagreements; columns of `preferences`."""
        return self._current(["adjudication"])

    def comparisons(self) -> pd.DataFrame:
        """Return the comparisons of two models' answers; columns of `preferences`.

        `verdicts_of` turns them into verdicts.
        """
        return self._current(["comparison"])

    def request(self, item_ids: Iterable[str], purpose: str = "label") -> int:
        """Ask for judgements of items, and return how many were not asked for before.

        Queues that are opened from now on hand out items requested to "label" first, in an arm of
        their own (`REQUESTED`); `adjudication_rows` takes those requested for "adjudication".

        Raises:
            ValueError: an empty id, or an unknown purpose.
        """
        wanted = list(dict.fromkeys(item_ids))
        for item in wanted:
            check_text("item_id", item)
        new = [item for item in wanted if item not in set(self.requests(purpose))]
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        rows = [{"item_id": item, "purpose": purpose, "at": at} for item in new]
        if rows:
            with self.database.writing() as connection:
                connection.execute(sa.insert(_requests), rows)
        return len(rows)

    def requests(self, purpose: str = "label") -> list[str]:
        """Return the items requested for a purpose, "label" or "adjudication", oldest first."""
        if purpose not in PURPOSES:
            raise ValueError(f"purpose {purpose!r}: give one of {', '.join(PURPOSES)}")
        query = sa.select(_requests.c.item_id).where(_requests.c.purpose == purpose)
        with self.database.reading() as connection:
            found = connection.execute(query.order_by(_requests.c.place)).scalars()
            return list(dict.fromkeys(found))

    def _current(self, arms: Collection[str]) -> pd.DataFrame:
        """Return the latest current judgement per item and annotator, without hidden repeats."""
        query = standing_events().where(_events.c.drawn_by.in_(arms)).order_by(_events.c.place)
        rows = latest_votes(self._frame(query))
        ticks = rows[["cannot_judge", "left_accepted", "right_accepted"]].itertuples(index=False)
        choices = ["skip" if skip else _CHOICES[left, right] for skip, left, right in ticks]
        columns = TABLES["preferences"].columns
        return rows.assign(choice=choices)[columns].reset_index(drop=True)

    def _frame(self, query: sa.Select) -> pd.DataFrame:
        with self.database.reading() as connection:
            rows = connection.execute(query).mappings().all()
        frame = pd.DataFrame([dict(row) for row in rows], columns=EVENT_COLUMNS)
        return frame.astype(_KINDS)


def practice_log() -> LabelLog:
    """Return an empty log of its own, in a temporary folder that is deleted with it.

    For practice with the card: its labels are votes nowhere, and end with the kernel.
    """
    folder = TemporaryDirectory(prefix="vital-practice-")
    log = LabelLog(f"sqlite:///{folder.name}/labels.sqlite")
    weakref.finalize(log, _forget, log.database, folder)
    return log


def _forget(database: Database, folder: TemporaryDirectory) -> None:
    database.close()
    folder.cleanup()


def _standing_of(annotator: str, arms: Collection[str] | None) -> sa.Select:
    check_text("annotator", annotator)
    own = standing_events().where(_events.c.annotator == annotator)
    return own if arms is None else own.where(_events.c.drawn_by.in_(arms))


def unstored(connection: sa.Connection, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the `rows` that the log does not hold yet, after checking their references."""
    wanted = {row[name] for row in rows for name in ("event_id", "corrects", "repeat_of")} - {None}
    held = _held(connection, sorted(wanted))
    new = []
    for row in rows:
        same = held.get(row["event_id"])
        if same is None:
            _check_references(row, held)
            new.append(row)
            held[row["event_id"]] = row
        elif any(same[name] != row[name] for name in _JUDGEMENT):
            raise ValueError(
                f"event_id {row['event_id']!r} is already used for another judgement, of "
                f"{same['item_id']!r} by {same['annotator']!r}: give each event its own id"
            )
    return new


def _held(connection: sa.Connection, event_ids: list[str]) -> dict[str, Mapping[str, Any]]:
    held: dict[str, Mapping[str, Any]] = {}
    for start in range(0, len(event_ids), LOOK_UP_AT_ONCE):
        part = event_ids[start : start + LOOK_UP_AT_ONCE]
        query = sa.select(_events).where(_events.c.event_id.in_(part))
        held.update({row["event_id"]: row for row in connection.execute(query).mappings()})
    return held


def _check_references(row: Mapping[str, Any], held: Mapping[str, Mapping[str, Any]]) -> None:
    for name in ("corrects", "repeat_of"):
        if row[name] is None:
            continue
        other = held.get(row[name])
        undo = other and other["kind"] == "undo"
        if not other or undo or any(other[k] != row[k] for k in ("item_id", "annotator")):
            raise ValueError(
                f"{name} {row[name]!r} is not the event_id of a judgement of "
                f"{row['item_id']!r} by {row['annotator']!r}"
            )
        if name == "corrects" and any(other[k] != row[k] for k in ("drawn_by", "repeat_of")):
            raise ValueError(
                f"a revision keeps the drawn_by {other['drawn_by']!r} and the repeat_of "
                f"{other['repeat_of']!r} of the judgement that it corrects, not "
                f"{row['drawn_by']!r} and {row['repeat_of']!r}"
            )

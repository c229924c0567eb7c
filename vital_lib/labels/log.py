"""The label log: what people said of two responses, kept as events that are never changed.

An event is on disk before ``record`` returns; undoing and revising append, and ``preferences``
works out what stands. SQLite (write-ahead log, flushed at every commit) or PostgreSQL by URL, safe
from several threads and processes. This module knows nothing of widgets, images or models.
"""

from __future__ import annotations

import threading
import uuid
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.pool import QueuePool

from vital_lib.tables import TABLES, OtherFormat

FORMAT_VERSION = 1
"""Version of the log's layout, kept in the log; another one is refused."""

_NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "afpfs", "9p"}
_LOOK_UP_AT_ONCE = 500  # ids in one IN (...): far below every database's limit

_metadata = sa.MetaData()
_format = sa.Table("label_format", _metadata, sa.Column("version", sa.Integer, nullable=False))
_events = sa.Table(
    "label_events",
    _metadata,
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("event_id", sa.Text, nullable=False, unique=True),
    sa.Column("item_id", sa.Text, nullable=False),
    sa.Column("annotator", sa.Text, nullable=False, index=True),
    sa.Column("left_id", sa.Text, nullable=False),
    sa.Column("right_id", sa.Text, nullable=False),
    sa.Column("left_accepted", sa.Boolean),
    sa.Column("right_accepted", sa.Boolean),
    sa.Column("cannot_judge", sa.Boolean, nullable=False),
    sa.Column("unsafe", sa.Boolean, nullable=False),
    sa.Column("reasons", sa.JSON, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("queue_arm", sa.Text, nullable=False),
    sa.Column("repeat_of", sa.Text),
    sa.Column("corrects", sa.Text, index=True),
    sa.Column("seconds", sa.Float),
    sa.Column("at", sa.Text, nullable=False),
)
_COLUMNS = [column.name for column in _events.columns if column.name != "place"]
_KINDS = {
    **dict.fromkeys(["left_accepted", "right_accepted", "cannot_judge", "unsafe"], "boolean"),
    **{"repeat_of": "str", "corrects": "str", "seconds": "float64"},
}
_JUDGEMENT = ["item_id", "annotator", "left_id", "right_id", "left_accepted", "right_accepted"]
_CHOICES = {(1, 0): "left", (0, 1): "right", (1, 1): "both", (0, 0): "neither"}


class LabelLog:
    """The append-only log of judgements behind an SQLAlchemy URL.

    Args:
        url: `sqlite:///path` (made if it is not there) or `postgresql+psycopg://...`.
        known: ids of the candidates that may be judged; without it any id is taken.

    Raises:
        OtherFormat: the log was written in a layout that this release does not read.
        ValueError: a log in memory, or on a disk where SQLite cannot keep its write-ahead log.
    """

    def __init__(self, url: str, *, known: Collection[str] | None = None) -> None:
        self._known = None if known is None else frozenset(known)
        self._lock = threading.Lock()  # SQLite lets waiting writers starve; a lock does not
        self._engine = _open(url)
        self._writer = self._engine.execution_options(vital_begin="BEGIN IMMEDIATE")
        with self._writing() as connection:
            _check_format(connection)
            _metadata.create_all(connection)
            _forbid_changes(connection)

    def __repr__(self) -> str:
        return f"LabelLog({self._engine.url.render_as_string(hide_password=True)!r})"

    def close(self) -> None:
        """Give back the connections; the log may be used again afterwards."""
        self._engine.dispose()

    def record(
        self,
        *,
        item_id: str,
        left_id: str,
        right_id: str,
        left_accepted: bool | None,
        right_accepted: bool | None,
        annotator: str,
        event_id: str | None = None,
        queue_arm: str = "random",
        cannot_judge: bool = False,
        unsafe: bool = False,
        reasons: Sequence[str] = (),
        note: str = "",
        seconds: float | None = None,
        repeat_of: str | None = None,
        corrects: str | None = None,
    ) -> str:
        """Append one judgement and return its event_id once it is on disk.

        The same event_id sent twice (a double click, a retry) is stored once.

        Args:
            left_accepted, right_accepted: tick or cross; both None exactly if `cannot_judge`.
            repeat_of: event_id of the judgement of which this is a hidden repeat.
            corrects: event_id of the annotator's judgement of this item that this one replaces.

        Raises:
            ValueError: an empty or unknown id, a missing tick, a reference to no such event, or
                an event_id already used for another judgement; the message shows the value.
        """
        values = {name: value for name, value in locals().items() if name != "self"}
        return self.record_many([values])[0]

    def record_many(self, events: Iterable[Mapping[str, Any]]) -> list[str]:
        """Append many judgements in one commit and return their event_ids: all are kept or none.

        For simulated and imported labels. Each mapping holds the arguments of `record`, and raises
        as `record` does.
        """
        rows = [self._row(**event) for event in events]
        with self._writing() as connection:
            new = _unstored(connection, rows)
            if new:
                connection.execute(sa.insert(_events), new)
        return [row["event_id"] for row in rows]

    def undo(self, annotator: str) -> str | None:
        """Take back `annotator`'s latest standing judgement by an event that corrects it.

        Returns the event_id that no longer stands, or None where nothing was left to undo. What
        the judgement had replaced stands again.
        """
        check_text("annotator", annotator)
        with self._writing() as connection:
            mine = _standing().where(_events.c.annotator == annotator)
            latest = mine.order_by(_events.c.place.desc()).limit(1)
            found = connection.execute(latest).mappings().first()
            if found is None:
                return None
            kept = {name: found[name] for name in [*_JUDGEMENT[:4], "queue_arm", "repeat_of"]}
            row = _event({**kept, "corrects": found["event_id"]})
            connection.execute(sa.insert(_events), [row])
            return found["event_id"]

    def history(self) -> pd.DataFrame:
        """Every event in the order it was stored, undos included; columns of label_events."""
        return self._frame(sa.select(_events).order_by(_events.c.place))

    def preferences(self) -> pd.DataFrame:
        """The current truth: one row per item and annotator, columns of table `preferences`.

        Of several standing judgements of an item by one annotator the latest counts; hidden
        repeats do not.
        """
        asked = _standing().where(_events.c.repeat_of.is_(None)).order_by(_events.c.place)
        rows = self._frame(asked).drop_duplicates(["item_id", "annotator"], keep="last")
        said = rows[["cannot_judge", "left_accepted", "right_accepted"]].itertuples(index=False)
        choices = ["skip" if skip else _CHOICES[left, right] for skip, left, right in said]
        columns = TABLES["preferences"].columns
        return rows.assign(choice=choices)[columns].reset_index(drop=True)

    def judged(self, annotator: str) -> set[str]:
        """The item_ids on which `annotator` has a standing judgement, skips included."""
        rows = self.preferences()
        return set(rows["item_id"][rows["annotator"] == annotator])

    def _row(self, **event: Any) -> dict[str, Any]:
        """One checked row of label_events, from the arguments of `record`."""
        unknown = set(event) - (set(_COLUMNS) - {"at"})
        if unknown:
            raise ValueError(f"an event has no field called {', '.join(sorted(unknown))}")
        for name in ("item_id", "annotator", "left_id", "right_id"):
            check_text(name, event.get(name))
        for name in ("left_id", "right_id"):
            if self._known is not None and event[name] not in self._known:
                raise ValueError(f"{name} {event[name]!r} is not a candidate of this queue")
        if event["left_id"] == event["right_id"]:
            raise ValueError(f"left_id and right_id are both {event['left_id']!r}")
        if isinstance(event.get("reasons"), str):
            raise ValueError(f"reasons {event['reasons']!r}: give a list of texts")
        _check_ticks(event)
        return _event(event)

    def _frame(self, query: sa.Select) -> pd.DataFrame:
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        frame = pd.DataFrame([dict(row) for row in rows], columns=_COLUMNS)
        return frame.astype(_KINDS)

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        """A transaction that no other writer shares, committed at the end."""
        with self._lock, self._writer.begin() as connection:
            if connection.dialect.name == "postgresql":
                # One writer at a time, as in SQLite: places then follow the order of commits.
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(5641544100)"))
            yield connection


def check_text(name: str, value: Any) -> None:
    """Refuse what is not a text with something in it."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} must be a text that is not empty, not {value!r}")


def _check_ticks(event: Mapping[str, Any]) -> None:
    ticks = [event.get("left_accepted"), event.get("right_accepted")]
    if event.get("cannot_judge"):
        if ticks != [None, None]:
            raise ValueError(f"a judgement that cannot be made has no ticks, but came with {ticks}")
    elif not all(isinstance(tick, (bool, np.bool_)) for tick in ticks):
        raise ValueError(
            f"ticks {ticks}: each response needs True or False, or set cannot_judge=True"
        )


def _event(values: Mapping[str, Any]) -> dict[str, Any]:
    """A whole row of label_events, what `values` lacks filled in, numpy's scalars made Python's."""
    given = {name: value for name, value in values.items() if value is not None}
    plain = {
        name: value.item() if hasattr(value, "item") else value for name, value in given.items()
    }
    return {
        **dict.fromkeys(_COLUMNS),
        **{"cannot_judge": False, "unsafe": False, "note": "", "queue_arm": "random"},
        **plain,
        "event_id": plain.get("event_id") or uuid.uuid4().hex,
        "reasons": list(plain.get("reasons", ())),
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }


def _is_undo(event: sa.FromClause) -> sa.ColumnElement[bool]:
    """An undo corrects an event and says nothing in its place."""
    return event.c.left_accepted.is_(None) & ~event.c.cannot_judge


def _standing() -> sa.Select:
    """The judgements that are neither undone nor replaced by one that is not undone itself."""
    undo, newer, undo_newer = (_events.alias(name) for name in ("undo", "newer", "undo_newer"))
    undone = sa.exists().where(undo.c.corrects == _events.c.event_id, _is_undo(undo))
    newer_undone = sa.exists().where(
        undo_newer.c.corrects == newer.c.event_id, _is_undo(undo_newer)
    )
    replaced = sa.exists().where(
        newer.c.corrects == _events.c.event_id, ~_is_undo(newer), ~newer_undone
    )
    return sa.select(_events).where(~_is_undo(_events), ~undone, ~replaced)


def _unstored(connection: sa.Connection, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The `rows` that the log does not hold yet, their references checked."""
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
                f"event_id {row['event_id']!r} already holds another judgement, of "
                f"{same['item_id']!r} by {same['annotator']!r}: give every event an id of its own"
            )
    return new


def _held(connection: sa.Connection, event_ids: list[str]) -> dict[str, Mapping[str, Any]]:
    held: dict[str, Mapping[str, Any]] = {}
    for start in range(0, len(event_ids), _LOOK_UP_AT_ONCE):
        part = event_ids[start : start + _LOOK_UP_AT_ONCE]
        query = sa.select(_events).where(_events.c.event_id.in_(part))
        held.update({row["event_id"]: row for row in connection.execute(query).mappings()})
    return held


def _check_references(row: Mapping[str, Any], held: Mapping[str, Mapping[str, Any]]) -> None:
    for name in ("corrects", "repeat_of"):
        if row[name] is None:
            continue
        other = held.get(row[name])
        undo = other and other["left_accepted"] is None and not other["cannot_judge"]
        if not other or undo or any(other[k] != row[k] for k in ("item_id", "annotator")):
            raise ValueError(
                f"{name} {row[name]!r} is not the event_id of a judgement of "
                f"{row['item_id']!r} by {row['annotator']!r}"
            )


def _open(url: str) -> sa.Engine:
    address = sa.make_url(url)
    if address.get_backend_name() != "sqlite":
        return sa.create_engine(address, pool_pre_ping=True)
    if not address.database or address.database == ":memory:":
        raise ValueError(f"labels at {url!r} would be lost with the process: give a file's path")
    path = Path(address.database)
    path.parent.mkdir(parents=True, exist_ok=True)
    _warn_of_network_share(path)
    engine = sa.create_engine(
        address, poolclass=QueuePool, connect_args={"timeout": 60, "check_same_thread": False}
    )
    sa.event.listen(engine, "connect", _set_up_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver's own BEGIN comes too late to lock: see below
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":
        raise ValueError(
            f"SQLite keeps no write-ahead log here (journal mode {mode!r}): put the label log on a "
            "local disk, or give a PostgreSQL URL"
        )
    connection.execute("PRAGMA synchronous=FULL")


def _begin_sqlite(connection: sa.Connection) -> None:
    # A writer takes the lock before it reads, or it may find that what it read has changed.
    connection.exec_driver_sql(connection.get_execution_options().get("vital_begin", "BEGIN"))


def _forbid_changes(connection: sa.Connection) -> None:
    for act in ("UPDATE", "DELETE") if connection.dialect.name == "sqlite" else ():
        connection.exec_driver_sql(
            f"CREATE TRIGGER IF NOT EXISTS no_{act.lower()} BEFORE {act} ON label_events "
            "BEGIN SELECT RAISE(ABORT, 'label_events only grows: append an event'); END"
        )


def _check_format(connection: sa.Connection) -> None:
    _format.create(connection, checkfirst=True)
    found = connection.execute(sa.select(_format.c.version)).scalar()
    if found is None:
        connection.execute(sa.insert(_format).values(version=FORMAT_VERSION))
    elif found != FORMAT_VERSION:
        raise OtherFormat(
            f"the label log has format version {found}, this release reads {FORMAT_VERSION}: "
            "open it with the release that wrote it"
        )


def _warn_of_network_share(path: Path) -> None:
    mounts = Path("/proc/mounts")
    lines = mounts.read_text().splitlines() if mounts.exists() else []
    places = [line.split()[1:3] for line in lines]
    over = {place: kind for place, kind in places if path.resolve().is_relative_to(place)}
    kind = over.get(max(over, key=len, default=""))
    if kind in _NETWORK_FILE_SYSTEMS:
        warnings.warn(
            f"{path} lies on a network share ({kind}), where SQLite may lose labels: use a local "
            "disk or a PostgreSQL URL",
            stacklevel=4,
        )

"""The database of a label log: its tables, how it is opened, and its error messages.

SQLite (write-ahead log, flushed at every commit) or PostgreSQL by URL, safe for several threads
and processes. A file that is not a complete log of this format is refused before anything is
written. This module handles tables and transactions, not the meaning of a judgement.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import uuid
import warnings
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import QueuePool

from vital_lib.tables import UnsupportedFormat, log_ahead

FORMAT_VERSION = 3
"""Version of the log's layout, stored in the log; other versions are refused."""
OLDER_VERSIONS = (1, 2)
"""The versions that `convert` reads; commit 0ff7728 writes version 1."""

_NETWORK_FILE_SYSTEMS = {
    *["nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "afpfs", "9p", "lustre", "gpfs"],
    *["ceph", "fuse.ceph", "beegfs", "glusterfs", "fuse.glusterfs"],
}
_MISTAKES = (sa.exc.IntegrityError, sa.exc.ProgrammingError, sa.exc.DataError)
_LOCK = "SET LOCAL lock_timeout = '60s'; SELECT pg_advisory_xact_lock(5641544100)"

_metadata = sa.MetaData()
label_format = sa.Table(
    "label_format",
    _metadata,
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("identity", sa.Text, nullable=False),
)
label_events = sa.Table(
    "label_events",
    _metadata,
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("event_id", sa.Text, nullable=False, unique=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("item_id", sa.Text, nullable=False, index=True),
    sa.Column("annotator", sa.Text, nullable=False, index=True),
    sa.Column("left_id", sa.Text, nullable=False),
    sa.Column("right_id", sa.Text, nullable=False),
    sa.Column("left_accepted", sa.Boolean),
    sa.Column("right_accepted", sa.Boolean),
    sa.Column("cannot_judge", sa.Boolean, nullable=False),
    sa.Column("unsafe", sa.Boolean, nullable=False),
    sa.Column("reasons", sa.JSON, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("drawn_by", sa.Text, nullable=False),
    sa.Column("repeat_of", sa.Text),
    sa.Column("corrects", sa.Text, index=True),
    sa.Column("seconds", sa.Float),
    sa.Column("at", sa.Text, nullable=False),
    sa.Index("ix_label_events_annotator_item", "annotator", "item_id"),  # looked up for every label
)
label_leases = sa.Table(
    "label_leases",
    _metadata,
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("item_id", sa.Text, nullable=False),
    sa.Column("annotator", sa.Text, nullable=False),
    sa.Column("until", sa.Float, nullable=False),  # end of lease, s since 1970; the last row counts
)


label_requests = sa.Table(
    "label_requests",
    _metadata,
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("item_id", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
)


class LabelsNotSaved(RuntimeError):
    """The label database cannot be reached, read or written at the moment.

    The operation can be retried: a judgement sent again with the same event_id is stored once. The
    database's own error is the cause.
    """


class Database:
    """The tables of a label log behind an SQLAlchemy URL; missing tables are created.

    Args:
        url: `sqlite:///path` or `postgresql+psycopg://...`.

    Raises:
        UnsupportedFormat: the file is not a label log or is damaged, or this release does not read
            its layout. The file is left unchanged.
        LabelsNotSaved: the database cannot be reached, read or written at the moment.
        ValueError: an invalid URL, an in-memory database, or a disk on which SQLite cannot keep a
            write-ahead log.

    Attributes:
        identity: a random name of this log, the same for everyone who opens it.
    """

    def __init__(self, url: str) -> None:
        self._lock = threading.Lock()  # SQLite can starve waiting writers; a lock does not
        with _explained():
            self._engine = _open(url)
        name = self._engine.url.database if self._engine.dialect.name == "sqlite" else None
        self._path = Path(name).absolute() if name else None
        self._file: tuple[int, int] | None = None
        self._writer = self._engine.execution_options(vital_begin="BEGIN IMMEDIATE")
        with self.writing() as connection:
            self.identity = self._check_format(connection)
            _metadata.create_all(connection)
            _forbid_changes(connection)
        self._file = self._found()

    def __str__(self) -> str:
        return self._engine.url.render_as_string(hide_password=True)

    def close(self) -> None:
        """Close the pooled connections; the database can still be used afterwards."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Generator[sa.Connection]:
        """Yield a connection for reading; raise LabelsNotSaved if the database fails."""
        with _explained():
            self._check_file()
            with self._engine.connect() as connection:
                yield connection

    @contextmanager
    def writing(self) -> Generator[sa.Connection]:
        """Yield an exclusive transaction, on disk at its end; raise LabelsNotSaved if it fails."""
        with self._lock, _explained():
            self._check_file()
            with self._writer.begin() as connection:
                if connection.dialect.name == "postgresql":
                    # One writer at a time, as in SQLite, so that `place` follows the commit order.
                    connection.exec_driver_sql(_LOCK)
                yield connection

    def _check_file(self) -> None:
        """Raise LabelsNotSaved if SQLite's file is gone or replaced; new labels would be lost.

        No new file is created in its place, and no other file is written to.
        """
        if self._file is None or self._found() == self._file:
            return
        self._engine.dispose()
        raise LabelsNotSaved(
            f"the label file {self._path} was removed, renamed or replaced while it was open: put "
            "it back and try again, or reopen the label log to continue with what is there now"
        )

    def _check_format(self, connection: sa.Connection) -> str:
        """Refuse another version; return the log's identity, which a new log is given here."""
        label_format.create(connection, checkfirst=True)
        found = connection.execute(sa.select(label_format)).first()
        if found is None:
            row = {"version": FORMAT_VERSION, "identity": uuid.uuid4().hex}
            connection.execute(sa.insert(label_format).values(row))
            return row["identity"]
        _check_version(found.version, str(self))
        return found.identity

    def _found(self) -> tuple[int, int] | None:
        """Return device and inode of the file at SQLite's path; None without a file."""
        try:
            found = os.stat(self._path) if self._path else None
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found and (found.st_dev, found.st_ino)


@contextmanager
def _explained() -> Generator[None]:
    """Turn database failures into LabelsNotSaved; pass programming errors on unchanged."""
    try:
        yield
    except _MISTAKES:
        raise
    except (sa.exc.DBAPIError, sa.exc.TimeoutError, sqlite3.OperationalError, OSError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().split("\n")[0]
        raise LabelsNotSaved(
            f"the label database cannot be reached or written at the moment ({reason}): check that "
            "it is running, its disk has space and its folder is writable, then try again"
        ) from error


def _open(url: str) -> sa.Engine:
    try:
        address = sa.make_url(url)
    except sa.exc.ArgumentError:
        given = "an address" if "@" in url else repr(url)  # the URL may hold a password
        raise ValueError(
            f"cannot open the label log at {given}, which is not a database URL: give sqlite:/// "
            "and the file's path, or postgresql+psycopg://user@host/name"
        ) from None
    if address.get_backend_name() != "sqlite":
        query = {"connect_timeout": "10", **address.query}  # seconds; the default is minutes
        return sa.create_engine(address.update_query_dict(query), pool_pre_ping=True)
    if not address.database or address.database == ":memory:":
        raise ValueError(f"labels at {url!r} would be lost when the process ends: give a file path")
    path = Path(address.database)
    path.parent.mkdir(parents=True, exist_ok=True)
    _warn_of_network_share(path)
    if found := version_of_file(path):
        _check_version(found, str(path))
    engine = sa.create_engine(
        address, poolclass=QueuePool, connect_args={"timeout": 60, "check_same_thread": False}
    )
    sa.event.listen(engine, "connect", _set_up_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def version_of_file(path: Path) -> int | None:
    """Return the format version of a label log in SQLite; None for a missing or empty file.

    Raises:
        UnsupportedFormat: the file is not a complete label log; it is left unchanged.
    """
    wal = path.with_name(f"{path.name}-wal")
    size, wal_size = (file.stat().st_size if file.exists() else 0 for file in (path, wal))
    if not size:
        if wal_size:  # SQLite would discard these labels
            raise _damaged(path, f"it is empty, but {wal.name} holds labels")
        return None
    try:
        with closing(open_read_only(path)) as file:
            fault = file.execute("PRAGMA quick_check(1)").fetchone()[0]
            page = file.execute("PRAGMA page_size").fetchone()[0]
            if size % page and not wal_size:  # SQLite reads the missing part as zeros
                fault = "its last page is cut short"
            tables = {name for (name,) in file.execute("SELECT name FROM sqlite_master")}
            ours = "label_format" in tables
            found = file.execute("SELECT max(version) FROM label_format").fetchone() if ours else ()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise _damaged(path, str(error)) from error
    if fault != "ok":
        raise _damaged(path, fault)
    if tables and not ours:
        raise UnsupportedFormat(
            f"{path} holds something other than labels: give the log another path"
        )
    return found[0] if found else None


def open_read_only(path: Path) -> sqlite3.Connection:
    """Open an SQLite file from which is only read."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", 60, uri=True)


def _damaged(path: Path, fault: str) -> UnsupportedFormat:
    return UnsupportedFormat(
        f"{path} is not a label log, or is damaged or truncated ({fault}); it was left unchanged. "
        "Give another path, restore a copy, or recover what is readable with sqlite3's .recover"
    )


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver's BEGIN comes too late: see below
    mode = log_ahead(connection)
    if mode != "wal":
        raise ValueError(
            f"SQLite keeps no write-ahead log here (journal mode {mode!r}): put the label log on a "
            "local disk, or give a PostgreSQL URL"
        )
    connection.execute("PRAGMA synchronous=FULL")


def _begin_sqlite(connection: sa.Connection) -> None:
    # A writer takes the lock before it reads; otherwise what it read may change before it writes.
    connection.exec_driver_sql(connection.get_execution_options().get("vital_begin", "BEGIN"))


def _forbid_changes(connection: sa.Connection) -> None:
    if connection.dialect.name != "sqlite":
        return
    for table in (label_events.name, label_leases.name, label_requests.name):
        for act in ("UPDATE", "DELETE"):
            connection.exec_driver_sql(
                f"CREATE TRIGGER IF NOT EXISTS {table}_no_{act.lower()} BEFORE {act} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} only grows: append a row'); END"
            )


def _check_version(found: int, place: str) -> None:
    if found == FORMAT_VERSION:
        return
    way_out = "open it with the release that wrote it"
    if found in OLDER_VERSIONS:
        command = f"python -m vital_lib.labels convert {place} NEW"
        way_out = f"copy its events with `{command}`, which leaves it unchanged"
    raise UnsupportedFormat(
        f"the label log {place} has format version {found}, this release reads {FORMAT_VERSION}: "
        f"{way_out}"
    )


def _warn_of_network_share(path: Path) -> None:
    mounts = Path("/proc/mounts")
    lines = mounts.read_text().splitlines() if mounts.exists() else []
    mounted = [[part.replace(r"\040", " ") for part in line.split()[1:3]] for line in lines]
    containing = {place: kind for place, kind in mounted if path.resolve().is_relative_to(place)}
    kind = containing.get(max(containing, key=len, default=""))
    if kind in _NETWORK_FILE_SYSTEMS:
        warnings.warn(
            f"{path} is on a network share ({kind}), where SQLite may lose labels: use a local "
            "disk or a PostgreSQL URL",
            stacklevel=5,
        )

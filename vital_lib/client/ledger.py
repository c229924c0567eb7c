"""The ledger of model requests and replies: an append-only SQLite file.

The `sent` table has a row per request sent, the `replies` table a row per result. Requests are
looked up by key, so that no reply is paid for twice. A row holds the request's last message; the
earlier messages (policy and demonstrations) are stored once for all requests, and images only as
content hashes. An index in memory makes lookups independent of the ledger's size. This module does
not depend on networks, policies or API keys.
"""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
import threading
import time
from collections.abc import Generator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from vital_lib.client.entries import Entry, Line, Request, hash_of
from vital_lib.tables import log_ahead

Bill = dict[str, float]
"""requests, tokens_in, tokens_out, usd."""

_TABLES = """
CREATE TABLE IF NOT EXISTS messages (hash TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS replies (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL, key TEXT NOT NULL, reply_id TEXT NOT NULL,
    model TEXT NOT NULL, prompt TEXT NOT NULL, prompt_version TEXT NOT NULL,
    seed INTEGER NOT NULL, repeat INTEGER NOT NULL, attempt INTEGER NOT NULL, receipts TEXT,
    parameters TEXT NOT NULL, image_rule TEXT NOT NULL,
    messages TEXT NOT NULL, asked TEXT NOT NULL,
    answered INTEGER NOT NULL, text TEXT NOT NULL, refusal TEXT, finish_reason TEXT, error TEXT,
    tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, seconds REAL NOT NULL, usd REAL
);
CREATE TABLE IF NOT EXISTS sent (
    at TEXT NOT NULL, reply_id TEXT NOT NULL,
    model TEXT NOT NULL, prompt TEXT NOT NULL, tokens_in INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS batches (
    at TEXT NOT NULL, file TEXT NOT NULL, endpoint TEXT NOT NULL, model TEXT NOT NULL,
    step TEXT NOT NULL, id TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS batch_lines (
    file TEXT NOT NULL, key TEXT NOT NULL, reply_id TEXT NOT NULL,
    model TEXT NOT NULL, prompt TEXT NOT NULL, prompt_version TEXT NOT NULL,
    seed INTEGER NOT NULL, repeat INTEGER NOT NULL, attempt INTEGER NOT NULL,
    parameters TEXT NOT NULL, image_rule TEXT NOT NULL,
    messages TEXT NOT NULL, asked TEXT NOT NULL,
    receipts TEXT NOT NULL, tokens_in INTEGER NOT NULL, usd REAL NOT NULL,
    PRIMARY KEY (file, key)
);
CREATE INDEX IF NOT EXISTS batch_lines_by_key ON batch_lines (key, file);
CREATE INDEX IF NOT EXISTS batch_lines_by_cost ON batch_lines (model, file, usd);
CREATE INDEX IF NOT EXISTS replies_slim
    ON replies (row, reply_id, model, prompt, answered, tokens_in, tokens_out, usd);
"""
# Requests and replies are never rewritten.
_TABLES += "".join(
    f"CREATE TRIGGER IF NOT EXISTS {table}_{act.lower()} BEFORE {act} ON {table} "
    "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;\n"
    for table in ("messages", "replies", "sent", "batches")
    for act in ("UPDATE", "DELETE")
)


class LedgerUnwritable(RuntimeError):
    """The ledger cannot be opened or written; the message names the path, the cause and a fix."""

    def __init__(self, path: Path | None, error: Exception) -> None:
        super().__init__(
            f"the ledger {str(path)!r} cannot be written: {error}. Free space if the disk is full; "
            "otherwise check that the path is a ledger and is writable, or move the run."
        )


_ENTRY = tuple(Entry.__dataclass_fields__)
REQUEST_COLUMNS = (
    *("key", "reply_id", "model", "prompt", "prompt_version", "seed", "repeat"),
    *("parameters", "image_rule", "messages", "asked"),
)
"""The columns of a request, in the order of `request_columns`."""
_NAMES = ("at", *REQUEST_COLUMNS, *_ENTRY)
_COLUMNS = ", ".join(_NAMES)
_INSERT = f"INSERT INTO replies ({_COLUMNS}) VALUES ({', '.join('?' * len(_NAMES))})"
INSERT_MESSAGE = "INSERT OR IGNORE INTO messages VALUES (?, ?)"


class Ledger:
    """A ledger file, safe to use from several threads and processes.

    Args:
        path: the SQLite file; it and its folder are created if missing. None keeps it in memory.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._writing, self._reading = threading.Lock(), threading.Lock()
        self._rows: dict[str, tuple[int, ...]] = {}  # by the key's first 16 digits
        self._sums: dict[tuple[str, str, int], list[float]] = {}  # see `_read_on`
        self._last_row, self._read_at = 0, -math.inf
        try:
            self._writer = self._reader = self._open()
            if path is None:
                self._reading = self._writing  # another connection would not see `:memory:`
            else:
                self._reader = self._connect()  # can read while a commit waits for the disk
        except (sqlite3.Error, OSError) as error:
            raise LedgerUnwritable(path, error) from None

    def __repr__(self) -> str:
        return f"Ledger({str(self.path)!r})" if self.path else "Ledger(in memory)"

    @classmethod
    def of_export(cls, path: Path) -> Ledger:
        """Load an exported file into a ledger in memory.

        Raises:
            ValueError: a line is not an exported reply; the message names the file and line.
        """
        ledger = cls()
        with Path(path).open("rb") as file, ledger.transaction() as connection:
            for number, line in enumerate(file, start=1):
                try:
                    # An export of an earlier release has no receipts.
                    found: dict[str, Any] = {"receipts": None, **json.loads(line)}
                    *shared, found["asked"] = found["messages"]
                    messages = {hash_of(text): text for text in shared}
                    found["messages"] = " ".join(map(hash_of, shared))
                    connection.executemany(INSERT_MESSAGE, messages.items())
                    connection.execute(_INSERT, [found[name] for name in _NAMES])
                except (ValueError, TypeError, KeyError, sqlite3.Error) as error:
                    raise ValueError(
                        f"{path}, line {number}: not an exported reply: {error}"
                    ) from None
        return ledger

    def export(self, path: Path) -> int:
        """Write every reply as a line of JSON and return the number of lines.

        A line has the columns of `history` and `messages`, the list of stored JSON texts. The file
        is written under a temporary name and renamed, so `path` never holds a partial export.
        """
        number, partial = 0, Path(path).with_name(Path(path).name + ".part")
        with partial.open("w", encoding="utf-8") as file:
            for row in self.query(f"SELECT {_COLUMNS} FROM replies ORDER BY row"):
                found = dict(zip(_NAMES, row, strict=True))
                found["messages"] = self._texts(found["messages"], found.pop("asked"))
                file.write(json.dumps(found, ensure_ascii=False) + "\n")
                number += 1
        partial.replace(path)
        return number

    def append(
        self, entries: Sequence[tuple[Request, Entry]], sent: Sequence[Request] = ()
    ) -> None:
        """Store replies and sent requests in one transaction."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        shared: dict[str, str] = {}
        for request, _ in entries:
            shared |= zip(request.hashes[:-1], request.messages[:-1], strict=True)
        with self.transaction() as connection:
            connection.executemany(INSERT_MESSAGE, shared.items())
            connection.executemany(_INSERT, [_row(at, *entry) for entry in entries])
            rows = [(at, r.reply_id, r.model, r.prompt, r.tokens_in) for r in sent]
            connection.executemany("INSERT INTO sent VALUES (?, ?, ?, ?, ?)", rows)

    def find(self, key: str, stale_seconds: float = 0.0, *, failures: bool = False) -> Entry | None:
        """Return the stored answer to a request, or None.

        Of several answers, it is the first one of the highest attempt.

        Args:
            stale_seconds: how old the view of other processes' replies may be. This object's own
                replies are always found.
            failures: return a stored failure if there is no answer.
        """
        found = self.query(
            f"SELECT {', '.join(_ENTRY)} FROM replies WHERE key = ? AND (answered OR ?) AND row IN "
            f"({self._where(key, stale_seconds)}) ORDER BY answered DESC, attempt DESC, row",
            *(key, failures),
        )
        return Entry(bool(found[0][0]), *found[0][1:]) if found else None

    def spoilt(self, request: Request | Line) -> bool:
        """Return whether an unusable reply to this attempt has already been paid for."""
        rows = self._where(request.key)
        return bool(rows) and bool(
            self.query(
                f"SELECT 1 FROM replies WHERE row IN ({rows}) AND key = ? AND attempt = ? "
                "AND NOT answered AND tokens_in + tokens_out > 0 LIMIT 1",
                *(request.key, request.attempt),
            )
        )

    def unanswered(self) -> pd.DataFrame:
        """List requests that were sent and have no known cost; each may have been charged for.

        They were in flight when a process was killed, or failed after they were sent.

        Returns:
            at (the last time sent), reply_id, model, prompt, tokens_in (estimated).
        """
        spoilt = "NOT answered AND tokens_in + tokens_out > 0"  # and requested once more
        rows = self.query(
            "WITH paid AS MATERIALIZED (SELECT reply_id, max(at) AS last FROM replies WHERE row IN "
            f"(SELECT row FROM replies INDEXED BY replies_slim WHERE {spoilt}) GROUP BY reply_id) "
            "SELECT max(at), reply_id, model, prompt, tokens_in FROM sent "
            "LEFT JOIN paid USING (reply_id) WHERE (last IS NULL OR at > last) AND reply_id NOT IN "
            "(SELECT reply_id FROM replies INDEXED BY replies_slim "
            f"WHERE usd IS NOT NULL AND NOT ({spoilt})) "
            "GROUP BY reply_id ORDER BY max(sent.rowid)"
        )
        columns = ["at", "reply_id", "model", "prompt", "tokens_in"]
        return pd.DataFrame.from_records(rows, columns=columns)

    def bill(self, model: str | None = None) -> Bill:
        """Return the bill of `model`, or of all models, at the prices when replies arrived."""
        with self._reading:
            self._read_on()
            found = [sums for key, sums in self._sums.items() if model in (None, key[0])]
        sums = [sum(column) for column in zip([0, 0, 0, 0.0], *found, strict=True)]
        return dict(zip(("requests", "tokens_in", "tokens_out", "usd"), sums, strict=True))

    def bills(self) -> pd.DataFrame:
        """Return the bill of each model and kind of prompt.

        Returns:
            model, prompt, requests, tokens_in, tokens_out, usd.
        """
        with self._reading:
            self._read_on()
            rows = [(*key[:2], *sums) for key, sums in self._sums.items()]
        by, sums = ["model", "prompt"], ["requests", "tokens_in", "tokens_out", "usd"]
        frame = pd.DataFrame(rows, columns=[*by, *sums]).groupby(by, as_index=False).sum()
        return frame.astype(dict.fromkeys(sums[:3], int))

    def mean_tokens_out(self, model: str, prompt: str) -> float | None:
        """Return the mean tokens of a model's answers to a kind of prompt; None without answers."""
        with self._reading:
            self._read_on()
            number, _, tokens_out, _ = self._sums.get((model, prompt, 1), (0, 0, 0, 0))
        return tokens_out / number if number else None

    def trace(self, reply_id: str) -> dict[str, Any]:
        """Return the request and reply of a `reply_id` from any table.

        Returns:
            The row's columns, with `parameters` and `messages` as sent. Each image is
            ``{"image": sha256, "size": [width, height]}``, the size before scaling by `image_rule`.

        Raises:
            KeyError: this ledger has no such reply.
        """
        rows = self.query(
            f"SELECT {_COLUMNS} FROM replies WHERE row IN ({self._where(reply_id)}) "
            "AND reply_id = ? ORDER BY answered DESC, row LIMIT 1",
            reply_id,
        )
        if not rows:
            raise KeyError(f"no reply {reply_id!r} in {self!r}: does it belong to another run?")
        found = dict(zip(_NAMES, rows[0], strict=True))
        messages = self._texts(found["messages"], found.pop("asked"))
        found["parameters"] = json.loads(found["parameters"])
        return {**found, "messages": [json.loads(text) for text in messages]}

    def history(self, columns: Sequence[str] = ()) -> pd.DataFrame:
        """Return every reply in order, without the messages; only some columns if given."""
        names = columns or [name for name in _NAMES if name not in ("messages", "asked")]
        rows = self.query(f"SELECT {', '.join(names)} FROM replies ORDER BY row")
        frame = pd.DataFrame.from_records(rows, columns=names)
        return frame.astype({name: bool for name in names if name == "answered"})

    def _where(self, key: str, stale_seconds: float = 0.0) -> str:
        """Return the row numbers of a key or reply_id as an SQL list."""
        with self._reading:
            if time.monotonic() - self._read_at >= stale_seconds:
                self._read_on()
            return ", ".join(map(str, self._rows.get(key[:16], ())))

    def _read_on(self) -> None:
        """Index the rows added since the last call by any process.

        Updates the row numbers of each reply and, by (model, prompt, answered), the sums of
        requests, tokens_in, tokens_out and usd.
        """
        self._read_at = time.monotonic()  # taken first: rows added during the read count as unread
        query = (
            "SELECT row, reply_id, model, prompt, answered, tokens_in, tokens_out, usd "
            "FROM replies INDEXED BY replies_slim WHERE row > ?"
        )
        for row, reply_id, *kind, tokens_in, tokens_out, usd in self._reader.execute(
            query, (self._last_row,)
        ):
            self._rows[reply_id[:16]] = (*self._rows.get(reply_id[:16], ()), row)
            sums = self._sums.setdefault(tuple(kind), [0, 0, 0, 0.0])
            for place, value in enumerate((1, tokens_in, tokens_out, usd or 0.0)):
                sums[place] += value
            self._last_row = row

    def _texts(self, hashes: str, asked: str) -> list[str]:
        """Return a row's messages, shared messages first."""
        query = "SELECT content FROM messages WHERE hash = ?"
        return [*(self.query(query, hash)[0][0] for hash in hashes.split()), asked]

    def _open(self) -> sqlite3.Connection:
        """Open a connection for writing and create missing tables."""
        if self.path is not None:
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        connection = self._connect()
        # FULL: a counted reply is on disk, even after a power failure.
        log_ahead(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
        connection.executescript(_TABLES)
        columns = connection.execute("PRAGMA table_info(replies)")
        if "receipts" not in {column[1] for column in columns}:  # an earlier release's ledger
            connection.execute("ALTER TABLE replies ADD COLUMN receipts TEXT")
        return connection

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(
            self.path or ":memory:", timeout=60, check_same_thread=False, isolation_level=None
        )

    @contextlib.contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """Commit the block's writes, or roll all of them back."""
        with self._writing:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                self._writer.execute("COMMIT")
                self._read_at = -math.inf
            except BaseException as error:
                if self._writer.in_transaction:  # SQLite rolls back by itself when the disk is full
                    self._writer.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise LedgerUnwritable(self.path, error) from None
                raise

    def query(self, query: str, *values: Any) -> Sequence[tuple]:
        with self._reading:
            return self._reader.execute(query, values).fetchall()


def request_columns(request: Request) -> tuple:
    """Return a request's values for the columns that `replies` and `batch_lines` share."""
    asked = (request.key, request.reply_id, request.model, request.prompt, request.prompt_version)
    asked += (request.seed, 0, json.dumps(request.parameters), request.image_rule)
    return (*asked, " ".join(request.hashes[:-1]), request.messages[-1])


def _row(at: str, request: Request, entry: Entry) -> tuple:
    return (at, *request_columns(request), *(getattr(entry, name) for name in _ENTRY))

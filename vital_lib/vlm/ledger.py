"""The log of model requests and replies: SQLite, append-only, a row when sent, one when answered.

A request is found again by its key, so that nothing is paid for twice. Its last message stands in
its row; the ones before, policy and demonstrations, are kept once however many requests share them;
images by their content hash alone. What is written thus lies together, and where each reply lies is
known in memory: a record costs no more in a large ledger than in a small one. This module knows
nothing of networks, prompts' policies or keys to an API: it is handed texts and numbers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

Bill = dict[str, float]
"""requests, tokens_in, tokens_out, usd."""

_TABLES = """
CREATE TABLE IF NOT EXISTS messages (hash TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS replies (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    key TEXT NOT NULL,
    reply_id TEXT NOT NULL,
    model TEXT NOT NULL,
    prompt TEXT NOT NULL,
    prompt_version TEXT NOT NULL,
    seed INTEGER NOT NULL,
    repeat INTEGER NOT NULL,
    messages TEXT NOT NULL,
    answered INTEGER NOT NULL,
    text TEXT NOT NULL,
    refusal TEXT,
    finish_reason TEXT,
    error TEXT,
    tokens_in INTEGER NOT NULL,
    tokens_out INTEGER NOT NULL,
    seconds REAL NOT NULL,
    usd REAL,
    attempt INTEGER NOT NULL DEFAULT 0,
    asked TEXT
);
CREATE TABLE IF NOT EXISTS sent (at TEXT NOT NULL, reply_id TEXT NOT NULL);
DROP INDEX IF EXISTS replies_key;
DROP INDEX IF EXISTS replies_id;
CREATE INDEX IF NOT EXISTS replies_slim ON replies (row, reply_id);
"""
# What was asked and answered is never rewritten.
_TABLES += "".join(
    f"CREATE TRIGGER IF NOT EXISTS {table}_{act.lower()} BEFORE {act} ON {table} "
    "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;\n"
    for table in ("messages", "replies", "sent")
    for act in ("UPDATE", "DELETE")
)


@dataclass(frozen=True)
class Request:
    """What decides a reply, and the key made of it.

    Args:
        messages: each message as JSON text, images in it by content hash.
        schema: hash of the JSON schema that the reply must fit.
        endpoint: tells servers apart that may serve another model by the same name.
        attempt: 0, and one more each time that the same is asked anew; not part of the key.
    """

    model: str
    prompt: str
    prompt_version: str
    seed: int
    repeat: int
    messages: tuple[str, ...]
    schema: str
    endpoint: str = ""
    attempt: int = 0
    hashes: tuple[str, ...] = field(init=False)
    key: str = field(init=False)

    def __post_init__(self) -> None:
        hashes = tuple(_hash(message) for message in self.messages)
        parts = [self.model, hashes, self.schema, self.prompt_version, self.seed, self.repeat]
        parts += [self.endpoint] if self.endpoint else []
        object.__setattr__(self, "hashes", hashes)
        object.__setattr__(self, "key", _hash(json.dumps(parts)))

    def shared_messages(self) -> list[tuple[str, str]]:
        """Each message but the last, after its hash."""
        return list(zip(self.hashes[:-1], self.messages[:-1], strict=True))

    @property
    def reply_id(self) -> str:
        """The first 16 hexadecimal digits of the key; when asked anew, the attempt after them."""
        return self.key[:16] + (f"-{self.attempt}" if self.attempt else "")


@dataclass(frozen=True)
class Entry:
    """What came back for one request, as it came: the reading of it is the prompt's.

    Args:
        answered: the model replied, so the request is not sent again.
        text: the reply's raw text; empty where there was none.
        error: what the API said instead of a reply.
        seconds: from sending to the reply.
        usd: what it cost at the price of its day; None where that was not known.
        attempt: see `Request`.
    """

    answered: bool
    text: str = ""
    refusal: str | None = None
    finish_reason: str | None = None
    error: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    usd: float | None = 0.0
    attempt: int = 0


class LedgerUnwritable(RuntimeError):
    """The ledger cannot take what came back, as when the disk is full; says why."""


_ENTRY = tuple(Entry.__dataclass_fields__)
_ROW = (
    *("at", "key", "reply_id", "model", "prompt", "prompt_version", "seed", "repeat"),
    *("messages", "asked"),
)
_INSERT = (
    f"INSERT INTO replies ({', '.join(_ROW + _ENTRY)}) "
    f"VALUES ({', '.join('?' * len(_ROW + _ENTRY))})"
)
_ADDED = {"usd": "REAL", "attempt": "INTEGER NOT NULL DEFAULT 0", "asked": "TEXT"}
_SAID = "INSERT OR IGNORE INTO messages VALUES (?, ?)"


class Ledger:
    """One ledger file, safe to use from several threads and processes.

    Args:
        path: the SQLite file, made with its folder if it is not there; None keeps it in memory.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        if path is not None:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._writing, self._reading = threading.Lock(), threading.Lock()
        self._rows: dict[str, tuple[int, ...]] = {}  # by the key's first 16 digits
        self._last_row = 0
        self._writer = self._reader = self._connect()
        # FULL: a reply that was counted is on disk, even after a power cut.
        self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.execute("PRAGMA synchronous = FULL")
        self._writer.execute("PRAGMA wal_autocheckpoint = 4000")
        self._writer.executescript(_TABLES)
        known = {row[1] for row in self._query("PRAGMA table_info (replies)")}
        for name, kind in _ADDED.items():
            if name not in known:  # a ledger of before there was such a column
                self._writer.execute(f"ALTER TABLE replies ADD COLUMN {name} {kind}")
        if path is None:
            self._reading = self._writing  # another connection would not see `:memory:`
        else:
            self._reader = self._connect()  # reads on while a commit waits for the disk

    def __repr__(self) -> str:
        return f"Ledger({str(self.path)!r})" if self.path else "Ledger(in memory)"

    @classmethod
    def of_export(cls, path: Path) -> Ledger:
        """A ledger in memory with what `export` wrote.

        Raises:
            ValueError: a line is not of an export; names the file and the line.
        """
        ledger, names = cls(), [*_ROW, *_ENTRY]
        with Path(path).open(encoding="utf-8") as file, ledger._transaction() as connection:
            for number, line in enumerate(file, start=1):
                try:
                    found = json.loads(line)
                    *shared, found["asked"] = found["messages"]
                    said = {_hash(text): text for text in shared}
                    found["messages"] = " ".join(map(_hash, shared))
                    row = [found[name] for name in names]
                except (ValueError, TypeError, KeyError) as error:
                    raise ValueError(f"{path}, line {number}: no exported reply: {error}") from None
                connection.executemany(_SAID, said.items())
                connection.execute(_INSERT, row)
        return ledger

    def export(self, path: Path) -> int:
        """Write every reply as a line of JSON, with all that was asked; gives their number.

        Columns as of `history`, and `messages`: each as the JSON text it is kept as. Whole or not
        at all: written beside `path` and renamed.
        """
        names, number = [*_ROW, *_ENTRY], 0
        unready = Path(path).with_name(Path(path).name + ".part")
        with unready.open("w", encoding="utf-8") as file:
            for row in self._query(f"SELECT {', '.join(names)} FROM replies ORDER BY row"):
                found = dict(zip(names, row, strict=True))
                found["messages"] = self._texts(found["messages"], found.pop("asked"))
                file.write(json.dumps(found, ensure_ascii=False) + "\n")
                number += 1
        unready.replace(path)
        return number

    def append(
        self, entries: Sequence[tuple[Request, Entry]], sent: Sequence[Request] = ()
    ) -> None:
        """Keep replies, and that requests went out, all of it in one transaction."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        said = [pair for request, _ in entries for pair in request.shared_messages()]
        with self._transaction() as connection:
            connection.executemany(_SAID, said)
            connection.executemany(_INSERT, [_row(at, *entry) for entry in entries])
            rows = [(at, request.reply_id) for request in sent]
            connection.executemany("INSERT INTO sent VALUES (?, ?)", rows)

    def find(self, key: str) -> Entry | None:
        """The answer to this request, or None.

        What was read once stays what is read: the first answer, until one is asked for anew.
        """
        found = self._query(
            f"SELECT {', '.join(_ENTRY)} FROM replies WHERE row IN ({self._where(key)}) "
            "AND key = ? AND answered ORDER BY attempt DESC, row LIMIT 1",
            key,
        )
        return Entry(bool(found[0][0]), *found[0][1:]) if found else None

    def unanswered(self) -> pd.DataFrame:
        """Requests that went out and of which nothing came back: at (the last time), reply_id.

        After a kill these were under way. Each may have been charged for.
        """
        rows = self._query(
            "SELECT max(at), reply_id FROM sent WHERE reply_id NOT IN "
            "(SELECT reply_id FROM replies) GROUP BY reply_id ORDER BY max(rowid)"
        )
        return pd.DataFrame.from_records(rows, columns=["at", "reply_id"])

    def bill(self, model: str | None = None) -> Bill:
        """The bill of all that is kept of `model`, or of every model; at the prices of its day."""
        sums = self._query(
            "SELECT count(*), coalesce(sum(tokens_in), 0), coalesce(sum(tokens_out), 0), "
            "coalesce(sum(usd), 0.0) FROM replies WHERE ?1 IS NULL OR model = ?1",
            model,
        )[0]
        return dict(zip(("requests", "tokens_in", "tokens_out", "usd"), sums, strict=True))

    def mean_tokens_out(self, model: str, prompt: str) -> float | None:
        """Mean length of a model's answers to a kind of prompt; None where it has none yet."""
        return self._query(
            "SELECT avg(tokens_out) FROM replies WHERE model = ? AND prompt = ? AND answered",
            model,
            prompt,
        )[0][0]

    def trace(self, reply_id: str) -> dict[str, Any]:
        """The request and reply behind a `reply_id` of any table.

        Returns:
            The row's columns; `messages` as sent, each image as ``{"image": sha256}``.

        Raises:
            KeyError: this ledger has no such reply.
        """
        names = [*_ROW, *_ENTRY]
        rows = self._query(
            f"SELECT {', '.join(names)} FROM replies WHERE row IN ({self._where(reply_id)}) "
            "AND reply_id = ? ORDER BY answered DESC, row LIMIT 1",
            reply_id,
        )
        if not rows:
            raise KeyError(f"no reply {reply_id!r} in {self!r}: is it another run's?")
        found = dict(zip(names, rows[0], strict=True))
        messages = self._texts(found["messages"], found.pop("asked"))
        return {**found, "messages": [json.loads(text) for text in messages]}

    def history(self) -> pd.DataFrame:
        """Every row in order, without the messages."""
        columns = [name for name in (*_ROW, *_ENTRY) if name not in ("messages", "asked")]
        rows = self._query(f"SELECT {', '.join(columns)} FROM replies ORDER BY row")
        frame = pd.DataFrame.from_records(rows, columns=columns)
        return frame.assign(answered=frame["answered"].astype(bool))

    def _where(self, key: str) -> str:
        """The rows of a key or reply_id, as SQL has a list; looks at what others added first."""
        with self._reading:
            query = "SELECT row, reply_id FROM replies INDEXED BY replies_slim WHERE row > ?"
            for row, reply_id in self._reader.execute(query, (self._last_row,)):
                self._rows[reply_id[:16]] = (*self._rows.get(reply_id[:16], ()), row)
                self._last_row = row
        return ", ".join(map(str, self._rows.get(key[:16], ())))

    def _texts(self, hashes: str, asked: str | None) -> list[str]:
        """The messages of a row; `asked` is None in a ledger of before it stood there."""
        query = "SELECT content FROM messages WHERE hash = ?"
        shared = [self._query(query, hash)[0][0] for hash in hashes.split()]
        return shared if asked is None else [*shared, asked]

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(
            self.path or ":memory:", timeout=60, check_same_thread=False, isolation_level=None
        )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing."""
        with self._writing:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:  # a full disk has rolled it back already
                    self._writer.execute("ROLLBACK")
                raise

    def _query(self, query: str, *values: Any) -> Sequence[tuple]:
        with self._reading:
            return self._reader.execute(query, values).fetchall()


def _row(at: str, request: Request, entry: Entry) -> tuple:
    asked = (request.key, request.reply_id, request.model, request.prompt, request.prompt_version)
    asked += (request.seed, request.repeat)
    asked += (" ".join(request.hashes[:-1]), request.messages[-1])
    return (at, *asked, *(getattr(entry, name) for name in _ENTRY))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

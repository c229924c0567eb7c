"""The log of model requests and replies: SQLite, append-only, one row per reply.

A request is found again by its key, so that nothing is paid for twice; its messages are kept once
each however many requests share them, images by their content hash alone. This module knows
nothing of networks, prompts' policies or keys to an API: it is handed texts and numbers.
"""

from __future__ import annotations

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
    seconds REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS replies_key ON replies (key);
CREATE INDEX IF NOT EXISTS replies_id ON replies (reply_id);
"""
# What was asked and answered is never rewritten.
_TABLES += "".join(
    f"CREATE TRIGGER IF NOT EXISTS {table}_{act.lower()} BEFORE {act} ON {table} "
    "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;\n"
    for table in ("messages", "replies")
    for act in ("UPDATE", "DELETE")
)


@dataclass(frozen=True)
class Request:
    """What decides a reply, and the key made of it.

    Args:
        messages: each message as JSON text, images in it by content hash.
        schema: hash of the JSON schema that the reply must fit.
    """

    model: str
    prompt: str
    prompt_version: str
    seed: int
    repeat: int
    messages: tuple[str, ...]
    schema: str
    hashes: tuple[str, ...] = field(init=False)
    key: str = field(init=False)

    def __post_init__(self) -> None:
        hashes = tuple(_hash(message) for message in self.messages)
        parts = [self.model, hashes, self.schema, self.prompt_version, self.seed, self.repeat]
        object.__setattr__(self, "hashes", hashes)
        object.__setattr__(self, "key", _hash(json.dumps(parts)))

    def named_messages(self) -> Iterator[tuple[str, str]]:
        """Each message after its hash."""
        return zip(self.hashes, self.messages, strict=True)

    @property
    def reply_id(self) -> str:
        """The first 16 hexadecimal digits of the key."""
        return self.key[:16]


@dataclass(frozen=True)
class Entry:
    """What came back for one request, as it came: the reading of it is the prompt's.

    Args:
        answered: the model replied, so the request is not sent again.
        text: the reply's raw text; empty where there was none.
        error: what the API said instead of a reply.
        seconds: from the first sending to the reply, waits included.
    """

    answered: bool
    text: str = ""
    refusal: str | None = None
    finish_reason: str | None = None
    error: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0


_ENTRY = tuple(Entry.__dataclass_fields__)
_ROW = ("at", "key", "reply_id", "model", "prompt", "prompt_version", "seed", "repeat", "messages")
_INSERT = (
    f"INSERT INTO replies ({', '.join(_ROW + _ENTRY)}) "
    f"VALUES ({', '.join('?' * len(_ROW + _ENTRY))})"
)


class Ledger:
    """One ledger file, safe to use from several threads and processes.

    Args:
        path: the SQLite file, made with its folder if it is not there; None keeps it in memory.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        if path is not None:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        # One connection behind a lock: a connection of another thread would not see `:memory:`.
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            path or ":memory:", timeout=60, check_same_thread=False, isolation_level=None
        )
        # FULL: a reply that was counted is on disk, even after a power cut.
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(_TABLES)

    def __repr__(self) -> str:
        return f"Ledger({str(self.path)!r})" if self.path else "Ledger(in memory)"

    def append(self, entries: Sequence[tuple[Request, Entry]]) -> None:
        """Keep replies, all of them in one transaction."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        rows = [_row(at, request, entry) for request, entry in entries]
        said = [pair for request, _ in entries for pair in request.named_messages()]
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany("INSERT OR IGNORE INTO messages VALUES (?, ?)", said)
                self._connection.executemany(_INSERT, rows)
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def find(self, key: str) -> Entry | None:
        """The first answer to this request, or None: what was read once stays what is read."""
        found = self._query(
            f"SELECT {', '.join(_ENTRY)} FROM replies WHERE key = ? AND answered "
            "ORDER BY row LIMIT 1",
            key,
        )
        return Entry(bool(found[0][0]), *found[0][1:]) if found else None

    def totals(self, model: str) -> tuple[int, int, int]:
        """(replies, tokens in, tokens out) kept for a model."""
        return self._query(
            "SELECT count(*), coalesce(sum(tokens_in), 0), coalesce(sum(tokens_out), 0) "
            "FROM replies WHERE model = ?",
            model,
        )[0]

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
        with self._lock:
            cursor = self._connection.execute(
                "SELECT * FROM replies WHERE reply_id = ? ORDER BY answered DESC, row LIMIT 1",
                (reply_id,),
            )
            row, names = cursor.fetchone(), [column[0] for column in cursor.description]
        if row is None:
            raise KeyError(f"no reply {reply_id!r} in {self!r}: is it another run's?")
        found = dict(zip(names, row, strict=True))
        return {**found, "messages": [self._message(hash) for hash in found["messages"].split()]}

    def history(self) -> pd.DataFrame:
        """Every row in order, without the messages."""
        columns = [name for name in (*_ROW, *_ENTRY) if name != "messages"]
        rows = self._query(f"SELECT {', '.join(columns)} FROM replies ORDER BY row")
        frame = pd.DataFrame.from_records(rows, columns=columns)
        return frame.assign(answered=frame["answered"].astype(bool))

    def _message(self, hash: str) -> dict[str, Any]:
        return json.loads(self._query("SELECT content FROM messages WHERE hash = ?", hash)[0][0])

    def _query(self, query: str, *values: Any) -> Sequence[tuple]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()


def _row(at: str, request: Request, entry: Entry) -> tuple:
    asked = (request.key, request.reply_id, request.model, request.prompt, request.prompt_version)
    asked += (request.seed, request.repeat, " ".join(request.hashes))
    return (at, *asked, *(getattr(entry, name) for name in _ENTRY))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

"""The ledger's record of requests in batches: what was submitted and is not collected yet.

A file of requests goes through the steps begun, uploaded, created, done and deleted, each recorded
before the next begins, so that a killed process leaves nothing that is submitted twice. The lines
of a file are kept until it is done. This module does not depend on networks.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import filelock

from vital_lib.client.entries import Entry, Line, Request
from vital_lib.client.ledger import INSERT_MESSAGE, REQUEST_COLUMNS, Ledger, request_columns
from vital_lib.receipts import Receipt

_LINE = (*REQUEST_COLUMNS, "attempt")
_ENTRY = tuple(name for name in Entry.__dataclass_fields__ if name != "attempt")
_INSERT_STEP = "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?)"
_OPEN = "file NOT IN (SELECT file FROM batches WHERE step = 'done')"


@dataclass(frozen=True)
class InputFile:
    """A file of requests that is not done.

    Args:
        name: its own name, which the endpoint also keeps.
        at: when it was begun, in UTC.
        file_id: the endpoint's id of the uploaded file; None before it is recorded.
        batch_id: the id of its batch; None before it is recorded.
        lines: the number of requests without a reply.
    """

    name: str
    at: datetime
    file_id: str | None
    batch_id: str | None
    lines: int


class Pending:
    """The requests to a model that are in batches, over all processes that use the ledger.

    Args:
        endpoint: identifies the server, as in `Request`.
    """

    def __init__(self, ledger: Ledger, endpoint: str, model: str) -> None:
        self._ledger, self._of = ledger, (endpoint, model)
        self._in_memory = threading.Lock()

    @contextlib.contextmanager
    def submitting(self) -> Generator[bool]:
        """Yield whether this is the only one that submits now; hold that until the block ends.

        The operating system ends it with the process, so that a killed process blocks nobody.
        """
        if self._ledger.path is None:
            held = self._in_memory.acquire(blocking=False)
            try:
                yield held
            finally:
                if held:
                    self._in_memory.release()
            return
        lock = filelock.FileLock(f"{self._ledger.path}.batches.lock", thread_local=False)
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def files(self) -> list[InputFile]:
        """Return the files that are not done, oldest first."""
        rows = self._ledger.query(
            "SELECT file, min(at), max(CASE step WHEN 'uploaded' THEN id END), "
            "max(CASE step WHEN 'created' THEN id END), "
            "(SELECT count(*) FROM batch_lines WHERE batch_lines.file = batches.file) "
            f"FROM batches WHERE endpoint = ? AND model = ? AND {_OPEN} GROUP BY file ORDER BY 2",
            *self._of,
        )
        return [InputFile(row[0], datetime.fromisoformat(row[1]), *row[2:]) for row in rows]

    def undeleted(self) -> list[tuple[str, str]]:
        """Return (file, batch_id) of batches that are done, but whose files were not deleted."""
        rows = self._ledger.query(
            "SELECT file, max(CASE step WHEN 'created' THEN id END) AS batch_id FROM batches "
            "WHERE endpoint = ? AND model = ? GROUP BY file "
            "HAVING max(step = 'done') AND NOT max(step = 'deleted') AND batch_id IS NOT NULL",
            *self._of,
        )
        return [(file, batch_id) for file, batch_id in rows]

    def file_of(self, key: str) -> str | None:
        """Return the file that holds a request, or None if it is in no batch."""
        query = f"SELECT file FROM batch_lines WHERE key = ? AND {_OPEN} LIMIT 1"
        rows = self._ledger.query(query, key)
        return rows[0][0] if rows else None

    def in_words(self) -> str:
        """Say of a request that it is in a batch, among how many, and what to do."""
        files = self.files()
        lines = sum(file.lines for file in files)
        at = min((file.at for file in files), default=datetime.now(UTC))
        return (
            f"is in a batch, one of {lines:,} requests since {at.astimezone():%d %b %H:%M}. Pass "
            "batch=True to collect them, or call cancel_batches() and then pass batch=True"
        )

    def keys(self, file: str) -> list[str]:
        """Return the keys of the requests of a file that have no reply."""
        rows = self._ledger.query("SELECT key FROM batch_lines WHERE file = ?", file)
        return [row[0] for row in rows]

    def line(self, file: str, key: str) -> Line | None:
        """Return a request of a file; None if it is none of them, or if its reply is stored."""
        rows = self._ledger.query(
            "SELECT key, attempt, tokens_in, receipts, usd FROM batch_lines "
            "WHERE file = ? AND key = ?",
            *(file, key),
        )
        if not rows:
            return None
        *own, receipts, usd = rows[0]
        return Line(*own, tuple(Receipt(*row) for row in json.loads(receipts)), usd)

    def usd(self) -> float:
        """Return the estimated cost of the model's requests in batches, at any endpoint."""
        query = f"SELECT coalesce(sum(usd), 0.0) FROM batch_lines WHERE model = ? AND {_OPEN}"
        return self._ledger.query(query, self._of[1])[0][0]

    def note(self, file: str, step: str, id_: str = "") -> None:
        """Record that a file has reached a step: begun, uploaded, created or deleted."""
        with self._ledger.transaction() as connection:
            connection.execute(_INSERT_STEP, (_now(), file, *self._of, step, id_))

    def add(self, file: str, lines: Iterable[tuple[Request, Sequence[Receipt], float]]) -> None:
        """Add requests, each with its receipts and its estimated cost, to a file that is begun."""
        columns = ("file", *_LINE, "receipts", "tokens_in", "usd")
        values = ", ".join("?" * len(columns))
        insert = f"INSERT INTO batch_lines ({', '.join(columns)}) VALUES ({values})"
        with self._ledger.transaction() as connection:
            for request, receipts, usd in lines:
                shared = zip(request.hashes[:-1], request.messages[:-1], strict=True)
                connection.executemany(INSERT_MESSAGE, shared)
                own = (request.attempt, json.dumps(list(receipts)), request.tokens_in, usd)
                connection.execute(insert, (file, *request_columns(request), *own))

    def keep(self, file: str, entries: Mapping[str, Entry]) -> None:
        """Store the replies to requests of a file, by key, and take the requests out of it."""
        into = f"INSERT INTO replies (at, {', '.join(_LINE)}, {', '.join(_ENTRY)}) "
        values = f"SELECT ?, {', '.join(_LINE)}{', ?' * len(_ENTRY)} FROM batch_lines "
        at = _now()
        with self._ledger.transaction() as connection:
            for key, entry in entries.items():
                own = [getattr(entry, name) for name in _ENTRY]
                found = connection.execute(
                    f"{into}{values}WHERE file = ? AND key = ?", (at, *own, file, key)
                )
                if found.rowcount:
                    connection.execute(
                        "DELETE FROM batch_lines WHERE file = ? AND key = ?", (file, key)
                    )

    def close(self, file: InputFile, how: str, lost: Iterable[str] = ()) -> None:
        """Record that a file is done, and take its remaining requests out of it.

        Args:
            how: the status of its batch, or why there is none.
            lost: keys of requests without a reply that may have been charged for.
        """
        at = _now()
        with self._ledger.transaction() as connection:
            connection.executemany(
                "INSERT INTO sent SELECT ?, reply_id, model, prompt, tokens_in FROM batch_lines "
                "WHERE file = ? AND key = ?",
                [(at, file.name, key) for key in lost],
            )
            connection.execute("DELETE FROM batch_lines WHERE file = ?", (file.name,))
            connection.execute(_INSERT_STEP, (at, file.name, *self._of, "done", how))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")

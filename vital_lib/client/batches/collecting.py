"""Collect a batch that has ended: every reply into the ledger, and a reason for each other line.

The lines come in any order, some twice and some not at all. A reply is stored in the transaction
that takes its request out of the batch, so a second collection after a kill stores nothing twice.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx2
import openai
from openai.types import Batch

from vital_lib.client import faults, wire
from vital_lib.client.batches.api import BatchApi
from vital_lib.client.batches.files import Malformed, Output, read_line
from vital_lib.client.batches.pending import InputFile
from vital_lib.client.entries import Entry, Line

if TYPE_CHECKING:
    from vital_lib.client import ChatClient

_log = logging.getLogger("vital_lib.client")
_CHUNK = 200  # replies that are stored in one transaction
_TOLD = 3  # of several errors, so many are told
_QUEUE_FULL = "token_limit_exceeded"
_NOT_RUN = {
    "batch_expired": "the batch expired first",
    "batch_cancelled": "the batch was cancelled",
}


@dataclass
class Failure:
    """Why a line has no reply.

    Args:
        final: the same request would fail again.
        usd: what it cost; None if that is not known.
        error: one of `faults.FAULTS`, or None.
        words: what an unusable reply says.
    """

    why: str
    final: bool = False
    usd: float | None = 0.0
    error: Exception | None = None
    words: str = ""

    def rejected(self, fields: Collection[str]) -> str | None:
        """Return the sent field that the endpoint rejects and that can be omitted, or None."""
        if self.error is not None:
            return faults.refused_field(self.error, fields)
        return faults.named_field(self.words, fields)


@dataclass
class Collected:
    """What was found in a batch that has ended.

    Args:
        failures: of the requests without a reply, by key.
        unavailable: why no request can be answered; empty if that is not so.
        queue_full: the words of an endpoint that has too many requests in batches already.
        tokens_in, tokens_out, usd: of the replies.
    """

    failures: dict[str, Failure] = field(default_factory=dict)
    unavailable: str = ""
    queue_full: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float = 0.0


async def collect(client: ChatClient, api: BatchApi, file: InputFile, batch: Batch) -> Collected:
    """Store the replies of a batch that has ended, record that, and delete its files.

    Raises:
        FAULTS: a file could not be read; its batch can be collected again.
        LedgerUnwritable: the ledger cannot be written.
    """
    collecting = _Collecting(client, file, batch)
    for name, file_id in (("output", batch.output_file_id), ("errors", batch.error_file_id)):
        if file_id is not None:
            try:
                await collecting.read(name, api.lines(file_id))
            except openai.NotFoundError:  # for example 30 days later
                collecting.lose(name)
    found = collecting.close()
    await delete_files(client, api, file.name, batch)
    return found


async def delete_files(client: ChatClient, api: BatchApi, name: str, batch: Batch) -> None:
    """Delete the files of a batch that is done at the endpoint, and record that."""
    await api.remove(batch.input_file_id, batch.output_file_id, batch.error_file_id)
    client.pending.note(name, "deleted")


class _Collecting:
    """The state of one collection."""

    def __init__(self, client: ChatClient, file: InputFile, batch: Batch) -> None:
        self._client, self._file, self._batch = client, file, batch
        self._found = Collected()
        self._entries: dict[str, Entry] = {}  # to be stored
        self._malformed: list[str] = []
        self._broken: dict[str, Failure] = {}  # by key, of lines that cannot be read
        self._unknown: list[str] = []
        self._gone = False
        ends = (batch.completed_at, batch.expired_at, batch.cancelled_at, batch.failed_at)
        ended = max((at for at in ends if at), default=datetime.now(UTC).timestamp())
        self._seconds = float(max(0, ended - (batch.created_at or ended)))

    async def read(self, name: str, lines: AsyncIterator[bytes]) -> None:
        """Read the lines of the output or the error file."""
        number = 0
        async for raw in lines:
            number += 1
            try:
                self._take(read_line(raw), f"line {number} of the {name}")
            except Malformed as error:
                self._malformed.append(words := f"line {number} of the {name}: {error}")
                if error.key not in self._entries:
                    why = f"its line in batch {self._batch.id} is unreadable ({words})"
                    self._broken.setdefault(error.key, Failure(why, usd=None))
            if len(self._entries) >= _CHUNK:
                self._store()
        self._store()

    def lose(self, name: str) -> None:
        """Take note that the output or the error file is not at the endpoint any more."""
        _log.warning("batch %s: its file of %s was deleted at the endpoint", self._batch.id, name)
        self._gone = True

    def close(self) -> Collected:
        """Give a reason for each request without a line, and record that the batch is done."""
        batch, found = self._batch, self._found
        what, lost = f"batch {batch.id}", []
        for words, some in (("unreadable", self._malformed), ("unknown", self._unknown)):
            if some:
                told = "; ".join(some[:_TOLD])
                _log.warning("%s: %d %s lines: %s", what, len(some), words, told)
        if batch.status == "failed":
            errors = batch.errors.data or [] if batch.errors else []
            told = [
                f"{f'line {error.line}: ' if error.line else ''}{error.message or error.code}"
                for error in errors[:_TOLD]
            ]
            words = faults.without_key("; ".join(told) or "no reason is given")[:500]
            if any(error.code == _QUEUE_FULL for error in errors):
                found.queue_full = words
            else:
                more = f", first: {words}" if len(errors) > 1 else f": {words}"
                found.unavailable = f"{what} failed its validation with {len(errors)} errors{more}"
        else:
            found.failures |= self._silent()
            lost = [key for key, failure in found.failures.items() if failure.usd is None]
        self._client.pending.close(self._file, batch.status, lost)
        return found

    def _silent(self) -> dict[str, Failure]:
        """Return a reason for each request without a readable line."""
        status, what = self._batch.status, f"batch {self._batch.id}"
        keys = set(self._client.pending.keys(self._file.name)) - self._found.failures.keys()
        why = f"{what} was {status} without a line for this request"
        usd = None if status == "completed" or self._gone else 0.0
        other = Failure(why, status == "cancelled", usd)
        return {key: self._broken.get(key, other) for key in keys}

    def _take(self, output: Output, where: str) -> None:
        """Take a line: a reply, a failure, or one that is known already."""
        if output.key in self._entries:
            return
        line = self._client.pending.line(self._file.name, output.key)
        if line is None:
            if self._client.ledger.find(output.key, failures=True) is None:
                self._unknown.append(f"{where}, custom_id {output.key[:80]!r}")
            return
        self._found.failures.pop(line.key, None)
        if output.status is None:
            words = faults.without_key(output.message)[:500]
            why = _NOT_RUN.get(output.code) or f"the batch did not run it: {words or output.code}"
            self._found.failures[line.key] = Failure(why, output.code == "batch_cancelled")
            return
        sent = httpx2.Request("POST", self._client.base_url)
        response = httpx2.Response(output.status, content=output.body, request=sent)
        try:
            if output.status != 200 and not faults.is_paid(error := faults.error_of(response)):
                raise error
            entry = self._entry(response, line)
        except faults.FAULTS as error:
            self._fail(line.key, error)
            return
        self._entries[line.key] = entry
        if not entry.answered:
            self._found.failures[line.key] = Failure(entry.error or "", words=entry.error or "")
        self._found.tokens_in += entry.tokens_in
        self._found.tokens_out += entry.tokens_out
        self._found.usd += entry.usd or 0.0

    def _entry(self, response: httpx2.Response, line: Line) -> Entry:
        client = self._client
        price = client.price.in_batch()
        entry = wire.make_entry(response, self._seconds, price, line, line.receipts)
        if entry.error and client.ledger.spoilt(line):
            return replace(entry, answered=True)  # the second unusable reply: not requested again
        return entry

    def _fail(self, key: str, error: Exception) -> None:
        words, everywhere = self._client.describe(error)
        transient = faults.is_transient(error)
        self._found.failures[key] = Failure(words, not transient, error=error)
        if everywhere and not transient:
            self._found.unavailable = words

    def _store(self) -> None:
        self._client.pending.keep(self._file.name, self._entries)
        self._entries = {}

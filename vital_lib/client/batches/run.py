"""One call of ``ChatClient.ask`` that uses the endpoint's batches: half the price, within a day.

Requests are written to files, a batch is created of each, and the replies are collected when it
has ended. `pending` records each step in the ledger before the next, so that after a kill at any
moment the same call goes on with what was submitted. Only one process at a time submits.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import secrets
import tempfile
from collections import deque
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO

import openai

from vital_lib.client import faults, wire
from vital_lib.client.batches import files
from vital_lib.client.batches.api import BatchApi
from vital_lib.client.batches.asked import Asked
from vital_lib.client.batches.collecting import Collected, collect, delete_files
from vital_lib.client.batches.pending import InputFile
from vital_lib.client.batches.writing import write_file
from vital_lib.client.job import Control
from vital_lib.client.wire import Reply
from vital_lib.prompts import Prompt

if TYPE_CHECKING:
    from vital_lib.client import ChatClient, ModelUnavailable

_log = logging.getLogger("vital_lib.client")

POLL_SECONDS = (1.0, 60.0)
"""The first and the longest wait between two looks at the batches; each is half as long again."""

_UNREACHED = 20  # looks in a row that fail before the run ends
_CONTROL_SECONDS = 0.05  # polling interval of the control
_LOCK_SECONDS = 0.2  # polling interval of the lock
_TIDY_SECONDS = 10.0  # for files that a killed process left
_STALE_SECONDS = 0.05  # of the view of other processes' replies
_REMOVED = "removed before a batch was created"
_ENDED = ("completed", "expired", "cancelled", "failed")


class BatchRun:
    """The state of one call, in its own event loop; arguments as for ``ChatClient.ask``."""

    def __init__(
        self,
        client: ChatClient,
        seed: int,
        again: bool,
        on_reply: Callable[[int], None] | None,
        into: Callable[[Reply], Any] | None,
        control: Control | None,
    ) -> None:
        self._client, self._ledger, self._pending = client, client.ledger, client.pending
        self._control = control or Control()
        self._asked = Asked(client, seed, again, on_reply, into, self._control)
        self._wanted = self._asked.waiting
        self._stop = asyncio.Event()
        self._looked_at: set[str] = set()  # files of other calls
        self._without: set[str] = set()  # fields that the endpoint has rejected
        self._most_lines = files.MOST_LINES
        self._one_by_one = False  # the endpoint's queue was full
        self._unreached = 0
        self._told: dict[str, int] = {}  # requests that the endpoint has done, by file
        self._api: BatchApi

    async def replies(self, prompts: Iterable[Prompt]) -> list[Any]:
        """Return the replies in the order of the prompts, or raise the error that ended the run."""
        watch, fault = asyncio.create_task(self._watch()), None
        try:
            total = await self._asked.read(prompts)
            if self._wanted and not self._stop.is_set():
                async with self._client.open_client() as opened:
                    self._api = BatchApi(opened, self._sleep)
                    await self._work()
            await self._delete_left()
        except faults.FAULTS as error:
            fault = error
        finally:
            watch.cancel()
            self._asked.close()
            self._control.tally.in_flight, self._control.tally.notice = 0, ""
        if fault is not None:  # outside the handler: the error may repeat the key
            raise self._unavailable(fault)
        return self._asked.results(total)

    def interrupt(self) -> None:
        """End the run; the batches go on."""
        self._stop.set()

    # ------------------------------------------------------------ the batches

    async def _work(self) -> None:
        """Submit, wait and collect until every request has a reply or a reason."""
        wait = POLL_SECONDS[0]
        while True:
            left = len(self._wanted)
            await self._collect_ended()
            if not self._wanted or self._stop.is_set():
                break
            submitted = self._control.state != "paused" and await self._submit()
            if submitted and not self._one_by_one:  # a full queue needs time
                wait = POLL_SECONDS[0]
            if not self._wanted or self._stop.is_set():
                break
            wait = POLL_SECONDS[0] if len(self._wanted) < left else wait
            self._notify(wait)
            await self._sleep(wait)
            wait = min(wait * 1.5, POLL_SECONDS[1])
        if waiting := sum(one.file is not None for one in self._wanted.values()):
            _log.warning(
                "model %r: %d requests are in batches, which go on at the endpoint; run the cell "
                "again to collect them, or call cancel_batches()", self._client.model, waiting,
            )  # fmt: skip

    async def _collect_ended(self) -> None:
        """Collect each batch that has ended, and sort the requests that were in it."""
        own = {one.file for one in self._wanted.values()}
        open_files = self._pending.files()
        for file in open_files:
            once = file.name not in own and not self._one_by_one
            if file.batch_id is None or (once and file.name in self._looked_at):
                continue
            self._looked_at.add(file.name)
            try:
                batch = await self._api.status(file.batch_id)
                if batch.status in _ENDED:
                    self._sort(file, await collect(self._client, self._api, file, batch))
                    self._told.pop(file.name, None)
                elif file.name in own:
                    counts = batch.request_counts
                    done = (counts.completed or 0) + (counts.failed or 0) if counts else 0
                    self._told[file.name] = done
                self._unreached = 0
            except faults.FAULTS as error:
                if not self._bearable(error, file):
                    raise
        waiting = {file.name for file in open_files}
        for key, one in list(self._wanted.items()):
            if one.file is not None and one.file not in waiting:  # collected by another process
                self._asked.find(key)

    def _bearable(self, error: Exception, file: InputFile) -> bool:
        """Return whether to look at a batch again later, although it could not be read now."""
        if all(file.name != one.name for one in self._pending.files()):
            return True  # another process has collected it meanwhile
        self._unreached += 1
        tally = self._control.tally
        tally.notice = f"the endpoint cannot be reached: {type(error).__name__}"
        return faults.is_transient(error) and self._unreached < _UNREACHED

    def _sort(self, file: InputFile, found: Collected) -> None:
        """Deliver the replies of an ended batch; submit again what may succeed, or give it up."""
        self._control.count(tokens_in=found.tokens_in, tokens_out=found.tokens_out, usd=found.usd)
        for key, one in list(self._wanted.items()):
            if one.file != file.name:
                continue
            failure = found.failures.get(key)
            if failure is None:
                self._asked.find(key)
            elif (field_ := failure.rejected(self._sent_fields(key))) is not None:
                self._without.add(field_)
                one.file = None
            elif failure.final:
                self._asked.give_up(key, failure.why)
            else:
                if failure.usd is None:
                    self._client.cost.hold(one.usd)
                self._asked.submit_again(key, failure.why, failure.usd)
        if found.unavailable:
            raise self._client.unavailable(found.unavailable)
        if found.queue_full:
            others = any(one.batch_id for one in self._pending.files())
            if not others and self._most_lines == 1:
                raise self._client.unavailable(
                    f"it takes no request in a batch: {found.queue_full}"
                )
            if not others:
                self._most_lines = math.ceil(min(self._most_lines, file.lines) / 2)
            self._one_by_one = True

    # ------------------------------------------------------------ submitting

    async def _submit(self) -> bool:
        """Submit the requests that are in no batch; return whether a batch was created.

        Only one process does so at a time; this one waits for another, or until the run ends.
        """
        created = {file.name for file in self._pending.files() if file.batch_id}
        if all(one.file in created for one in self._wanted.values()):
            return False
        while not self._stop.is_set():
            with self._pending.submitting() as alone:
                if alone:
                    await self._resume_interrupted()
                    return await self._submit_lacking()
            self._control.tally.notice = "another process submits batches; waiting for it"
            await self._sleep(_LOCK_SECONDS)
        return False

    async def _submit_lacking(self) -> bool:
        """Submit what is in no file of any process; return whether a batch was created."""
        for key, one in list(self._wanted.items()):
            if one.file is None:
                one.file = self._pending.file_of(key)
            if one.file is None and self._ledger.find(key, _STALE_SECONDS) is not None:
                self._asked.find(key)  # another process has collected it
        in_flight = self._client.in_flight  # of single requests, in this process
        lacking = [key for key, one in self._wanted.items() if one.file is None]
        claimed = [key for key in lacking if in_flight.claim(key) is None]
        try:
            return await self._submit_files(deque(claimed))
        finally:
            for key in claimed:
                in_flight.release(key, None)

    async def _submit_files(self, lacking: deque[str]) -> bool:
        """Submit requests in as many files as they need; return whether there was one."""
        self._client.cost.check_batch([self._wanted[key].usd for key in lacking])
        submitted = False
        while lacking and not self._stop.is_set():
            if self._one_by_one and any(file.batch_id for file in self._pending.files()):
                break
            await self._submit_file(lacking)
            submitted = True
        return submitted

    async def _resume_interrupted(self) -> None:
        """Go on with files that a killed process left between two steps, or remove them."""
        for file in self._pending.files():
            if file.batch_id is None and not self._stop.is_set():
                await _settle(self._client, self._api, file, self._wanted)

    async def _delete_left(self) -> None:
        """Delete the files of collected batches that a killed process left, without a long wait."""
        left = self._pending.undeleted()
        if not left or self._stop.is_set():
            return
        with contextlib.suppress(TimeoutError, RuntimeError):  # ModelUnavailable: there is no key
            async with asyncio.timeout(_TIDY_SECONDS), self._client.open_client() as opened:
                api = BatchApi(opened, self._sleep)
                for name, batch_id in left:
                    with contextlib.suppress(*faults.FAULTS):
                        batch = await api.status(batch_id)
                        await delete_files(self._client, api, name, batch)

    async def _submit_file(self, lacking: deque[str]) -> None:
        """Write a file of the first requests, upload it, and create its batch."""
        name, file_id = f"vital-{secrets.token_hex(8)}.jsonl", None
        file = InputFile(name, datetime.now(UTC), None, None, 0)
        self._pending.note(name, "begun")
        with tempfile.TemporaryFile() as opened:  # without a name: nothing stays after a kill
            try:
                written, unreadable = await asyncio.to_thread(self._write, name, opened, lacking)
            except OSError as error:
                self._pending.close(file, _REMOVED)
                way_out = "Set TMPDIR to a folder with 200 MB to spare"
                raise OSError(f"cannot write the file of a batch: {error}. {way_out}") from None
            for key, why in unreadable.items():
                self._asked.give_up(key, why)
            if not written or self._stop.is_set():
                self._pending.close(file, _REMOVED)
                return
            try:
                file_id = await self._api.upload(name, opened)
                self._pending.note(name, "uploaded", file_id)
                if self._stop.is_set():
                    return  # the next run goes on with it
                self._pending.note(name, "created", await self._api.create(name, file_id, file.at))
            except openai.APIStatusError as error:
                if not faults.is_transient(error):  # nothing of it waits at the endpoint
                    await self._api.remove(file_id)
                    self._pending.close(file, "refused")
                raise
        for key in written:
            self._wanted[key].file, self._wanted[key].without = name, frozenset(self._without)
        self._control.count(attempts=len(written))

    def _write(
        self, name: str, opened: BinaryIO, lacking: deque[str]
    ) -> tuple[list[str], dict[str, str]]:
        """Write a file of the first requests; see `write_file`."""
        waiting = map(self._asked.asked, lacking)
        written, unreadable = write_file(
            name, opened, waiting, self._client, most_lines=self._most_lines,
            without=self._client.refused | self._without, ended=self._stop.is_set,
        )  # fmt: skip
        for _ in range(len(written) + len(unreadable)):
            lacking.popleft()
        return written, unreadable

    # ------------------------------------------------------------ the rest

    async def _watch(self) -> None:
        while not self._stop.is_set():
            if self._control.state == "stopped":
                self._stop.set()
            await asyncio.sleep(_CONTROL_SECONDS)

    async def _sleep(self, seconds: float) -> None:
        """Sleep until the time is over or the run ends."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    def _notify(self, wait: float) -> None:
        """Show how far the batches are; a notice that the endpoint is away stays."""
        own = {one.file for one in self._wanted.values()}
        open_files = [file for file in self._pending.files() if file.name in own]
        tally = self._control.tally
        tally.in_flight = sum(file.lines for file in open_files)
        if self._unreached or not open_files:
            return
        done = sum(self._told.get(file.name, 0) for file in open_files)
        at = open_files[0].at.astimezone().strftime("%H:%M")
        tally.notice = (
            f"{done:,} of {tally.in_flight:,} requests done in {len(open_files)} batches, "
            f"submitted {at}; next look in {wait:.0f} s"
        )

    def _sent_fields(self, key: str) -> set[str]:
        """Return the fields that can be omitted from a request, as it was submitted last."""
        request, *_ = self._asked.asked(key)
        omitted = self._client.refused | self._wanted[key].without
        return wire.fields_sent(request, self._client.images.rule, omitted)

    def _unavailable(self, error: Exception) -> ModelUnavailable:
        """Return the error that ends the run for a fault of the endpoint."""
        words = self._client.describe(error)[0]
        if isinstance(error, openai.NotFoundError):
            words = faults.without_key(faults.words_of(error))[:200]
            words = f"it has no batches, or not the one that was submitted ({words}). Leave batch "
            words += "out; or use the key of the submission, or give it up with cancel_batches()"
        return self._client.unavailable(words)


async def cancel(client: ChatClient) -> int:
    """Cancel the batches of ``ChatClient.cancel_batches``; return the number of requests."""
    cancelled, fault = 0, None
    async with client.open_client() as opened:
        api = BatchApi(opened, asyncio.sleep)
        try:
            with client.pending.submitting() as alone:
                for file in client.pending.files():
                    batch_id = file.batch_id
                    if batch_id is None and alone:
                        batch_id = await _settle(client, api, file, ())
                    if batch_id is not None:
                        cancelled += await _cancel_one(client, api, file, batch_id)
        except faults.FAULTS as error:
            fault = error
    if fault is not None:  # outside the handler: the error may repeat the key
        raise client.unavailable(client.describe(fault)[0])
    return cancelled


async def _cancel_one(client: ChatClient, api: BatchApi, file: InputFile, batch_id: str) -> int:
    """Cancel a batch, or give it up if it is not known; return the number of its requests."""
    try:
        await api.cancel(batch_id)
    except openai.NotFoundError:
        client.pending.close(file, "given up", client.pending.keys(file.name))
        client.pending.note(file.name, "deleted")
        return 0
    return file.lines


async def _settle(
    client: ChatClient, api: BatchApi, file: InputFile, wanted: Collection[str]
) -> str | None:
    """Find or create the batch of a file that a killed process left, and return its id.

    A file of which no batch exists is removed, unless all its requests are still wanted.
    """
    pending = client.pending
    file_id = file.file_id or await api.find_file(file.name)
    batch_id = await api.find_batch(file.name, file.at) if file_id else None
    if file_id and not batch_id and all(key in wanted for key in pending.keys(file.name)):
        client.cost.check_batch([])
        batch_id = await api.create(file.name, file_id, file.at)
    if batch_id:
        pending.note(file.name, "created", batch_id)
    else:
        await api.remove(file_id)
        pending.close(file, _REMOVED)
    return batch_id

"""One call of ``VLM.ask``: sends prompts a bounded window at a time and keeps what comes back.

Prompts are taken, and their images encoded, only as there is room to send. A fault that passes is
waited out beside the others; one that concerns a single prompt becomes a reply without a value;
one that concerns them all ends the run with one error, after what was under way is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING

import httpx2
import openai
import tenacity

from vital_lib.figures import UnreadableImage
from vital_lib.prompts import Prompt
from vital_lib.vlm import faults, wire
from vital_lib.vlm.ledger import Entry, Request
from vital_lib.vlm.wire import Reply

if TYPE_CHECKING:
    from vital_lib.vlm import VLM

_DEAD_AFTER = 100  # prompts in a row that failed for good, none answered between


class _Stopped(Exception):
    """Another prompt met what ends the run."""


class Claims:
    """Which requests are under way, over all threads, so that none is sent twice at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[Entry | None]] = {}

    def claim(self, key: str) -> Future[Entry | None] | None:
        """None where the caller shall send it; otherwise the future of who is sending it."""
        with self._lock:
            if key in self._under_way:
                return self._under_way[key]
            self._under_way[key] = Future()
            return None

    def release(self, key: str, entry: Entry | None) -> None:
        """Hand over what came back; None if nothing did, so that a waiter tries itself."""
        with self._lock:
            future = self._under_way.pop(key)
        future.set_result(entry)


class Run:
    """The prompts of one `ask`, inside an event loop of their own."""

    def __init__(
        self, vlm: VLM, *, seed: int, repeat: int, on_reply: Callable[[int], None] | None
    ) -> None:
        self._vlm, self._seed, self._repeat, self._on_reply = vlm, seed, repeat, on_reply
        self._client: openai.AsyncOpenAI | None = None
        self._room = asyncio.Semaphore(vlm.concurrency)
        self._stop = asyncio.Event()
        self._replies: dict[int, Reply] = {}
        self._arrived: list[tuple[Request, Entry]] = []  # not yet committed
        self._committed: asyncio.Future[None] | None = None
        self._reached = False  # the endpoint has answered something
        self._failed_in_row = 0

    async def replies(self, prompts: Iterable[Prompt]) -> list[Reply]:
        """The replies in the order of the prompts, or the error that ended the run."""
        queue = enumerate(prompts)
        # Twice the room: a prompt that waits out a fault leaves its room to the next one, yet no
        # more than a window of them ever waits on an endpoint that refuses everything.
        tasks = [asyncio.create_task(self._work(queue)) for _ in range(2 * self._vlm.concurrency)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            self._stop.set()
            await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            if self._client is not None:
                await self._client.close()
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return [self._replies[place] for place in range(len(self._replies))]

    async def _work(self, queue: Iterator[tuple[int, Prompt]]) -> None:
        with contextlib.suppress(_Stopped):
            for place, prompt in queue:
                self._replies[place] = await self._reply(prompt)
                if self._on_reply is not None:
                    self._on_reply(len(self._replies))
                if self._stop.is_set():
                    return

    async def _reply(self, prompt: Prompt) -> Reply:
        seed = self._seed if prompt.seed is None else prompt.seed
        request = wire.make_request(self._vlm.model, prompt, seed=seed, repeat=self._repeat)
        while (under_way := self._vlm.claims.claim(request.key)) is not None:
            # The same prompt is being asked, here or in another thread: one request serves both.
            entry = await asyncio.shield(asyncio.wrap_future(under_way))
            if entry is not None:
                return wire.make_reply(prompt, request, entry)
        entry = None
        try:
            entry = self._vlm.ledger.find(request.key)
            if entry is None:
                entry = await self._answer(request, prompt)
            else:
                await asyncio.sleep(0)  # lets a stop come through a long row of known replies
        finally:
            self._vlm.claims.release(request.key, entry)
        return wire.make_reply(prompt, request, entry)

    async def _answer(self, request: Request, prompt: Prompt) -> Entry:
        """Ask the endpoint within the budget, and commit what came back."""
        reserved, entry = self._vlm.cost.reserve(prompt), None
        try:
            entry = await self._entry(request, prompt)
        finally:
            self._vlm.cost.settle(reserved, entry)
        await self._keep(request, entry)
        return entry

    async def _entry(self, request: Request, prompt: Prompt) -> Entry:
        patiently = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(faults.passes),
            stop=lambda state: faults.enough(state, reached=self._reached),
            wait=faults.wait_seconds,
            sleep=self._pause,
            reraise=True,
        )
        try:
            response, seconds = await patiently(self._post, request, prompt)
        except UnreadableImage as error:
            return Entry(answered=False, error=f"not sent: {error}")
        except openai.APIError as error:
            failure, everywhere = faults.describe(error)
        else:
            self._reached, self._failed_in_row = True, 0
            return wire.make_entry(response, seconds)
        # Outside of the handler: the API's own error, which may repeat the key, is not chained.
        self._failed_in_row += 1
        if everywhere or self._failed_in_row >= _DEAD_AFTER:
            raise self._vlm.unavailable(failure)
        return Entry(answered=False, error=failure)

    async def _post(self, request: Request, prompt: Prompt) -> tuple[httpx2.Response, float]:
        async with self._room:
            if self._stop.is_set():
                raise _Stopped
            if self._client is None:
                self._client = self._vlm.open_client()
            started = time.perf_counter()
            response = await self._client.post(
                "/chat/completions", body=wire.make_body(request, prompt), cast_to=httpx2.Response
            )
            return response, time.perf_counter() - started

    async def _pause(self, seconds: float) -> None:
        """Sleep, unless the run ends."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    async def _keep(self, request: Request, entry: Entry) -> None:
        """Commit a reply together with all that arrived in the same turn of the loop."""
        if not self._arrived:
            loop = asyncio.get_running_loop()
            self._committed = loop.create_future()
            loop.call_soon(self._commit, self._committed)
        self._arrived.append((request, entry))
        await asyncio.shield(self._committed)

    def _commit(self, committed: asyncio.Future[None]) -> None:
        arrived, self._arrived = self._arrived, []
        try:
            self._vlm.ledger.append(arrived)
        except sqlite3.Error as error:
            committed.set_exception(error)
        else:
            committed.set_result(None)

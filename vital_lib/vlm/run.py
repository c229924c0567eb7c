"""One call of ``VLM.ask``: sends prompts a bounded window at a time and keeps what comes back.

Prompts are taken, and their images encoded, only as there is room to send. A fault that passes is
waited out beside the others; one that concerns a single prompt becomes a reply without a value;
one that concerns them all ends the run with one error, after what was under way is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx2
import openai
import tenacity

from vital_lib.figures import UnreadableImage
from vital_lib.prompts import Prompt
from vital_lib.vlm import faults, wire
from vital_lib.vlm.control import Control
from vital_lib.vlm.ledger import Entry, Request
from vital_lib.vlm.pace import Health, Pace
from vital_lib.vlm.wire import Reply
from vital_lib.vlm.writer import Writer

if TYPE_CHECKING:
    from vital_lib.vlm import VLM

_log = logging.getLogger("vital_lib.vlm")

_DEAD_AFTER = 100  # prompts in a row that failed for good, none answered between
_LOOK_SECONDS = 0.05  # between looks at the control
_LONG_SECONDS = 60  # a Retry-After beyond this is about all requests, not about one
UNSENT = "stopped before it was sent"
"""The reason of a reply to a prompt that a stopped run did not send."""


class _Stopped(Exception):
    """Nothing more is sent: the run was stopped, or another prompt met what ends it."""


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
        self,
        vlm: VLM,
        *,
        seed: int,
        repeat: int,
        again: bool,
        on_reply: Callable[[int], None] | None,
        control: Control | None,
    ) -> None:
        self._vlm, self._seed, self._repeat, self._again = vlm, seed, repeat, again
        self._on_reply, self._control = on_reply, control or Control()
        self._tally = self._control.tally
        self._client: openai.AsyncOpenAI | None = None
        self._pace, self._health = Pace(vlm.concurrency), Health(time.monotonic)
        self._writer = Writer(vlm.ledger)
        self._stop = asyncio.Event()  # nothing more is sent
        self._replies: dict[int, Reply] = {}
        self._asked_anew: set[str] = set()
        self._reached = False  # the endpoint has answered something
        self._done = self._failed_in_row = 0
        self._failing: str | None = None  # why the run ends early

    async def replies(self, prompts: Iterable[Prompt]) -> list[Reply]:
        """The replies in the order of the prompts, or the error that ended the run."""
        queue = enumerate(prompts)
        # Twice the room: a prompt that waits out a fault leaves its room to the next one, yet no
        # more than a window of them ever waits on an endpoint that refuses everything.
        tasks = [asyncio.create_task(self._work(queue)) for _ in range(2 * self._vlm.concurrency)]
        watch = asyncio.create_task(self._watch())
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            self._end()
            await asyncio.wait(tasks)
        finally:
            for task in (*tasks, watch):
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            await self._writer.close()
            if self._client is not None:
                await self._client.close()
            self._tally.in_flight, self._tally.notice = 0, ""
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        if self._failing:
            raise self._vlm.unavailable(self._failing)
        return [self._replies[place] for place in range(len(self._replies))]

    async def _watch(self) -> None:
        """Do as the control says, and tell it how things stand."""
        while not self._stop.is_set():
            if self._control.state == "stopped":
                self._end()
            self._pace.paused = self._control.state == "paused"
            self._pace.let_in()
            self._tally.limit, self._tally.in_flight = self._pace.limit, self._pace.under_way
            if self._pace.held_seconds == 0:
                self._tally.notice = ""
            await asyncio.sleep(_LOOK_SECONDS)

    def _end(self) -> None:
        """Send nothing more. Whoever waits for room is let in, to find that out."""
        self._stop.set()
        self._pace.open()

    async def _work(self, queue: Iterator[tuple[int, Prompt]]) -> None:
        for place, prompt in queue:
            try:
                reply = await self._reply(prompt)
            except _Stopped:
                return
            self._replies[place] = reply
            if reply.reason == UNSENT:
                continue
            self._done += 1
            self._tally.done += 1
            self._tally.failed += reply.value is None
            if self._on_reply is not None:
                self._on_reply(self._done)
            if self._stop.is_set() and self._control.state != "stopped":
                return

    async def _reply(self, prompt: Prompt) -> Reply:
        vlm, seed = self._vlm, self._seed if prompt.seed is None else prompt.seed
        request = wire.make_request(
            vlm.model, prompt, vlm.images.rule,
            seed=seed, repeat=self._repeat, endpoint=vlm.endpoint,
        )  # fmt: skip
        while (under_way := vlm.claims.claim(request.key)) is not None:
            # The same prompt is being asked, here or in another thread: one request serves both.
            entry = await asyncio.shield(asyncio.wrap_future(under_way))
            if entry is not None:
                return wire.make_reply(prompt, request, entry)
        entry = None
        try:
            entry = await self._known_or_answered(request, prompt)
        except _Stopped:
            if self._control.state != "stopped":
                raise
            return Reply(request.reply_id, None, "", UNSENT, 0, 0, 0.0)
        finally:
            vlm.claims.release(request.key, entry)
        return wire.make_reply(prompt, request, entry)

    async def _known_or_answered(self, request: Request, prompt: Prompt) -> Entry:
        entry = self._vlm.ledger.find(request.key)
        if entry is not None and self._again and request.key not in self._asked_anew:
            self._asked_anew.add(request.key)
            request, entry = replace(request, attempt=entry.attempt + 1), None
        if entry is None:
            return await self._answer(request, prompt)
        self._tally.known += 1
        await asyncio.sleep(0)  # lets a stop come through a long row of known replies
        return entry

    async def _answer(self, request: Request, prompt: Prompt) -> Entry:
        """Ask the endpoint within the budget, and commit what came back."""
        if self._stop.is_set():
            raise _Stopped
        if self._vlm.replayed:
            raise self._vlm.unavailable(f"a {prompt.name} prompt is not among the replies replayed")
        reserved, entry = self._vlm.cost.reserve(prompt), None
        try:
            entry = await self._entry(request, prompt)
        finally:
            self._vlm.cost.settle(reserved, entry)
        await self._writer.keep(request, entry)
        self._tally.tokens_in += entry.tokens_in
        self._tally.tokens_out += entry.tokens_out
        self._tally.usd += entry.usd or 0.0
        return entry

    async def _entry(self, request: Request, prompt: Prompt) -> Entry:
        patiently = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(faults.passes),
            stop=faults.Patience(lambda: self._reached).is_over,
            wait=faults.wait_seconds,
            sleep=self._pause,
            reraise=True,
        )
        text = ""
        try:
            for figure in wire.figures_of(prompt):  # before there is room, so that none stands idle
                await asyncio.wrap_future(self._vlm.images.encoded(figure))
            return await patiently(self._post, request, prompt)
        except UnreadableImage as error:
            return Entry(answered=False, error=f"not sent: {error}", attempt=request.attempt)
        except (openai.APIError, faults.NoCompletion) as error:
            failure, everywhere = faults.describe(error, reached=self._reached)
            text = str(error) if isinstance(error, faults.NoCompletion) else ""
        # Outside of the handler: the API's own error, which may repeat the key, is not chained.
        self._failed_in_row += 1
        if everywhere or self._failed_in_row >= _DEAD_AFTER:
            raise self._vlm.unavailable(failure)
        return Entry(answered=False, text=text, error=failure, attempt=request.attempt)

    async def _post(self, request: Request, prompt: Prompt) -> Entry:
        """Send once, as soon as there is room."""
        entered = await self._pace.enter()
        try:
            if self._stop.is_set():
                raise _Stopped
            entry = await self._send(request, prompt)
        except (openai.APIError, faults.NoCompletion) as error:
            self._take_in(entered, error)
            raise
        finally:
            self._pace.leave()
        self._take_in(entered, None)
        self._reached, self._failed_in_row = True, 0
        return entry

    async def _send(self, request: Request, prompt: Prompt) -> Entry:
        vlm = self._vlm
        if self._client is None:
            self._client = vlm.open_client()
        body = wire.make_body(request, prompt, vlm.images, plain=vlm.plain)
        self._tally.attempts += 1
        self._writer.sent(request)
        started = time.perf_counter()
        try:
            response = await self._client.post(
                "/chat/completions", body=body, cast_to=httpx2.Response
            )
        except openai.APIError as error:
            if "response_format" not in body or not faults.takes_no_schema(error):
                raise
            vlm.plain = True
            return await self._send(request, prompt)
        return wire.make_entry(response, time.perf_counter() - started, vlm.price, request.attempt)

    def _take_in(self, entered: int, error: Exception | None) -> None:
        """Learn from how a request ended how fast to go on, and whether."""
        refused = isinstance(error, openai.RateLimitError)
        burst = self._pace.note(entered, refused=refused)
        if refused:
            self._tally.rate_limited += 1
            asked = faults.asked_seconds(error) or 0.0
            if (burst or asked > _LONG_SECONDS) and self._pace.hold(asked):
                at = time.strftime("%H:%M:%S", time.localtime(time.time() + asked))
                self._tally.notice = f"the endpoint asks to wait {asked:.0f} s, until {at}"
                if asked > 1:
                    _log.warning("model %r: %s", self._vlm.model, self._tally.notice)
            return
        why = None if error is None else faults.describe(error, reached=self._reached)[0]
        self._failing = self._failing or self._health.note(why)
        if self._failing:
            self._end()

    async def _pause(self, seconds: float) -> None:
        """Sleep, unless the run ends."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

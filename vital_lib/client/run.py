"""One call of ``ChatClient.ask``: sends prompts, a bounded window at a time, and keeps the replies.

Prompts are taken, and their images encoded, only as there is room to send. A fault that passes is
waited out beside the others; one that concerns a single prompt becomes a reply without a value;
one that concerns them all ends the run with one error, after what was under way is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx2
import openai
import tenacity
from pydantic_core import to_json

from vital_lib.client import faults, wire
from vital_lib.client.control import Control
from vital_lib.client.ledger import Entry, Request
from vital_lib.client.limits import AdaptiveLimit, CircuitBreaker
from vital_lib.client.wire import Reply
from vital_lib.client.writer import Writer
from vital_lib.figures import UnreadableImage
from vital_lib.prompts import Prompt

if TYPE_CHECKING:
    from vital_lib.client import ChatClient

_log = logging.getLogger("vital_lib.client")

_DEAD_AFTER = 100  # prompts in a row that failed for good, none answered between
_LOOK_SECONDS = 0.05  # between looks at the control
_STALE_SECONDS = 0.005  # about as long as a reply waits for others before it is committed
_LONG_SECONDS = 60  # a Retry-After beyond this is about all requests, not about one
_SILENT_SECONDS = 10  # without any answer yet, before that is said
UNSENT = "stopped before it was sent"
"""The reason of a reply to a prompt that a stopped run did not send; it has no reply_id."""
_NOT_SENT = Reply("", None, "", UNSENT, 0, 0, 0.0)


class _Stopped(Exception):
    """Nothing more is sent: the run was stopped, or another prompt met what ends it."""


class Run:
    """The prompts of one `ask`, inside an event loop of their own."""

    def __init__(
        self,
        client: ChatClient,
        seed: int,
        repeat: int,
        again: bool,
        on_reply: Callable[[int], None] | None,
        into: Callable[[Reply], Any] | None,
        control: Control | None,
    ) -> None:
        self._client, self._seed, self._repeat, self._again = client, seed, repeat, again
        self._on_reply, self._into, self._control = on_reply, into, control or Control()
        self._tally = self._control.tally
        self._openai: openai.AsyncOpenAI | None = None
        self._limit = AdaptiveLimit(client.concurrency)
        self._breaker = CircuitBreaker(time.monotonic)
        self._writer = Writer(client.ledger)
        self._stop = asyncio.Event()  # nothing more is sent
        self._results: dict[int, Any] = {}  # replies, or what `into` made of them
        self._asked_anew: set[str] = set()
        self._first_sent_at: float | None = None
        self._reached = False  # the endpoint has answered something
        self._held = ""  # what the endpoint asked for, in words
        self._done = self._failed_in_row = 0
        self._failing: str | None = None  # why the run ends early

    async def replies(self, prompts: Iterable[Prompt]) -> list[Any]:
        """The replies in the order of the prompts, or the error that ended the run."""
        queue = enumerate(prompts)
        self._look()
        # Twice the room: a prompt that waits out a fault leaves its room to the next one, yet no
        # more than a window of them ever waits on an endpoint that refuses everything.
        tasks = [
            asyncio.create_task(self._work(queue)) for _ in range(2 * self._client.concurrency)
        ]
        watch = asyncio.create_task(self._watch())
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            self.end()
            await asyncio.wait(tasks)
        finally:
            for task in (*tasks, watch):
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            await self._writer.close()
            if self._openai is not None:
                await self._openai.close()
            self._tally.in_flight, self._tally.notice = 0, ""
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        if self._failing:
            raise self._client.unavailable(self._failing)
        return [self._results[place] for place in range(len(self._results))]

    def end(self) -> None:
        """Send nothing more. Whoever waits for room is let in, to find that out."""
        self._stop.set()
        self._limit.open()

    def interrupt(self) -> None:
        """End, and say that this takes a moment."""
        _log.warning("interrupted: what is under way still arrives; again gives that up, too")
        self.end()

    async def _watch(self) -> None:
        while not self._stop.is_set():
            self._look()
            await asyncio.sleep(_LOOK_SECONDS)

    def _look(self) -> None:
        """Do as the control says, and tell it how things stand."""
        if self._control.state == "stopped":
            self.end()
        self._limit.paused = self._control.state == "paused"
        self._limit.let_in()
        self._tally.limit, self._tally.in_flight = self._limit.limit, self._limit.under_way
        self._tally.notice = self._notice()

    def _notice(self) -> str:
        if self._limit.held_seconds > 0:
            return self._held
        if self._reached or self._first_sent_at is None:
            return ""
        seconds = time.monotonic() - self._first_sent_at
        most = f"given up after {self._client.timeout_seconds:g} s"
        return f"no answer yet, for {seconds:.0f} s; {most}" if seconds >= _SILENT_SECONDS else ""

    async def _work(self, queue: Iterator[tuple[int, Prompt]]) -> None:
        for place, prompt in queue:
            reply = _NOT_SENT
            try:
                if self._control.state != "stopped":
                    reply = await self._reply(prompt)
            except _Stopped:
                if self._control.state != "stopped":
                    return
            self._results[place] = reply if self._into is None else self._into(reply)
            if reply is _NOT_SENT:
                await asyncio.sleep(0)  # what is under way comes in meanwhile
                continue
            self._done += 1
            self._tally.done += 1
            self._tally.failed += reply.value is None
            if self._on_reply is not None:
                self._on_reply(self._done)
            if self._stop.is_set() and self._control.state != "stopped":
                return

    async def _reply(self, prompt: Prompt) -> Reply:
        client, seed = self._client, self._seed if prompt.seed is None else prompt.seed
        request = wire.make_request(
            client.model, prompt, client.images.rule, seed=seed,
            repeat=self._repeat, endpoint=client.endpoint, parameters=client.parameters,
        )  # fmt: skip
        for name in ("seed", "repeat"):
            if not 0 <= getattr(request, name) < 2**63:  # what the ledger can hold
                raise ValueError(f"{name} is {getattr(request, name)!r}; give 0 to 2**63 - 1")
        while (under_way := client.in_flight.claim(request.key)) is not None:
            # The same prompt is being asked, here or in another thread: one request serves both.
            entry = await self._of_another(under_way)
            if entry is not None:
                return wire.make_reply(prompt, request, entry)
        entry = None
        try:
            entry = await self._known_or_answered(request, prompt)
        finally:
            client.in_flight.release(request.key, entry)
        return wire.make_reply(prompt, request, entry)

    async def _of_another(self, under_way: Future[Entry | None]) -> Entry | None:
        """What another's request brings, unless this run ends before."""
        theirs, ours = asyncio.wrap_future(under_way), asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([theirs, ours], return_when=asyncio.FIRST_COMPLETED)
            if not theirs.done():
                raise _Stopped
            return theirs.result()
        finally:
            theirs.cancel()
            ours.cancel()

    async def _known_or_answered(self, request: Request, prompt: Prompt) -> Entry:
        entry = self._client.ledger.find(request.key, _STALE_SECONDS)
        if entry is not None and self._again and request.key not in self._asked_anew:
            self._asked_anew.add(request.key)
            request, entry = replace(request, attempt=entry.attempt + 1), None
        if entry is None:
            return await self._answer(request, prompt)
        self._tally.known += 1
        await asyncio.sleep(0)  # lets a stop come through a long row of known replies
        return entry

    async def _answer(self, request: Request, prompt: Prompt) -> Entry:
        """Ask the endpoint, patiently, and commit what came back or why nothing did."""
        if self._stop.is_set():
            raise _Stopped
        if self._client.replayed:
            raise self._client.unavailable(
                f"a {prompt.name} prompt is not among the replies replayed"
            )
        policy, everywhere, kept = faults.RetryPolicy(lambda: self._reached), False, False
        try:
            # Before there is room, so that none stands idle; and held for as long as it takes.
            held = [self._client.images.encoded(figure) for figure in wire.figures_of(prompt)]
            for one in held:
                if not one.done():
                    await asyncio.shield(asyncio.wrap_future(one))
                one.result()
            entry = await self._patiently(policy, request, prompt)
            if entry.error is None:
                return entry
            kept = True
        except UnreadableImage as error:
            usd = None if policy.may_cost else 0.0
            entry = Entry(False, error=f"not sent: {error}", usd=usd, attempt=request.attempt)
            await self._writer.keep(request, entry)
            return entry
        except faults.FAULTS as error:
            failure, everywhere = self._describe(error)
            text, usd = faults.text_of(error), None if policy.may_cost else 0.0
            entry = Entry(False, text, error=failure, usd=usd, attempt=request.attempt)
        # Outside of the handler: the API's own error, which may repeat the key, is not chained.
        self._failed_in_row += 1
        if everywhere or self._failed_in_row >= _DEAD_AFTER:
            raise self._client.unavailable(entry.error)
        if not kept:
            await self._writer.keep(request, entry)
        return entry

    async def _patiently(
        self, policy: faults.RetryPolicy, request: Request, prompt: Prompt
    ) -> Entry:
        """A reply, faults that pass waited out; one that is of no use is asked for once more."""
        without: set[str] = set()  # fields that the endpoint has refused
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(faults.is_transient),
            stop=policy.is_over,
            wait=faults.wait_seconds,
            sleep=self._pause,
            reraise=True,
        )
        entry = await retrying(self._post, request, prompt, without)
        if not entry.answered and self._control.state != "stopped":
            with contextlib.suppress(_Stopped):
                entry = await retrying(self._post, request, prompt, without)
        return entry

    async def _post(self, request: Request, prompt: Prompt, without: set[str]) -> Entry:
        """Send once, as soon as there is room, and keep what came back."""
        entered = await self._limit.enter()
        try:
            if self._stop.is_set():
                raise _Stopped
            # Another process may have asked meanwhile.
            known = self._client.ledger.find(request.key, _STALE_SECONDS)
            if known is not None and known.attempt >= request.attempt:
                self._tally.known += 1
                return known
            entry, reserved = await self._send(request, prompt, without)
        except faults.FAULTS as error:
            self._take_in(entered, error)
            raise
        finally:
            self._limit.leave()
        useless = entry.error and faults.NoCompletion(entry.text, entry.error)
        self._take_in(entered, useless or None)
        if useless and self._client.ledger.spoilt(request):
            entry = replace(entry, answered=True)  # for the second time: it is not bought again
        await self._writer.keep(request, entry)
        self._client.cost.settle(reserved, entry)  # not before: what the ledger holds counts there
        self._tally.tokens_in += entry.tokens_in
        self._tally.tokens_out += entry.tokens_out
        self._tally.usd += entry.usd or 0.0
        return entry

    async def _send(
        self, request: Request, prompt: Prompt, without: set[str]
    ) -> tuple[Entry, float]:
        """What came back, and what was set aside for it, within the budget."""
        body, cost = self._body(request, prompt, without), self._client.cost
        reserved = cost.reserve(prompt)
        try:
            return await self._exchange(request, prompt, body, without), reserved
        except faults.FAULTS as error:
            if faults.may_cost(error):
                cost.settle(reserved, None)
            else:
                cost.release(reserved)
            raise

    def _body(self, request: Request, prompt: Prompt, without: set[str]) -> dict[str, Any]:
        """What is sent, without what the endpoint is known to refuse."""
        client = self._client
        if self._openai is None:
            self._openai = client.open_client()
        return wire.make_body(request, prompt, client.images, without=client.refused | without)

    async def _exchange(
        self, request: Request, prompt: Prompt, body: dict[str, Any], without: set[str]
    ) -> Entry:
        """What came back; where the endpoint refuses a field, what came back without it."""
        fields = {*body, *(["detail"] if self._client.images.rule.detail else [])}
        fields -= self._client.refused | without
        try:
            entry = await self._once(request, body)
        except faults.FAULTS as error:
            field = faults.refused_field(error, fields)
            if field is None:
                raise
            without.add(field)
            return await self._exchange(
                request, prompt, self._body(request, prompt, without), without
            )
        if entry.error is None:
            self._leave_out(without)  # it works
        elif field := faults.named_field(entry.error, fields):
            without.add(field)  # when it is asked once more
        return entry

    def _leave_out(self, without: set[str]) -> None:
        """Send these fields no more."""
        for field in sorted(without - self._client.refused):
            self._client.refused.add(field)
            _log.warning(
                "model %r: the endpoint refuses %s; it does without", self._client.model, field
            )

    async def _once(self, request: Request, body: dict[str, Any]) -> Entry:
        """What one request brings."""
        client, started = self._client, time.monotonic()
        self._first_sent_at = self._first_sent_at or started
        self._tally.attempts += 1
        self._writer.sent(request)
        try:
            async with asyncio.timeout(client.timeout_seconds):  # the client's is between two bytes
                response = await self._openai.post(
                    "/chat/completions", content=to_json(body), cast_to=httpx2.Response
                )
        except TimeoutError:
            raise openai.APITimeoutError(httpx2.Request("POST", client.base_url)) from None
        except openai.APIStatusError as error:
            if not faults.is_paid(error):
                raise
            response = error.response
        return wire.make_entry(response, time.monotonic() - started, client.price, request)

    def _take_in(self, entered: int, error: Exception | None) -> None:
        """Learn from how a request ended how fast to go on, and whether."""
        refused = isinstance(error, openai.RateLimitError)
        burst = self._limit.note(entered, refused=refused)
        asked = faults.asked_seconds(error) if faults.is_transient(error) else None
        if asked and (burst or asked > _LONG_SECONDS):
            self._hold(asked)
        if refused:
            self._tally.rate_limited += 1
            self._reached = True
            return
        why = None if error is None else self._describe(error)[0]
        if faults.is_slow(error) and not self._reached:
            self._failing = self._failing or why
        self._reached = self._reached or not isinstance(error, openai.APIConnectionError)
        self._failed_in_row = 0 if error is None else self._failed_in_row
        self._failing = self._failing or self._breaker.note(why)
        if self._failing:
            self.end()

    def _hold(self, seconds: float) -> None:
        at = time.strftime("%H:%M:%S", time.localtime(time.time() + seconds))
        held = f"the endpoint asks to wait {seconds:.0f} s, until {at}"
        if self._limit.hold(seconds):
            self._held = self._tally.notice = held
            if seconds > 1:
                _log.warning("model %r: %s", self._client.model, held)

    def _describe(self, error: Exception) -> tuple[str, bool]:
        client = self._client
        return faults.describe(
            error, reached=self._reached, key_name=client.key_name, parameters=client.parameters
        )

    async def _pause(self, seconds: float) -> None:
        """Sleep, unless the run ends."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

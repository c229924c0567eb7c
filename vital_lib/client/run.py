"""One call of ``ChatClient.ask``: send prompts in a bounded window and store the replies.

Prompts are consumed, and their images encoded, only as fast as they can be sent. Transient faults
are retried while other requests continue. A permanent fault of one prompt becomes a reply without a
value. A fault of all prompts ends the run with one error, after storing the requests in flight.
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

import openai
import tenacity

from vital_lib.client import faults, wire
from vital_lib.client.entries import Entry, Request
from vital_lib.client.job import Control
from vital_lib.client.limits import AdaptiveLimit, CircuitBreaker
from vital_lib.client.wire import Reply
from vital_lib.client.writer import Writer
from vital_lib.figures import UnreadableImage
from vital_lib.prompts import Prompt

if TYPE_CHECKING:
    from vital_lib.client import ChatClient

_log = logging.getLogger("vital_lib.client")

_DEAD_AFTER = 100  # consecutive prompts that failed permanently
_POLL_SECONDS = 0.05  # polling interval of the control
_STALE_SECONDS = 0.005  # about as long as the writer collects replies before a commit
_LONG_SECONDS = 60  # a longer Retry-After concerns all requests, not only one
_SILENT_SECONDS = 10  # without any answer, before the notice says so
UNSENT = "stopped before it was sent"
"""The reason of the reply to a prompt that a stopped run did not send; it has no reply_id."""
NOT_SENT = Reply("", None, "", UNSENT, 0, 0, 0.0)


class _Stopped(Exception):
    """Nothing more is sent: the run was stopped, or a fault of another prompt ended it."""


class Run:
    """The state of one `ask` call, in its own event loop."""

    def __init__(
        self,
        client: ChatClient,
        seed: int,
        again: bool,
        on_reply: Callable[[int], None] | None,
        into: Callable[[Reply], Any] | None,
        control: Control | None,
    ) -> None:
        self._client, self._seed, self._again = client, seed, again
        self._on_reply, self._into, self._control = on_reply, into, control or Control()
        self._tally = self._control.tally
        self._sender = client.open_sender()
        self._limit = AdaptiveLimit(client.concurrency)
        self._breaker = CircuitBreaker(time.monotonic)
        self._writer = Writer(client.ledger)
        self._stop = asyncio.Event()  # set when nothing more is sent
        self._results: dict[int, Any] = {}  # replies, or the return values of `into`
        self._reattempted: set[str] = set()
        self._first_sent_at: float | None = None
        self._reached = False  # the endpoint has answered a request
        self._hold_notice = ""  # the wait that the endpoint requested
        self._done = self._failed_in_row = 0
        self._failing: str | None = None  # why the run ends early

    async def replies(self, prompts: Iterable[Prompt]) -> list[Any]:
        """Return the replies in the order of the prompts, or raise the error that ended the run."""
        queue = enumerate(prompts)
        self._poll_control()
        # Twice the concurrency: a prompt waiting for a retry frees its slot for the next prompt,
        # and the number of waiting prompts stays bounded if the endpoint refuses everything.
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
            await self._sender.close()
            self._tally.in_flight, self._tally.notice = 0, ""
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        if self._failing:
            raise self._client.unavailable(self._failing)
        return [self._results[place] for place in range(len(self._results))]

    def end(self) -> None:
        """Send nothing more; admit waiting requests so that they see the run has ended."""
        self._stop.set()
        self._limit.open()

    def interrupt(self) -> None:
        """End the run, and warn that requests in flight are still awaited."""
        _log.warning("interrupted: waiting for the requests in flight; interrupt again to end now")
        self.end()

    async def _watch(self) -> None:
        while not self._stop.is_set():
            self._poll_control()
            await asyncio.sleep(_POLL_SECONDS)

    def _poll_control(self) -> None:
        """Apply the control's state and update its tally."""
        if self._control.state == "stopped":
            self.end()
        self._limit.paused = self._control.state == "paused"
        self._limit.let_in()
        self._tally.limit, self._tally.in_flight = self._limit.limit, self._limit.under_way
        self._tally.notice = self._notice()

    def _notice(self) -> str:
        if self._limit.held_seconds > 0:
            return self._hold_notice
        if self._reached or self._first_sent_at is None:
            return ""
        seconds = time.monotonic() - self._first_sent_at
        limit = f"the run ends after {self._client.timeout_seconds:g} s"
        return f"no answer yet after {seconds:.0f} s; {limit}" if seconds >= _SILENT_SECONDS else ""

    async def _work(self, queue: Iterator[tuple[int, Prompt]]) -> None:
        for place, prompt in queue:
            reply = NOT_SENT
            try:
                if self._control.state != "stopped":
                    reply = await self._reply(prompt)
            except _Stopped:
                if self._control.state != "stopped":
                    return
            self._results[place] = reply if self._into is None else self._into(reply)
            if reply is NOT_SENT:
                await asyncio.sleep(0)  # lets requests in flight finish meanwhile
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
            endpoint=client.endpoint, parameters=client.parameters,
        )  # fmt: skip
        if not 0 <= request.seed < 2**63:  # the ledger's integer range
            raise ValueError(f"seed is {request.seed!r}; give 0 to 2**63 - 1")
        while (under_way := client.in_flight.claim(request.key)) is not None:
            # The same request is in flight, here or in another thread, and serves both.
            entry = await self._await_duplicate(under_way)
            if entry is not None:
                return wire.make_reply(prompt, request, entry)
        entry = None
        try:
            entry = await self._find_or_request(request, prompt)
        finally:
            client.in_flight.release(request.key, entry)
        return wire.make_reply(prompt, request, entry)

    async def _await_duplicate(self, under_way: Future[Entry | None]) -> Entry | None:
        """Wait for the identical request in flight; raise `_Stopped` if this run ends first."""
        entry, stop = asyncio.wrap_future(under_way), asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([entry, stop], return_when=asyncio.FIRST_COMPLETED)
            if not entry.done():
                raise _Stopped
            return entry.result()
        finally:
            entry.cancel()
            stop.cancel()

    async def _find_or_request(self, request: Request, prompt: Prompt) -> Entry:
        entry = self._client.ledger.find(request.key, _STALE_SECONDS)
        if entry is not None and self._again and request.key not in self._reattempted:
            self._reattempted.add(request.key)
            request, entry = replace(request, attempt=entry.attempt + 1), None
        if entry is None:
            return await self._answer(request, prompt)
        self._tally.known += 1
        await asyncio.sleep(0)  # lets a stop take effect during many known replies
        return entry

    async def _answer(self, request: Request, prompt: Prompt) -> Entry:
        """Request a reply with retries, and store the reply or the reason for its absence."""
        if self._stop.is_set():
            raise _Stopped
        if self._client.replayed:
            stored = self._client.ledger.find(request.key, failures=True)
            if stored is None:
                raise self._client.unavailable(f"no stored reply to this {prompt.name} prompt")
            return stored
        if self._client.pending.file_of(request.key) is not None:
            raise self._client.unavailable(f"this request {self._client.pending.in_words()}")
        policy, everywhere, kept = faults.RetryPolicy(lambda: self._reached), False, False
        try:
            # Encoded before a slot is taken, so that no slot waits for it; held until it is sent.
            held = await self._sender.ready(prompt)
            entry = await self._with_retries(policy, request, prompt)
            del held
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
        # Outside the handler, so that the API's error, which may repeat the key, is not chained.
        self._failed_in_row += 1
        if everywhere or self._failed_in_row >= _DEAD_AFTER:
            raise self._client.unavailable(entry.error or "")
        if not kept:
            await self._writer.keep(request, entry)
        return entry

    async def _with_retries(
        self, policy: faults.RetryPolicy, request: Request, prompt: Prompt
    ) -> Entry:
        """Return a reply; retry transient faults, and request an unusable reply once more."""
        without: set[str] = set()  # fields that the endpoint has rejected
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(faults.is_transient),
            stop=policy.is_over,
            wait=faults.wait_seconds,
            sleep=self._sleep,
            reraise=True,
        )
        entry = await retrying(self._post, request, prompt, without)
        if not entry.answered and self._control.state != "stopped":
            with contextlib.suppress(_Stopped):
                entry = await retrying(self._post, request, prompt, without)
        return entry

    async def _post(self, request: Request, prompt: Prompt, without: set[str]) -> Entry:
        """Wait for a slot, send once, and store the reply."""
        entered = await self._limit.enter()
        try:
            if self._stop.is_set():
                raise _Stopped
            # Another process may have stored the answer meanwhile.
            known = self._client.ledger.find(request.key, _STALE_SECONDS)
            if known is not None and known.attempt >= request.attempt:
                self._tally.known += 1
                return known
            entry, reserved = await self._send(request, prompt, without)
        except faults.FAULTS as error:
            self._record_outcome(entered, error)
            raise
        finally:
            self._limit.leave()
        unusable = faults.NoCompletion(entry.text, entry.error) if entry.error else None
        self._record_outcome(entered, unusable)
        if unusable and self._client.ledger.spoilt(request):
            entry = replace(entry, answered=True)  # the second unusable reply: not requested again
        await self._writer.keep(request, entry)
        self._client.cost.release(reserved)  # after the ledger counts it
        self._tally.tokens_in += entry.tokens_in
        self._tally.tokens_out += entry.tokens_out
        self._tally.usd += entry.usd or 0.0
        return entry

    async def _send(
        self, request: Request, prompt: Prompt, without: set[str]
    ) -> tuple[Entry, float]:
        """Send within the cost ceiling; return the entry and the reserved cost."""
        prepared, cost = self._prepare(request, prompt, without), self._client.cost
        reserved = cost.reserve(prompt)
        try:
            return await self._exchange(request, prompt, prepared, without), reserved
        except Exception as error:
            if not faults.may_cost(error):  # otherwise the reservation stays
                cost.release(reserved)
            raise

    def _prepare(self, request: Request, prompt: Prompt, without: set[str]) -> Any:
        """Return what is sent of a request, without the fields that the endpoint rejects."""
        return self._sender.prepare(request, prompt, self._client.refused | without)

    async def _exchange(
        self, request: Request, prompt: Prompt, prepared: Any, without: set[str]
    ) -> Entry:
        """Send a request; if the endpoint rejects a field, send it again without that field."""
        omitted = self._client.refused | without
        fields = wire.fields_sent(request, self._client.images.rule, omitted)
        try:
            entry = await self._attempt(request, prepared)
        except faults.FAULTS as error:
            field = faults.refused_field(error, fields)
            if field is None:
                raise
            without.add(field)
            return await self._exchange(
                request, prompt, self._prepare(request, prompt, without), without
            )
        if entry.error is None:
            self._omit(without)  # only fields whose omission worked
        elif field := faults.named_field(entry.error, fields):
            without.add(field)  # for the second request
        return entry

    def _omit(self, without: set[str]) -> None:
        """Omit these fields from all further requests."""
        for field in sorted(without - self._client.refused):
            self._client.refused.add(field)
            _log.warning(
                "model %r: the endpoint rejects %s; requests now omit it", self._client.model, field
            )

    async def _attempt(self, request: Request, prepared: Any) -> Entry:
        """Post one request and return its entry."""
        self._first_sent_at = self._first_sent_at or time.monotonic()
        self._tally.attempts += 1
        self._writer.sent(request)
        response, seconds, receipts = await self._sender.post(prepared)
        return wire.make_entry(response, seconds, self._client.price, request, receipts)

    def _record_outcome(self, entered: int, error: Exception | None) -> None:
        """Adjust the pace to a request's outcome, and end the run after too many failures."""
        refused = isinstance(error, openai.RateLimitError)
        burst = self._limit.note(entered, refused=refused)
        requested = faults.asked_seconds(error) if faults.is_transient(error) else None
        if requested and (burst or requested > _LONG_SECONDS):
            self._hold(requested)
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
        notice = f"the endpoint asks to wait {seconds:.0f} s, until {at}"
        if self._limit.hold(seconds):
            self._hold_notice = self._tally.notice = notice
            if seconds > 1:
                _log.warning("model %r: %s", self._client.model, notice)

    def _describe(self, error: Exception) -> tuple[str, bool]:
        return self._client.describe(error, reached=self._reached)

    async def _sleep(self, seconds: float) -> None:
        """Sleep until the time is over or the run ends."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

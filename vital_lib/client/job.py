"""Background jobs, which continue while the browser disconnects and cells finish; their control.

A `Control` pauses, resumes and stops a run and holds its `Tally`; the run polls it. A `Job` is a
thread in the kernel, outside any cell: the work receives a `Control`, passes it to
``ChatClient.ask`` and returns its result. This module has no prompts, models or widgets.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from vital_lib.stopping import Stopped, WaitCancelled

_WINDOW_SECONDS = 30
_WAIT_SECONDS = 0.1  # polling interval of an awaiting cell
_LEAST_SECONDS = 1  # shortest window with a meaningful rate
_ONLY_THE_WAIT = (
    "only the wait was interrupted; the work goes on. Call result() to wait again, or stop() to "
    "end the work and keep what is done"
)


@dataclass
class Tally:
    """Progress counts of a run; the run writes them, other threads read them.

    Args:
        done: prompts with a reply, with or without a value; excludes prompts that a stop left
            unsent.
        failed: prompts in `done` whose reply has no value.
        known: prompts in `done` that the ledger answered.
        in_flight: requests sent and not answered yet.
        attempts: requests sent, including retries.
        rate_limited: attempts that the endpoint refused with status 429.
        limit: current limit of requests in flight.
        notice: why the run is waiting; empty if it is not.
    """

    done: int = 0
    failed: int = 0
    known: int = 0
    in_flight: int = 0
    attempts: int = 0
    rate_limited: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float = 0.0
    limit: int = 0
    notice: str = ""


class Control:
    """Pauses, resumes or stops the run of the ``ChatClient.ask`` it is passed to, from any thread.

    A paused run sends nothing until it is resumed; requests in flight still arrive and are stored.
    A stopped run returns the replies it has; each unsent prompt gets a reply without a value, with
    the reason `UNSENT`.
    """

    def __init__(self) -> None:
        self.tally = Tally()
        self._lock = threading.Lock()
        self._state = "running"

    @property
    def state(self) -> str:
        """The state: running, paused or stopped."""
        return self._state

    def count(self, **more: float) -> None:
        """Add to counts of the tally; several runs may do so at once."""
        with self._lock:
            for name, value in more.items():
                setattr(self.tally, name, getattr(self.tally, name) + value)

    def pause(self) -> None:
        """Stop sending until `resume`."""
        self._set("paused")

    def resume(self) -> None:
        """Continue sending."""
        self._set("running")

    def stop(self) -> None:
        """Stop sending for good; a stopped run cannot be resumed, only started again."""
        self._set("stopped")

    def _set(self, state: str) -> None:
        with self._lock:
            if self._state != "stopped":
                self._state = state


class Job:
    """Work in its own thread, which ends with the kernel.

    Args:
        work: called with ``control=``, the `Control` to pass to ``ChatClient.ask``, also to several
            calls in sequence. Its return value is the job's result.
        total: the number of prompts the work will send.

    Attributes:
        started, ended: events that a caller can wait for.
    """

    def __init__(self, work: Callable[..., Any], total: int) -> None:
        if total < 0:
            raise ValueError(f"total {total!r}: give the number of prompts, 0 or more")
        self.total, self.control = int(total), Control()
        self.started, self.ended = threading.Event(), threading.Event()
        self._work, self._value, self._error = work, None, None
        self._lock = threading.Lock()
        self._began = self._until = 0.0
        self._samples: deque[tuple[float, int]] = deque()  # (time, replies so far)

    def start(self) -> Job:
        """Start the work; a second call has no effect."""
        with self._lock:
            if not self.started.is_set():
                self._began = time.monotonic()
                self._restart_rate()
                threading.Thread(target=self._run, name="vital-job", daemon=True).start()
                self.started.set()
        return self

    def pause(self) -> None:
        """Stop sending until `resume`; requests in flight arrive and are stored."""
        self.control.pause()

    def resume(self) -> None:
        """Continue after a pause."""
        with self._lock:
            self._restart_rate()  # the rate excludes the pause
        self.control.resume()

    def stop(self) -> None:
        """Stop sending; the result uses the replies so far and the requests in flight."""
        self.control.stop()

    def state(self) -> dict[str, Any]:
        """Return the current state.

        Returns:
            status (waiting, running, paused or stopping; at the end finished, stopped or failed),
            total, the fields of `Tally`, per_second (replies from the endpoint over the last 30
            seconds, or since the previous call if that is longer ago; 0 unless running),
            seconds_left (at that rate; None without a rate), seconds (from the start to now or to
            the end), error (the exception that ended the work; empty if none).
        """
        tally, status = vars(self.control.tally), self._status()
        with self._lock:
            rate = self._rate() if status == "running" else 0.0
        until = self._until if self.ended.is_set() else time.monotonic()
        return {
            **tally,
            "status": status,
            "total": self.total,
            "per_second": rate,
            "seconds_left": max(0, self.total - tally["done"]) / rate if rate else None,
            "seconds": until - self._began if self.started.is_set() else 0.0,
            "error": "" if self._error is None else _words(self._error),
        }

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the work and return its result.

        Interrupting the wait (■ in the notebook) does not interrupt the work.

        Args:
            timeout: maximum wait in seconds.

        Raises:
            TimeoutError: the work has not ended after `timeout` seconds.
            RuntimeError: the job was not started.
            BaseException: any exception that the work raised.
        """
        if not self.started.is_set():
            raise RuntimeError("the job was not started: call start() before result()")
        try:
            ended = self.ended.wait(timeout)
        except KeyboardInterrupt:
            raise Stopped(_ONLY_THE_WAIT) from None
        if not ended:
            raise TimeoutError(f"the work goes on after {timeout:g} s; call result() to wait more")
        if self._error is not None:
            raise self._error
        return self._value

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait like `result`, but in a cell: ``await job`` lets the kernel answer the browser.

        A cell that waits in `result` blocks the kernel's messages, so a page opened meanwhile shows
        its widgets only when the work ends.
        """
        return self._awaited().__await__()

    async def _awaited(self) -> Any:
        try:
            while self.started.is_set() and not self.ended.is_set():
                await asyncio.sleep(_WAIT_SECONDS)
        except asyncio.CancelledError:
            raise WaitCancelled(_ONLY_THE_WAIT) from None
        return self.result()

    def _run(self) -> None:
        try:
            self._value = self._work(control=self.control)
        except BaseException as error:  # noqa: BLE001 - raised by `result`
            self._error = error
        finally:
            self._until = time.monotonic()
            self.ended.set()

    def _status(self) -> str:
        state = self.control.state
        if self.ended.is_set():
            failed, stopped = self._error is not None, state == "stopped"
            return "failed" if failed else "stopped" if stopped else "finished"
        if not self.started.is_set():
            return "waiting"
        return "stopping" if state == "stopped" else state

    def _answered(self) -> int:
        """Return the number of replies from the endpoint; ledger replies are instant."""
        return self.control.tally.done - self.control.tally.known

    def _restart_rate(self) -> None:
        self._samples = deque([(time.monotonic(), self._answered())])

    def _rate(self) -> float:
        now = time.monotonic()
        self._samples.append((now, self._answered()))
        while self._samples[1][0] <= now - _WINDOW_SECONDS:
            self._samples.popleft()
        since, before = self._samples[0]
        return (self._answered() - before) / (now - since) if now - since >= _LEAST_SECONDS else 0.0


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")

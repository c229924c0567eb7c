"""Long work beside the notebook: it goes on while the browser comes and goes, and cells watch it.

A job is a thread of the kernel's, outside any cell. It knows nothing of prompts, models or
widgets: the work gets a `Control`, hands it to ``ChatClient.ask``, and returns what it made.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import Any

from vital_lib.client.control import Control

_WINDOW_SECONDS = 30
_WAIT_SECONDS = 0.1  # between looks of a cell that awaits
_LEAST_SECONDS = 1  # of a run, before its rate says anything
_ONLY_THE_WAIT = (
    "only the wait was interrupted: the work goes on. result() waits again, stop() ends it and "
    "keeps what is done"
)


class Job:
    """One piece of work in a thread of its own, which ends with the kernel.

    Args:
        work: called with ``control=``, the `Control` to hand to ``ChatClient.ask``, to several
            calls one after another if need be; what it returns is the result.
        total: how many prompts it will ask.

    Attributes:
        started, ended: events, for whoever wants to wait for them.
    """

    def __init__(self, work: Callable[[Control], Any], total: int) -> None:
        if total < 0:
            raise ValueError(f"total {total!r}: give the number of prompts, 0 or more")
        self.total, self.control = int(total), Control()
        self.started, self.ended = threading.Event(), threading.Event()
        self._work, self._value, self._error = work, None, None
        self._lock = threading.Lock()
        self._began = self._until = 0.0
        self._samples: deque[tuple[float, int]] = deque()  # when, and replies waited for by then

    def start(self) -> Job:
        """Begin, once: started again, it just goes on."""
        with self._lock:
            if not self.started.is_set():
                self._began = time.monotonic()
                self._measure_anew()
                threading.Thread(target=self._run, name="vital-job", daemon=True).start()
                self.started.set()
        return self

    def pause(self) -> None:
        """Send nothing more for now; what is under way arrives and is kept."""
        self.control.pause()

    def resume(self) -> None:
        """Go on after a pause."""
        with self._lock:
            self._measure_anew()  # the pause is no part of the rate
        self.control.resume()

    def stop(self) -> None:
        """Send nothing more at all: the result is made of what is done and under way."""
        self.control.stop()

    def state(self) -> dict[str, Any]:
        """How it stands now.

        Returns:
            status (waiting to be started, running, paused, stopping while what is under way still
            arrives; at the end finished, stopped or failed), total, all that `Tally` counts,
            per_second (replies of the endpoint's over the last half minute, or since the state was
            last looked at if that is longer; 0 unless running), seconds_left (at that rate; None
            while there is none), seconds (since the start, up to the end), error (what made it
            fail; else empty).
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
        """What the work returned, once it has.

        Interrupting the wait (■ in the notebook) leaves the work going.

        Args:
            timeout: seconds to wait at most.

        Raises:
            TimeoutError: it goes on after `timeout` seconds.
            RuntimeError: it was not started.
            BaseException: whatever the work raised.
        """
        if not self.started.is_set():
            raise RuntimeError("the job was not started: call start() before result()")
        try:
            ended = self.ended.wait(timeout)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_ONLY_THE_WAIT) from None
        if not ended:
            raise TimeoutError(f"the work goes on after {timeout:g} s; result() waits for its end")
        if self._error is not None:
            raise self._error
        return self._value

    def __await__(self) -> Generator[Any, None, Any]:
        """As `result`, for a cell: ``await job`` leaves the kernel free to answer the browser.

        A cell that waits in `result` holds up all that a page says which is opened meanwhile: its
        widgets would come back with the end of the work only.
        """
        return self._awaited().__await__()

    async def _awaited(self) -> Any:
        try:
            while self.started.is_set() and not self.ended.is_set():
                await asyncio.sleep(_WAIT_SECONDS)
        except asyncio.CancelledError:
            raise asyncio.CancelledError(_ONLY_THE_WAIT) from None
        return self.result()

    def _run(self) -> None:
        try:
            self._value = self._work(control=self.control)
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            self._error = error
        finally:
            self._until = time.monotonic()
            self.ended.set()

    def _status(self) -> str:
        asked = self.control.state
        if self.ended.is_set():
            failed, stopped = self._error is not None, asked == "stopped"
            return "failed" if failed else "stopped" if stopped else "finished"
        if not self.started.is_set():
            return "waiting"
        return "stopping" if asked == "stopped" else asked

    def _answered(self) -> int:
        """Replies that were waited for: those out of the ledger come at once, and say nothing."""
        return self.control.tally.done - self.control.tally.known

    def _measure_anew(self) -> None:
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

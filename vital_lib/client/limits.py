"""What may be sent: the adaptive concurrency limit, the circuit breaker and the requests in flight.

A burst of 429 responses halves the limit once. Each other reply raises it by a quarter of a
request, so a full round of replies raises it by a quarter. Single 429 responses do not change it.
This module does not depend on the content of requests or prompts.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from vital_lib.client.entries import Entry

_BURST_SHARE = 0.4  # of recent replies; at 10 % random refusals, reached once in a million
_RECENT = (32, 64)  # smallest and largest number of recent replies
_GROWTH = 0.25
_HIGH_SHARE = 0.7  # of recent requests that failed
_HIGH_SECONDS = 30.0


class AdaptiveLimit:
    """Limits the requests in flight and admits waiting requests in order; for one event loop.

    Args:
        most: the largest limit.
    """

    def __init__(self, most: int) -> None:
        self._most, self._room = most, float(most)
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._recent: deque[bool] = deque(maxlen=min(max(_RECENT[0], most), _RECENT[1]))
        self._cuts = 0
        self._held_until = 0.0
        self._opened = False
        self.paused = False
        self.under_way = 0

    @property
    def limit(self) -> int:
        """The current limit of requests in flight."""
        return int(self._room)

    async def enter(self) -> int:
        """Wait for admission; return the number of cuts so far, to be passed to `note`."""
        if self._waiting or not self._free():
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self.leave()
                raise
        else:
            self.under_way += 1
        return self._cuts

    def leave(self) -> None:
        """Release a slot."""
        self.under_way -= 1
        self.let_in()

    def note(self, entered: int, *, refused: bool) -> bool:
        """Record a reply; return True if it completes a burst of 429s and the limit was cut.

        Args:
            entered: the return value of `enter`. Requests admitted before the last cut are ignored,
                so that one burst cuts once.
            refused: whether the reply was a 429.
        """
        if entered != self._cuts:
            return False
        if not refused:
            self._room = min(self._most, self._room + _GROWTH)
        self._recent.append(refused)
        full = len(self._recent) == self._recent.maxlen
        if not full or sum(self._recent) < _BURST_SHARE * len(self._recent):
            return False
        self._room = max(1.0, self._room / 2)
        self._recent.clear()
        self._cuts += 1
        return True

    def hold(self, seconds: float) -> bool:
        """Admit nothing for `seconds`; return False if a hold was already active."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        if until <= self._held_until:
            return False
        first = loop.time() >= self._held_until
        self._held_until = until
        loop.call_later(seconds, self.let_in)
        return first

    def let_in(self) -> None:
        """Admit waiting requests up to the limit."""
        while self._waiting and self._free():
            turn = self._waiting.popleft()
            if not turn.done():
                self.under_way += 1
                turn.set_result(None)

    def open(self) -> None:
        """Admit everything from now on, so that waiting requests see that the run has ended."""
        self._opened = True
        self.let_in()

    @property
    def held_seconds(self) -> float:
        """Seconds until the hold ends."""
        return max(0.0, self._held_until - asyncio.get_running_loop().time())

    def _free(self) -> bool:
        free = self.under_way < self.limit and not self.paused and self.held_seconds <= 0
        return free or self._opened


class CircuitBreaker:
    """Ends a run whose requests have failed too often for too long; 429 does not count.

    Args:
        clock: returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._recent: deque[str | None] = deque(maxlen=100)
        self._high_since: float | None = None

    def note(self, failure: str | None) -> str | None:
        """Record a request's failure, or None for success; return why the run must end, or None."""
        self._recent.append(failure)
        failures = Counter(why for why in self._recent if why is not None)
        failed, now = failures.total(), self._clock()
        if len(self._recent) < 20 or failed < _HIGH_SHARE * len(self._recent):
            self._high_since = None
            return None
        self._high_since = now if self._high_since is None else self._high_since
        seconds = now - self._high_since
        if seconds < _HIGH_SECONDS:
            return None
        return (
            f"stopped early: {failed} of the last {len(self._recent)} requests failed, at "
            f"this rate or above for {seconds:.0f} s, mostly with: {failures.most_common(1)[0][0]}"
        )


class InFlight:
    """The requests in flight over all threads, by key."""

    _of_files: weakref.WeakValueDictionary[Path, InFlight] = weakref.WeakValueDictionary()
    _opening = threading.Lock()

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[Entry | None]] = {}

    @classmethod
    def of(cls, path: Path | None) -> InFlight:
        """Return the object that all users of a ledger file share; for None, a new object."""
        if path is None:
            return cls()
        with cls._opening:
            return cls._of_files.setdefault(Path(path).resolve(), cls())

    def claim(self, key: str) -> Future[Entry | None] | None:
        """Return None if the caller must send the request, or the future of one in flight."""
        with self._lock:
            if key in self._under_way:
                return self._under_way[key]
            self._under_way[key] = future = Future()
            future.set_running_or_notify_cancel()  # a waiter cannot cancel it for other waiters
            return None

    def release(self, key: str, entry: Entry | None) -> None:
        """Pass the entry to the waiters; after None, a waiter sends the request itself."""
        with self._lock:
            future = self._under_way.pop(key)
        future.set_result(entry)

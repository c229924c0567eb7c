"""How many requests may be under way at once, and whether an endpoint is past helping.

A burst of refusals (429) halves the number once, and every reply raises it again by a quarter, so
that a full round of replies brings a quarter more. Single refusals are noise and cost nothing
here. Knows nothing of requests or prompts.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable

_BURST_SHARE = 0.4  # of recent replies; at a background of 10 % it comes up once in a million
_RECENT = (32, 64)  # replies looked back on, at least and at most
_GROWTH = 0.25
_HIGH_SHARE = 0.7  # of recent requests that failed
_HIGH_SECONDS = 30.0


class AdaptiveLimit:
    """Lets requests go in the order they came, so many at once; for one event loop.

    Args:
        most: requests under way at once, at best.
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
        """Requests that may be under way at once at present."""
        return int(self._room)

    async def enter(self) -> int:
        """Wait for room; gives what `leave` and `note` want to be told."""
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
        """Give the room back."""
        self.under_way -= 1
        self.let_in()

    def note(self, entered: int, *, refused: bool) -> bool:
        """Take in a reply, 429 or another; True if that makes a burst and the pace was cut.

        Args:
            entered: what `enter` gave. Requests from before the last cut do not count: one burst
                cuts once.
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
        """Let nothing in for so long; False if that was so already."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        if until <= self._held_until:
            return False
        first = loop.time() >= self._held_until
        self._held_until = until
        loop.call_later(seconds, self.let_in)
        return first

    def let_in(self) -> None:
        """Let in who waits, as far as there is room."""
        while self._waiting and self._free():
            turn = self._waiting.popleft()
            if not turn.done():
                self.under_way += 1
                turn.set_result(None)

    def open(self) -> None:
        """Let everybody in from now on: the run ends, and who waits shall find that out."""
        self._opened = True
        self.let_in()

    @property
    def held_seconds(self) -> float:
        """Until something may be let in again."""
        return max(0.0, self._held_until - asyncio.get_running_loop().time())

    def _free(self) -> bool:
        room = self.under_way < self.limit and not self.paused and self.held_seconds <= 0
        return room or self._opened


class CircuitBreaker:
    """Whether requests have been failing for too long; 429 is no failure here.

    Args:
        clock: seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._recent: deque[str | None] = deque(maxlen=100)
        self._high_since: float | None = None

    def note(self, failure: str | None) -> str | None:
        """Take in how a request ended; in words why the run should end, or None."""
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
            f"stopped early: {failed} of the last {len(self._recent)} requests failed, and so "
            f"they have for {seconds:.0f} s, mostly with: {failures.most_common(1)[0][0]}"
        )

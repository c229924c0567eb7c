"""Progress of work that this machine does in a cell, such as tuning: n of N, a bar, a message.

It is told, from any thread, and brakes nothing; requests to a model, which cost something and run
beside the notebook, have the ``RunMonitor``.
"""

from __future__ import annotations

import time
from typing import Any

from vital_lib.panels._panel import Panel, plain, script_beside

# The browser is told after this many seconds or this share of the work: thousands of quick steps
# would flood it, and what it shows may lag behind by no more than a hundredth.
_SECONDS, _SHARE = 0.1, 0.01


class ProgressView(Panel):
    """One bar for one piece of work.

    Args:
        total: how many steps there are.
        title: what is being done.
    """

    _draw = script_beside(__file__)

    def __init__(self, total: int, title: str) -> None:
        if total < 0:
            raise ValueError(f"total {total!r}: give the number of steps, 0 or more")
        super().__init__()
        self.total, self.title = int(total), title
        self.n, self.message, self.ended = 0, "", ""
        self._started = time.monotonic()
        self._tell(self._started)

    def step(self, n: int | None = None, message: str | None = None) -> None:
        """Say that `n` steps are done so far (without it: one more), with a message if it is new.

        Threads may report out of order: the count never goes back.
        """
        with self._lock:
            self.n = max(self.n, self.n + 1 if n is None else int(n))
            self.message = self.message if message is None else plain(message)
            now = time.monotonic()
            far = self.n - self._told >= _SHARE * self.total
            if far or now - self._shown >= _SECONDS or self.n >= self.total:
                self._tell(now)

    def watch(self, step: int, total: int, loss: float) -> bool:
        """As `on_step` of `tuning.tune`: shows step and loss, and lets it go on."""
        self.step(step, f"loss {loss:.2f}")
        return True

    def done(self, message: str = "") -> None:
        """Say that the work has ended; with fewer than `total` steps done it ended early."""
        with self._lock:
            self.ended, self.message = "done" if self.n >= self.total else "early", plain(message)
            self._tell(time.monotonic())

    def __enter__(self) -> ProgressView:
        return self

    def __exit__(self, kind: Any, error: Any, _trace: Any) -> None:
        if kind is not None or not self.ended:
            self.done(f"stopped: {plain(error) or kind.__name__}" if kind else self.message)

    def _tell(self, now: float) -> None:
        self._told, self._shown, self._seconds = self.n, now, now - self._started
        self._show()

    def _state(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "n": self.n,
            "of": self.total,
            "seconds": self._seconds,
            "message": self.message,
            "ended": self.ended,
        }

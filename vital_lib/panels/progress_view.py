"""Progress of local work in a cell, such as tuning: n of N, a bar and a message.

Any thread may report progress. The view cannot pause or stop the work; use ``RunMonitor`` for
requests to a model, which cost money and run in the background.
"""

from __future__ import annotations

import time
from typing import Any

from vital_lib.panels._panel import Panel, plain, script_beside

# Update the browser after this many seconds or this share of the work: thousands of quick steps
# would flood it, and the display may lag by at most one hundredth of the work.
_SECONDS, _SHARE = 0.1, 0.01


class ProgressView(Panel):
    """A progress bar for one task.

    Args:
        total: number of steps.
        title: name of the task.
    """

    _draw = script_beside(__file__)

    def __init__(self, total: int, title: str) -> None:
        if total < 0:
            raise ValueError(f"total {total!r}: give the number of steps, 0 or more")
        super().__init__()
        self.total, self.title = int(total), title
        self.n, self.message, self.ended = 0, "", ""
        self._started = time.monotonic()
        self._send(self._started)

    def step(self, n: int | None = None, message: str | None = None) -> None:
        """Report that `n` steps are done (default: one more than before), with an optional message.

        Threads may report out of order; the count never decreases.
        """
        with self._lock:
            self.n = max(self.n, self.n + 1 if n is None else int(n))
            self.message = self.message if message is None else plain(message)
            now = time.monotonic()
            far = self.n - self._sent >= _SHARE * self.total
            if far or now - self._shown >= _SECONDS or self.n >= self.total:
                self._send(now)

    def watch(self, step: int, total: int, loss: float) -> bool:
        """Show step and loss, as `on_step` of `tuning.tune`; always return True (continue)."""
        self.step(step, f"loss {loss:.2f}")
        return True

    def done(self, message: str = "") -> None:
        """Report that the work has ended; with fewer than `total` steps done, it ended early."""
        with self._lock:
            self.ended, self.message = "done" if self.n >= self.total else "early", plain(message)
            self._send(time.monotonic())

    def __enter__(self) -> ProgressView:
        return self

    def __exit__(self, kind: Any, error: Any, _trace: Any) -> None:
        if kind is not None or not self.ended:
            self.done(f"stopped: {plain(error) or kind.__name__}" if kind else self.message)

    def _send(self, now: float) -> None:
        self._sent, self._shown, self._seconds = self.n, now, now - self._started
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

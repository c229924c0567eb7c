"""Pausing, resuming and stopping a run from elsewhere, and what it has done so far.

Plain state: the run looks at it a few times a second. Knows nothing of
models, widgets or threads' owners.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass
class Tally:
    """What a run has done so far; the run counts, others read.

    Args:
        done: prompts with a reply, with or without a value; not those that a stop left unsent.
        failed: of those, the ones without a value.
        known: of those, the ones that the ledger answered.
        in_flight: requests sent and not answered yet.
        attempts: requests sent, those sent again included.
        rate_limited: attempts answered by 429, which brought nothing.
        limit: requests that may be under way at once at present.
        notice: what holds the run up, in words; empty if nothing does.
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
    """One run's brake, to be handed to ``ChatClient.ask``; any thread may pull it.

    A paused run sends nothing more until it is resumed; what is under way still arrives and is
    kept. A stopped one returns what it has: each prompt that was not sent gets a reply without a
    value that says so.
    """

    def __init__(self) -> None:
        self.tally = Tally()
        self._lock = threading.Lock()
        self._state = "running"

    @property
    def state(self) -> str:
        """running, paused or stopped."""
        return self._state

    def pause(self) -> None:
        """Send nothing more for now."""
        self._turn("paused")

    def resume(self) -> None:
        """Go on sending."""
        self._turn("running")

    def stop(self) -> None:
        """Send nothing more at all; a stopped run cannot be resumed, only asked again."""
        self._turn("stopped")

    def _turn(self, state: str) -> None:
        with self._lock:
            if self._state != "stopped":
                self._state = state

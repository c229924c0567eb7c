"""Pause, resume and stop a run from another thread, and read its progress.

Plain state that the run polls. It does not depend on models, widgets or threads.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass


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

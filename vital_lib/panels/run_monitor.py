"""Status of a running job: counts, cost, rate and time left, with pause and stop buttons.

The job and its state live in the kernel, so a reopened or second browser shows the current state.
This module does not depend on what the requests are for.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from vital_lib.panels._panel import Panel, script_beside
from vital_lib.panels._static import Form, table

if TYPE_CHECKING:
    from vital_lib.client.job import Job

_LOOK_SECONDS = 0.25  # between polls of the job
_ARRIVES = "requests in flight still arrive and are kept"


class RunMonitor(Panel):
    """A view of one job until it ends.

    Args:
        job: the job, started already or later.
        title: name of the job.
    """

    _script = script_beside(__file__)
    _actions = ("pause", "resume", "stop", "go_on")

    def __init__(self, job: Job, title: str = "Requests to the model") -> None:
        super().__init__()
        self.title, self._job, self._asking = title, job, False
        self._show()
        threading.Thread(target=self._watch, name="vital-monitor", daemon=True).start()

    def pause(self) -> None:
        """Pause sending; requests in flight still arrive and are kept."""
        self._job.pause()
        self._show()

    def resume(self) -> None:
        """Resume sending."""
        self._job.resume()
        self._show()

    def stop(self) -> None:
        """Ask for confirmation; on the second call, stop the job and keep the results so far."""
        with self._lock:
            if self._asking:
                self._job.stop()
            self._asking = not self._asking
            self._show()

    def go_on(self) -> None:
        """Dismiss the confirmation and continue."""
        self._asking = False
        self._show()

    def _watch(self) -> None:
        self._job.started.wait()
        self._show()
        while not self._job.ended.wait(_LOOK_SECONDS):
            with self._lock:
                shown = self.widget.state
                if {**shown, **self._state()} != shown:
                    self._show()
        self._show()

    def _settled(self) -> bool:
        return self._job.ended.is_set()

    def _static(self, state: dict[str, Any]) -> Form:
        counts = {
            "done": f"{state['done']:,} of {state['total']:,}",
            "without a value": f"{state['failed']:,}",
            "from the ledger": f"{state['known']:,}",
            "tokens in": f"{state['tokens_in']:,}",
            "tokens out": f"{state['tokens_out']:,}",
            "spent": f"{state['usd']:.4f} USD",
            "took": "" if state["seconds"] is None else f"{state['seconds']:,} s",
        }
        summary = f"{self.title}: {state['status']}, {counts['done']} done; {state['message']}"
        return Form(summary, [table(["", ""], counts.items())])

    def _state(self) -> dict[str, Any]:
        state = self._job.state()
        status, ended, left = state["status"], self._job.ended.is_set(), state["seconds_left"]
        counts = ("done", "failed", "known", "in_flight", "tokens_in", "tokens_out", "usd")
        return {
            **{name: state[name] for name in counts},
            "total": max(state["total"], state["done"]),  # prompts asked again count, too
            "title": self.title,
            "status": status,
            "message": _message(state),
            "per_second": round(state["per_second"], 1),
            "seconds_left": None if left is None else round(left),
            "seconds": round(state["seconds"]) if ended else None,
            "asking": self._asking and status in ("running", "paused"),
        }


def _message(state: dict[str, Any]) -> str:
    """Return the status message shown below the counts."""
    missing = {"without a value": state["failed"], "not sent": state["total"] - state["done"]}
    missing = ", ".join(f"{count:,} {what}" for what, count in missing.items() if count > 0)
    return {
        "waiting": "not started",
        "running": state["notice"] or "the job continues when the browser is closed",
        "paused": "no more requests are sent until you resume"
        + (f"; {_ARRIVES}" if state["in_flight"] else ""),
        "stopping": _ARRIVES,
        "stopped": (missing and f"{missing}; ")
        + "completed requests are kept; run the cell again to send the rest",
        "finished": missing or "all answered",
        "failed": state["error"],
    }[state["status"]]

"""How a job stands: counts, cost, rate and time left, with its brakes; told anew while it changes.

The work lives in the kernel and so does all that is shown: a browser that is opened again, or a
second one, finds the panel as it stands. It knows nothing of what the work is for.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from vital_lib.panels._panel import Panel, script_beside

if TYPE_CHECKING:
    from vital_lib.client.job import Job

_LOOK_SECONDS = 0.25  # between looks at the job
_ARRIVES = "what is under way still arrives and is kept"


class RunMonitor(Panel):
    """One job, watched until it ends.

    Args:
        job: started already, or later.
        title: what it does.
    """

    _draw = script_beside(__file__)
    _actions = ("pause", "resume", "stop", "go_on")

    def __init__(self, job: Job, title: str = "Requests to the model") -> None:
        super().__init__()
        self.title, self._job, self._asking = title, job, False
        self._show()
        threading.Thread(target=self._watch, name="vital-monitor", daemon=True).start()

    def pause(self) -> None:
        """Send nothing more for now; what is under way arrives and is kept."""
        self._job.pause()
        self._show()

    def resume(self) -> None:
        """Go on sending."""
        self._job.resume()
        self._show()

    def stop(self) -> None:
        """Ask once more; asked already: stop, and keep what is done."""
        with self._lock:
            if self._asking:
                self._job.stop()
            self._asking = not self._asking
            self._show()

    def go_on(self) -> None:
        """Do not stop after all."""
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

    def _state(self) -> dict[str, Any]:
        state = self._job.state()
        status, ended, left = state["status"], self._job.ended.is_set(), state["seconds_left"]
        counts = ("done", "failed", "known", "in_flight", "tokens_in", "tokens_out", "usd")
        return {
            **{name: state[name] for name in counts},
            "total": max(state["total"], state["done"]),  # some may have been asked once more
            "title": self.title,
            "status": status,
            "message": _message(state),
            "per_second": round(state["per_second"], 1),
            "seconds_left": None if left is None else round(left),
            "seconds": round(state["seconds"]) if ended else None,
            "asking": self._asking and status in ("running", "paused"),
        }


def _message(state: dict[str, Any]) -> str:
    """What is to be known beside the counts."""
    missing = {"without a value": state["failed"], "not sent": state["total"] - state["done"]}
    missing = ", ".join(f"{count:,} {what}" for what, count in missing.items() if count > 0)
    return {
        "waiting": "not started",
        "running": state["notice"] or "it goes on while no browser is open",
        "paused": "nothing more is sent until it is resumed"
        + (f"; {_ARRIVES}" if state["in_flight"] else ""),
        "stopping": _ARRIVES,
        "stopped": (missing and f"{missing}; ")
        + "what was done is kept; running the cell again sends only the rest",
        "finished": missing or "all answered",
        "failed": state["error"],
    }[state["status"]]

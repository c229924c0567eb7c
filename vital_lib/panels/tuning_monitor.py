"""Status of tuning runs: losses, held-out losses, sampled answers, and a stop button.

The panel reads the events that each run reports and stores nothing. It does not depend on models.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from vital_lib.panels._panel import Panel, script_beside
from vital_lib.panels._static import Form, paragraph, table

if TYPE_CHECKING:
    from vital_lib.tuning import TuningEvent

_SEND_SECONDS = 0.25  # between two updates of the page
_POINTS = 100  # of one curve; each is the mean of the steps that it stands for
_LISTED = 3  # conversations left out that are named


@dataclass
class _Run:
    """What one run has reported."""

    name: str
    total: int
    step: int = 0
    begun: bool = False
    losses: list[tuple[int, float]] = field(default_factory=list)
    held_out: list[tuple[int, float]] = field(default_factory=list)
    samples: list[list[str]] = field(default_factory=list)
    sampled_at: int = 0
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def hear(self, event: TuningEvent) -> bool:
        """Take in an event; return whether it must be shown at once."""
        first, self.begun = not self.begun, True
        self.step, self.total = event.step, event.total
        if event.loss is not None and math.isfinite(event.loss):
            self.losses.append((event.step, event.loss))
        if event.held_out_loss is not None and math.isfinite(event.held_out_loss):
            self.held_out.append((event.step, event.held_out_loss))
        if event.samples:
            self.samples = [list(sample) for sample in event.samples]
            self.sampled_at = event.step
        self.left_out += [tuple(left) for left in event.left_out]
        rare = event.held_out_loss is not None or event.samples or event.left_out
        return bool(first or rare or self.step >= self.total)

    def curve(self) -> list[tuple[int, float]]:
        """The training loss in at most `_POINTS` points."""
        size = max(1, -(-len(self.losses) // _POINTS))
        parts = [self.losses[k : k + size] for k in range(0, len(self.losses), size)]
        means = [sum(loss for _, loss in part) / len(part) for part in parts]
        return [(part[-1][0], round(mean, 3)) for part, mean in zip(parts, means, strict=True)]


class TuningMonitor(Panel):
    """A view of tuning runs, for the cell that waits for them.

    Args:
        steps: name of each run -> number of its steps.
        title: heading of the panel.

    Attributes:
        watch: name of each run -> the `on_step` of `vital_lib.tuning.tune`, as
            `vital_lib.processes.run_calls` takes it. It returns False once `stop` was confirmed.

    Use it as a context around the runs: on leaving, runs that have not made all steps are shown as
    stopped.
    """

    _script = script_beside(__file__)
    _actions = ("stop", "go_on", "choose")

    def __init__(self, steps: Mapping[str, int], title: str = "Tuning") -> None:
        super().__init__()
        self.title, self._asking, self._stopping, self._ended = title, False, False, False
        self._runs = {name: _Run(name, total) for name, total in steps.items()}
        self._chosen, self._sent = next(iter(self._runs), ""), 0.0
        self.watch: dict[str, Callable[[TuningEvent], bool]] = {
            name: partial(self._hear, name) for name in self._runs
        }
        self._show()

    def __enter__(self) -> TuningMonitor:
        with self._lock:
            steps = {name: run.total for name, run in self._runs.items()}
            self._runs = {name: _Run(name, total) for name, total in steps.items()}
            self._stopping = self._asking = self._ended = False
            self._show()
        return self

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self._ended, self._asking = True, False
            self._show()

    def stop(self) -> None:
        """Ask for confirmation; on the second call, stop every run after its present step."""
        with self._lock:
            self._stopping = self._stopping or self._asking
            self._asking = not self._asking and not self._stopping
            self._show()

    def go_on(self) -> None:
        """Dismiss the confirmation and continue."""
        self._asking = False
        self._show()

    def choose(self, name: str) -> None:
        """Show the sampled answers of run `name`."""
        with self._lock:
            self._chosen = name if name in self._runs else self._chosen
            self._show()

    def _hear(self, name: str, event: TuningEvent) -> bool:
        with self._lock:
            at_once = self._runs[name].hear(event)
            if at_once or time.monotonic() - self._sent >= _SEND_SECONDS:
                self._sent = time.monotonic()
                self._show()
            return not self._stopping

    def _settled(self) -> bool:
        return self._ended

    def _state(self) -> dict[str, Any]:
        runs = [self._shown(run) for run in self._runs.values()]
        chosen = self._runs.get(self._chosen) or _Run("", 0)
        return {
            "title": self.title,
            "status": self._status([run["status"] for run in runs]),
            "asking": self._asking,
            "runs": runs,
            "chosen": self._chosen,
            "samples": chosen.samples,
            "sampled_at": chosen.sampled_at,
        }

    def _status(self, each: list[str]) -> str:
        if self._ended:
            return "finished" if all(status == "finished" for status in each) else "stopped"
        if self._stopping:
            return "stopping"
        return "running" if any(run.begun for run in self._runs.values()) else "waiting"

    def _shown(self, run: _Run) -> dict[str, Any]:
        if run.begun and run.step >= run.total:
            status, message = "finished", ""
        elif self._ended and run.begun:
            at = f"stopped at step {run.step:,} of {run.total:,}"
            status, message = "stopped", f"{at}; run the cell again to go on"
        elif self._ended:
            status, message = "stopped", "not begun; run the cell again"
        else:
            status, message = "running" if run.begun else "waiting", ""
        more = len(run.left_out) - _LISTED
        return {
            "name": run.name,
            "step": run.step,
            "total": run.total,
            "status": status,
            "message": message,
            "losses": run.curve(),
            "held_out": [(step, round(loss, 3)) for step, loss in run.held_out],
            "left_out": [": ".join(left) for left in run.left_out[:_LISTED]]
            + ([f"and {more:,} more"] if more > 0 else []),
            "left_out_n": len(run.left_out),
        }

    def _static(self, state: dict[str, Any]) -> Form:
        rows = [
            (
                run["name"],
                f"{run['step']:,} of {run['total']:,}",
                _ends(run["losses"]),
                _ends(run["held_out"]),
                f"{run['left_out_n']:,}" if run["left_out_n"] else "",
                run["message"],
            )
            for run in state["runs"]
        ]
        titles = ["set", "steps", "training loss", "held-out loss", "left out", ""]
        done = sum(run["status"] == "finished" for run in state["runs"])
        parts = [table(titles, rows)]
        if state["samples"]:
            answers = table(["question", "reference", "answer"], state["samples"])
            at = f"Sampled answers of {state['chosen']} at step {state['sampled_at']:,}"
            parts.append(paragraph(at, answers))
        return Form(f"{self.title}: {done} of {len(rows)} finished", parts)


def _ends(points: list[tuple[int, float]]) -> str:
    """The first and the last value of a curve."""
    return f"{points[0][1]:.2f} to {points[-1][1]:.2f}" if points else ""

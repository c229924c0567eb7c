"""A panel of the runs of a folder: two compared, one deleted in two steps, labels backed up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from vital_lib import runs
from vital_lib.english import counted
from vital_lib.panels._panel import Panel, plain, script_beside
from vital_lib.panels._static import Form, table

_UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


class RunList(Panel):
    """The runs of a folder, the newest first, as `vital_lib.runs` finds them.

    Args:
        folder: the folder of the runs, such as data/runs.
        current: the name of the run that the notebook reads; it is marked.

    Attributes:
        compared: the names of the runs compared, at most two.
        asking: the run whose deletion waits for confirmation, or None.
    """

    _script = script_beside(__file__)
    _actions = ("refresh", "compare", "ask", "delete", "keep", "back_up")

    def __init__(self, folder: str | Path, current: str = "") -> None:
        super().__init__()
        self.folder, self._current = folder, current
        self.compared: list[str] = []
        self.asking: str | None = None
        self._note = ""
        self._difference: dict[str, Any] | None = None
        self._read()
        self._show()

    def refresh(self) -> None:
        """Read the folder again."""
        self._attempt(self._read, self._note)

    def _read(self) -> None:
        self._runs = runs.list_runs(self.folder)
        known = set(self._runs["run"])
        self.compared = [name for name in self.compared if name in known]
        self.asking = self.asking if self.asking in known else None
        self._compare()

    def compare(self, name: str) -> None:
        """Add a run to the comparison, or take it out; a third run replaces the earlier one."""

        def choose() -> None:
            runs.run_in(self.folder, name)
            kept = [other for other in self.compared if other != name]
            self.compared = kept if name in self.compared else [*kept[-1:], name]
            self._compare()

        self._attempt(choose)

    def ask(self, name: str) -> None:
        """Ask whether to delete a run; `delete` confirms it."""
        self._note, self.asking = "", name
        self._attempt(lambda: runs.run_in(self.folder, name))

    def keep(self) -> None:
        """Do not delete the run."""
        self.asking, self._note = None, ""
        self._show()

    def delete(self) -> None:
        """Delete the run that `ask` named; without one, do nothing."""
        name, self.asking = self.asking, None
        if name is None:
            return
        self._attempt(lambda: runs.delete_run(self.folder, name), f"run {name} is deleted")
        self.refresh()

    def back_up(self, name: str) -> None:
        """Copy the label log of a run to `runs.BACKUPS` beside the runs."""

        def copy() -> None:
            found = runs.back_up_labels(self.folder, name)
            where = found.path.relative_to(self.folder)
            events = counted(found.events, "event")
            self._note = f"label log of run {name} copied, {events}: {where}"

        self._attempt(copy)

    def _attempt(self, act: Callable[[], object], done: str = "") -> None:
        """Act, and say what was done, or why it was refused."""
        self._note = ""
        try:
            act()
            self._note = done or self._note
        # A run may be broken in any way, and the page must say why a press did nothing.
        except Exception as error:  # noqa: BLE001
            why = str(error) or type(error).__name__
            self._note, self.asking = f"not done: {why}", None
        self._show()

    def _compare(self) -> None:
        self._difference = None
        if len(self.compared) < 2:
            return
        chosen, self.compared = self.compared, []  # none, if one of them cannot be read
        settings, metrics = runs.compare_runs(self.folder, *chosen)
        self.compared = chosen
        topics = [
            [stage, topic, rows[["what", "one", "other", "difference"]].to_numpy().tolist()]
            for (stage, topic), rows in metrics.groupby(["stage", "topic"], sort=False)
        ]
        self._difference = {"settings": settings.to_numpy().tolist(), "topics": topics}

    def _state(self) -> dict[str, Any]:
        return {
            "runs": [self._run(row) for row in self._runs.to_dict("records")],
            "compared": list(self.compared),
            "difference": self._difference,
            "asking": self.asking,
            "note": self._note,
            "backups": runs.BACKUPS,
            "steps": len(runs.STEPS),
        }

    def _static(self, state: dict[str, Any]) -> Form:
        names = ("name", "changed", "size", "seed", "figures", "generator", "judge")
        rows = [
            [*(run[name] for name in names), run["problem"] or _steps(run)] for run in state["runs"]
        ]
        titles = ["run", "last written (UTC)", "on disk", *names[3:], "steps"]
        return Form(f"Runs: {len(rows)} in this folder", [table(titles, rows)])

    def _run(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return a run's values as text and numbers; null where the run cannot be read."""
        return {
            "name": row["run"],
            "current": row["run"] == self._current,
            "size": _size(row["bytes"]),
            "changed": "" if pd.isna(row["changed"]) else f"{row['changed']:%Y-%m-%d %H:%M}",
            **{name: plain(row[name]) for name in ("seed", "figures", "generator", "judge")},
            **{name: _count(row[name]) for name in ("written", "stale", "people")},
            "problem": row["problem"],
        }


def _steps(run: dict[str, Any]) -> str:
    """Return how many steps of a run are done, and how many of these are stale."""
    done = f"{run['written'] + run['stale']} of {len(runs.STEPS)}"
    return f"{done}, {run['stale']} stale" if run["stale"] else done


def _size(count: int) -> str:
    """Return a number of bytes in kB, MB or GB."""
    unit, scale = next(pair for pair in _UNITS if count >= pair[1] or pair is _UNITS[-1])
    return f"{count / scale:.1f} {unit}"


def _count(value: Any) -> int | None:
    return None if pd.isna(value) else int(value)

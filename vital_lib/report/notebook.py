"""Pages for notebook 00: the metrics of a run in words, and how far the run has come."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from vital_lib import plots
from vital_lib.report.pictures import png
from vital_lib.report.run import RunTables, sections
from vital_lib.report.templates import templates
from vital_lib.runs import LINKS_FROM, next_notebook, progress
from vital_lib.tables import Workspace

_OVERVIEW = """{% from "metrics_template.html" import overview %}{{ overview(sections) }}"""


class MetricsPage:
    """The metrics of a run in words, for a notebook: one line per stage, which opens its tables."""

    def __init__(self, workspace: Workspace) -> None:
        self._sections = sections(RunTables(workspace))

    def __repr__(self) -> str:
        return "\n".join(
            f"{row['topic']}, {row['what']}: {row['value']} {row['interval']}".strip()
            for section in self._sections
            for row in section["rows"]
        )

    def _repr_html_(self) -> str:
        return templates().from_string(_OVERVIEW).render(sections=self._sections)


class ProgressPage:
    """The method with the state of a run, for a notebook: a picture, what is next, and links.

    The links are relative to the notebook's folder: the working folder, or that of `LINKS_FROM`.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._run, self._steps = RunTables(workspace), progress(workspace)

    def __repr__(self) -> str:
        return self._steps.to_string(index=False)

    def _repr_html_(self) -> str:
        folder, steps = self._run.workspace.path, self._steps
        states = dict(zip(steps["step"], steps["state"], strict=True))
        copies = {name: folder / "executed" / f"{name}.ipynb" for name in steps["notebook"]}
        return (
            templates()
            .get_template("progress_template.html")
            .render(
                picture=png(plots.pipeline_overview(states)),
                alt="; ".join(f"{step}: {state}" for step, state in states.items()),
                next=next_notebook(steps),
                steps=steps.to_dict("records"),
                report=_link(folder / "report.html"),
                executed={name: link for name, path in copies.items() if (link := _link(path))},
                simulated=self._run.simulated,
            )
        )


def _link(path: Path) -> str:
    """Return a link to a file from the notebook's folder; empty if it does not exist."""
    start = os.environ.get(LINKS_FROM, os.curdir)
    return quote(Path(os.path.relpath(path, start)).as_posix()) if path.is_file() else ""

"""Recompute a run's metrics offline and say which differ: ``python -m vital_lib.replay RUN``.

The notebooks run again in a temporary folder, on the run's ledger, label log, log of clearances,
encoded images and texts, tuned models and answers. No request is sent, no model is trained, and the
run stays as it is. Times and the metrics of training are not recomputed.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import papermill

from vital_lib import walkthrough
from vital_lib.client import OFFLINE
from vital_lib.tables import TABLES, UnsupportedFormat, Workspace, read_origins, words_of

_LOGS = ("ledger.sqlite", "labels.sqlite", "clearances.sqlite")
_ANSWERED = ("questions", "answers")
_LINKED = ("models", "features", "redacted")
_NOT_RUN = ("08_tune_model",)
_OTHER_NAMES = {"figures": "figure_set"}  # in a table's origin -> in its notebook
_ONLY_NAMED = ("benchmarks",)  # in a table's origin by their names, not by where they are read
TOLERANCE = 1e-6
"""Relative difference up to which two values count as the same; processors round differently."""


def replay(
    run: str | Path, *, settings: Mapping[str, Any] | None = None, tolerance: float = TOLERANCE
) -> pd.DataFrame:
    """Recompute the metrics of a run and compare them with those that it recorded.

    Args:
        run: the folder of a run; its notebooks may have run up to any stage.
        settings: parameters that the run did not record, for all notebooks that have them.
        tolerance: relative difference up to which two values count as the same.

    Returns:
        metric, run, replayed (values; null where there is none), outcome ("same", "differs",
        "missing" in the replay, "new" in it, or "not recomputed").

    Raises:
        FileNotFoundError: the run has no metrics.
        NotebookFailed: a notebook stopped, for example at a reply that is not in the ledger.
    """
    if not (Path(run) / "metrics.json").is_file():
        raise FileNotFoundError(f"no metrics.json in {run}: run its notebooks first")
    workspace = Workspace(run)
    with tempfile.TemporaryDirectory(prefix="replay-") as scratch:
        again = Workspace(Path(scratch) / "run")
        _bring_inputs(workspace, again)
        for notebook, recorded in settings_of(workspace).items():
            own = recorded | _declared(notebook, settings or {})
            number = notebook[:2]
            walk = walkthrough.run_notebooks(
                again.path, settings=own, first=number, last=number, environment={OFFLINE: "1"}
            )
            for _, seconds in walk:
                print(f"{notebook} replayed in {seconds:.0f} s", flush=True)
        return compared(workspace, again.metrics, tolerance)


def settings_of(workspace: Workspace) -> dict[str, dict[str, Any]]:
    """Return the notebooks of a run that are replayed, in order, with their recorded parameters.

    The parameters come from the executed copy, and from the origins of the notebook's tables and
    metrics, which win: the notebook may have run again in the browser. A parameter that neither has
    recorded keeps the notebook's own value.
    """
    origins = [*read_origins(workspace.path), *map(workspace.origin, filter(workspace.has, TABLES))]
    found: dict[str, dict[str, Any]] = {}
    for origin in origins:
        kept = [name for name in origin["parameters"] if name not in _ONLY_NAMED]
        given = {_OTHER_NAMES.get(name, name): origin["parameters"][name] for name in kept}
        found.setdefault(origin["written_by"], {}).update(given)
    return {
        notebook: _declared(notebook, _of_copy(workspace, notebook) | found[notebook])
        for notebook in sorted(set(found) & _notebooks())
    }


def compared(
    workspace: Workspace, replayed: Mapping[str, float], tolerance: float = TOLERANCE
) -> pd.DataFrame:
    """Compare a run's metrics with `replayed` ones; the columns are those of `replay`."""
    recorded, origins = workspace.metrics, workspace.metric_origins()
    not_run = ~origins["written_by"].isin(["", *settings_of(workspace)])  # "" for an edited value
    left_out = {name for name in recorded if (words := words_of(name)) and words.unit.name == "s"}
    left_out |= set(origins["metric"][not_run])
    rows = []
    for name in dict.fromkeys([*recorded, *replayed]):
        old, new = recorded.get(name), replayed.get(name)
        outcome = "not recomputed" if name in left_out else _outcome(old, new, tolerance)
        rows.append((name, old, new, outcome))
    return pd.DataFrame(rows, columns=["metric", "run", "replayed", "outcome"])


def _outcome(old: float | None, new: float | None, tolerance: float) -> str:
    if old is None or new is None:
        return "new" if old is None else "missing"
    return "same" if math.isclose(old, new, rel_tol=tolerance, abs_tol=1e-9) else "differs"


def _bring_inputs(workspace: Workspace, again: Workspace) -> None:
    """Copy the logs, each of one moment, and the answers; link to files of models and features."""
    for name in _LOGS:
        if not os.access(workspace.path, os.W_OK):  # SQLite opens no log on a read-only disk
            for file in filter(Path.is_file, map(workspace.path.joinpath, (name, f"{name}-wal"))):
                shutil.copyfile(file, again.path / file.name)
        elif (workspace.path / name).is_file():
            source = f"{(workspace.path / name).resolve().as_uri()}?mode=ro"
            with (
                closing(sqlite3.connect(source, uri=True)) as old,
                closing(sqlite3.connect(again.path / name)) as new,
            ):
                old.backup(new)
    for name in _ANSWERED:
        if workspace.has(name):
            shutil.copyfile(*(run.path / f"{name}.parquet" for run in (workspace, again)))
    for name in _LINKED:
        # Notebook 09 writes the models' cards: a file that it replaces is the link alone. New
        # features go to files of their own.
        if (folder := (workspace.path / name).resolve()).is_dir():
            shutil.copytree(folder, again.path / name, copy_function=os.symlink)


def _of_copy(workspace: Workspace, notebook: str) -> dict[str, Any]:
    """Return the parameters in a notebook's executed copy; none without a copy."""
    copy = workspace.path / "executed" / f"{notebook}.ipynb"
    if not copy.is_file():
        return {}
    given = nbformat.read(copy, as_version=4).metadata.get("papermill", {}).get("parameters", {})
    return {name: value for name, value in given.items() if name != "run"}


def _notebooks() -> set[str]:
    """Return the names of the notebooks that a replay runs."""
    return {path.stem for path in walkthrough.notebooks()} - set(_NOT_RUN)


def _declared(notebook: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return those settings that are parameters of the notebook."""
    known = papermill.inspect_notebook(str(walkthrough.NOTEBOOKS / f"{notebook}.ipynb"))
    return {name: value for name, value in settings.items() if name in known}


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns 0 if every recomputed metric is the same, else 1."""
    parser = argparse.ArgumentParser(prog="python -m vital_lib.replay", description=__doc__)
    parser.add_argument("run", help="the run's folder")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="relative difference")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=walkthrough.setting,
        metavar="NAME=VALUE",
        help="a parameter that the run did not record",
    )
    options = parser.parse_args(arguments)
    try:
        found = replay(options.run, settings=dict(options.set), tolerance=options.tolerance)
    except (walkthrough.NotebookFailed, UnsupportedFormat, OSError, ValueError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    counts = found["outcome"].value_counts()
    print(f"\n{len(found)} metrics: " + ", ".join(f"{n} {name}" for name, n in counts.items()))
    apart = found[~found["outcome"].isin(["same", "not recomputed"])]
    if len(apart):
        print(apart.to_string(index=False))
    return int(len(apart) > 0)


if __name__ == "__main__":
    sys.exit(main())

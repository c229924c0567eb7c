"""The runs of a folder: how far each has come, two compared, one deleted, labels backed up.

A run is a folder with `run.json`. No function follows a link out of the folder of the runs.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from vital_lib.annotators import is_simulated
from vital_lib.tables import (
    TABLES,
    Workspace,
    metrics_in_words,
    without_folders,
    write_atomically,
)

STEPS = {
    "01_explore_figures": "Figures",
    "02_draft_candidates": "Drafts",
    "03_label_preferences": "Preferences",
    "04_generate_instructions": "Candidates",
    "05_judge_candidates": "Ratings",
    "06_train_selector": "Selector",
    "07_select_instructions": "Selected set",
    "08_tune_model": "Tuned model",
    "09_evaluate_model": "Evaluation",
}
"""The steps by their notebooks, in order."""

BACKUPS = "label-backups"
"""The folder beside the runs that receives the copies of label logs."""

LINKS_FROM = "VITAL_LINKS_FROM"
"""Environment variable of a kernel: the folder in which its executed notebook will be read."""

_SIMULATION = "clinic_"  # its tables do not exist in a run of your own figures
_LABELS = "labels.sqlite"
_QUIET_SECONDS = 60  # a run that was written more recently is not deleted
_MADE_WITH = ("figures", "generator", "judge")
_NAME_BYTES = 150  # of a run's name in another name, which the disk limits to 255


class NotARun(ValueError):
    """The name is not that of a run in the folder; the message says why."""


class RunInUse(RuntimeError):
    """The run was written a moment ago; the message says when."""


class NoBackup(RuntimeError):
    """The labels cannot be copied from here; the message says what to do instead."""


@dataclass(frozen=True)
class Backup:
    """A copy of a label log: its file, and its number of events."""

    path: Path
    events: int


def progress(workspace: Workspace) -> pd.DataFrame:
    """Return how far a run has come, one row per step.

    A step is *written* if its tables exist, or its metrics for a step without tables. It is *stale*
    if one of them is older than its inputs.

    Returns:
        notebook, step, state ("written", "stale" or "missing"), why (the first reason of a stale
        step, with the notebook to run; else empty).
    """
    tables, metrics = workspace.state(), workspace.metric_origins()
    tables = tables[~tables["table"].str.startswith(_SIMULATION)]
    rows = []
    for notebook, step in STEPS.items():
        own, measured = (frame[frame["written_by"] == notebook] for frame in (tables, metrics))
        reasons = [reason for reason in (*own["stale"], *measured["stale"]) if reason]
        missing = own["rows"].isna().any() or (own.empty and measured.empty)
        state = "missing" if missing else "stale" if reasons else "written"
        why = reasons[0] if state == "stale" else ""
        rows.append((notebook, step, state, why))
    return pd.DataFrame(rows, columns=["notebook", "step", "state", "why"])


def next_notebook(steps: pd.DataFrame) -> str | None:
    """Return the notebook to run next by the rows of `progress`; None if the run is finished.

    That is the first one whose step is missing, or that a stale step names.
    """
    missing = steps.loc[steps["state"] == "missing", "notebook"]
    named = steps["why"].str.extract(r": run (\d\d_\w+)")[0].dropna()
    return min([*missing, *named], default=None)


def list_runs(folder: str | Path) -> pd.DataFrame:
    """Return the runs in `folder`, the newest first; other folders and links are left out.

    Returns:
        run (name), bytes, changed (when it was last written, UTC), seed, figures, generator, judge
        ("simulated" for the clinic's; empty before they are used), written and stale (numbers of
        steps), people (label events of people), problem (why the run cannot be read; else empty).
        A run with a problem has null values.
    """
    paths = sorted(path for path in Path(folder).iterdir() if _is_run(path))
    rows = [row for path in paths if (row := _row(path)) and _is_run(path)]  # some may vanish
    columns = ["run", "bytes", "changed", "seed", "figures", "generator", "judge", "written"]
    frame = pd.DataFrame(rows, columns=[*columns, "stale", "people", "problem"])
    whole = dict.fromkeys(("bytes", "written", "stale", "people"), "Int64")
    newest = frame.sort_values("changed", ascending=False, kind="stable")
    return newest.reset_index(drop=True).astype(whole)


def compare_runs(folder: str | Path, one: str, other: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compare two runs of `folder`; returns as `compare_workspaces`.

    Raises:
        NotARun: a name is not that of a run in `folder`.
    """
    first, second = (Workspace(run_in(folder, name)) for name in (one, other))
    return compare_workspaces(first, second)


def compare_workspaces(one: Workspace, other: Workspace) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compare two runs: (the parameters that differ, the metrics that both have).

    Returns:
        Two frames. Parameters: parameter, one, other (text; empty where it is not set). Metrics:
        stage, topic, what, one, other (text with units), difference (other minus one, in text),
        metric; in the order of `metrics_in_words`.
    """
    first, second = _parameters(one), _parameters(other)
    names = [name for name in first | second if first.get(name) != second.get(name)]
    rows = [(name, first.get(name, ""), second.get(name, "")) for name in names]
    settings = pd.DataFrame(rows, columns=["parameter", "one", "other"])
    numbers = one.metrics, other.metrics
    left, right = map(metrics_in_words, numbers)
    both = left.merge(right[["metric", "value"]], on="metric", suffixes=("", "_other"))
    differences = [
        row.unit.difference.text(numbers[1][row.metric] - numbers[0][row.metric])
        for row in both.itertuples()
    ]
    both = both.rename(columns={"value": "one", "value_other": "other"})
    columns = ["stage", "topic", "what", "one", "other", "difference", "metric"]
    return settings, both.assign(difference=differences)[columns]


def run_in(folder: str | Path, name: str) -> Path:
    """Return the path of the run `name` in `folder`.

    Raises:
        NotARun: the name leads elsewhere, is that of a link, or of something that is no run.
    """
    path = Path(folder) / name
    if Path(name).name != name or name in ("", ".", ".."):
        raise NotARun(f"{name!r} is not a name in {folder}: give the name of one of its runs")
    if path.is_symlink():
        raise NotARun(f"{name!r} in {folder} is a link: open the folder that it leads to")
    if not _is_run(path):
        raise NotARun(f"{name!r} in {folder} is not a run: it has no run.json")
    return path


def label_events(run: Path) -> dict[str, int]:
    """Return the number of events of each annotator in the run's own label log."""
    return {annotator: events for annotator, events, _ in _read_labels(run)}


def delete_run(folder: str | Path, name: str) -> None:
    """Delete the run `name` of `folder`, with its labels. Links in it are removed, not followed.

    Raises:
        NotARun: as `run_in`.
        RunInUse: something wrote to the run within the last minute.
        OSError: a file cannot be deleted; the message names the folder that holds what is left.
    """
    path = run_in(folder, name)
    seconds = abs(time.time() - _last_written(path))  # files of another machine may be of tomorrow
    if seconds < _QUIET_SECONDS:
        raise RunInUse(
            f"run {name!r} was written {seconds:.0f} s ago: stop what writes to it, and "
            "try again in a minute"
        )
    aside = path.with_name(f".deleted-{_short_name(name)}-{secrets.token_hex(4)}")
    path.rename(aside)  # at once: nothing reads a run that is half gone
    try:
        shutil.rmtree(aside)
    except OSError as error:
        raise OSError(f"{error}; the rest of run {name!r} is in {aside}") from error


def back_up_labels(folder: str | Path, name: str) -> Backup:
    """Copy the label log of the run `name`, also while others label, to `BACKUPS` in `folder`.

    The copy is one SQLite file, of a single moment, checked and flushed to disk. To restore it,
    stop labelling and put it in the place of the run's `labels.sqlite`.

    Raises:
        NotARun: as `run_in`.
        NoBackup: the run has no labels, its log cannot be read, or it is on PostgreSQL.
    """
    path = run_in(folder, name)
    source = _label_file(path)
    if not source.is_file():
        raise NoBackup(f"run {name!r} has no labels yet: {source.name} does not exist")
    now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    target = path.parent / BACKUPS / f"{_short_name(name)}-{now}.sqlite"
    counted: list[int] = []
    try:
        write_atomically(target, lambda new: counted.append(_copy_log(source, new)))
    except sqlite3.Error as error:
        raise NoBackup(f"the labels in {source} cannot be read: {error}") from error
    return Backup(target, counted[0])


def _copy_log(source: Path, target: Path) -> int:
    """Copy an SQLite log of one moment; return its number of label events."""
    with _reading(source) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
        new.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
        [[checked]] = new.execute("PRAGMA integrity_check")
        if checked != "ok":
            raise sqlite3.DatabaseError(checked)
        return new.execute("SELECT COUNT(*) FROM label_events").fetchone()[0]


def _label_file(run: Path) -> Path:
    """Return the SQLite file of the label log that the run's votes were read from."""
    url = _label_url(run)
    if url is None:
        return run / _LABELS
    if url.get_backend_name() == "sqlite" and url.database:
        return Path(url.database)
    plain = url.set(drivername=url.get_backend_name()).render_as_string()
    raise NoBackup(
        f"the labels of run {run.name!r} are in {plain}: back them up with "
        f"pg_dump --format=custom --file=labels.dump '{plain}'"
    )


def _label_url(run: Path) -> sa.URL | None:
    """Return the URL of the label log of the run's votes; None for the run's own log."""
    for name in TABLES:
        with suppress(Exception):  # a table or run of any release or state
            for how in Workspace(run).origin(name)["votes"].values():
                if how["label_log"]:
                    return sa.make_url(how["label_log"])
    return None


def _is_run(path: Path) -> bool:
    return not path.is_symlink() and os.path.isfile(path / "run.json")  # False if not permitted


def _short_name(name: str) -> str:
    return os.fsencode(name)[:_NAME_BYTES].decode(errors="ignore")


def _as_text(name: str) -> str:
    """Return a name of the disk, which may be any bytes, as text that tables and pages can hold."""
    return name.encode(errors="replace").decode()


def _row(path: Path) -> tuple[Any, ...]:
    """Return a row of `list_runs`."""
    size, changed = sum(found.st_size for _, found in _files(path)), None
    name = _as_text(path.name)
    try:
        changed = datetime.fromtimestamp(_last_written(path), UTC)
        workspace = Workspace(run_in(path.parent, path.name))  # which would make it if it is gone
        states = progress(workspace)["state"]
        done, stale = int((states == "written").sum()), int((states == "stale").sum())
        people = sum(n for who, n in label_events(path).items() if not is_simulated(who))
        found = _parameters(workspace)
    # A file of a run may be broken in any way; the other runs are listed all the same.
    except Exception as error:  # noqa: BLE001
        told = str(error).split("\n")[0]
        plain = told and isinstance(error, OSError | ValueError | RuntimeError | sqlite3.Error)
        problem = told if plain else f"{type(error).__name__} {told}".strip()
        return name, size, changed, *[None] * 7, _as_text(problem)
    made = (found.get("seed", ""), *(_kind(found.get(n, "")) for n in _MADE_WITH))
    return name, size, changed, *made, done, stale, people, ""


def _kind(value: str) -> str:
    return "simulated" if value == "clinic" else value


def _parameters(workspace: Workspace) -> dict[str, str]:
    """Return the parameters of a run's tables and models as text; several values are joined."""
    models = sorted((workspace.path / "models").glob("*/origin.json"))
    names = [*TABLES, *(f"models/{file.parent.name}" for file in models)]
    found: dict[str, dict[str, None]] = {}
    for name in filter(workspace.has, names):
        given: Mapping[str, Any] = workspace.origin(name).get("parameters", {})
        for key, value in given.items():
            found.setdefault(key, {})[str(without_folders(value))] = None
    return {key: ", ".join(values) for key, values in found.items()}


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the files in `folder` that exist, each with its status; links are not followed."""
    for where, _, names in os.walk(folder):
        for path in (Path(where) / name for name in names):
            with suppress(OSError):  # a temporary file of a running notebook, or not permitted
                yield path, path.lstat()


def _last_written(run: Path) -> float:
    """Return when the run was last written, in seconds since 1970.

    A label log that is only read changes its files, so its newest label counts instead; the files
    of a log that cannot be read count as other files do.
    """
    files = list(_files(run))
    try:
        newest = [at for _, _, at in _read_labels(run)]
        times = [datetime.fromisoformat(at).timestamp() for at in newest]
    except (sqlite3.Error, TypeError, ValueError):
        return max((found.st_mtime for _, found in files), default=0.0)
    times += [found.st_mtime for path, found in files if not path.name.startswith(_LABELS)]
    return max(times, default=0.0)


def _read_labels(run: Path) -> list[tuple[str, int, str]]:
    """Return (annotator, events, time of the newest) of the run's own label log."""
    if not (run / _LABELS).is_file():
        return []
    query = "SELECT annotator, COUNT(*), MAX(at) FROM label_events GROUP BY annotator"
    with _reading(run / _LABELS) as log:
        return log.execute(query).fetchall()


@contextmanager
def _reading(file: Path) -> Generator[sqlite3.Connection]:
    """Open an SQLite file to read it; of one on a read-only disk a copy, which SQLite can open.

    The newest events may be in the log beside the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        if not os.access(file.parent, os.W_OK):
            for part in filter(Path.is_file, (file, file.with_name(f"{file.name}-wal"))):
                shutil.copyfile(part, Path(folder, part.name))
            file = Path(folder, file.name)
        address = f"{file.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=30)) as opened:
            yield opened

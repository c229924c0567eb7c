"""Run the ten notebooks in order, unattended, into one run folder (``make demo``).

Each notebook receives the parameters that it declares. This module stores the executed copies in
``<run>/executed/`` and ends with the report and a summary table. After the report, it runs notebook
00 once more, so that its copy shows the finished run. It does not depend on the stages,
whose code is in the notebooks.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import json
import operator
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from jupyter_core.utils import run_sync

from vital_lib.annotators import is_simulated
from vital_lib.parameters import check_parameters
from vital_lib.runs import LINKS_FROM
from vital_lib.tables import UnsupportedFormat, Workspace, metrics_frame

if TYPE_CHECKING:
    from jupyter_client import AsyncKernelManager

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
_SLOW_IMPORTS = (
    *("pandas", "matplotlib.pyplot", "openai", "peft"),
    *("transformers.models.clip.modeling_clip", "transformers.models.llava.modeling_llava"),
)
"""Modules that a kernel imports while it waits for its notebook; their names are not bound."""
_FIRST_LINE = f"list(map(__import__('importlib').import_module, {_SLOW_IMPORTS}))"


class NotebookFailed(RuntimeError):
    """A notebook raised an error; the message names the notebook, the cell and the copy."""


def notebooks(first: str = "00", last: str = "99") -> list[Path]:
    """Return the notebooks numbered from `first` to `last`, both included, in order."""
    found = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    chosen = [path for path in found if first <= path.name[:2] <= last]
    if not chosen:
        raise ValueError(
            f"no notebook between {first!r} and {last!r} in {NOTEBOOKS}: "
            f"there are {', '.join(path.stem for path in found) or 'none'}"
        )
    return chosen


def run_notebooks(
    run: str | Path,
    *,
    settings: Mapping[str, Any] | None = None,
    first: str = "00",
    last: str = "99",
    environment: Mapping[str, str] | None = None,
) -> Iterator[tuple[Path, float]]:
    """Execute the notebooks one after another and yield (notebook, seconds) after each.

    Args:
        run: the run's folder.
        settings: parameters for all notebooks; each notebook receives those it declares. A
            `benchmark` is also the one of `benchmarks`, unless these are given.
        first, last: as in `notebooks`.
        environment: variables that the notebooks see beside those of this process.

    Raises:
        NotebookFailed: a cell raised an error; later cells and notebooks are not run.
        ValueError: no notebook declares a parameter in `settings`, or its value is wrong.
    """
    import papermill

    check_parameters(settings or {})
    folder = Path(run).resolve()
    wanted: dict[str, Any] = {"run": str(folder), **(settings or {})}
    chosen = notebooks(first, last)
    declared = {path: set(papermill.inspect_notebook(str(path))) for path in chosen}
    unknown = set(wanted) - set().union(*declared.values())
    if unknown:
        raise ValueError(f"no notebook has a parameter called {', '.join(sorted(unknown))}")
    if "benchmark" in wanted:  # nothing of what notebook 09 asks may be trained on
        wanted.setdefault("benchmarks", [wanted["benchmark"]])
    copies = folder / "executed"
    copies.mkdir(parents=True, exist_ok=True)
    # The copies are read in their own folder, so the links that they show start there.
    seen = {**os.environ, LINKS_FROM: str(copies), **(environment or {})}
    with contextlib.ExitStack() as kernels:
        kernel = _start_kernel(kernels, seen)
        for place, path in enumerate(chosen, start=1):
            start = time.perf_counter()
            # The next kernel starts and imports on another core while this notebook runs.
            spare = _start_kernel(kernels, seen) if place < len(chosen) else kernel
            parameters = {name: _plain(wanted[name]) for name in wanted if name in declared[path]}
            _execute(path, copies / path.name, parameters, kernel)
            _stop(kernel)
            kernel = spare
            yield path, time.perf_counter() - start


def _plain(value: Any) -> Any:
    """Return tuples as lists and numpy numbers as Python's: papermill writes a tuple as text."""
    return json.loads(json.dumps(value, default=operator.methodcaller("item")))


def set_aside(run: str | Path) -> Path | None:
    """Clear the folder for a fresh run: delete the old run, unless a person labelled in it.

    A run with a person's labels, or of another release, is renamed to `<run>-kept-<n>`, and that
    path is returned.

    Raises:
        ValueError: the folder holds something else than a run; it is left as it is.
    """
    folder = Path(run)
    if not folder.exists():
        return None
    if not folder.is_dir() or not _is_run(folder):
        raise ValueError(
            f"{folder} is no run, as it has no run.json, so it is not deleted: give the folder of "
            "a run or a new one"
        )
    if _labelled_by_people(folder):
        number = next(n for n in range(1, 10_000) if not _kept(folder, n).exists())
        return folder.rename(_kept(folder, number))
    shutil.rmtree(folder)
    return None


def summary(metrics: Mapping[str, float], origins: pd.DataFrame | None = None) -> str:
    """Return the flat metrics as an aligned text table, with 95 % intervals where available.

    A metric computed from votes also shows whose votes they are.

    Args:
        origins: as returned by `Workspace.metric_origins`. Stale metrics are marked in their lines.
            The lines below the table list each notebook's data and the reasons for stale metrics.
    """
    rows = []
    for row in metrics_frame(metrics, origins).sort_values("metric").to_dict("records"):
        marks = [
            "" if pd.isna(row["low"]) else f"[{row['low']:.3f}, {row['high']:.3f}]",
            "stale" if row.get("stale") else "",
            f"votes: {row['votes']}" if row.get("votes") else "",
        ]
        value = metrics[row["metric"]]
        text = f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
        rows.append((row["metric"], text, "  ".join(filter(None, marks))))
    widths = [max(len(row[i]) for row in rows) for i in range(2)] if rows else [0, 0]
    lines = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {interval}" for a, b, interval in rows]
    below = [] if origins is None else _below_summary(origins)
    return "\n".join(line.rstrip() for line in lines + below)


def _below_summary(origins: pd.DataFrame) -> list[str]:
    """Return lines with each notebook's data and the number of stale metrics per reason."""
    measured = origins[origins["measured_on"] != ""].groupby(["written_by", "measured_on"])
    lines = [f"{notebook}: measured on {words}" for notebook, words in measured.groups]
    stale = origins[~origins["metric"].str.endswith(("_low", "_high")) & (origins["stale"] != "")]
    counted = stale.groupby("stale", sort=False).size()
    lines += [f"stale, {n} of the measures above: {why}" for why, n in counted.items()]
    return ["", *lines] if lines else []


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    settings = {"seed": options.seed, **dict(options.set)}
    start = time.perf_counter()
    try:
        if options.fresh and (kept := set_aside(options.run)):
            print(f"{options.run} has a person's labels, or another format; it is kept as {kept}")
        _walk(options, settings)
    except (NotebookFailed, UnsupportedFormat, OSError, ValueError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    workspace = Workspace(options.run)
    if notebooks(options.first, options.last) == notebooks():  # only the time of a whole run
        seconds = round(time.perf_counter() - start, 1)
        workspace.record({"demo.seconds": seconds}, written_by="walkthrough")
    print("\n" + summary(workspace.metrics, workspace.metric_origins()))
    if options.last >= "09":
        from vital_lib import report

        print(f"\nReport: {report.write_report(workspace)}")
        if options.first == "00":  # it ran on an empty folder; now it shows the finished run
            list(run_notebooks(options.run, settings={"seed": options.seed}, last="00"))
    return 0


def _walk(options: argparse.Namespace, settings: Mapping[str, Any]) -> None:
    chosen = notebooks(options.first, options.last)
    finished = run_notebooks(options.run, settings=settings, first=options.first, last=options.last)
    for number, path in enumerate(chosen, start=1):
        print(f"[{number:>2}/{len(chosen)}] {path.stem} ...", end=" ", flush=True)
        print(f"{next(finished)[1]:.0f} s", flush=True)


def _start_kernel(kernels: contextlib.ExitStack, seen: Mapping[str, str]) -> AsyncKernelManager:
    """Start a Python kernel in the notebooks' folder without waiting; `kernels` will stop it."""
    from jupyter_client import AsyncKernelManager

    kernel = AsyncKernelManager(kernel_name="python3")
    # A kernel on loopback TCP logs a warning at every start.
    settings = ["--IPKernelApp.log_level=50", f"--IPKernelApp.exec_lines={_FIRST_LINE}"]
    # The caller may be inside an event loop, for example in a notebook.
    run_sync(kernel.start_kernel)(extra_arguments=settings, cwd=str(NOTEBOOKS), env=dict(seen))
    kernels.callback(_stop, kernel)
    return kernel


def _stop(kernel: AsyncKernelManager) -> None:
    """Shut `kernel` down if it is still running."""
    if kernel.has_kernel:
        run_sync(kernel.shutdown_kernel)(now=True)


def _execute(
    source: Path, target: Path, parameters: Mapping[str, Any], kernel: AsyncKernelManager
) -> None:
    import papermill
    from papermill.exceptions import PapermillExecutionError

    noise = io.StringIO()
    try:
        with contextlib.redirect_stderr(noise):
            papermill.execute_notebook(
                str(source),
                str(target),
                parameters=dict(parameters),
                kernel_name="python3",
                cwd=str(source.parent),
                progress_bar=False,
                request_save_on_cell_execute=False,
                km=kernel,
                # Without their state, panels are shown in their static form, not as dead widgets.
                store_widget_state=False,
            )
    except PapermillExecutionError as error:
        raise NotebookFailed(
            f"{source.stem}, cell {error.exec_count}: {error.ename}: {error.evalue}\n"
            f"The executed copy is {os.path.relpath(target)}"
        ) from error


def _labelled_by_people(folder: Path) -> bool:
    """Return whether a person labelled in the run; True if another release wrote it."""
    from vital_lib.labels import LabelLog

    try:
        workspace = Workspace(folder)
        if not (folder / "labels.sqlite").exists():
            return False
        names = set(LabelLog(workspace.label_url).history()["annotator"])
    except UnsupportedFormat:
        return True
    return not all(map(is_simulated, names))


def _is_run(folder: Path) -> bool:
    """Return whether a folder holds a run, also one that has not got beyond its first copy."""
    found = {path.name for path in folder.iterdir()}
    return "run.json" in found or found <= {"executed"}


def _kept(folder: Path, number: int) -> Path:
    return folder.with_name(f"{folder.name}-kept-{number}")


def setting(text: str) -> tuple[str, Any]:
    """Return (name, value) of "NAME=VALUE"; a Python literal such as 0.5 or None is read as one.

    Raises:
        argparse.ArgumentTypeError: the text is no setting.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not a setting; write NAME=VALUE")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def _two_digits(text: str) -> str:
    """Return a notebook number as two digits, as at the start of its file name."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a notebook number; give 0 to 99")
    return f"{int(text):02d}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vital_lib.walkthrough", description=__doc__)
    parser.add_argument("--run", default="data/runs/demo", help="the run's folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--first", type=_two_digits, default="00", help="number of the first notebook"
    )
    parser.add_argument(
        "--last", type=_two_digits, default="99", help="number of the last notebook"
    )
    parser.add_argument("--fresh", action="store_true", help="start from an empty run folder")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=setting,
        metavar="NAME=VALUE",
        help="a notebook parameter, for example figure_set=/path/to/figures",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""Runs the ten notebooks in order, unattended, into one run folder: what ``make demo`` calls.

It hands each notebook those parameters that the notebook declares, keeps the executed copies in
``<run>/executed/``, and closes with the report and one summary table. It knows nothing of the
stages; what a stage does stands in its notebook.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_core.utils import run_sync

from vital_lib.annotators import is_simulated, kind_of, only_says_whose
from vital_lib.tables import Workspace

if TYPE_CHECKING:
    import pandas as pd
    from jupyter_client import AsyncKernelManager

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
_SLOW_IMPORTS = (
    *("pandas", "matplotlib.pyplot", "openai", "peft"),
    *("transformers.models.clip.modeling_clip", "transformers.models.llava.modeling_llava"),
)
"""What a kernel imports while it waits for its notebook; no name of it is left behind."""
_FIRST_LINE = f"list(map(__import__('importlib').import_module, {_SLOW_IMPORTS}))"


class NotebookFailed(RuntimeError):
    """A notebook stopped with an error; the message names the notebook, the cell and its copy."""


def notebooks(first: str = "00", last: str = "99") -> list[Path]:
    """The ordered notebooks whose number lies between `first` and `last`, both included."""
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
) -> Iterator[tuple[Path, float]]:
    """Execute the notebooks one after the other and yield (notebook, seconds) as each ends.

    Args:
        run: the run's folder.
        settings: parameters for all notebooks; each receives those it declares.

    Raises:
        NotebookFailed: a cell raised; nothing after it is run.
        ValueError: a setting that none of the notebooks declares.
    """
    import papermill

    folder = Path(run).resolve()
    wanted = {"run": str(folder), **(settings or {})}
    chosen = notebooks(first, last)
    declared = {path: set(papermill.inspect_notebook(str(path))) for path in chosen}
    unknown = set(wanted) - set().union(*declared.values())
    if unknown:
        raise ValueError(f"no notebook has a parameter called {', '.join(sorted(unknown))}")
    (folder / "executed").mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as kernels:
        kernel = _start_kernel(kernels)
        for place, path in enumerate(chosen, start=1):
            start = time.perf_counter()
            # The next one starts, and imports, on another core while this one works.
            spare = _start_kernel(kernels) if place < len(chosen) else None
            parameters = {name: wanted[name] for name in wanted if name in declared[path]}
            _execute(path, folder / "executed" / path.name, parameters, kernel)
            _stop(kernel)
            kernel = spare
            yield path, time.perf_counter() - start


def set_aside(run: str | Path) -> Path | None:
    """Clear the way for a fresh run: a run that only simulated people labelled is deleted.

    A run with a person's labels is renamed to `<run>-kept-<n>` and that path returned.
    """
    folder = Path(run)
    if not folder.exists():
        return None
    if _labelled_by_people(folder):
        number = next(n for n in range(1, 10_000) if not _kept(folder, n).exists())
        return folder.rename(_kept(folder, number))
    shutil.rmtree(folder)
    return None


def summary(metrics: Mapping[str, float], origins: pd.DataFrame | None = None) -> str:
    """The flat metrics as one aligned text table, each with its 95 % interval where it has one.

    What rests on votes says behind it whose they are.

    Args:
        origins: as `Workspace.metric_origins`. Stale metrics are marked in their lines; what each
            notebook measured on, and why what is stale, stands below the table.
    """
    told = {} if origins is None else origins.set_index("metric").to_dict("index")
    rows = []
    for name, value in sorted(metrics.items()):
        if name.endswith(("_low", "_high")) or only_says_whose(name):
            continue
        low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
        interval = "" if low is None else f"[{_number(low)}, {_number(high)}]"
        whose = kind_of(metrics, name)
        marks = [interval, "stale" if told.get(name, {}).get("stale") else ""]
        marks.append(f"votes: {whose}" if whose else "")
        rows.append((name, _number(value), "  ".join(filter(None, marks))))
    widths = [max(len(row[i]) for row in rows) for i in range(2)] if rows else [0, 0]
    lines = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {interval}" for a, b, interval in rows]
    below = [] if origins is None else _below_summary(origins)
    return "\n".join(line.rstrip() for line in lines + below)


def _below_summary(origins: pd.DataFrame) -> list[str]:
    """What the metrics were measured on, by notebook, and how many are stale for which reason."""
    told = origins[origins["measured_on"] != ""].groupby(["written_by", "measured_on"])
    lines = [f"{notebook}: measured on {words}" for notebook, words in told.groups]
    old = origins[~origins["metric"].str.endswith(("_low", "_high")) & (origins["stale"] != "")]
    counted = old.groupby("stale", sort=False).size()
    lines += [f"stale, {n} of the measures above: {why}" for why, n in counted.items()]
    return ["", *lines] if lines else []


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    settings = {"seed": options.seed, **dict(options.set)}
    if options.fresh and (kept := set_aside(options.run)):
        print(f"A person labelled in {options.run}: kept as {kept}")
    start = time.perf_counter()
    try:
        _walk(options, settings)
    except (NotebookFailed, ValueError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    workspace = Workspace(options.run)
    if notebooks(options.first, options.last) == notebooks():  # a part's time is not the whole's
        seconds = round(time.perf_counter() - start, 1)
        workspace.record({"demo.seconds": seconds}, written_by="walkthrough")
    print("\n" + summary(workspace.metrics, workspace.metric_origins()))
    if options.last >= "09":
        from vital_lib import report

        print(f"\nReport: {report.write_report(workspace)}")
    return 0


def _walk(options: argparse.Namespace, settings: Mapping[str, Any]) -> None:
    chosen = notebooks(options.first, options.last)
    finished = run_notebooks(options.run, settings=settings, first=options.first, last=options.last)
    for number, path in enumerate(chosen, start=1):
        print(f"[{number:>2}/{len(chosen)}] {path.stem} ...", end=" ", flush=True)
        print(f"{next(finished)[1]:.0f} s", flush=True)


def _start_kernel(kernels: contextlib.ExitStack) -> AsyncKernelManager:
    """A Python kernel in the notebooks' folder, not yet waited for; `kernels` stops it at last."""
    from jupyter_client import AsyncKernelManager

    kernel = AsyncKernelManager(kernel_name="python3")
    # A kernel on loopback TCP warns at every start; only the walk speaks here.
    settings = ["--IPKernelApp.log_level=50", f"--IPKernelApp.exec_lines={_FIRST_LINE}"]
    # Whoever calls may be inside an event loop, as in a notebook.
    run_sync(kernel.start_kernel)(extra_arguments=settings, cwd=str(NOTEBOOKS))
    kernels.callback(_stop, kernel)
    return kernel


def _stop(kernel: AsyncKernelManager) -> None:
    """End `kernel` where it still runs."""
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
            )
    except PapermillExecutionError as error:
        raise NotebookFailed(
            f"{source.stem}, cell {error.exec_count}: {error.ename}: {error.evalue}\n"
            f"The executed copy is {os.path.relpath(target)}"
        ) from error


def _labelled_by_people(folder: Path) -> bool:
    from vital_lib.labels import LabelLog

    workspace = Workspace(folder)
    if not (folder / "labels.sqlite").exists():
        return False
    names = set(LabelLog(workspace.label_url).history()["annotator"])
    return not all(map(is_simulated, names))


def _kept(folder: Path, number: int) -> Path:
    return folder.with_name(f"{folder.name}-kept-{number}")


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r}: wanted name=value")
    return name, int(value) if value.lstrip("-").isdigit() else value


def _two_figures(text: str) -> str:
    """The two figures that a notebook's name begins with: of 3 and of 03."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no notebook's number: wanted 0 to 99")
    return f"{int(text):02d}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vital_lib.walkthrough", description=__doc__)
    parser.add_argument("--run", default="data/runs/demo", help="the run's folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--first", type=_two_figures, default="00", help="number of the first notebook"
    )
    parser.add_argument(
        "--last", type=_two_figures, default="99", help="number of the last notebook"
    )
    parser.add_argument("--fresh", action="store_true", help="start from an empty run folder")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=_setting,
        metavar="NAME=VALUE",
        help="a notebook parameter, for example figure_set=/path/to/figures",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

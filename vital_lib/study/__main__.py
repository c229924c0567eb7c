"""Run the study, or parts of it: ``python -m vital_lib.study run | pool | sweep``.

A study that was stopped goes on where it ended.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from vital_lib import plots, walkthrough
from vital_lib.study import (
    ARTICLES,
    MEASURES,
    SEEDS,
    SWEEPS,
    check_runs,
    pool,
    run_seed,
    run_sweeps,
)
from vital_lib.study.pooling import names_of
from vital_lib.tables import UnsupportedFormat, write_rows

_FOLDER = Path("data/runs/study")
_SWEEP_SEEDS = SEEDS[:2]
_PAPER = (
    "For reference, the paper reports +18.5 % in open chat and win rates of up to 81.7 % in VQA. "
    "Its figures, clinicians and models are real, and these are simulated: the worlds differ, and "
    "the numbers do not compare."
)


def show(found: pd.DataFrame, names: Sequence[str], out: Path | None) -> None:
    """Print the pooled claims; with `out`, also write them to that folder as a table and a plot."""
    numbers = dict.fromkeys(names, "{:+.1f}".format)
    for measured, rows in found.groupby("measured", sort=False):
        print(f"\n{measured} ({rows['on'].iloc[0] or 'pooled'})")
        columns = ["claim", *names, "above_0"]
        print(rows[columns].to_string(index=False, formatters=numbers, na_rep="-"))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_rows(found, out / "claims.csv")
        plots.claims_forest(found, names).savefig(out / "claims.png")
        print(f"\nWritten: {out / 'claims.csv'} and claims.png")
    print(f"\n{_PAPER}")


def show_sweeps(found: pd.DataFrame, out: Path) -> None:
    """Print what was found while each cause was varied, and write it as a table and a plot."""
    for (varied, measure), rows in found.groupby(["varied", "measure"], sort=False):
        print(f"\n{MEASURES[measure][0]}, by {varied}")
        print(rows[["value", "claim", "seeds"]].to_string(index=False))
    out.mkdir(parents=True, exist_ok=True)
    write_rows(found, out / "sweeps.csv")
    names = {measure: f"{what}, over {base}" for measure, (what, base) in MEASURES.items()}
    plots.sweep_lines(found, names).savefig(out / "sweeps.png", bbox_inches="tight")
    print(f"\nWritten: {out / 'sweeps.csv'} and sweeps.png")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "sweep":
            chosen = {cause: SWEEPS[cause] for cause in options.only or SWEEPS}
            small = {"articles": options.articles, "sweeps": chosen}
            found = run_sweeps(options.folder / "sweeps", options.seeds, **small)
            show_sweeps(found, options.folder)
            return 0
        if options.command == "pool":
            runs, out = options.runs, options.out
        else:
            out = options.folder
            runs = [options.folder / f"seed{seed}" for seed in options.seeds]
            check_runs([folder.name for folder in runs])  # before hours of work, not after
            for folder, seed in zip(runs, options.seeds, strict=True):
                run_seed(folder, seed)
        show(pool(runs), names_of(runs), out)
    except (walkthrough.NotebookFailed, UnsupportedFormat, OSError, ValueError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vital_lib.study", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run every seed, then pool the runs")
    sweep = commands.add_parser("sweep", help="vary one cause at a time")
    for command, seeds in ((run, SEEDS), (sweep, _SWEEP_SEEDS)):
        command.add_argument("--folder", type=Path, default=_FOLDER)
        command.add_argument("--seeds", type=int, nargs="+", default=list(seeds))
    sweep.add_argument("--articles", type=int, default=ARTICLES, help="of each small world")
    sweep.add_argument("--only", nargs="+", choices=SWEEPS, help="what to vary")
    done = commands.add_parser("pool", help="pool finished runs")
    done.add_argument("runs", type=Path, nargs="+")
    done.add_argument("--out", type=Path, help="folder for claims.csv and claims.png")
    return parser


if __name__ == "__main__":
    sys.exit(main())

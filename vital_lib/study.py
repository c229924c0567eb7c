"""The study (`make study`): run the method for several seeds, and pool every claim over the runs.

``run`` creates a run folder for each seed, with more tuned models and more sampled answers than the
demo. ``pool`` reads the metrics of finished runs. The study adds no measurements to those of the
notebooks.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from vital_lib import plots, walkthrough
from vital_lib.annotators import Votes, votes_behind
from vital_lib.claims import CLAIMS, claims
from vital_lib.report import has_simulated_judge
from vital_lib.statistics import Interval, interval_of
from vital_lib.tables import Workspace

SETTINGS = {"arms": ["selected", "random", "unaligned", "judge_top", "oracle"], "draws": 3}
"""The study's notebook settings. The oracle arm knows each candidate's errors from the clinic."""

SEEDS = (0, 1, 2, 7, 11)


def pooled(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Pool every claim's metric over several runs; return them in the form of one run's metrics.

    The estimate is the mean over the runs. The runs have different articles, so the variances of
    their estimates add; each variance is taken from the width of the run's interval, a bootstrap
    over its articles. The pooled interval covers the sampling of articles for these models only;
    the variation between models of different seeds shows in the single runs. Counts are summed.

    Args:
        runs: the metrics of each run. A claim is pooled over the runs that measured it. If one of
            them has no interval, the pooled claim has none.
    """
    found: dict[str, float] = {}
    for claim in CLAIMS:
        own = [interval_of(metrics, claim.metric) for metrics in runs]
        own = [interval for interval in own if interval is not None]
        if own:
            estimate = sum(interval.estimate for interval in own) / len(own)
            widths = [interval.high - interval.low for interval in own]
            half = math.sqrt(sum(width**2 for width in widths)) / 2 / len(own)
            whole = Interval(estimate, estimate - half, estimate + half, len(own))
            found |= whole.metrics(claim.metric)
        for name in claim.counts:
            if any(name in metrics for metrics in runs):
                found[name] = sum(metrics.get(name, 0) for metrics in runs)
        found |= _votes_behind(claim.metric, runs)
    return found


def _votes_behind(metric: str, runs: Sequence[Mapping[str, float]]) -> dict[str, int]:
    """Sum the counts of the votes behind a metric over the runs that measured it.

    Returns an empty dict if one of these runs has not recorded whose votes they are.
    """
    own = [votes_behind(metrics, metric) for metrics in runs if metric in metrics]
    known = [votes for votes in own if votes is not None]
    if not known or len(known) < len(own):
        return {}
    counts = zip(*((votes.n, votes.simulated, votes.without_truth) for votes in known), strict=True)
    return Votes(*map(sum, counts)).metrics(metric.split(".")[0])


def pool(runs: Sequence[str | Path]) -> pd.DataFrame:
    """Return every claim of finished runs: each run's difference, the pooled value and sentence.

    Args:
        runs: run folders, each with a different seed.

    Returns:
        The columns of `claims`; after `on`, a column per run (named like its folder; in points) and
        `above_0`, the number of runs with a difference above 0 out of those that measured it. A
        claim that is stale in a run is marked with that run.

    Raises:
        FileNotFoundError: a folder has no metrics.
        ValueError: there are fewer than two runs, a run is given twice, two runs share articles of
            the benchmark, or no run has measured a claim.
    """
    folders = [Path(run).resolve() for run in runs]
    names = [folder.name for folder in folders]
    _check_runs(names)
    for folder in folders:
        if not (folder / "metrics.json").is_file():
            raise FileNotFoundError(f"no metrics.json in {folder}: run the notebooks there first")
    workspaces = [Workspace(folder) for folder in folders]
    groups = [set(own.read("questions")["group_id"]) for own in workspaces if own.has("questions")]
    if len(set().union(*groups)) < sum(map(len, groups)):
        raise ValueError(
            f"the benchmarks of {', '.join(names)} share articles: their intervals cannot be pooled"
        )
    simulated = any(map(has_simulated_judge, workspaces))
    stale = {
        row.metric: f"{own.path.name}: {row.stale}"
        for own in workspaces
        for row in own.metric_origins().itertuples()
        if row.stale
    }
    found = claims(pooled([own.metrics for own in workspaces]), simulated=simulated, stale=stale)
    if found.empty:
        raise ValueError(
            f"none of {', '.join(names)} has measured a claim: run notebooks 06 to 09 there first"
        )
    place = found.columns.get_loc("on") + 1
    each = [claims(own.metrics, simulated=simulated).set_index("metric") for own in workspaces]
    single = pd.DataFrame(
        {name: found["metric"].map(own["estimate"]) for name, own in zip(names, each, strict=True)}
    )
    counted = [f"{(row > 0).sum()} of {row.count()}" for _, row in single.iterrows()]
    found.insert(place, "above_0", counted)
    for name in reversed(names):
        found.insert(place, name, single[name])
    return found


def _check_runs(names: Sequence[str]) -> None:
    if len(set(names)) < max(2, len(names)):
        raise ValueError(f"runs {', '.join(names) or 'none'}: give two or more, each once")


def run_seed(folder: Path, seed: int) -> None:
    """Run all notebooks with the study's settings, unless `folder` already holds a whole run."""
    if "demo.seconds" in Workspace(folder).metrics:
        print(f"{folder} is already done")
        return
    walkthrough.set_aside(folder)
    settings = {"seed": seed, **SETTINGS}
    total = 0.0
    for notebook, seconds in walkthrough.run_notebooks(folder, settings=settings):
        print(f"{folder.name}: {notebook.stem} took {seconds:.0f} s", flush=True)
        total += seconds
    Workspace(folder).record({"demo.seconds": round(total, 1)}, written_by="walkthrough")


def show(found: pd.DataFrame, names: Sequence[str], out: Path | None) -> None:
    """Print the pooled claims; with `out`, also write them to that folder as a table and a plot."""
    numbers = dict.fromkeys(names, "{:+.1f}".format)
    for measured, rows in found.groupby("measured", sort=False):
        print(f"\n{measured} ({rows['on'].iloc[0] or 'pooled'})")
        columns = ["claim", *names, "above_0"]
        print(rows[columns].to_string(index=False, formatters=numbers, na_rep="-"))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        found.to_csv(out / "claims.csv", index=False)
        plots.claims_forest(found, names).savefig(out / "claims.png")
        print(f"\nWritten: {out / 'claims.csv'} and claims.png")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m vital_lib.study", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run every seed, then pool the runs")
    run.add_argument("--folder", type=Path, default=Path("data/runs/study"))
    run.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    done = commands.add_parser("pool", help="pool finished runs")
    done.add_argument("runs", type=Path, nargs="+")
    done.add_argument("--out", type=Path, help="folder for claims.csv and claims.png")
    options = parser.parse_args(arguments)
    try:
        if options.command == "run":
            runs = [options.folder / f"seed{seed}" for seed in options.seeds]
            _check_runs([folder.name for folder in runs])  # before hours of work, not after
            for folder, seed in zip(runs, options.seeds, strict=True):
                run_seed(folder, seed)
        else:
            runs = options.runs
        out = options.folder if options.command == "run" else options.out
        show(pool(runs), [folder.resolve().name for folder in runs], out)
    except (walkthrough.NotebookFailed, FileNotFoundError, ValueError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Run the method for several seeds, and pool every claim over the runs.

It adds no measurement to those of the notebooks.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import NormalDist, fmean, variance

import pandas as pd

from vital_lib import __version__, walkthrough
from vital_lib.annotators import Votes, votes_behind
from vital_lib.claims import CLAIMS, claims
from vital_lib.parameters import TRAINING_SETS
from vital_lib.report import has_simulated_judge
from vital_lib.statistics import Interval, interval_of
from vital_lib.tables import Workspace, write_text

SETTINGS = {"arms": list(TRAINING_SETS), "draws": 3}
"""The study's notebook settings. The oracle arm knows each candidate's errors from the clinic."""

SEEDS = (0, 1, 2, 7, 11)

_BOUND = NormalDist().inv_cdf(0.975)  # standard errors between an estimate and its bound
_ENDED = "study.json"  # in a run's folder: how many of its notebooks have ended


def pooled(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Pool every claim's metric over several runs; return them in the form of one run's metrics.

    The estimate is the mean over the runs, and the interval that of `pooled_interval`. Counts are
    summed.

    Args:
        runs: the metrics of each run. A claim is pooled over the runs that measured it. If one of
            them has no interval, the pooled claim has none.
    """
    found: dict[str, float] = {}
    for claim in CLAIMS:
        own = [interval_of(metrics, claim.metric) for metrics in runs]
        own = [interval for interval in own if interval is not None]
        if own:
            whole = pooled_interval(own)
            found |= whole.metrics(claim.metric)
        for name in claim.counts:
            if any(name in metrics for metrics in runs):
                found[name] = sum(metrics.get(name, 0) for metrics in runs)
        found |= _votes_behind(claim.metric, runs)
    return found


def pooled_interval(intervals: Sequence[Interval]) -> Interval:
    """Return the mean of intervals over different articles; `n` is their number.

    A run's interval knows the luck of its articles, not that of labels and tuning. So runs may
    differ more than their intervals allow. The variance of this difference is added (random
    effects by the method of moments: Hedges 1983, "A random effects model for effect sizes"), and
    from three runs on the bounds are those of Student's t.
    """
    from scipy.stats import t  # slow to import

    count = len(intervals)
    estimates = [interval.estimate for interval in intervals]
    within = fmean(((interval.high - interval.low) / 2 / _BOUND) ** 2 for interval in intervals)
    between = max(0.0, variance(estimates) - within) if count > 1 else 0.0
    quantile = float(t.ppf(0.975, count - 1)) if between and count > 2 else _BOUND
    half = quantile * math.sqrt((within + between) / count)
    return Interval(fmean(estimates), fmean(estimates) - half, fmean(estimates) + half, count)


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
        The columns of `claims`; after `on`, a column per run (`names_of`; in points) and
        `above_0`, the number of runs with a difference above 0 out of those that measured it. A
        claim that is stale in a run is marked with that run.

    Raises:
        FileNotFoundError: a folder has no metrics.
        ValueError: there are fewer than two runs, a run is given twice, two runs share articles of
            the benchmark, or no run has measured a claim.
    """
    folders = [Path(run).resolve() for run in runs]
    names = names_of(runs)
    check_runs(names)
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
        row.metric: f"{name}: {row.stale}"
        for name, own in zip(names, workspaces, strict=True)
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


def names_of(runs: Sequence[str | Path]) -> list[str]:
    """Return the names of the runs' folders, with the folder above where two have one name."""
    folders = [Path(run).resolve() for run in runs]
    names = [folder.name for folder in folders]
    if len(set(names)) < len(set(folders)):
        return [f"{folder.parent.name}/{folder.name}" for folder in folders]
    return names


def check_runs(names: Sequence[str]) -> None:
    """Raise ValueError for fewer than two runs, or a run that is given twice."""
    if len(set(names)) < max(2, len(names)):
        raise ValueError(f"runs {', '.join(names) or 'none'}: give two or more, each once")


def run_seed(folder: Path, seed: int) -> None:
    """Run all notebooks with the study's settings, unless `folder` already holds a whole run.

    A run that was stopped goes on with the first notebook that had not ended.
    """
    if "demo.seconds" in Workspace(folder).metrics:
        print(f"{folder} is already done")
        return
    settings = {"seed": seed, **SETTINGS}
    seconds = _ended(folder, settings)
    if not seconds:
        walkthrough.set_aside(folder)
    rest = walkthrough.notebooks()[len(seconds) :]
    walk = partial(walkthrough.run_notebooks, folder, settings=settings)
    for notebook, took in walk(first=rest[0].stem[:2]) if rest else ():
        print(f"{folder.name}: {notebook.stem} took {took:.0f} s", flush=True)
        seconds.append(took)
        ended = {"settings": settings, "version": __version__, "seconds": seconds}
        write_text(folder / _ENDED, json.dumps(ended) + "\n")
    Workspace(folder).record({"demo.seconds": round(sum(seconds), 1)}, written_by="walkthrough")


def _ended(folder: Path, settings: Mapping[str, object]) -> list[float]:
    """Return the seconds of the notebooks that have ended in `folder`, with the same settings."""
    try:
        ended = json.loads((folder / _ENDED).read_text(encoding="utf-8"))
        same = (ended["settings"], ended["version"]) == (settings, __version__)
        return list(ended["seconds"]) if same else []
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return []  # the seed begins anew

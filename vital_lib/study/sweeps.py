"""When the method helps and when it does not: one cause varied at a time, on the clinic.

Every point is a small world (`vital_lib.study.world`) for each of several seeds. The results of the
seeds are pooled. The sweeps end at agreement and accepted share; no model is tuned. The clinic's
rates are varied around their fixed values here and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from vital_lib.clinic.rates import DEFAULT_RATES, Rates, rates_fingerprint
from vital_lib.statistics import LEAST_GROUPS, Interval, claim_difference
from vital_lib.study import world as worlds
from vital_lib.study.pooling import pooled_interval
from vital_lib.tables import ARMS, write_text

ARTICLES = 250
SHARES, LABELLED = "share of the candidates kept", "labelled questions"
ERRORS = "the generator's errors, as a multiple of the clinic's"
LENGTH = "the judge's bonus for length, as a multiple of the clinic's"
NULL = "worlds without a cause"
COINS, SAME, SOUND, REJECTED = (
    "clinicians toss coins",
    "the judge is the clinicians",
    "the generator makes no errors",
    "demonstrations that were rejected",
)
SWEEPS: Mapping[str, tuple[Any, ...]] = {
    SHARES: (0.1, 0.2, 0.4, 0.6, 0.8),
    LABELLED: (0, 25, 50, 100, 200),
    ERRORS: (0.0, 0.5, 1.0, 1.5, 2.0),
    LENGTH: (0.0, 1.0, 2.0, 4.0),
    NULL: (COINS, SAME, SOUND, REJECTED),
}
"""What is varied -> its values."""

MEASURES = {
    "demonstrations": ("accepted share after demonstrations", ARMS["none"]),
    "agreement": ("agreement of the selector with clinicians", "chance"),
    "agreement_minus_judge": ("agreement of the selector", "a single judge rating"),
    "selected_minus_random": ("accepted share of the selected set", "a random sample"),
}
"""Measure -> what is measured, and against what."""

_COLUMNS = ["varied", "value", "measure", "estimate", "low", "high", "claim", "seeds"]


def run_sweeps(
    folder: Path,
    seeds: Sequence[int],
    *,
    articles: int = ARTICLES,
    sweeps: Mapping[str, Sequence[Any]] = SWEEPS,
) -> pd.DataFrame:
    """Measure every point for every seed, and pool the seeds; finished points are kept in `folder`.

    Returns:
        varied, value (text), measure (of `MEASURES`), estimate, low, high (differences in points,
        agreement less 50), claim (the sentence), seeds (their number).

    Raises:
        ValueError: no seeds.
    """
    if not seeds:
        raise ValueError("no seeds: give at least one")
    found: dict[tuple[str, str, str], list[Interval]] = {}
    for seed in seeds:
        method = _Method(folder / f"seed{seed}", seed, articles)
        for varied, values in sweeps.items():
            for value in values:
                for measure, interval in _kept(method, varied, value).items():
                    found.setdefault((varied, str(value), measure), []).append(interval)
    rows = []
    for (varied, value, measure), intervals in found.items():
        whole = pooled_interval(intervals)
        sentence = claim_difference(MEASURES[measure][1], whole)
        ends = (100 * end for end in (whole.estimate, whole.low, whole.high))
        rows.append((varied, value, measure, *ends, sentence, len(intervals)))
    return pd.DataFrame(rows, columns=_COLUMNS)


def _kept(method: _Method, varied: str, value: Any) -> dict[str, Interval]:
    """Return the measures of one point, from its file if it was measured before."""
    name = f"{list(SWEEPS).index(varied)}-{str(value).replace(' ', '_')}"
    file = method.folder / "points" / f"{name}.json"
    made_with = {"articles": method.articles, "rates": rates_fingerprint(DEFAULT_RATES)}
    made_with["least_groups"] = LEAST_GROUPS
    if file.is_file():
        stored = json.loads(file.read_text())
        if stored["made_with"] == made_with:
            return {key: Interval(*ends) for key, ends in stored["measures"].items()}
    measures = dict(_measured(method, varied, value))
    text = {
        key: (found.estimate, found.low, found.high, found.n) for key, found in measures.items()
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps({"made_with": made_with, "measures": text}, indent=1) + "\n")
    print(f"{method.folder.name}: {varied} = {value} measured", flush=True)
    return measures


def _measured(method: _Method, varied: str, value: Any) -> Iterator[tuple[str, Interval]]:
    world, shown, ratings = method.world, method.shown, method.ratings
    if varied == SHARES:
        scores = method.learned.scores
        ahead = worlds.selected_minus_random(world, shown, scores, share=value)
        yield "selected_minus_random", ahead
    elif varied == LABELLED:
        learned = worlds.learn(world, shown, ratings, labelled=value, seed=method.seed)
        yield from _of_learned(world, shown, learned)
    elif varied == ERRORS:
        yield from _of_rates(method, f"errors{value}", _times_errors(value))
    elif varied == LENGTH:
        judged = worlds.with_judge(world, f"length{value}", _times_length(value), seed=method.seed)
        learned = worlds.learn(judged, shown, worlds.rate(judged, shown))
        yield from _of_learned(world, shown, learned)
    elif value == COINS:
        people = worlds.CoinTossers(world.grounds.figures, None)
        yield from _of_world(worlds.with_people(world, "coins", people))
    elif value == SAME:
        learned = worlds.learn(world, shown, worlds.peoples_ratings(world, shown))
        yield from _of_learned(world, shown, learned)
    elif value == SOUND:
        yield from _of_rates(method, "sound", _times_errors(0.0))
    elif value == REJECTED:
        after = worlds.write(world, worlds.rejected_pool(world))
        yield "demonstrations", worlds.accepted_minus(world, after, method.unshown)


def _of_rates(method: _Method, name: str, rates: Rates) -> Iterator[tuple[str, Interval]]:
    grounds = method.world.grounds
    yield from _of_world(worlds.open_world(grounds, name, rates=rates, seed=method.seed))


def _of_world(world: worlds.World) -> Iterator[tuple[str, Interval]]:
    """Measure the whole method in a world."""
    shown, unshown = worlds.write(world, worlds.accepted_pool(world)), worlds.write(world, None)
    yield "demonstrations", worlds.accepted_minus(world, shown, unshown)
    yield from _of_learned(world, shown, worlds.learn(world, shown, worlds.rate(world, shown)))


def _of_learned(
    world: worlds.World, shown: pd.DataFrame, learned: worlds.Learned
) -> Iterator[tuple[str, Interval]]:
    # Without errors, hardly a question has one accepted and one rejected answer.
    if learned.groups.nunique() >= LEAST_GROUPS:
        yield "agreement", _less(learned.agreement(), 0.5)
        yield "agreement_minus_judge", learned.agreement_minus_judge()
    yield "selected_minus_random", worlds.selected_minus_random(world, shown, learned.scores)


def _less(found: Interval, value: float) -> Interval:
    """Return an interval minus a number."""
    ends = {name: getattr(found, name) - value for name in ("estimate", "low", "high")}
    return replace(found, **ends)


def _times_errors(factor: float) -> Rates:
    """Return the clinic's rates with the generator's errors times `factor`, at most 1."""
    factual, style = (
        {name: min(1.0, factor * rate) for name, rate in rates.items()}
        for rates in (DEFAULT_RATES.factual, DEFAULT_RATES.style)
    )
    return replace(DEFAULT_RATES, factual=factual, style=style)


def _times_length(factor: float) -> Rates:
    """Return the clinic's rates with the judge's bonus for length times `factor`."""
    judge = DEFAULT_RATES.judge
    longer = {name: factor * getattr(judge, name) for name in ("length_bonus", "length_most")}
    return replace(DEFAULT_RATES, judge=replace(judge, **longer))


class _Method:
    """The ordinary world of one seed, and what the method makes in it; each part is made once."""

    def __init__(self, folder: Path, seed: int, articles: int) -> None:
        self.folder, self.seed, self.articles = folder, seed, articles

    @cached_property
    def world(self) -> worlds.World:
        grounds = worlds.draw_grounds(self.folder, articles=self.articles, seed=self.seed)
        return worlds.open_world(grounds, "ordinary", seed=self.seed)

    @cached_property
    def shown(self) -> pd.DataFrame:
        return worlds.write(self.world, worlds.accepted_pool(self.world))

    @cached_property
    def unshown(self) -> pd.DataFrame:
        return worlds.write(self.world, None)

    @cached_property
    def ratings(self) -> pd.DataFrame:
        return worlds.rate(self.world, self.shown)

    @cached_property
    def learned(self) -> worlds.Learned:
        return worlds.learn(self.world, self.shown, self.ratings)

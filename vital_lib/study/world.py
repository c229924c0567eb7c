"""A small world on the clinic: the method's stages in order, called as the notebooks call them.

Figures, drafts, labels, demonstrations, candidates, ratings, selector, selection. Two worlds on the
same grounds differ only in what they are given: the clinic's rates, the people, the demonstrations
or the ratings. So a difference between their results has that one cause. All labels are simulated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from vital_lib import demonstrations, encoders, figures, generation, judging, labels, selector
from vital_lib.client import ChatClient
from vital_lib.clinic import Clinicians, transport
from vital_lib.clinic.rates import DEFAULT_RATES, Rates
from vital_lib.selection import random_candidates, top_candidates
from vital_lib.statistics import (
    Interval,
    difference_interval,
    mean_interval,
    share_difference_interval,
)
from vital_lib.tables import Workspace, column_of, empty_frame

SHARE = 0.4  # as notebook 07 has it
DRAWS = 20  # random sets that the selected one is compared with: one alone is a matter of luck


@dataclass(frozen=True)
class Grounds:
    """What several worlds share: a run folder with its figures, and an encoder."""

    workspace: Workspace
    figures: pd.DataFrame
    encoder: encoders.Encoder


class CoinTossers(Clinicians):
    """People who toss a coin for every answer; the same answer gets the same coin again."""

    def tick(
        self, annotator: str, figure_id: str, instruction: str, response: str, *occasion: Any
    ) -> tuple[bool, tuple[str, ...]]:
        """Return (accepted, no reasons)."""
        coin = Random(repr((annotator, figure_id, instruction, response)))
        return coin.random() < 0.5, ()


@dataclass(frozen=True)
class World:
    """One generator and one set of people on `grounds`; `preferences` is what they said."""

    grounds: Grounds
    model: ChatClient
    drafts: pd.DataFrame
    people: Clinicians
    preferences: pd.DataFrame


class Learned(NamedTuple):
    """A trained selector's scores, and how it and the judge did on held-out human pairs."""

    scores: pd.Series  # by candidate_id
    selector_hits: np.ndarray  # (pairs,) 1 where the people's choice is scored higher, 0.5 a tie
    judge_hits: np.ndarray  # (pairs,) the same of the first rating
    groups: pd.Series  # (pairs,)

    def agreement(self) -> Interval:
        """Return the share of held-out pairs that the selector orders as people do."""
        return mean_interval(self.selector_hits, self.groups)

    def judge_agreement(self) -> Interval:
        """Return the share of held-out pairs that one rating of the judge orders so."""
        return mean_interval(self.judge_hits, self.groups)

    def agreement_minus_judge(self) -> Interval:
        """Return the paired difference of the two."""
        return difference_interval(self.selector_hits, self.judge_hits, self.groups)


def draw_grounds(folder: Path, *, articles: int, seed: int = 0) -> Grounds:
    """The clinic's figures in `folder`, and the encoder of all worlds on them."""
    workspace = Workspace(folder)
    frame, _ = figures.read_figures("clinic", run=folder, seed=seed, articles=articles)
    workspace.write("figures", frame)
    return Grounds(workspace, frame, encoders.load_encoder("clinic", cache=workspace.features))


def open_world(
    grounds: Grounds, name: str, *, rates: Rates = DEFAULT_RATES, seed: int = 0
) -> World:
    """Draft about every figure, and have the simulated clinicians judge every draft.

    The notebooks have a sample of the figures labelled; here the pools and the pairs are as large
    as the figures allow, so that a test sees causes and not the luck of a small sample.

    Args:
        name: of the world's folder; a ledger of its own, since it does not know of `rates`.
    """
    folder = grounds.workspace.path / name
    folder.mkdir(exist_ok=True)
    model = ChatClient(ledger=folder / "ledger.sqlite", transport=transport(rates, seed))
    drafts, _ = generation.draft_candidates(grounds.figures, model, seed=seed)
    people = Clinicians.of_run(grounds.workspace, rates=rates, seed=seed)
    return World(grounds, model, drafts, people, _said(people, drafts, folder))


def with_people(world: World, name: str, people: Clinicians) -> World:
    """The same drafts, judged by others; `name` is of the folder of their label log."""
    folder = world.grounds.workspace.path / name
    folder.mkdir(exist_ok=True)
    return replace(world, people=people, preferences=_said(people, world.drafts, folder))


def with_judge(world: World, name: str, rates: Rates, *, seed: int = 0) -> World:
    """Return the same world with a judge of other `rates`; `name` is of its ledger's folder."""
    folder = world.grounds.workspace.path / name
    folder.mkdir(exist_ok=True)
    model = ChatClient(ledger=folder / "ledger.sqlite", transport=transport(rates, seed))
    return replace(world, model=model)


def _said(people: Clinicians, drafts: pd.DataFrame, folder: Path) -> pd.DataFrame:
    log = labels.LabelLog(f"sqlite:///{folder / 'labels.sqlite'}")
    people.label(log, drafts)
    preferences = log.preferences()
    log.close()
    return preferences


def accepted_pool(world: World) -> pd.DataFrame:
    """Demonstrations made of the responses that the majority accepted."""
    return demonstrations.choose_demonstrations(
        world.preferences, world.drafts, world.grounds.figures
    )


def rejected_pool(world: World) -> pd.DataFrame:
    """Demonstrations made of the responses that the majority rejected: every tick a cross."""
    turned = world.preferences.assign(
        left_accepted=~world.preferences["left_accepted"],
        right_accepted=~world.preferences["right_accepted"],
    )
    return demonstrations.choose_demonstrations(turned, world.drafts, world.grounds.figures)


def write(world: World, pool: pd.DataFrame | None, *, seed: int = 0) -> pd.DataFrame:
    """Candidates about every figure, after demonstrations of `pool`, or after none."""
    grounds = world.grounds
    shown = empty_frame("demonstrations") if pool is None else pool
    candidates, _ = generation.generate_candidates(
        grounds.figures,
        shown,
        world.model,
        arm="none" if pool is None else "clinician",
        image_of=grounds.figures.set_index("figure_id")["image"],
        seed=seed,
    )
    return candidates


def rate(world: World, candidates: pd.DataFrame) -> pd.DataFrame:
    """The judge's ratings of the candidates of train, and of the drafts of test that count."""
    return judging.rate_candidates(
        _to_rate(world, candidates),
        world.grounds.figures,
        world.model,
    )


def peoples_ratings(world: World, candidates: pd.DataFrame) -> pd.DataFrame:
    """The ratings of a judge who is the people: 10 times the share of them who accept.

    Of the same candidates as `rate`, in those columns of table `ratings` that are read.
    """
    rated = _to_rate(world, candidates)
    shares = world.people.ticks(rated).groupby("candidate_id")["accepted"].mean()
    overall = 10 * rated["candidate_id"].map(shares).astype(float)
    return rated[["candidate_id"]].assign(judge="the people", repeat=0, overall=overall)


def _to_rate(world: World, candidates: pd.DataFrame) -> pd.DataFrame:
    decided = world.drafts["instruction_id"].isin(labels.decided_items(world.preferences))
    parts = [candidates.query("split == 'train'"), world.drafts[decided].query("split == 'test'")]
    return pd.concat(parts, ignore_index=True)


def learn(
    world: World,
    candidates: pd.DataFrame,
    ratings: pd.DataFrame,
    *,
    labelled: int | None = None,
    seed: int = 0,
) -> Learned:
    """Train the selector on ticks and ratings of train; try it on the held-out pairs of people.

    Args:
        labelled: number of labelled questions to learn from, drawn with `seed`; None: all.
    """
    grounds = world.grounds
    everything = pd.concat([world.drafts, candidates], ignore_index=True)
    features = selector.candidate_features(everything, grounds.figures, grounds.encoder)
    ticks = selector.human_ticks(world.preferences, world.drafts)
    ticks = ticks[ticks["split"] == "train"]
    if labelled is not None:
        drawn = np.random.default_rng(seed).permutation(ticks["item_id"].unique())[:labelled]
        ticks = ticks[ticks["item_id"].isin(drawn)]
    rated = selector.judge_ratings(ratings, everything)
    scores = selector.train_selector(
        features,
        ticks,
        rated[rated["split"] == "train"],
        scale_on=everything["candidate_id"][everything["split"] == "train"],
    ).scores(features)
    human = selector.human_pairs(world.preferences, world.drafts)
    held_out = human[human["split"] == "test"].reset_index(drop=True)
    return Learned(
        scores,
        selector.pair_agreement(held_out, scores),
        selector.pair_agreement(held_out, ratings.set_index("candidate_id")["overall"]),
        selector.pair_groups(held_out, world.drafts),
    )


def selected_minus_random(
    world: World,
    candidates: pd.DataFrame,
    scores: Mapping[str, float] | pd.Series,
    share: float = SHARE,
) -> Interval:
    """Accepted share of the best-scored candidates about test figures, minus that of draws."""
    held_out = candidates.query("split == 'test'").reset_index(drop=True)
    n = max(1, round(share * len(held_out)))
    drawn = [random_candidates(held_out, n=n, seed=seed) for seed in range(DRAWS)]
    return accepted_minus(world, top_candidates(held_out, scores, n=n, seed=0), pd.concat(drawn))


def accepted_minus(world: World, a: pd.DataFrame, b: pd.DataFrame) -> Interval:
    """Share of the people's ticks that accept a candidate of `a`, minus that of `b`."""
    sides = []
    for rows in (a, b):
        ticks, names = world.people.ticks(rows), {"what": "ticks", "to": "candidates"}
        groups = column_of(ticks["candidate_id"], "group_id", rows, "candidate_id", **names)
        sides += [ticks["accepted"], groups]
    return share_difference_interval(*sides)


def error_minus(world: World, kind: str, a: pd.DataFrame, b: pd.DataFrame) -> Interval:
    """Share of candidates of `a` that really have an error of `kind`, minus that of `b`."""
    sides = [(has_error(world, kind, rows), rows["group_id"]) for rows in (a, b)]
    return share_difference_interval(*sides[0], *sides[1])


def has_error(world: World, kind: str, candidates: pd.DataFrame) -> list[bool]:
    """Whether each candidate really has an error of `kind`, as the oracle arm sees it."""
    return [kind in kinds for kinds in world.people.error_kinds(candidates)["kinds"]]

"""What the selector costs: features, training anew, scoring; and what the published way would."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from measuring import median_seconds
from scipy import sparse

from vital_lib import encoders, selector
from vital_lib.figures import open_image
from vital_lib.selector import blocks, features
from vital_lib.selector.published import build_head
from vital_lib.study import world as worlds

pytestmark = pytest.mark.slow

PAPERS_PAIRS, BATCH = 30_000, 64
MEASURED_PAIRS = 128  # of the paper's 30,000: what the published way costs is extrapolated


class Labelled(NamedTuple):
    """A small world with labels: its candidates, and what is learned from."""

    world: worlds.World
    candidates: pd.DataFrame
    ticks: pd.DataFrame
    ratings: pd.DataFrame
    pairs: pd.DataFrame  # the paper's number, of train
    validation: pd.DataFrame


@pytest.fixture(scope="module")
def labelled(tmp_path_factory) -> Labelled:
    grounds = worlds.draw_grounds(tmp_path_factory.mktemp("run"), articles=60)
    world = worlds.open_world(grounds, "world")
    rated = worlds.rate(world, worlds.write(world, worlds.accepted_pool(world)))
    everything = pd.concat([world.drafts, worlds.write(world, worlds.accepted_pool(world))])
    of_train = "split == 'train'"
    ticks = selector.human_ticks(world.preferences, world.drafts)
    means = selector.judge_ratings(rated, everything).query(of_train)
    human = selector.human_pairs(world.preferences, world.drafts)
    judged = selector.judge_pairs(rated, everything, n=PAPERS_PAIRS)
    pairs = pd.concat([human.query(of_train), judged], ignore_index=True)
    candidates = everything.reset_index(drop=True)
    validation = human.query("split == 'validation'")
    return Labelled(world, candidates, ticks.query(of_train), means, pairs, validation)


def _about(labelled: Labelled) -> tuple:
    """The figures as rows by id, how their images are found, and a new encoder without a cache."""
    grounds = labelled.world.grounds
    return grounds.figures, encoders.load_encoder("clinic")


def _ours(labelled: Labelled) -> None:
    figures, encoder = _about(labelled)
    found = selector.candidate_features(labelled.candidates, figures, encoder)
    selector.train_selector(found, labelled.ticks, labelled.ratings)


def test_cosines_wording_and_words_cost_little_beside_encoding_once(labelled, report):
    figures, _ = _about(labelled)
    shown = figures[figures["figure_id"].isin(labelled.candidates["figure_id"])]
    rows = labelled.candidates[["instruction", "response"]].to_dict("records")
    whole = [*shown["caption"], *shown["mentions"].explode().dropna()]
    whole += [row["response"] for row in rows]
    texts = [one for text in whole for one in blocks.sentences(text)]
    texts += [row["instruction"] for row in rows] + [features.answer_text(row) for row in rows]

    def encoding() -> None:
        encoder = encoders.load_encoder("clinic")
        encoder.images([open_image(path) for path in shown["image"]])
        encoder.texts(list(dict.fromkeys(texts)))

    def all_blocks() -> None:
        encoder = encoders.load_encoder("clinic")
        selector.candidate_features(labelled.candidates, figures, encoder)

    alone, together = median_seconds(encoding, all_blocks, times=3)
    report("selector", features_over_encoding_alone=together / alone)
    assert together / alone < 1.6


def test_the_published_way_takes_far_longer_to_its_own_best_agreement(labelled, report):
    """The encoder is run on image and text of both sides of every pair, in every epoch.

    How many epochs it takes to its best validation agreement is found with its vectors kept; what
    an epoch of 30,000 pairs costs is extrapolated from two batches.
    """
    figures, encoder = _about(labelled)
    about = figures.set_index("figure_id")
    known = labelled.candidates.set_index("candidate_id")
    head = build_head(2 * encoder.texts([""]).shape[1], hidden=512, dropout=0.1)
    optimiser = torch.optim.Adam(head.parameters(), lr=1e-5)

    def vectors(ids: list[str], encode: encoders.Encoder) -> np.ndarray:
        rows = known.loc[ids]
        shown = about.loc[rows["figure_id"]]
        images = [open_image(path) for path in shown["image"]]
        texts = [
            " ".join([one.caption, *one.mentions, row.instruction, row.response])
            for one, row in zip(shown.itertuples(), rows.itertuples(), strict=True)
        ]
        return np.c_[encode.images(images), encode.texts(texts)]

    def batch(pairs: pd.DataFrame) -> None:
        sides = [
            torch.from_numpy(vectors(list(pairs[side]), encoders.Encoder("", encoder._backend)))
            for side in ("left_id", "right_id")
        ]  # an encoder without memory: nothing is kept from one side to the next
        left, right = (head(side).squeeze(1) for side in sides)
        preferred = torch.tensor(pairs["preferred"].to_numpy(np.float32))
        loss = selector.pairwise_loss(left, right, preferred, torch.ones(len(pairs)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    shuffled = labelled.pairs.sample(MEASURED_PAIRS, random_state=0)
    start = time.perf_counter()
    for first in range(0, MEASURED_PAIRS, BATCH):
        batch(shuffled.iloc[first : first + BATCH])
    epoch_seconds = (time.perf_counter() - start) * len(labelled.pairs) / MEASURED_PAIRS
    ids = list(known.index)
    kept = selector.Features(ids, {"pair": vectors(ids, encoder)})
    control = {"w_human": 100, "validation": labelled.validation, "steps_at_least": 1}
    best = selector.train_published(labelled.pairs, kept, **control).metrics
    published_seconds = best["epoch"] * epoch_seconds
    (ours,) = median_seconds(lambda: _ours(labelled), times=3)
    report(
        "selector",
        from_nothing_seconds=ours,
        published_seconds_extrapolated=published_seconds,
        published_best_epoch=best["epoch"],
        published_over_ours=published_seconds / ours,
    )
    assert published_seconds / ours > 20


def _wide(n: int, dense: int, distinct: int = 10_000) -> selector.Scaled:
    """`n` rows ready to be scored: `dense` columns and 4,096 of hashed words, 60 of them in use."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(min(n, distinct), dense)).astype(np.float32)
    words = sparse.random_array(
        (len(rows), 4096), density=60 / 4096, rng=rng, format="csr", dtype=np.float32
    )
    times = -(-n // len(rows))
    return selector.Scaled(np.tile(rows, (times, 1)), sparse.vstack([words] * times, format="csr"))


def test_scoring_a_million_candidates_costs_one_product_with_a_vector(report):
    rows = _wide(1_000_000, 1024)
    weights = np.random.default_rng(1).normal(size=1024 + 4096).astype(np.float32)
    model = _selector_of(weights)
    bare, words, ours = median_seconds(
        lambda: rows.dense @ weights[:1024],
        lambda: rows.sparse @ weights[1024:],
        lambda: model.score(rows),
    )
    report(
        "selector",
        million_scored_seconds=ours,
        speed_of_dense_product_alone=bare / ours,
        speed_of_dense_and_words_product=(bare + words) / ours,
    )
    assert (bare + words) / ours > 0.6


def _selector_of(weights: np.ndarray) -> selector.Selector:
    """A selector with these weights for 1,024 dense columns and the words."""
    learned = selector.model.Weights(weights, np.zeros(1, np.float32), weights, *[np.zeros(1)] * 3)
    scaling = selector.Scaling({}, *[np.zeros(1024, np.float32)] * 3)
    return selector.Selector(scaling, learned, config={"encoder": ""}, metrics={})


def test_training_anew_after_new_labels_takes_less_than_the_published_control(labelled, report):
    figures, encoder = _about(labelled)
    found = selector.candidate_features(labelled.candidates, figures, encoder)
    prior = selector.train_selector(found, ratings=labelled.ratings)
    vectors = found.only(*selector.ENCODED_BLOCKS)
    few = labelled.pairs.sample(1_000, random_state=0)
    both, again, published = median_seconds(
        lambda: selector.train_selector(found, labelled.ticks, labelled.ratings),
        lambda: selector.train_selector(found, labelled.ticks, prior=prior),
        lambda: selector.train_published(few, vectors, w_human=10, steps_at_least=1),
        times=3,
    )
    report(
        "selector",
        retrain_candidates=len(found),
        retrain_seconds=both,
        retrain_on_new_ticks_seconds=again,
        published_control_over_retrain=published / both,
    )
    assert again < published

"""Claims about figures chosen within a budget: quotas, typicality, repetition, coverage, time."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from vital_lib.figures import choice_metrics, choose_figures, random_sample
from vital_lib.tables import Workspace


def figures(count, phash=None, seed=0):
    codes = np.random.default_rng(seed).integers(0, 2**63, count)
    return pd.DataFrame(
        {
            "figure_id": [f"f{n}" for n in range(count)],
            "modalities": [["mri"] if n % 2 else ["ct_scan"] for n in range(count)],
            "split": "train",
            "phash": [f"{code:016x}" if phash is None else phash for code in codes],
        }
    )


def blobs(*sizes, spread=0.1, width=16):
    """Features around as many far-off centres as there are sizes, and the blob of each row."""
    rng = np.random.default_rng(5)
    blob = np.repeat(np.arange(len(sizes)), sizes)
    centres = 10 * np.eye(width)[: len(sizes)]
    noise = rng.normal(0, spread, (len(blob), width))
    return (centres[blob] + noise).astype(np.float32), blob


def places(frame, chosen):
    return frame.set_index("figure_id").index.get_indexer(chosen["figure_id"])


def test_every_cluster_gives_its_share_and_at_least_one():
    features, blob = blobs(300, 90, 8, 2, spread=0.5)
    chosen = choose_figures(figures(400), features, n=40, clusters=4, seed=0)
    assert len(chosen) == 40 and chosen["figure_id"].is_unique
    given = np.bincount(blob[places(figures(400), chosen)], minlength=4)
    assert given.min() >= 1 and abs(given[0] - 30) <= 1 and abs(given[1] - 9) <= 1


def test_one_figure_of_a_cluster_is_its_most_typical():
    features, blob = blobs(50, 50, spread=0.5)
    chosen = choose_figures(figures(100), features, n=2, clusters=2, seed=0)
    assert sorted(blob[places(figures(100), chosen)]) == [0, 1]
    for place in places(figures(100), chosen):
        own = features[blob == blob[place]]
        distances = np.linalg.norm(own - own.mean(axis=0), axis=1)
        mine = np.linalg.norm(features[place] - own.mean(axis=0))
        assert mine == pytest.approx(distances.min())


def test_a_near_identical_picture_makes_way_for_the_next():
    features, _ = blobs(20, 20, spread=0.5)
    frame = figures(40)
    frame.loc[:19, "phash"] = "00000000000000ff"  # twenty prints of one picture
    chosen = choose_figures(frame, features, n=10, clusters=2, seed=0)
    assert len(chosen) == 10
    assert (places(frame, chosen) < 20).sum() == 1


def test_figures_with_the_same_features_are_chosen_once():
    features, _ = blobs(20, 20, spread=0.5)
    features[:20] = features[0]
    chosen = choose_figures(figures(40), features, n=21, clusters=2, seed=0)
    assert (places(figures(40), chosen) < 20).sum() == 1
    assert len(chosen) == 21
    everything = choose_figures(figures(40), features, n=40, clusters=2, seed=0)
    assert len(everything) == 21  # fewer than asked: there are no more distinct ones


def test_the_same_seed_chooses_the_same_and_fits_the_table(tmp_path):
    features, _ = blobs(200, 100, 50, spread=2)
    first, again = (
        choose_figures(figures(350), features, n=60, clusters=8, seed=3) for _ in range(2)
    )
    pd.testing.assert_frame_equal(first, again)
    assert Workspace(tmp_path).write("figures_sampled", first) == 60
    other = choose_figures(figures(350), features, n=60, clusters=8, seed=4)
    assert set(other["figure_id"]) != set(first["figure_id"])


@pytest.mark.parametrize("wrong", [{"n": 2, "clusters": 3}, {"n": 5, "clusters": 0}])
def test_numbers_that_cannot_be_met_are_refused(wrong):
    features, _ = blobs(20)
    with pytest.raises(ValueError, match="clusters="):
        choose_figures(figures(20), features, **wrong, seed=0)
    with pytest.raises(ValueError, match="19 rows of features for 20"):
        choose_figures(figures(20), features[:19], n=5, clusters=2, seed=0)


def test_a_typical_choice_covers_more_than_a_random_one_of_its_size():
    features, _ = blobs(*[400, 200, 100, 60, 40, 30, 20, 10, 10, 10], spread=0.4)
    frame = figures(len(features))
    chosen = choose_figures(frame, features, n=80, clusters=10, seed=0)
    found = choice_metrics(frame, features, chosen["figure_id"])
    assert found["choice.covered"] > found["choice.covered_random"]
    assert found["choice.distance"] < found["choice.distance_random"]
    assert found["choice.random_for_same"] == 80 + found["choice.saved"] > 80


def test_a_random_choice_measures_as_the_control_says():
    features, _ = blobs(300, 200, 100, spread=0.5)
    frame = figures(600)
    drawn = [
        choice_metrics(frame, features, random_sample(frame, n=60, seed=seed)["figure_id"], seed=50)
        for seed in range(20)
    ]
    for name in ("covered", "distance", "modality_gap"):
        own = np.mean([found[f"choice.{name}"] for found in drawn])
        assert own == pytest.approx(drawn[0][f"choice.{name}_random"], rel=0.15, abs=0.02), name


def test_all_figures_cover_all_and_repetitions_are_counted():
    features, _ = blobs(30, spread=0.5)
    frame = figures(30)
    frame.loc[:2, "phash"] = "00000000000000ff"
    found = choice_metrics(frame, features, frame["figure_id"])
    assert found["choice.covered"] == found["choice.covered_random"] == 1
    assert found["choice.distance"] == pytest.approx(0, abs=1e-3)
    assert found["choice.near_identical"] == 2 and found["choice.modality_gap"] == 0
    assert found["choice.share_mri"] == found["choice.share_mri_all"] == 0.5


def test_chosen_figures_must_be_among_the_figures():
    features, _ = blobs(10)
    with pytest.raises(ValueError, match="1 of 2 chosen figures are not in figures"):
        choice_metrics(figures(10), features, ["f1", "elsewhere"])


@pytest.mark.slow
def test_a_hundred_thousand_figures_are_chosen_from_in_well_under_a_minute():
    sizes = np.random.default_rng(0).multinomial(100_000, np.full(60, 1 / 60))
    features, _ = blobs(*sizes, spread=0.6, width=192)
    frame = figures(100_000)
    start = time.perf_counter()
    chosen = choose_figures(frame, features, n=10_000, clusters=60, seed=0)
    assert len(chosen) == 10_000 and time.perf_counter() - start < 45

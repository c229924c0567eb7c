"""The selector: learning from ratings and ticks, uncertainty, bad input and its folder."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from vital_lib import labels
from vital_lib.labels.order import in_order
from vital_lib.selector import Features, Scaling, Selector, model, train_selector
from vital_lib.selector import linear as fits
from vital_lib.tables import UnsupportedFormat, Workspace

ARTICLES, EACH = 40, 10


class Clinic:
    """Candidates `c0`, ... of articles, ten each, described by two numbers: `fact` and `style`.

    The judge's ratings depend on the fact and noise; people's ticks depend on fact and style. Half
    of the candidates are in the training split. The features also have columns of noise and hashed
    words.
    """

    def __init__(self, articles: int = ARTICLES, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        n = articles * EACH
        self.fact, self.style = rng.normal(size=(2, n))
        self.ids = [f"c{k}" for k in range(n)]
        self.group = [f"g{k // EACH}" for k in range(n)]
        self.split = ["train" if k // EACH < max(1, articles // 2) else "test" for k in range(n)]
        noise = rng.normal(size=(n, 30))
        words = sparse.random_array((n, 200), density=0.05, rng=rng, format="csr")
        blocks = {
            "facts": np.c_[self.fact, noise],
            "style": np.c_[self.style, noise[:, :1]],
            "words": words.astype(np.float32),
        }
        self.features = Features(self.ids, blocks, encoder="e" * 64)
        self.rating = 5 + 2 * self.fact + rng.normal(size=n)
        self.chance = 1 / (1 + np.exp(-2 * self.fact - 3 * self.style))
        self.coins = rng.random((n, 3))

    def ratings(self, split: str = "train") -> pd.DataFrame:
        return self._rows({"overall": self.rating}, split)

    def ticks(self, split: str = "train", *, articles: int | None = None) -> pd.DataFrame:
        """Ticks of three people on the first two candidates of each article."""
        parts = [
            self._rows({"accepted": (self.coins[:, who] < self.chance).astype(float)}, split)
            .groupby("group_id", sort=False)
            .head(2)
            .assign(annotator=f"a{who}")
            for who in range(3)
        ]
        rows = pd.concat(parts)
        some = rows["group_id"].unique()[:articles]
        return rows[rows["group_id"].isin(some)].reset_index(drop=True)

    def _rows(self, values: dict, split: str) -> pd.DataFrame:
        rows = pd.DataFrame({"candidate_id": self.ids, **values, "group_id": self.group})
        rows["split"] = self.split
        return rows[rows["split"] == split].reset_index(drop=True)

    def follows(self, selector: Selector) -> float:
        """Correlation of scores with people's true preference, over the test candidates."""
        test = np.array(self.split) == "test"
        truth = 2 * self.fact + 3 * self.style
        return np.corrcoef(selector.score(self.features)[test], truth[test])[0, 1]


@pytest.fixture(scope="module")
def clinic() -> Clinic:
    return Clinic()


@pytest.fixture(scope="module")
def trained(clinic) -> Selector:
    return train_selector(clinic.features, clinic.ticks(), clinic.ratings())


# What is learned


def test_ratings_and_ticks_together_predict_people_better_than_either_alone(clinic, trained):
    judge = train_selector(clinic.features, ratings=clinic.ratings())
    people = train_selector(clinic.features, clinic.ticks())
    assert clinic.follows(trained) > max(clinic.follows(judge), clinic.follows(people)) + 0.05
    assert np.corrcoef(judge.score(clinic.features), clinic.fact)[0, 1] > 0.85
    sources = [selector.config["learned_from"] for selector in (trained, judge, people)]
    assert sources == ["both", "judge", "people"]


def test_more_ticks_improve_the_selector(clinic):
    found = [
        clinic.follows(train_selector(clinic.features, clinic.ticks(articles=n), clinic.ratings()))
        for n in (2, 20)
    ]
    assert found[0] + 0.05 < found[1]


def test_one_tick_hardly_changes_the_judges_order(clinic):
    judge = train_selector(clinic.features, ratings=clinic.ratings())
    one = clinic.ticks().iloc[:1]
    against = pd.concat([one.assign(accepted=0.0), one.assign(accepted=1.0, candidate_id="c1")])
    moved = train_selector(clinic.features, against, prior=judge)
    scores = [selector.score(clinic.features) for selector in (judge, moved)]
    assert np.corrcoef(*scores)[0, 1] > 0.9


def test_every_tick_counts_once_regardless_of_its_annotator(clinic):
    ticks = clinic.ticks()
    turned = ticks.sample(frac=1, random_state=0).assign(annotator="one")
    first, second = (train_selector(clinic.features, rows) for rows in (ticks, turned))
    assert np.allclose(first.score(clinic.features), second.score(clinic.features), atol=1e-4)
    lone = train_selector(clinic.features, ticks[ticks["annotator"] == "a0"])
    assert not np.allclose(first.score(clinic.features), lone.score(clinic.features), atol=0.01)
    assert (first.metrics["ticks"], first.metrics["ticked"]) == (120, 40)


def test_a_prior_trained_separately_gives_the_same_selector(clinic, trained):
    everyone = pd.unique(
        pd.concat([clinic.ticks()["candidate_id"], clinic.ratings()["candidate_id"]])
    )
    judge = train_selector(clinic.features, ratings=clinic.ratings(), scale_on=everyone)
    again = train_selector(clinic.features, clinic.ticks(), prior=judge)
    assert np.array_equal(again.score(clinic.features), trained.score(clinic.features))
    assert again.metrics["rated"] == trained.metrics["rated"] == 200


def test_training_twice_gives_the_same_selector(clinic, trained):
    again = train_selector(clinic.features, clinic.ticks(), clinic.ratings())
    assert again.score_table(clinic.features).equals(trained.score_table(clinic.features))


def test_relevant_columns_are_found_among_many_noise_columns(clinic):
    wide = np.random.default_rng(1).normal(size=(len(clinic.ids), 600))
    blocks = {**clinic.features.blocks, "noise": wide}
    features = Features(clinic.ids, blocks, encoder="e" * 64)
    drowned = train_selector(features, clinic.ticks(), clinic.ratings())
    test = np.array(clinic.split) == "test"
    truth = (2 * clinic.fact + 3 * clinic.style)[test]
    assert np.corrcoef(drowned.score(features)[test], truth)[0, 1] > 0.7


def test_the_ridge_solution_is_the_same_by_rows_and_by_columns():
    rng = np.random.default_rng(0)
    features = Features([f"c{k}" for k in range(60)], {
        "text": rng.normal(size=(60, 20)),
        "words": sparse.random_array((60, 25), density=0.2, rng=rng, format="csr"),
    })  # fmt: skip
    rows = Scaling.fit(features, np.arange(60)).apply(features)
    whole, target = np.c_[rows.dense, rows.sparse.toarray()], rng.normal(size=60)
    for some in (rows, rows.take(np.arange(30))):  # more rows than columns, then fewer
        own = whole[: len(some)]
        wanted = np.linalg.solve(own.T @ own + 3 * np.eye(45), own.T @ target[: len(some)])
        found = next(fits._ridges(some, target[: len(some)], [3.0]))
        assert found == pytest.approx(wanted, abs=1e-4)


def test_the_fit_of_ticks_equals_scikit_learns_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    features = Features([f"c{k}" for k in range(80)], {"text": rng.normal(size=(80, 5))})
    rows = Scaling.fit(features, np.arange(80)).apply(features)
    accepted = (rows.dense[:, 0] + 0.3 * rng.normal(size=80) > 0).astype(float)
    found = fits.fit_ticks(
        rows, np.ones(80), accepted, np.zeros(80), [f"g{k // 4}" for k in range(80)]
    )
    wanted = LogisticRegression(C=found.strength, tol=1e-8, max_iter=1000)
    wanted.fit(rows.dense, accepted)
    scores = rows.dense @ (found.basis @ found.weights[:5]) + found.weights[-1]
    assert scores == pytest.approx(wanted.decision_function(rows.dense), abs=0.02)


def test_no_article_is_on_both_sides_of_a_fold():
    groups = [f"g{k % 7}" for k in range(50)]
    for learn, try_on in fits.folds(groups, 5):
        assert not {groups[k] for k in learn} & {groups[k] for k in try_on}
    assert len(list(fits.folds(groups, 5))) == 5 and len(list(fits.folds(groups[:3], 5))) == 3


# Uncertainty


def test_uncertainty_is_higher_with_fewer_labelled_responses_nearby():
    rng = np.random.default_rng(0)
    near, far = rng.normal(0, 1, (200, 4)), rng.normal(0, 1, (50, 4)) + [0, 0, 0, 8]
    features = Features([f"c{k}" for k in range(250)], {"text": np.r_[near, far]}, "e")
    ticks = pd.DataFrame({
        "candidate_id": [f"c{k}" for k in range(100)], "annotator": "a",
        "accepted": (near[:100, 0] > 0).astype(float),
        "group_id": [f"g{k // 5}" for k in range(100)], "split": "train",
    })  # fmt: skip
    everyone = features.ids
    table = train_selector(features, ticks, scale_on=everyone).score_table(features)
    before = table["uncertainty"].to_numpy()
    assert np.isfinite(before).all() and (before > 0).all()
    assert before[200:].mean() > 1.5 * before[100:200].mean()
    more = pd.concat([ticks, ticks.assign(annotator="b"), ticks.assign(annotator="c")])
    after = train_selector(features, more, scale_on=everyone).uncertainty(features)
    assert after[:200].mean() < before[:200].mean()


def test_directions_without_labels_keep_their_prior_variance():
    rows = np.eye(6)[[0, 1, 2, 3, 4, 5] * 4]
    features = Features([f"c{k}" for k in range(24)], {"text": rows}, "e")
    ticks = pd.DataFrame({
        "candidate_id": ["c0", "c1", "c6", "c7"], "annotator": "a", "accepted": [1.0, 0, 1, 0],
        "group_id": ["g0", "g0", "g1", "g1"], "split": "train",
    })  # fmt: skip
    selector = train_selector(features, ticks, scale_on=features.ids)
    scaled = selector.ready(features)
    unseen = selector.uncertainty(features)[5] ** 2
    within = np.square(scaled.dot(selector.weights.basis)).sum(axis=1)
    beyond = (scaled.lengths() - within)[5] * selector.config["strength"]
    assert beyond > 0 and unseen >= beyond - 1e-6


def test_the_label_queue_uses_the_uncertainty_of_a_score_table(clinic, trained, log):
    table = trained.score_table(clinic.features)
    drafts = pd.DataFrame({
        "candidate_id": clinic.ids, "figure_id": clinic.group,
        "instruction_id": [f"q{k // 2}" for k in range(len(clinic.ids))],
        "instruction": "What is shown?", "response": clinic.ids,
    }).merge(table[["candidate_id", "uncertainty"]], on="candidate_id")  # fmt: skip
    first = labels.Queue(log, drafts, "ann", strategy="uncertainty", repeats=0).take()
    order = in_order(drafts, "ann", "uncertainty", 0.2, 0, "ann")
    queued = order[order["drawn_by"] == "uncertainty"]["item_id"].tolist()
    uncertainty = drafts.groupby("instruction_id")["uncertainty"].max()
    assert queued == sorted(queued, key=uncertainty.get, reverse=True) and len(queued) == 160
    assert first[0]["item_id"] == order["item_id"][0]


# Bad input


def test_training_without_usable_labels_is_refused_with_the_way_out(clinic):
    with pytest.raises(ValueError, match="0 ticks and 0 ratings. Label responses in .*03_label"):
        train_selector(clinic.features)
    alike = clinic.ticks().assign(accepted=1.0)
    with pytest.raises(ValueError, match=r"120 ticks \(all alike\) and 0 ratings"):
        train_selector(clinic.features, alike)
    with pytest.raises(ValueError, match=r"0 ticks and 200 ratings \(all alike\)"):
        train_selector(clinic.features, clinic.ticks().iloc[:0], clinic.ratings().assign(overall=7))


def test_without_usable_ticks_only_the_judges_ratings_count(clinic):
    judge = train_selector(clinic.features, ratings=clinic.ratings())
    for ticks in (clinic.ticks().iloc[:0], clinic.ticks().assign(accepted=1.0)):
        alone = train_selector(
            clinic.features, ticks, clinic.ratings(), scale_on=clinic.ratings()["candidate_id"]
        )
        assert alone.config["learned_from"] == "judge" and alone.metrics["ticks"] == 0
        assert np.array_equal(alone.score(clinic.features), judge.score(clinic.features))
    assert judge.score_table(clinic.features)["uncertainty"].isna().all()


@pytest.mark.parametrize("overall", [7.0, np.nan])
def test_without_usable_ratings_only_peoples_ticks_count(clinic, overall):
    rated = clinic.ratings().assign(overall=overall)
    alone = train_selector(clinic.features, clinic.ticks(), rated)
    people = train_selector(clinic.features, clinic.ticks())
    assert alone.config["learned_from"] == "people"
    assert np.array_equal(alone.score(clinic.features), people.score(clinic.features))


def test_an_annotator_who_accepts_everything_does_little_harm(clinic, trained):
    yes = clinic.ticks().query("annotator == 'a0'").assign(annotator="kind", accepted=1.0)
    kinder = train_selector(clinic.features, pd.concat([clinic.ticks(), yes]), clinic.ratings())
    assert clinic.follows(kinder) > clinic.follows(trained) - 0.05


def test_a_single_article_is_learned_without_folds():
    small = Clinic(articles=1)
    ticks = small.ticks().assign(accepted=[1.0, 0.0, 1.0, 1.0, 0.0, 0.0])
    found = train_selector(small.features, ticks, small.ratings())
    assert np.isfinite(found.score_table(small.features)[["score", "uncertainty"]]).all(axis=None)
    assert (found.config["strength"], found.config["penalty"]) == (0.3, 10.0)


def test_held_out_ticks_and_ratings_are_refused(clinic):
    with pytest.raises(ValueError, match="120 of 120 rows of ticks are of the test split"):
        train_selector(clinic.features, clinic.ticks("test"))
    with pytest.raises(ValueError, match="200 of 200 rows of ratings are of the test split"):
        train_selector(clinic.features, ratings=clinic.ratings("test"))


def test_candidates_without_features_are_refused(clinic):
    stranger = clinic.ticks().replace({"candidate_id": {"c0": "nowhere"}})
    with pytest.raises(ValueError, match="1 of 40 candidates have no features, first 'nowhere'"):
        train_selector(clinic.features, stranger, scale_on=clinic.ids)


def test_a_selector_trained_on_ticks_is_refused_as_a_prior(clinic, trained):
    with pytest.raises(ValueError, match="prior learned from both"):
        train_selector(clinic.features, clinic.ticks(), prior=trained)


def test_features_of_another_encoder_or_of_other_blocks_are_refused(clinic, trained):
    other = Features(clinic.ids, clinic.features.blocks, encoder="o" * 64)
    with pytest.raises(
        ValueError, match="features of encoder 'oooo.* trained on features of 'eeee"
    ):
        trained.score(other)
    with pytest.raises(ValueError, match="this selector needs blocks facts"):
        trained.score(clinic.features.without("style"))


def test_an_empty_scale_on_is_refused(clinic):
    with pytest.raises(ValueError, match=r"scale_on = \[\] names no candidate"):
        train_selector(clinic.features, clinic.ticks(), scale_on=[])


# The selector and its folder


def test_a_score_is_the_product_of_scaled_features_and_weights(clinic, trained):
    rows = trained.ready(clinic.features)
    whole = np.c_[rows.dense, rows.sparse.toarray()]
    by_hand = whole @ trained.weights.score + trained.weights.constant
    assert trained.score(clinic.features) == pytest.approx(by_hand, abs=1e-4)
    assert np.array_equal(trained.score(rows), trained.score(clinic.features))
    few = Features(
        clinic.ids[:5], {k: block[:5] for k, block in clinic.features.blocks.items()}, "e" * 64
    )
    assert trained.score(few) == pytest.approx(by_hand[:5], abs=1e-4)


@pytest.mark.parametrize("at_once", [50, 399, 400, 401])
def test_scores_in_parts_are_those_of_the_whole(clinic, trained, monkeypatch, at_once):
    whole, rows = trained.score_table(clinic.features), trained.ready(clinic.features)
    spread = trained.uncertainty(rows)
    monkeypatch.setattr(model, "AT_ONCE", at_once)
    parts = trained.score_table(clinic.features)
    assert parts["candidate_id"].equals(whole["candidate_id"])
    for column in ("score", "uncertainty"):
        assert parts[column].to_numpy() == pytest.approx(whole[column].to_numpy(), rel=1e-4)
        assert at_once < 400 or parts[column].equals(whole[column])
    assert trained.uncertainty(rows) == pytest.approx(spread, rel=1e-4)
    judge = train_selector(clinic.features, ratings=clinic.ratings())
    assert len(judge.uncertainty(clinic.features)) == 400
    none = Features(
        [], {name: block[:0] for name, block in clinic.features.blocks.items()}, "e" * 64
    )
    assert len(trained.score_table(none)) == 0
    other = Features(clinic.ids, clinic.features.blocks, encoder="o" * 64)
    for method in (trained.score, trained.uncertainty, judge.uncertainty):
        with pytest.raises(ValueError, match="features of encoder 'oooooooooooo'"):
            method(other)


def test_a_loaded_selector_equals_the_saved_one(clinic, trained, tmp_path):
    folder = trained.save(tmp_path / "models" / "selector")
    names = ["config.json", "metrics.json", "model.safetensors"]
    assert sorted(path.name for path in folder.iterdir()) == names
    again = Selector.load(folder)
    assert again.score_table(clinic.features).equals(trained.score_table(clinic.features))
    assert again.config == trained.config and again.metrics == trained.metrics
    assert json.loads((folder / "config.json").read_text())["encoder"] == "e" * 64


def test_a_missing_outdated_newer_or_mixed_folder_is_refused(trained, tmp_path):
    with pytest.raises(FileNotFoundError, match="06_train_selector"):
        Selector.load(tmp_path / "none")
    folder = trained.save(tmp_path / "selector")
    config = json.loads((folder / "config.json").read_text())
    for version in (1, 2, 99):
        (folder / "config.json").write_text(json.dumps({**config, "format_version": version}))
        with pytest.raises(UnsupportedFormat, match=f"format version {version}"):
            Selector.load(folder)
    (folder / "config.json").write_text(json.dumps({**config, "model_sha256": "0"}))
    with pytest.raises(ValueError, match="does not match the hash in config.json"):
        Selector.load(folder)


@pytest.mark.parametrize("name", ["config.json", "metrics.json", "model.safetensors"])
def test_a_missing_file_in_the_folder_is_named_with_the_way_out(trained, tmp_path, name):
    (trained.save(tmp_path) / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"no {name}.*06_train_selector"):
        Selector.load(tmp_path)


def test_scores_match_the_runs_table(clinic, trained, tmp_path):
    table = trained.score_table(clinic.features)
    assert Workspace(tmp_path).write("scores", table) == len(clinic.features)
    assert table.set_index("candidate_id")["score"].equals(trained.scores(clinic.features))
    alone = train_selector(clinic.features, ratings=clinic.ratings())
    assert Workspace(tmp_path).write("scores", alone.score_table(clinic.features)) == 400


def test_non_finite_scores_are_refused(clinic, trained):
    rows = trained.ready(clinic.features)
    rows.dense[3, 1] = np.nan
    with pytest.raises(ValueError, match="1 of 400 scores are not finite"):
        trained.score(rows)

"""Claims about vital_lib.selector: pairs, features, the loss, training, and what is measured."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from vital_lib.selector import (
    Features,
    Recipe,
    Selector,
    alignment_metrics,
    candidate_features,
    human_pairs,
    judge_pairs,
    pair_agreement,
    pair_groups,
    pairwise_loss,
    sweep,
    train_selector,
)
from vital_lib.selector.model import build_head, evaluate
from vital_lib.tables import TABLES, OtherFormat, Workspace

QUICK = {"hidden": 64, "lr": 3e-3, "steps_at_least": 60}
SPLITS = ("train", "validation", "test")


def figure_rows(n: int = 6) -> pd.DataFrame:
    """Figures F0, F1, ... of articles g0, g1, ...; splits in turn."""
    names = [f"F{k}" for k in range(n)]
    return pd.DataFrame(
        {
            "figure_id": names,
            "group_id": [f"g{k}" for k in range(n)],
            "split": [SPLITS[k % 3] for k in range(n)],
            "image": [f"{name}.png" for name in names],
            "caption": [f"caption of {name}" for name in names],
            "mentions": [[f"mention of {name}"] for name in names],
        }
    )


def draft_rows(n: int = 6) -> pd.DataFrame:
    """Two responses to one instruction for each figure."""
    rows = [
        {
            "candidate_id": f"F{k}-r1-{side}",
            "instruction_id": f"F{k}-r1",
            "figure_id": f"F{k}",
            "instruction": "What is shown?",
            "response": f"Answer {side} to {k}.",
        }
        for k in range(n)
        for side in "ab"
    ]
    return pd.DataFrame(rows)


def preference_rows(*votes: tuple[int, str, str], arm: str = "random") -> pd.DataFrame:
    """Preferences from (figure number, annotator, which were accepted: "ab", "a", "", "skip")."""
    rows = []
    for number, who, accepted in votes:
        left, right = ("a", "b") if len(rows) % 2 else ("b", "a")
        ticks = [None, None] if accepted == "skip" else [left in accepted, right in accepted]
        rows.append(
            {
                "item_id": f"F{number}-r1",
                "annotator": who,
                "left_id": f"F{number}-r1-{left}",
                "right_id": f"F{number}-r1-{right}",
                "left_accepted": ticks[0],
                "right_accepted": ticks[1],
                "queue_arm": arm,
            }
        )
    frame = pd.DataFrame(rows)
    return frame.astype({"left_accepted": "boolean", "right_accepted": "boolean"})


def better_of(pairs: pd.DataFrame) -> list[str]:
    """The preferred candidate of each pair."""
    return [
        row.left_id if row.preferred == 1 else row.right_id for row in pairs.itertuples(index=False)
    ]


def rating_rows(**overall: float | None) -> pd.DataFrame:
    rows = [
        {"candidate_id": name, "judge": "j", "repeat": 0, "overall": value}
        for name, value in overall.items()
    ]
    return pd.DataFrame(rows).astype({"overall": float})


def rated(n: int, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Ratings 0 to 4 of `n` candidates of a figure each, with those candidates and figures."""
    overall = np.random.default_rng(seed).integers(0, 5, n).astype(float)
    names = [f"c{k}" for k in range(n)]
    candidates = pd.DataFrame({"candidate_id": names, "figure_id": [f"F{k}" for k in range(n)]})
    return rating_rows(**dict(zip(names, overall, strict=True))), candidates, figure_rows(n)


# Human pairs


def test_one_accepted_and_one_rejected_make_a_pair():
    votes = preference_rows((0, "ann", "a"), (1, "ann", "b"))
    pairs = human_pairs(votes, draft_rows(), figure_rows())
    assert list(pairs.columns) == TABLES["pairs"].columns
    assert better_of(pairs) == ["F0-r1-a", "F1-r1-b"]
    assert pairs["split"].tolist() == ["train", "validation"]
    assert set(pairs["weight"]) == {1.0} and set(pairs["source"]) == {"human"}


@pytest.mark.parametrize("votes", ["majority", "each"])
def test_both_neither_and_skip_make_no_pair(votes):
    said = preference_rows((0, "ann", "ab"), (1, "ann", ""), (2, "ann", "skip"))
    assert human_pairs(said, draft_rows(), figure_rows(), votes=votes).empty


def test_the_majority_of_each_response_makes_one_pair_per_item():
    votes = preference_rows((0, "ann", "a"), (0, "ben", "ab"), (0, "cleo", "a"), (1, "ann", "b"))
    pairs = human_pairs(votes, draft_rows(), figure_rows())
    assert better_of(pairs) == ["F0-r1-a", "F1-r1-b"]
    assert set(pairs["annotator"]) == {"majority"}


def test_an_even_vote_is_no_majority_and_makes_no_pair():
    votes = preference_rows((0, "ann", "a"), (0, "ben", ""))
    assert human_pairs(votes, draft_rows(), figure_rows()).empty


def test_each_vote_makes_a_pair_of_its_own():
    votes = preference_rows((0, "ann", "a"), (0, "ben", "b"), (0, "cleo", "ab"))
    pairs = human_pairs(votes, draft_rows(), figure_rows(), votes="each")
    assert better_of(pairs) == ["F0-r1-a", "F0-r1-b"]
    assert pairs["annotator"].tolist() == ["ann", "ben"]


@pytest.mark.parametrize("votes", ["majority", "each"])
def test_what_is_measured_on_was_drawn_at_random_and_what_trains_need_not_be(votes):
    said = [(number, "ann", "a") for number in range(6)]
    drawn = human_pairs(preference_rows(*said), draft_rows(), figure_rows(), votes=votes)
    assert set(drawn["split"]) > {"train"}
    picked = preference_rows(*said, arm="uncertainty")
    pairs = human_pairs(picked, draft_rows(), figure_rows(), votes=votes)
    assert better_of(pairs) == better_of(drawn[drawn["split"] == "train"])


def test_human_pairs_refuse_strangers_and_unknown_ways_to_vote():
    votes = preference_rows((0, "ann", "a"))
    with pytest.raises(ValueError, match="2 of 2 candidates are not in .*'F0-r1-b'"):
        human_pairs(votes, draft_rows().iloc[2:], figure_rows())
    with pytest.raises(ValueError, match="votes 'all': wanted"):
        human_pairs(votes, draft_rows(), figure_rows(), votes="all")


# The judge's pairs


def test_a_tie_makes_no_pair():
    ratings, candidates, figures = rated(30)
    overall = ratings.set_index("candidate_id")["overall"]
    pairs = judge_pairs(ratings, candidates, figures, n=10_000)
    left, right = pairs["left_id"].map(overall), pairs["right_id"].map(overall)
    assert len(pairs) > 20 and ((left > right) == (pairs["preferred"] == 1)).all()
    assert (left != right).all()


def test_where_fewer_than_n_can_be_made_all_are_made_once():
    ratings, candidates, figures = rated(30)
    pairs = judge_pairs(ratings, candidates, figures, n=10_000)
    overall = ratings["overall"].to_numpy()[::3]  # every third figure is a training figure
    different = sum(a != b for k, a in enumerate(overall) for b in overall[:k])
    assert len(pairs) == different
    unordered = {frozenset(pair) for pair in zip(pairs["left_id"], pairs["right_id"], strict=True)}
    assert len(unordered) == different


def test_judge_pairs_stay_within_one_split():
    ratings, candidates, figures = rated(60)
    split_of = dict(zip(candidates["candidate_id"], figures["split"], strict=True))
    for split in SPLITS:
        pairs = judge_pairs(ratings, candidates, figures, n=40, split=split)
        assert len(pairs) == 40 and set(pairs["split"]) == {split}
        assert {split_of[name] for name in [*pairs["left_id"], *pairs["right_id"]]} == {split}


def test_judge_pairs_are_drawn_evenly_by_seed_and_the_better_stands_on_either_side():
    ratings, candidates, figures = rated(900)
    pairs = judge_pairs(ratings, candidates, figures, n=3000, seed=1)
    assert pairs.equals(judge_pairs(ratings, candidates, figures, n=3000, seed=1))
    assert not pairs.equals(judge_pairs(ratings, candidates, figures, n=3000, seed=2))
    assert 0.46 < pairs["preferred"].mean() < 0.54
    overall = ratings.set_index("candidate_id")["overall"]
    gaps = (pairs["left_id"].map(overall) - pairs["right_id"].map(overall)).abs()
    every = judge_pairs(ratings, candidates, figures, n=10**9)
    all_gaps = (every["left_id"].map(overall) - every["right_id"].map(overall)).abs()
    for gap in (1, 2, 3, 4):
        assert (gaps == gap).mean() == pytest.approx((all_gaps == gap).mean(), abs=0.03)


def test_a_rating_is_the_mean_of_its_repeats_and_an_unread_one_counts_nowhere():
    ratings = pd.concat([rating_rows(c0=4, c3=5, c6=None), rating_rows(c0=8, c3=6, c6=None)])
    candidates = pd.DataFrame({"candidate_id": ["c0", "c3", "c6"], "figure_id": ["F0", "F3", "F6"]})
    pairs = judge_pairs(ratings, candidates, figure_rows(9), n=10)
    assert better_of(pairs) == ["c0"]
    assert (pairs["annotator"].tolist(), pairs["source"].tolist()) == (["j"], ["judge"])


def test_judge_pairs_of_nothing_are_an_empty_table():
    ratings, candidates, figures = rated(6)
    empty = judge_pairs(ratings.assign(overall=np.nan), candidates, figures, n=5)
    assert empty.empty and list(empty.columns) == TABLES["pairs"].columns


def test_judge_pairs_refuse_two_judges_and_no_pairs():
    ratings, candidates, figures = rated(6)
    two = pd.concat([ratings, ratings.assign(judge="k")])
    with pytest.raises(ValueError, match=r"ratings by 2 judges \(j, k\)"):
        judge_pairs(two, candidates, figures, n=5)
    with pytest.raises(ValueError, match="n = 0"):
        judge_pairs(ratings, candidates, figures, n=0)
    with pytest.raises(ValueError, match="not in the given candidates and figures"):
        judge_pairs(ratings, candidates, figures.iloc[:2], n=5)


def test_pairs_are_a_table_of_the_run(tmp_path):
    human = human_pairs(preference_rows((0, "ann", "a")), draft_rows(), figure_rows())
    judged = judge_pairs(*rated(30), n=5)
    pairs = pd.concat([human, judged], ignore_index=True)
    assert Workspace(tmp_path).write("pairs", pairs) == 6


def test_the_groups_of_pairs_are_the_articles_of_their_candidates():
    pairs = human_pairs(
        preference_rows((1, "ann", "a"), (4, "ann", "b")), draft_rows(), figure_rows()
    )
    assert pair_groups(pairs, draft_rows(), figure_rows()) == ["g1", "g4"]
    assert pair_groups(pairs, draft_rows(), figure_rows(), side="right") == ["g1", "g4"]


# Features


class WordEncoder:
    """An encoder of its own kind: words hashed to places, and a window of 12 words."""

    name, window = "words", 12

    def __init__(self) -> None:
        self.encoded = 0

    def texts(self, texts):
        rows = np.zeros((len(texts), 64), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.split()[: self.window]:
                row[sum(word.encode()) % 64] += 1
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)

    def images(self, images):
        self.encoded += len(images)
        rows = np.ones((len(images), 64), np.float32)
        for row, image in zip(rows, images, strict=True):
            row[:3] += np.asarray(image.pixels(), np.float32).mean(axis=(0, 1))
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def folder(tmp_path) -> Path:
    for k in range(6):
        Image.new("RGB", (8, 8), (40 * k, 10, 10)).save(tmp_path / f"F{k}.png")
    return tmp_path


def test_a_long_caption_never_cuts_off_the_answer(folder):
    figures = figure_rows().assign(caption="word " * 1000)
    drafts = draft_rows()
    drafts["response"] = ["A nodule on the left.", "A nodule on the right."] * 6
    found = candidate_features(drafts, figures, WordEncoder(), resolve=lambda image: folder / image)
    answers = found[:, 64:128]
    assert not np.allclose(answers[0], answers[1])
    short = candidate_features(
        drafts, figure_rows(), WordEncoder(), resolve=lambda image: folder / image
    )
    assert np.array_equal(answers, short[:, 64:128])


def test_a_long_instruction_never_cuts_off_the_answer(folder):
    drafts = draft_rows().assign(instruction="why " * 1000)
    found = candidate_features(
        drafts, figure_rows(), WordEncoder(), resolve=lambda image: folder / image
    )
    assert not np.allclose(found[0], found[1])


def test_a_fault_in_the_last_sentence_of_a_long_response_is_seen(folder):
    drafts = draft_rows()
    drafts["response"] = ["It is plain. " * 40 + end for end in ("Truly.", "Perhaps.")] * 6
    found = candidate_features(
        drafts, figure_rows(), WordEncoder(), resolve=lambda image: folder / image
    )
    assert not np.allclose(found[0], found[1])


def test_features_are_image_answer_response_context_and_products(folder):
    drafts, figures, encoder = draft_rows(), figure_rows(), WordEncoder()
    found = candidate_features(drafts, figures, encoder, resolve=lambda image: folder / image)
    assert found.shape == (12, 6 * 64) and found.dtype == np.float32
    image, answer, response, context, by_image, by_context = np.split(found, 6, axis=1)
    assert np.allclose(by_image, image * answer) and np.allclose(by_context, context * answer)
    said = encoder.texts(["caption of F2", "mention of F2"]).mean(axis=0)
    assert np.allclose(context[4], said / np.linalg.norm(said))
    assert np.allclose(response[4], encoder.texts(["Answer a to 2."])[0])
    assert np.allclose(answer[4], encoder.texts(["Answer a to 2.\nWhat is shown?"])[0])
    assert np.allclose(image[4], image[5]) and not np.allclose(image[4], image[2])
    assert encoder.encoded == 6  # each figure once, not once per candidate


def test_candidates_about_figures_that_are_not_given_are_refused(folder):
    with pytest.raises(ValueError, match="2 of 12 candidates .* 'F5-r1-a' about 'F5'"):
        candidate_features(
            draft_rows(), figure_rows(5), WordEncoder(), resolve=lambda image: folder / image
        )


def test_features_are_looked_up_by_id():
    features = Features(["x", "y", "z"], np.eye(3, dtype=np.float32))
    assert features.rows(["z", "x", "z"]).tolist() == [2, 0, 2]
    with pytest.raises(ValueError, match="2 of 3 candidates have no features, first 'p'"):
        features.rows(["x", "p", "q"])
    with pytest.raises(ValueError, match="1 of 2 ids stand twice"):
        Features(["x", "x"], np.eye(2))
    with pytest.raises(ValueError, match=r"1 ids for features of shape \(2, 2\)"):
        Features(["x"], np.eye(2))


# The loss


def test_the_loss_is_the_papers_equation_computed_by_hand():
    loss = pairwise_loss(
        torch.tensor([2.0, 0.0]),
        torch.tensor([1.0, 3.0]),
        torch.tensor([1.0, 0.5]),
        torch.tensor([50.0, 1.0]),
    )
    sigmoid = [1 / (1 + math.exp(-1)), 1 / (1 + math.exp(3)), 1 / (1 + math.exp(-3))]
    first = -50 * math.log(sigmoid[0])
    second = -(0.5 * math.log(sigmoid[1]) + 0.5 * math.log(sigmoid[2]))
    assert loss.item() == pytest.approx((first + second) / 2, rel=1e-6)


def test_with_weight_one_and_no_ties_the_loss_is_minus_logsigmoid_of_chosen_minus_rejected():
    left, right = torch.randn(100), torch.randn(100)
    preferred = (torch.rand(100) < 0.5).float()
    chosen = torch.where(preferred == 1, left, right)
    rejected = torch.where(preferred == 1, right, left)
    standard = -torch.nn.functional.logsigmoid(chosen - rejected).mean()
    assert torch.allclose(pairwise_loss(left, right, preferred, torch.ones(100)), standard)


def test_a_tie_is_served_best_by_equal_scores():
    def tie(left: float, right: float) -> float:
        scores = torch.tensor([left]), torch.tensor([right])
        return pairwise_loss(*scores, torch.tensor([0.5]), torch.ones(1)).item()

    assert tie(1.0, 1.0) == pytest.approx(math.log(2))
    assert tie(1.0, 1.0) < min(tie(1.5, 1.0), tie(1.0, 1.5))


def test_large_score_differences_stay_finite():
    scores = torch.tensor([1e4]), torch.tensor([-1e4])
    assert pairwise_loss(*scores, torch.zeros(1), torch.ones(1)).item() == pytest.approx(2e4)


# Training


def world(n: int = 300, width: int = 12, seed: int = 0):
    """Features whose first column decides; (features, draw(k, split, source, sign) -> pairs).

    Splits own a third of the candidates each; with sign -1 the lower one is preferred.
    """
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(n, width)).astype(np.float32)
    ids = [f"c{k}" for k in range(n)]

    def draw(k: int, split: str, source: str = "human", sign: int = 1) -> pd.DataFrame:
        third = SPLITS.index(split) * (n // 3)
        places = third + np.array([rng.choice(n // 3, 2, replace=False) for _ in range(k)])
        left, right = places.T
        return pd.DataFrame(
            {
                "left_id": [ids[i] for i in left],
                "right_id": [ids[i] for i in right],
                "preferred": (sign * matrix[left, 0] > sign * matrix[right, 0]).astype(float),
                "weight": 1.0,
                "source": source,
                "annotator": "majority" if source == "human" else "j",
                "split": split,
            }
        )

    return Features(ids, matrix), draw


def test_what_decides_is_learnt_and_holds_on_other_candidates():
    features, draw = world()
    selector = train_selector(
        draw(300, "train"), features, w_human=1, validation=draw(50, "validation"), **QUICK
    )
    assert pair_agreement(draw(300, "test"), selector.scores(features)).mean() > 0.9


def test_the_same_seed_trains_the_same_selector_whatever_was_drawn_before():
    features, draw = world()
    pairs = draw(100, "train")
    first = train_selector(pairs, features, w_human=1, seed=3, **QUICK)
    torch.rand(17)
    state = torch.random.get_rng_state()
    second = train_selector(pairs, features, w_human=1, seed=3, **QUICK)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert np.array_equal(first.score(features.matrix), second.score(features.matrix))
    other = train_selector(pairs, features, w_human=1, seed=4, **QUICK)
    assert not np.array_equal(first.score(features.matrix), other.score(features.matrix))


def test_w_human_zero_is_the_judge_alone():
    features, draw = world()
    human, judged = draw(50, "train"), draw(200, "train", "judge", sign=-1)
    mixed = train_selector(pd.concat([human, judged]), features, w_human=0, **QUICK)
    alone = train_selector(judged, features, w_human=1, **QUICK)
    assert np.array_equal(mixed.score(features.matrix), alone.score(features.matrix))
    assert (mixed.metrics["human_pairs"], mixed.metrics["judge_pairs"]) == (0, 200)


def test_where_people_and_judge_disagree_the_weight_decides_who_is_followed():
    features, draw = world()
    pairs = pd.concat([draw(60, "train"), draw(600, "train", "judge", sign=-1)])
    held_out = draw(300, "test")
    followed = [
        pair_agreement(
            held_out,
            train_selector(pairs, features, w_human=weight, **QUICK).scores(features),
        ).mean()
        for weight in (0.1, 200)
    ]
    assert followed[0] < 0.25 and followed[1] > 0.7


def test_the_weight_of_a_pair_counts_beside_w_human():
    features, draw = world()
    agree, against = draw(60, "train"), draw(60, "train", sign=-1)
    pairs = pd.concat([agree.assign(weight=20.0), against.assign(weight=0.0)])
    selector = train_selector(pairs, features, w_human=1, **QUICK)
    alone = train_selector(agree, features, w_human=20, **QUICK)
    assert np.array_equal(selector.score(features.matrix), alone.score(features.matrix))


def test_the_epoch_kept_is_the_one_that_served_validation_best():
    features, draw = world()
    validation = draw(80, "validation")
    selector = train_selector(
        draw(200, "train"), features, w_human=1, validation=validation, **QUICK
    )
    agreement = pair_agreement(validation, selector.scores(features)).mean()
    assert agreement == selector.metrics["validation_agreement"]
    against = draw(80, "validation", sign=-1)  # every further step makes it worse
    early = train_selector(draw(200, "train"), features, w_human=1, validation=against, **QUICK)
    assert early.metrics["epoch"] == 1
    assert len(early.losses) == early.metrics["steps"] == 6 * 3 * 4  # epochs, passes, batches


def test_without_validation_the_last_epoch_is_kept():
    features, draw = world()
    selector = train_selector(draw(200, "train"), features, w_human=1, **QUICK)
    assert selector.metrics["epoch"] == 6
    assert selector.metrics["validation_agreement"] is None


def test_few_pairs_are_gone_through_until_there_are_steps_enough():
    features, draw = world()
    few = train_selector(draw(50, "train"), features, w_human=1, hidden=8)
    assert few.metrics["steps"] == 300
    many = train_selector(draw(640, "train"), features, w_human=1, hidden=8, steps_at_least=1)
    assert many.metrics["steps"] == 6 * 10


def test_scoring_within_training_leaves_dropout_on_for_the_next_epoch():
    head = build_head(4, hidden=64, dropout=0.5).train()
    rows = torch.randn(10, 4)
    assert torch.equal(evaluate(head, rows), evaluate(head, rows))
    assert head.training
    assert not torch.equal(head(rows), head(rows))
    assert not evaluate(head, rows).requires_grad


def test_test_pairs_are_refused_for_training_and_for_every_choice():
    features, draw = world()
    with pytest.raises(ValueError, match="20 of 20 pairs are of the test split"):
        train_selector(draw(20, "test"), features, w_human=1)
    with pytest.raises(ValueError, match="5 of 5 validation are of the test split"):
        train_selector(draw(20, "train"), features, w_human=1, validation=draw(5, "test"))
    with pytest.raises(ValueError, match="5 of 5 validation are of the train split"):
        sweep(draw(20, "train"), features, validation=draw(5, "train"))


def test_nothing_to_learn_from_is_refused():
    features, draw = world()
    with pytest.raises(ValueError, match="20 pairs, 20 of them human, at w_human = 0"):
        train_selector(draw(20, "train"), features, w_human=0)
    with pytest.raises(ValueError, match="0 pairs, 0 of them human"):
        train_selector(draw(20, "train").iloc[:0], features, w_human=1)
    with pytest.raises(ValueError, match="have no features"):
        train_selector(draw(20, "train"), Features(["c0"], features.matrix[:1]), w_human=1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"w_human": -1}, "w_human must be 0 or more, not -1"),
        ({"w_human": math.nan}, "w_human must be 0 or more, not nan"),
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"lr": 0.0}, "lr must be above 0, not 0.0"),
        ({"dropout": 1.0}, "dropout must be from 0 to below 1, not 1.0"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_with_the_value(changed, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**{"w_human": 1.0, **changed})


def test_the_scale_of_a_feature_does_not_matter_and_a_constant_one_does_no_harm():
    features, draw = world()
    pairs = draw(100, "train")
    scaled = features.matrix * np.float32(1000) + np.float32(5)
    scaled[:, 3] = 7.0
    flat = features.matrix.copy()
    flat[:, 3] = 0.0
    first = train_selector(pairs, Features(features.ids, flat), w_human=1, **QUICK)
    second = train_selector(pairs, Features(features.ids, scaled), w_human=1, **QUICK)
    assert np.allclose(first.score(flat), second.score(scaled), atol=0.1)  # of about +-20


def test_the_sweep_keeps_the_selector_of_the_best_validation_agreement():
    features, draw = world()
    pairs = pd.concat([draw(40, "train"), draw(400, "train", "judge", sign=-1)])
    validation = draw(60, "validation")
    table, best = sweep(pairs, features, validation=validation, weights=(0, 1, 200), **QUICK)
    assert table["w_human"].tolist() == [0, 1, 200]
    assert best.w_human == 200
    assert best.metrics["validation_agreement"] == table["validation_agreement"].max()
    assert table["validation_agreement"].iloc[0] < 0.3
    with pytest.raises(ValueError, match="there are none"):
        sweep(pairs, features, validation=validation.iloc[:0])
    with pytest.raises(ValueError, match="no weights"):
        sweep(pairs, features, validation=validation, weights=())


# The selector and its folder


@pytest.fixture
def trained() -> tuple[Selector, Features]:
    features, draw = world()
    validation = draw(30, "validation")
    return (
        train_selector(draw(100, "train"), features, w_human=10, validation=validation, **QUICK),
        features,
    )


def test_a_selector_read_back_is_exactly_the_one_saved(trained, tmp_path):
    selector, features = trained
    folder = selector.save(tmp_path / "models" / "selector")
    names = ["config.json", "metrics.json", "model.safetensors"]
    assert sorted(path.name for path in folder.iterdir()) == names
    again = Selector.load(folder)
    assert np.array_equal(again.score(features.matrix), selector.score(features.matrix))
    assert again.config == selector.config and again.metrics == selector.metrics
    assert again.losses == selector.losses and again.w_human == 10
    assert json.loads((folder / "config.json").read_text())["w_human"] == 10


def test_a_folder_that_is_missing_newer_or_mixed_is_refused(trained, tmp_path):
    selector, features = trained
    with pytest.raises(FileNotFoundError, match="06_train_selector"):
        Selector.load(tmp_path / "none")
    folder = selector.save(tmp_path / "selector")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "format_version": 99}))
    with pytest.raises(OtherFormat, match="format version 99"):
        Selector.load(folder)
    (folder / "config.json").write_text(json.dumps({**config, "model_sha256": "0"}))
    with pytest.raises(ValueError, match="not the one that config.json names"):
        Selector.load(folder)


def test_scores_depend_on_a_candidate_alone_and_have_no_dropout(trained):
    selector, features = trained
    whole = selector.score(features.matrix)
    assert np.array_equal(whole, selector.score(features.matrix))
    assert np.allclose(whole[:5], selector.score(features.matrix[:5]), atol=1e-6)
    assert selector.score(features.matrix[:0]).shape == (0,)
    many = np.repeat(features.matrix, 40, axis=0)  # more rows than are scored at once
    assert np.allclose(selector.score(many), np.repeat(whole, 40), atol=1e-6)


def test_scores_are_a_table_of_the_run(trained, tmp_path):
    selector, features = trained
    table = selector.score_table(features, name="mixed")
    assert Workspace(tmp_path).write("scores", table) == len(features)
    assert table["uncertainty"].isna().all()
    assert table.set_index("candidate_id")["score"].equals(selector.scores(features))


def test_features_of_another_width_or_not_finite_are_refused(trained):
    selector, features = trained
    with pytest.raises(ValueError, match=r"shape \(2, 5\), this selector reads \(n, 12\)"):
        selector.score(np.zeros((2, 5)))
    broken = features.matrix.copy()
    broken[3, 1] = np.nan
    with pytest.raises(ValueError, match="1 of 300 scores are not finite"):
        selector.score(broken)


# Alignment


def pairs_of(*rows: tuple[str, str, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["left_id", "right_id", "preferred"])


def test_agreement_is_one_zero_or_half_and_a_null_score_counts_as_a_tie():
    pairs = pairs_of(("x", "y", 1.0), ("x", "y", 0.0), ("x", "z", 1.0), ("x", "n", 1.0))
    scores = pd.Series({"x": 2.0, "y": 1.0, "z": 2.0, "n": math.nan})
    assert pair_agreement(pairs, scores).tolist() == [1.0, 0.0, 0.5, 0.5]
    assert pair_agreement(pairs, scores.to_dict()).tolist() == [1.0, 0.0, 0.5, 0.5]
    assert pair_agreement(pairs.iloc[:0], scores).shape == (0,)


def test_agreement_refuses_missing_scores_and_undecided_pairs():
    with pytest.raises(ValueError, match="1 of 2 candidates have no score, first 'y'"):
        pair_agreement(pairs_of(("x", "y", 1.0)), {"x": 1.0})
    with pytest.raises(ValueError, match=r"1 of 1 pairs prefer neither side .*0.5"):
        pair_agreement(pairs_of(("x", "y", 0.5)), {"x": 1.0, "y": 2.0})


def test_numbers_are_compared_as_numbers():
    assert pair_agreement(pairs_of(("x", "y", 1.0)), {"x": 10, "y": 9}).tolist() == [1.0]


def test_auc_and_average_precision_equal_scikit_learn_ties_included():
    from sklearn.metrics import average_precision_score, roc_auc_score

    rng = np.random.default_rng(0)
    scores = {f"c{k}": float(value) for k, value in enumerate(rng.integers(0, 12, 80))}
    pairs = pairs_of(*((f"c{2 * k}", f"c{2 * k + 1}", float(k % 2)) for k in range(40)))
    preferred = set(better_of(pairs))
    labels = [name in preferred for name in scores]
    found = alignment_metrics(pairs, scores)
    values = list(scores.values())
    assert found["auc"] == pytest.approx(roc_auc_score(labels, values))
    assert found["average_precision"] == pytest.approx(average_precision_score(labels, values))
    assert found["agreement"] == pair_agreement(pairs, scores).mean()


def test_perfect_and_empty_rankings_reach_their_known_values():
    pairs = pairs_of(("a", "x", 1.0), ("y", "b", 0.0))
    perfect = alignment_metrics(pairs, {"a": 4.0, "b": 3.0, "x": 2.0, "y": 1.0})
    assert perfect == {"agreement": 1.0, "auc": 1.0, "mean_rank": 0.25, "average_precision": 1.0}
    silent = alignment_metrics(pairs, dict.fromkeys("abxy", 0.0))
    assert silent == {"agreement": 0.5, "auc": 0.5, "mean_rank": 0.5, "average_precision": 0.5}
    with pytest.raises(ValueError, match="0 null scores among 0 pairs"):
        alignment_metrics(pairs.iloc[:0], {})

"""The published recipe: pairwise loss, MLP and the sweep over the weight of human pairs."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from selector_rows import world

from vital_lib.selector import (
    Features,
    SelectorConfig,
    pair_agreement,
    pairwise_loss,
    sweep_published,
    train_published,
)
from vital_lib.selector.published import build_head, evaluate

QUICK = {"hidden": 64, "lr": 3e-3, "steps_at_least": 60}

# The loss


def test_the_loss_equals_the_papers_equation():
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


def test_with_unit_weights_and_no_ties_the_loss_is_the_standard_logsigmoid_loss():
    left, right = torch.randn(100), torch.randn(100)
    preferred = (torch.rand(100) < 0.5).float()
    chosen = torch.where(preferred == 1, left, right)
    rejected = torch.where(preferred == 1, right, left)
    standard = -torch.nn.functional.logsigmoid(chosen - rejected).mean()
    assert torch.allclose(pairwise_loss(left, right, preferred, torch.ones(100)), standard)


def test_equal_scores_minimise_the_loss_of_a_tie():
    def tie(left: float, right: float) -> float:
        scores = torch.tensor([left]), torch.tensor([right])
        return pairwise_loss(*scores, torch.tensor([0.5]), torch.ones(1)).item()

    assert tie(1.0, 1.0) == pytest.approx(math.log(2))
    assert tie(1.0, 1.0) < min(tie(1.5, 1.0), tie(1.0, 1.5))


def test_large_score_differences_stay_finite():
    scores = torch.tensor([1e4]), torch.tensor([-1e4])
    assert pairwise_loss(*scores, torch.zeros(1), torch.ones(1)).item() == pytest.approx(2e4)


# Training


def test_the_selector_generalises_to_other_candidates():
    features, draw = world()
    selector = train_published(
        draw(300, "train"), features, w_human=1, validation=draw(50, "validation"), **QUICK
    )
    assert pair_agreement(draw(300, "test"), selector.scores(features)).mean() > 0.9


def test_the_same_seed_trains_the_same_selector_regardless_of_the_random_state():
    features, draw = world()
    pairs = draw(100, "train")
    first = train_published(pairs, features, w_human=1, seed=3, **QUICK)
    torch.rand(17)
    state = torch.random.get_rng_state()
    second = train_published(pairs, features, w_human=1, seed=3, **QUICK)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert np.array_equal(first.scores(features), second.scores(features))
    other = train_published(pairs, features, w_human=1, seed=4, **QUICK)
    assert not np.array_equal(first.scores(features), other.scores(features))


def test_w_human_zero_trains_on_judge_pairs_only():
    features, draw = world()
    human, judged = draw(50, "train"), draw(200, "train", "judge", sign=-1)
    mixed = train_published(pd.concat([human, judged]), features, w_human=0, **QUICK)
    alone = train_published(judged, features, w_human=1, **QUICK)
    assert np.array_equal(mixed.scores(features), alone.scores(features))


def test_w_human_decides_between_people_and_a_disagreeing_judge():
    features, draw = world()
    pairs = pd.concat([draw(60, "train"), draw(600, "train", "judge", sign=-1)])
    held_out = draw(300, "test")
    followed = [
        pair_agreement(
            held_out,
            train_published(pairs, features, w_human=weight, **QUICK).scores(features),
        ).mean()
        for weight in (0.1, 200)
    ]
    assert followed[0] < 0.25 and followed[1] > 0.7


def test_the_weight_of_a_pair_multiplies_w_human():
    features, draw = world()
    agree, against = draw(60, "train"), draw(60, "train", sign=-1)
    pairs = pd.concat([agree.assign(weight=20.0), against.assign(weight=0.0)])
    selector = train_published(pairs, features, w_human=1, **QUICK)
    alone = train_published(agree, features, w_human=20, **QUICK)
    assert np.array_equal(selector.scores(features), alone.scores(features))


def test_the_epoch_with_the_best_validation_agreement_is_kept():
    features, draw = world()
    validation = draw(80, "validation")
    selector = train_published(
        draw(200, "train"), features, w_human=1, validation=validation, **QUICK
    )
    agreement = pair_agreement(validation, selector.scores(features)).mean()
    assert agreement == selector.metrics["validation_agreement"]
    against = draw(80, "validation", sign=-1)  # each step lowers the agreement
    early = train_published(draw(200, "train"), features, w_human=1, validation=against, **QUICK)
    assert early.metrics["epoch"] == 1
    assert early.metrics["steps"] == 6 * 3 * 4  # epochs, passes, batches


def test_without_validation_the_last_epoch_is_kept():
    features, draw = world()
    selector = train_published(draw(200, "train"), features, w_human=1, **QUICK)
    assert selector.metrics["epoch"] == 6
    assert selector.metrics["validation_agreement"] is None


def test_few_pairs_are_repeated_up_to_the_minimum_number_of_steps():
    features, draw = world()
    few = train_published(draw(50, "train"), features, w_human=1, hidden=8)
    assert few.metrics["steps"] == 300
    many = train_published(draw(640, "train"), features, w_human=1, hidden=8, steps_at_least=1)
    assert many.metrics["steps"] == 6 * 10


def test_evaluation_during_training_restores_dropout():
    head = build_head(4, hidden=64, dropout=0.5).train()
    rows = torch.randn(10, 4)
    assert torch.equal(evaluate(head, rows), evaluate(head, rows))
    assert head.training
    assert not torch.equal(head(rows), head(rows))
    assert not evaluate(head, rows).requires_grad


def test_test_pairs_are_refused_in_training_validation_and_sweep():
    features, draw = world()
    with pytest.raises(ValueError, match="20 of 20 rows of pairs are of the test split"):
        train_published(draw(20, "test"), features, w_human=1)
    with pytest.raises(ValueError, match="5 of 5 rows of validation are of the test split"):
        train_published(draw(20, "train"), features, w_human=1, validation=draw(5, "test"))
    with pytest.raises(ValueError, match="5 of 5 rows of validation are of the train split"):
        sweep_published(draw(20, "train"), features, validation=draw(5, "train"))


def test_training_without_usable_pairs_is_refused():
    features, draw = world()
    with pytest.raises(ValueError, match="20 pairs, 20 of them human, at w_human = 0"):
        train_published(draw(20, "train"), features, w_human=0)
    with pytest.raises(ValueError, match="0 pairs, 0 of them human"):
        train_published(draw(20, "train").iloc[:0], features, w_human=1)
    with pytest.raises(ValueError, match="have no features"):
        train_published(
            draw(20, "train"), Features(["c0"], {"text": features.matrix()[:1]}), w_human=1
        )


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
def test_an_invalid_setting_is_refused_with_the_value(changed, message):
    with pytest.raises(ValueError, match=message):
        SelectorConfig(**{"w_human": 1.0, **changed})


def test_scores_ignore_feature_scales_and_constant_features():
    features, draw = world()
    pairs = draw(100, "train")
    scaled = features.matrix() * np.float32(1000) + np.float32(5)
    scaled[:, 3] = 7.0
    flat = features.matrix().copy()
    flat[:, 3] = 0.0
    first, second = (Features(features.ids, {"text": rows}) for rows in (flat, scaled))
    scores = [
        train_published(pairs, known, w_human=1, **QUICK).scores(known) for known in (first, second)
    ]
    assert np.allclose(*scores, atol=0.1)  # scores are about +-20


def test_the_sweep_keeps_the_selector_with_the_best_validation_agreement():
    features, draw = world()
    pairs = pd.concat([draw(40, "train"), draw(400, "train", "judge", sign=-1)])
    validation = draw(60, "validation")
    table, best = sweep_published(
        pairs, features, validation=validation, weights=(0, 1, 200), **QUICK
    )
    assert table["w_human"].tolist() == [0, 1, 200]
    assert best.w_human == 200
    assert best.metrics["validation_agreement"] == table["validation_agreement"].max()
    assert table["validation_agreement"].iloc[0] < 0.3
    with pytest.raises(ValueError, match="no validation pairs to choose the weight on"):
        sweep_published(pairs, features, validation=validation.iloc[:0])
    with pytest.raises(ValueError, match="no weights to try"):
        sweep_published(pairs, features, validation=validation, weights=())


def test_a_score_depends_on_its_candidate_only_and_has_no_dropout():
    features, draw = world()
    selector = train_published(draw(100, "train"), features, w_human=10, **QUICK)
    whole = selector.scores(features)
    assert whole.equals(selector.scores(features)) and selector.w_human == 10
    few = Features(features.ids[:5], {"text": features.matrix()[:5]})
    assert np.allclose(whole[:5], selector.scores(few), atol=1e-6)
    names = [f"d{k}" for k in range(40 * len(features))]  # more rows than one batch
    many = Features(names, {"text": np.repeat(features.matrix(), 40, axis=0)})
    assert np.allclose(selector.scores(many), np.repeat(whole.to_numpy(), 40), atol=1e-6)
    with pytest.raises(ValueError, match=r"shape \(2, 5\): this selector needs \(n, 12\)"):
        selector.scores(Features(["a", "b"], {"text": np.zeros((2, 5))}))

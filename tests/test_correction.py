"""Claims about means that a judge predicts and a few labels correct."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

from vital_lib.statistics import Interval, corrected_interval, mean_interval

WORLDS = 200
CUT = 0.4  # a comparison within it is a tie
DRIFT = 0.2
_SCORE = NormalDist(DRIFT, math.hypot(1, 0.7))
TRUE = 1 - _SCORE.cdf(CUT) + 0.5 * (_SCORE.cdf(CUT) - _SCORE.cdf(-CUT))


def _verdicts(score):
    return np.where(score > CUT, 1.0, np.where(score < -CUT, 0.0, 0.5))


def world(seed, *, labelled=60, judge="biased", by="question", articles=100):
    """What clinicians would say of every question, and the judge: labels, values, groups, truth.

    Questions of one article share a part of both. `judge` is "biased", "constant" or "clinician".
    """
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 5, articles)
    groups = np.repeat(np.arange(articles), sizes)
    score = DRIFT + rng.normal(0, 0.7, articles)[groups] + rng.normal(0, 1, len(groups))
    noise = rng.normal(0, 0.5, articles)[groups] + rng.normal(0, 1, len(groups))
    truth = _verdicts(score)
    values = {
        "biased": _verdicts(0.7 * score + 0.7 * noise + 0.4),
        "constant": np.full(len(groups), 0.5),
        "clinician": truth,
    }[judge]
    drawn = rng.permutation(len(groups))
    if by == "article":
        drawn = np.concatenate([np.flatnonzero(groups == one) for one in rng.permutation(articles)])
    labels = np.full(len(groups), math.nan)
    labels[drawn[:labelled]] = truth[drawn[:labelled]]
    return labels, values, groups, truth


def _covered(worlds=WORLDS, **how):
    found = [corrected_interval(*world(seed, **how)[:3], seed=seed) for seed in range(worlds)]
    widths = [one.high - one.low for one in found]
    assert all(map(math.isfinite, widths))
    return np.mean([one.low <= TRUE <= one.high for one in found]), float(np.mean(widths))


@pytest.mark.slow
@pytest.mark.parametrize("by", ["question", "article"])
@pytest.mark.parametrize("judge", ["biased", "constant", "clinician"])
def test_the_interval_covers_the_truth_in_95_percent_of_worlds(judge, by):
    covered, _ = _covered(judge=judge, by=by)
    assert 0.90 <= covered <= 0.98


@pytest.mark.slow
def test_a_good_judge_narrows_the_interval_and_one_that_says_nothing_does_not_widen_it():
    good, none, same = (_covered(60, judge=name)[1] for name in ("biased", "constant", "clinician"))
    labels_alone = []
    for seed in range(60):
        labels, _, groups, _ = world(seed)
        known = ~np.isnan(labels)
        alone = mean_interval(labels[known], groups[known], seed=seed)
        labels_alone.append(alone.high - alone.low)
    assert none == pytest.approx(np.mean(labels_alone), rel=0.05)
    assert same < 0.8 * good and good < 0.95 * none


@pytest.mark.slow
def test_labels_that_are_all_equal_still_cover_the_truth():
    """Clinicians prefer one model in 97 of 100 articles: 25 labels are often all equal."""
    covered = equal = 0
    for seed in range(WORLDS):
        rng = np.random.default_rng(seed)
        truth = (rng.random(100) < 0.97).astype(float)
        labels = np.where(np.arange(100) < 25, truth, math.nan)
        if truth[:25].min() == 1:
            found = corrected_interval(labels, rng.random(100).round(), range(100), seed=seed)
            equal += 1
            covered += found.low <= 0.97 <= found.high
    assert equal > 50 and covered / equal >= 0.95


def test_a_biased_judge_is_corrected():
    labels, values, groups, truth = world(3, labelled=80)
    found = corrected_interval(labels, values, groups)
    assert values.mean() - truth.mean() > 0.05  # the judge flatters the model
    assert abs(found.estimate - truth.mean()) < 0.05
    assert found.low < truth.mean() < found.high
    assert found.n == 80 and found.groups == len(set(groups[~np.isnan(labels)]))


def test_a_judge_that_always_says_the_same_leaves_the_labels_mean():
    labels, values, groups, _ = world(1, judge="constant")
    known = ~np.isnan(labels)
    found = corrected_interval(labels, values, groups)
    alone = mean_interval(labels[known], groups[known])
    assert found.estimate == pytest.approx(alone.estimate)
    assert found.high - found.low == pytest.approx(alone.high - alone.low, rel=0.1)


def test_a_judge_equal_to_the_clinicians_gives_the_mean_of_all_rows():
    labels, values, groups, truth = world(2, judge="clinician")
    found = corrected_interval(labels, values, groups)
    assert found.estimate == pytest.approx(truth.mean(), abs=0.02)
    known = ~np.isnan(labels)
    alone = mean_interval(labels[known], groups[known])
    assert found.high - found.low < 0.8 * (alone.high - alone.low)


def test_a_judge_of_the_opposite_opinion_gets_no_weight():
    labels, values, groups, _ = world(1)
    found = corrected_interval(labels, 1 - values, groups)
    assert found.estimate == pytest.approx(np.nanmean(labels))


def test_labels_on_every_row_need_no_judge():
    _, values, groups, truth = world(1)
    found = corrected_interval(truth, values, groups)
    assert found.estimate == pytest.approx(truth.mean())
    assert (found.low, found.high) == pytest.approx(
        (lambda one: (one.low, one.high))(mean_interval(truth, groups)), abs=0.005
    )


@pytest.mark.parametrize("all_equal", [0.0, 0.5, 1.0])
def test_labels_that_are_all_equal_are_bounded_by_their_number_of_articles(all_equal):
    labels = np.where(np.arange(40) < 20, all_equal, math.nan)
    found = corrected_interval(labels, np.linspace(0, 1, 40), range(40))
    alike = 0.05 ** (1 / 20)  # 0.86: twenty of twenty, at the 5 % level
    assert found == Interval(
        all_equal,
        pytest.approx(alike * all_equal),
        pytest.approx(alike * all_equal + 1 - alike),
        20,
        20,
    )


def test_rows_that_cannot_be_corrected_are_refused():
    with pytest.raises(ValueError, match="an interval needs at least one"):
        corrected_interval([math.nan] * 3, [0.5] * 3, "abc")
    with pytest.raises(ValueError, match="1 of them NaN"):
        corrected_interval([1, math.nan], [0.5, math.nan], "ab")
    with pytest.raises(ValueError, match="2 labels, 3 values"):
        corrected_interval([1, math.nan], [0.5] * 3, "abc")


def test_a_null_of_pandas_is_no_label():
    labels, values, groups, _ = world(0)
    usual = corrected_interval(labels, values, groups, seed=0)
    given = [pd.NA if math.isnan(label) else label for label in labels]
    assert corrected_interval(given, values, groups, seed=0) == usual
    with pytest.raises(ValueError, match="1 of them NaN or infinite"):
        corrected_interval(given, [pd.NA, *values[1:]], groups, seed=0)

"""Claims about vital_lib.statistics on inputs small enough to check by hand."""

from __future__ import annotations

import itertools
import math

import krippendorff
import numpy as np
import pandas as pd
import pytest

from vital_lib.labels.alpha import alpha_interval
from vital_lib.statistics import (
    Interval,
    claim_difference,
    difference_interval,
    interval_of,
    mean_interval,
    ratio_interval,
    share_difference_interval,
    sign_flip_test,
    sums_interval,
    sums_intervals,
)


def preference_rows(ticks: np.ndarray) -> pd.DataFrame:
    """Rows of preferences from ticks (annotators, items, 2) of 1, 0 or NaN; sides swap by coder."""
    rows = []
    for (who, item), pair in zip(np.ndindex(ticks.shape[:2]), ticks.reshape(-1, 2), strict=True):
        sides = [0, 1] if (who + item) % 2 else [1, 0]
        left, right = (None if np.isnan(pair[side]) else bool(pair[side]) for side in sides)
        rows.append(
            {
                "item_id": f"i{item}",
                "annotator": f"p{who}",
                "left_id": f"i{item}-{'ab'[sides[0]]}",
                "right_id": f"i{item}-{'ab'[sides[1]]}",
                "left_accepted": left,
                "right_accepted": right,
            }
        )
    frame = pd.DataFrame(rows)
    return frame.astype({"left_accepted": "boolean", "right_accepted": "boolean"})


def noisy_ticks(seed: int = 0, people: int = 3, items: int = 40) -> np.ndarray:
    rng = np.random.default_rng(seed)
    truth = rng.random((1, items, 2)) < 0.6
    ticks = np.where(rng.random((people, items, 2)) < 0.2, ~truth, truth).astype(float)
    ticks[rng.random((people, items)) < 0.1] = np.nan  # a skip leaves out both sides
    return ticks


def package_alpha(ticks: np.ndarray) -> float:
    return krippendorff.alpha(ticks.reshape(len(ticks), -1), level_of_measurement="nominal")


def test_the_interval_equals_the_percentiles_of_every_possible_resample():
    values, groups = [0.0, 1.0, 5.0, 2.0], ["x", "x", "y", "z"]
    members = {"x": [0.0, 1.0], "y": [5.0], "z": [2.0]}
    means = [
        np.mean([value for name in drawn for value in members[name]])
        for drawn in itertools.product(members, repeat=3)
    ]
    found = mean_interval(values, groups, resamples=20_000)
    low, high = np.quantile(np.repeat(means, 1000), [0.025, 0.975])
    assert (found.estimate, found.n) == (2.0, 4)
    assert (found.low, found.high) == (low, high)


def test_groups_are_drawn_whole_so_copies_of_a_row_add_nothing():
    rng = np.random.default_rng(1)
    values, groups = rng.random(60), np.arange(60)
    once = mean_interval(values, groups)
    copied = mean_interval(np.repeat(values, 50), np.repeat(groups, 50))
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high))
    as_rows = mean_interval(np.repeat(values, 50), np.arange(3000))
    assert as_rows.high - as_rows.low < (once.high - once.low) / 4


def test_the_interval_holds_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(2)
    held = 0
    for trial in range(300):
        shared = rng.normal(size=50)
        values = (shared[:, None] + 0.3 * rng.normal(size=(50, 4))).ravel()
        found = mean_interval(values, np.repeat(np.arange(50), 4), seed=trial, resamples=500)
        held += found.low <= 0 <= found.high
    assert 0.90 <= held / 300 <= 0.98


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    values, groups = np.random.default_rng(3).random(30), range(30)
    assert mean_interval(values, groups, seed=5) == mean_interval(values, groups, seed=5)
    assert mean_interval(values, groups, seed=5) != mean_interval(values, groups, seed=6)


def test_a_constant_difference_has_an_interval_without_width():
    a = np.random.default_rng(4).integers(0, 100, 40)
    found = difference_interval(a + 2, a, range(40))
    assert (found.estimate, found.low, found.high, found.n) == (2.0, 2.0, 2.0, 40)


def test_a_ratio_is_of_sums_and_a_resample_without_denominator_is_left_out():
    found = ratio_interval([1, 0, 1], [1, 0, 2], ["x", "y", "z"])
    assert found.estimate == 2 / 3
    assert 0.5 <= found.low <= found.high <= 1
    with pytest.raises(ValueError, match="2 denominators sum to 0"):
        ratio_interval([1, 1], [0, 0], ["x", "y"])


def test_an_article_in_both_arms_is_drawn_for_both():
    rng = np.random.default_rng(5)
    level = rng.normal(size=200)
    shared = share_difference_interval(level + 0.1, range(200), level, range(200))
    apart = share_difference_interval(level + 0.1, range(200), level, range(1000, 1200))
    assert shared.estimate == pytest.approx(0.1)
    assert shared.high - shared.low < 1e-9
    assert apart.low < 0 < apart.high


def test_two_sets_of_unlike_size_differ_by_their_means():
    found = share_difference_interval([1, 1, 0, 0], "abcd", [1, 0, 0, 0, 0], "abcde")
    assert found.estimate == pytest.approx(0.3)
    assert found.n == 9


def test_one_group_gives_an_estimate_and_no_interval():
    found = mean_interval([1.0, 2.0], ["x", "x"])
    assert found.estimate == 1.5
    assert math.isnan(found.low) and math.isnan(found.high)
    assert found.metrics("stage.figure") == {"stage.figure": 1.5}


def test_metrics_are_named_with_low_and_high():
    found = Interval(0.5, 0.4, 0.6, 10).metrics("evaluate.open_recall")
    assert found == {
        "evaluate.open_recall": 0.5,
        "evaluate.open_recall_low": 0.4,
        "evaluate.open_recall_high": 0.6,
    }


def test_nan_is_refused_with_the_count():
    with pytest.raises(ValueError, match="2 of 3 values are NaN"):
        mean_interval([1.0, math.nan, None], "xyz")
    with pytest.raises(ValueError, match="1 of 2 b are NaN"):
        difference_interval([1.0, 2.0], [1.0, math.nan], "xy")


def test_empty_input_and_wrong_groups_are_refused():
    with pytest.raises(ValueError, match="no values"):
        mean_interval([], [])
    with pytest.raises(ValueError, match="1 groups for 2 values"):
        mean_interval([1, 2], ["x"])
    with pytest.raises(ValueError, match="1 of 2 values have no group"):
        mean_interval([1, 2], ["x", None])
    with pytest.raises(ValueError, match="2 in a, 1 in b"):
        difference_interval([1, 2], [1], ["x", "y"])
    with pytest.raises(ValueError, match="not 0"):
        mean_interval([1, 2], "xy", resamples=0)


def test_booleans_and_nullable_columns_are_numbers():
    column = pd.Series([True, False, True, True], dtype="boolean")
    assert mean_interval(column, range(4)).estimate == 0.75
    assert mean_interval((value for value in [True, False]), "xy").estimate == 0.5


@pytest.mark.parametrize("seed", range(5))
def test_alpha_equals_the_krippendorff_package(seed):
    ticks = noisy_ticks(seed)
    rows = preference_rows(ticks)
    assert alpha_interval(rows, rows["item_id"]).estimate == pytest.approx(package_alpha(ticks))


def test_the_alpha_interval_equals_one_computed_with_the_package_on_every_resample():
    ticks = noisy_ticks(items=12)
    rows = preference_rows(ticks)
    found = alpha_interval(rows, rows["item_id"], seed=1, resamples=4000)
    rng = np.random.default_rng(7)
    drawn = [package_alpha(ticks[:, rng.integers(12, size=12)]) for _ in range(4000)]
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.03)


def test_a_response_keeps_its_identity_when_its_side_changes():
    ticks = np.array([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])
    rows = preference_rows(ticks)
    assert set(rows["left_id"]) > {"i0-a", "i0-b"}  # the two annotators saw opposite sides
    assert alpha_interval(rows, rows["item_id"]).estimate == 1.0


def test_alpha_without_any_variation_is_not_a_number():
    rows = preference_rows(np.ones((2, 5, 2)))
    found = alpha_interval(rows, rows["item_id"])
    assert math.isnan(found.estimate) and found.n == 10
    assert found.metrics("label.alpha") == {}


def test_alpha_needs_responses_that_two_annotators_judged():
    with pytest.raises(ValueError, match="by 1 annotators share none"):
        alpha_interval(preference_rows(np.ones((1, 5, 2))), range(5))
    with pytest.raises(ValueError, match="no preferences"):
        alpha_interval(preference_rows(np.ones((2, 5, 2))).iloc[:0], [])


def test_alpha_refuses_a_response_judged_twice_by_one_annotator():
    rows = preference_rows(np.ones((2, 2, 2)))
    twice = pd.concat([rows, rows.iloc[:1]])
    with pytest.raises(ValueError, match="2 of 10 judgements occur twice, .*'p0'.*preferences"):
        alpha_interval(twice, twice["item_id"])


def test_many_groups_are_drawn_in_blocks_with_the_same_result(monkeypatch):
    values = np.random.default_rng(9).random(50)
    whole = mean_interval(values, range(50))
    monkeypatch.setattr("vital_lib.statistics.intervals._DRAWS_AT_ONCE", 500)
    assert mean_interval(values, range(50)) == whole


@pytest.mark.parametrize(
    ("ends", "sentence"),
    [
        ((0.044, 0.014, 0.072), "better than random: +4.4 points [1.4, 7.2]"),
        ((-0.031, -0.05, -0.012), "worse than random: −3.1 points [−5.0, −1.2]"),
        ((0.008, -0.012, 0.029), "no clear difference from random: +0.8 points [−1.2, 2.9]"),
        ((0.02, 0.0, 0.04), "no clear difference from random: +2.0 points [0.0, 4.0]"),
        ((-0.0001, -0.01, 0.01), "no clear difference from random: +0.0 points [−1.0, 1.0]"),
    ],
)
def test_a_claim_follows_from_where_the_interval_lies(ends, sentence):
    assert claim_difference("random", Interval(*ends, n=300, groups=80)) == sentence


def test_a_claim_has_its_own_unit_and_words():
    found = claim_difference(
        "the judge", Interval(1.5, 1.0, 2.0, 9), unit="%", scale=1, words=("above", "below")
    )
    assert found == "above the judge: +1.5 % [1.0, 2.0]"


def test_no_claim_is_made_of_too_few_articles_and_the_sentence_says_so():
    nine = difference_interval([1.0] * 9, [0.0] * 9, range(9))
    ten = difference_interval([1.0] * 10, [0.0] * 10, range(10))
    assert claim_difference("base", nine) == (
        "no comparison with base: 9 articles, 10 needed (+100.0 points)"
    )
    assert claim_difference("base", ten) == "better than base: +100.0 points [100.0, 100.0]"


def test_no_claim_is_made_without_an_interval_or_a_measurement():
    alone = Interval(0.1, math.nan, math.nan, 5)
    assert (
        claim_difference("base", alone)
        == "no comparison with base: +10.0 points without an interval"
    )
    for missing in (None, Interval(math.nan, math.nan, math.nan, 0)):
        assert claim_difference("base", missing) == (
            "no comparison with base: the difference was not measured"
        )


def test_an_interval_comes_back_from_the_metrics_it_was_written_to():
    found = interval_of(Interval(0.5, 0.4, 0.6, 10).metrics("a.b"), "a.b")
    assert (found.estimate, found.low, found.high) == (0.5, 0.4, 0.6)
    assert math.isnan(interval_of({"a.b": 0.5}, "a.b").low)
    assert interval_of({"a.c": 0.5}, "a.b") is None


def test_several_intervals_of_the_same_sums_are_those_of_each_alone():
    rng = np.random.default_rng(0)
    groups, columns = rng.integers(0, 12, 40), rng.random((3, 40))
    first = sums_interval(groups, columns, lambda sums: sums[:, 0] / sums[:, 1], n=40)
    second = sums_interval(groups, columns, lambda sums: sums[:, 2] / sums[:, 1], n=7)
    both = sums_intervals(groups, columns, lambda sums: sums[:, [0, 2]] / sums[:, [1]], n=[40, 7])
    assert both == [first, second]


def test_a_sign_flip_test_is_the_share_of_all_flips_that_lie_as_far_out():
    values, groups = np.array([3.0, 1.0, 2.0, -0.5, 1.5]), ["a", "a", "b", "c", "d"]
    sums = [4.0, 2.0, -0.5, 1.5]
    every = [abs(np.dot(signs, sums)) for signs in itertools.product((-1, 1), repeat=4)]
    exact = np.mean([far >= abs(sum(sums)) for far in every])
    [p] = sign_flip_test(values[:, None], groups, flips=20_000)
    assert p == pytest.approx(exact, abs=0.01)


def test_equal_columns_have_equal_p_values_and_no_effect_has_one_of_1():
    values = np.array([[1.0, 1.0, 0.0], [2.0, 2.0, 0.0], [-1.0, -1.0, 0.0]])
    first, second, none = sign_flip_test(values, ["a", "b", "c"], flips=99)
    assert first == second and none == 1

"""Claims about several comparisons at once, and about the sample that a difference needs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vital_lib.claims import POINTS, claims
from vital_lib.statistics import (
    Interval,
    adjusted_p_values,
    mean_interval,
    p_value,
    sums_intervals,
    times_needed,
)

RECALL = "evaluation.open_recall_selected_minus_"
COUNTS = {"evaluation.open_questions": 300, "evaluation.open_articles": 200}


def test_holms_adjusted_p_values_are_those_of_a_worked_example():
    found = adjusted_p_values([0.01, 0.04, 0.03, 0.005])
    assert found.tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert adjusted_p_values([0.6, 0.7]).tolist() == [1.0, 1.0]
    assert adjusted_p_values([]).tolist() == []


def test_what_was_not_compared_does_not_count_as_a_comparison():
    found = adjusted_p_values([0.01, math.nan, 0.02])
    assert found[[0, 2]].tolist() == pytest.approx([0.02, 0.02]) and math.isnan(found[1])


@pytest.mark.parametrize("sign", [1, -1])
def test_a_p_value_is_below_5_percent_exactly_if_the_interval_leaves_out_0(sign):
    for low, p in ((0.001, "below"), (0.0, "at"), (-0.001, "above")):
        ends = sorted((sign * low, sign * 0.09))
        found = p_value(Interval(sign * 0.04, *ends, 100))
        assert found == pytest.approx(0.05, abs=0.006)
        assert {"below": found < 0.05, "at": math.isclose(found, 0.05), "above": found > 0.05}[p]


def test_a_p_value_of_an_interval_without_width_or_without_bounds():
    assert p_value(Interval(1.0, 1.0, 1.0, 9)) == 0
    assert p_value(Interval(0.0, 0.0, 0.0, 9)) == 1
    assert math.isnan(p_value(Interval(0.2, math.nan, math.nan, 9)))


def test_a_false_difference_is_clear_in_about_5_percent_of_families_after_holm():
    """Ten comparisons without any difference, 300 times; without Holm, one is clear in 40 %."""
    rng = np.random.default_rng(0)
    raw = after = 0
    for seed in range(300):
        columns = rng.normal(size=(10, 100))
        means = {"n": [100] * 10, "seed": seed, "resamples": 1000}
        found = sums_intervals(range(100), columns, lambda sums: sums / 100, **means)
        p_values = [p_value(one) for one in found]
        raw += min(p_values) < 0.05
        after += adjusted_p_values(p_values).min() < 0.05
    assert raw > 90 and after < 25


def test_the_sample_needed_gives_the_power_that_it_was_planned_for():
    """A pilot of 40 articles of three answers; then 300 studies of the planned size."""
    rng = np.random.default_rng(1)

    def study(articles: int, difference: float) -> Interval:
        groups = np.repeat(np.arange(articles), 3)
        noise = rng.normal(0, 0.3, articles)[groups] + rng.normal(0, 0.3, len(groups))
        return mean_interval(noise + difference, groups, resamples=300)

    pilots = [times_needed(study(40, 0.0), 0.1) for _ in range(20)]
    articles = math.ceil(40 * float(np.mean(pilots)))
    found = np.mean([study(articles, 0.1).low > 0 for _ in range(300)])
    assert 0.73 < found < 0.87
    assert 80 < articles < 130  # as many independent answers would be 47 articles


def test_a_sample_is_planned_for_a_difference_and_a_power():
    interval = Interval(0.0, -0.0196, 0.0196, 100)  # a standard error of 0.01
    assert times_needed(interval, 0.028) == pytest.approx(1.0, abs=0.01)
    assert times_needed(interval, -0.014) == pytest.approx(4.0, abs=0.05)
    assert times_needed(interval, 0.028, power=0.9) > 1.3
    for difference, power in ((0, 0.8), (0.1, 1.0)):
        with pytest.raises(ValueError, match="give a difference other than 0"):
            times_needed(interval, difference, power=power)


def _claims(**ends):
    metrics = dict(COUNTS)
    for other, (estimate, low, high) in ends.items():
        metrics |= Interval(estimate, low, high, 300).metrics(RECALL + other)
    return claims(metrics, simulated=True).set_index("against")["claim"]


def test_a_clear_claim_is_tested_again_among_all_comparisons():
    found = _claims(random=(0.05, 0.001, 0.099), base=(0.05, 0.03, 0.07))
    assert found["the base model"].endswith("; clear among 2 comparisons, Holm (p < 0.001)")
    [said] = [words for words in found if "[0.1, 9.9]" in words]
    assert said.startswith("better than the model tuned on a random sample: +5.0 points")
    three = _claims(
        random=(0.05, 0.001, 0.099), base=(0.05, 0.001, 0.099), unaligned=(0.01, -0.02, 0.04)
    )
    assert three["the base model"].endswith("; not clear among 3 comparisons, Holm (p = 0.137)")


def test_a_claim_alone_is_not_adjusted():
    [said] = _claims(random=(0.05, 0.02, 0.08))
    assert said == "better than the model tuned on a random sample: +5.0 points [2.0, 8.0]"


def test_an_unclear_claim_says_which_sample_would_show_three_points():
    [said] = _claims(random=(0.01, -0.03, 0.05))
    assert POINTS == 3
    assert said == (
        "no clear difference from the model tuned on a random sample: +1.0 points [−3.0, 5.0]; "
        "3 points need about 1,100 open questions, 730 articles (power 80 %)"
    )


def test_a_win_rate_in_percent_is_planned_in_points_too():
    metrics = Interval(51.0, 47.0, 55.0, 300).metrics("evaluation.win_rate_percent")
    [said] = claims({**COUNTS, **metrics}, simulated=True)["claim"]
    assert said.endswith("3 points need about 1,100 open questions, 730 articles (power 80 %)")


def test_a_claim_of_few_articles_is_no_comparison():
    metrics = {**COUNTS, "evaluation.open_articles": 9}
    metrics |= Interval(0.05, 0.02, 0.08, 9).metrics(RECALL + "random")
    metrics |= Interval(0.05, 0.02, 0.08, 9).metrics("selector.agreement_minus_judge")
    metrics |= Interval(0.02, -0.02, 0.08, 9).metrics("selector.agreement_minus_judge_mean_of_5")
    said = claims(metrics, simulated=True)["claim"]
    assert sum("comparisons, Holm" in words for words in said) == 1
    assert "2 comparisons" in " ".join(said)

"""Claims about worlds in which the method has nothing to find, and then must find nothing.

Each null world takes away one cause: people who mean what they tick, a judge that differs from
them, a generator that errs, demonstrations that people accepted. What that cause brings about in
the ordinary world must then be gone. The ordinary world is built in the same harness, so that a
null world's silence means something: where it shows an effect, the null world's interval must be
narrow enough to have shown it too.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from vital_lib import rewards
from vital_lib.clinic.rates import DEFAULT_RATES, FACTUAL, STYLE
from vital_lib.statistics import Interval
from vital_lib.study import world as worlds

pytestmark = pytest.mark.slow

ARTICLES = 250
ENOUGH = 3  # standard errors; with two, one claim in twenty would fail by chance alone


def is_nothing(interval: Interval, expected: float = 0.0) -> bool:
    """Whether the estimate lies within sampling error of `expected`."""
    standard_error = (interval.high - interval.low) / (2 * 1.96)
    return abs(interval.estimate - expected) <= ENOUGH * standard_error


def half_width(interval: Interval) -> float:
    return (interval.high - interval.low) / 2


@pytest.fixture(scope="module")
def grounds(tmp_path_factory):
    return worlds.draw_grounds(tmp_path_factory.mktemp("run"), articles=ARTICLES)


# ------------------------------------------------------------------------------ the ordinary world


@pytest.fixture(scope="module")
def ordinary(grounds):
    return worlds.open_world(grounds, "ordinary")


@pytest.fixture(scope="module")
def unshown(ordinary):
    """Its candidates without demonstrations, two conversations a figure."""
    return pd.concat([worlds.write(ordinary, None, seed=seed) for seed in range(2)])


@pytest.fixture(scope="module")
def accepted_shown(ordinary):
    """Its candidates after demonstrations of accepted responses, two conversations a figure."""
    pool = worlds.accepted_pool(ordinary)
    return pd.concat([worlds.write(ordinary, pool, seed=seed) for seed in range(2)])


@pytest.fixture(scope="module")
def candidates(accepted_shown):
    """Of these the first conversations, to be selected from."""
    return accepted_shown.drop_duplicates("candidate_id")


@pytest.fixture(scope="module")
def learned(ordinary, candidates):
    return worlds.learn(ordinary, candidates, worlds.rate(ordinary, candidates))


@pytest.fixture(scope="module")
def selected_minus_random(ordinary, candidates, learned):
    return worlds.selected_minus_random(ordinary, candidates, learned.scores)


def test_ordinarily_accepted_demonstrations_raise_the_accepted_share(
    ordinary, accepted_shown, unshown
):
    assert worlds.accepted_minus(ordinary, accepted_shown, unshown).low > 0


@pytest.mark.parametrize("fault", STYLE)
def test_ordinarily_accepted_demonstrations_make_a_fault_of_style_rarer(
    ordinary, accepted_shown, unshown, fault
):
    assert worlds.error_minus(ordinary, fault, accepted_shown, unshown).high < 0


@pytest.mark.parametrize("error", FACTUAL)
def test_ordinarily_accepted_demonstrations_leave_a_factual_error_as_common(
    ordinary, accepted_shown, unshown, error
):
    change = worlds.error_minus(ordinary, error, accepted_shown, unshown)
    assert is_nothing(change), change
    before = np.mean(worlds.has_error(ordinary, error, unshown))
    assert half_width(change) < before / 2  # had it become half as common, it would be seen


def test_ordinarily_the_selector_agrees_with_people_beyond_chance(learned):
    assert learned.agreement().low > 0.5


def test_ordinarily_the_judge_is_not_the_people(learned):
    assert learned.judge_agreement().high < 1


def test_ordinarily_people_accept_more_of_the_selected_than_of_a_draw(selected_minus_random):
    assert selected_minus_random.low > 0


def test_ordinarily_people_are_found_to_reward_what_they_mean(ordinary):
    """They reject overconfident and vague answers: the clinic's rates say so, the measure is not
    told."""
    found = rewards.rewards(ordinary.drafts, ordinary.preferences)
    people = found[found["kind"] == rewards.ALL].set_index("property")
    assert people.loc[["absolutes", "hedges"], "found"].all()
    assert (people.loc[["absolutes", "hedges"], "high"] < 0).all()


# ------------------------------------------------------------------- people who tick at random


@pytest.fixture(scope="module")
def coins(ordinary, grounds):
    return worlds.with_people(ordinary, "coins", worlds.CoinTossers(grounds.figures, None))


@pytest.fixture(scope="module")
def coins_shown(coins):
    return worlds.write(coins, worlds.accepted_pool(coins))


@pytest.fixture(scope="module")
def coins_learned(coins, coins_shown):
    return worlds.learn(coins, coins_shown, worlds.rate(coins, coins_shown))


def test_no_selector_foresees_coins(coins_learned, learned):
    agreement = coins_learned.agreement()
    assert is_nothing(agreement, 0.5), agreement
    assert half_width(agreement) < learned.agreement().estimate - 0.5


def test_coins_accept_no_more_of_the_selected_than_of_a_draw(
    coins, coins_shown, coins_learned, selected_minus_random
):
    ahead = worlds.selected_minus_random(coins, coins_shown, coins_learned.scores)
    assert is_nothing(ahead), ahead
    assert half_width(ahead) < selected_minus_random.estimate


def test_coins_are_found_to_reward_nothing(coins):
    found = rewards.rewards(coins.drafts, coins.preferences)
    assert found["p"].notna().sum() > 30 and not found["found"].any()


# ------------------------------------------------------------------ a judge who is the people


@pytest.fixture(scope="module")
def same_judge_learned(ordinary, candidates):
    ratings = worlds.peoples_ratings(ordinary, candidates)
    return worlds.learn(ordinary, candidates, ratings)


def test_a_judge_who_is_the_people_is_always_right_about_them(same_judge_learned):
    assert same_judge_learned.judge_agreement().low == 1.0


def test_the_selector_is_not_ahead_of_a_judge_who_is_the_people(same_judge_learned):
    ahead = same_judge_learned.agreement_minus_judge()
    assert ahead.low <= 0 and ahead.estimate <= 0, ahead


# --------------------------------------------------------------- a generator without errors


@pytest.fixture(scope="module")
def sound(grounds):
    rates = replace(
        DEFAULT_RATES, factual=dict.fromkeys(FACTUAL, 0.0), style=dict.fromkeys(STYLE, 0.0)
    )
    return worlds.open_world(grounds, "sound", rates=rates)


@pytest.fixture(scope="module")
def sound_unshown(sound):
    return worlds.write(sound, None)


@pytest.fixture(scope="module")
def sound_shown(sound):
    return worlds.write(sound, worlds.accepted_pool(sound))


@pytest.mark.parametrize("error", (*FACTUAL, *STYLE))
def test_a_generator_without_errors_makes_none(sound, sound_unshown, sound_shown, error):
    for candidates in (sound.drafts, sound_unshown, sound_shown):
        assert not any(worlds.has_error(sound, error, candidates))


def test_without_errors_the_arms_do_not_differ(sound, sound_shown, sound_unshown):
    change = worlds.accepted_minus(sound, sound_shown, sound_unshown)
    assert is_nothing(change) and abs(change.estimate) < 0.03, change
    assert half_width(change) < 0.03


def test_without_errors_people_accept_no_more_of_the_selected_than_of_a_draw(sound, sound_shown):
    learned = worlds.learn(sound, sound_shown, worlds.rate(sound, sound_shown))
    ahead = worlds.selected_minus_random(sound, sound_shown, learned.scores)
    assert is_nothing(ahead) and abs(ahead.estimate) < 0.03, ahead
    assert half_width(ahead) < 0.03


# ------------------------------------------------------- demonstrations that people rejected


def test_rejected_demonstrations_do_not_raise_the_accepted_share(ordinary, unshown):
    after_rejected = worlds.write(ordinary, worlds.rejected_pool(ordinary))
    change = worlds.accepted_minus(ordinary, after_rejected, unshown)
    assert change.estimate <= 0, change

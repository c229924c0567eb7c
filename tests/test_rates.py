"""The clinic's rates: pinned, read-only, and checked when made."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from vital_lib.clinic.rates import DEFAULT_RATES, JudgeRates, Rates, rates_fingerprint

# Fixed before any result was seen. A change of any rate changes this hash, and needs a line in
# CHANGELOG.md with the reason and the run's figures before and after; only then update it here.
PINNED = "18098e49ddba87cfb7ba671547dab31fc87d4b60d604f3ce30ddbc31c6b9d9ef"


def test_the_rates_are_those_fixed_before_any_result():
    assert rates_fingerprint(DEFAULT_RATES) == PINNED


def test_any_changed_rate_changes_the_fingerprint():
    changed = (
        Rates(factual={**DEFAULT_RATES.factual, "wrong_side": 0.21}),
        Rates(demonstration_half=11.0),
        Rates(judge=JudgeRates(noise_sd=0.9)),
        Rates(clinician_slip=0.02),
    )
    assert len({rates_fingerprint(rates) for rates in (DEFAULT_RATES, *changed)}) == 5


def test_the_order_of_a_mapping_does_not_change_the_fingerprint():
    turned = Rates(style=dict(reversed(DEFAULT_RATES.style.items())))
    assert rates_fingerprint(turned) == rates_fingerprint(DEFAULT_RATES)


def test_nobody_can_change_a_rate_in_place():
    with pytest.raises(FrozenInstanceError):
        DEFAULT_RATES.clinician_slip = 0.0
    with pytest.raises(TypeError):
        DEFAULT_RATES.factual["wrong_side"] = 0.0
    with pytest.raises(TypeError):
        DEFAULT_RATES.clinician_minds["strict"]["vague"] = 0.0
    with pytest.raises(TypeError):
        DEFAULT_RATES.judge.sees["side"] = 1.0


def test_a_callers_own_dict_is_copied():
    mine = dict(DEFAULT_RATES.factual)
    rates = Rates(factual=mine)
    mine["wrong_side"] = 1.0
    assert rates.factual["wrong_side"] == DEFAULT_RATES.factual["wrong_side"]


def test_the_judges_are_blindest_to_side_and_count():
    for judge in (DEFAULT_RATES.judge, DEFAULT_RATES.second):
        others = [judge.sees[name] for name in ("modality", "finding", "level", "size")]
        assert max(judge.sees["side"], judge.sees["count"]) < min(others)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_chance_outside_0_to_1_is_refused_with_its_value(value):
    with pytest.raises(ValueError, match=f"wrong_side is {value}"):
        Rates(factual={**DEFAULT_RATES.factual, "wrong_side": value})


def test_an_unknown_or_missing_fault_is_refused():
    with pytest.raises(ValueError, match="sloppy"):
        Rates(style={**DEFAULT_RATES.style, "sloppy": 0.1})
    with pytest.raises(ValueError, match="wanted exactly"):
        JudgeRates(sees={"side": 0.5})


def test_demonstrations_of_no_weight_are_refused():
    with pytest.raises(ValueError, match="demonstration_half is 0"):
        Rates(demonstration_half=0)

"""Claims about whose votes they are: counted, named, and kept apart from those of programs."""

from __future__ import annotations

import pandas as pd
import pytest

from vital_lib.annotators import (
    Votes,
    check_person,
    is_simulated,
    kind_of,
    signed,
    votes_behind,
    votes_of,
    who,
)
from vital_lib.clinic import CLINICIANS

ALL = Votes(6, simulated=6)


@pytest.mark.parametrize(
    ("votes", "named", "told"),
    [
        (Votes(), "nobody", "no votes yet"),
        (Votes(1), "clinicians", "1 vote of clinicians"),
        (Votes(1200), "clinicians", "1,200 votes of clinicians"),
        (ALL, "simulated clinicians", "6 votes of simulated clinicians"),
        (
            Votes(6, 6, 6),
            "simulated clinicians",
            "6 votes of simulated clinicians, all judged without truth",
        ),
        (
            Votes(6, 2, 1),
            "clinicians (some simulated)",
            "6 votes of clinicians (some simulated), 2 of 6 votes simulated, 1 of 6 judged without "
            "truth",
        ),
    ],
)
def test_votes_are_named_by_whose_they_are(votes, named, told):
    assert (votes.who, str(votes)) == (named, told)
    assert Votes.recorded(votes.metrics("arms"), "arms") == votes


def test_of_votes_of_which_nothing_is_recorded_nobody_is_claimed():
    assert votes_behind({"selection.accepted_share_selected": 0.5}, "selector.agreement") is None
    assert "clinicians" not in who(None) and "not recorded" in who(None)
    assert kind_of({}, "selector.agreement") == "not recorded"


@pytest.mark.parametrize(
    ("metric", "stage"),
    [
        ("preferences.alpha", "preferences"),
        ("candidates.accepted_share_none", "candidates"),
        ("arms.a_win_rate", "arms"),
        ("judge.calibration_error", "judge"),
        ("selector.agreement_at_25_items", "selector"),
        ("selection.accepted_share_selected_minus_random", "selection"),
        ("evaluation.win_rate_clinicians_base_percent", "evaluation"),
    ],
)
def test_what_rests_on_votes_says_whose(metric, stage):
    assert kind_of(ALL.metrics(stage), metric) == "simulated"
    assert kind_of(Votes(3).metrics(stage), metric) == "people"
    assert kind_of(Votes(4, 1).metrics(stage), metric) == "people, 1 of 4 votes simulated"


@pytest.mark.parametrize(
    "metric",
    ["figures.n", "candidates.n", "selection.share", "judge.nulls", "evaluation.win_rate_percent"],
)
def test_what_rests_on_no_votes_says_nothing_of_them(metric):
    counted = {stage: ALL.metrics(stage) for stage in ("candidates", "selection", "judge")}
    assert kind_of({k: v for counts in counted.values() for k, v in counts.items()}, metric) == ""


def test_the_judges_agreement_measured_again_with_the_selector_has_the_selectors_votes():
    metrics = Votes(3).metrics("judge") | ALL.metrics("selector")
    assert kind_of(metrics, "judge.agreement_mean_of_5") == "simulated"
    assert kind_of(metrics, "judge.length_bias") == "people"
    assert kind_of(Votes(3).metrics("judge"), "judge.agreement") == "people"


ROWS = pd.DataFrame({"annotator": ["ann", signed("strict"), "moderate"], "n": [1, 2, 3]})


def test_with_people_simulated_votes_count_nowhere():
    assert votes_of(ROWS, "people")["n"].tolist() == [1]
    assert votes_of(ROWS, "clinic")["n"].tolist() == [1, 2, 3]
    assert votes_of(ROWS[1:], "people").empty and votes_of(ROWS[:0], "people").empty


def test_a_demonstration_counts_where_a_person_accepted_it_or_it_was_published():
    named = [["ann", signed("strict")], [signed("strict"), signed("lenient")], []]
    pool = pd.DataFrame({"annotators": named, "n": [1, 2, 3]})
    assert votes_of(pool, "people")["n"].tolist() == [1, 3]


def test_another_word_for_annotators_is_refused():
    with pytest.raises(ValueError, match="annotators = 'persons': give one of 'clinic', 'people'"):
        votes_of(ROWS, "persons")


def test_nobody_signs_as_a_simulated_clinician_does():
    for name in (*CLINICIANS, *map(signed, CLINICIANS)):
        assert is_simulated(name)
        with pytest.raises(ValueError, match="is the name of a simulated clinician"):
            check_person(name)
    check_person("ann")

"""Claims about the computed sentences: what they say follows from the metrics alone."""

from __future__ import annotations

from vital_lib.claims import CLAIMS, claims
from vital_lib.statistics import Interval

RECALL = "evaluation.open_recall_selected_minus_random"


def _claims(metrics, **options):
    return claims(metrics, **{"simulated": True, **options})


def test_a_claim_says_what_it_was_measured_on():
    metrics = Interval(0.05, 0.02, 0.08, 300).metrics(RECALL)
    counts = {"evaluation.open_questions": 310, "evaluation.articles": 200}
    row = _claims({**metrics, **counts}).iloc[0]
    assert row["claim"] == "better than the model tuned on a random sample: +5.0 points [2.0, 8.0]"
    assert row["on"] == "310 open questions, 200 articles"
    assert [row["estimate"], row["low"], row["high"]] == [5.0, 2.0, 8.0]


def test_a_run_of_few_articles_makes_no_claim():
    metrics = Interval(0.05, 0.02, 0.08, 9).metrics(RECALL)
    row = _claims({**metrics, "evaluation.articles": 9}).iloc[0]
    assert row["claim"].startswith(
        "no claim against the model tuned on a random sample: 9 articles"
    )


def test_few_articles_make_no_claim_about_selector_or_selection_either():
    names = {
        "selector.agreement_minus_judge": "selector.held_out_articles",
        "selection.accepted_share_selected_minus_random": "selection.articles",
    }
    for name, articles in names.items():
        found = Interval(0.05, 0.02, 0.08, 9).metrics(name)
        assert _claims(found | {articles: 9})["claim"][0].startswith("no claim against")
        assert _claims(found | {articles: 10})["claim"][0].startswith("better than")


def test_a_win_rate_is_compared_with_one_half():
    name = "evaluation.win_rate_clinicians_unaligned_percent"
    row = _claims(Interval(47.0, 44.0, 49.5, 300).metrics(name)).iloc[0]
    assert row["claim"] == "worse than the model tuned on unaligned data: -3.0 points [-6.0, -0.5]"


def test_what_was_not_measured_is_not_claimed():
    assert _claims({"figures.n": 3}).empty
    assert (
        _claims(dict.fromkeys((claim.metric for claim in CLAIMS), 0.5), stage="selection")["metric"]
        .str.startswith("selection.")
        .all()
    )


def test_clinicians_and_judges_of_the_clinic_are_called_simulated_once():
    every = dict.fromkeys((claim.metric for claim in CLAIMS), 0.5)
    for measured in _claims(every)["measured"]:
        people = measured.count("clinicians") + measured.count("second judge")
        assert measured.count("simulated") == people
    real = set(_claims(every, simulated=False)["measured"])
    assert "The selector's agreement with clinicians on held-out pairs" in real


def test_every_claim_has_a_metric_of_its_own():
    names = [claim.metric for claim in CLAIMS]
    assert len(set(names)) == len(names)

"""Claims about the computed sentences: what they say follows from the metrics alone."""

from __future__ import annotations

from vital_lib.annotators import Votes
from vital_lib.claims import CLAIMS, claims
from vital_lib.statistics import Interval

RECALL = "evaluation.open_recall_selected_minus_random"


def _claims(metrics, **options):
    return claims(metrics, **{"simulated": True, **options})


def test_a_claim_says_what_it_was_measured_on():
    metrics = Interval(0.05, 0.02, 0.08, 300).metrics(RECALL)
    counts = {"evaluation.open_questions": 310, "evaluation.open_articles": 200}
    row = _claims({**metrics, **counts}).iloc[0]
    assert row["claim"] == "better than the model tuned on a random sample: +5.0 points [2.0, 8.0]"
    assert row["on"] == "310 open questions, 200 articles"
    assert [row["estimate"], row["low"], row["high"]] == [5.0, 2.0, 8.0]


def test_a_claim_counts_the_articles_of_its_own_questions():
    counts = {"evaluation.articles": 200}
    for kind, questions, articles in (("open", 302, 172), ("closed", 298, 177)):
        counts |= {
            f"evaluation.{kind}_questions": questions,
            f"evaluation.{kind}_articles": articles,
        }
    interval = Interval(0.05, 0.02, 0.08, 302)
    closed = interval.metrics("evaluation.closed_accuracy_selected_minus_random")
    found = _claims(interval.metrics(RECALL) | closed | counts)
    assert list(found["on"]) == [
        "302 open questions, 172 articles",
        "298 closed questions, 177 articles",
    ]


def test_a_run_of_few_articles_makes_no_claim():
    metrics = Interval(0.05, 0.02, 0.08, 9).metrics(RECALL)
    row = _claims({**metrics, "evaluation.open_articles": 9}).iloc[0]
    assert row["claim"].startswith(
        "no comparison with the model tuned on a random sample: 9 articles"
    )


def test_few_articles_make_no_claim_about_selector_or_selection_either():
    names = {
        "selector.agreement_minus_judge": "selector.held_out_articles",
        "selection.accepted_share_selected_minus_random": "selection.articles",
    }
    for name, articles in names.items():
        found = Interval(0.05, 0.02, 0.08, 9).metrics(name)
        assert _claims(found | {articles: 9})["claim"][0].startswith("no comparison with")
        assert _claims(found | {articles: 10})["claim"][0].startswith("better than")


def test_a_win_rate_is_compared_with_one_half():
    name = "evaluation.win_rate_clinicians_unaligned_percent"
    row = _claims(Interval(47.0, 44.0, 49.5, 300).metrics(name)).iloc[0]
    assert row["claim"] == "worse than the model tuned on unaligned data: −3.0 points [−6.0, −0.5]"


def test_what_was_not_measured_is_not_claimed():
    assert _claims({"figures.n": 3}).empty
    assert (
        _claims(dict.fromkeys((claim.metric for claim in CLAIMS), 0.5), stage="selection")["metric"]
        .str.startswith("selection.")
        .all()
    )


AGREES, ACCEPTS = "The selector's agreement with ", "Share of the selected set accepted by "


def _measured(votes, **options):
    """The words of every claim, where `votes` are behind all that rests on votes."""
    every = dict.fromkeys((claim.metric for claim in CLAIMS), 0.5)
    counts = votes.metrics("selector") | votes.metrics("selection") if votes else {}
    return set(_claims(every | counts, **options)["measured"])


def test_the_annotators_behind_a_claim_are_named_by_what_the_metrics_say_of_them():
    simulated = _measured(Votes(8, simulated=8, without_truth=2))
    assert f"{AGREES}simulated clinicians on held-out pairs (2 of 8 judged without truth)" in {
        name for name in simulated if name.startswith(AGREES)
    }
    assert f"{ACCEPTS}simulated clinicians (2 of 8 judged without truth)" in simulated
    people = _measured(Votes(8))
    assert {f"{AGREES}clinicians on held-out pairs", f"{ACCEPTS}clinicians"} <= people
    some = _measured(Votes(8, simulated=2))
    assert f"{ACCEPTS}clinicians (some simulated) (2 of 8 votes simulated)" in some


def test_a_claim_on_votes_of_which_nothing_is_recorded_names_no_clinicians():
    own = {name for name in _measured(None) if name.startswith((AGREES, ACCEPTS))}
    assert len(own) == 2
    assert all("not recorded" in name and "clinicians" not in name for name in own)


def test_the_second_judge_of_the_clinic_is_called_simulated_whoever_labelled():
    for simulated in (True, False):
        judges = [name for name in _measured(Votes(8), simulated=simulated) if "judge" in name]
        assert len(judges) == 2  # its own verdicts, and those corrected by annotators
        assert all(("simulated second judge" in name) == simulated for name in judges)


def test_every_claim_has_a_metric_of_its_own():
    names = [claim.metric for claim in CLAIMS]
    assert len(set(names)) == len(names)

"""Claims about what annotators and judges reward: a declared preference is found, and no other."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from label_rows import judged
from reward_rows import drafts, has, preferences, ratings

from vital_lib import rewards as taste
from vital_lib.annotators import Votes
from vital_lib.labels import LabelLog
from vital_lib.rewards.effects import COLUMNS

QUICK = {"flips": 1_999, "resamples": 200}


def of(found: pd.DataFrame, name: str, source: str = taste.ALL) -> pd.Series:
    [row] = found[(found["property"] == name) & (found["source"] == source)].to_dict("records")
    return pd.Series(row)


# --- properties


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("There is a mass.", {"words": 0.4, "sentences": 1}),
        ("A mass. It is large! Is it solid?", {"sentences": 3}),
        ("It measures 3.5 cm.", {"sentences": 1, "number": 1}),
        ("It may be a cyst, consistent with a scan that appears to be normal.", {"hedges": 3}),
        ("The dismay of May's patients", {"hedges": 1}),
        ("This is definitely and without any doubt a mass.", {"absolutes": 2, "hedges": 0}),
        ("It is never clear.", {"absolutes": 1}),
        ("Osteomyelitis with hepatomegaly", {"terms": 2}),
        ("The hypothesis and the diploma are in the room", {"terms": 0}),
        ("There are two nodules", {"number": 1, "terms": 0}),
        ("There are nodules", {"number": 0}),
        ("In the Left lung", {"side": 1}),
        ("It should be seen right away, at a right angle", {"side": 0}),
        ("Bilateral effusions", {"side": 1}),
        ("Yes, it is.", {"yes_or_no": 1}),
        ("No", {"yes_or_no": 1}),
        ("No mass is seen, yes.", {"yes_or_no": 0}),
        ("", {"words": 0, "sentences": 0, "hedges": 0, "yes_or_no": 0, "number": 0}),
    ],
)
def test_a_property_is_read_from_the_words(text, expected):
    row = pd.DataFrame({"candidate_id": ["c"], "response": [text]})
    measured, _ = taste.properties_of(row)
    found = measured.loc["c"].to_dict()
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_every_flag_that_occurs_is_a_property():
    rows = pd.DataFrame(
        {"candidate_id": list("ab"), "response": "x", "flags": [[], ["names_the_text", "new_one"]]}
    )
    measured, known = taste.properties_of(rows)
    assert measured["flag_names_the_text"].tolist() == [0, 1]
    assert [one.label for one in known[-2:]] == ["flag: names the text", "flag: new one"]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("hedges", "It may be a cyst.", [("It ", False), ("may be", True), (" a cyst.", False)]),
        ("number", "Two of 3", [("Two", True), (" of ", False), ("3", True)]),
        ("side", "No side", [("No side", False)]),
        ("words", "Two may", [("Two may", False)]),
        ("terms", "", []),
    ],
)
def test_the_words_that_a_property_is_about_are_marked(name, text, expected):
    assert taste.marked(name, text) == expected


# --- effects


def test_a_planted_taste_is_recovered_with_its_size():
    rows = drafts()
    accept = {"ann": 0.8 - 0.4 * has("definitely", rows), "ben": np.full(len(rows), 0.6)}
    found = taste.rewards(rows, preferences(rows, accept), **QUICK)
    row = of(found, "absolutes", "ann")
    assert row["found"] and row["low"] < -40 < row["high"] < -20
    assert of(found, "absolutes")["low"] < -20 < of(found, "absolutes")["high"] < 0
    assert set(found["property"][found["found"]]) == {"absolutes"}
    assert set(found["source"][found["found"]]) == {"ann", taste.ALL}  # not ben's


def test_what_makes_a_whole_figure_hard_is_no_taste():
    """Most hedged answers are about hard figures, of which people accept little, hedged or not."""
    rows = drafts()
    hard = rows["figure_id"].str[1:].astype(int).to_numpy() % 2 == 0
    hedged = np.random.default_rng(5).random(len(rows)) < np.where(hard, 0.8, 0.2)
    plain = rows["response"].str.replace("possibly", "now")
    rows["response"] = plain.mask(hedged, plain.str.replace("now", "possibly"))
    voted = preferences(rows, {"ann": np.where(hard, 0.2, 0.9)})
    row = of(taste.rewards(rows, voted, **QUICK), "hedges")
    assert not row["found"] and row["low"] < 0 < row["high"]
    ticks = np.ravel(voted[["left_accepted", "right_accepted"]].to_numpy())
    hedges = has("possibly", rows) == 1
    assert ticks[hedges].mean() < ticks[~hedges].mean() - 0.3  # it would be found across figures


def test_an_effect_of_length_is_not_one_of_sentences_at_the_same_length():
    rows = drafts(articles=150)
    longer = np.random.default_rng(1).integers(0, 4, len(rows))
    rows["response"] = [
        f"{text} and so on" * (1 + n) for text, n in zip(rows["response"], longer, strict=True)
    ]
    words = rows["response"].str.split().str.len().to_numpy()
    voted = preferences(rows, {"ann": 0.9 - 0.01 * words})
    found = taste.rewards(rows, voted, **QUICK)
    length, sentences = of(found, "words"), of(found, "sentences")
    assert length["low"] < -10 < length["high"] < 0 and math.isnan(length["same_length"])
    assert sentences["found"] and sentences["high"] < 0
    assert sentences["same_length_low"] < 0 < sentences["same_length_high"]


def test_the_judges_taste_stands_beside_the_annotators():
    rows = drafts()
    absolute = has("definitely", rows)
    voted = preferences(rows, {"ann": 0.8 - 0.4 * absolute})
    rated = ratings(rows, 5 + 2 * absolute, seed=1)
    found = taste.rewards(rows, voted, rated, **QUICK)
    assert set(found["source"]) == {taste.ALL, "j"}  # one annotator is all annotators
    judge = of(found, "absolutes", "j")
    assert judge["found"] and judge["low"] < 20 < judge["high"]
    sentence = taste.conclusion(found, Votes(len(voted)))
    assert "1 property goes with acceptance by clinicians: −" in sentence
    assert "1 property goes with the rating by judge j (10 is 100 points): +" in sentence
    assert sentence.endswith("In opposite directions: absolute words.")


def test_ratings_of_other_candidates_and_null_ratings_are_left_out():
    rows = drafts()
    voted = preferences(rows, {"ann": np.full(len(rows), 0.5)})
    rated = ratings(rows, np.full(len(rows), 5.0))
    more = pd.DataFrame({"candidate_id": ["elsewhere", rows["candidate_id"][0]], "judge": "j"})
    both = pd.concat([rated, more.assign(overall=[9.0, None])])
    alone, together = (taste.rewards(rows, voted, given, **QUICK) for given in (rated, both))
    pd.testing.assert_frame_equal(alone, together)


def test_a_judged_response_that_is_not_given_is_named():
    rows = drafts(articles=12)
    voted = preferences(rows, {"ann": np.full(len(rows), 0.5)})
    with pytest.raises(ValueError, match="1 of 96 judged responses .*'f0-r0-a'"):
        taste.rewards(rows.iloc[1:], voted, **QUICK)


def test_differences_in_fewer_than_ten_articles_are_not_tested():
    rows = drafts(articles=9, rounds=12)
    voted = preferences(rows, {"ann": np.full(len(rows), 0.5)})
    found = taste.rewards(rows, voted, **QUICK)
    assert found[["effect", "low", "high", "p", "q"]].isna().all(axis=None)
    assert not found["found"].any() and of(found, "words")["articles"] == 9
    assert "too few" in taste.conclusion(found, Votes(len(voted)))


def test_without_votes_there_are_no_rows_and_the_sentence_says_so():
    voted = preferences(drafts(), {"ann": np.zeros(480)}).iloc[:0]
    found = taste.rewards(drafts(), voted, **QUICK)
    assert found.empty and list(found) == list(COLUMNS)
    assert taste.conclusion(found, Votes()).startswith("no votes yet")
    assert taste.metrics_of(found) == {}


# --- null worlds


def test_in_null_worlds_false_findings_stay_below_the_stated_rate():
    """People agree with one another on some responses, for reasons that no property shows."""
    worlds, with_findings, small = 80, 0, []
    for seed in range(worlds):
        rng = np.random.default_rng([seed, 3])
        rows = drafts(articles=40, rounds=3, seed=seed)
        own = rng.normal(size=len(rows)) + np.repeat(rng.normal(size=40), 6)
        accept = dict.fromkeys(("ann", "ben", "cas"), 1 / (1 + np.exp(-2 * own)))
        rated = ratings(rows, 5 + own, seed)
        voted = preferences(rows, accept, seed)
        found = taste.rewards(rows, voted, rated, seed=seed, flips=1_999, resamples=1)
        people = found[found["kind"] != taste.JUDGE]
        with_findings += bool(people["found"].any())
        small += list(people["p"].dropna() <= taste.FALSE_DISCOVERIES)
    rate, spread = taste.FALSE_DISCOVERIES, math.sqrt(0.05 * 0.95 / worlds)
    assert with_findings / worlds <= rate + 3 * spread
    assert 0.02 < np.mean(small) < 0.08  # uncorrected, one test in twenty is a false finding


# --- reasons


def _log(folder, rows, ticks_by, reasons_of):
    log = LabelLog(f"sqlite:///{folder / 'labels.sqlite'}")
    for place, item in enumerate(rows["instruction_id"].unique()):
        for who in ("ann", "ben"):
            given = {"reasons": reasons_of(who, place)}
            log.record(**judged(item, ticks_by(who, place), who, **given))
    events = log.history()
    log.close()
    return events


def test_a_reason_is_compared_among_annotators_of_the_same_instruction(tmp_path):
    """Ann rejects both and says why in every third item; elsewhere the two say the same."""
    rows = drafts(articles=40, rounds=1)
    why = lambda who, place: ["too_vague"] if who == "ann" and place % 3 == 0 else []  # noqa: E731
    ticks = lambda who, place: (not why(who, place), not why(who, place))  # noqa: E731
    found = taste.reasons_given(_log(tmp_path, rows, ticks, why), rows, **QUICK)
    [row] = found.to_dict("records")
    assert (row["label"], row["effect"], row["n"]) == ("reason: too vague", -100, 14)
    assert row["found"] and math.isnan(row["same_length"])
    words = "−100.0 points where “too vague” is ticked [−100.0, −100.0]"
    assert taste.effect_in_words(pd.Series(row)) == words


def test_a_reason_ticked_at_random_is_no_finding(tmp_path):
    rows = drafts(articles=40, rounds=1)
    coins = np.random.default_rng(0).integers(0, 2, (3, 80)).astype(bool)
    place_of = {"ann": 0, "ben": 40}
    found = taste.reasons_given(
        _log(
            tmp_path,
            rows,
            lambda who, n: (bool(coins[0, place_of[who] + n]), bool(coins[1, place_of[who] + n])),
            lambda who, n: ["vague"] if coins[2, place_of[who] + n] else [],
        ),
        rows,
        **QUICK,
    )
    assert len(found) == 1 and found["p"].notna().all() and not found["found"].any()


def test_without_reasons_there_are_no_rows(tmp_path):
    rows = drafts(articles=10, rounds=1)
    events = _log(tmp_path, rows, lambda *_: (True, False), lambda *_: [])
    assert taste.reasons_given(events, rows, **QUICK).empty


# --- examples and metrics


def test_examples_are_the_pairs_that_differ_whatever_people_said_of_them():
    rows = drafts()
    voted = preferences(rows, {"ann": np.full(len(rows), 0.5), "ben": np.ones(len(rows))})
    rated = ratings(rows, np.full(len(rows), 5.0))
    shown = taste.examples("absolutes", rows, voted, rated)
    assert shown["response_more"].str.contains("definitely").all()
    assert not shown["response_less"].str.contains("definitely").any()
    assert len(shown) == of(taste.rewards(rows, voted, **QUICK), "absolutes")["n"]
    assert set(shown["accepted_more"]) == {0.5, 1.0} and shown["rating_less"].between(0, 10).all()
    turned = preferences(rows, {"ann": np.zeros(len(rows))})
    again = taste.examples("absolutes", rows, turned)
    assert list(again["instruction_id"]) == list(shown["instruction_id"])
    assert again["rating_more"].isna().all()


def test_an_unknown_property_is_refused_with_those_that_there_are():
    rows = drafts(articles=2)
    voted = preferences(rows, {"ann": np.ones(len(rows))})
    with pytest.raises(ValueError, match="no property 'charm': give one of words, sentences, "):
        taste.examples("charm", rows, voted)


def test_metrics_hold_the_effects_on_all_annotators_and_on_the_judge():
    rows = drafts()
    voted = preferences(
        rows, {"ann": 0.8 - 0.4 * has("definitely", rows), "ben": np.full(480, 0.5)}
    )
    found = taste.rewards(rows, voted, ratings(rows, np.full(480, 5.0)), **QUICK)
    flat = taste.metrics_of(found)
    row = of(found, "absolutes")
    assert flat["rewards.accepted_absolutes"] == row["effect"]
    assert flat["rewards.accepted_absolutes_low"] == row["low"]
    assert flat["rewards.accepted_found"] == 1 and flat["rewards.rated_found"] == 0
    assert flat["rewards.accepted_tested"] == found[found["source"] == taste.ALL]["p"].notna().sum()
    assert all(math.isfinite(value) for value in flat.values())

"""Claims about the measures of a model's answers: pure functions on a few rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from evaluation_rows import OPEN, answer_rows, question_rows

from vital_lib.evaluation import (
    accuracy_metrics,
    chat_gain_metrics,
    chat_table,
    closed_accuracy,
    closed_value,
    difference_metrics,
    open_recall,
    pair_values,
    read_yes_no,
    relative_chat_gain,
    relative_scores,
    token_recall,
    win_rate_metrics,
    win_values,
)
from vital_lib.statistics import difference_interval
from vital_lib.tables import TABLES, Workspace


def _scores(model, rows):
    """Rows of question_id -> (reference score, model score)."""
    return pd.DataFrame(
        [(name, model, 0, "judge", float(r), float(m), "reply") for name, (r, m) in rows.items()],
        columns=TABLES["chat_scores"].columns,
    )


def _verdicts(winners, other="random", order="both"):
    return pd.DataFrame(
        [
            (name, "selected", other, 0, "judge", order, winner, None, None)
            for name, winner in winners.items()
        ],
        columns=TABLES["verdicts"].columns,
    )


# -- open questions: token recall ---------------------------------------------------------------


def test_recall_is_the_share_of_the_references_words_that_the_answer_holds():
    assert token_recall("left upper lobe", "It lies in the left lobe.") == pytest.approx(2 / 3)


def test_a_repeated_word_does_not_inflate_recall():
    """The published F1 counted every occurrence in the answer."""
    assert token_recall("left upper lobe", "left left left left") == pytest.approx(1 / 3)
    assert token_recall("no no", "no") == 0.5


def test_case_punctuation_and_articles_do_not_matter():
    assert token_recall("The T2-weighted image.", "A t2 weighted IMAGE") == 1.0


def test_a_number_is_the_same_in_words_and_in_digits():
    assert token_recall("2", "There are two.") == 1.0
    assert token_recall("3.5 cm", "About 3.5 cm.") == 1.0
    assert token_recall("3.5 cm", "About 3 to 5 cm.") == 0.5


def test_the_sign_of_a_measure_counts_in_any_spelling_and_a_range_has_none():
    assert token_recall("lesion ≥ 5 mm", "lesion < 5 mm") == 0.75
    assert token_recall("+2 mm", "−2 mm") == pytest.approx(2 / 3)
    assert token_recall("lesion >= 5 mm", "A lesion ≥5 mm.") == 1.0
    assert token_recall("-2 mm", "It is −2 mm.") == 1.0
    assert token_recall("3-5 mm", "3 to 5 mm") == token_recall("T2-weighted", "T2 weighted") == 1.0


@pytest.mark.parametrize(
    ("reference", "answer", "share"),
    [
        ("Hepatitis A", "hepatitis B", 0.5),
        ("Hepatitis A", "It is hepatitis A.", 1.0),
        ("hepatitis a", "It is Hepatitis-A virus.", 1.0),
        ("Hepatitis B", "hepatitis A", 0.5),
        ("Type A dissection", "A type B dissection.", 2 / 3),
        ("Type A dissection", "a type a dissection", 1.0),
        ("vitamins A, D and E", "vitamin A, D, E", 0.8),
        ("It shows a mass", "It shows one mass: a mass.", 1.0),
        ("A cyst and a node", "cyst and node", 1.0),
    ],
)
def test_an_a_that_is_no_article_counts(reference, answer, share):
    assert token_recall(reference, answer) == pytest.approx(share)


def test_a_word_is_not_found_inside_another_word():
    assert token_recall("male", "A female patient.") == 0.0


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("Nodule", "There are two nodules."),
        ("nodules", "A nodule on the left."),
        ("calcification", "The lesion is calcified."),
        ("metastasis", "Several metastases."),
        ("chest radiograph", "It is a chest X-ray."),
        ("granuloma", "Granulomatous tissue."),
        ("MRI", "Magnetic resonance imaging."),
        ("oedema", "edema"),
        ("Chest X-ray", "Normal CXR."),
        ("CT scan", "CT"),
        ("MRI scan", "MR imaging"),
        ("Histology slide", "We have a tissue section."),
        ("histopathology", "a light micrograph"),
        ("Photomicrograph", "microscopy"),
        ("histology", "An H&E-stained section."),
        ("H&E", "H&E section"),
        ("Gross specimen", "a specimen photograph"),
        ("gross pathology", "A macroscopic image."),
    ],
)
def test_a_word_of_the_same_root_and_another_name_of_a_modality_are_recalled(reference, answer):
    assert token_recall(reference, answer) == 1.0


@pytest.mark.parametrize(
    ("reference", "answer"),
    [("male", "female"), ("left", "right"), ("2", "12"), ("ileum", "ilium"), ("CT", "MRI"),
     ("hypertension", "hypotension"), ("cyst", "cystitis"), ("tumour", "humour"),
     ("histology", "electron micrograph"), ("gross pathology", "histology"),
     ("Histology slide", "gross specimen")],
)  # fmt: skip
def test_another_root_is_not_recalled(reference, answer):
    assert token_recall(reference, answer) == 0.0


def test_an_answer_is_matched_by_its_id_and_never_by_its_place():
    """The published code zips questions and answers: one missing answer shifts all others."""
    questions = question_rows(("open", "?", "left"), ("open", "?", "right"), ("open", "?", "both"))
    answers = answer_rows({"q2": "both", "q1": "right"})
    values = open_recall(questions, answers)
    assert values["question_id"].tolist() == ["q0", "q1", "q2"]
    assert values["value"].tolist() == [0.0, 1.0, 1.0]


def test_a_missing_answer_scores_zero_and_is_counted():
    values = open_recall(OPEN, answer_rows({"q0": "a nodule", "q1": None}))
    assert values["value"].sum() == 1.0
    assert (~values["answered"]).sum() == 5


def test_open_recall_asks_the_open_questions_alone():
    questions = question_rows(
        ("open", "?", "left"), ("closed", "Is it?", "yes"), ("chat", "?", "x")
    )
    answers = answer_rows({"q0": "left", "q1": "yes", "q2": "x"})
    assert open_recall(questions, answers)["question_id"].tolist() == ["q0"]
    assert closed_accuracy(questions, answers)["question_id"].tolist() == ["q1"]


def test_a_question_answered_twice_is_refused():
    twice = pd.concat([answer_rows({"q0": "left"}), answer_rows({"q0": "right"}, control="blank")])
    with pytest.raises(ValueError, match="answers occur twice, first question_id 'q0', draw 0"):
        open_recall(OPEN, twice)


def test_answers_of_another_benchmark_are_refused():
    with pytest.raises(
        ValueError, match="answers belong to none of the given questions, first 'vqa_1'"
    ):
        open_recall(OPEN, answer_rows({"vqa_1": "left"}))


def test_values_can_be_given_an_interval_by_article():
    questions = question_rows(*[("open", "?", "left")] * 4)
    good = open_recall(questions, answer_rows({f"q{k}": "left" for k in range(4)}))
    bad = open_recall(questions, answer_rows({f"q{k}": "right" for k in range(4)}))
    pairs = pair_values(good, bad)
    assert pairs.columns.tolist() == ["question_id", "group_id", "a", "b"]
    interval = difference_interval(pairs["a"], pairs["b"], pairs["group_id"])
    assert (interval.estimate, interval.low, interval.n) == (1.0, 1.0, 4)


# -- closed questions ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("Yes", "yes"),
        ("no.", "no"),
        ("No, the heart is normal.", "no"),
        ("Yes, there is no doubt.", "yes"),
        ("There is no doubt: yes.", "yes"),
        ("The heart is not enlarged.", "no"),
        ("The heart isn't enlarged.", "no"),
        ("The heart is enlarged.", "yes"),
        ("It cannot be determined.", None),
        ("I can't tell from this image.", None),
        ("I am not sure.", None),
        ("It is not possible to say, but maybe yes.", None),
        ("Unclear.", None),
        ("The heart.", None),
        ("The northern part", None),
        ("", None),
    ],
)
def test_the_first_clear_yes_or_no_is_read(answer, said):
    assert read_yes_no("Is the heart enlarged?", answer) == said


def test_a_not_that_the_question_brought_along_is_no_answer():
    assert read_yes_no("Is the heart not enlarged?", "The heart is not enlarged.") is None
    assert read_yes_no("Is the heart not enlarged?", "No, it is enlarged.") == "no"


def test_a_correct_no_scores_one():
    """In the published code a correct "no" scores 0."""
    assert closed_value("Is there a fracture?", "no", "No, there is no fracture.") == 1.0
    assert closed_value("Is there a fracture?", "No", "no") == 1.0


def test_a_wrong_yes_or_no_scores_zero():
    assert closed_value("Is there a fracture?", "No", "Yes.") == 0.0
    assert closed_value("Is there a fracture?", "Yes", "There is not.") == 0.0
    assert closed_value("Is there a fracture?", "Yes", "It cannot be told.") == 0.0


SIDE = "Is the lesion on the left or right side of the brain?"


@pytest.mark.parametrize(
    ("question", "reference", "answer", "value"),
    [
        (SIDE, "Left", "left", 1.0),
        (SIDE, "Left side", "On the left.", 1.0),
        (SIDE, "Left", "right", 0.0),
        (SIDE, "Left", "It is on the left or the right.", 0.0),
        (SIDE, "Left", "On the left, not the right.", 1.0),
        (SIDE, "Left", "Not on the left but on the right.", 0.0),
        (SIDE, "Left", "On the right rather than the left.", 0.0),
        ("Is this an MRI or a CT scan?", "MRI", "This is an MRI.", 1.0),
        ("Is this an MRI or a CT scan?", "MRI", "MRI or CT", 0.0),
        ("Is this a CT or a chest X-ray?", "X-ray", "A chest X-ray.", 1.0),
        ("Is this a CT or a chest X-ray?", "CT", "A CT of the chest.", 1.0),
        ("Is the patient male or female?", "Female", "male", 0.0),
        ("Is the patient male or female?", "Male", "female", 0.0),
        ("Is this image normal or abnormal?", "Abnormal", "normal", 0.0),
        ("Is it more or less dense than tissue?", "more dense", "less dense", 0.0),
        ("Is it more or less dense than tissue?", "more dense", "more dense than tissue", 1.0),
        ("Is it with contrast or without contrast?", "with contrast", "without contrast", 0.0),
        ("Is it with contrast or without contrast?", "with contrast", "with contrast", 1.0),
        ("Is it enhanced or non enhanced?", "enhanced", "non enhanced", 0.0),
        ("Are there multiple or just 1 metastatic focus?", "one", "Just one.", 1.0),
        ("Are they on the left, right, or both sides?", "Both", "both the left and right", 1.0),
        ("Are they on the left, right, or both sides?", "Both", "left", 0.0),
        ("Is it gray or white matter?", "White matter", "white", 1.0),
        ("Where are the nodules?", "Diffuse", "They are diffuse.", 1.0),
        ("Where are the nodules?", "Diffuse", "On the left.", 0.0),
        ("Would you expect it?", "Not sure", "Not sure", 1.0),
    ],
)
def test_a_choice_is_right_when_its_own_words_are_affirmed_and_the_others_are_not(
    question, reference, answer, value
):
    assert closed_value(question, reference, answer) == value


# -- open visual chat ----------------------------------------------------------------------------

CHAT = question_rows(*[("chat", "Describe it.", "A nodule.")] * 4)


def test_a_relative_score_is_a_hundred_times_the_mean_ratio():
    values = relative_scores(CHAT, _scores("selected", {"q0": (8, 6), "q1": (10, 5)}))
    assert values["value"].tolist() == [75.0, 50.0]
    assert values["value"].mean() == 62.5


def test_a_null_score_is_left_out_and_not_a_perfect_one():
    """In the published code a parse failure counts as a perfect relative score."""
    scores = _scores("selected", {"q0": (8, 6), "q1": (8, np.nan), "q2": (np.nan, 6)})
    assert relative_scores(CHAT, scores)["question_id"].tolist() == ["q0"]
    assert chat_gain_metrics(CHAT, scores)["evaluation.chat_scores_null"] == 2


def test_the_gain_is_over_the_questions_scored_for_both_models():
    scores = pd.concat(
        [
            _scores("selected", {"q0": (10, 8), "q1": (10, 10), "q2": (10, 1)}),
            _scores("random", {"q0": (10, 6), "q1": (10, 6), "q2": (10, np.nan)}),
        ]
    )
    gain = relative_chat_gain(CHAT, scores, "selected", "random")
    assert gain.estimate == pytest.approx(50.0)
    assert gain.n == 2


def test_the_gains_carry_the_baselines_name_but_the_usual_ones():
    scores = pd.concat(
        [
            _scores(name, {f"q{k}": (10, points + k) for k in range(4)})
            for name, points in (("base", 1), ("random", 3), ("selected", 6))
        ]
    )
    found = chat_gain_metrics(CHAT, scores)
    assert found["evaluation.chat_relative_gain_percent"] == pytest.approx(100 * (7.5 / 4.5 - 1))
    assert found["evaluation.chat_relative_gain_base_percent"] == pytest.approx(200.0)
    low, high = (found[f"evaluation.chat_relative_gain_percent_{end}"] for end in ("low", "high"))
    assert low < found["evaluation.chat_relative_gain_percent"] < high
    assert found["evaluation.chat_score_selected"] == pytest.approx(75.0)


def test_what_several_draws_make_one_value_of_is_not_counted_as_null():
    draws = [
        _scores("selected", dict.fromkeys(CHAT["question_id"], (8, 6))).assign(draw=draw)
        for draw in range(3)
    ]
    found = chat_gain_metrics(CHAT, pd.concat(draws))
    assert found["evaluation.chat_scores_null"] == 0


def test_models_that_share_no_scored_question_have_no_gain():
    nan = float("nan")
    ours = _scores("selected", {"q0": (8, 6), "q1": (8, nan)})
    theirs = _scores("random", {"q0": (8, nan), "q1": (8, 4)})
    found = chat_gain_metrics(CHAT, pd.concat([ours, theirs]))
    assert found["evaluation.chat_score_random"] == 50.0
    assert not [name for name in found if "gain" in name]


def test_a_question_scored_by_two_judges_is_refused():
    one = _scores("selected", {"q0": (8, 6)})
    with pytest.raises(ValueError, match="one model, control and judge"):
        relative_scores(CHAT, pd.concat([one, one.assign(judge="other")]))


def test_relative_scores_are_given_by_question_type_and_by_the_first_stated_modality():
    questions = CHAT.assign(
        question_type=["conversation", "detail", "conversation", None],
        modality=["histology, gross", "gross", "mri", None],
    )
    scores = pd.concat(
        [
            _scores("selected", {"q0": (10, 8), "q1": (10, 6), "q2": (8, np.nan)}),
            _scores("base", {f"q{k}": (10, 5) for k in range(4)}),
        ]
    )
    table = chat_table(questions, scores).set_index(["model", "by", "value"])
    own = table.loc["selected"]
    counts = ["questions", "scored", "unscored", "unjudged"]
    assert own.loc[("all", "all"), [*counts, "score"]].tolist() == [4, 2, 1, 1, 70.0]
    assert own.loc[("question type", "conversation"), counts].tolist() == [2, 1, 1, 0]
    assert own.loc[("question type", "not stated"), counts].tolist() == [1, 0, 0, 1]
    assert own.loc["modality", "score"].to_dict() == pytest.approx(
        {"histology": 80.0, "gross": 60.0, "mri": np.nan, "not stated": np.nan}, nan_ok=True
    )
    assert table.loc["base"].loc["modality", "questions"].sum() == 4
    found = chat_gain_metrics(questions, scores)
    assert found["evaluation.chat_score_type_detail_selected"] == 60.0
    assert found["evaluation.chat_score_modality_histology_selected"] == 80.0
    assert "evaluation.chat_score_modality_mri_selected" not in found
    assert found["evaluation.chat_unscored_selected"] == 1
    assert found["evaluation.chat_unjudged_selected"] == 1
    assert found["evaluation.chat_unjudged_base"] == 0


def test_without_a_chat_question_there_is_an_empty_table():
    assert chat_table(OPEN, _scores("selected", {})).empty


# -- win rate ------------------------------------------------------------------------------------


def _orders(**winners):
    """Verdicts of both orders: question_id -> (winner in order ab, winner in order ba)."""
    ab = _verdicts({name: pair[0] for name, pair in winners.items()}, order="ab")
    return pd.concat([ab, _verdicts({name: pair[1] for name, pair in winners.items()}, order="ba")])


def test_each_order_counts_half():
    verdicts = _orders(
        q0=("a", "a"), q1=("a", "b"), q2=("a", "tie"), q3=("b", "tie"), q4=("b", "b")
    )
    assert win_values(OPEN, verdicts)["value"].tolist() == [1.0, 0.5, 0.75, 0.25, 0.0]


def test_a_judge_that_looks_at_the_place_alone_has_a_win_rate_of_one_half():
    found = win_rate_metrics(OPEN, _orders(q0=("a", "b"), q1=("a", "b"), q2=("b", "a")))
    assert found["evaluation.win_rate_percent"] == 50.0
    assert found["evaluation.win_rate_ties"] == 3
    assert "evaluation.win_rate_decided_percent" not in found


def test_a_verdict_unread_in_either_order_counts_nothing():
    found = win_rate_metrics(OPEN, _orders(q0=("a", "a"), q1=("a", None), q2=(None, None)))
    assert found["evaluation.win_rate_percent"] == 100.0
    assert (found["evaluation.win_rate_wins"], found["evaluation.win_rate_nulls"]) == (1, 2)


def test_won_among_decided_leaves_the_ties_out():
    verdicts = _verdicts({"q0": "a", "q1": "a", "q2": "tie", "q3": "b", "q4": None, "q5": "tie"})
    found = win_rate_metrics(OPEN, verdicts)
    counts = [found[f"evaluation.win_rate_{name}"] for name in ("wins", "ties", "losses", "nulls")]
    assert counts == [2, 2, 1, 1]
    assert found["evaluation.win_rate_percent"] == 60.0
    assert found["evaluation.win_rate_decided_percent"] == pytest.approx(200 / 3)


def test_the_win_rate_is_over_open_questions_only():
    questions = OPEN.assign(kind=["open", "closed", "open", "chat", "open", "open"])
    verdicts = _verdicts({"q0": "a", "q1": "b", "q2": "b", "q3": "b"})
    assert win_values(questions, verdicts)["value"].tolist() == [1.0, 0.0]


def test_a_verdict_in_one_order_alone_is_refused():
    """In the published code one model always stands first."""
    with pytest.raises(ValueError, match="'q0' has order 'ab': wanted ab and ba, or both"):
        win_values(OPEN, _verdicts({"q0": "a"}, order="ab"))


def test_one_order_twice_is_refused():
    with pytest.raises(ValueError, match="1 of 2 verdicts occur twice, .* order 'ab'"):
        win_values(OPEN, pd.concat([_verdicts({"q0": "a"}, order="ab")] * 2))


def test_when_no_verdict_was_read_there_is_no_rate():
    assert win_rate_metrics(OPEN, _verdicts({"q0": None})) == {
        "evaluation.win_rate_wins": 0,
        "evaluation.win_rate_ties": 0,
        "evaluation.win_rate_losses": 0,
        "evaluation.win_rate_nulls": 1,
    }


def test_verdicts_of_two_judges_are_not_mixed():
    both = _verdicts({"q0": "a"})
    verdicts = pd.concat([both.assign(order=order) for order in ("ab", "ba")])
    with pytest.raises(ValueError, match=r"judge has \['clinicians', 'judge'\]"):
        win_rate_metrics(OPEN, pd.concat([verdicts, verdicts.assign(judge="clinicians")]))


def test_several_draws_of_a_question_are_one_article_in_the_interval():
    """Ten draws that agree say no more than one: the interval stays as wide."""
    one = _verdicts({"q0": "a", "q2": "b", "q4": "a"})
    ten = pd.concat([one.assign(draw=draw) for draw in range(10)])
    found, more = (win_rate_metrics(OPEN, verdicts) for verdicts in (one, ten))
    for end in ("", "_low", "_high"):
        name = f"evaluation.win_rate_percent{end}"
        assert more[name] == pytest.approx(found[name])
    assert more["evaluation.win_rate_wins"] == 20


def test_an_unknown_winner_is_refused():
    with pytest.raises(ValueError, match=r"winner 'A': wanted a, b, tie"):
        win_values(OPEN, _verdicts({"q0": "A"}))


def test_win_rates_are_given_against_each_model_with_intervals():
    both = pd.concat(
        [
            _verdicts({"q0": "a", "q1": "a", "q2": "b", "q3": "tie", "q4": "a", "q5": "a"}),
            _verdicts({"q0": "a", "q2": "a"}, other="unaligned"),
        ]
    )
    found = win_rate_metrics(OPEN, both)
    assert found["evaluation.win_rate_percent"] == 75.0
    assert found["evaluation.win_rate_percent_low"] < 75.0
    assert found["evaluation.win_rate_unaligned_percent"] == 100.0
    assert found["evaluation.win_rate_ties"] == 1
    assert "evaluation.win_rate_clinicians_unaligned_percent" in win_rate_metrics(
        OPEN, both, name="clinicians"
    )


def test_win_values_have_a_group_for_the_bootstrap():
    values = win_values(OPEN, _verdicts({"q0": "a", "q3": "tie"}))
    assert values[["question_id", "group_id", "value"]].to_numpy().tolist() == [
        ["q0", "g0", 1.0],
        ["q3", "g1", 0.5],
    ]


# -- metrics of a run ----------------------------------------------------------------------------


def test_every_model_and_control_is_measured_and_the_unanswered_are_counted():
    questions = question_rows(
        ("open", "What is it?", "a nodule"),
        ("closed", "Is it?", "yes"),
        ("open", "Where?", "left"),
        ("closed", "Is it?", "no"),
    )
    right = {"q0": "nodule", "q1": "yes", "q2": "left", "q3": "no"}
    answers = pd.concat(
        [answer_rows(right), answer_rows({"q0": "nodule", "q1": "yes"}, control="blank")]
    )
    found = accuracy_metrics(questions, answers)
    assert found["evaluation.closed_accuracy_selected"] == 1.0
    assert found["evaluation.open_recall_selected"] == 1.0
    assert found["evaluation.unanswered_selected"] == 0
    assert found["evaluation.blank_closed_accuracy_selected"] == 0.5
    assert found["evaluation.blank_open_recall_selected"] == 0.5
    assert found["evaluation.blank_unanswered_selected"] == 2


def test_an_open_answer_counts_as_the_mean_of_its_draws():
    draws = [
        answer_rows({"q0": said}, draw=k) for k, said in enumerate(("a nodule", "a cyst", None))
    ]
    values = open_recall(OPEN.iloc[:1], pd.concat(draws))
    assert values["value"].tolist() == [pytest.approx(1 / 3)]
    assert not values["answered"].any()


def test_a_chat_score_is_the_mean_over_draws():
    scores = _scores("selected", {"q0": (10, 5)})
    both = pd.concat([scores, scores.assign(draw=1, model_score=9.0)])
    assert relative_scores(CHAT, both)["value"].tolist() == [70.0]


def test_a_difference_is_paired_by_question_and_has_the_other_models_name():
    questions = question_rows(*[("open", "?", "left"), ("closed", "Is it?", "yes")] * 3)
    ids = list(questions["question_id"])
    right = {name: ("left" if k % 2 == 0 else "yes") for k, name in enumerate(ids)}
    answers = pd.concat(
        [
            answer_rows(right),
            answer_rows(right | {"q0": "right", "q3": "no"}, model="base"),
            answer_rows(dict.fromkeys(ids, "none"), control="blank"),
        ]
    )
    found = difference_metrics(questions, answers)
    assert found["evaluation.open_recall_selected_minus_base"] == pytest.approx(1 / 3)
    assert found["evaluation.closed_accuracy_selected_minus_base"] == pytest.approx(1 / 3)
    assert found["evaluation.open_recall_selected_minus_base_low"] == 0.0
    assert not any("blank" in name for name in found)


def test_a_difference_without_the_model_is_refused():
    with pytest.raises(ValueError, match=r"no answers of model 'selected': give one of \['base'\]"):
        difference_metrics(OPEN, answer_rows({"q0": "x"}, model="base"))


def test_metrics_can_be_recorded(tmp_path):
    questions = question_rows(("closed", "Is it?", "yes"), ("open", "What?", "a nodule"))
    accuracy = accuracy_metrics(questions, answer_rows({"q0": "yes", "q1": "no"}))
    wins = win_rate_metrics(OPEN, _verdicts({"q0": "a", "q2": "b"}))
    for metrics in (accuracy, wins):
        Workspace(tmp_path).record(metrics)
    assert accuracy and wins and Workspace(tmp_path).metrics == accuracy | wins

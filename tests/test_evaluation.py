"""Claims about benchmarks and metrics: pure functions on a few rows, and VQA-RAD where it is."""

from __future__ import annotations

import io
import json
import logging
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vital_lib.evaluation import (
    BadQuestion,
    NoImages,
    OtherFigures,
    accuracy_metrics,
    answer_questions,
    chat_gain_metrics,
    chat_table,
    closed_accuracy,
    closed_value,
    difference_metrics,
    each_draw,
    load_and_answer,
    open_recall,
    pair_values,
    read_questions,
    read_yes_no,
    reading_notes,
    relative_chat_gain,
    relative_scores,
    token_recall,
    win_rate_metrics,
    win_values,
    with_images,
)
from vital_lib.figures import open_image
from vital_lib.models import load_model
from vital_lib.statistics import difference_interval
from vital_lib.tables import TABLES, Workspace, empty_frame


def _questions(*rows):
    """Rows of (kind, question, reference); two questions share an image and a group."""
    return pd.DataFrame(
        [
            {
                "question_id": f"q{k}",
                "benchmark": "drawn",
                "image": f"i{k // 2}.png",
                "group_id": f"g{k // 2}",
                "modality": "ct_scan",
                "kind": kind,
                "question_type": None,
                "question": question,
                "reference": reference,
            }
            for k, (kind, question, reference) in enumerate(rows)
        ]
    )


def _answers(said, model="selected", control="none", draw=0):
    rows = [(name, model, control, draw, answer) for name, answer in said.items()]
    return pd.DataFrame(rows, columns=TABLES["answers"].columns)


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


OPEN = _questions(*[("open", "What is it?", "a nodule")] * 6)


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
    questions = _questions(("open", "?", "left"), ("open", "?", "right"), ("open", "?", "both"))
    answers = _answers({"q2": "both", "q1": "right"})
    values = open_recall(questions, answers)
    assert values["question_id"].tolist() == ["q0", "q1", "q2"]
    assert values["value"].tolist() == [0.0, 1.0, 1.0]


def test_a_missing_answer_scores_zero_and_is_counted():
    values = open_recall(OPEN, _answers({"q0": "a nodule", "q1": None}))
    assert values["value"].sum() == 1.0
    assert (~values["answered"]).sum() == 5


def test_open_recall_asks_the_open_questions_alone():
    questions = _questions(("open", "?", "left"), ("closed", "Is it?", "yes"), ("chat", "?", "x"))
    answers = _answers({"q0": "left", "q1": "yes", "q2": "x"})
    assert open_recall(questions, answers)["question_id"].tolist() == ["q0"]
    assert closed_accuracy(questions, answers)["question_id"].tolist() == ["q1"]


def test_a_question_answered_twice_is_refused():
    twice = pd.concat([_answers({"q0": "left"}), _answers({"q0": "right"}, control="blank")])
    with pytest.raises(ValueError, match="answers occur twice, first question_id 'q0', draw 0"):
        open_recall(OPEN, twice)


def test_answers_of_another_benchmark_are_refused():
    with pytest.raises(
        ValueError, match="answers belong to none of the given questions, first 'vqa_1'"
    ):
        open_recall(OPEN, _answers({"vqa_1": "left"}))


def test_values_can_be_given_an_interval_by_article():
    questions = _questions(*[("open", "?", "left")] * 4)
    good = open_recall(questions, _answers({f"q{k}": "left" for k in range(4)}))
    bad = open_recall(questions, _answers({f"q{k}": "right" for k in range(4)}))
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

CHAT = _questions(*[("chat", "Describe it.", "A nodule.")] * 4)


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
    verdicts = _verdicts({"q0": "a"})
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
    questions = _questions(
        ("open", "What is it?", "a nodule"),
        ("closed", "Is it?", "yes"),
        ("open", "Where?", "left"),
        ("closed", "Is it?", "no"),
    )
    right = {"q0": "nodule", "q1": "yes", "q2": "left", "q3": "no"}
    answers = pd.concat([_answers(right), _answers({"q0": "nodule", "q1": "yes"}, control="blank")])
    found = accuracy_metrics(questions, answers)
    assert found["evaluation.closed_accuracy_selected"] == 1.0
    assert found["evaluation.open_recall_selected"] == 1.0
    assert found["evaluation.unanswered_selected"] == 0
    assert found["evaluation.blank_closed_accuracy_selected"] == 0.5
    assert found["evaluation.blank_open_recall_selected"] == 0.5
    assert found["evaluation.blank_unanswered_selected"] == 2


def test_an_open_answer_counts_as_the_mean_of_its_draws():
    draws = [_answers({"q0": said}, draw=k) for k, said in enumerate(("a nodule", "a cyst", None))]
    values = open_recall(OPEN.iloc[:1], pd.concat(draws))
    assert values["value"].tolist() == [pytest.approx(1 / 3)]
    assert not values["answered"].any()


def test_a_chat_score_is_the_mean_over_draws():
    scores = _scores("selected", {"q0": (10, 5)})
    both = pd.concat([scores, scores.assign(draw=1, model_score=9.0)])
    assert relative_scores(CHAT, both)["value"].tolist() == [70.0]


def test_a_difference_is_paired_by_question_and_has_the_other_models_name():
    questions = _questions(*[("open", "?", "left"), ("closed", "Is it?", "yes")] * 3)
    ids = list(questions["question_id"])
    right = {name: ("left" if k % 2 == 0 else "yes") for k, name in enumerate(ids)}
    answers = pd.concat(
        [
            _answers(right),
            _answers(right | {"q0": "right", "q3": "no"}, model="base"),
            _answers(dict.fromkeys(ids, "none"), control="blank"),
        ]
    )
    found = difference_metrics(questions, answers)
    assert found["evaluation.open_recall_selected_minus_base"] == pytest.approx(1 / 3)
    assert found["evaluation.closed_accuracy_selected_minus_base"] == pytest.approx(1 / 3)
    assert found["evaluation.open_recall_selected_minus_base_low"] == 0.0
    assert not any("blank" in name for name in found)


def test_a_difference_without_the_model_is_refused():
    with pytest.raises(ValueError, match=r"no answers of model 'selected': give one of \['base'\]"):
        difference_metrics(OPEN, _answers({"q0": "x"}, model="base"))


def test_metrics_can_be_recorded(tmp_path):
    questions = _questions(("closed", "Is it?", "yes"), ("open", "What?", "a nodule"))
    accuracy = accuracy_metrics(questions, _answers({"q0": "yes", "q1": "no"}))
    wins = win_rate_metrics(OPEN, _verdicts({"q0": "a", "q2": "b"}))
    for metrics in (accuracy, wins):
        Workspace(tmp_path).record(metrics)
    assert accuracy and wins and Workspace(tmp_path).metrics == accuracy | wins


# -- answering -----------------------------------------------------------------------------------


class BrightnessReader:
    """Answers with the mean brightness of what it sees, so that a swapped image shows."""

    def answer(self, images, questions, max_new_tokens, *, temperature=None, seed=0):
        return [f"{q} {np.asarray(i).mean():.0f}" for i, q in zip(images, questions, strict=True)]


class Told:
    """Answers with how it was asked."""

    def answer(self, images, questions, max_new_tokens, *, temperature=None, seed=0):
        return [f"{question} {temperature} {seed}" for question in questions]


@pytest.fixture
def shown(tmp_path):
    """Three images, each half black and half of one brightness, and two questions about each."""
    questions = _questions(*[("open", f"Q{k}", "?") for k in range(6)])
    for k, level in enumerate((60, 120, 240)):
        pixels = np.zeros((8, 8), dtype=np.uint8)
        pixels[:4] = level
        Image.fromarray(pixels).save(tmp_path / f"i{k}.png")
    return tmp_path, questions.assign(image=[str(tmp_path / name) for name in questions["image"]])


def _ask(shown, **options):
    folder, questions = shown
    return answer_questions(BrightnessReader(), questions, name="reader", **options)


def test_every_question_is_asked_about_its_own_image(shown, tmp_path):
    answers = _ask(shown)
    assert answers["answer"].tolist() == ["Q0 30", "Q1 30", "Q2 60", "Q3 60", "Q4 120", "Q5 120"]
    assert set(answers["model"]) == {"reader"} and set(answers["control"]) == {"none"}
    workspace = Workspace(tmp_path / "run")
    assert workspace.write("answers", answers) == 6


def test_closed_questions_are_greedy_and_the_others_drawn_several_times(shown):
    folder, questions = shown
    questions = questions.assign(kind=["open", "closed", "chat", "open", "closed", "chat"])
    ask = {"name": "told"}
    answers = answer_questions(Told(), questions, draws=2, seed=5, **ask)
    assert answers.groupby("draw")["question_id"].agg(list).tolist() == [
        [f"q{k}" for k in range(6)],
        ["q0", "q2", "q3", "q5"],
    ]
    said = answers.set_index(["draw", "question_id"])["answer"]
    assert said[0, "q1"] == "Q1 None 5" and said[0, "q0"] == "Q0 0.7 5"
    assert said[1, "q0"].startswith("Q0 0.7") and said[1, "q0"] != said[0, "q0"]
    greedy = answer_questions(Told(), questions, temperature=None, **ask)
    assert greedy["answer"].str.contains("None").all() and set(greedy["draw"]) == {0}


@pytest.mark.parametrize("options", [{"draws": 0}, {"draws": 2, "temperature": None}])
def test_no_draws_and_several_greedy_ones_are_refused(shown, options):
    with pytest.raises(ValueError, match=r"draws=\d, temperature="):
        _ask(shown, **options)


@pytest.mark.parametrize("temperature", [0, -0.7, float("nan")])
def test_a_temperature_that_is_not_above_zero_is_refused_before_anything_is_asked(
    shown, temperature
):
    with pytest.raises(ValueError, match="wanted above 0, or None for greedy"):
        _ask(shown, temperature=temperature)


def test_where_nothing_was_answered_there_is_no_draw_to_judge():
    with pytest.raises(ValueError, match="no answers to 6 questions: have a model answer"):
        each_draw(lambda *given: None, OPEN, _answers({}))


def test_each_draw_is_judged_by_itself_and_keeps_its_number():
    answers = pd.concat([_answers({"q0": "x", "q1": "y"}), _answers({"q0": "z"}, draw=1)])

    def judged(questions, own, judge, *, seed):
        return own[["question_id", "answer"]].assign(judge=f"{judge} {seed} {len(questions)}")

    found = each_draw(judged, OPEN, answers, "me", seed=7)
    assert found[["question_id", "answer", "draw"]].to_numpy().tolist() == [
        ["q0", "x", 0], ["q1", "y", 0], ["q0", "z", 1]
    ]  # fmt: skip
    assert set(found["judge"]) == {"me 7 6"}


def test_a_blank_image_has_the_same_mean_and_nothing_on_it(shown):
    folder, questions = shown
    seen = []

    class Keeper(BrightnessReader):
        def answer(self, images, questions, max_new_tokens, **how):
            seen.extend(images)
            return super().answer(images, questions, max_new_tokens)

    answers = answer_questions(Keeper(), questions, name="reader", control="blank")
    assert answers["answer"].tolist() == _ask(shown)["answer"].tolist()
    assert len(seen) == len(questions) == 6
    assert all(np.asarray(image).std() == 0 for image in seen)
    assert all(image.size == (8, 8) for image in seen)


def test_a_shuffled_image_is_never_the_questions_own(shown):
    own = _ask(shown)["answer"]
    for seed in range(5):
        swapped = _ask(shown, control="shuffled", seed=seed)["answer"]
        assert (own != swapped).all()
        assert sorted(set(swapped.str.split().str[1])) == ["120", "30", "60"]


def test_one_image_alone_cannot_be_shuffled(shown):
    folder, questions = shown
    with pytest.raises(ValueError, match="share one image"):
        _ask((folder, questions.iloc[:2]), control="shuffled")


def test_an_unknown_control_is_refused(shown):
    with pytest.raises(ValueError, match="control 'blurred'"):
        _ask(shown, control="blurred")


def test_an_unreadable_image_is_named_and_its_questions_count_as_unanswered(shown, caplog):
    folder, questions = shown
    (folder / "i1.png").write_bytes(b"no image")
    with caplog.at_level(logging.WARNING):
        answers = _ask(shown)
    assert answers["question_id"].tolist() == ["q0", "q1", "q4", "q5"]
    assert set(answers.attrs["unreadable"]) == {"q2", "q3"}
    assert "q2" in caplog.text and "i1.png" in caplog.text
    assert (~open_recall(questions, answers)["answered"]).sum() == 2


def test_a_model_can_be_opened_where_it_is_asked(shown, llava_folder):
    folder, questions = shown
    options = {"name": "tiny", "seed": 3, "max_new_tokens": 6}
    told = []
    found = load_and_answer(llava_folder, None, questions, on_step=told.append, **options)
    again = answer_questions(load_model(llava_folder), questions, **options)
    pd.testing.assert_frame_equal(found, again)
    assert told == [6]


def test_progress_is_told_to_the_end(shown):
    told = []
    _ask(shown, on_answer=told.append)
    assert told == [6]


# -- benchmarks ----------------------------------------------------------------------------------


def _write(folder, name, records):
    folder.mkdir(exist_ok=True)
    if name.endswith(".json"):
        text = json.dumps(records)
    else:
        text = "\n".join(json.dumps(record) for record in records)
    (folder / name).write_text(text)
    return folder / name


def _record(k=0, **changes):
    record = {"question_id": f"x{k}", "image": f"i{k}.png", "question": "Is it?", "answer": "yes",
              "answer_type": "closed", **changes}  # fmt: skip
    return {name: value for name, value in record.items() if value is not None}


def test_the_clinics_benchmark_is_read_from_the_run_folder(tmp_path):
    record = {"question_id": "S0B1_F1-q1", "benchmark": "clinic", "group_id": "S0B1",
              "image": "clinic/benchmark_images/S0B1_F1.png", "modality": "mri", "kind": "chat",
              "question_type": "detail", "question": "What?", "reference": "A cyst."}  # fmt: skip
    _write(tmp_path / "clinic", "benchmark.jsonl", [record])
    questions = read_questions("clinic", run=tmp_path)
    assert questions.iloc[0].to_dict() == {**record, "image": str(tmp_path / record["image"])}
    assert Workspace(tmp_path).write("questions", questions) == 1


def test_before_the_figures_are_made_the_clinics_benchmark_names_its_notebook(tmp_path):
    with pytest.raises(FileNotFoundError, match="01_explore_figures"):
        read_questions("clinic", run=tmp_path)


@pytest.mark.parametrize("left_over", [False, True])
def test_the_clinics_benchmark_says_in_one_line_that_the_figures_are_others(tmp_path, left_over):
    if left_over:  # an earlier walk was on the clinic's figures
        _write(tmp_path / "clinic", "benchmark.jsonl", [_record(0, benchmark="clinic")])
    workspace = Workspace(tmp_path)
    workspace.write("figures", empty_frame("figures"), parameters={"figures": "/data/mine"})
    with pytest.raises(OtherFigures) as told:
        read_questions("clinic", run=tmp_path)
    assert "this run's are '/data/mine': set benchmark to a folder or file" in str(told.value)
    assert "\n" not in str(told.value)


def test_a_blank_behind_closed_and_a_number_as_answer_are_read(tmp_path):
    """VQA-RAD as published has "CLOSED " and integer answers."""
    records = [
        _record(0, answer_type="CLOSED "),
        _record(1, answer=2, answer_type="OPEN", question=" How many? "),
    ]
    questions = read_questions(_write(tmp_path, "own.json", records), run=tmp_path)
    assert questions["kind"].tolist() == ["closed", "open"]
    assert questions["reference"].tolist() == ["yes", "2"]
    assert questions["question"][1] == "How many?"


def test_a_repeated_question_is_kept_once_and_named_with_its_count(tmp_path, caplog):
    records = [_record(k, image="one.png", question=q) for k, q in enumerate(
        ("Is it?", "is  it?", "Is it?", "Or is it?"))]  # fmt: skip
    file = _write(tmp_path, "own.jsonl", records)
    with caplog.at_level(logging.WARNING):
        questions = read_questions(file, run=tmp_path)
    assert questions["question_id"].tolist() == ["x0", "x3"]
    assert questions.attrs["repeated"] == {"x0": 3}
    assert "x0" in caplog.text


def test_the_same_question_about_another_image_is_no_repeat(tmp_path):
    questions = read_questions(
        _write(tmp_path, "own.jsonl", [_record(0), _record(1)]), run=tmp_path
    )
    assert len(questions) == 2 and questions.attrs["repeated"] == {}


def test_fewer_questions_are_among_more_questions(tmp_path):
    file = _write(tmp_path, "own.jsonl", [_record(k) for k in range(40)])
    chosen = {n: set(read_questions(file, run=tmp_path, n=n)["question_id"]) for n in (5, 20)}
    assert len(chosen[5]) == 5 and chosen[5] < chosen[20]
    other = set(read_questions(file, run=tmp_path, n=20, seed=1)["question_id"])
    assert other != chosen[20]


def test_images_are_found_in_the_folder_beside_the_file(tmp_path):
    (tmp_path / "images").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "images" / "i0.png")
    questions = read_questions(_write(tmp_path, "own.jsonl", [_record(0)]), run="elsewhere")
    assert questions["image"][0] == str(tmp_path / "images" / "i0.png")
    assert questions["group_id"][0] == "i0"


def test_slake_is_read_in_english(tmp_path):
    records = [
        {"img_name": "xmlab1/source.jpg", "question": "Which organ?", "answer": "Liver",
         "q_lang": lang, "modality": "CT", "answer_type": "OPEN", "content_type": "Organ", "qid": k}
        for k, lang in enumerate(("en", "zh"))
    ]  # fmt: skip
    questions = read_questions(_write(tmp_path, "test.json", records).parent, run=tmp_path)
    row = questions.iloc[0]
    assert len(questions) == 1
    assert (row.group_id, row.modality, row.question_type) == ("xmlab1/source", "CT", "Organ")


def test_llava_meds_chat_questions_are_read(tmp_path):
    record = {"question_id": 0, "image": "1_F3.jpg", "pair_id": "1_F3", "text": "Which?\n<image>",
              "gpt4_answer": "It is X.", "type": "conversation",
              "domain": {"mri": False, "histology": True, "gross": True}}  # fmt: skip
    file = _write(tmp_path, "llava_med_eval_qa50_qa.jsonl", [record])
    row = read_questions(file, run=tmp_path).iloc[0]
    assert (row.kind, row.question_type, row.question) == ("chat", "conversation", "Which?")
    assert (row.reference, row.group_id, row.modality) == ("It is X.", "1", "histology, gross")


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"answer_type": "essay"}, "kind", "wanted open, closed, chat, received 'essay'"),
        ({"answer": None}, "reference", "it is missing"),
        ({"answer": "  "}, "reference", "received '  '"),
        ({"answer": True}, "reference", "received True"),
        ({"question": ["a"]}, "question", "received ['a']"),
        ({"question": "<image>\n"}, "question", "received '<image>"),
        ({"image": "../../secret.png"}, "image", "leaves the benchmark's folder"),
        ({"image": "/etc/secret.png"}, "image", "leaves the benchmark's folder"),
        ({"question_id": "x0"}, "question_id", "question_id 'x0' occurs twice"),
    ],
)
def test_a_bad_record_is_one_rejected_row_with_its_value(tmp_path, caplog, change, field, message):
    records = [_record(0), _record(1, **change), _record(2)]
    with caplog.at_level(logging.WARNING):
        questions = read_questions(_write(tmp_path, "own.jsonl", records), run=tmp_path)
    assert questions["question_id"].tolist() == ["x0", "x2"]
    (wrong,) = questions.attrs["rejected"]
    assert (wrong["place"], wrong["field"]) == ("own.jsonl:2", field)
    assert message in wrong["reason"]
    assert "1 of 3 records are not questions" in caplog.text
    told = reading_notes(questions)["what"]
    assert told[0] == "2 questions about 2 images, from 3 records" and "1 of 3 records" in told[1]


def test_a_broken_line_is_one_rejected_row(tmp_path):
    text = json.dumps(_record(0)) + '\n{"question_id":\n' + json.dumps(_record(2))
    (tmp_path / "own.jsonl").write_text(text)
    questions = read_questions(tmp_path / "own.jsonl", run=tmp_path)
    assert questions["question_id"].tolist() == ["x0", "x2"]
    assert [row["place"] for row in questions.attrs["rejected"]] == ["own.jsonl:2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "own.jsonl is empty"), ("[]", "holds no records"), ("{}", r"0 of 1 .*own\.jsonl:1")],
)
def test_a_file_without_a_question_says_so(tmp_path, text, message):
    (tmp_path / "own.jsonl").write_text(text)
    with pytest.raises(BadQuestion, match=message):
        read_questions(tmp_path / "own.jsonl", run=tmp_path)


def test_a_folder_without_a_benchmark_says_what_was_looked_for(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"vqa_rad_test\.jsonl"):
        read_questions(tmp_path, run=tmp_path)


def _pictures(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), len(name)).save(folder / name)


@pytest.mark.parametrize("split", ["test", "train", "validation"])
def test_slakes_three_splits_are_read_as_published(tmp_path, split):
    name = "validate" if split == "validation" else split
    record = {"img_id": 1, "img_name": "xmlab1/source.jpg", "question": "Is it a CT?",
              "answer": "Yes", "q_lang": "en", "location": "Abdomen", "modality": "CT",
              "answer_type": "CLOSED", "base_type": "vqa", "content_type": "Modality",
              "triple": ["vhead", "_", "_"], "qid": 11_934}  # fmt: skip
    chinese = {**record, "q_lang": "zh", "qid": 11_935}
    _pictures(tmp_path / "Slake1.0", "imgs/xmlab1/source.jpg")
    _write(tmp_path / "Slake1.0", f"{name}.json", [record, chinese])
    questions = read_questions(tmp_path / "Slake1.0", run=tmp_path, split=split)
    row = questions.iloc[0]
    assert len(questions) == 1 and questions.attrs["other_languages"] == ["zh"]
    assert (row.benchmark, row.question_id, row.kind) == ("SLAKE", "slake_11934", "closed")
    assert row.image == str(tmp_path / "Slake1.0/imgs/xmlab1/source.jpg")
    assert "1 of 2 records are in another language" in reading_notes(questions)["what"][1]


def test_vqa_rads_one_file_of_all_its_questions_is_read_by_split(tmp_path):
    """As its authors publish it: the phrase says which questions are the test's."""
    records = [
        {"qid": str(k), "phrase_type": phrase, "qid_linked_id": "x", "image_name": "a.jpg",
         "image_case_url": "https://medpix.nlm.nih.gov/case", "image_organ": "CHEST",
         "question": f"Is it {k}?", "answer": "Yes", "answer_type": "CLOSED"}
        for k, phrase in enumerate(("freeform", "test_freeform", "para", "test_para"))
    ]  # fmt: skip
    folder = _write(tmp_path, "VQA_RAD Dataset Public.json", records).parent
    for split, ids in (("test", [1, 3]), ("train", [0, 2])):
        questions = read_questions(folder, run=tmp_path, split=split)
        assert questions["question_id"].tolist() == [f"vqarad_{k}" for k in ids]
        assert questions["benchmark"].unique().tolist() == ["VQA-RAD"]
        assert "2 of 4 records are in another split" in reading_notes(questions)["what"][1]


def test_a_table_that_states_splits_is_read_by_them_and_a_split_alone_is_read_whole(tmp_path):
    records = [_record(0, split="train"), _record(0, split="Test", question="Or?")]
    file = _write(tmp_path, "own.jsonl", records)
    assert read_questions(file, run=tmp_path)["question"].tolist() == ["Or?"]
    file = _write(tmp_path, "own.jsonl", records[:1])
    assert read_questions(file, run=tmp_path)["question"].tolist() == ["Is it?"]


@pytest.mark.parametrize("folder", ["own", "data", "test", "qas", "original"])
def test_an_images_path_may_not_leave_its_folder_however_that_is_called(tmp_path, folder):
    (tmp_path / folder).mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "secret.png")
    records = [
        _record(0),
        _record(1, image="../secret.png"),
        _record(2, image="a/../../secret.png"),
    ]
    questions = read_questions(_write(tmp_path / folder, "own.jsonl", records), run=tmp_path)
    assert questions["question_id"].tolist() == ["x0"]
    assert [row["field"] for row in questions.attrs["rejected"]] == ["image"] * 2


def test_pathvqas_pickles_are_read_as_published(tmp_path):
    folder = tmp_path / "pvqa"
    _pictures(folder, "images/test/test_0273.jpg")
    rows = [
        {"answer_type": kind, "img_id": "test_0273", "label": label, "question_id": number,
         "question_type": "is", "sent": "Is it normal?"}
        for number, kind, label in ((1, "yes/no", {"no": 1}), (2, "other", {"liver": 1}),
                                    (3, "number", {}))
    ]  # fmt: skip
    (folder / "qas").mkdir()
    (folder / "qas" / "test_vqa.pkl").write_bytes(pickle.dumps(rows))
    questions = read_questions(folder, run=tmp_path)
    assert questions["kind"].tolist() == ["closed", "open"]
    assert questions["reference"].tolist() == ["no", "liver"]
    assert questions["benchmark"].tolist() == ["PathVQA"] * 2
    assert questions["image"].unique().tolist() == [str(folder / "images/test/test_0273.jpg")]
    assert [row["field"] for row in questions.attrs["rejected"]] == ["reference"]
    (folder / "qas" / "test").mkdir()
    rows = [{"image": "test_0273", "question": f"Is it {k}?", "answer": a}
            for k, a in enumerate(("yes", "a cyst"))]  # fmt: skip
    (folder / "qas" / "test" / "test_qa.pkl").write_bytes(pickle.dumps(rows))
    questions = read_questions(folder, run=tmp_path)
    assert questions["kind"].tolist() == ["closed", "open"]
    assert questions["image"].unique().tolist() == [str(folder / "images/test/test_0273.jpg")]


@pytest.mark.parametrize("repository", ["path-vqa", "vqa-rad"])
def test_a_benchmark_is_read_as_the_hub_keeps_it(tmp_path, repository):
    """Parquet in parts, the images within; in the cache below snapshots/<revision>."""
    folder = tmp_path / f"datasets--someone--{repository}" / "snapshots" / ("0f" * 20)
    (folder / "data").mkdir(parents=True)
    for part in range(2):
        buffer = io.BytesIO()
        Image.new("L", (4, 4), part).save(buffer, "PNG")
        image = {"bytes": buffer.getvalue(), "path": None}
        rows = [{"image": image, "question": f"Is it {part}?", "answer": "yes"},
                {"image": image, "question": "What is it?", "answer": "a cyst"}]  # fmt: skip
        frame = pd.DataFrame(rows)
        frame.to_parquet(folder / "data" / f"test-0000{part}-of-00002-abc.parquet")
        frame.to_parquet(folder / "data" / f"train-0000{part}-of-00002-abc.parquet")
    run = tmp_path / "run"
    questions = read_questions(folder, run=run)
    name = {"path-vqa": "PathVQA", "vqa-rad": "VQA-RAD"}[repository]
    assert questions["benchmark"].tolist() == [name] * 4
    assert questions["kind"].tolist() == ["closed", "open"] * 2
    assert questions["image"].nunique() == questions["group_id"].nunique() == 2
    assert {Path(image).suffix for image in questions["image"]} == {".png"}
    assert len(with_images(questions)) == 4
    assert Workspace(run).write("questions", questions) == 4


@pytest.mark.parametrize("spelt", ["conversations", "conversatons"])
def test_llava_meds_form_of_the_three_is_read(tmp_path, spelt):
    said = [{"from": "human", "value": "<image>\nIs it?"}, {"from": "gpt", "value": "no"}]
    records = [
        {"id": 7, "image": "a.jpg", spelt: said, "answer_type": "CLOSED"},
        {"id": 8, "image": "a.jpg", spelt: [*said, *said[:1], {"from": "gpt", "value": "left"}]},
        {"id": 9, "image": "a.jpg", spelt: said[:1]},
    ]
    _write(tmp_path / "data_RAD", "test.json", records)
    questions = read_questions(tmp_path / "data_RAD", run=tmp_path)
    assert questions["question_id"].tolist() == ["data_rad_7", "8-r2"]
    assert questions["kind"].tolist() == ["closed", "open"]
    assert questions["question"].tolist() == ["Is it?"] * 2
    assert questions.attrs["repeated"] == {"data_rad_7": 2}
    assert [row["field"] for row in questions.attrs["rejected"]] == ["conversations"]


def test_llavas_questions_find_their_answers_in_the_file_beside(tmp_path):
    _write(tmp_path, "qa90_questions.jsonl", [
        {"question_id": k, "image": "a.jpg", "text": f"What {k}?", "category": "conv"}
        for k in range(3)])  # fmt: skip
    _write(tmp_path, "qa90_gpt4_answer.jsonl", [
        {"question_id": k, "text": f"Answer {k}.", "answer_id": f"x{k}", "model_id": "gpt4"}
        for k in (1, 0)])  # fmt: skip
    questions = read_questions(tmp_path, run=tmp_path)
    assert questions["reference"].tolist() == ["Answer 0.", "Answer 1."]
    assert questions["kind"].tolist() == ["chat"] * 2
    assert questions["question_type"].tolist() == ["conv"] * 2
    assert [row["field"] for row in questions.attrs["rejected"]] == ["reference"]


@pytest.mark.parametrize("form", ["within", "beside", "by domain"])
def test_llava_meds_chat_set_comes_with_its_captions(tmp_path, form):
    record = {"question_id": 0, "image": "1_F3.jpg", "pair_id": "1_F3", "text": "Which?\n<image>",
              "gpt4_answer": "It is X.", "type": "detail", "in_text_mention": [],
              "domain": {"mri": True}, "fig_label": "Fig. 3"}  # fmt: skip
    captioned = {**record, "fig_caption": "A cyst. "}
    if form != "within":
        captions = [captioned] if form == "beside" else {"mri": [captioned]}
        _write(tmp_path, "llava_med_eval_qa50_fig_captions.json", captions)
    asked = captioned if form == "within" else record
    _write(tmp_path, "llava_med_eval_qa50_qa.jsonl", [asked])
    questions = read_questions(tmp_path, run=tmp_path)
    assert questions["benchmark"].tolist() == ["LLaVA-Med chat"]
    assert questions["kind"].tolist() == ["chat"]
    assert questions.attrs["captions"] == {str(tmp_path / "1_F3.jpg"): "A cyst."}


def test_a_table_of_ones_own_may_be_csv(tmp_path):
    (tmp_path / "wards.csv").write_text(
        "Question,Answer,Image\nHow many?,2.0,i0.png\nWhere?,nan,i0.png\nIs it?,Yes.,i0.png\n"
    )
    questions = read_questions(tmp_path / "wards.csv", run=tmp_path)
    assert questions["question_id"].tolist() == ["wards_1", "wards_3"]
    assert questions["kind"].tolist() == ["open", "closed"]
    assert questions["benchmark"].tolist() == ["wards"] * 2
    assert [row["place"] for row in questions.attrs["rejected"]] == ["wards.csv:3"]


@pytest.mark.parametrize(
    "name", ["test.json", "data/test.json", "questions.json", "qas/train.json"]
)
def test_a_benchmark_is_called_by_its_folder_where_its_file_says_nothing(tmp_path, name):
    file = tmp_path / "thorax" / name
    file.parent.mkdir(parents=True)
    questions = read_questions(_write(file.parent, file.name, [_record(0)]), run=tmp_path)
    assert questions["benchmark"].tolist() == ["thorax"]


def test_missing_images_are_counted_before_a_model_is_asked(tmp_path, caplog):
    _pictures(tmp_path, "i0.png")
    (tmp_path / "i2.png").write_bytes(b"no image")
    records = [_record(0), _record(1), _record(2), _record(3, image="i1.png", question="Or?")]
    with caplog.at_level(logging.WARNING):
        questions = read_questions(_write(tmp_path, "own.jsonl", records), run=tmp_path)
        asked = with_images(questions)
    assert "1 of 3 images are missing: 2 of 4 questions cannot be answered" in caplog.text
    assert asked["question_id"].tolist() == ["x0"]
    assert [reason[:9] for reason in asked.attrs["images_left_out"].values()] == [
        "no such i", "'i2.png' ",
    ]  # fmt: skip
    note = "2 of 3 images cannot be opened: 3 of 4 questions are left out"
    assert note in caplog.text
    assert reading_notes(asked)["what"].tolist() == [
        "1 questions about 1 images, from 4 records", note,
    ]  # fmt: skip


def test_a_benchmark_without_any_image_is_refused_in_one_line(tmp_path):
    questions = read_questions(_write(tmp_path, "own.jsonl", [_record(0)]), run=tmp_path)
    with pytest.raises(NoImages, match="1 of 1 images cannot be opened.*cannot be evaluated") as no:
        with_images(questions)
    assert "\n" not in str(no.value)


# -- VQA-RAD -------------------------------------------------------------------------------------


@pytest.mark.realdata
def test_vqa_rad_reads_the_same_normalised_and_as_published(realdata, tmp_path):
    normalised = read_questions(realdata / "vqa_rad", run=tmp_path)
    published = read_questions(realdata / "vqa_rad" / "original", run=tmp_path)
    pd.testing.assert_frame_equal(normalised, published)
    assert len(normalised) == 451
    assert normalised["kind"].value_counts().to_dict() == {"closed": 272, "open": 179}
    assert normalised["image"].map(lambda path: open_image(path).width > 0).all()
    assert Workspace(tmp_path / "run").write("questions", normalised) == 451


@pytest.mark.realdata
def test_vqa_rads_training_file_with_its_odd_values_reads_the_same_both_ways(realdata, tmp_path):
    """Two "CLOSED " and ten integer answers stand in it, and 452 questions more than once."""
    folder = realdata / "vqa_rad"
    normalised = read_questions(folder / "vqa_rad_train.jsonl", run=tmp_path)
    published = read_questions(folder / "original" / "vqa_rad_trainset.json", run=tmp_path)
    pd.testing.assert_frame_equal(normalised, published)
    repeated = normalised.attrs["repeated"]
    assert len(repeated) == 452
    assert len(normalised) + sum(repeated.values()) - len(repeated) == 3064


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["vqa_rad_test.jsonl", "vqa_rad_train.jsonl"])
def test_a_perfect_model_scores_everything_and_a_contrary_one_nothing(realdata, tmp_path, name):
    questions = read_questions(realdata / "vqa_rad" / name, run=tmp_path)
    perfect = questions[["question_id"]].assign(
        model="perfect", control="none", draw=0, answer=questions["reference"]
    )
    assert open_recall(questions, perfect)["value"].mean() == 1.0
    assert closed_accuracy(questions, perfect)["value"].mean() == 1.0
    first = questions["reference"].str.lower().str.extract(r"^(yes|no)\b")[0]
    asked = questions[(questions["kind"] == "closed") & first.notna()]
    contrary = asked[["question_id"]].assign(
        model="contrary",
        draw=0,
        control="none",
        answer=first[asked.index].map({"yes": "no", "no": "yes"}),
    )
    assert closed_accuracy(asked, contrary)["value"].sum() == 0.0


SAID_OTHERWISE = {
    "roles.json": [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "A"}],
    "system.json": [{"from": "system", "value": "Be brief."}, {"from": "human", "value": "What?"},
                    {"from": "gpt", "value": "A"}],
    "cell.csv": [{"from": "human", "value": "<image>What?"}, {"from": "gpt", "value": "A"}],
}  # fmt: skip


@pytest.mark.parametrize("name", SAID_OTHERWISE)
def test_a_conversations_question_is_read_however_it_is_told(tmp_path, name):
    row = {"id": "c1", "image": "i0.png", "conversations": SAID_OTHERWISE[name]}
    if name.endswith("csv"):
        pd.DataFrame([row]).to_csv(tmp_path / name, index=False)
    else:
        _write(tmp_path, name, [row])
    found = read_questions(tmp_path / name, run=tmp_path).iloc[0]
    assert (found["question"], found["reference"]) == ("What?", "A")


@pytest.mark.parametrize("kind", ["", "Closed-ended", "closed_ended", "CLOSED "])
def test_kinds_are_known_however_they_are_written(tmp_path, kind):
    record = _record(answer_type=kind, image="sub\\i0.png")
    found = read_questions(_write(tmp_path, "own.json", [record]), run=tmp_path).iloc[0]
    assert (found["kind"], found["image"]) == ("closed", str(tmp_path / "sub" / "i0.png"))

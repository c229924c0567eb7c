"""What closed answers count: questions that offer a choice, VQA-RAD, LLaVA-Med's own measures."""

from __future__ import annotations

import pandas as pd
import pytest
from closed_rows import NON_ANSWERS

from vital_lib.evaluation import (
    accuracy_metrics,
    closed_accuracy,
    closed_point,
    closed_value,
    llava_med_closed,
    llava_med_recall,
    open_recall,
    read_questions,
    unread_answers,
)

# -- questions that offer a choice ---------------------------------------------------------------

SIDE = "Is the lesion on the left or right side of the brain?"
BOTH = "Are the opacities on the left, right, or both sides?"


@pytest.mark.parametrize(
    ("question", "reference", "answer", "point"),
    [
        (SIDE, "Left", "On the left.", 1.0),
        (SIDE, "Left", "On the right.", 0.0),
        (SIDE, "Left", "On the left and the right.", 0.0),
        (SIDE, "Left", "left or right", None),
        (SIDE, "Left", SIDE, None),
        (SIDE, "Left", "I cannot tell whether it is on the left.", None),
        (SIDE, "Left", "Unable to determine if left.", None),
        (SIDE, "Left", "I cannot see the image.", None),
        (SIDE, "Left", "left_brain_07.png", None),
        (SIDE, "Left", "Copyright 2018. All rights reserved.", None),
        (SIDE, "Left", "In the middle.", None),
        (SIDE, "Left", f"{SIDE} Left", 1.0),
        (BOTH, "Both", BOTH, None),
        (BOTH, "Both", "left, right, or both", None),
        (BOTH, "Both", "On both sides.", 1.0),
        (BOTH, "Both", "On the left.", 0.0),
        ("Is this a CT or a chest X-ray?", "Chest X-ray", "a chest radiograph", 1.0),
        ("Is this an MRI or a CT?", "MRI", "an MR image", 1.0),
        ("Is this an MRI or a CT?", "MRI", "computed tomography", 0.0),
        ("Is this a histology slide or a CT?", "Histology slide", "A tissue section.", 1.0),
        ("Is this a CT or a histology slide?", "CT", "microscopy", 0.0),
        ("Is this a gross specimen or an MRI?", "Gross specimen", "A specimen photograph.", 1.0),
        ("Is this a gross specimen or an MRI?", "MRI", "a macroscopic image", 0.0),
        ("Is this light or electron microscopy?", "Electron", "Electron microscopy.", 1.0),
        ("Is this a chest X-ray or a gross specimen?", "Chest X-ray", "Normal CXR.", 1.0),
        ("Is this a histology slide?", "Yes", "This is a light micrograph.", 1.0),
        ("Where are the nodules?", "Diffuse", "They are diffuse.", 1.0),
        ("Where are the nodules?", "Diffuse", "I cannot see the image.", None),
        ("Is this an infectious process?", "Maybe", "Maybe", 1.0),
        ("Would you expect it?", "Not sure", "Not sure", 1.0),
        ("Is the heart enlarged?", "True", "Yes.", 1.0),
        ("Is the heart enlarged?", "False", "Yes.", 0.0),
        ("Is the heart enlarged?", "Yes", "Maybe.", None),
    ],
)
def test_a_choice_counts_where_one_is_named(question, reference, answer, point):
    assert closed_point(question, reference, answer) == point
    assert closed_value(question, reference, answer) == (point or 0.0)


# -- metrics -------------------------------------------------------------------------------------


def _questions(*rows):
    columns = ["question", "reference", "kind"]
    frame = pd.DataFrame(rows, columns=columns)
    names = [f"q{k}" for k in range(len(frame))]
    return frame.assign(question_id=names, group_id=names, question_type=None, modality=None)


def _constant(questions, answer):
    return questions[["question_id"]].assign(model="m", control="none", draw=0, answer=answer)


def test_what_is_no_answer_is_counted_as_unanswered_and_can_be_looked_at():
    questions = _questions(
        ("Is it on the left or the right?", "left", "closed"),
        ("Is the heart enlarged?", "no", "closed"),
        ("What is it?", "a cyst", "open"),
    )
    answers = _constant(questions, "I cannot see the image.")
    assert not closed_accuracy(questions, answers)["answered"].any()
    found = accuracy_metrics(questions, answers)
    assert found["evaluation.closed_accuracy_m"] == 0.0
    assert found["evaluation.closed_unanswered_m"] == found["evaluation.unanswered_m"] == 2
    shown = unread_answers(questions, answers)
    assert shown["question"].tolist() == list(questions["question"][:2])
    assert set(shown["answer"]) == {"I cannot see the image."}
    assert unread_answers(questions, _constant(questions, None)).empty


@pytest.mark.realdata
def test_a_constant_that_is_no_answer_scores_nothing_on_vqa_rad(realdata, tmp_path):
    questions = read_questions(realdata / "vqa_rad", run=tmp_path)
    truth = questions["reference"].str.lower().str.extract(r"^(yes|no)\b")[0]
    asked = questions[(questions["kind"] == "closed") & truth.notna()]
    assert len(asked) == 251
    for constant in NON_ANSWERS[::6]:
        values = closed_accuracy(asked, _constant(asked, constant))
        assert (values["value"].sum(), values["answered"].sum()) == (0, 0), constant
    for echo in ("{}", "{} yes or no", "Question: {}"):
        said = asked["question"].map(echo.format)
        values = closed_accuracy(asked, _constant(asked, None).assign(answer=said))
        assert (values["value"].sum(), values["answered"].sum()) == (0, 0), echo


@pytest.mark.realdata
def test_vqa_rads_own_closed_answers_read_as_themselves(realdata, tmp_path):
    questions = read_questions(realdata / "vqa_rad", run=tmp_path)
    asked = questions[questions["kind"] == "closed"]
    values = closed_accuracy(asked, _constant(asked, None).assign(answer=asked["reference"]))
    assert values["answered"].all() and values["value"].eq(1.0).all()


# -- LLaVA-Med's own measures --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "answer", "recall"),
    [
        ("left upper lobe", "It lies in the left lobe.", 2 / 3),
        ("left lobe", "left left left", 3 / 4),
        ("left lobe", "the left lobe, the left one", 1.0),
        ("no no", "no", 1.0),
        ("none", "0", 1.0),
        ("2", "There are two.", 1.0),
        ("x-ray", "x ray", 1.0),
        ("x-ray", "a chest x-ray - frontal", 0.0),
        ("3.5 cm", "about 3.5 cm.", 1.0),
        ("right side", "right: side", 1 / 2),
        ("male", "a female patient", 0.0),
        ("a", "the", 0.0),
        ("left", "", 0.0),
    ],
)
def test_llava_meds_recall_counts_repeated_words(reference, answer, recall):
    assert llava_med_recall(reference, answer) == pytest.approx(recall)


@pytest.mark.parametrize(
    ("reference", "answer", "hit"),
    [
        ("Yes", "Yes, it is.", 1.0),
        ("No", "Yes, it is.", 0.0),
        ("No", "The heart is normal.", 1.0),
        ("No", "I do not know.", 1.0),
        ("Yes", "yes or no", 1.0),
        ("No", "yes or no", 1.0),
        ("No", "none", 0.0),
        ("Left", "left", 0.0),
        ("Left", "No, it is on the left.", 1.0),
    ],
)
def test_llava_meds_closed_metric_looks_for_letters(reference, answer, hit):
    assert llava_med_closed(reference, answer) == hit


def test_both_metrics_stand_beside_each_other():
    questions = _questions(
        ("Is the heart enlarged?", "no", "closed"), ("Where?", "left lobe", "open")
    )
    answers = _constant(questions, None).assign(answer=["I do not know.", "left left left"])
    assert closed_accuracy(questions, answers)["value"].tolist() == [0.0]
    assert closed_accuracy(questions, answers, metric="llava-med")["value"].tolist() == [1.0]
    assert open_recall(questions, answers)["value"].tolist() == [0.5]
    assert open_recall(questions, answers, metric="llava-med")["value"].tolist() == [0.75]
    found = accuracy_metrics(questions, answers, metric="llava-med")
    assert found["evaluation.llava_med_closed_accuracy_m"] == 1.0
    assert found["evaluation.llava_med_open_recall_m"] == 0.75
    assert not set(found) & set(accuracy_metrics(questions, answers))
    with pytest.raises(ValueError, match="metric 'bleu': give one of vital, llava-med"):
        closed_accuracy(questions, answers, metric="bleu")

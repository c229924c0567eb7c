"""The benchmark's questions: natural, balanced, and with references that are true."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from vital_lib.clinic.benchmark import write_questions
from vital_lib.clinic.lexicon import (
    ATTRIBUTES,
    COUNTS,
    FINDINGS,
    LEVELS,
    NO_FINDING,
    SIDES,
    SIZES,
    Truth,
    asked,
    contradictions,
    read_answer,
    style_faults,
)
from vital_lib.modalities import MODALITIES

ASKS = {
    "modality": {"modality"},
    "presence": {"finding"},
    "abnormality": {"finding"},
    "side": {"side"},
    "level": {"level"},
    "position": {"side", "level"},
    "size": {"size"},
    "count": {"count"},
    "detail": set(ATTRIBUTES),
}


@pytest.fixture(scope="module")
def written() -> list[tuple[Truth, dict]]:
    """Every question about 2,000 random figures."""
    rng = np.random.default_rng(8)

    def draw(values):
        return values[int(rng.integers(len(values)))]

    rows = []
    for number in range(2000):
        modality = MODALITIES[number % len(MODALITIES)]
        details = (draw(SIDES), draw(LEVELS), draw(SIZES), draw(COUNTS))
        truth = Truth(modality, draw(FINDINGS[modality]), *details)
        if rng.random() < 0.15:
            truth = Truth(modality, NO_FINDING, None, None, None, 0)
        rows += [(truth, row) for row in write_questions(truth, rng)]
    return rows


def test_every_reference_is_true_and_answers_what_is_asked(written):
    for truth, row in written:
        claims = read_answer(row["question"], row["reference"])
        assert contradictions(claims, truth.facts()) == (), row
        told = {claim.attribute for claim in claims}
        wanted = asked(row["question"])
        assert told & wanted, row
        if truth.finding != NO_FINDING:
            assert wanted <= told, row


def test_every_question_asks_for_what_its_type_says(written):
    for _, row in written:
        if row["question_type"] != "conversation":
            assert asked(row["question"]) == ASKS[row["question_type"]], row


def test_no_reference_has_a_fault_of_style(written):
    for _, row in written:
        assert style_faults(row["question"], row["reference"], []) in ((), ("truncated",)), row
        if row["kind"] == "chat":
            assert style_faults(row["question"], row["reference"], []) == (), row


def test_a_figure_has_three_short_questions_on_different_matters():
    rng = np.random.default_rng(2)
    truth = Truth("histology", "granuloma", "left", "upper", "small", 2)
    for _ in range(50):
        rows = write_questions(truth, rng)
        short = [row for row in rows if row["kind"] != "chat"]
        assert len({row["question_type"] for row in short}) == len(short) == 3
        assert len(rows) - len(short) <= 1
        assert all(set(row) == {"kind", "question_type", "question", "reference"} for row in rows)


def test_open_closed_and_chat_are_mixed_as_intended(written):
    kinds = Counter(row["kind"] for _, row in written)
    assert 0.47 < kinds["open"] / (kinds["open"] + kinds["closed"]) < 0.53
    assert 0.46 < kinds["chat"] / 2000 < 0.54
    types = Counter(row["question_type"] for _, row in written if row["kind"] == "chat")
    assert 0.21 < types["detail"] / kinds["chat"] < 0.31


def test_closed_questions_are_as_often_answered_yes_as_no(written):
    answers: dict[str, Counter] = {}
    for _, row in written:
        if row["reference"] in ("Yes", "No"):
            answers.setdefault(row["question_type"], Counter())[row["reference"]] += 1
    total = sum(answers.values(), Counter())
    assert 0.47 < total["Yes"] / total.total() < 0.53
    for topic, counts in answers.items():
        assert 0.4 < counts["Yes"] / counts.total() < 0.6, topic


def test_the_right_choice_stands_first_as_often_as_last(written):
    first = [
        row["question"].lower().index(truth.side) < row["question"].lower().index(other)
        for truth, row in written
        if row["kind"] == "closed" and row["question_type"] == "side"
        for other in SIDES
        if other != truth.side and other in row["question"] and truth.side in row["question"]
    ]
    assert len(first) > 50
    assert 0.35 < np.mean(first) < 0.65


def test_the_right_choice_is_worded_as_the_question_offers_it(written):
    """Or an answer that repeats the right choice would not count as right."""
    choices = [row for _, row in written if row["kind"] == "closed" and " or " in row["question"]]
    assert len({row["question_type"] for row in choices}) == 4
    assert all(row["reference"].lower() in row["question"].lower() for row in choices)


def test_findings_that_are_not_there_are_asked_about(written):
    absent = {
        truth.finding == NO_FINDING
        for truth, row in written
        if row["question_type"] == "presence" and row["reference"] == "No"
    }
    assert absent == {True, False}


def test_places_are_worded_as_suits_the_image(written):
    for truth, row in written:
        text = f"{row['question']} {row['reference']}".lower()
        if truth.modality in ("ct_scan", "mri"):
            assert not {"upper", "lower", "middle"} & set(text.replace(",", "").split()), row
        else:
            assert "hemisphere" not in text, row
    fields = [row for truth, row in written if truth.modality == "histology"]
    assert any("left half of the field" in row["question"] for row in fields)

"""Claims about asking a model: images, controls and draws."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from evaluation_rows import OPEN, answer_rows, question_rows
from PIL import Image

from vital_lib.evaluation import answer_questions, each_draw, load_and_answer, open_recall
from vital_lib.models import load_model
from vital_lib.receipts import Answer, AnswersQuestions
from vital_lib.tables import Workspace


class WithoutReceipts(AnswersQuestions):
    """A stub whose behaviour is `say(image, question, temperature, seed)`."""

    def answered(self, images, questions, max_new_tokens=48, *, temperature=None, seed=0):
        both = zip(images, questions, strict=True)
        return [Answer(self.say(*one, temperature, seed), None) for one in both]

    def expected(self, image):
        return None


class BrightnessReader(WithoutReceipts):
    """Answers with the mean brightness of what it sees, so that a swapped image shows."""

    def say(self, image, question, *how):
        return f"{question} {np.asarray(image).mean():.0f}"


class Told(WithoutReceipts):
    """Answers with how it was asked."""

    def say(self, image, question, *how):
        return " ".join(map(str, (question, *how)))


@pytest.fixture
def shown(tmp_path):
    """Three images, each half black and half of one brightness, and two questions about each."""
    questions = question_rows(*[("open", f"Q{k}", "?") for k in range(6)])
    for k, level in enumerate((60, 120, 240)):
        pixels = np.zeros((8, 8), dtype=np.uint8)
        pixels[:4] = level
        Image.fromarray(pixels).save(tmp_path / f"i{k}.png")
    return tmp_path, questions.assign(image=[str(tmp_path / name) for name in questions["image"]])


def _ask(shown, **options):
    """Without a probe: a blanked image has the same brightness."""
    folder, questions = shown
    return answer_questions(BrightnessReader(), questions, name="reader", probe=0, **options)


def test_every_question_is_asked_about_its_own_image(shown, tmp_path):
    answers = _ask(shown)
    assert answers["answer"].tolist() == ["Q0 30", "Q1 30", "Q2 60", "Q3 60", "Q4 120", "Q5 120"]
    assert set(answers["model"]) == {"reader"} and set(answers["control"]) == {"none"}
    workspace = Workspace(tmp_path / "run")
    assert workspace.write("answers", answers) == 6


def test_closed_questions_are_greedy_and_the_others_drawn_several_times(shown):
    folder, questions = shown
    questions = questions.assign(kind=["open", "closed", "chat", "open", "closed", "chat"])
    ask = {"name": "told", "probe": 0}
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
        each_draw(lambda *given: None, OPEN, answer_rows({}))


def test_each_draw_is_judged_by_itself_and_keeps_its_number():
    answers = pd.concat([answer_rows({"q0": "x", "q1": "y"}), answer_rows({"q0": "z"}, draw=1)])

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
        def say(self, image, *how):
            seen.append(image)
            return super().say(image, *how)

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

"""Tests of answers that a run already has: kept while nothing they depend on has changed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from evaluation_rows import question_rows
from PIL import Image

from vital_lib.evaluation import answer_questions, kept_answers, model_calls
from vital_lib.receipts import Answer, AnswersQuestions, pixel_hash, receipt_of_pixels
from vital_lib.tables import Workspace

CONTROLS = {"selected": ["blank", "shuffled", "no_image"]}
SETTINGS = {"base_model": "clinic", "draws": 2, "seed": 3}


class Echo(AnswersQuestions):
    """A model that says which image it was shown, with receipts."""

    def answered(self, images, questions, max_new_tokens, **how):
        shown = [[image] if image else [] for image in images]
        return [
            Answer(f"{pixel_hash(own)} {question}", receipt_of_pixels(own, pixel_hash(own), 3))
            for own, question in zip(shown, questions, strict=True)
        ]

    def expected(self, image):
        return pixel_hash([image] if image else [])


def _draw(path, shade):
    Image.fromarray(np.full((8, 8, 3), shade, dtype=np.uint8)).save(path)


@pytest.fixture
def run(tmp_path):
    """A run whose base and selected model have answered four questions about four images."""
    workspace = Workspace(tmp_path / "run")
    questions = question_rows(
        *(("open" if n % 2 else "closed", f"Question {n}?", "Left") for n in range(4))
    )
    for n in range(4):
        _draw(tmp_path / f"{n}.png", 40 * n)
    questions["image"] = [str(tmp_path / f"{n}.png") for n in range(4)]
    folder = workspace.model("selected")
    folder.mkdir(parents=True)
    for name in ("config", "metrics"):
        (folder / f"{name}.json").write_text("{}")
    (folder / "language.safetensors").write_bytes(b"weights")
    calls = _calls(workspace, questions)
    parts = [
        answer_questions(
            Echo(),
            **{k: v for k, v in call.items() if k not in ("base_model", "folder")},
            probe=0,
        )
        for call in calls.values()
    ]
    workspace.write("questions", questions)
    _write(workspace, pd.concat(parts))
    return workspace


def _write(workspace, answers):
    made_from, how = ["questions", "models/selected"], {**SETTINGS, "temperature": 0.7}
    workspace.write("answers", answers, made_from=made_from, parameters=how)


def _calls(workspace, questions, **settings):
    folders = {"base": None, "selected": workspace.model("selected")}
    return model_calls(folders, questions, CONTROLS, **{**SETTINGS, **settings})


def _kept(workspace, questions=None, **settings):
    questions = workspace.read("questions") if questions is None else questions
    return kept_answers(workspace, _calls(workspace, questions, **settings))


def test_all_answers_of_an_unchanged_run_are_kept_as_they_are(run):
    kept = _kept(run)
    assert list(kept) == [
        "base", "selected", "selected, blank", "selected, shuffled", "selected, no_image"
    ]  # fmt: skip
    stored = run.read("answers")
    pd.testing.assert_frame_equal(
        pd.concat(kept.values(), ignore_index=True), stored, check_dtype=False
    )


def test_of_fewer_questions_only_their_answers_are_kept(run):
    some = run.read("questions").iloc[[2, 0]]
    kept = _kept(run, some)
    assert set(kept["selected"]["question_id"]) == set(some["question_id"])
    assert "selected, shuffled" not in kept  # it would swap other images


def test_a_new_run_has_none(tmp_path, run):
    new = Workspace(tmp_path / "new")
    assert kept_answers(new, _calls(run, run.read("questions"))) == {}


@pytest.mark.parametrize("setting", [{"draws": 1}, {"seed": 4}, {"base_model": "other"}])
def test_answers_of_another_setting_are_not_kept(run, setting):
    assert _kept(run, **setting) == {}


def test_answers_of_a_model_that_was_tuned_again_are_not_kept(run):
    (run.model("selected") / "language.safetensors").write_bytes(b"other")
    assert list(_kept(run)) == ["base"]


def test_answers_to_another_question_are_not_kept(run):
    questions = run.read("questions")
    questions.loc[1, "question"] = "Another?"
    assert _kept(run, questions) == {}
    assert (
        _kept(run, pd.concat([run.read("questions"), questions.head(1).assign(question_id="z")]))
        == {}
    )


def test_answers_about_an_image_that_changed_are_not_kept(run):
    image = run.read("questions")["image"][2]
    _draw(image, 200)
    kept = _kept(run)
    assert "base" not in kept and "selected" not in kept and "selected, shuffled" not in kept


def test_answers_without_receipts_are_not_kept(run):
    answers = run.read("answers").assign(image_sha256=None)
    _write(run, answers)
    assert list(_kept(run)) == ["selected, no_image"]


def test_a_model_that_needs_an_image_is_not_asked_again_without_one(run):
    answers = run.read("answers").query("control != 'no_image'")
    _write(run, answers)
    assert len(_kept(run)["selected, no_image"]) == 0

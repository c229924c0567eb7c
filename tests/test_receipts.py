"""Claims about receipts, the probe and the controls, with models of known behaviour."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from evaluation_rows import question_rows
from PIL import Image

from vital_lib.evaluation import (
    CONTROLS,
    accuracy_metrics,
    answer_questions,
    mirrored,
    reliance_metrics,
    side_questions,
)
from vital_lib.receipts import (
    Answer,
    AnswersQuestions,
    ImageNotSeen,
    TextAloneRefused,
    pixel_hash,
    receipt_of_pixels,
)
from vital_lib.tables import TABLES, UnsupportedFormat, Workspace

TOKENS = 9


class Model(AnswersQuestions):
    """A stub that is handed images honestly; its behaviour is `say(image, question)`."""

    def __init__(self, say, tokens=TOKENS):
        self.say, self.tokens = say, tokens

    def answered(self, images, questions, max_new_tokens, **how):
        found = []
        for image, question in zip(images, questions, strict=True):
            shown = [image] if image else []
            receipt = receipt_of_pixels(shown, pixel_hash(shown), self.tokens if image else 0)
            found.append(Answer(self.say(image, question), receipt))
        return found

    def expected(self, image):
        return pixel_hash([image] if image else [])


def _side(image):
    """The side of the bright half; "left" without any, as a guess."""
    if image is None:
        return "left"
    pixels = np.asarray(image.convert("L")).astype(float)
    half = pixels.shape[1] // 2
    return "right" if pixels[:, half:].mean() > pixels[:, :half].mean() else "left"


def _seeing(image, question):
    side = _side(image)
    return side if "left or right" in question else f"On the {side}."


SEEING = Model(_seeing)
BLIND = Model(lambda image, question: "left")
YES = Model(lambda image, question: "yes")


@pytest.fixture
def lateral(tmp_path):
    """Twenty images, ten bright on each side; a closed and an open question of the side each."""
    rows = []
    for k in range(20):
        side = "left" if k % 2 else "right"
        rows += [("closed", "Is it on the left or right?", side), ("open", "Which side?", side)]
    questions = question_rows(*rows)
    for k in range(20):
        pixels = np.full((8, 8), 20 + k, dtype=np.uint8)
        pixels[:, 4:] = 10 + k if k % 2 else 200
        Image.fromarray(pixels).save(tmp_path / f"i{k}.png")
    return questions.assign(image=[str(tmp_path / name) for name in questions["image"]])


@pytest.fixture
def binary(lateral):
    """The images of `lateral` with a yes-no question each, three of four answered by yes."""
    rows = lateral[lateral["kind"] == "closed"].reset_index(drop=True)
    truth = ["no" if k % 4 == 0 else "yes" for k in range(len(rows))]
    return rows.assign(question="Is there a nodule?", reference=truth)


def _answers(model, questions, controls=CONTROLS, **options):
    asked = [
        answer_questions(model, questions, name="m", control=control, **options)
        for control in controls
    ]
    return pd.concat(asked, ignore_index=True)


# Controls of models whose behaviour is known


def test_a_model_that_sees_relies_on_its_images_and_follows_the_mirror(lateral):
    found = reliance_metrics(lateral, _answers(SEEING, lateral))
    assert found["evaluation.side_accuracy_m"] == 1
    assert found["evaluation.mirrored_side_accuracy_m"] == 1
    assert found["evaluation.image_reliance_mirrored_side_accuracy_m"] == 1
    for control in ("blank", "no_image"):  # it then says left, which is right half of the time
        assert found[f"evaluation.image_reliance_{control}_closed_accuracy_m"] == 0.5
        assert found[f"evaluation.image_reliance_{control}_closed_accuracy_m_low"] > 0.2
    assert found["evaluation.image_reliance_shuffled_open_recall_m"] > 0


def test_a_blind_model_relies_on_no_image(lateral):
    answers = _answers(BLIND, lateral, probe=0)
    found = reliance_metrics(lateral, answers)
    reliance = {name: value for name, value in found.items() if "image_reliance" in name}
    assert len(reliance) == 3 * 7 and set(reliance.values()) == {0.0}
    assert found["evaluation.side_accuracy_m"] == 0.5
    assert found["evaluation.mirrored_side_accuracy_m"] == 0.5


def test_a_model_blind_to_sides_passes_the_blank_control_and_fails_the_mirror(lateral):
    def knows(image, question):  # by its brightness, which a mirror does not change
        if image is None or np.asarray(image).std() == 0:
            return "I cannot tell"
        return "right" if np.asarray(image).max() == 200 else "left"

    found = reliance_metrics(lateral, _answers(Model(knows), lateral))
    assert found["evaluation.side_accuracy_m"] == 1
    assert found["evaluation.image_reliance_blank_closed_accuracy_m"] == 1
    assert found["evaluation.image_reliance_mirrored_side_accuracy_m"] == 0
    assert found["evaluation.mirrored_side_accuracy_m"] == 0


def test_a_model_that_always_says_yes_scores_the_share_of_yes_without_its_images(binary):
    answers = _answers(YES, binary, ("none", "blank", "no_image"), probe=0)
    found = accuracy_metrics(binary, answers) | reliance_metrics(binary, answers)
    for prefix in ("", "blank_", "no_image_"):
        assert found[f"evaluation.{prefix}closed_accuracy_m"] == 0.75
    assert found["evaluation.image_reliance_blank_closed_accuracy_m"] == 0
    assert found["evaluation.image_reliance_no_image_closed_accuracy_m_high"] == 0


def test_reliance_counts_only_questions_that_the_control_asked(lateral):
    seen = answer_questions(SEEING, lateral, name="m")
    some = answer_questions(SEEING, lateral.head(8), name="m", control="blank")
    found = reliance_metrics(lateral, pd.concat([seen, some]))
    assert found["evaluation.image_reliance_blank_closed_accuracy_m"] == 0.5


def test_a_model_that_needs_an_image_has_no_text_only_twin(lateral, caplog):
    class Needs(Model):
        def answered(self, images, questions, *given, **how):
            if images[0] is None:
                raise TextAloneRefused("m cannot answer without an image: pixel_values is missing")
            return super().answered(images, questions, *given, **how)

    with caplog.at_level(logging.WARNING):
        answers = _answers(Needs(_seeing), lateral, ("none", "no_image"))
    assert set(answers["control"]) == {"none"} and len(answers) == 40
    assert "control no_image: m cannot answer without an image" in caplog.text


# The mirror


@pytest.mark.parametrize(
    ("question", "reference", "flipped"),
    [
        ("On which side?", "Right upper lobe", "Left upper lobe"),
        ("Is it on the left or the right?", "LEFT", "Right"),
        ("Where is the pleural effusion?", "on the right.", "on the left."),
    ],
)
def test_a_question_that_asks_for_a_side_gets_the_other_side(question, reference, flipped):
    found = mirrored(side_questions(question_rows(("open", question, reference))))
    assert found["reference"].str.lower().tolist() == [flipped.lower()]


@pytest.mark.parametrize(
    ("question", "reference"),
    [
        ("What is in the left lung?", "a mass of the left hilum"),  # it states the side itself
        ("Is it on the left?", "yes"),  # the mirror image may hold a second one
        ("Which sides?", "left and right"),
        ("What is bright?", "a brightness"),
    ],
)
def test_a_question_whose_answer_the_mirror_may_not_flip_is_not_asked(question, reference):
    assert side_questions(question_rows(("open", question, reference))).empty


def test_only_questions_of_a_side_are_asked_about_mirrored_images(lateral, binary):
    both = pd.concat([lateral.head(4), binary.tail(3).assign(question_id=["a", "b", "c"])])
    found = answer_questions(SEEING, both, name="m", control="mirrored")
    assert found["question_id"].tolist() == ["q0", "q1", "q2", "q3"]
    assert found["answer"].str.contains("left").tolist() == [True, True, False, False]


# Receipts


def test_every_answer_keeps_what_was_sent(lateral, tmp_path):
    answers = _answers(SEEING, lateral, ("none", "mirrored", "no_image"))
    seen, turned, text = (own for _, own in answers.groupby("control", sort=False))
    assert seen["image_sha256"].nunique() == turned["image_sha256"].nunique() == 20
    assert not set(seen["image_sha256"]) & set(turned["image_sha256"])
    assert set(seen["image_width"]) == set(seen["image_height"]) == {8}
    assert set(seen["image_tokens"]) == {TOKENS} and set(text["image_tokens"]) == {0}
    assert text["image_sha256"].isna().all() and text["image_width"].isna().all()
    workspace = Workspace(tmp_path / "run")
    workspace.write("answers", answers)
    kept, told = (
        rows.astype(object).fillna("null") for rows in (workspace.read("answers"), answers)
    )
    pd.testing.assert_frame_equal(kept, told)


def test_a_model_without_receipts_is_asked_and_leaves_them_null(lateral):
    class Plain(Model):
        def answered(self, images, questions, *given, **how):
            found = super().answered(images, questions, *given, **how)
            return [answer._replace(receipt=None) for answer in found]

    found = answer_questions(Plain(_seeing), lateral, name="m")
    assert found["image_sha256"].isna().all() and found["image_tokens"].isna().all()


def test_answers_of_an_earlier_release_open_with_null_receipts(lateral, tmp_path):
    workspace = Workspace(tmp_path)
    workspace.write("answers", answer_questions(SEEING, lateral, name="m"))
    file = tmp_path / "answers.parquet"
    pq.write_table(pq.read_table(file).drop_columns(TABLES["answers"].later), file)
    found = workspace.read("answers")
    assert list(found) == TABLES["answers"].columns and len(found) == 40
    assert found[TABLES["answers"].later].isna().all(axis=None)
    workspace.write("answers", found)
    pq.write_table(pq.read_table(file).drop_columns("answer"), file)
    with pytest.raises(UnsupportedFormat, match="without answer: run notebooks/09"):
        workspace.read("answers")


def test_a_swapped_image_stops_the_evaluation(lateral):
    class Swaps(Model):
        def answered(self, images, questions, *given, **how):
            return super().answered([*images[1:], images[0]], questions, *given, **how)

    with pytest.raises(ImageNotSeen, match=r"did not carry their own image.*another image was"):
        answer_questions(Swaps(_seeing), lateral, name="m")


def test_a_dropped_image_stops_the_evaluation(lateral):
    class Drops(Model):
        def answered(self, images, questions, *given, **how):
            return super().answered([None] * len(images), questions, *given, **how)

    with pytest.raises(ImageNotSeen, match="first 'q0': no image was sent"):
        answer_questions(Drops(_seeing), lateral, name="m")


def test_an_image_sent_by_the_text_only_twin_stops_it(lateral):
    class Adds(Model):
        def answered(self, images, questions, *given, **how):
            own = [image or Image.new("RGB", (8, 8)) for image in images]
            return super().answered(own, questions, *given, **how)

    with pytest.raises(ImageNotSeen, match="an image was sent, and none should be"):
        answer_questions(Adds(_seeing), lateral, name="m", control="no_image")


# The probe


def test_a_model_that_gets_no_image_tokens_and_never_differs_is_not_asked(lateral):
    asked = []
    model = Model(lambda image, question: asked.append(question) or "left", tokens=0)
    with pytest.raises(ImageNotSeen, match="all 8 answers of the probe are the same.*no image tok"):
        answer_questions(model, lateral, name="m")
    assert len(asked) == 16


def test_equal_answers_with_counted_tokens_are_a_warning_in_words(lateral, caplog):
    with caplog.at_level(logging.WARNING):
        found = answer_questions(BLIND, lateral, name="m")
    assert len(found) == 40
    assert "m: all 8 answers of the probe are the same with a blanked image" in caplog.text
    assert f"although {8 * TOKENS} image tokens were counted" in caplog.text


def test_a_probe_of_fewer_questions_than_wanted_asks_them_all(lateral):
    assert len(answer_questions(SEEING, lateral.head(3), name="m")) == 3
    with pytest.raises(ImageNotSeen, match="all 3 answers"):
        answer_questions(Model(lambda *_: "x", tokens=0), lateral.head(3), name="m")


def test_unreadable_images_are_left_out_of_the_probe(lateral, tmp_path):
    (tmp_path / "i0.png").write_bytes(b"no image")
    assert len(answer_questions(SEEING, lateral, name="m")) == 38


def test_controls_are_not_probed(lateral):
    found = _answers(Model(lambda *_: "x", tokens=0), lateral, ("blank", "no_image"))
    assert len(found) == 80

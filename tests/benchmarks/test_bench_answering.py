"""What answering a benchmark's questions costs: in batches, against one by one."""

from __future__ import annotations

from time import perf_counter

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny_models import make_llava

from vital_lib import clinic
from vital_lib.evaluation import answer_questions
from vital_lib.figures import open_image
from vital_lib.models import load_model

QUESTIONS, IMAGES, ALONE = 1_000, 250, 100
WORDS = ("is", "there", "a", "nodule", "in", "the", "left", "upper", "lung", "of", "this", "scan")
TARGET = 8


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    """A thousand questions of 4 to 16 words, four about each image."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for k in range(IMAGES):
        pixels = rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{k}.png")
    texts = [" ".join(rng.choice(WORDS, rng.integers(4, 17))) for _ in range(QUESTIONS)]
    return pd.DataFrame(
        {
            "question_id": [f"q{k}" for k in range(QUESTIONS)],
            "image": [str(folder / f"{k * IMAGES // QUESTIONS}.png") for k in range(QUESTIONS)],
            "kind": "closed",
            "question": [f"{text}?" for text in texts],
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize("model", ["tiny", "clinic"])
def test_a_thousand_questions_are_answered_much_faster_than_one_by_one(
    model, questions, tmp_path, report
):
    """The clinic's model answers in two words: its time goes into the image, not into the calls."""
    vlm = load_model(make_llava(tmp_path) if model == "tiny" else clinic.model_folder("llava"))
    alone = questions.iloc[:: QUESTIONS // ALONE]

    def one_by_one():
        return [
            vlm.answer([open_image(row.image).pixels()], [row.question])[0]
            for row in alone.itertuples()
        ]

    def in_batches():
        answers = answer_questions(vlm, questions, name="model")
        return answers.set_index("question_id")["answer"]

    one_by_one(), answer_questions(vlm, questions.head(64), name="model")
    single, seconds_alone = _timed(one_by_one)
    together, seconds = _timed(in_batches)
    assert list(together[alone["question_id"]]) == single
    speedup = (seconds_alone / ALONE) / (seconds / QUESTIONS)
    report(
        "evaluation",
        **{
            f"{model}_questions_per_second": QUESTIONS / seconds,
            f"{model}_one_by_one_per_second": ALONE / seconds_alone,
            f"{model}_speedup": speedup,
        },
    )
    assert speedup >= (TARGET if model == "tiny" else 1.5)


def _timed(work):
    """Return the result of `work` and its seconds."""
    start = perf_counter()
    return work(), perf_counter() - start

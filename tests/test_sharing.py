"""Claims about questions that share an image: it is read once, and no answer changes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from tiny_models import ARCHITECTURES

from vital_lib.models import load_model
from vital_lib.models.sharing import hashes
from vital_lib.receipts import pixel_hash

RNG = np.random.default_rng(0)
WIDE, TALL, SMALL = (
    Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8))
    for width, height in ((180, 100), (48, 160), (20, 33))
)
QUESTIONS = ["Which modality?", "On which side of the patient does the nodule lie?", "Is it?"]
MANY = [QUESTIONS[k % 3] + " Why?" * (k // 3) for k in range(8)]


@pytest.fixture(scope="module", params=list(ARCHITECTURES))
def vlm(request, tmp_path_factory):
    return load_model(ARCHITECTURES[request.param](tmp_path_factory.mktemp("base")))


@pytest.fixture
def read(vlm, monkeypatch):
    """The number of images that the processor is given, one entry per call."""
    given, tensors = [], vlm.tensors

    def counted(texts, images, **options):
        given.append(sum(map(len, images)))
        return tensors(texts, images, **options)

    monkeypatch.setattr(vlm, "tensors", counted)
    return given


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param([WIDE, TALL, WIDE, SMALL, TALL, WIDE, WIDE, SMALL], id="three images"),
        pytest.param([WIDE] * 8, id="one image"),
        pytest.param([WIDE.copy() for _ in range(8)], id="copies of an image"),
        pytest.param([[WIDE, TALL], WIDE, [TALL, WIDE], [WIDE, TALL]] * 2, id="several images"),
        pytest.param([WIDE, None, None, TALL] * 2, id="some without an image"),
    ],
)
@pytest.mark.parametrize("temperature", [None, 3.0])
def test_questions_about_one_image_are_answered_as_if_each_were_asked_alone(
    vlm, shown, temperature
):
    alone = vlm.answered(shown, MANY, 8, batch_size=1, temperature=temperature)
    for size in (8, 3):
        assert vlm.answered(shown, MANY, 8, batch_size=size, temperature=temperature) == alone


def test_an_image_of_several_questions_is_read_once_in_a_batch(vlm, read):
    shown = [WIDE, TALL, WIDE, SMALL, TALL, WIDE, WIDE.copy(), SMALL]
    vlm.answer(shown, MANY, 4)
    assert read == [3 if vlm.model.config.model_type in ("llava", "idefics3", "smolvlm") else 8]
    read.clear()
    vlm.answer(shown, MANY, 4, batch_size=4)  # sorted by image: 4 of WIDE, 2 of TALL and of SMALL
    assert len(read) == 2 and (sum(read) == 3 or read == [4, 4])


def test_a_prompt_that_cannot_be_divided_is_sent_whole(vlm, read, monkeypatch):
    """A tokenizer that writes the text after an image otherwise than alone."""
    shown, alone = [WIDE] * 3, vlm.answer([WIDE] * 3, QUESTIONS, 6, batch_size=1)
    read.clear()
    monkeypatch.setattr(
        "vital_lib.models.sharing._after_image", lambda vlm, texts: [[1, 2, 3]] * len(texts)
    )
    assert vlm.answer(shown, QUESTIONS, 6) == alone and read[-1] == 3


def test_equal_images_have_one_hash_and_different_lists_others():
    lists = [[WIDE], [WIDE.copy()], [WIDE, TALL], [TALL, WIDE], []]
    found = hashes(lists)
    assert found == [pixel_hash(own) for own in lists]
    assert found[0] == found[1] and len(set(found)) == 4

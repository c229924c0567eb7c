"""Claims about receipts of a local model, counted in what its processor gives it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from evaluation_rows import question_rows
from PIL import Image

from vital_lib import plots
from vital_lib.evaluation import (
    CONTROLS,
    accuracy_metrics,
    answer_questions,
    read_questions,
    reliance_metrics,
    side_questions,
    with_images,
)
from vital_lib.figures import open_image
from vital_lib.models import load_model
from vital_lib.models.asking import VisionLanguageModel
from vital_lib.receipts import ImageNotSeen, TextAloneRefused, pixel_hash


@pytest.fixture
def noise(tmp_path):
    """Eight open questions about eight images of noise."""
    rows = question_rows(*[("open", f"Which modality? ({k})", "MRI") for k in range(8)])
    paths = []
    for k in range(8):
        pixels = np.random.default_rng(k).integers(0, 256, (40, 60), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"n{k}.png")
        paths.append(str(tmp_path / f"n{k}.png"))
    return rows.assign(image=paths)


def test_a_local_models_receipts_count_the_tokens_of_its_prompt(noise, llava_folder):
    model = load_model(llava_folder)
    asked = {"name": "m", "max_new_tokens": 4, "probe": 0}
    seen = answer_questions(model, noise, **asked)
    text = answer_questions(model, noise, control="no_image", **asked)
    assert set(seen["image_tokens"]) == {16} and set(text["image_tokens"]) == {0}
    with Image.open(noise["image"][0]) as image:
        assert seen["image_sha256"].iloc[0] == pixel_hash([image.convert("RGB")])


def test_a_text_only_answer_does_not_depend_on_its_batch(llava_folder):
    model = load_model(llava_folder)
    texts = ["Which modality?", "On which side is the nodule, and is there a second one?"]
    together = model.answer([None, None], texts, max_new_tokens=8)
    assert together == [model.answer([None], [text], max_new_tokens=8)[0] for text in texts]


def test_an_architecture_that_needs_an_image_says_so(llava_folder, monkeypatch):
    model = load_model(llava_folder)

    def needs_pixels(**inputs):
        raise TypeError("forward() missing 1 required argument: 'pixel_values'")

    monkeypatch.setattr(model.model, "generate", needs_pixels)
    with pytest.raises(TextAloneRefused, match="cannot answer without an image.*pixel_values"):
        model.answer([None], ["Which modality?"])
    with pytest.raises(TypeError, match="pixel_values"):
        model.answer([Image.new("RGB", (8, 8))], ["Which modality?"])


def test_a_model_whose_images_are_lost_on_the_way_is_found_before_the_benchmark(
    noise, llava_folder
):
    class Loses(VisionLanguageModel):
        def chat(self, turns, images=1):
            return super().chat(turns, 0)

        def tensors(self, texts, images, **options):
            return super().tensors(texts, [None] * len(texts), **options)

    whole = load_model(llava_folder)
    loses = Loses(whole.model, whole.processor, "loses")
    with pytest.raises(ImageNotSeen, match="no image token was counted"):
        answer_questions(loses, noise, name="m", max_new_tokens=4)


@pytest.mark.realdata
def test_vqa_rad_goes_through_the_controls_with_the_clinics_model(realdata, tmp_path):
    questions = with_images(read_questions(realdata / "vqa_rad", run=tmp_path, n=90))
    model = load_model("clinic")
    parts = {c: answer_questions(model, questions, name="selected", control=c) for c in CONTROLS}
    image = questions.set_index("question_id")["image"]
    for row in parts["none"].drop_duplicates("image_sha256").itertuples():
        pixels = open_image(image[row.question_id]).pixels()
        assert row.image_sha256 == pixel_hash([pixels]) and row.image_width == pixels.width
    for control, own in parts.items():
        assert set(own["image_tokens"]) == {0 if control == "no_image" else 65}
        asked = side_questions(questions) if control == "mirrored" else questions
        assert own["question_id"].tolist() == asked["question_id"].tolist()
    answers = pd.concat(parts.values(), ignore_index=True)
    found = accuracy_metrics(questions, answers) | reliance_metrics(questions, answers)
    for control in ("blank", "shuffled", "no_image"):
        name = f"evaluation.image_reliance_{control}_closed_accuracy_selected"
        assert -1 <= found[f"{name}_low"] <= found[name] <= found[f"{name}_high"] <= 1
    assert 0 <= found["evaluation.mirrored_side_accuracy_selected"] <= 1
    assert plots.evaluation_bars(found).axes[0].has_data()

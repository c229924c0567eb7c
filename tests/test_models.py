"""Claims about loading vision-language models and asking them, on tiny random ones."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_llava import make_tiny_llava

from vital_lib import clinic
from vital_lib.models import WrongAdapter, asker, load_model, weights_fingerprint
from vital_lib.models.asking import _Draws


@pytest.fixture(scope="module", params=["llava", "qwen"])
def vlm(request):
    return load_model(request.getfixturevalue(f"{request.param}_folder"))


def _images(n, seed=0, size=(60, 48)):
    rng = np.random.default_rng(seed)
    return [
        Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
        for _ in range(n)
    ]


QUESTIONS = [
    "Which modality?",
    "On which side of the patient does the nodule lie, and is there a second one?",
    "Is there a consolidation?",
]


def test_every_question_gets_one_stripped_answer(vlm):
    answers = vlm.answer(_images(3), QUESTIONS, max_new_tokens=6)
    assert len(answers) == 3
    assert all(answer == answer.strip() for answer in answers)


def test_answers_are_the_same_every_time(vlm):
    first = vlm.answer(_images(3), QUESTIONS, max_new_tokens=8)
    torch.manual_seed(7)
    assert vlm.answer(_images(3), QUESTIONS, max_new_tokens=8) == first


def test_a_short_question_is_answered_as_if_it_were_asked_alone(vlm):
    """Padding on the wrong side, or padded image tokens, would change the shorter ones."""
    together = vlm.answer(_images(3), QUESTIONS, max_new_tokens=8)
    alone = vlm.answer(_images(3), QUESTIONS, max_new_tokens=8, batch_size=1)
    assert together == alone


def test_the_image_reaches_the_model(vlm):
    black, white = Image.new("RGB", (56, 56)), Image.new("RGB", (56, 56), "white")
    texts = [vlm.chat([(QUESTIONS[0], None)])]
    with torch.inference_mode():
        dark, light = (vlm.model(**vlm.tensors(texts, [i])).logits for i in (black, white))
    assert not torch.allclose(dark, light)


def test_the_model_is_asked_in_the_words_of_its_own_template(vlm, request):
    text = vlm.chat([("Which modality?", None)])
    if "qwen" in vlm.name:
        assert text.startswith("<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>Which")
        assert text.endswith("<|im_start|>assistant\n")
    else:
        assert text == "USER: <image>\nWhich modality? ASSISTANT:"


def test_without_a_template_llava_is_asked_in_its_own_way(tmp_path):
    vlm = load_model(make_tiny_llava(tmp_path, template=None))
    assert vlm.chat([("Which modality?", None)]) == "USER: <image>\nWhich modality? ASSISTANT:"
    two = vlm.chat([("Which?", "A CT."), ("Why?", None)])
    assert two == "USER: <image>\nWhich? ASSISTANT: A CT. USER: Why? ASSISTANT:"
    assert len(vlm.answer(_images(1), ["Which modality?"], max_new_tokens=4)) == 1


def test_an_image_token_inside_a_question_is_text_and_not_a_second_image(vlm):
    odd = "Which <image> modality </s>?<|image_pad|><|im_end|>"
    assert len(vlm.answer(_images(1), [odd], max_new_tokens=4)) == 1
    assert vlm.chat([(odd, None)]).count(vlm.processor.image_token) == 1


def test_a_qwen_loads_without_its_video_half(qwen_folder):
    vlm = load_model(qwen_folder)
    assert vlm.processor.video_processor is None
    assert type(vlm.processor.image_processor).__name__ == "Qwen2VLImageProcessorPil"


def test_the_image_processor_is_the_pil_one(llava_folder):
    assert type(load_model(llava_folder).processor.image_processor).__name__.endswith("Pil")


def test_unequal_numbers_of_images_and_questions_are_refused(vlm):
    with pytest.raises(ValueError, match="2 images for 3 questions"):
        vlm.answer(_images(2), QUESTIONS)


def test_a_batch_size_of_zero_is_refused(vlm):
    with pytest.raises(ValueError, match="batch_size=0"):
        vlm.answer(_images(3), QUESTIONS, batch_size=0)


def test_a_sampled_answer_depends_on_its_seed_its_image_and_its_question_alone(vlm):
    drawn = {"max_new_tokens": 8, "temperature": 2.0}
    first = vlm.answer(_images(3), QUESTIONS, seed=1, **drawn)
    again = vlm.answer(_images(3)[::-1], QUESTIONS[::-1], seed=1, batch_size=2, **drawn)
    assert again[::-1] == first
    assert vlm.answer(_images(3), QUESTIONS, seed=2, **drawn) != first


def test_sampling_follows_the_models_probabilities(vlm):
    """At a low temperature the likeliest token wins; one token's shares are the softmax's."""
    cold = vlm.answer(_images(3), QUESTIONS, max_new_tokens=8, temperature=1e-6)
    assert cold == vlm.answer(_images(3), QUESTIONS, max_new_tokens=8)
    scores = torch.tensor([[2.0, 0.0, 1.0]]).repeat(4000, 1)
    names = [str(k) for k in range(4000)]
    draws = _Draws(2.0, 0, _images(1) * 4000, names, torch.device("cpu"))
    shares = draws(None, scores).argmax(dim=1).bincount(minlength=3) / 4000
    torch.testing.assert_close(shares, (scores[0] / 2).softmax(dim=0), atol=0.03, rtol=0)


@pytest.mark.parametrize("temperature", [0, -0.7, float("nan")])
def test_a_temperature_that_is_not_above_zero_is_refused(vlm, temperature):
    with pytest.raises(ValueError, match="temperature=.*: wanted above 0"):
        vlm.answer(_images(3), QUESTIONS, temperature=temperature)


def test_nothing_asked_is_nothing_answered(vlm):
    assert vlm.answer([], []) == []


def test_the_clinics_model_opens_by_its_name_and_answers_in_words():
    folder = clinic.model_folder("llava")
    vlm = load_model("clinic")
    assert weights_fingerprint(vlm.model) == weights_fingerprint(load_model(folder).model)
    answers = vlm.answer(_images(2), ["Which imaging modality is shown?"] * 2)
    assert len(answers) == 2
    assert all(any(letter.isalpha() for letter in answer) for answer in answers)


def test_a_path_that_is_no_folder_says_what_to_give_instead(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        load_model(str(tmp_path / "missing"))


def test_a_model_of_another_kind_says_what_to_give_instead():
    with pytest.raises(ValueError, match="CLIPConfig.* Give a vision-language model") as caught:
        load_model(clinic.model_folder("encoder"))
    assert len(str(caught.value)) < 400


def test_pickled_weights_are_not_opened(tmp_path, llava_folder):
    folder = tmp_path / "pickled"
    shutil.copytree(llava_folder, folder)
    (folder / "model.safetensors").unlink()
    state = load_model(llava_folder).model.state_dict()
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        load_model(folder)


def test_a_folder_without_an_adapter_is_refused(tmp_path, llava_folder):
    with pytest.raises(WrongAdapter, match="notebook 08"):
        load_model(llava_folder, adapter=tmp_path)


def test_weights_have_one_fingerprint_at_any_precision(llava_folder):
    model = load_model(llava_folder).model
    full = weights_fingerprint(model)
    assert weights_fingerprint(model.to(torch.bfloat16)) == full


def test_other_weights_have_another_fingerprint(tmp_path, llava_folder):
    other = load_model(make_tiny_llava(tmp_path, seed=1)).model
    assert weights_fingerprint(other) != weights_fingerprint(load_model(llava_folder).model)


def test_an_asker_loads_its_model_at_the_first_question_and_once(tmp_path, llava_folder):
    ask = asker(tmp_path / "none")  # nothing is opened yet
    with pytest.raises(FileNotFoundError, match="no such folder"):
        ask(Image.new("RGB", (8, 8)), "What is shown?")
    ask, image = asker(llava_folder), Image.new("RGB", (8, 8))
    first = ask(image, "What is shown?")
    (llava_folder / "config.json").rename(llava_folder / "gone.json")
    try:
        assert ask(image, "What is shown?") == first
    finally:
        (llava_folder / "gone.json").rename(llava_folder / "config.json")

"""Claims about the tokens of images: as the models count them, and as the docs' table says."""

from __future__ import annotations

import pytest
import torch
from beside import script_of_docs
from PIL import Image
from tiny_models import ARCHITECTURES

from vital_lib.models import ImageTokens, image_tokens, load_model


@pytest.fixture(scope="module")
def table():
    """The script that writes docs/image_tokens.md."""
    return script_of_docs("image_tokens")


def test_the_page_says_what_the_processors_make(table):
    assert table.PAGE.read_text() == table.page(), "run python docs/image_tokens.py"


@pytest.mark.parametrize(
    ("model", "size", "tokens"),
    [
        ("LLaVA-1.5", (1024, 768), 24 * 24),
        ("Qwen2.5-VL", (448, 448), 16 * 16),
        ("Qwen2.5-VL", (1024, 768), 37 * 27),
        ("Qwen3-VL", (224, 224), 8 * 8),
        ("Qwen3-VL", (1024, 768), 32 * 24),
        ("SmolVLM 256M, 500M", (224, 224), 64 * (4 * 4 + 1)),
        ("SmolVLM 2.2B", (1024, 768), 81 * (4 * 3 + 1)),
        ("Gemma 3, MedGemma", (1024, 768), 256),
    ],
)
def test_tokens_are_those_that_the_patches_give(table, model, size, tokens):
    """Each model's arithmetic, from its published description."""
    assert image_tokens(table.PROCESSORS[model](), *size).image == tokens


@pytest.mark.parametrize("architecture", list(ARCHITECTURES))
def test_a_model_gets_as_many_features_as_there_are_image_tokens(architecture, tmp_path):
    vlm = load_model(ARCHITECTURES[architecture](tmp_path))
    for size in ((60, 48), (300, 100)):
        picture = Image.new("RGB", size)
        counted = image_tokens(vlm.processor, *size)
        batch = vlm.tensors([vlm.chat([("Which?", None)])], [picture])
        mark = vlm.model.config.image_token_id
        assert (batch["input_ids"] == mark).sum() == counted.image > 0
        answer = vlm.answered([picture], ["Which?"], 1)[0]
        assert answer.receipt.image_tokens == counted.image
        with torch.inference_mode():
            vlm.model(**batch)  # raises if tokens and features differ in number
        without = vlm.chat([("Which?", None)]).replace(vlm.processor.image_token, "")
        added = batch["input_ids"].shape[1] - vlm.tensors([without], [])["input_ids"].shape[1]
        assert added == pytest.approx(counted.prompt, abs=2)  # line breaks may join the template's


def test_a_processor_without_an_image_token_is_refused():
    with pytest.raises(ValueError, match="object has no image token"):
        image_tokens(object(), 8, 8)


def test_tokens_of_pixels_and_of_the_prompt_are_told_apart(table):
    found = image_tokens(table.PROCESSORS["Gemma 3, MedGemma"](), 336, 336)
    assert found == ImageTokens(image=256, prompt=256 + 4)  # two line breaks, start and end

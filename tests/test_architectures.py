"""Claims about every architecture: it loads, answers in batches, is tuned, saved and reloaded."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import ARCHITECTURES
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from tuning_rows import ROUNDS, conversation_rows, tune_shortly

from vital_lib.models import load_model
from vital_lib.receipts import Receipt
from vital_lib.tuning import (
    IGNORED,
    FigureTensors,
    NothingToTune,
    collate,
    encode_conversations,
    encode_rounds,
    save_merged,
)

pytest_plugins = "tuning_rows"

QUESTIONS = ["Which modality?", "On which side of the patient does the nodule lie?", "Is it?"]


@pytest.fixture(scope="module", params=list(ARCHITECTURES))
def base(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param.replace(".", "_"))
    return ARCHITECTURES[request.param](folder)


@pytest.fixture(scope="module")
def vlm(base):
    return load_model(base)


def _images(*sizes):
    """Noise of (width, height) pixels."""
    rng = np.random.default_rng(0)
    return [
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        for width, height in sizes
    ]


SHAPES = _images((48, 60), (180, 100), (20, 33))


def test_the_processor_is_the_architectures_own(vlm):
    """Apart from SmolVLM's, whose class is Idefics3's with video, which needs num2words."""
    own = PROCESSOR_MAPPING[type(vlm.model.config)]
    own = {"SmolVLMProcessor": "Idefics3Processor"}.get(own.__name__, own.__name__)
    assert own in {kind.__name__ for kind in type(vlm.processor).__mro__}
    assert type(vlm.processor.image_processor).__name__.endswith("Pil")
    assert getattr(vlm.processor, "video_processor", None) is None


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(SHAPES, id="an image each"),
        pytest.param([SHAPES[0], SHAPES[1:], SHAPES], id="several images each"),
        pytest.param([None, None, None], id="no image"),
        pytest.param([SHAPES[0], None, SHAPES], id="one without an image"),
    ],
)
def test_a_batch_is_answered_as_if_each_were_asked_alone(vlm, shown):
    for temperature in (None, 3.0):
        together, alone = (
            vlm.answer(shown, QUESTIONS, 8, batch_size=size, temperature=temperature)
            for size in (3, 1)
        )
        assert together == alone
    assert len(set(together)) == 3  # sampled: a random model may only know how to stop


def test_each_of_several_images_reaches_the_model(vlm):
    """Another second image changes what the model says next; so does their order."""
    text = vlm.chat([(QUESTIONS[0], None)], images=2)
    pairs = [SHAPES[:2], [SHAPES[0], SHAPES[1].rotate(180)], [SHAPES[0].rotate(180), SHAPES[1]]]
    with torch.inference_mode():
        said = [vlm.model(**vlm.tensors([text], [pair])).logits[0, -1] for pair in pairs]
    assert not torch.allclose(said[0], said[1]) and not torch.allclose(said[0], said[2])


def test_image_tokens_are_counted_and_the_text_alone_has_none(vlm):
    one, several = (a.receipt for a in vlm.answered([SHAPES[0], SHAPES], QUESTIONS[:2], 4))
    assert 0 < one.image_tokens < several.image_tokens and one.sha256 != several.sha256
    assert (one.width, one.height) == SHAPES[0].size and several.width is None
    text = vlm.answered([None] * 3, QUESTIONS, 8, temperature=3.0)
    assert [answer.receipt for answer in text] == [Receipt(image_tokens=0)] * 3
    alone = vlm.answer([None] * 3, QUESTIONS, 8, batch_size=1, temperature=3.0)
    assert [answer.text for answer in text] == alone


def test_a_batch_of_images_of_different_sizes_has_the_loss_of_each_alone(vlm):
    """Packed patches, tiles of different number and masks are joined as the model expects."""
    shown = [SHAPES[0], SHAPES[1:], SHAPES[2], SHAPES]
    turns = [ROUNDS, ROUNDS[:1], ROUNDS[:2], [("Why? " * 9, "No.")]]
    encoded = [encode_rounds(vlm, t, images) for t, images in zip(turns, shown, strict=True)]
    pad = vlm.processor.tokenizer.pad_token_id
    batches = [[one] for one in encoded] + [encoded]
    with torch.inference_mode():
        sums = [_summed_loss(vlm, *collate_of(batch, pad)) for batch in batches]
    assert sums[-1] == pytest.approx(sum(sums[:-1]), rel=1e-4)


def collate_of(encoded, pad):
    batch = collate([tokens for tokens, _ in encoded], [picture for _, picture in encoded], pad)
    return batch, batch.pop("labels")


def _summed_loss(vlm, batch, labels):
    logits = vlm.model(**batch).logits[:, :-1].float().flatten(0, 1)
    wanted = labels[:, 1:].flatten()
    total = torch.nn.functional.cross_entropy(logits, wanted, ignore_index=IGNORED, reduction="sum")
    return float(total)


def test_a_conversation_that_is_too_long_loses_rounds_and_no_image_token(vlm, figures, tmp_path):
    files = {row.figure_id: tmp_path / row.image for row in figures.itertuples()}
    limits, images = [512], set()
    for kept in (3, 2, 1):
        found, counts = encode_conversations(
            vlm, conversation_rows(1), FigureTensors(vlm, files), limits[-1]
        )
        assert (counts["rounds"], counts["rounds_dropped"]) == (kept, 3 - kept)
        limits.append(len(found[0]["input_ids"]) - 1)
        images.add(found[0]["input_ids"].count(vlm.model.config.image_token_id))
    assert len(images) == 1 and 0 not in images
    with pytest.raises(NothingToTune, match="none of 1 conversations"):
        encode_conversations(vlm, conversation_rows(1), FigureTensors(vlm, files), limits[-1])


@pytest.mark.parametrize(
    ("train", "rate"),
    [
        pytest.param("lora", 2e-2, id="lora"),
        pytest.param("language", 3e-3, marks=pytest.mark.slow),
    ],
)
def test_a_model_tuned_saved_and_reloaded_gives_the_answer_it_was_tuned_on(
    train, rate, base, figures, tmp_path
):
    conversations = conversation_rows(8, [("On which side?", "On the left.")])
    metrics = tune_shortly(
        base, conversations, figures, tmp_path, train=train, epochs=25, learning_rate=rate
    )
    assert metrics["loss_last"] < 0.3 * metrics["loss_first"]
    pixels = [Image.open(tmp_path / name).convert("RGB") for name in figures["image"][:3]]
    tuned = load_model(base, adapter=tmp_path / "adapter")
    assert not any("lora" in name for name, _ in tuned.model.named_parameters())
    assert tuned.answer(pixels, ["On which side?"] * 3, 12) == ["On the left."] * 3
    assert load_model(base).answer(pixels, ["On which side?"] * 3, 12) != ["On the left."] * 3
    merged = load_model(save_merged(base, tmp_path / "adapter", tmp_path / "merged"))
    assert merged.answer(pixels, ["On which side?"] * 3, 12) == ["On the left."] * 3


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"train": "projector"}, {"projector"}),
        ({"train": "lora", "train_projector": False}, {"language"}),
        ({"train": "lora", "train_vision": True}, {"language", "projector", "vision"}),
        ({"train": "language"}, {"language", "projector"}),
    ],
)
def test_only_the_parts_that_are_to_be_trained_change(settings, parts, base, figures, tmp_path):
    tune_shortly(base, conversation_rows(4), figures, tmp_path, **settings)
    before = load_model(base).model.state_dict()
    after = load_model(base, adapter=tmp_path / "adapter").model.state_dict()
    assert before.keys() == after.keys()
    assert {_part(name) for name in before if not torch.equal(before[name], after[name])} == parts


def _part(name):
    """The part of an architecture's parameter, by the names that transformers gives."""
    if any(word in name for word in ("multi_modal_projector", "merger", "connector")):
        return "projector"
    return "vision" if "vision" in name or "visual" in name else "language"

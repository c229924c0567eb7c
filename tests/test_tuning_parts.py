"""What tuning trains: projector, vision tower, language model, and 4-bit weights below LoRA."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from PIL import Image
from tiny_llava import make_tiny_llava
from transformers import AutoConfig
from tuning_rows import conversation_rows, tune_shortly

from vital_lib.models import (
    load_model,
    meta_model,
    projectors,
    vision_towers,
    weights_fingerprint,
)
from vital_lib.tuning import NothingToTune, TuningConfig, read_config
from vital_lib.tuning.weights import lora_targets, make_trainable

pytest_plugins = "tuning_rows"
ONE = [("On which side?", "On the left.")]


@pytest.fixture(scope="module", params=["llava", "qwen"])
def base(request):
    return request.getfixturevalue(f"{request.param}_folder")


def _part_of(name):
    if "projector" in name or "merger" in name:
        return "projector"
    return "vision" if "vision" in name or "visual" in name else "language"


def _changed(base, folder, **how):
    """The parts of the model whose weights differ from the base model's."""
    before = load_model(base).model.state_dict()
    after = load_model(base, adapter=folder, **how).model.state_dict()
    assert before.keys() == after.keys()
    return {_part_of(name) for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"train": "lora"}, {"language", "projector"}),
        ({"train": "lora", "train_projector": False}, {"language"}),
        ({"train": "lora", "train_vision": True}, {"language", "projector", "vision"}),
        (
            {"train": "lora", "train_vision": True, "train_projector": False},
            {"language", "vision"},
        ),
        ({"train": "language", "train_projector": False}, {"language"}),
        ({"train": "language", "train_vision": True}, {"language", "projector", "vision"}),
        (
            {"train": "language", "train_vision": True, "train_projector": False},
            {"language", "vision"},
        ),
        ({"train": "projector"}, {"projector"}),
    ],
)
def test_only_the_parts_that_are_switched_on_change(settings, parts, base, figures, tmp_path):
    rate = {"learning_rate": 1e-2, "epochs": 2}
    tune_shortly(base, conversation_rows(8, ONE), figures, tmp_path, **rate, **settings)
    assert _changed(base, tmp_path / "adapter") == parts
    assert read_config(tmp_path / "adapter").items() >= settings.items()


def test_lora_on_the_vision_tower_leaves_out_projectors_and_convolutions(qwen_folder):
    model = load_model(qwen_folder).model
    adapted, _ = make_trainable(model, TuningConfig(train_vision=True))
    layers = {n.split(".lora_")[0] for n, _ in adapted.named_parameters() if ".lora_A" in n}
    vision = {name for name in layers if "visual" in name}
    assert vision and not any("merger" in name or "patch_embed" in name for name in vision)
    assert {name.rpartition("visual.")[2] for name in vision} >= {
        "blocks.0.attn.qkv", "blocks.1.attn.qkv", "blocks.0.attn.proj", "blocks.1.mlp.fc2",
    }  # fmt: skip


def test_with_vision_the_language_model_has_the_same_targets_as_without(base):
    model = load_model(base).model
    alone, both = lora_targets(model), lora_targets(model, vision=True)
    assert both.startswith(f"{alone}|") and "vis" not in alone


@pytest.mark.parametrize(
    ("kind", "towers", "passing"),
    [
        ("llava", ["model.vision_tower"], ["model.multi_modal_projector"]),
        ("gemma3", ["model.vision_tower"], ["model.multi_modal_projector"]),
        ("idefics3", ["model.vision_model"], ["model.connector"]),
        ("qwen2_5_vl", ["model.visual"], ["model.visual.merger"]),
        (
            "qwen3_vl",
            ["model.visual"],
            [*(f"model.visual.deepstack_merger_list.{k}" for k in range(3)), "model.visual.merger"],
        ),
    ],
)
def test_the_parts_of_published_architectures_are_found(kind, towers, passing):
    model = meta_model(AutoConfig.for_model(kind))
    assert vision_towers(model) == towers
    assert projectors(model) == passing
    make_trainable(model, TuningConfig(train="projector"))
    trained = {n for n, w in model.named_parameters() if w.requires_grad}
    assert trained and all(n.startswith(tuple(f"{name}." for name in passing)) for n in trained)


def test_a_projector_alone_needs_a_projector():
    with pytest.raises(NothingToTune, match="Linear has no projector known by name"):
        make_trainable(torch.nn.Linear(2, 2), TuningConfig(train="projector"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_projector": 1}, "train_projector=1: wanted True or False"),
        ({"train_vision": None}, "train_vision=None: wanted True or False"),
        ({"quantize": "8bit"}, "quantize='8bit': wanted None or one of 4bit"),
        ({"train": "projector", "train_projector": False}, "train_projector=False: wanted True"),
        ({"train": "projector", "train_vision": True}, "train_vision=True: wanted False with"),
        ({"train": "language", "quantize": "4bit"}, "quantize='4bit': wanted None with train='la"),
    ],
)
def test_switches_that_contradict_each_other_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TuningConfig(**settings)


# -- 4 bits ----------------------------------------------------------------------------------------

BITSANDBYTES = importlib.util.find_spec("bitsandbytes")


@pytest.mark.skipif(BITSANDBYTES is not None, reason="needs an environment without bitsandbytes")
def test_4_bits_without_bitsandbytes_name_the_command_before_anything_is_loaded(figures, tmp_path):
    with pytest.raises(ImportError, match=r"pip install 'vital-workbench\[qlora\]'"):
        tune_shortly("clinic", conversation_rows(4), figures, tmp_path, quantize="4bit")


needs_bitsandbytes = pytest.mark.skipif(
    BITSANDBYTES is None, reason="needs bitsandbytes (pip install 'vital-workbench[qlora]')"
)


@needs_bitsandbytes
def test_only_the_language_layers_are_in_4_bits(base):
    plain, quantized = load_model(base).model, load_model(base, quantize="4bit").model
    kinds = {name: type(part).__name__ for name, part in quantized.named_modules()}
    in_4_bits = {name for name, kind in kinds.items() if kind == "Linear4bit"}
    language = [n for n, p in plain.named_modules() if isinstance(p, torch.nn.Linear)]
    language = {n for n in language if "language_model" in n}
    assert in_4_bits == language and len(language) == 14
    # Adapters tuned on either belong to the same base model.
    assert weights_fingerprint(quantized) == weights_fingerprint(plain)


@needs_bitsandbytes
def test_an_adapter_tuned_over_4_bits_answers_on_both_forms_of_the_base(figures, tmp_path):
    base = make_tiny_llava(tmp_path / "base", width=64)
    metrics = tune_shortly(
        base, conversation_rows(8, ONE), figures, tmp_path,
        quantize="4bit", epochs=25, learning_rate=2e-2,
    )  # fmt: skip
    assert metrics["loss_last"] < 0.3 * metrics["loss_first"]
    assert _changed(base, tmp_path / "adapter") == {"language", "projector"}
    pixels = [Image.open(tmp_path / "F0.png").convert("RGB")]
    for quantize in (None, "4bit"):
        tuned = load_model(base, adapter=tmp_path / "adapter", quantize=quantize)
        assert tuned.answer(pixels, ["On which side?"], 12) == ["On the left."]
    assert load_model(base, quantize="4bit").answer(pixels, ["On which side?"], 12) != [
        "On the left."
    ]


@needs_bitsandbytes
@pytest.mark.parametrize("width", [pytest.param(48, id="no multiple of 64"), 64])
def test_4_bit_layers_answer_and_then_give_the_gradient_that_they_gave_before(width, tmp_path):
    """On a CPU too, where bitsandbytes would repack the weights at the first answer."""
    vlm = load_model(make_tiny_llava(tmp_path / "base", width=width), quantize="4bit")
    layers = [part for part in vlm.model.modules() if type(part).__name__ == "Linear4bit"]
    before = [_gradient_of_inputs(layer) for layer in layers]
    vlm.answer([None], ["On which side?"], 2)
    after = [_gradient_of_inputs(layer) for layer in layers]
    assert len(layers) == 14 and all(gradient.any() for gradient in before)
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def _gradient_of_inputs(layer):
    inputs = torch.ones(2, layer.in_features, device=layer.weight.device, requires_grad=True)
    layer.train()(inputs).sum().backward()
    layer.eval()
    return inputs.grad

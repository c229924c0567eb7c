"""Claims about tuned weights that do not fit: they are refused, not put into a model in part."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_llava import make_tiny_llava
from transformers import AutoModelForImageTextToText

from vital_lib.models import WrongAdapter, load_model

FILE = "adapter_model.safetensors"
LANGUAGE, PREFIX = "model.language_model.", "base_model.model."


def _save_adapter(base, folder, **settings):
    """An adapter as peft alone writes it, its matrices large enough to be heard."""
    model = AutoModelForImageTextToText.from_pretrained(base)
    settings = {"r": 4, "target_modules": ["q_proj", "v_proj"], **settings}
    adapter = get_peft_model(model, LoraConfig(**settings))
    torch.manual_seed(0)
    for name, weights in adapter.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weights, std=0.5)
    adapter.save_pretrained(folder, save_embedding_layers=False)
    return folder


@pytest.fixture(scope="module")
def whole(llava_folder, tmp_path_factory):
    """An adapter on language half and vision tower, with the projector trained as a whole."""
    folder = tmp_path_factory.mktemp("adapters") / "whole"
    return _save_adapter(llava_folder, folder, modules_to_save=["multi_modal_projector"])


@pytest.fixture
def changed(whole, tmp_path):
    """The adapter with its tensors or its description changed."""

    def make(tensors=None, **description):
        folder = tmp_path / "changed"
        shutil.copytree(whole, folder)
        if tensors is not None:
            save_file(tensors(load_file(whole / FILE)), folder / FILE)
        told = json.loads((folder / "adapter_config.json").read_text())
        (folder / "adapter_config.json").write_text(json.dumps({**told, **description}))
        return folder

    return make


def _without(*words):
    def left(tensors):
        return {n: w for n, w in tensors.items() if not any(word in n for word in words)}

    return left


def _renamed(old, new):
    return lambda tensors: {name.replace(old, new): w for name, w in tensors.items()}


@pytest.mark.parametrize("made", ["llava", "qwen"])
def test_an_adapter_that_fits_changes_the_answers(made, request, tmp_path):
    base = request.getfixturevalue(f"{made}_folder")
    folder = _save_adapter(base, tmp_path / "adapter")
    plain, tuned = load_model(base).model, load_model(base, adapter=folder).model
    assert not any("lora" in name for name, _ in tuned.named_parameters())
    name = next(n for n, _ in plain.named_parameters() if "language_model" in n and "q_proj" in n)
    assert not torch.equal(plain.state_dict()[name], tuned.state_dict()[name])


@pytest.mark.parametrize(
    "tensors",
    [
        pytest.param(lambda found: {}, id="none at all"),
        pytest.param(_renamed(LANGUAGE, "model."), id="of a language model alone"),
        pytest.param(_renamed(PREFIX, ""), id="without peft's prefix"),
        pytest.param(_renamed("layers.1.", "layers.7."), id="of a deeper model"),
        pytest.param(_without("layers.1."), id="of a shallower model"),
        pytest.param(_without("lora_B"), id="half of each pair"),
        pytest.param(_without("projector"), id="without the projector"),
        pytest.param(_without("projector.linear_2.bias"), id="without one bias"),
        pytest.param(
            lambda found: {**found, f"{PREFIX}lm_head.lora_A.weight": torch.ones(4, 32)},
            id="one too many",
        ),
    ],
)
def test_an_adapter_whose_tensors_do_not_all_land_is_refused(changed, llava_folder, tensors):
    with pytest.raises(WrongAdapter, match="does not fit LlavaFor.* give the base model it was"):
        load_model(llava_folder, adapter=changed(tensors))


@pytest.mark.parametrize(
    ("description", "said"),
    [
        ({"target_modules": ["q_proj", "v_proj", "k_proj"]}, "8 parameters have no tensor"),
        ({"target_modules": ["q_proj"]}, "8 of its tensors have no parameter"),
        ({"target_modules": ["q_proj", "v_proj", "elsewhere"]}, None),
        ({"target_modules": ["elsewhere"]}, "does not fit (?s:.)*No modules were targeted"),
        ({"r": 8}, "does not fit (?s:.)*size mismatch"),
        ({"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 4}, "PROMPT_TUNING, which cannot"),
        ({"peft_type": "SOMETHING"}, "does not describe an adapter: .*SOMETHING"),
    ],
)
def test_an_adapter_that_is_not_as_described_is_refused(changed, llava_folder, description, said):
    folder = changed(**description)
    if said is None:  # a name of a description that matches nothing, and no tensor lacks its place
        assert load_model(llava_folder, adapter=folder)
        return
    with pytest.raises(WrongAdapter, match=said):
        load_model(llava_folder, adapter=folder)


def test_an_adapter_made_by_peft_alone_for_another_architecture_is_refused(whole, qwen_folder):
    with pytest.raises(WrongAdapter, match="does not fit Qwen2VL"):
        load_model(qwen_folder, adapter=whole)


def test_an_adapter_for_another_base_of_the_same_shapes_is_said(whole, tmp_path, caplog):
    other = make_tiny_llava(tmp_path / "another", seed=3)
    load_model(other, adapter=whole)
    assert "but is loaded into" in caplog.text and "another" in caplog.text
    caplog.clear()


def test_a_broken_number_is_refused(changed, llava_folder):
    def broken(found):
        return {n: w * float("nan") if "q_proj.lora_A" in n else w for n, w in found.items()}

    with pytest.raises(WrongAdapter, match="NaN"):
        load_model(llava_folder, adapter=changed(broken))


@pytest.mark.parametrize("text", ["{", "[]", "null", None])
def test_a_description_that_is_none_is_refused(changed, llava_folder, text):
    file = changed() / "adapter_config.json"
    file.unlink() if text is None else file.write_text(text)
    with pytest.raises(WrongAdapter, match="adapter_config.json"):
        load_model(llava_folder, adapter=file.parent)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"trained_whole": []}'])
def test_a_language_half_without_its_description_is_refused(tmp_path, llava_folder, text):
    state = load_model(llava_folder).model.state_dict()
    language = {name: w.clone() for name, w in state.items() if "language_model" in name}
    save_file(language, tmp_path / "language.safetensors")
    (tmp_path / "metrics.json").write_text("{}")
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(WrongAdapter, match="config.json|lacks 0 of 0 weights of no module"):
        load_model(llava_folder, adapter=tmp_path)


def test_a_base_model_that_lacks_weights_is_refused(tmp_path, llava_folder):
    folder = tmp_path / "base"
    shutil.copytree(llava_folder, folder)
    weights = load_file(folder / "model.safetensors")
    lost = [name for name in weights if "layers.1." in name and "q_proj" in name]
    save_file(
        {name: w for name, w in weights.items() if name not in lost},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(ValueError, match=rf"lacks {len(lost)} of the weights .* would be random"):
        load_model(folder)
    assert load_model(llava_folder).answer([Image.new("RGB", (56, 56))], ["What?"], 2)

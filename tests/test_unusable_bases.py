"""Claims about base models that cannot be used: one clear line each, before any work."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from tiny_models import ARCHITECTURES
from transformers import LlamaConfig, LlamaForCausalLM
from tuning_rows import conversation_rows, tune_shortly

from vital_lib.models import UnusableTemplate, load_model

pytest_plugins = "tuning_rows"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A complete Qwen2.5-VL."""
    return ARCHITECTURES["qwen2.5"](tmp_path_factory.mktemp("whole"))


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "base")


def _refused(folder, kind):
    with pytest.raises(kind) as caught:
        load_model(folder)
    said = str(caught.value)
    assert str(folder) in said and "\n" not in said and len(said) < 500
    return said


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (["config.json"], "has no config (config.json)"),
        (["model.safetensors"], "has no weights (*.safetensors)"),
        (["tokenizer.json"], "has no tokenizer (tokenizer.json or"),
        (
            ["preprocessor_config.json", "processor_config.json"],
            "has no image processor (preprocessor_config.json or processor_config.json)",
        ),
        (["config.json", "tokenizer.json"], "has no config (config.json), tokenizer (tokenizer"),
    ],
)
def test_a_folder_with_missing_files_is_refused_with_their_names(folder, gone, said):
    """transformers opens a Qwen without its tokenizer.json, with a vocabulary of nothing."""
    for name in gone:
        (folder / name).unlink()
    assert said in _refused(folder, FileNotFoundError)


def test_a_base_without_a_chat_template_is_refused(folder):
    (folder / "chat_template.jinja").unlink()
    assert "has no chat template: give an instruction-tuned" in _refused(folder, UnusableTemplate)


def test_a_chat_template_that_is_not_one_is_refused(folder):
    (folder / "chat_template.jinja").write_text("{% for message in messages %}")
    assert "fails for 1 rounds about 1 images" in _refused(folder, UnusableTemplate)


def test_a_text_model_is_refused(folder):
    """With the files of a vision-language model or without."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "vocab_size": 300}
    model = LlamaForCausalLM(LlamaConfig(num_attention_heads=2, num_key_value_heads=2, **sizes))
    model.save_pretrained(folder)
    assert "has a LlamaConfig: it takes no images" in _refused(folder, ValueError)
    for name in ("preprocessor_config.json", "processor_config.json"):
        (folder / name).unlink()
    assert "has a LlamaConfig: it takes no images" in _refused(folder, ValueError)


def test_an_image_processor_that_needs_torchvision_names_the_install(folder):
    described = json.loads((folder / "preprocessor_config.json").read_text())
    described["image_processor_type"] = "Llama4ImageProcessor"
    (folder / "preprocessor_config.json").write_text(json.dumps(described))
    said = _refused(folder, ImportError)
    assert "pip install 'vital-workbench[torchvision]'" in said


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
def test_settings_that_are_no_json_are_refused(folder, name):
    (folder / name).write_text("{")
    assert "cannot be read" in _refused(folder, (OSError, ValueError))


def test_weights_that_are_cut_off_are_refused(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    assert "weights cannot be read" in _refused(folder, (OSError, ValueError))


def test_weights_of_other_shapes_than_the_settings_are_refused(folder):
    """transformers would give these weights random values, or print a table."""
    described = json.loads((folder / "config.json").read_text())
    described["text_config"]["vocab_size"] = 300
    (folder / "config.json").write_text(json.dumps(described))
    said = _refused(folder, ValueError)
    assert "2 of its weights have other shapes" in said and "instead of (300, 32)" in said


@pytest.mark.parametrize("held_out", [False, True])
def test_a_processor_of_another_model_is_named_at_the_first_batch(
    held_out, llava_folder, figures, tmp_path
):
    """It writes another number of image tokens than the vision tower gives."""
    folder = shutil.copytree(llava_folder, tmp_path / "base")
    described = json.loads((folder / "processor_config.json").read_text())
    described["patch_size"] = 16
    (folder / "processor_config.json").write_text(json.dumps(described))
    rows = conversation_rows(4)
    watched = {"held_out": rows.iloc[3:]} if held_out else {}
    with pytest.raises(ValueError, match="the base model fails on its first batch .*processor"):
        tune_shortly(folder, rows.iloc[:3], figures, tmp_path, **watched)

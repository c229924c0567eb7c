"""What comes before the first step: the estimate of memory and disk, captions, data mixed in."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from tiny_llava import make_tiny_llava
from transformers import AutoConfig, CLIPVisionConfig, LlamaConfig, LlavaConfig
from tuning_rows import conversation_rows, tune_shortly

from vital_lib.models import load_model
from vital_lib.tuning import (
    DoesNotFit,
    NothingToTune,
    TuningConfig,
    caption_conversations,
    check_room,
    estimate,
    read_llava,
    read_losses,
    tune_captions,
)
from vital_lib.tuning.captions import BRIEF_REQUESTS, DETAILED_REQUESTS
from vital_lib.tuning.estimating import GIB, as_table, estimate_of
from vital_lib.tuning.weights import make_trainable

pytest_plugins = "tuning_rows"


# -- memory and disk -------------------------------------------------------------------------------


def _llava_7b():
    """The shape of LLaVA-1.5-7B."""
    vision = CLIPVisionConfig(
        hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16,
        image_size=336, patch_size=14, projection_dim=768,
    )  # fmt: skip
    return LlavaConfig(vision_config=vision, text_config=LlamaConfig(vocab_size=32064))


def _qwen_8b():
    """The shape of Qwen3-VL-8B."""
    text = {
        "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36,
        "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936,
    }  # fmt: skip
    vision = {
        "depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16,
        "out_hidden_size": 4096, "deepstack_visual_indexes": [8, 16, 24],
    }  # fmt: skip
    return AutoConfig.for_model("qwen3_vl", text_config=text, vision_config=vision)


def _gib(config, tokens=1024, device="cuda", **settings):
    settings = TuningConfig(**{"batch_size": 1, **settings})
    return estimate_of(config, settings, tokens, graded=256, device=device)


@pytest.mark.parametrize(
    ("config", "billions", "whole", "in_4_bits"),
    [(_llava_7b, 7.06, (14, 20), (6, 11)), (_qwen_8b, 8.77, (18, 27), (9, 18))],
)
def test_the_estimate_for_a_model_of_the_hub_needs_its_config_alone(
    config, billions, whole, in_4_bits
):
    """The ranges contain the weights alone, and end well below the next larger card."""
    found, small = _gib(config()), _gib(config(), quantize="4bit")
    assert found.parameters / 1e9 == pytest.approx(billions, abs=0.02)
    assert whole[0] < found.memory / GIB < whole[1]
    assert in_4_bits[0] < small.memory / GIB < in_4_bits[1]
    assert small.trained == found.trained and small.activations == found.activations
    assert found.merged == 2 * found.parameters


@pytest.mark.slow
def test_the_table_of_the_docs_states_the_estimates(root):
    settings = {
        "activation_checkpointing": {"activation_checkpointing": True},
        "4 bits": {"quantize": "4bit"},
        "whole language model": {"train": "language"},
        "LoRA": {},
    }
    configs = {"LLaVA-1.5-7B": _llava_7b(), "Qwen3-VL-8B": _qwen_8b()}
    lines = (root / "docs" / "tuning.md").read_text().splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith(("| LLa", "| Qwen"))]
    assert len(rows) == 10
    for model, trained, *stated in rows:
        chosen = [settings[part.strip("`")] for part in trained.split(", ")]
        found = _gib(configs[model], **{name: v for one in chosen for name, v in one.items()})
        held = found.gradients + found.optimizer
        sizes = (found.weights, held, found.activations, found.memory, found.disk)
        assert [text.strip("*") for text in stated] == [f"{size / GIB:.1f}" for size in sizes]


@pytest.mark.parametrize("tokens", [0, -5, "100", None])
def test_an_estimate_needs_a_length(tokens, tmp_path):
    with pytest.raises(ValueError, match=f"tokens={tokens!r}: wanted the length of a sequence"):
        estimate(tmp_path, tokens)


def test_each_setting_moves_its_own_part_of_the_estimate():
    config = _llava_7b()
    plain = _gib(config)
    spared = _gib(config, activation_checkpointing=True)
    assert spared.activations < 0.3 * plain.activations and spared.weights == plain.weights
    assert _gib(config, tokens=2048).activations > 1.5 * plain.activations
    micro = _gib(config, batch_size=4, micro_batch_size=1)
    assert _gib(config, batch_size=4).activations > 3 * micro.activations
    assert micro.activations == plain.activations
    assert _gib(config, lora_rank=16).optimizer > plain.optimizer
    assert _gib(config, device="cpu").weights > 1.9 * plain.weights
    whole = _gib(config, train="language")
    assert whole.memory / GIB > 16 * 6.7e9 / GIB  # weights, gradients and two moments in fp32
    assert _gib(config, train="projector").trained < plain.trained
    assert _gib(config, train_vision=True).activations > plain.activations


@pytest.mark.parametrize("base", ["llava", "qwen"])
@pytest.mark.parametrize("train", ["lora", "language", "projector"])
def test_trained_weights_are_counted_exactly(base, train, request):
    folder = request.getfixturevalue(f"{base}_folder")
    tuned, _ = make_trainable(load_model(folder).model, TuningConfig(train=train))
    sizes = [weights.numel() for weights in tuned.parameters() if weights.requires_grad]
    found = estimate(folder, 64, train=train, device="cpu")
    assert found.trained == sum(sizes) and found.optimizer == 8 * sum(sizes)
    assert as_table(found)["trained"] == f"{sum(sizes):,}"


def test_a_run_that_cannot_fit_is_refused_with_what_to_lower(tmp_path):
    needed = _gib(_llava_7b(), device="cpu")
    huge = 2**50
    with pytest.raises(DoesNotFit, match=r"too little memory: .*Try a smaller base .*'4bit'"):
        check_room(replace(needed, weights=huge), tmp_path)
    with pytest.raises(DoesNotFit, match=r"Try micro_batch_size .*activation_checkpointing=True$"):
        check_room(replace(needed, weights=0, activations=huge), tmp_path)
    with pytest.raises(DoesNotFit, match=r"for each of 3 runs.*workers=1"):
        check_room(replace(needed, weights=huge // 1024), tmp_path, runs=3)
    small = replace(needed, weights=0, activations=0, gradients=0, optimizer=0, trained=0)
    with pytest.raises(DoesNotFit, match=r"too little disk: .* lower rank"):
        check_room(replace(small, adapter=huge), tmp_path / "not" / "yet")
    assert "GiB of disk; free are" in check_room(replace(small, adapter=0), tmp_path)


def test_tuning_is_refused_before_its_first_step_if_it_cannot_fit(
    llava_folder, figures, tmp_path, monkeypatch
):
    """What is free is set to 1 MiB; the model itself, in memory already, counts no more."""
    monkeypatch.setattr("vital_lib.tuning.estimating.free_memory", lambda device: 2**20)
    seen = []
    how = {"on_step": lambda event: seen.append(event), "batch_size": 8}
    with pytest.raises(DoesNotFit, match=r"too little memory: .* Try micro_batch_size or max_tok"):
        tune_shortly(llava_folder, conversation_rows(), figures, tmp_path, **how)
    assert not seen and not (tmp_path / "adapter").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads memory from /proc")
@pytest.mark.parametrize(
    ("width", "settings"),
    [
        (32, {"batch_size": 16}),
        (640, {"batch_size": 8}),
        (640, {"batch_size": 8, "activation_checkpointing": True}),
        (640, {"batch_size": 2, "train": "language"}),
        (256, {"batch_size": 16, "train_vision": True}),
    ],
)
def test_the_estimate_is_close_to_the_measured_peak(width, settings, tmp_path):
    make_tiny_llava(tmp_path / "warm", image_size=64)
    layers = 2 if width == 32 else 8
    make_tiny_llava(tmp_path / "base", width=width, layers=layers, image_size=64)
    script = Path(__file__).with_name("peak_of_tuning.py")
    # The smallest takes no more than the model before it, whose memory must go back to the system
    # at once: used again, it would not show in the peak.
    freed = {f"MALLOC_{name}_THRESHOLD_": "65536" for name in ("MMAP", "TRIM")}
    freed = {**freed, "MALLOC_ARENA_MAX": "1"} if width == 32 else {}
    done = subprocess.run(
        [sys.executable, script, tmp_path, json.dumps(settings)],
        capture_output=True, text=True, check=True,
        env={**os.environ, **freed},
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["estimated"] > found["measured"] / 1.5 - 50
    assert found["estimated"] < 2 * found["measured"] + 50


# -- caption stage ---------------------------------------------------------------------------------


def _captioned(captions, split="train"):
    names = [f"F{k}" for k in range(len(captions))]
    return pd.DataFrame({"figure_id": names, "caption": captions, "split": split})


def test_captions_become_conversations_with_varied_plain_requests():
    long = "A word " * 20
    rows = caption_conversations(_captioned(["A CT\n scan."] * 60 + [long] * 60), seed=3)
    asked = [turns[0]["instruction"] for turns in rows["turns"]]
    assert set(asked[:60]) == set(BRIEF_REQUESTS)
    assert set(asked[60:]) == set(DETAILED_REQUESTS)
    assert rows["turns"][0][0]["response"] == "A CT scan."
    assert rows["conversation_id"].tolist()[:2] == ["F0-caption", "F1-caption"]
    again = caption_conversations(_captioned(["A CT scan."] * 30), seed=3)
    assert [turns[0]["instruction"] for turns in again["turns"]] == asked[:30]
    other = caption_conversations(_captioned(["A CT scan."] * 30), seed=4)
    assert [turns[0]["instruction"] for turns in other["turns"]] != asked[:30]


def test_only_captions_of_training_figures_are_used():
    rows = _captioned(["One.", "Two.", "", None])
    rows.loc[0, "split"] = "test"
    found = caption_conversations(rows)
    assert found["figure_id"].tolist() == ["F1"] and found.attrs["without_caption"] == 2
    with pytest.raises(NothingToTune, match="none of 0 training figures has a caption"):
        caption_conversations(rows.assign(split="validation"))


def test_a_caption_that_is_no_text_is_no_caption():
    found = caption_conversations(_captioned([5, math.nan, "A CT.", ["A", "list"]]))
    assert found["figure_id"].tolist() == ["F2"] and found.attrs["without_caption"] == 3


def test_the_caption_stage_teaches_the_projector_and_makes_a_base(llava_folder, figures, tmp_path):
    captioned = figures.assign(caption="A plain image.", split="train")
    settings = {"epochs": 8, "learning_rate": 2e-2, "batch_size": 4}
    base = tune_captions(llava_folder, captioned, tmp_path / "captions", **settings)
    losses = read_losses(tmp_path / "captions" / "projector")
    assert sum(losses[-4:]) < 0.9 * sum(losses[:4])
    before, after = (load_model(folder).model.state_dict() for folder in (llava_folder, base))
    changed = {name for name in before if not (before[name] == after[name]).all()}
    assert changed and all("multi_modal_projector" in name for name in changed)
    tune_shortly(base, conversation_rows(4), figures, tmp_path)
    assert load_model(base, adapter=tmp_path / "adapter")


# -- data mixed in ---------------------------------------------------------------------------------


def _record(image, answer):
    messages = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": answer}]
    return {"image": image, "conversations": messages}


def test_a_folder_of_llava_files_is_mixed_in(llava_folder, figures, tmp_path):
    folder = tmp_path / "other"
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (48, 48), "teal").save(folder / "images" / "a.png")
    Image.new("RGB", (48, 48), "navy").save(folder / "b.png")
    (folder / "one.json").write_text(json.dumps([_record("a.png", "Teal.")] * 2))
    (folder / "two.jsonl").write_text(json.dumps(_record("b.png", "Navy.")) + "\nnothing\n")
    (folder / "notes.txt").write_text("not records")
    conversations, images = mix = read_llava(folder)
    assert len(conversations) == 3 and conversations["conversation_id"].is_unique
    assert images["image"].tolist() == [str(folder / "images" / "a.png"), str(folder / "b.png")]
    assert [row["place"] for row in conversations.attrs["rejected"]] == ["two.jsonl:2"]
    metrics = tune_shortly(llava_folder, conversation_rows(6), figures, tmp_path, mix=mix)
    assert metrics["mix_conversations"] == 3


def test_a_folder_without_llava_files_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no \.json, \.jsonl, \.parquet file in folder"):
        read_llava(tmp_path)

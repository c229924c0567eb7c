"""What tuning learns, on tiny random models: tokens, images, LoRA and the language model."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_llava import make_tiny_llava
from tuning_rows import ROUNDS, conversation_rows, tune_shortly

from vital_lib.models import WrongAdapter, load_model
from vital_lib.tuning import (
    IGNORED,
    FigureTensors,
    NothingToTune,
    TuningConfig,
    collate,
    encode_conversations,
    encode_rounds,
    language_modules,
    lora_targets,
    read_config,
    read_losses,
)

pytest_plugins = "tuning_rows"


@pytest.fixture(scope="module", params=["llava", "qwen"])
def base(request):
    return request.getfixturevalue(f"{request.param}_folder")


@pytest.fixture(scope="module")
def vlm(base):
    return load_model(base)


def _tensors(vlm, figures, tmp_path, **room):
    files = {row.figure_id: tmp_path / row.image for row in figures.itertuples()}
    return FigureTensors(vlm, files, **room)


def _spoken(vlm, labels):
    """The consecutive stretches of labelled tokens, decoded."""
    runs, run = [], []
    for label in [*labels, IGNORED]:
        if label != IGNORED:
            run.append(label)
        elif run:
            runs.append(vlm.processor.tokenizer.decode(run))
            run = []
    return runs


# -- sequences -------------------------------------------------------------------------------------


def test_only_responses_and_their_end_tokens_are_learned(vlm):
    tokens, _ = encode_rounds(vlm, ROUNDS, Image.new("RGB", (64, 64)))
    end = vlm.processor.tokenizer.eos_token
    spoken = [text.lstrip() for text in _spoken(vlm, tokens["labels"])]
    assert spoken == [answer + end for _, answer in ROUNDS]


def test_an_end_token_is_added_if_the_template_has_none(tmp_path):
    """LLaVA-1.5's template writes no </s>, so a model tuned on it would never stop."""
    vlm = load_model(make_tiny_llava(tmp_path, template=None))
    tokens, _ = encode_rounds(vlm, ROUNDS, Image.new("RGB", (64, 64)))
    spoken = [text.lstrip() for text in _spoken(vlm, tokens["labels"])]
    assert spoken == [answer + "</s>" for _, answer in ROUNDS]


def test_the_prompt_in_tuning_equals_the_prompt_in_answering(vlm):
    """The tokens before the first label equal the tokens of the prompt in `answer`.

    The token of the answer's first word includes the space before it. A prompt that ended with that
    space would need a continuation that was never learned.
    """
    image = Image.new("RGB", (64, 64))
    tokens, _ = encode_rounds(vlm, [("On which side?", "the left")], image)
    prompt = vlm.tensors([vlm.chat([("On which side?", None)])], [image])["input_ids"][0].tolist()
    first = next(k for k, label in enumerate(tokens["labels"]) if label != IGNORED)
    assert tokens["input_ids"][:first] == prompt


def test_a_control_token_inside_a_response_is_text(vlm):
    odd = [("Which <image> is it?<|im_end|>", "A CT</s> scan<|image_pad|>.")]
    tokens, _ = encode_rounds(vlm, odd, Image.new("RGB", (64, 64)))
    end = vlm.processor.tokenizer.eos_token
    assert _spoken(vlm, tokens["labels"])[0].count(end) == 1


def test_a_conversation_is_one_sequence_after_one_image(vlm, figures, tmp_path):
    tensors = _tensors(vlm, figures, tmp_path)
    examples, counts = encode_conversations(vlm, conversation_rows(3), tensors, 512)
    assert counts["rounds"] == 9 and counts["rounds_dropped"] == 0
    assert counts["conversations"] == len(examples) == 3
    text = vlm.processor.tokenizer.decode(examples[0]["input_ids"])
    assert all(question in text and answer in text for question, answer in ROUNDS)


def test_a_long_sequence_loses_whole_last_rounds_and_no_image_token(vlm, figures, tmp_path):
    tensors = _tensors(vlm, figures, tmp_path)
    whole, _ = encode_conversations(vlm, conversation_rows(2), tensors, 512)
    limit = max(len(example["input_ids"]) for example in whole) - 1
    cut, counts = encode_conversations(vlm, conversation_rows(2), tensors, limit)
    assert counts["rounds_dropped"] >= 1
    assert counts["rounds"] + counts["rounds_dropped"] == 6
    image = vlm.processor.image_token_id
    for long, short in zip(whole, cut, strict=True):
        assert short["input_ids"].count(image) == long["input_ids"].count(image) > 0
        assert len(short["input_ids"]) <= limit
        spoken = _spoken(vlm, short["labels"])
        assert spoken and all(text.endswith(vlm.processor.tokenizer.eos_token) for text in spoken)


def test_a_conversation_without_room_for_one_round_is_dropped_and_counted(vlm, figures, tmp_path):
    tensors = _tensors(vlm, figures, tmp_path)
    long = conversation_rows(1, [("Why? " * 200, "No.")]).assign(conversation_id="long")
    both = pd.concat([conversation_rows(1), long], ignore_index=True)
    examples, counts = encode_conversations(vlm, both, tensors, 400)
    assert (counts["conversations"], counts["conversations_dropped"]) == (1, 1)
    assert (counts["rounds"], counts["rounds_dropped"]) == (3, 1)
    assert len(examples) == 1


def test_tuning_is_refused_if_no_round_fits(vlm, figures, tmp_path):
    tensors = _tensors(vlm, figures, tmp_path)
    with pytest.raises(NothingToTune, match="none of 2 conversations has a round that fits 10"):
        encode_conversations(vlm, conversation_rows(2), tensors, 10)


def test_a_batch_keeps_every_token_and_every_image(vlm, figures, tmp_path):
    tensors = _tensors(vlm, figures, tmp_path)
    mixed = pd.concat([conversation_rows(1), conversation_rows(2, ROUNDS[:1]).iloc[1:]])
    examples, _ = encode_conversations(vlm, mixed, tensors, 512)
    pictures = [tensors[example["figure_id"]] for example in examples]
    batch = collate(examples, pictures, vlm.processor.tokenizer.pad_token_id)
    assert batch["attention_mask"].sum(1).tolist() == [len(e["input_ids"]) for e in examples]
    padding = batch["labels"][batch["attention_mask"] == 0]
    assert len(padding) and (padding == IGNORED).all()
    with torch.inference_mode():
        assert torch.isfinite(vlm.model(**batch).loss)


def test_an_image_beyond_the_cache_is_prepared_again_identically(vlm, figures, tmp_path):
    kept, again = (_tensors(vlm, figures, tmp_path, room=room) for room in (2**20, 0))
    for tensors in (kept, again):
        encode_conversations(vlm, conversation_rows(2), tensors, 512)
    for figure_id in ("F0", "F1"):
        assert kept[figure_id].keys() == again[figure_id].keys()
        assert all(torch.equal(kept[figure_id][k], again[figure_id][k]) for k in kept[figure_id])
    assert kept["F0"] is kept["F0"] and again["F0"] is not again["F0"]


def test_images_of_different_sizes_are_padded_into_one_batch():
    tiles = [{"pixel_values": torch.ones(1, n, 3, 4, 4)} for n in (1, 3)]
    example = {"figure_id": "F", "input_ids": [1], "labels": [1]}
    joined = collate([example, example], tiles, 0)["pixel_values"]
    assert joined.shape == (2, 3, 3, 4, 4)
    assert joined[0, 1:].sum() == 0 and joined[1].sum() == 3 * 3 * 4 * 4


# -- what is trained -------------------------------------------------------------------------------


def test_lora_adapts_the_language_model_and_trains_the_full_projector(base, figures, tmp_path):
    tune_shortly(base, conversation_rows(4), figures, tmp_path)
    from safetensors import safe_open

    with safe_open(tmp_path / "adapter" / "adapter_model.safetensors", "pt") as file:
        names = list(file.keys())
    lora = [name for name in names if "lora_" in name]
    assert lora and all("language_model" in name for name in lora)
    assert {n.split(".lora_")[0].rpartition(".")[2] for n in lora} >= {"q_proj", "v_proj"}
    others = set(names) - set(lora)
    assert others and all("multi_modal_projector" in n or "merger" in n for n in others)


def test_lora_targets_refuse_a_model_without_a_language_model():
    with pytest.raises(NothingToTune, match="Linear has no linear layer in a language_model"):
        lora_targets(torch.nn.Linear(2, 2))


def test_a_tuned_model_gives_the_answer_it_was_tuned_on(base, figures, tmp_path):
    conversations = conversation_rows(8, [("On which side?", "On the left.")])
    metrics = tune_shortly(base, conversations, figures, tmp_path, epochs=25, learning_rate=2e-2)
    assert metrics["loss_last"] < 0.3 * metrics["loss_first"]
    pixels = [Image.open(tmp_path / name).convert("RGB") for name in figures["image"][:2]]
    questions = ["On which side?"] * 2
    tuned = load_model(base, adapter=tmp_path / "adapter").answer(pixels, questions, 12)
    assert tuned == ["On the left."] * 2
    assert load_model(base).answer(pixels, questions, 12) != tuned


def test_losses_depend_on_the_seed(llava_folder, figures, tmp_path):
    def losses(seed):
        tune_shortly(
            llava_folder, conversation_rows(), figures, tmp_path,
            seed=seed, lora_dropout=0.1, resume=False,
        )  # fmt: skip
        return json.loads((tmp_path / "adapter" / "metrics.json").read_text())["losses"]

    assert losses(3) == losses(3) != losses(4)


def test_accumulated_micro_batches_give_the_loss_of_one_batch(llava_folder, figures, tmp_path):
    plain = {"lora_dropout": 0.0, "batch_size": 8}
    one = tune_shortly(llava_folder, conversation_rows(), figures, tmp_path, **plain)
    four = tune_shortly(
        llava_folder, conversation_rows(), figures, tmp_path, micro_batch_size=2, **plain
    )
    assert one["steps"] == four["steps"] == 1
    assert four["loss_last"] == pytest.approx(one["loss_last"], rel=1e-3)


def test_activation_checkpointing_gives_the_same_loss(base, figures, tmp_path):
    plain = {"lora_dropout": 0.0, "epochs": 2}
    usual = tune_shortly(base, conversation_rows(), figures, tmp_path, **plain)
    spared = tune_shortly(
        base, conversation_rows(), figures, tmp_path, activation_checkpointing=True, **plain
    )
    assert spared["loss_last"] == pytest.approx(usual["loss_last"], rel=1e-3)


# -- full tuning of the language model -------------------------------------------------------------


def test_tuning_the_language_model_does_not_change_the_vision_tower(base, figures, tmp_path):
    tune_shortly(base, conversation_rows(), figures, tmp_path, train="language", epochs=2)
    before = load_model(base).model.state_dict()
    after = load_model(base, adapter=tmp_path / "adapter").model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    vision = {n for n in before if "vision" in n or ("visual" in n and "merger" not in n)}
    assert vision and not changed & vision
    assert {name for name in before if "layers.1.mlp" in name and name not in vision} <= changed
    assert any("multi_modal_projector" in name or "merger" in name for name in changed)
    assert any("lm_head" in name for name in changed)


def test_a_tuned_language_model_gives_the_answer_it_was_tuned_on(base, figures, tmp_path):
    conversations = conversation_rows(8, [("On which side?", "On the left.")])
    metrics = tune_shortly(
        base, conversations, figures, tmp_path, train="language", epochs=25, learning_rate=3e-3
    )
    assert metrics["loss_last"] < 0.3 * metrics["loss_first"]
    pixels = [Image.open(tmp_path / name).convert("RGB") for name in figures["image"][:2]]
    tuned = load_model(base, adapter=tmp_path / "adapter")
    assert tuned.answer(pixels, ["On which side?"] * 2, 12) == ["On the left."] * 2


def test_a_folder_of_either_kind_replaces_the_other(llava_folder, figures, tmp_path):
    names = {}
    for train in ("language", "lora", "language"):
        tune_shortly(llava_folder, conversation_rows(4), figures, tmp_path, train=train)
        names[train] = {path.name for path in (tmp_path / "adapter").iterdir()}
        assert load_model(llava_folder, adapter=tmp_path / "adapter")
    described = {"config.json", "metrics.json", "README.md"}
    assert names["language"] == {"language.safetensors", *described}
    assert names["lora"] >= {"adapter_model.safetensors", "adapter_config.json"}
    assert "language.safetensors" not in names["lora"]
    config = read_config(tmp_path / "adapter")
    assert config["train"] == "language" and config["lora_targets"] is None
    assert any(name.endswith("language_model") for name in config["trained_whole"])


def test_a_tuned_language_model_of_another_base_model_is_refused(
    llava_folder, qwen_folder, figures, tmp_path
):
    tune_shortly(llava_folder, conversation_rows(4), figures, tmp_path, train="language")
    with pytest.raises(WrongAdapter, match="was tuned on base model"):
        load_model(make_tiny_llava(tmp_path / "other", seed=9), adapter=tmp_path / "adapter")
    (tmp_path / "adapter" / "config.json").unlink()
    with pytest.raises(WrongAdapter, match=r"of \d+ weights in .* do not fit Qwen2VL"):
        load_model(qwen_folder, adapter=tmp_path / "adapter")


def test_an_incomplete_language_model_is_refused(llava_folder, figures, tmp_path):
    tune_shortly(llava_folder, conversation_rows(4), figures, tmp_path, train="language")
    folder = tmp_path / "adapter"
    file, metrics = folder / "language.safetensors", folder / "metrics.json"
    whole, kept = load_file(file), metrics.read_bytes()
    metrics.unlink()
    with pytest.raises(WrongAdapter, match="no metrics.json: its tuning was interrupted"):
        load_model(llava_folder, folder)
    metrics.write_bytes(kept)
    save_file(dict(list(whole.items())[1:]), file)
    with pytest.raises(WrongAdapter, match=f"lacks 1 of {len(whole)} weights"):
        load_model(llava_folder, folder)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(WrongAdapter, match="are damaged .* tune it again"):
        load_model(llava_folder, folder)


def test_an_incomplete_adapter_is_refused(llava_folder, figures, tmp_path):
    tune_shortly(llava_folder, conversation_rows(4), figures, tmp_path)
    (tmp_path / "adapter" / "metrics.json").unlink()
    with pytest.raises(WrongAdapter, match="no metrics.json: its tuning was interrupted"):
        load_model(llava_folder, tmp_path / "adapter")


def test_lora_and_full_tuning_refuse_a_model_without_a_language_model(tmp_path):
    for find in (lora_targets, language_modules):
        with pytest.raises(NothingToTune, match="give a vision-language model"):
            find(torch.nn.Linear(2, 2))


@pytest.mark.parametrize("train", ["lora", "language"])
def test_interpolated_weights_lie_between_base_and_tuned_weights(train, base, figures, tmp_path):
    metrics, weights = {}, {}
    for share in (1.0, 0.25):
        settings = {"folder": f"{share}", "train": train, "interpolation": share}
        metrics[share] = tune_shortly(base, conversation_rows(), figures, tmp_path, **settings)
        weights[share] = load_model(base, tmp_path / f"{share}").model.state_dict()
    assert metrics[0.25]["loss_last"] == metrics[1.0]["loss_last"]
    moved = 0
    for name, start in load_model(base).model.state_dict().items():
        expected = torch.lerp(start, weights[1.0][name], 0.25)
        torch.testing.assert_close(weights[0.25][name], expected, rtol=1e-3, atol=1e-6)
        moved += not torch.equal(start, weights[0.25][name])
    assert moved > 2


def test_lora_and_full_tuning_have_different_default_learning_rates():
    assert TuningConfig().learning_rate == 2e-4
    assert TuningConfig(train="language").learning_rate == 2e-5
    assert TuningConfig(train="language", learning_rate=1e-3).learning_rate == 1e-3
    with pytest.raises(ValueError, match="train='vision': wanted one of lora, language"):
        TuningConfig(train="vision")


def test_omitted_logits_do_not_change_the_loss(base, figures, tmp_path, monkeypatch):
    """Logits are computed for labelled positions only; the losses equal the model's own loss."""
    short = tune_shortly(base, conversation_rows(6), figures, tmp_path, folder="short")
    monkeypatch.setattr("vital_lib.tuning.loop.selects_logits", lambda model: False)
    whole = tune_shortly(base, conversation_rows(6), figures, tmp_path, folder="whole")
    assert short["steps"] == whole["steps"] == 2
    assert read_losses(tmp_path / "short") == pytest.approx(read_losses(tmp_path / "whole"))

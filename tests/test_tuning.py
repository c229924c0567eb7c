"""Instruction tuning, on tiny random models and random images."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_llava import make_tiny_llava
from tqdm.notebook import tqdm

from vital_lib.figures import UnreadableImage
from vital_lib.models import WrongAdapter, load_model
from vital_lib.processes import run_calls
from vital_lib.tuning import (
    IGNORED,
    FigureTensors,
    MixedBatches,
    NothingToTune,
    TuningConfig,
    collate,
    count_steps,
    draw_mix,
    encode_conversations,
    encode_rounds,
    fingerprint,
    language_modules,
    lora_targets,
    read_config,
    read_llava,
    read_losses,
    show_step,
    tune,
)

ROUNDS = [
    ("Which modality is it?", "A CT scan."),
    ("On which side?", "On the left,\nin two lines."),
    ("How many?", "Two."),
]


@pytest.fixture(scope="module", params=["llava", "qwen"])
def base(request):
    return request.getfixturevalue(f"{request.param}_folder")


@pytest.fixture(scope="module")
def vlm(base):
    return load_model(base)


@pytest.fixture
def figures(tmp_path):
    """Eight figures of different shapes."""
    rng = np.random.default_rng(0)
    rows = []
    for k in range(8):
        pixels = rng.integers(0, 256, (48 + 16 * k, 112, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"F{k}.png")
        rows.append({"figure_id": f"F{k}", "image": str(tmp_path / f"F{k}.png")})
    return pd.DataFrame(rows)


def _conversations(n=8, rounds=ROUNDS):
    turns = [{"instruction": q, "response": a} for q, a in rounds]
    rows = [{"conversation_id": f"F{k}-c", "figure_id": f"F{k}", "turns": turns} for k in range(n)]
    return pd.DataFrame(rows)


def _tune(base, conversations, figures, tmp_path, folder="adapter", **settings):
    settings = {"epochs": 1, "batch_size": 4, "learning_rate": 1e-3, **settings}
    return tune(base, conversations, figures, tmp_path / folder, **settings)


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
    examples, counts = encode_conversations(vlm, _conversations(3), tensors, 512)
    assert counts["rounds"] == 9 and counts["rounds_dropped"] == 0
    assert counts["conversations"] == len(examples) == 3
    text = vlm.processor.tokenizer.decode(examples[0]["input_ids"])
    assert all(question in text and answer in text for question, answer in ROUNDS)


def test_a_long_sequence_loses_whole_last_rounds_and_no_image_token(vlm, figures, tmp_path):
    tensors = _tensors(vlm, figures, tmp_path)
    whole, _ = encode_conversations(vlm, _conversations(2), tensors, 512)
    limit = max(len(example["input_ids"]) for example in whole) - 1
    cut, counts = encode_conversations(vlm, _conversations(2), tensors, limit)
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
    long = _conversations(1, [("Why? " * 200, "No.")]).assign(conversation_id="long")
    both = pd.concat([_conversations(1), long], ignore_index=True)
    examples, counts = encode_conversations(vlm, both, tensors, 400)
    assert (counts["conversations"], counts["conversations_dropped"]) == (1, 1)
    assert (counts["rounds"], counts["rounds_dropped"]) == (3, 1)
    assert len(examples) == 1


def test_tuning_is_refused_if_no_round_fits(vlm, figures, tmp_path):
    tensors = _tensors(vlm, figures, tmp_path)
    with pytest.raises(NothingToTune, match="none of 2 conversations has a round that fits 10"):
        encode_conversations(vlm, _conversations(2), tensors, 10)


def test_a_batch_keeps_every_token_and_every_image(vlm, figures, tmp_path):
    tensors = _tensors(vlm, figures, tmp_path)
    mixed = pd.concat([_conversations(1), _conversations(2, ROUNDS[:1]).iloc[1:]])
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
        encode_conversations(vlm, _conversations(2), tensors, 512)
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
    _tune(base, _conversations(4), figures, tmp_path)
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
    conversations = _conversations(8, [("On which side?", "On the left.")])
    metrics = _tune(base, conversations, figures, tmp_path, epochs=25, learning_rate=2e-2)
    assert metrics["loss_last"] < 0.3 * metrics["loss_first"]
    pixels = [Image.open(tmp_path / name).convert("RGB") for name in figures["image"][:2]]
    questions = ["On which side?"] * 2
    tuned = load_model(base, adapter=tmp_path / "adapter").answer(pixels, questions, 12)
    assert tuned == ["On the left."] * 2
    assert load_model(base).answer(pixels, questions, 12) != tuned


def test_losses_depend_on_the_seed(llava_folder, figures, tmp_path):
    def losses(seed):
        _tune(llava_folder, _conversations(), figures, tmp_path, seed=seed, lora_dropout=0.1)
        return json.loads((tmp_path / "adapter" / "metrics.json").read_text())["losses"]

    assert losses(3) == losses(3) != losses(4)


def test_accumulated_micro_batches_give_the_loss_of_one_batch(llava_folder, figures, tmp_path):
    plain = {"lora_dropout": 0.0, "batch_size": 8}
    one = _tune(llava_folder, _conversations(), figures, tmp_path, **plain)
    four = _tune(llava_folder, _conversations(), figures, tmp_path, micro_batch_size=2, **plain)
    assert one["steps"] == four["steps"] == 1
    assert four["loss_last"] == pytest.approx(one["loss_last"], rel=1e-3)


def test_activation_checkpointing_gives_the_same_loss(base, figures, tmp_path):
    plain = {"lora_dropout": 0.0, "epochs": 2}
    usual = _tune(base, _conversations(), figures, tmp_path, **plain)
    spared = _tune(
        base, _conversations(), figures, tmp_path, activation_checkpointing=True, **plain
    )
    assert spared["loss_last"] == pytest.approx(usual["loss_last"], rel=1e-3)


# -- a tuning run ----------------------------------------------------------------------------------


def test_every_step_is_reported(llava_folder, figures, tmp_path):
    seen = []
    metrics = _tune(
        llava_folder, _conversations(), figures, tmp_path, epochs=2,
        on_step=lambda *step: seen.append(step),
    )  # fmt: skip
    assert [(step, total) for step, total, _ in seen] == [(k, 4) for k in (1, 2, 3, 4)]
    assert metrics["steps"] == metrics["steps_planned"] == 4
    assert metrics["loss_first"] == seen[0][2] and metrics["loss_last"] == seen[-1][2]


def test_a_stopped_tuning_keeps_its_adapter(llava_folder, figures, tmp_path):
    metrics = _tune(
        llava_folder, _conversations(), figures, tmp_path, epochs=9,
        on_step=lambda step, total, loss: step < 3,
    )  # fmt: skip
    assert (metrics["steps"], metrics["steps_planned"]) == (3, 18)
    assert json.loads((tmp_path / "adapter" / "config.json").read_text())["stopped"] is True
    assert load_model(llava_folder, adapter=tmp_path / "adapter").name == str(llava_folder)


def test_a_bar_shows_the_step_and_its_loss():
    bar = tqdm(total=3, display=False)
    for step, loss in ((2, 0.5), (3, 0.25)):
        assert show_step(bar, step, 3, loss) is not False
    assert bar.n == 3 and "loss 0.25" in str(bar)
    bar.close()


def test_the_folder_records_the_settings_and_metrics(llava_folder, figures, tmp_path):
    conversations = _conversations()
    metrics = _tune(llava_folder, conversations, figures, tmp_path, seed=5)
    folder = tmp_path / "adapter"
    assert {path.name for path in folder.iterdir()} == {
        "adapter_config.json", "adapter_model.safetensors", "config.json", "metrics.json",
    }  # fmt: skip
    config = json.loads((folder / "config.json").read_text())
    assert config["conversations_fingerprint"] == fingerprint(conversations)
    assert (config["seed"], config["batch_size"], config["stopped"]) == (5, 4, False)
    assert config["versions"].keys() == {"torch", "transformers", "peft"}
    written = json.loads((folder / "metrics.json").read_text())
    assert len(written.pop("losses")) == metrics["steps"]
    assert written == metrics
    assert all(isinstance(value, int | float) for value in metrics.values())


def test_losses_and_settings_can_be_read_from_the_folder(llava_folder, figures, tmp_path):
    conversations = _conversations(6)
    metrics = _tune(llava_folder, conversations, figures, tmp_path, epochs=2)
    assert metrics["steps"] == count_steps(conversations, epochs=2, batch_size=4) == 4
    losses = read_losses(tmp_path / "adapter")
    assert len(losses) == 4 and losses[-1] == metrics["loss_last"]
    assert read_config(tmp_path / "adapter")["epochs"] == 2


def test_a_missing_adapter_folder_is_refused_with_the_notebook(tmp_path):
    with pytest.raises(FileNotFoundError, match="08_tune_model"):
        read_config(tmp_path)


def test_a_changed_response_changes_the_fingerprint():
    changed = _conversations(8, [*ROUNDS[:2], ("How many?", "Three.")])
    assert fingerprint(changed) != fingerprint(_conversations(8))
    assert fingerprint(_conversations(7)) != fingerprint(_conversations(8))


def test_an_adapter_of_another_base_model_is_refused(llava_folder, figures, tmp_path):
    _tune(llava_folder, _conversations(4), figures, tmp_path)
    other = make_tiny_llava(tmp_path / "other", seed=9)
    with pytest.raises(WrongAdapter, match="was tuned on base model"):
        load_model(other, adapter=tmp_path / "adapter")


@pytest.mark.filterwarnings("error")
def test_tuning_and_loading_print_nothing_and_raise_no_warning(
    llava_folder, figures, tmp_path, capfd
):
    _tune(llava_folder, _conversations(4), figures, tmp_path)
    load_model(llava_folder, adapter=tmp_path / "adapter")
    assert capfd.readouterr() == ("", "")


def test_an_empty_set_of_conversations_is_refused_with_the_notebook(
    llava_folder, figures, tmp_path
):
    with pytest.raises(NothingToTune, match="07_select_instructions"):
        _tune(llava_folder, _conversations(0), figures, tmp_path)


def test_a_conversation_about_an_unknown_figure_is_refused(llava_folder, figures, tmp_path):
    with pytest.raises(
        ValueError, match="7 of 8 figures of the conversations are not given, first 'F1'"
    ):
        _tune(llava_folder, _conversations(), figures.iloc[:1], tmp_path)


def test_a_missing_image_is_named(llava_folder, figures, tmp_path):
    (tmp_path / "F2.png").unlink()
    with pytest.raises(UnreadableImage, match=r"F2\.png"):
        _tune(llava_folder, _conversations(), figures, tmp_path)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("epochs", 0),
        ("epochs", 1.5),
        ("learning_rate", 0.0),
        ("learning_rate", 20.0),
        ("batch_size", 0),
        ("micro_batch_size", 3),
        ("lora_rank", 0),
        ("mix_share", 0),
        ("mix_share", math.inf),
        ("interpolation", 0.0),
        ("interpolation", 1.5),
        ("lora_dropout", 1.0),
        ("warmup_share", -0.1),
        ("max_tokens", 0),
        ("seed", -1),
    ],
)
def test_a_setting_out_of_range_is_refused_with_the_value(setting, value):
    with pytest.raises(ValueError, match=f"{setting}={value}: wanted"):
        TuningConfig(**{setting: value})


# -- full tuning of the language model -------------------------------------------------------------


def test_tuning_the_language_model_does_not_change_the_vision_tower(base, figures, tmp_path):
    _tune(base, _conversations(), figures, tmp_path, train="language", epochs=2)
    before = load_model(base).model.state_dict()
    after = load_model(base, adapter=tmp_path / "adapter").model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    vision = {n for n in before if "vision" in n or ("visual" in n and "merger" not in n)}
    assert vision and not changed & vision
    assert {name for name in before if "layers.1.mlp" in name and name not in vision} <= changed
    assert any("multi_modal_projector" in name or "merger" in name for name in changed)
    assert any("lm_head" in name for name in changed)


def test_a_tuned_language_model_gives_the_answer_it_was_tuned_on(base, figures, tmp_path):
    conversations = _conversations(8, [("On which side?", "On the left.")])
    metrics = _tune(
        base, conversations, figures, tmp_path, train="language", epochs=25, learning_rate=3e-3
    )
    assert metrics["loss_last"] < 0.3 * metrics["loss_first"]
    pixels = [Image.open(tmp_path / name).convert("RGB") for name in figures["image"][:2]]
    tuned = load_model(base, adapter=tmp_path / "adapter")
    assert tuned.answer(pixels, ["On which side?"] * 2, 12) == ["On the left."] * 2


def test_a_folder_of_either_kind_replaces_the_other(llava_folder, figures, tmp_path):
    names = {}
    for train in ("language", "lora", "language"):
        _tune(llava_folder, _conversations(4), figures, tmp_path, train=train)
        names[train] = {path.name for path in (tmp_path / "adapter").iterdir()}
        assert load_model(llava_folder, adapter=tmp_path / "adapter")
    assert names["language"] == {"language.safetensors", "config.json", "metrics.json"}
    assert names["lora"] >= {"adapter_model.safetensors", "adapter_config.json"}
    assert "language.safetensors" not in names["lora"]
    config = read_config(tmp_path / "adapter")
    assert config["train"] == "language" and config["lora_targets"] is None
    assert any(name.endswith("language_model") for name in config["trained_whole"])


def test_a_tuned_language_model_of_another_base_model_is_refused(
    llava_folder, qwen_folder, figures, tmp_path
):
    _tune(llava_folder, _conversations(4), figures, tmp_path, train="language")
    with pytest.raises(WrongAdapter, match="was tuned on base model"):
        load_model(make_tiny_llava(tmp_path / "other", seed=9), adapter=tmp_path / "adapter")
    (tmp_path / "adapter" / "config.json").unlink()
    with pytest.raises(WrongAdapter, match=r"of \d+ weights in .* do not fit Qwen2VL"):
        load_model(qwen_folder, adapter=tmp_path / "adapter")


def test_an_incomplete_language_model_is_refused(llava_folder, figures, tmp_path):
    _tune(llava_folder, _conversations(4), figures, tmp_path, train="language")
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
    _tune(llava_folder, _conversations(4), figures, tmp_path)
    (tmp_path / "adapter" / "metrics.json").unlink()
    with pytest.raises(WrongAdapter, match="no metrics.json: its tuning was interrupted"):
        load_model(llava_folder, tmp_path / "adapter")


def test_an_error_about_the_mix_names_the_mix(llava_folder, figures, tmp_path):
    conversations, shown = _mix(figures)
    conversations["turns"] = [[] for _ in range(len(conversations))]
    with pytest.raises(NothingToTune, match="none of 2 mixed conversations has a round that fits"):
        _tune(llava_folder, _conversations(4), figures, tmp_path, mix=(conversations, shown))


def test_lora_and_full_tuning_refuse_a_model_without_a_language_model(tmp_path):
    for find in (lora_targets, language_modules):
        with pytest.raises(NothingToTune, match="give a vision-language model"):
            find(torch.nn.Linear(2, 2))


@pytest.mark.parametrize("train", ["lora", "language"])
def test_interpolated_weights_lie_between_base_and_tuned_weights(train, base, figures, tmp_path):
    metrics, weights = {}, {}
    for share in (1.0, 0.25):
        settings = {"folder": f"{share}", "train": train, "interpolation": share}
        metrics[share] = _tune(base, _conversations(), figures, tmp_path, **settings)
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
    short = _tune(base, _conversations(6), figures, tmp_path, folder="short")
    monkeypatch.setattr("vital_lib.tuning.training._can_leave_out_logits", lambda model: False)
    whole = _tune(base, _conversations(6), figures, tmp_path, folder="whole")
    assert short["steps"] == whole["steps"] == 2
    assert read_losses(tmp_path / "short") == pytest.approx(read_losses(tmp_path / "whole"))


# -- other data mixed in ---------------------------------------------------------------------------


def _mix(figures, n=8):
    """Conversations about the same images under other names."""
    conversations = _conversations(n, [("And what else?", "Nothing.")])
    renamed = {f"F{k}": f"M{k}" for k in range(8)}
    return (
        conversations.assign(figure_id=conversations["figure_id"].map(renamed)),
        figures.assign(figure_id=figures["figure_id"].map(renamed)),
    )


def test_every_batch_has_its_share_of_the_mix():
    batches = list(MixedBatches([5] * 16, [9] * 8, size=4, seed=0))
    assert len(batches) == 4
    assert all(sum(place < 16 for place in batch) == 4 for batch in batches)
    assert all(sum(place >= 16 for place in batch) == 2 for batch in batches)
    assert sorted(place for batch in batches for place in batch) == list(range(24))


@pytest.mark.parametrize(("own", "mixed"), [(1, 0), (9, 3), (10, 0), (401, 7), (5, 40)])
def test_each_example_appears_once_per_pass(own, mixed):
    rng = np.random.default_rng(0)
    batches = MixedBatches(rng.integers(5, 99, own), rng.integers(5, 99, mixed), size=4, seed=0)
    for _ in range(2):
        made = list(batches)
        assert len(made) == len(batches) == -(-own // 4)
        assert sorted(place for batch in made for place in batch) == list(range(own + mixed))


def test_batches_group_similar_lengths_and_each_pass_is_drawn_again():
    lengths = np.random.default_rng(0).integers(10, 500, 200)
    batches = MixedBatches(lengths, [], size=4, seed=0)
    first, second = list(batches), list(batches)
    apart = np.mean([np.ptp(lengths[batch]) for batch in first])
    assert apart < 0.2 * np.mean([np.ptp(lengths[k : k + 4]) for k in range(0, 200, 4)])
    assert first != second
    assert list(MixedBatches(lengths, [], size=4, seed=0)) == first
    assert list(MixedBatches(lengths, [], size=4, seed=1)) != first


def test_a_mix_for_a_smaller_set_is_the_start_of_the_larger_one():
    mix = _conversations(8)
    few, many = draw_mix(mix, 4, 0.5, seed=3), draw_mix(mix, 12, 0.5, seed=3)
    assert (len(few), len(many)) == (2, 6)
    assert many["conversation_id"].tolist()[:2] == few["conversation_id"].tolist()
    assert many["conversation_id"].is_unique
    orders = {tuple(draw_mix(mix, 12, 0.5, seed=seed)["conversation_id"]) for seed in range(5)}
    assert len(orders) > 1


def test_the_mix_is_learned_together_with_the_conversations(llava_folder, figures, tmp_path):
    mix = _mix(figures)
    own = _conversations(8, [("On which side?", "On the left.")])
    settings = {"train": "language", "epochs": 25, "learning_rate": 3e-3}
    metrics = _tune(llava_folder, own, figures, tmp_path, mix=mix, **settings)
    assert (metrics["conversations"], metrics["mix_conversations"]) == (8, 4)
    assert metrics["mix_rounds"] == 4 and metrics["mix_tokens"] > 0
    assert metrics["steps"] == count_steps(own, epochs=25, batch_size=4)
    tuned = load_model(llava_folder, adapter=tmp_path / "adapter")
    pixels = [Image.open(tmp_path / "F0.png").convert("RGB")] * 2
    answers = tuned.answer(pixels, ["On which side?", "And what else?"], 12)
    assert answers == ["On the left.", "Nothing."]
    config = read_config(tmp_path / "adapter")
    assert config["mix_share"] == 0.5
    assert config["mix_fingerprint"] == fingerprint(draw_mix(mix[0], 8, 0.5, seed=0))


def test_without_a_mix_its_counts_are_zero(llava_folder, figures, tmp_path):
    metrics = _tune(llava_folder, _conversations(4), figures, tmp_path)
    assert (metrics["mix_conversations"], metrics["mix_tokens"]) == (0, 0)
    assert read_config(tmp_path / "adapter")["mix_fingerprint"] is None


def test_an_empty_or_too_small_mix_is_refused(llava_folder, figures, tmp_path):
    conversations, images = _mix(figures)
    with pytest.raises(NothingToTune, match="the mix holds no conversations: .* mix=None"):
        _tune(
            llava_folder, _conversations(), figures, tmp_path, mix=(conversations.iloc[:0], images)
        )
    with pytest.raises(
        ValueError, match=r"needs 16 mixed conversations, but the mix has 8: .*mix_share=1\.0"
    ):
        _tune(
            llava_folder, _conversations(), figures, tmp_path,
            mix=(conversations, images), mix_share=2.0,
        )  # fmt: skip


def test_a_mix_about_unknown_or_conflicting_figures_is_refused(llava_folder, figures, tmp_path):
    conversations, images = _mix(figures)
    with pytest.raises(ValueError, match="figures of the conversations are not given, first 'M"):
        _tune(
            llava_folder, _conversations(), figures, tmp_path, mix=(conversations, images.iloc[:0])
        )
    conflicting = images.assign(figure_id=list(figures["figure_id"][::-1]))
    same = conversations.assign(figure_id=figures["figure_id"])
    with pytest.raises(ValueError, match="have one image in the figures and another in the mix"):
        _tune(
            llava_folder, _conversations(), figures, tmp_path, mix=(same, conflicting), mix_share=1
        )


def test_a_llava_training_file_is_read(tmp_path):
    messages = [
        ("human", "<image>\nWhat is it?"),
        ("gpt", "A CT."),
        ("human", "Sure?"),
        ("gpt", "Yes."),
    ]
    record = {
        "id": "a", "image": "x/1.png",
        "conversations": [{"from": role, "value": text} for role, text in messages],
    }  # fmt: skip
    file = tmp_path / "train.json"
    file.write_text(json.dumps([record, {**record, "image": None}, {**record, "id": "b"}]))
    conversations, images = read_llava(file)
    assert conversations["figure_id"].tolist() == ["x/1.png"] * 2
    assert conversations["conversation_id"].is_unique
    assert conversations["turns"][0] == [
        {"instruction": "What is it?", "response": "A CT."},
        {"instruction": "Sure?", "response": "Yes."},
    ]
    assert images["image"].tolist() == [str(tmp_path / "x" / "1.png")]
    assert read_llava(file, tmp_path / "i")[1]["image"].tolist() == [str(tmp_path / "i/x/1.png")]


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([{"from": "human", "value": "Q"}], "no answer to"),
        (None, "wanted a list of messages, received None"),
        ([{"from": "gpt", "value": "A"}, {"from": "human", "value": "Q"}], "out of order"),
        ([{"from": "human", "value": "Q"}, {"from": "gpt", "value": 3}], "received 3 from gpt"),
        ([{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "A"}], "<image>"),
    ],
)
@pytest.mark.parametrize("name", ["train.json", "train.jsonl"])
def test_an_invalid_record_is_one_rejected_row(messages, reason, name, tmp_path, caplog):
    good = [{"from": "human", "value": "<image>\nQ"}, {"from": "gpt", "value": "A <image>"}]
    records = [{"image": "1.png", "conversations": one} for one in (good, messages, good)]
    lines = [json.dumps(record) for record in records]
    text = "\n".join(lines) if name.endswith("l") else f"[{', '.join(lines)}]"
    (tmp_path / name).write_text(text)
    conversations, _ = read_llava(tmp_path / name)
    assert conversations["turns"].tolist() == [[{"instruction": "Q", "response": "A"}]] * 2
    (wrong,) = conversations.attrs["rejected"]
    assert wrong["place"] in ("train.json[1]", "train.jsonl:2") and reason in wrong["reason"]
    assert "1 of 3 records are not conversations" in caplog.text


def test_an_invalid_image_path_is_one_rejected_row(tmp_path):
    messages = [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]
    records = [{"image": name, "conversations": messages} for name in ("1.png", "a\0b", 7)]
    (tmp_path / "train.json").write_text(json.dumps(records))
    conversations, _ = read_llava(tmp_path / "train.json")
    assert [row["field"] for row in conversations.attrs["rejected"]] == ["image"] * 2


@pytest.mark.parametrize(
    ("text", "message"), [("", "is empty"), ("[]", "0 of 0"), ("{}", "1 of 1")]
)
def test_a_training_file_without_a_conversation_is_refused(text, message, tmp_path):
    (tmp_path / "train.json").write_text(text)
    with pytest.raises(ValueError, match=f"train.json.* {message}"):
        read_llava(tmp_path / "train.json")


# -- several processes -----------------------------------------------------------------------------


def test_tuning_in_two_processes_gives_the_losses_of_one(llava_folder, figures, tmp_path):
    figures = figures.assign(image=[str(tmp_path / image) for image in figures["image"]])
    shared = {"base_model": llava_folder, "figures": figures, "train": "language"}
    shared |= {"epochs": 2, "batch_size": 4, "learning_rate": 1e-3}

    def tuned(workers):
        steps = []
        calls = {
            name: {"conversations": _conversations(n), "folder": tmp_path / f"{workers}{name}"}
            for name, n in (("a", 8), ("b", 6))
        }
        calls = {name: call | shared for name, call in calls.items()}
        run_calls(tune, calls, workers=workers, on_step=lambda *step: steps.append(step))
        assert len(steps) == 8
        return {name: read_losses(tmp_path / f"{workers}{name}") for name in calls}

    assert tuned(2)["a"] == pytest.approx(tuned(1)["a"], rel=1e-4)

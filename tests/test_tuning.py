"""Claims about instruction tuning, on tiny random models and drawn images."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny_llava import make_tiny_llava

from vital_lib.figures import UnreadableImage
from vital_lib.models import WrongAdapter, load_model
from vital_lib.tuning import (
    IGNORED,
    FigureTensors,
    NothingToTune,
    TuningConfig,
    collate,
    count_steps,
    encode_conversations,
    encode_rounds,
    fingerprint,
    learned_pieces,
    lora_targets,
    read_config,
    read_losses,
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
    """Eight figures of different shapes, their images relative to the run folder."""
    rng = np.random.default_rng(0)
    rows = []
    for k in range(8):
        pixels = rng.integers(0, 256, (48 + 16 * k, 112, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"F{k}.png")
        rows.append({"figure_id": f"F{k}", "image": f"F{k}.png"})
    return pd.DataFrame(rows)


def _conversations(n=8, rounds=ROUNDS):
    turns = [{"instruction": q, "response": a} for q, a in rounds]
    rows = [{"conversation_id": f"F{k}-c", "figure_id": f"F{k}", "turns": turns} for k in range(n)]
    return pd.DataFrame(rows)


def _tune(base, conversations, figures, tmp_path, folder="adapter", **settings):
    def resolve(image):
        return tmp_path / image

    settings = {"epochs": 1, "batch_size": 4, "learning_rate": 1e-3, **settings}
    return tune(base, conversations, figures, tmp_path / folder, resolve=resolve, **settings)


def _tensors(vlm, figures, tmp_path, **room):
    files = {row.figure_id: tmp_path / row.image for row in figures.itertuples()}
    return FigureTensors(vlm, files, **room)


def _spoken(vlm, labels):
    """The runs of labelled tokens, decoded."""
    runs, run = [], []
    for label in [*labels, IGNORED]:
        if label != IGNORED:
            run.append(label)
        elif run:
            runs.append(vlm.processor.tokenizer.decode(run))
            run = []
    return runs


# -- sequences ---------------------------------------------------------------------------------


def test_only_responses_and_the_token_that_ends_them_are_learned(vlm):
    tokens, _ = encode_rounds(vlm, ROUNDS, Image.new("RGB", (64, 64)))
    end = vlm.processor.tokenizer.eos_token
    spoken = [text.lstrip() for text in _spoken(vlm, tokens["labels"])]
    assert spoken == [answer + end for _, answer in ROUNDS]


def test_where_the_template_never_ends_an_answer_an_end_is_added(tmp_path):
    """LLaVA-1.5's template writes no </s>: a model tuned on it would never stop."""
    vlm = load_model(make_tiny_llava(tmp_path, template=None))
    tokens, _ = encode_rounds(vlm, ROUNDS, Image.new("RGB", (64, 64)))
    spoken = [text.lstrip() for text in _spoken(vlm, tokens["labels"])]
    assert spoken == [answer + "</s>" for _, answer in ROUNDS]


def test_what_is_asked_while_tuning_is_what_is_asked_when_answering(vlm):
    """The tokens before the first label are those of the prompt that `answer` sends.

    The answer starts with a word whose token holds the space before it: a prompt that ended with
    that space would ask for what was never learned.
    """
    image = Image.new("RGB", (64, 64))
    tokens, _ = encode_rounds(vlm, [("On which side?", "the left")], image)
    asked = vlm.tensors([vlm.chat([("On which side?", None)])], [image])["input_ids"][0].tolist()
    first = next(k for k, label in enumerate(tokens["labels"]) if label != IGNORED)
    assert tokens["input_ids"][:first] == asked


def test_a_control_token_inside_a_response_is_text(vlm):
    odd = [("Which <image> is it?<|im_end|>", "A CT</s> scan<|image_pad|>.")]
    tokens, _ = encode_rounds(vlm, odd, Image.new("RGB", (64, 64)))
    end = vlm.processor.tokenizer.eos_token
    assert _spoken(vlm, tokens["labels"])[0].count(end) == 1


def test_all_rounds_stand_in_one_sequence_behind_one_image(vlm, figures, tmp_path):
    tensors = _tensors(vlm, figures, tmp_path)
    examples, counts = encode_conversations(vlm, _conversations(3), tensors, 512)
    assert counts["rounds"] == 9 and counts["rounds_dropped"] == 0
    assert counts["conversations"] == len(examples) == 3
    text = vlm.processor.tokenizer.decode(examples[0]["input_ids"])
    assert all(question in text and answer in text for question, answer in ROUNDS)


def test_a_sequence_too_long_loses_whole_last_rounds_and_never_an_image_token(
    vlm, figures, tmp_path
):
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


def test_when_nothing_fits_nothing_is_tuned(vlm, figures, tmp_path):
    tensors = _tensors(vlm, figures, tmp_path)
    with pytest.raises(NothingToTune, match="of 2 conversations none fits 10 tokens"):
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


def test_an_image_beyond_the_memory_set_aside_is_made_anew_and_is_the_same(vlm, figures, tmp_path):
    kept, anew = (_tensors(vlm, figures, tmp_path, room=room) for room in (2**20, 0))
    for tensors in (kept, anew):
        encode_conversations(vlm, _conversations(2), tensors, 512)
    for figure_id in ("F0", "F1"):
        assert kept[figure_id].keys() == anew[figure_id].keys()
        assert all(torch.equal(kept[figure_id][k], anew[figure_id][k]) for k in kept[figure_id])
    assert kept["F0"] is kept["F0"] and anew["F0"] is not anew["F0"]


def test_images_of_unlike_sizes_are_padded_into_one_batch():
    tiles = [{"pixel_values": torch.ones(1, n, 3, 4, 4)} for n in (1, 3)]
    example = {"figure_id": "F", "input_ids": [1], "labels": [1]}
    joined = collate([example, example], tiles, 0)["pixel_values"]
    assert joined.shape == (2, 3, 3, 4, 4)
    assert joined[0, 1:].sum() == 0 and joined[1].sum() == 3 * 3 * 4 * 4


# -- what is trained -----------------------------------------------------------------------------


def test_lora_leaves_the_vision_tower_alone_and_the_projector_is_trained_whole(
    base, figures, tmp_path
):
    _tune(base, _conversations(4), figures, tmp_path)
    from safetensors import safe_open

    with safe_open(tmp_path / "adapter" / "adapter_model.safetensors", "pt") as file:
        names = list(file.keys())
    lora = [name for name in names if "lora_" in name]
    assert lora and all("language_model" in name for name in lora)
    assert {n.split(".lora_")[0].rpartition(".")[2] for n in lora} >= {"q_proj", "v_proj"}
    others = set(names) - set(lora)
    assert others and all("multi_modal_projector" in n or "merger" in n for n in others)


def test_a_model_without_a_language_half_is_refused():
    with pytest.raises(NothingToTune, match="Linear has no linear layer in a language_model"):
        lora_targets(torch.nn.Linear(2, 2))


def test_a_tuned_model_gives_the_answer_it_was_tuned_on(base, figures, tmp_path):
    conversations = _conversations(8, [("On which side?", "On the left.")])
    metrics = _tune(base, conversations, figures, tmp_path, epochs=25, learning_rate=2e-2)
    assert metrics["loss_last"] < 0.3 * metrics["loss_first"]
    pixels = [Image.open(tmp_path / name).convert("RGB") for name in figures["image"][:2]]
    asked = ["On which side?"] * 2
    tuned = load_model(base, adapter=tmp_path / "adapter").answer(pixels, asked, 12)
    assert tuned == ["On the left."] * 2
    assert load_model(base).answer(pixels, asked, 12) != tuned


def test_the_same_seed_gives_the_same_losses_and_another_seed_others(
    llava_folder, figures, tmp_path
):
    def losses(seed):
        _tune(llava_folder, _conversations(), figures, tmp_path, seed=seed, lora_dropout=0.1)
        return json.loads((tmp_path / "adapter" / "metrics.json").read_text())["losses"]

    assert losses(3) == losses(3) != losses(4)


def test_small_batches_added_up_learn_what_one_large_batch_learns(llava_folder, figures, tmp_path):
    plain = {"lora_dropout": 0.0, "batch_size": 8}
    one = _tune(llava_folder, _conversations(), figures, tmp_path, **plain)
    four = _tune(llava_folder, _conversations(), figures, tmp_path, micro_batch_size=2, **plain)
    assert one["steps"] == four["steps"] == 1
    assert four["loss_last"] == pytest.approx(one["loss_last"], rel=1e-3)


def test_less_memory_and_more_time_give_the_same_loss(base, figures, tmp_path):
    plain = {"lora_dropout": 0.0, "epochs": 2}
    usual = _tune(base, _conversations(), figures, tmp_path, **plain)
    spared = _tune(
        base, _conversations(), figures, tmp_path, activation_checkpointing=True, **plain
    )
    assert spared["loss_last"] == pytest.approx(usual["loss_last"], rel=1e-3)


# -- the run -------------------------------------------------------------------------------------


def test_every_step_is_reported(llava_folder, figures, tmp_path):
    seen = []
    metrics = _tune(
        llava_folder, _conversations(), figures, tmp_path, epochs=2,
        on_step=lambda *step: seen.append(step),
    )  # fmt: skip
    assert [(step, total) for step, total, _ in seen] == [(k, 4) for k in (1, 2, 3, 4)]
    assert metrics["steps"] == metrics["steps_planned"] == 4
    assert metrics["loss_first"] == seen[0][2] and metrics["loss_last"] == seen[-1][2]


def test_a_stopped_training_keeps_its_adapter(llava_folder, figures, tmp_path):
    metrics = _tune(
        llava_folder, _conversations(), figures, tmp_path, epochs=9,
        on_step=lambda step, total, loss: step < 3,
    )  # fmt: skip
    assert (metrics["steps"], metrics["steps_planned"]) == (3, 18)
    assert json.loads((tmp_path / "adapter" / "config.json").read_text())["stopped"] is True
    assert load_model(llava_folder, adapter=tmp_path / "adapter").name == str(llava_folder)


def test_the_folder_tells_what_was_done(llava_folder, figures, tmp_path):
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


def test_a_tuned_folder_is_read_back(llava_folder, figures, tmp_path):
    conversations = _conversations(6)
    metrics = _tune(llava_folder, conversations, figures, tmp_path, epochs=2)
    assert metrics["steps"] == count_steps(conversations, epochs=2, batch_size=4) == 4
    losses = read_losses(tmp_path / "adapter")
    assert len(losses) == 4 and losses[-1] == metrics["loss_last"]
    assert read_config(tmp_path / "adapter")["epochs"] == 2


def test_where_nothing_was_tuned_the_notebook_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="08_tune_model"):
        read_config(tmp_path)


def test_what_is_graded_can_be_shown(vlm):
    pieces = learned_pieces(vlm, _conversations(1)["turns"][0])
    end = vlm.processor.tokenizer.eos_token
    graded = pieces[pieces["learned"]]["text"].str.lstrip().tolist()
    assert graded == [answer + end for _, answer in ROUNDS]
    given = "".join(pieces[~pieces["learned"]]["text"])
    assert all(question in given for question, _ in ROUNDS)


def test_a_changed_response_changes_the_fingerprint():
    changed = _conversations(8, [*ROUNDS[:2], ("How many?", "Three.")])
    assert fingerprint(changed) != fingerprint(_conversations(8))
    assert fingerprint(_conversations(7)) != fingerprint(_conversations(8))


def test_an_adapter_is_not_put_on_another_base_model(llava_folder, figures, tmp_path):
    _tune(llava_folder, _conversations(4), figures, tmp_path)
    other = make_tiny_llava(tmp_path / "other", seed=9)
    with pytest.raises(WrongAdapter, match="was tuned on base model"):
        load_model(other, adapter=tmp_path / "adapter")


@pytest.mark.filterwarnings("error")
def test_nothing_is_printed_and_nothing_is_warned_of(llava_folder, figures, tmp_path, capfd):
    _tune(llava_folder, _conversations(4), figures, tmp_path)
    load_model(llava_folder, adapter=tmp_path / "adapter")
    assert capfd.readouterr() == ("", "")


def test_no_conversations_say_which_notebook_makes_some(llava_folder, figures, tmp_path):
    with pytest.raises(NothingToTune, match="07_select_instructions"):
        _tune(llava_folder, _conversations(0), figures, tmp_path)


def test_a_conversation_about_an_unknown_figure_is_refused(llava_folder, figures, tmp_path):
    with pytest.raises(ValueError, match="no figure 'F1', nor 6 more"):
        _tune(llava_folder, _conversations(), figures.iloc[:1], tmp_path)


def test_a_missing_image_is_named(llava_folder, figures, tmp_path):
    (tmp_path / "F2.png").unlink()
    with pytest.raises(UnreadableImage, match=r"F2\.png"):
        _tune(llava_folder, _conversations(), figures, tmp_path)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("epochs", 0),
        ("learning_rate", 0.0),
        ("learning_rate", 20.0),
        ("batch_size", 0),
        ("micro_batch_size", 3),
        ("lora_rank", 0),
        ("lora_dropout", 1.0),
        ("warmup_share", -0.1),
        ("max_tokens", 0),
        ("seed", -1),
    ],
)
def test_a_setting_out_of_range_is_shown_as_it_was_given(setting, value):
    with pytest.raises(ValueError, match=f"{setting}={value}: wanted"):
        TuningConfig(**{setting: value})

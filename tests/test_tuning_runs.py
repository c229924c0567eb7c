"""A tuning run and its folder, other data mixed in, several processes; on tiny random models."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, fields

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny_llava import make_tiny_llava
from tuning_rows import ROUNDS, conversation_rows, tune_shortly

from vital_lib.models import WrongAdapter, load_model
from vital_lib.processes import run_calls
from vital_lib.tuning import (
    MixedBatches,
    NothingToTune,
    TuningConfig,
    count_steps,
    draw_mix,
    fingerprint,
    read_config,
    read_llava,
    read_losses,
    tune,
)

pytest_plugins = "tuning_rows"

# -- a tuning run ----------------------------------------------------------------------------------


def test_every_step_is_reported(llava_folder, figures, tmp_path):
    seen = []
    metrics = tune_shortly(
        llava_folder, conversation_rows(), figures, tmp_path, epochs=2,
        on_step=seen.append,
    )  # fmt: skip
    assert [(event.step, event.total) for event in seen] == [(k, 4) for k in (0, 1, 2, 3, 4)]
    assert metrics["steps"] == metrics["steps_planned"] == 4
    assert seen[0].loss is None
    assert metrics["loss_first"] == seen[1].loss and metrics["loss_last"] == seen[-1].loss


def test_a_stopped_tuning_keeps_its_adapter(llava_folder, figures, tmp_path):
    metrics = tune_shortly(
        llava_folder, conversation_rows(), figures, tmp_path, epochs=9,
        on_step=lambda event: event.step < 3,
    )  # fmt: skip
    assert (metrics["steps"], metrics["steps_planned"]) == (3, 18)
    assert json.loads((tmp_path / "adapter" / "config.json").read_text())["stopped"] is True
    assert load_model(llava_folder, adapter=tmp_path / "adapter").name == str(llava_folder)


def test_the_folder_records_the_settings_and_metrics(llava_folder, figures, tmp_path):
    conversations = conversation_rows()
    metrics = tune_shortly(llava_folder, conversations, figures, tmp_path, seed=5)
    folder = tmp_path / "adapter"
    assert {path.name for path in folder.iterdir()} == {
        "adapter_config.json", "adapter_model.safetensors", "config.json", "metrics.json",
        "README.md",
    }  # fmt: skip
    config = json.loads((folder / "config.json").read_text())
    assert config["conversations_fingerprint"] == fingerprint(conversations)
    assert (config["seed"], config["batch_size"], config["stopped"]) == (5, 4, False)
    assert config["versions"].keys() == {"torch", "transformers", "peft"}
    written = json.loads((folder / "metrics.json").read_text())
    assert len(written.pop("losses")) == metrics["steps"]
    assert written.pop("held_out_losses") == []
    assert written == metrics
    assert all(isinstance(value, int | float) for value in metrics.values())


def test_losses_and_settings_can_be_read_from_the_folder(llava_folder, figures, tmp_path):
    conversations = conversation_rows(6)
    metrics = tune_shortly(llava_folder, conversations, figures, tmp_path, epochs=2)
    assert metrics["steps"] == count_steps(conversations, epochs=2, batch_size=4) == 4
    losses = read_losses(tmp_path / "adapter")
    assert len(losses) == 4 and losses[-1] == metrics["loss_last"]
    assert read_config(tmp_path / "adapter")["epochs"] == 2


def test_a_missing_adapter_folder_is_refused_with_the_notebook(tmp_path):
    with pytest.raises(FileNotFoundError, match="08_tune_model"):
        read_config(tmp_path)


def test_a_changed_response_changes_the_fingerprint():
    changed = conversation_rows(8, [*ROUNDS[:2], ("How many?", "Three.")])
    assert fingerprint(changed) != fingerprint(conversation_rows(8))
    assert fingerprint(conversation_rows(7)) != fingerprint(conversation_rows(8))


def test_an_adapter_of_another_base_model_is_refused(llava_folder, figures, tmp_path):
    tune_shortly(llava_folder, conversation_rows(4), figures, tmp_path)
    other = make_tiny_llava(tmp_path / "other", seed=9)
    with pytest.raises(WrongAdapter, match="was tuned on base model"):
        load_model(other, adapter=tmp_path / "adapter")


@pytest.mark.filterwarnings("error")
def test_tuning_and_loading_print_nothing_and_raise_no_warning(
    llava_folder, figures, tmp_path, capfd
):
    tune_shortly(llava_folder, conversation_rows(4), figures, tmp_path)
    load_model(llava_folder, adapter=tmp_path / "adapter")
    assert capfd.readouterr() == ("", "")


def test_an_empty_set_of_conversations_is_refused_with_the_notebook(
    llava_folder, figures, tmp_path
):
    with pytest.raises(NothingToTune, match="07_select_instructions"):
        tune_shortly(llava_folder, conversation_rows(0), figures, tmp_path)


def test_a_conversation_about_an_unknown_figure_is_refused(llava_folder, figures, tmp_path):
    with pytest.raises(
        ValueError, match="7 of 8 figures of the conversations are not given, first 'F1'"
    ):
        tune_shortly(llava_folder, conversation_rows(), figures.iloc[:1], tmp_path)


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
        ("seed", 2**64),
        ("seed", 1.5),
        ("epochs", True),
        ("max_tokens", 90.5),
        ("max_tokens", math.inf),
        ("learning_rate", math.nan),
        ("activation_checkpointing", "no"),
    ],
)
def test_a_setting_out_of_range_is_refused_with_the_value(setting, value):
    with pytest.raises(ValueError, match=f"{setting}={value!r}: wanted"):
        TuningConfig(**{setting: value})


@pytest.mark.parametrize(
    "value", ["2e-4", "", [1], {}, object()], ids=["text", "empty", "list", "dict", "object"]
)
@pytest.mark.parametrize("setting", [field.name for field in fields(TuningConfig)])
def test_a_setting_of_another_type_is_refused_with_the_value(setting, value):
    with pytest.raises(ValueError, match=f"^{setting}={re.escape(repr(value))}: wanted"):
        TuningConfig(**{setting: value})


def test_numbers_of_numpy_are_settings_like_any_other():
    """As from a sweep over np.logspace; a checkpoint stores them as JSON."""
    config = TuningConfig(learning_rate=np.float64(1e-3), batch_size=np.int64(4), seed=np.int32(1))
    assert json.loads(json.dumps(asdict(config))) == asdict(config)


# -- tables that are none --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"figures": ["figure_id"]}, "figures: wanted a table with figure_id, image; this DataFr"),
        ({"conversations": ["turns"]}, "conversations: .* has no conversation_id, figure_id"),
        ({"held_out": []}, "held_out: wanted a table .* this list has no"),
        ({"mix": "training.json"}, r"mix='training.json': wanted two tables, as read_llava\("),
        ({"mix": (None, None)}, "conversations of the mix: wanted a table"),
    ],
)
def test_a_table_without_its_columns_is_refused_by_name(change, said, figures, tmp_path):
    """Before any model is loaded: there is no base model here."""
    given = {"conversations": conversation_rows(), "figures": figures}
    for name, columns in change.items():
        given[name] = given[name][columns] if name in given else columns
    with pytest.raises(ValueError, match=said):
        tune(tmp_path / "no model", **given, folder=tmp_path / "adapter")


def test_figure_ids_may_be_numbers_and_a_missing_one_is_named(figures, tmp_path):
    rows = conversation_rows().assign(figure_id=[0, None, *map(str, range(2, 8))])
    figures["figure_id"] = [0, 1, *map(str, range(2, 8))]
    with pytest.raises(ValueError, match="1 of 8 figures of the conversations .* first (None|nan)"):
        tune(tmp_path / "no model", rows, figures, tmp_path / "adapter")


def test_a_figure_with_two_images_is_refused(figures, tmp_path):
    twice = pd.concat([figures, figures.iloc[:1].assign(image=figures["image"][1])])
    with pytest.raises(ValueError, match="figure_id 'F0' has two images in figures"):
        tune(tmp_path / "no model", conversation_rows(), twice, tmp_path / "adapter")


@pytest.mark.parametrize("below", ["", "adapter"])
def test_a_file_in_place_of_the_folder_is_refused_before_the_first_step(below, figures, tmp_path):
    (tmp_path / "file").write_text("text")
    with pytest.raises(NotADirectoryError, match="file is a file, so nothing can be written to"):
        tune(tmp_path / "no model", conversation_rows(), figures, tmp_path / "file" / below)


# -- other data mixed in ---------------------------------------------------------------------------


def test_an_error_about_the_mix_names_the_mix(llava_folder, figures, tmp_path):
    conversations, shown = _mix(figures)
    conversations["turns"] = [[] for _ in range(len(conversations))]
    with pytest.raises(
        NothingToTune, match="none of 2 mixed conversations can be used: .*it has no"
    ):
        tune_shortly(
            llava_folder, conversation_rows(4), figures, tmp_path, mix=(conversations, shown)
        )


def _mix(figures, n=8):
    """Conversations about the same images under other names."""
    conversations = conversation_rows(n, [("And what else?", "Nothing.")])
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
    mix = conversation_rows(8)
    few, many = draw_mix(mix, 4, 0.5, seed=3), draw_mix(mix, 12, 0.5, seed=3)
    assert (len(few), len(many)) == (2, 6)
    assert many["conversation_id"].tolist()[:2] == few["conversation_id"].tolist()
    assert many["conversation_id"].is_unique
    orders = {tuple(draw_mix(mix, 12, 0.5, seed=seed)["conversation_id"]) for seed in range(5)}
    assert len(orders) > 1


def test_the_mix_is_learned_together_with_the_conversations(llava_folder, figures, tmp_path):
    mix = _mix(figures)
    own = conversation_rows(8, [("On which side?", "On the left.")])
    settings = {"train": "language", "epochs": 25, "learning_rate": 3e-3}
    metrics = tune_shortly(llava_folder, own, figures, tmp_path, mix=mix, **settings)
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
    metrics = tune_shortly(llava_folder, conversation_rows(4), figures, tmp_path)
    assert (metrics["mix_conversations"], metrics["mix_tokens"]) == (0, 0)
    assert read_config(tmp_path / "adapter")["mix_fingerprint"] is None


def test_an_empty_or_too_small_mix_is_refused(llava_folder, figures, tmp_path):
    conversations, images = _mix(figures)
    with pytest.raises(NothingToTune, match="the mix holds no conversations: .* mix=None"):
        tune_shortly(
            llava_folder,
            conversation_rows(),
            figures,
            tmp_path,
            mix=(conversations.iloc[:0], images),
        )
    with pytest.raises(
        ValueError, match=r"needs 16 mixed conversations, but the mix has 8: .*mix_share=1\.0"
    ):
        tune_shortly(
            llava_folder, conversation_rows(), figures, tmp_path,
            mix=(conversations, images), mix_share=2.0,
        )  # fmt: skip


def test_a_mix_about_unknown_or_conflicting_figures_is_refused(llava_folder, figures, tmp_path):
    conversations, images = _mix(figures)
    with pytest.raises(ValueError, match="figures of the conversations are not given, first 'M"):
        tune_shortly(
            llava_folder,
            conversation_rows(),
            figures,
            tmp_path,
            mix=(conversations, images.iloc[:0]),
        )
    conflicting = images.assign(figure_id=list(figures["figure_id"][::-1]))
    same = conversations.assign(figure_id=figures["figure_id"])
    with pytest.raises(ValueError, match="have one image in the figures and another in the mix"):
        tune_shortly(
            llava_folder,
            conversation_rows(),
            figures,
            tmp_path,
            mix=(same, conflicting),
            mix_share=1,
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
    ("text", "message"), [("", "is empty"), ("[]", "holds no record"), ("{}", "1 of 1")]
)
def test_a_training_file_without_a_conversation_is_refused(text, message, tmp_path):
    (tmp_path / "train.json").write_text(text)
    with pytest.raises(ValueError, match=f"train.json.* {message}"):
        read_llava(tmp_path / "train.json")


# -- several processes -----------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["[]", "\n \n"])
def test_training_data_without_a_record_and_a_missing_file_are_named(text, tmp_path):
    (tmp_path / "none.jsonl").write_text(text)
    with pytest.raises(ValueError, match=r"none\.jsonl (holds no record: give|is empty)"):
        read_llava(tmp_path / "none.jsonl")
    with pytest.raises(FileNotFoundError, match=r"no training file or folder .*gone\.json: give"):
        read_llava(tmp_path / "gone.json")


def test_tuning_in_two_processes_gives_the_losses_of_one(llava_folder, figures, tmp_path):
    figures = figures.assign(image=[str(tmp_path / image) for image in figures["image"]])
    shared = {"base_model": llava_folder, "figures": figures, "train": "language"}
    shared |= {"epochs": 2, "batch_size": 4, "learning_rate": 1e-3}

    def tuned(workers):
        steps = []
        calls = {
            name: {"conversations": conversation_rows(n), "folder": tmp_path / f"{workers}{name}"}
            for name, n in (("a", 8), ("b", 6))
        }
        calls = {name: call | shared for name, call in calls.items()}
        run_calls(tune, calls, workers=workers, on_step=lambda *step: steps.append(step))
        assert len(steps) == 10  # a start and four steps of each
        return {name: read_losses(tmp_path / f"{workers}{name}") for name in calls}

    assert tuned(2)["a"] == pytest.approx(tuned(1)["a"], rel=1e-4)

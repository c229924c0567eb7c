"""A tuning run that is killed, stopped or interrupted goes on to the same losses and weights."""

from __future__ import annotations

import json
import random
import shutil
from functools import partial

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_llava import make_tiny_llava
from tuning_deaths import checkpoint_every_step, tune_until_killed
from tuning_rows import ROUNDS, conversation_rows, tune_shortly

from vital_lib.models import load_model
from vital_lib.processes import CallsFailed, WorkerDied, run_calls
from vital_lib.stopping import Stopped
from vital_lib.tuning import (
    CHECKPOINT,
    DivergedLoss,
    FolderInUse,
    OtherRun,
    checkpoints,
    read_config,
    read_losses,
    tune,
)

pytest_plugins = "tuning_rows"

DROPOUT = {"train": "lora", "lora_dropout": 0.2, "epochs": 5}  # 10 steps with random numbers


@pytest.fixture
def often(monkeypatch):
    """A checkpoint after each step."""
    for name in ("LEAST_SECONDS", "SHARE"):
        monkeypatch.setattr(checkpoints, name, getattr(checkpoints, name))
    checkpoint_every_step()


def _weights(folder):
    (file,) = (path for path in folder.glob("*.safetensors") if path.name != CHECKPOINT)
    return load_file(file)


def _assert_same(one, other):
    assert read_losses(one) == pytest.approx(read_losses(other), abs=1e-6)
    ours, theirs = _weights(one), _weights(other)
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], atol=1e-6, rtol=0)


def _stop_at(step):
    return lambda event: event.step < step


# -- killed ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_with_the_same_losses_and_weights(
    llava_folder, figures, tmp_path
):
    """kill -9 at random steps, and once in the middle of a checkpoint's file."""
    base = {"base_model": llava_folder, "figures": figures, "batch_size": 4, "interpolation": 0.5}
    base |= {"conversations": conversation_rows(), "learning_rate": 1e-3}
    calls = {
        "lora": {**base, **DROPOUT, "micro_batch_size": 2},
        "language": {**base, "train": "language", "epochs": 5},
    }
    for name, call in calls.items():
        tune(**call, folder=tmp_path / f"whole-{name}")
    begun = {name: {**call, "folder": tmp_path / name} for name, call in calls.items()}
    first, second = sorted(random.sample(range(2, 10), 2))
    deaths = [(first, False), (second, True), (second + 1, False)]
    print("killed at", deaths)
    for kill_at, while_writing in deaths:
        how = {"kill_at": kill_at, "while_writing": while_writing}
        with pytest.raises(CallsFailed) as failed:
            run_calls(
                tune_until_killed, {name: call | how for name, call in begun.items()}, workers=2
            )
        died = failed.value.errors.values()
        assert [type(error) for error in died] == [WorkerDied] * 2
        assert all("SIGKILL" in str(error) for error in died)
        assert not (tmp_path / "lora" / "metrics.json").exists()
        assert bool(list((tmp_path / "lora").glob(f".{CHECKPOINT}-*"))) == while_writing
    for name, call in begun.items():
        events = []
        tune(**call, on_step=events.append)
        assert second <= events[0].step <= second + 1, name  # where the killed run was
        _assert_same(tmp_path / name, tmp_path / f"whole-{name}")
        assert not list((tmp_path / name).glob(f"*{CHECKPOINT}*"))


# -- stopped and interrupted -----------------------------------------------------------------------


def test_a_stopped_run_goes_on_where_it_stopped(llava_folder, figures, tmp_path):
    settings = partial(tune_shortly, llava_folder, conversation_rows(), figures, tmp_path)
    settings(folder="whole", **DROPOUT)
    metrics = settings(folder="stopped", on_step=_stop_at(3), **DROPOUT)
    assert (metrics["steps"], metrics["steps_planned"]) == (3, 10)
    assert (tmp_path / "stopped" / CHECKPOINT).exists()
    assert load_model(llava_folder, tmp_path / "stopped")  # usable meanwhile
    events = []
    metrics = settings(folder="stopped", on_step=events.append, **DROPOUT)
    assert [event.step for event in events] == [*range(3, 11)]
    assert events[0].loss == read_losses(tmp_path / "whole")[2]
    _assert_same(tmp_path / "stopped", tmp_path / "whole")
    assert metrics["steps"] == 10 and read_config(tmp_path / "stopped")["stopped"] is False


def _interrupt_at(step):
    def watch(event):
        if event.step == step:
            raise KeyboardInterrupt

    return watch


def test_an_interrupted_run_says_its_step_and_goes_on(llava_folder, figures, tmp_path):
    settings = partial(tune_shortly, llava_folder, conversation_rows(), figures, tmp_path)
    settings(folder="whole", **DROPOUT)
    with pytest.raises(Stopped, match="stopped at step 4 of 10; run the cell again to go on"):
        settings(on_step=_interrupt_at(4), **DROPOUT)
    settings(**DROPOUT)
    _assert_same(tmp_path / "adapter", tmp_path / "whole")


def test_an_interrupt_within_an_update_keeps_the_checkpoint_before(
    llava_folder, figures, tmp_path, monkeypatch, often
):
    settings = partial(tune_shortly, llava_folder, conversation_rows(), figures, tmp_path)
    settings(folder="whole", **DROPOUT)
    update, made = torch.optim.AdamW.step, []

    def interrupted(self, *args, **kwargs):
        update(self, *args, **kwargs)
        made.append(1)
        if len(made) == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(torch.optim.AdamW, "step", interrupted)
    with pytest.raises(Stopped, match="stopped at step 5 of 10"):
        settings(**DROPOUT)
    monkeypatch.undo()
    settings(**DROPOUT)
    _assert_same(tmp_path / "adapter", tmp_path / "whole")


def test_less_memory_a_step_changes_no_loss_and_may_go_on(llava_folder, figures, tmp_path):
    settings = partial(tune_shortly, llava_folder, conversation_rows(), figures, tmp_path, epochs=4)
    settings(folder="whole")
    settings(on_step=_stop_at(3))
    settings(micro_batch_size=1, activation_checkpointing=True)
    assert read_losses(tmp_path / "adapter") == pytest.approx(
        read_losses(tmp_path / "whole"), abs=1e-4
    )


def test_a_complete_model_is_kept_until_something_changes(llava_folder, figures, tmp_path):
    settings = partial(tune_shortly, llava_folder, conversation_rows(), figures, tmp_path)
    first = settings()
    written = (tmp_path / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns
    events = []
    assert settings(on_step=events.append) == first
    assert [(event.step, event.total) for event in events] == [(2, 2)]
    assert (tmp_path / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns == written
    for change in ({"resume": False}, {"seed": 1}):
        events.clear()
        settings(on_step=events.append, **change)
        assert [event.step for event in events] == [0, 1, 2]


# -- another run -----------------------------------------------------------------------------------


def _other_image(tmp_path):
    Image.new("RGB", (64, 64), "red").save(tmp_path / "F3.png")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"learning_rate": 5e-4}, "learning_rate was 0.001 and is 0.0005"),
        ({"seed": 3, "batch_size": 2}, "batch_size was 4 and is 2; seed was 0 and is 3"),
        ({"conversations": conversation_rows(7)}, "the conversations differ"),
        ({"base": 9}, "the base model differs"),
        ({"image": _other_image}, "the images differ"),
        ({"max_tokens": 400}, "max_tokens was None and is 400; token_limit was 512 and is 400"),
    ],
)
def test_another_run_is_not_mixed_in_silently(change, said, llava_folder, figures, tmp_path):
    tune_shortly(llava_folder, conversation_rows(), figures, tmp_path, on_step=_stop_at(1))
    kept = (tmp_path / "adapter" / CHECKPOINT).read_bytes()
    change = dict(change)
    rows = change.pop("conversations", conversation_rows())
    base = make_tiny_llava(tmp_path / "b", seed=9) if change.pop("base", 0) else llava_folder
    change.pop("image", lambda _: None)(tmp_path)
    again = partial(tune_shortly, base, rows, figures, tmp_path, **change)
    with pytest.raises(OtherRun, match="step 1 of 2 of another run: .*resume=False") as refused:
        again()
    assert said in str(refused.value)
    assert (tmp_path / "adapter" / CHECKPOINT).read_bytes() == kept
    events = []
    again(resume=False, on_step=events.append)
    assert events[0].step == 0 and not (tmp_path / "adapter" / CHECKPOINT).exists()


def test_a_damaged_checkpoint_is_named(llava_folder, figures, tmp_path):
    tune_shortly(llava_folder, conversation_rows(), figures, tmp_path, on_step=_stop_at(1))
    file = tmp_path / "adapter" / CHECKPOINT
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(OtherRun, match=f"{CHECKPOINT} cannot be read .*resume=False"):
        tune_shortly(llava_folder, conversation_rows(), figures, tmp_path)


@pytest.mark.parametrize("lost", ["facts", "made_from", "seconds", "weights", "shape"])
def test_a_checkpoint_of_another_release_is_named(lost, llava_folder, figures, tmp_path):
    """One with other facts, or with weights of other names or shapes."""
    tune_shortly(llava_folder, conversation_rows(), figures, tmp_path, on_step=_stop_at(1))
    file = tmp_path / "adapter" / CHECKPOINT
    with safe_open(file, "pt") as opened:
        facts = json.loads(opened.metadata()["facts"])
    tensors = load_file(file)
    weights = next(name for name in tensors if name.startswith("weights/"))
    if lost == "weights":
        tensors["weights/old name"] = tensors.pop(weights)
    elif lost == "shape":
        tensors[weights] = torch.zeros(3, 5, 7)
    facts = [] if lost == "facts" else {key: own for key, own in facts.items() if key != lost}
    save_file(tensors, file, {"facts": json.dumps(facts)})
    with pytest.raises(OtherRun, match=f"{CHECKPOINT} cannot be read .*resume=False"):
        tune_shortly(llava_folder, conversation_rows(), figures, tmp_path)


@pytest.mark.parametrize("name", ["config.json", "metrics.json"])
@pytest.mark.parametrize("text", ["{", "[]", "null", "{}"])
def test_a_complete_model_with_a_damaged_file_is_tuned_again(
    name, text, llava_folder, figures, tmp_path
):
    tune_shortly(llava_folder, conversation_rows(4), figures, tmp_path)
    before = read_losses(tmp_path / "adapter")
    (tmp_path / "adapter" / name).write_text(text)
    if text != "{}":
        read = read_config if name == "config.json" else read_losses
        with pytest.raises(ValueError, match=f"{name} (is damaged|holds a .*, no object).* again"):
            read(tmp_path / "adapter")
    tune_shortly(llava_folder, conversation_rows(4), figures, tmp_path)
    assert read_losses(tmp_path / "adapter") == before


# -- the file --------------------------------------------------------------------------------------


def test_a_checkpoint_costs_at_most_two_percent_of_the_time(monkeypatch, tmp_path):
    """On a clock that a step moves on by 1 second, and the writing of a file by 3."""
    now, written = [0.0], []

    def save_file(tensors, path, facts):
        now[0] += 3.0
        written.append(now[0])

    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(checkpoints, "save_file", save_file)
    file = checkpoints.Checkpoints(tmp_path, {})
    weights = {"w": torch.zeros(250_000_000).expand(250_000_000)}  # a GB: 5 s at first guess
    made = checkpoints.Checkpoint(weights, {"step": 1})
    while now[0] < 2_000:
        now[0] += 1.0
        file.write_if_due(lambda: made)
    assert 200 < written[0] < 300
    assert 3 * len(written) <= 0.02 * now[0] + 3 and len(written) > 8


def test_a_full_disk_costs_the_checkpoint_and_not_the_run(
    llava_folder, figures, small_disk, monkeypatch, caplog, tmp_path, often
):
    def fill(event):  # there was room when the run began; now only the adapter still fits
        if not (filled := small_disk / "filled").exists():
            filled.write_bytes(bytes(shutil.disk_usage(small_disk).free - 100_000))

    run = {"train": "lora", "epochs": 2, "on_step": fill}
    metrics = tune_shortly(llava_folder, conversation_rows(), figures, small_disk, **run)
    assert metrics["steps"] == 4
    assert "no checkpoint of step" in caplog.text and "No space left" in caplog.text
    assert not list((small_disk / "adapter").glob(f"*{CHECKPOINT}*"))


def test_a_result_that_cannot_be_written_costs_no_step(llava_folder, figures, tmp_path):
    tune_shortly(llava_folder, conversation_rows(), figures, tmp_path, folder="whole")
    (tmp_path / "adapter" / "config.json").mkdir(
        parents=True
    )  # a folder where a file is to be written
    with pytest.raises(OSError, match="cannot be written to .* it goes on from its checkpoint"):
        tune_shortly(llava_folder, conversation_rows(), figures, tmp_path)
    (tmp_path / "adapter" / "config.json").rmdir()
    events = []
    tune_shortly(llava_folder, conversation_rows(), figures, tmp_path, on_step=events.append)
    assert [event.step for event in events] == [2]
    _assert_same(tmp_path / "adapter", tmp_path / "whole")


def test_two_runs_into_one_folder_at_the_same_time_are_refused(llava_folder, figures, tmp_path):
    def second(event):
        with pytest.raises(FolderInUse, match="another process is tuning into .*adapter: wait"):
            tune_shortly(llava_folder, conversation_rows(), figures, tmp_path)

    tune_shortly(llava_folder, conversation_rows(4), figures, tmp_path, on_step=second)
    tune_shortly(llava_folder, conversation_rows(4), figures, tmp_path)  # the lock has ended


def test_a_checkpoint_is_safetensors_with_json(llava_folder, figures, tmp_path):
    tune_shortly(llava_folder, conversation_rows(), figures, tmp_path, on_step=_stop_at(1))
    from safetensors import safe_open

    with safe_open(tmp_path / "adapter" / CHECKPOINT, "pt") as file:
        facts, names = json.loads(file.metadata()["facts"]), list(file.keys())
    assert (facts["step"], facts["total"], facts["made_from"]["seed"]) == (1, 2, 0)
    kinds = {name.split("/")[0] for name in names}
    assert kinds == {"weights", "adamw", "random", "losses"}


def test_a_diverged_loss_keeps_the_last_good_checkpoint(tmp_path, figures):
    """The embedding of one word is infinite, and one conversation has that word."""
    from transformers import LlavaForConditionalGeneration

    folder = make_tiny_llava(tmp_path / "broken")
    word = load_model(folder).processor.tokenizer("9")["input_ids"][-1]
    model = LlavaForConditionalGeneration.from_pretrained(folder)
    with torch.no_grad():
        model.get_input_embeddings().weight[word] = float("inf")
    model.save_pretrained(folder)
    rows = conversation_rows(8, [("How many?", "Two.")])
    rows.at[5, "turns"] = [{"instruction": ROUNDS[0][0], "response": "There are 9 of them."}]
    events = []
    run = partial(tune_shortly, folder, rows, figures, tmp_path, batch_size=1, epochs=2)
    with pytest.raises(DivergedLoss, match=r"of 16 the loss is nan.*learning_rate=0.001"):
        run(on_step=events.append)
    step = events[-1].step
    kept = load_file(tmp_path / "adapter" / CHECKPOINT)
    assert kept["losses"].tolist() == [event.loss for event in events[1:]] and step == len(
        kept["losses"]
    )
    assert all(torch.isfinite(value).all() for name, value in kept.items() if "lora" in name)


def test_a_base_of_damaged_weights_is_not_blamed_on_the_learning_rate(tmp_path, figures):
    folder = make_tiny_llava(tmp_path / "broken")
    file = folder / "model.safetensors"
    weights = load_file(file)
    next(own for name, own in weights.items() if "layernorm" in name)[:] = float("nan")
    save_file(weights, file, {"format": "pt"})
    with pytest.raises(DivergedLoss, match="at step 1 of 1 .*base model's weights: download"):
        tune_shortly(folder, conversation_rows(2), figures, tmp_path)

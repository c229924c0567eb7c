"""Bad input to a tuning run, and what it reports on held-out conversations meanwhile."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tuning_rows import ROUNDS, conversation_rows, tune_shortly

from vital_lib.models import load_model
from vital_lib.tuning import (
    FigureTensors,
    NothingToTune,
    OutOfMemory,
    collate,
    encode_conversations,
    read_config,
    read_held_out,
    read_losses,
)
from vital_lib.tuning.data import fingerprint
from vital_lib.tuning.examples import readable_rounds
from vital_lib.tuning.loop import Training

pytest_plugins = "tuning_rows"


def _turns(*rounds):
    return [{"instruction": q, "response": a} for q, a in rounds]


# -- conversations that cannot be used -------------------------------------------------------------


def test_bad_conversations_are_listed_before_the_first_step_and_good_ones_are_trained_on(
    llava_folder, figures, tmp_path, caplog
):
    rows = conversation_rows()
    rows.at[1, "turns"] = _turns(("What is it?", "A CT."), ("On which side?", " \n"))
    (tmp_path / "F2.png").unlink()
    (tmp_path / "F3.png").write_bytes((tmp_path / "F3.png").read_bytes()[:600])
    (tmp_path / "F4.png").write_text("no image")
    rows.at[5, "turns"] = _turns(("Why? " * 300, "No."))
    rows.at[6, "turns"] = _turns(ROUNDS[0], ("Why? " * 300, "No."))
    events = []
    metrics = tune_shortly(
        llava_folder, rows, figures, tmp_path, on_step=events.append, batch_size=1
    )
    assert (metrics["conversations"], metrics["conversations_dropped"]) == (3, 5)
    assert metrics["steps"] == metrics["steps_planned"] == 3
    assert (metrics["rounds"], metrics["rounds_dropped"]) == (3 + 1 + 3, 2 + 3 * 3 + 1 + 1)
    listed = dict(events[0].left_out)
    assert [*listed] == [f"F{k}-c" for k in range(1, 7)]
    assert not any(event.left_out for event in events[1:])
    assert listed["F1-c"] == "round 2 of 2 has an empty response"
    assert all(f"F{k}.png" in listed[f"F{k}-c"] for k in (2, 3, 4))
    assert "tokens, the limit is 512" in listed["F5-c"]
    assert listed["F6-c"].startswith("the last 1 of 2 rounds: ")
    assert "5 of 8 conversations left out, 1 shortened: F1-c: round 2" in caplog.text
    assert read_config(tmp_path / "adapter")["left_out"][0]["conversation_id"] == "F1-c"


def test_conversations_none_of_which_can_be_used_are_refused(llava_folder, figures, tmp_path):
    for name in figures["image"]:
        (tmp_path / name).unlink()
    with pytest.raises(NothingToTune, match=r"none of 8 conversations can be used: .*F0\.png"):
        tune_shortly(llava_folder, conversation_rows(), figures, tmp_path)


def test_a_null_image_or_response_is_one_left_out_conversation(llava_folder, figures, tmp_path):
    figures["image"] = figures["image"].where(figures["figure_id"] != "F0", None)
    rows = conversation_rows(4)
    rows.at[1, "turns"] = _turns(("What is it?", None))
    rows.at[2, "turns"] = []
    metrics = tune_shortly(llava_folder, rows, figures, tmp_path)
    assert (metrics["conversations"], metrics["conversations_dropped"]) == (1, 3)


@pytest.mark.parametrize("base", ["llava_folder", "qwen_folder"])
def test_a_conversation_without_any_image_is_left_out(base, request, figures, tmp_path):
    """Its text alone would be trained on, and a batch that it is first in would lose all images."""
    rows, shown = conversation_rows(6), figures.astype({"image": object})
    two = list(figures["image"][:2])
    for place, image in enumerate([[], np.array([]), "", None, [two[0], None]]):
        shown.at[place, "image"] = image
    events = []
    tune_shortly(request.getfixturevalue(base), rows, shown, tmp_path, on_step=events.append)
    listed = dict(events[0].left_out)
    assert listed == dict.fromkeys((f"F{k}-c" for k in range(5)), "image: no image file is given")


@pytest.mark.parametrize("image", [b"\x89PNG" * 200, {"bytes": b"", "path": None}, 5], ids=type)
def test_an_image_that_is_no_path_is_left_out_with_a_short_reason(
    image, llava_folder, figures, tmp_path
):
    shown = figures.astype({"image": object})
    shown.at[0, "image"] = image
    events = []
    tune_shortly(llava_folder, conversation_rows(2), shown, tmp_path, on_step=events.append)
    ((name, why),) = events[0].left_out
    assert name == "F0-c" and why.startswith("image: ") and len(why) < 250


@pytest.mark.parametrize(
    ("turns", "why"),
    [
        (None, "it has no round"),
        (float("nan"), "it has no round"),
        ("[]", "it has no round"),
        ([None], "its rounds are no instructions with responses, but None"),
        (_turns(("What is it?", 5)), "round 1 of 1 has a response that is no text: 5"),
        (_turns((float("nan"), "A CT.")), "round 1 of 1 has a question that is no text: nan"),
        ([{"instruction": "What is it?"}], "round 1 of 1 has an empty response"),
        (_turns(("What is it?", "A \ud800")), "round 1 of 1 has a response that is no Unicode"),
    ],
)
def test_rounds_of_odd_kinds_are_one_left_out_conversation(turns, why):
    rounds, said = readable_rounds(turns)
    assert said.startswith(why)
    rows = pd.DataFrame({"conversation_id": ["c"], "figure_id": ["f"], "turns": [turns]})
    assert len(fingerprint(rows)) == 64 and len(rounds) <= 1


def test_rounds_of_odd_kinds_do_not_stop_the_others(llava_folder, figures, tmp_path):
    rows = conversation_rows(5)
    rows["turns"] = [None, "text", [3], _turns(("What is it?", 5)), rows["turns"][4]]
    metrics = tune_shortly(llava_folder, rows, figures, tmp_path)
    assert (metrics["conversations"], metrics["conversations_dropped"]) == (1, 4)


@pytest.mark.parametrize("asked", ["torch", "python"])
def test_a_lack_of_memory_says_what_to_lower_and_keeps_a_checkpoint(
    asked, llava_folder, figures, tmp_path, monkeypatch
):
    """The third step asks for a petabyte."""
    summed_loss, steps = Training.summed_loss, []

    def greedy(self, batch):
        steps.append(batch)
        if len(steps) == 3:
            torch.empty(2**50, dtype=torch.uint8) if asked == "torch" else bytes(2**50)
        return summed_loss(self, batch)

    monkeypatch.setattr(Training, "summed_loss", greedy)
    with pytest.raises(OutOfMemory, match="at step 3 of 8: lower micro_batch_size=4 .*max_tokens"):
        tune_shortly(llava_folder, conversation_rows(), figures, tmp_path, epochs=4)
    monkeypatch.undo()
    events = []
    tune_shortly(
        llava_folder, conversation_rows(), figures, tmp_path, epochs=4, micro_batch_size=1,
        on_step=events.append,
    )  # fmt: skip
    assert events[0].step == 2


# -- held-out conversations ------------------------------------------------------------------------


def _parted(figures):
    rows = conversation_rows()
    return rows.iloc[:6], rows.iloc[6:].reset_index(drop=True)


@pytest.mark.parametrize("train", ["lora", "language"])
def test_held_out_loss_is_measured_and_does_not_change_the_training(
    train, llava_folder, figures, tmp_path
):
    own, held_out = _parted(figures)
    settings = {"epochs": 8, "train": train, "batch_size": 2, "lora_dropout": 0.1}
    tune_shortly(llava_folder, own, figures, tmp_path, folder="without", **settings)
    events = []
    metrics = tune_shortly(
        llava_folder, own, figures, tmp_path, held_out=held_out, on_step=events.append, **settings
    )
    assert read_losses(tmp_path / "adapter") == read_losses(tmp_path / "without")
    measured = {e.step: e.held_out_loss for e in events if e.held_out_loss is not None}
    assert list(measured)[0] == 0 and list(measured)[-1] == 24 and 2 < len(measured) <= 12
    assert read_held_out(tmp_path / "adapter") == [*measured.items()]
    assert metrics["held_out_loss_first"] == measured[0]
    assert metrics["held_out_loss_last"] == measured[24]
    for folder, step in ((None, 0), (tmp_path / "adapter", 24)):
        assert measured[step] == pytest.approx(
            _loss_of(load_model(llava_folder, folder), held_out, figures, tmp_path), rel=1e-4
        )


def _loss_of(vlm, rows, figures, tmp_path):
    """The mean loss of the response tokens, by the model's own loss of each conversation."""
    files = {row.figure_id: tmp_path / row.image for row in figures.itertuples()}
    tensors = FigureTensors(vlm, files)
    total, tokens = 0.0, 0
    for example in encode_conversations(vlm, rows, tensors, 512)[0]:
        batch = collate([example], [tensors[example["figure_id"]]], 0)
        count = int((batch["labels"][:, 1:] >= 0).sum())
        with torch.inference_mode():
            total += count * float(vlm.model(**batch).loss)
        tokens += count
    return total / tokens


def test_samples_are_the_answers_of_the_model_at_that_step(llava_folder, figures, tmp_path):
    own, held_out = _parted(figures)
    events = []
    tune_shortly(llava_folder, own, figures, tmp_path, held_out=held_out, on_step=events.append)
    pixels = [Image.open(tmp_path / f"F{k}.png").convert("RGB") for k in (6, 7)]
    for event, folder in ((events[0], None), (events[-1], tmp_path / "adapter")):
        vlm = load_model(llava_folder, folder)
        assert [sample.answer for sample in event.samples] == vlm.answer(pixels, [ROUNDS[0][0]] * 2)
        assert {sample.question for sample in event.samples} == {ROUNDS[0][0]}
        assert {sample.reference for sample in event.samples} == {ROUNDS[0][1]}


def test_held_out_losses_go_on_with_the_run(llava_folder, figures, tmp_path):
    own, held_out = _parted(figures)
    settings = {"epochs": 8, "batch_size": 2, "held_out": held_out}
    tune_shortly(llava_folder, own, figures, tmp_path, folder="whole", **settings)
    tune_shortly(
        llava_folder, own, figures, tmp_path, on_step=lambda event: event.step < 11, **settings
    )
    tune_shortly(llava_folder, own, figures, tmp_path, **settings)
    whole, parts = read_held_out(tmp_path / "whole"), read_held_out(tmp_path / "adapter")
    assert [step for step, _ in whole] == [step for step, _ in parts]
    assert [loss for _, loss in parts] == pytest.approx([loss for _, loss in whole], abs=1e-6)


def test_losses_on_other_held_out_conversations_are_not_mixed(llava_folder, figures, tmp_path):
    own, held_out = _parted(figures)
    settings = {"epochs": 8, "batch_size": 2}
    tune_shortly(
        llava_folder, own, figures, tmp_path, held_out=held_out,
        on_step=lambda event: event.step < 11, **settings,
    )  # fmt: skip
    tune_shortly(llava_folder, own, figures, tmp_path, held_out=held_out.iloc[:1], **settings)
    assert min(step for step, _ in read_held_out(tmp_path / "adapter")) >= 11


def test_held_out_figures_that_are_trained_on_are_refused(llava_folder, figures, tmp_path):
    rows = conversation_rows()
    with pytest.raises(ValueError, match="2 figures of the held-out .* trained on, first 'F6'"):
        tune_shortly(llava_folder, rows, figures, tmp_path, held_out=rows.iloc[6:])
    with pytest.raises(ValueError, match="figures of the conversations are not given"):
        unknown = pd.DataFrame([{**rows.iloc[0], "figure_id": "X"}])
        tune_shortly(llava_folder, rows, figures, tmp_path, held_out=unknown)

"""Claims about every architecture's tuning run: it goes on, with several images too."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from PIL import Image
from tiny_models import ARCHITECTURES
from tuning_rows import conversation_rows, tune_shortly

from vital_lib.models import load_model
from vital_lib.tuning import check_reloaded, read_llava, read_losses

pytest_plugins = "tuning_rows"


@pytest.fixture(scope="module", params=list(ARCHITECTURES))
def base(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param.replace(".", "_"))
    return ARCHITECTURES[request.param](folder)


@pytest.mark.parametrize("train", ["lora", "language"])
def test_a_stopped_run_goes_on_to_the_losses_of_one_that_was_not_stopped(
    train, base, figures, tmp_path
):
    settings = {"train": train, "epochs": 3}
    tune_shortly(base, conversation_rows(), figures, tmp_path, folder="whole", **settings)
    stopped = tune_shortly(
        base, conversation_rows(), figures, tmp_path, folder="stopped",
        on_step=lambda event: event.step < 2, **settings,
    )  # fmt: skip
    assert stopped["steps"] == 2 and stopped["steps_planned"] == 6
    seen = []
    tune_shortly(
        base, conversation_rows(), figures, tmp_path, folder="stopped",
        on_step=lambda event: seen.append(event.step), **settings,
    )  # fmt: skip
    assert seen == [2, 3, 4, 5, 6]
    losses = read_losses(tmp_path / "whole")
    assert len(losses) == 6
    assert read_losses(tmp_path / "stopped") == pytest.approx(losses, rel=1e-6)
    ends = [load_model(base, tmp_path / name).model.state_dict() for name in ("whole", "stopped")]
    for name, weights in ends[0].items():
        assert weights.allclose(ends[1][name], rtol=1e-5, atol=1e-7), name


def test_conversations_about_several_images_are_learned(base, figures, tmp_path):
    """A figure may list several files: one image, two and three in the same batch."""
    files = list(figures["image"])
    several = pd.DataFrame(
        {"figure_id": figures["figure_id"], "image": [files[k : k + 1 + k % 3] for k in range(8)]}
    )
    several["image"] = [files[0], *several["image"][1:]]  # as in the table figures
    rounds = [("On which side?", "On the left.")]
    metrics = tune_shortly(
        base, conversation_rows(8, rounds), several, tmp_path,
        train="language", epochs=25, learning_rate=3e-3,
    )  # fmt: skip
    assert metrics["conversations"] == 8 and metrics["loss_last"] < 0.3 * metrics["loss_first"]
    shown = [[Image.open(file).convert("RGB") for file in files[:k]] for k in (1, 2, 3)]
    tuned = load_model(base, tmp_path / "adapter")
    asked = check_reloaded(base, tmp_path / "adapter", conversation_rows(8, rounds), several)
    assert list(asked["tuned"]) == ["On the left."] * 4
    assert tuned.answer(shown, ["On which side?"] * 3, 12) == ["On the left."] * 3


def test_a_llava_record_may_list_several_images(tmp_path):
    messages = [{"from": "human", "value": "<image>\n<image>\nWhat has changed?"}]
    messages += [{"from": "gpt", "value": "The nodule has grown."}]
    shown = [["before.png", "after.png"], "alone.png", [], ["before.png", "after.png"], [""], {}]
    records = [{"image": images, "conversations": messages} for images in shown]
    (tmp_path / "train.json").write_text(json.dumps(records))
    conversations, figures = read_llava(tmp_path / "train.json")
    pair = "before.png, after.png"
    assert list(conversations["figure_id"]) == [pair, "alone.png", pair]
    assert conversations["turns"][0][0]["instruction"] == "What has changed?"
    files = dict(zip(figures["figure_id"], figures["image"], strict=True))
    assert files == {
        pair: [str(tmp_path / "before.png"), str(tmp_path / "after.png")],
        "alone.png": str(tmp_path / "alone.png"),
    }
    assert conversations.attrs["without_image"] == 1 and len(conversations.attrs["rejected"]) == 2

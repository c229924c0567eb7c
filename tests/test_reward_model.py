"""Claims about reward models: they learn preferences, go on after a stop, and others open them."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from peft import PeftModel
from PIL import Image
from safetensors.torch import load_file
from tiny_models import ARCHITECTURES
from transformers import AutoModelForImageTextToText, AutoModelForSequenceClassification
from tuning_rows import conversation_rows, tune_shortly

from vital_lib.models import WrongAdapter, load_model
from vital_lib.reward_model import HEAD, load_reward_model, tune_reward_model
from vital_lib.reward_model.head import figure_tensors, response_examples
from vital_lib.selector import pair_agreement
from vital_lib.tuning import NothingToTune, collate, read_config, read_losses

pytest_plugins = "tuning_rows"

NULLS = pd.array([1, None] * 4, "Float64")
QUICK = {"epochs": 1, "batch_size": 4, "learning_rate": 1e-3}


def _responses(n=8):
    """Two responses about each of `n` figures."""
    rows = [
        {
            "candidate_id": f"F{k}-{side}",
            "figure_id": f"F{k}",
            "instruction": "On which side?",
            "response": f"On the {side}, in image {k}.",
        }
        for k in range(n)
        for side in ("left", "right")
    ]
    return pd.DataFrame(rows)


def _pairs(n=8):
    """The left side is preferred about every figure; every second pair names it second."""
    rows = [(f"F{k}-left", f"F{k}-right", 1.0, 1.0) for k in range(n)]
    rows = [(b, a, 0.0, w) if k % 2 else (a, b, p, w) for k, (a, b, p, w) in enumerate(rows)]
    return pd.DataFrame(rows, columns=["left_id", "right_id", "preferred", "weight"])


def _tune(base, figures, folder, **changed):
    given = {"pairs": _pairs(), "responses": _responses(), **QUICK, **changed}
    pairs, responses = given.pop("pairs"), given.pop("responses")
    return tune_reward_model(base, pairs, responses, figures, folder, **given)


def test_it_learns_what_is_preferred_and_orders_pairs_that_it_has_not_seen(
    llava_folder, figures, tmp_path
):
    found = _tune(
        llava_folder, figures, tmp_path / "r", pairs=_pairs(6), train="language", epochs=30
    )
    assert found["loss_first"] == pytest.approx(math.log(2), abs=0.1) and found["pairs"] == 6
    assert found["loss_last"] < 0.2
    model = load_reward_model(llava_folder, tmp_path / "r")
    scores = model.scores(_responses(), figures)
    assert pair_agreement(_pairs().iloc[6:], scores).mean() == 1.0


def test_scores_do_not_depend_on_the_batch_and_come_in_the_order_given(
    llava_folder, figures, tmp_path
):
    _tune(llava_folder, figures, tmp_path / "r")
    model, rows = load_reward_model(llava_folder, tmp_path / "r"), _responses().iloc[::-1]
    rows.loc[rows.index[0], "response"] += " This one is longer than the others." * 3
    together, alone = (model.scores(rows, figures, batch_size=size) for size in (16, 1))
    assert list(together.index) == list(rows["candidate_id"])
    assert together.to_numpy() == pytest.approx(alone.to_numpy(), abs=1e-5)
    assert together.nunique() == len(rows)


def test_the_image_changes_the_reward(llava_folder, figures, tmp_path):
    _tune(llava_folder, figures, tmp_path / "r")
    model, rows = load_reward_model(llava_folder, tmp_path / "r"), _responses(1)
    others = figures.assign(image=figures["image"].iloc[::-1].to_numpy())
    assert not np.allclose(model.scores(rows, figures), model.scores(rows, others))


@pytest.mark.parametrize("train", ["lora", "language"])
def test_a_stopped_run_goes_on_to_the_same_losses_and_weights(
    train, llava_folder, figures, tmp_path
):
    settings = {"train": train, "epochs": 3, "micro_batch_size": 2}
    _tune(llava_folder, figures, tmp_path / "whole", **settings)
    _tune(llava_folder, figures, tmp_path / "r", on_step=lambda e: e.step < 3, **settings)
    assert len(read_losses(tmp_path / "r")) == 3
    _tune(llava_folder, figures, tmp_path / "r", **settings)
    ours, theirs = (read_losses(tmp_path / name) for name in ("r", "whole"))
    assert ours == pytest.approx(theirs, abs=1e-6) and len(ours) == 6
    name = "adapter_model.safetensors" if train == "lora" else "language.safetensors"
    one, other = (load_file(tmp_path / folder / name) for folder in ("r", "whole"))
    assert one.keys() == other.keys() and any(HEAD in key for key in one)
    for key in one:
        torch.testing.assert_close(one[key], other[key], atol=1e-6, rtol=0)


def test_micro_batches_change_no_loss(llava_folder, figures, tmp_path):
    pairs = _pairs().assign(weight=[1.0, 10.0] * 4)
    for size in (1, 4):
        _tune(llava_folder, figures, tmp_path / f"{size}", pairs=pairs, micro_batch_size=size)
    one, other = (read_losses(tmp_path / str(size)) for size in (1, 4))
    assert one == pytest.approx(other, abs=1e-5)


def test_a_weight_counts_a_pair_as_often(llava_folder, figures, tmp_path):
    twice = pd.concat([_pairs(2), _pairs(1)], ignore_index=True)
    heavy = _pairs(2).assign(weight=[2.0, 1.0])
    for name, pairs in {"twice": twice, "heavy": heavy}.items():
        _tune(llava_folder, figures, tmp_path / name, pairs=pairs, epochs=4, train="language")
    one, other = (read_losses(tmp_path / name) for name in ("twice", "heavy"))
    assert one == pytest.approx(other, rel=1e-4)


def test_pairs_with_a_response_that_cannot_be_used_are_left_out_and_counted(
    llava_folder, figures, tmp_path, caplog
):
    responses = _responses()
    responses.loc[responses["candidate_id"] == "F0-left", "response"] = " "
    broken = figures.copy()
    broken.loc[1, "image"] = str(tmp_path / "gone.png")
    found = _tune(llava_folder, broken, tmp_path / "r", responses=responses)
    assert (found["pairs"], found["pairs_dropped"]) == (6, 2)
    assert "3 of 16 responses left out" in caplog.text
    left_out = {one["conversation_id"] for one in read_config(tmp_path / "r")["left_out"]}
    assert left_out == {"F0-left", "F1-left", "F1-right"}
    model = load_reward_model(llava_folder, tmp_path / "r")
    scores = model.scores(responses, broken)
    assert set(scores.index[scores.isna()]) == left_out
    with pytest.raises(ValueError, match="this DataFrame has no response"):
        model.scores(responses.drop(columns="response"), broken)


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"pairs": _pairs(0)}, NothingToTune, "no pairs"),
        ({"pairs": _pairs().drop(columns="weight")}, ValueError, "this DataFrame has no weight"),
        ({"pairs": _pairs().assign(preferred=0.5)}, ValueError, "8 of 8 pairs: preferred=0.5"),
        ({"pairs": _pairs().assign(preferred="left")}, ValueError, "8 of 8 pairs: preferred=left"),
        ({"pairs": _pairs().assign(preferred=NULLS)}, ValueError, "4 of 8 pairs: preferred=<NA>"),
        ({"pairs": _pairs().assign(weight=NULLS)}, ValueError, "4 of 8 pairs: weight=<NA>"),
        ({"pairs": _pairs().assign(weight="heavy")}, ValueError, "8 of 8 pairs: weight=heavy"),
        ({"pairs": _pairs().assign(weight=0.0)}, ValueError, "8 of 8 pairs: weight=0.0"),
        ({"pairs": _pairs().assign(weight=np.nan)}, ValueError, "8 of 8 pairs: weight=nan"),
        ({"responses": _responses(7)}, ValueError, "candidates of the pairs are not given"),
        ({"pairs": _pairs(9), "responses": _responses(9)}, ValueError, "figures of the responses"),
        ({"learning_rate": 0}, ValueError, "learning_rate=0"),
        ({"max_tokens": 3}, NothingToTune, "none of 16 responses can be used"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_in_one_line(
    changed, error, said, llava_folder, figures, tmp_path
):
    with pytest.raises(error, match=said) as caught:
        _tune(llava_folder, figures, tmp_path / "r", **changed)
    assert "\n" not in str(caught.value) and not (tmp_path / "r" / "metrics.json").exists()


def test_a_tuned_model_is_no_reward_model_and_the_reverse(llava_folder, figures, tmp_path):
    tune_shortly(llava_folder, conversation_rows(), figures, tmp_path, train="lora")
    _tune(llava_folder, figures, tmp_path / "r")
    with pytest.raises(WrongAdapter, match=f"no head '{HEAD}'"):
        load_reward_model(llava_folder, tmp_path / "adapter")
    with pytest.raises(WrongAdapter):
        load_model(llava_folder, tmp_path / "r")


def test_its_card_says_what_it_is(llava_folder, figures, tmp_path):
    _tune(llava_folder, figures, tmp_path / "r")
    card = (tmp_path / "r" / "README.md").read_text()
    assert "# r: a reward model" in card and "load_reward_model" in card
    assert "| preference pairs |" in card and "Not for clinical use" in card
    settings = json.loads((tmp_path / "r" / "adapter_config.json").read_text())
    assert settings["task_type"] == "SEQ_CLS" and HEAD in settings["modules_to_save"]


@pytest.fixture(scope="module", params=list(ARCHITECTURES))
def tuned(request, tmp_path_factory):
    """A base model, its reward model, and their figures."""
    folder = tmp_path_factory.mktemp("reward")
    rows, rng = [], np.random.default_rng(0)
    for k in range(4):
        pixels = rng.integers(0, 256, (48 + 16 * k, 112, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"F{k}.png")
        rows.append({"figure_id": f"F{k}", "image": str(folder / f"F{k}.png")})
    figures = pd.DataFrame(rows)
    base = ARCHITECTURES[request.param](folder / "base")
    options = {"pairs": _pairs(4), "responses": _responses(4), "epochs": 4}
    _tune(base, figures, folder / "r", **options)
    return base, folder / "r", figures


def _batch(base, figures):
    """All responses as one batch of the base model's processor, by candidate_id."""
    vlm, rows = load_model(base), _responses(4)
    tensors = figure_tensors(vlm, rows, figures)
    examples = response_examples(vlm, rows, tensors, 4096)[0].values()
    pictures = [tensors[row["figure_id"]] for row in examples]
    batch = collate(list(examples), pictures, vlm.processor.tokenizer.pad_token_id)
    del batch["labels"]
    return batch


@pytest.mark.slow
def test_every_architecture_learns_and_is_reloaded(tuned):
    base, folder, figures = tuned
    losses = read_losses(folder)
    assert losses[0] == pytest.approx(math.log(2), abs=1e-6) and losses[-1] < losses[0]
    scores = load_reward_model(base, folder).scores(_responses(4), figures)
    assert scores.notna().all() and scores.nunique() == 8


@pytest.mark.slow
def test_a_head_put_on_as_ms_swift_does_gets_the_same_scores(tuned):
    """ms-swift 3's seq_cls task: `score` beside an output layer of identity, peft's own loading.

    Its function `_patch_sequence_classification` in swift/llm/model/patcher.py is restated here.
    """
    base, folder, figures = tuned
    model = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
    width = model.config.get_text_config().hidden_size
    model.score = torch.nn.Linear(width, 1, bias=False)
    model.lm_head = torch.nn.Identity()
    model = PeftModel.from_pretrained(model, folder).eval()
    batch = _batch(base, figures)
    with torch.inference_mode():
        hidden = model.get_base_model()(**batch).logits
        found = model.get_base_model().score(hidden)[..., 0]
    last = batch["attention_mask"].sum(dim=1) - 1
    theirs = found[torch.arange(len(last)), last]
    ours = load_reward_model(base, folder).scores(_responses(4), figures)
    assert theirs.numpy() == pytest.approx(ours.to_numpy(), abs=1e-4)


@pytest.mark.slow
def test_transformers_class_for_sequence_classification_gets_the_same_scores(tuned):
    """TRL's way to a reward model; of the architectures here, only Gemma 3 has such a class."""
    base, folder, figures = tuned
    if load_model(base).model.config.model_type != "gemma3":
        with pytest.raises(ValueError, match="Unrecognized configuration class"):
            AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
        return
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    model = PeftModel.from_pretrained(model, folder).eval()
    with torch.inference_mode():
        theirs = model(**_batch(base, figures)).logits[:, 0]
    ours = load_reward_model(base, folder).scores(_responses(4), figures)
    assert theirs.numpy() == pytest.approx(ours.to_numpy(), abs=1e-4)

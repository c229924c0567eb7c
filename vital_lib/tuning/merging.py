"""A tuned model as one folder that transformers opens alone, and a check that tuning had an effect.

Both read the tuned weights back from disk.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from huggingface_hub import snapshot_download

from vital_lib.models import Shown, VisionLanguageModel, load_model, locate, quiet
from vital_lib.tables import refuse_missing
from vital_lib.tuning.estimating import DoesNotFit, free_disk, in_words
from vital_lib.tuning.examples import usable_examples
from vital_lib.tuning.sequences import (
    FigureTensors,
    NothingToTune,
    collate,
    encode_conversations,
    listed_files,
    token_limit,
)

LOG = logging.getLogger(__name__)
_WEIGHTS = (
    "*.safetensors",
    "*.bin",
    "*.pt",
    "*.pth",
    "*.h5",
    "*.msgpack",
    "*.gguf",
    "*.index.json",
)


class NothingLearned(RuntimeError):
    """Raised if a tuned model, read back from disk, does not differ from its base model."""


def save_merged(base_model: str | Path, adapter: str | Path, folder: str | Path) -> Path:
    """Write the base model with its tuned weights merged in; return `folder`.

    ``AutoModelForImageTextToText`` and ``AutoProcessor`` open the folder, and `load_model` too. It
    answers as the base model with the adapter does. The weights have the precision in which they
    were merged (bf16 on cuda, fp32 on the CPU). All other files are the base model's own; the model
    card is the adapter's. `folder` appears at once, when it is complete.

    Raises:
        FileExistsError: `folder` exists and is not empty.
        DoesNotFit: too little disk.
        WrongAdapter: as `load_model`.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} exists and is not empty: give a new folder")
    vlm = load_model(base_model, adapter=adapter)
    size, free = sum(weights.nbytes for weights in vlm.model.parameters()), free_disk(folder)
    if size > free:
        raise DoesNotFit(
            f"too little disk: the merged model needs {in_words(size)}, free are "
            f"{in_words(free)}. Give a folder on another disk, or keep the adapter alone"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as made:
        written = Path(made) / "merged"
        others = shutil.ignore_patterns(*_WEIGHTS, ".*", "README.md")
        shutil.copytree(_files(base_model), written, ignore=others)
        with quiet():
            vlm.model.save_pretrained(written)
        if (card := Path(adapter) / "README.md").is_file():
            shutil.copy(card, written)
        written.replace(folder)
    return folder


def _files(base_model: str | Path) -> Path:
    """Return a folder with the base model's files, without weights for a model of the hub."""
    source = locate(base_model)
    if isinstance(source, Path):
        return source
    return Path(snapshot_download(source, ignore_patterns=list(_WEIGHTS)))


def check_reloaded(
    base_model: str | Path,
    adapter: str | Path,
    conversations: pd.DataFrame,
    figures: pd.DataFrame,
    *,
    n: int = 4,
    quantize: str | None = None,
) -> pd.DataFrame:
    """Ask the base model and the tuned model, both read from disk, the same training questions.

    One model is in memory at a time.

    Args:
        conversations, figures: as in `tune`; the first question of each of the first `n`
            conversations that can be used is asked.
        quantize: as in `load_model`.

    Returns:
        question, response (in the training set), base, tuned (the answers). ``.attrs``:
        ``weights_changed`` (number of weight tensors that differ; None in 4 bits) and
        ``logits_changed`` (largest difference of the logits of the responses' tokens).

    Raises:
        ValueError: a figure of the conversations is not given.
        NothingToTune: no conversation can be used.
        NothingLearned: all weights, or all logits, are those of the base model.
        WrongAdapter: as `load_model`.
    """
    known = dict(zip(figures["figure_id"], map(listed_files, figures["image"]), strict=True))
    problem = "figures of the conversations are not given"
    refuse_missing(conversations["figure_id"], known, problem, "give a row of figures for each")
    base = load_model(base_model, quantize=quantize)
    rows = _askable(base, conversations, known, n)
    before = _look(base, rows, known)
    del base  # before the tuned one is loaded
    after = _look(load_model(base_model, adapter, quantize=quantize), rows, known)
    changed = sum(mark != after[1].get(name) for name, mark in before[1].items())
    moved = float((before[2] - after[2]).abs().max())
    asked = [turns[0] for turns in rows["turns"]]
    table = pd.DataFrame(asked)[["instruction", "response"]]
    table = table.set_axis(["question", "response"], axis=1).assign(base=before[0], tuned=after[0])
    table.attrs = {"weights_changed": None if quantize else changed, "logits_changed": moved}
    if moved == 0 or (changed == 0 and quantize is None):
        what = "no weight differs" if changed == 0 else f"{changed} weights differ, but no logit"
        raise NothingLearned(
            f"the tuned model in {adapter} answers as its base model: {what} for {len(rows)} "
            "training questions. Check learning_rate and the number of steps, and tune it again"
        )
    if (table["base"] == table["tuned"]).all():
        LOG.warning(
            "none of %d answers to training questions differs from the base model's, although "
            "weights and logits do (by up to %.2g): tune longer, or with a higher learning_rate",
            len(rows), moved,
        )  # fmt: skip
    return table


def _askable(
    vlm: VisionLanguageModel, conversations: pd.DataFrame, files: dict[str, list[Path]], n: int
) -> pd.DataFrame:
    """Return the first round of the first `n` conversations that training could use."""
    tensors, chosen, why = FigureTensors(vlm, files), [], ""
    for place in range(len(conversations)):
        one = conversations.iloc[[place]]
        one = one.assign(turns=[_first_round(turns) for turns in one["turns"]])
        try:
            usable_examples(vlm, one, tensors, token_limit(vlm))
        except NothingToTune as error:
            why = why or str(error)
            continue
        chosen.append(one)
        if len(chosen) == n:
            break
    if not chosen:
        raise NothingToTune(f"no conversation of {len(conversations)} can be asked about: {why}")
    return pd.concat(chosen)


def _first_round(turns: Any) -> Any:
    return list(turns)[:1] if isinstance(turns, (list, tuple, np.ndarray)) else turns


def _look(
    vlm: VisionLanguageModel, rows: pd.DataFrame, files: dict[str, list[Path]]
) -> tuple[list[str], dict[str, int], torch.Tensor]:
    """Return a model's answers, a hash of each of its weights, and the logits of the responses."""
    tensors = FigureTensors(vlm, files)
    images: list[Shown] = [tensors.open(figure_id) for figure_id in rows["figure_id"]]
    answers = vlm.answer(images, [turns[0]["instruction"] for turns in rows["turns"]])
    # Hashes are unsigned, and torch turns no unsigned number of 64 bits into one of Python.
    marks = {
        name: int(torch.hash_tensor(weights).view(torch.int64))
        for name, weights in vlm.model.named_parameters()
    }
    examples, _ = encode_conversations(vlm, rows, tensors, token_limit(vlm))
    found = []
    for example in examples:
        batch = collate([example], [tensors[example["figure_id"]]], 0)
        labels = batch.pop("labels")
        batch = {
            name: value.to(vlm.device, vlm.model.dtype if value.is_floating_point() else None)
            for name, value in batch.items()
        }
        with torch.inference_mode():
            logits = vlm.model(**batch).logits[0, :-1]  # (L - 1, vocabulary)
        found.append(logits[labels[0, 1:] >= 0].float().cpu())
    return answers, marks, torch.cat(found)

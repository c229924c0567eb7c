"""LoRA on a vision-language model's language half, its projector trained whole.

A sequence of steps by transformers' Trainer over what ``sequences`` made; an adapter folder out
(adapter, ``config.json``, ``metrics.json``). Knows nothing of chat templates or tokens.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import Trainer, TrainerCallback, TrainingArguments, set_seed
from transformers.trainer_callback import PrinterCallback

from vital_lib.models import VisionLanguageModel, load_model, quiet, weights_fingerprint
from vital_lib.tables import write_whole
from vital_lib.tuning.sequences import (
    FigureTensors,
    NothingToTune,
    collate,
    encode_conversations,
    token_limit,
)

OnStep = Callable[[int, int, float], bool | None]
"""Called after a step with (step, total, loss); False stops the training there."""

_LANGUAGE = re.compile(r"(?:^|\.)(?:language_model|text_model)(?=\.)")
_VISION = re.compile(r"vision|visual|image")
_PROJECTOR = re.compile(r"(?:.*\.)?(?:multi_modal_projector|mm_projector|connector|merger)")


@dataclass(frozen=True)
class TuningConfig:
    """The settings of one tuning run.

    LLaVA-Med tunes all weights at 2e-5 for 3 epochs at batch 128 (its stage 2). LoRA starts few
    weights from zero and wants about ten times that rate: 2e-4. The clinic's tiny model learns
    best at about 6e-3, by the loss on conversations held out. `batch_size` counts conversations a
    step; `micro_batch_size` splits it where memory is short. `max_tokens` None means the model's
    own limit.
    """

    epochs: int = 3
    learning_rate: float = 2e-4
    batch_size: int = 16
    micro_batch_size: int | None = None
    lora_rank: int = 8
    lora_alpha: int = 16  # twice the rank
    lora_dropout: float = 0.0  # as in peft; its masks cost a third of a tiny model's step
    warmup_share: float = 0.03  # LLaVA's recipe, with a cosine after it
    max_tokens: int | None = None
    activation_checkpointing: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "lora_rank", "lora_alpha"):
            self._check(name, getattr(self, name) >= 1, "at least 1")
        self._check("learning_rate", 0 < self.learning_rate <= 1, "above 0, at most 1")
        self._check("lora_dropout", 0 <= self.lora_dropout < 1, "from 0 to below 1")
        self._check("warmup_share", 0 <= self.warmup_share < 1, "from 0 to below 1")
        self._check("seed", self.seed >= 0, "0 or more")
        if self.max_tokens is not None:
            self._check("max_tokens", self.max_tokens >= 1, "at least 1, or None")
        if self.micro_batch_size is not None:
            divides = self.micro_batch_size >= 1 and self.batch_size % self.micro_batch_size == 0
            self._check("micro_batch_size", divides, f"a divisor of batch_size={self.batch_size}")

    def _check(self, name: str, holds: bool, wanted: str) -> None:
        if not holds:
            raise ValueError(f"{name}={getattr(self, name)!r}: wanted {wanted}")


def tune(
    base_model: str | Path,
    conversations: pd.DataFrame,
    figures: pd.DataFrame,
    folder: str | Path,
    *,
    resolve: Callable[[str], Path],
    on_step: OnStep | None = None,
    **settings: Any,
) -> dict[str, float]:
    """Tune `base_model` on conversations and write the adapter to `folder`.

    Args:
        base_model: as in `vital_lib.models.load_model`.
        conversations: conversation_id, figure_id, turns (as table ``selected``).
        figures: figure_id, image (as table ``figures``), a row for every figure spoken of.
        folder: gets the adapter (peft), ``config.json`` (settings, fingerprints of base model and
            conversations, what was trained, versions) and ``metrics.json`` (what is returned, and
            the loss of every step); the model is complete when ``metrics.json`` is there.
        resolve: the file behind an ``image`` value, such as `Workspace.resolve`.
        on_step: called after each step with (step, total, loss); returning False stops there
            and keeps the adapter as it is.
        settings: fields of `TuningConfig`.

    Returns:
        seconds, steps, steps_planned, loss_first and loss_last (means over the first and last
        tenth of the steps), conversations, conversations_dropped, rounds, rounds_dropped, tokens.

    Raises:
        NothingToTune: no conversations, none that fits, or a model without a language half.
        ValueError: a setting out of range, or a conversation about an unknown figure.
        UnreadableImage: a figure's image cannot be opened.
    """
    config = TuningConfig(**settings)
    start = time.perf_counter()
    files = _image_files(conversations, figures, resolve)
    vlm = load_model(base_model)
    described = {
        "base_model": str(base_model),
        "base_fingerprint": weights_fingerprint(vlm.model),
        "conversations_fingerprint": fingerprint(conversations),
    }
    tensors = FigureTensors(vlm, files)
    limit = config.max_tokens or token_limit(vlm)
    examples, counts = encode_conversations(vlm, conversations, tensors, limit)
    targets, whole = lora_targets(vlm.model)
    set_seed(config.seed)
    with quiet():
        model = get_peft_model(vlm.model, _lora(config, targets, whole))
    losses, planned = _train(model, vlm, examples, tensors, config, on_step)
    metrics = {**_summary(losses, planned), **counts, "seconds": time.perf_counter() - start}
    described |= {**asdict(config), "token_limit": limit, "stopped": len(losses) < planned}
    described |= {"lora_targets": targets, "trained_whole": whole, "versions": _versions()}
    _save(Path(folder), model, described, {**metrics, "losses": losses})
    return metrics


def fingerprint(conversations: pd.DataFrame) -> str:
    """SHA-256 of what is learned: conversation_id, figure_id and turns, row by row in order."""
    digest = hashlib.sha256()
    for row in conversations.itertuples():
        turns = [[turn["instruction"], turn["response"]] for turn in row.turns]
        digest.update(json.dumps([row.conversation_id, row.figure_id, turns]).encode() + b"\n")
    return digest.hexdigest()


def count_steps(conversations: pd.DataFrame, **settings: Any) -> int:
    """Steps that `tune` will make of these conversations, if none of them is too long."""
    return _steps(len(conversations), TuningConfig(**settings))


def read_config(folder: str | Path) -> dict[str, Any]:
    """What `tune` wrote of how a model was tuned.

    Raises:
        FileNotFoundError: nothing was tuned there; the message names the notebook.
    """
    return _read(Path(folder), "config.json")


def read_losses(folder: str | Path) -> list[float]:
    """The loss of every step of a tuned model's training; raises as `read_config`."""
    return _read(Path(folder), "metrics.json")["losses"]


def lora_targets(model: torch.nn.Module) -> tuple[str, list[str]]:
    """What to train, found by the modules' names: a regex for LoRA, and projectors kept whole.

    LoRA goes on the linear layers of the language half only; a plain list of names would hit the
    vision tower as well, whose layers are called the same.

    Raises:
        NothingToTune: no linear layer lies below a `language_model` or `text_model`.
    """
    names = [name for name, _ in model.named_modules()]
    linear = {name for name, part in model.named_modules() if isinstance(part, torch.nn.Linear)}
    language = {name: match for name in linear if (match := _LANGUAGE.search(name))}
    language = {name: match for name, match in language.items() if not _VISION.search(name)}
    if not language:
        raise NothingToTune(f"{type(model).__name__} has no linear layer in a language_model")
    roots = sorted({name[: match.end()] for name, match in language.items()})
    leaves = sorted({name.rpartition(".")[2] for name in language})
    targets = rf"(?:{'|'.join(map(re.escape, roots))})\..*\.(?:{'|'.join(leaves)})"
    return targets, sorted(name for name in names if _PROJECTOR.fullmatch(name))


class _Progress(TrainerCallback):
    """Collects the loss of every step, and passes it on."""

    def __init__(self, on_step: OnStep | None) -> None:
        self.losses: list[float] = []
        self._on_step = on_step

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        if "loss" not in (logs or {}):
            return
        self.losses.append(logs["loss"])
        if self._on_step is not None:
            go_on = self._on_step(state.global_step, state.max_steps, logs["loss"])
            control.should_training_stop = control.should_training_stop or go_on is False


def _train(
    model: PeftModel,
    vlm: VisionLanguageModel,
    examples: list[dict[str, Any]],
    tensors: FigureTensors,
    config: TuningConfig,
    on_step: OnStep | None,
) -> tuple[list[float], int]:
    """Run the Trainer: the loss of every step made, and the number of steps planned."""
    progress = _Progress(on_step)
    pad = vlm.processor.tokenizer.pad_token_id

    def batch_of(chosen: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        return collate(chosen, [tensors[example["figure_id"]] for example in chosen], pad)

    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(
            model=model,
            args=_arguments(config, len(examples), vlm.device, scratch),
            data_collator=batch_of,
            train_dataset=examples,
            callbacks=[progress],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return progress.losses, trainer.state.max_steps


def _arguments(
    config: TuningConfig, examples: int, device: torch.device, scratch: str
) -> TrainingArguments:
    """Nothing is saved or reported on the way; sequences of like length share a batch."""
    micro = config.micro_batch_size or config.batch_size
    return TrainingArguments(
        output_dir=scratch,
        num_train_epochs=config.epochs,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=config.batch_size // micro,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=round(_steps(examples, config) * config.warmup_share),
        activation_checkpointing=config.activation_checkpointing,
        train_sampling_strategy="group_by_length",
        seed=config.seed,
        bf16=device.type == "cuda",
        use_cpu=device.type == "cpu",
        logging_steps=1,
        logging_nan_inf_filter=False,  # a diverging loss is shown as it is
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=device.type == "cuda",
    )


def _steps(examples: int, config: TuningConfig) -> int:
    return -(-examples // config.batch_size) * config.epochs


def _lora(config: TuningConfig, targets: str, whole: list[str]) -> LoraConfig:
    return LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=targets,
        modules_to_save=whole or None,
        task_type="CAUSAL_LM",
    )


def _image_files(
    conversations: pd.DataFrame, figures: pd.DataFrame, resolve: Callable[[str], Path]
) -> dict[str, Path]:
    """figure_id -> file, for the figures spoken of."""
    if not len(conversations):
        raise NothingToTune("no conversations: select some in notebooks/07_select_instructions")
    known = dict(zip(figures["figure_id"], figures["image"], strict=True))
    spoken_of = set(conversations["figure_id"])
    unknown = sorted(spoken_of - set(known))
    if unknown:
        raise ValueError(
            f"no figure {unknown[0]!r}, nor {len(unknown) - 1} more that are spoken of"
        )
    return {figure_id: Path(resolve(known[figure_id])) for figure_id in spoken_of}


def _summary(losses: list[float], planned: int) -> dict[str, float]:
    tenth = max(1, len(losses) // 10)
    return {
        "steps": len(losses),
        "steps_planned": planned,
        "loss_first": sum(losses[:tenth]) / tenth,
        "loss_last": sum(losses[-tenth:]) / tenth,
    }


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("torch", "transformers", "peft")}


def _read(folder: Path, name: str) -> dict[str, Any]:
    if not (folder / "metrics.json").is_file():
        raise FileNotFoundError(f"no tuned model in {folder}: run notebooks/08_tune_model.ipynb")
    return json.loads((folder / name).read_text())


def _save(
    folder: Path, model: PeftModel, config: Mapping[str, Any], metrics: Mapping[str, Any]
) -> None:
    """Write the adapter, then its description, then the metrics that say it is complete."""
    (folder / "metrics.json").unlink(missing_ok=True)
    # Left to itself, peft asks the hub whether the vocabulary was resized.
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    for name, content in (("config.json", config), ("metrics.json", metrics)):
        text = json.dumps(content, indent=1) + "\n"
        write_whole(folder / name, lambda path, text=text: path.write_text(text))

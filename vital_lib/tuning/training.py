"""Tuning of a vision-language model on conversations: LoRA, or the full language model.

The Trainer of transformers runs on the examples of ``sequences`` and trains the weights that
``weights`` selects. The result is a folder. The module does not depend on chat templates or tokens.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import tempfile
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainingArguments, set_seed
from transformers.trainer_callback import PrinterCallback

from vital_lib.models import VisionLanguageModel, load_model, weights_fingerprint
from vital_lib.tables import refuse_missing
from vital_lib.tuning.events import OnStep, TuningEvent
from vital_lib.tuning.mixing import Mix, MixedBatches, draw_mix
from vital_lib.tuning.sequences import (
    IGNORED,
    FigureTensors,
    NothingToTune,
    collate,
    encode_conversations,
    token_limit,
)
from vital_lib.tuning.settings import TuningConfig
from vital_lib.tuning.weights import interpolated, make_trainable, save_folder

_MIXED = "mixed conversations"
Examples = list[dict[str, Any]]


def tune(
    base_model: str | Path,
    conversations: pd.DataFrame,
    figures: pd.DataFrame,
    folder: str | Path,
    *,
    mix: Mix | None = None,
    on_step: OnStep | None = None,
    **settings: Any,
) -> dict[str, float]:
    """Tune `base_model` on conversations and write the trained weights to `folder`.

    Args:
        base_model: as in `vital_lib.models.load_model`, which also opens the tuned model.
        conversations: conversation_id, figure_id, turns (as table ``selected``).
        figures: figure_id, image (as table ``figures``), a row for every figure used.
        folder: gets the trained weights, ``config.json`` (settings, fingerprints of base model,
            conversations and mix, trained modules, versions) and, once the model is complete,
            ``metrics.json`` (the returned values and the loss of every step).
        mix: other conversations and their figures, such as the base model's own. Every batch gets
            ``mix_share`` of them per own conversation, drawn with ``seed``.
        on_step: called with a `TuningEvent` after each step; returning False stops training and
            keeps the weights.
        settings: fields of `TuningConfig`.

    Returns:
        seconds, steps, steps_planned, loss_first and loss_last (means over the first and last
        tenth of the steps), conversations, conversations_dropped, rounds, rounds_dropped, tokens,
        and the last five for the mix, as mix_conversations and so on.

    Raises:
        NothingToTune: no conversations, none that fits, or no language model to train.
        ValueError: a setting out of range, an unknown figure, or a mix that is too small.
        UnreadableImage: a figure's image cannot be opened.
    """
    config = TuningConfig(**settings)
    start = time.perf_counter()
    mixed, files = _draw_and_find(conversations, figures, mix, config)
    vlm = load_model(base_model, quantize=config.quantize)
    described: dict[str, Any] = asdict(config) | {
        "base_model": str(base_model),
        "base_fingerprint": weights_fingerprint(vlm.model),
        "conversations_fingerprint": fingerprint(conversations),
        "mix_fingerprint": fingerprint(mixed) if len(mixed) else None,
        "token_limit": config.max_tokens or token_limit(vlm),
    }
    tensors, limit = FigureTensors(vlm, files), described["token_limit"]
    own, counts = encode_conversations(vlm, conversations, tensors, limit)
    mix_examples, mix_counts = [], dict.fromkeys(counts, 0)
    if len(mixed):
        mix_examples, mix_counts = encode_conversations(vlm, mixed, tensors, limit, called=_MIXED)
    set_seed(config.seed)
    model, trained = make_trainable(vlm.model, config)
    losses, planned = _train(model, vlm, own, mix_examples, tensors, config, on_step)
    metrics = {**_summary(losses, planned), **counts, "seconds": time.perf_counter() - start}
    metrics |= {f"mix_{name}": count for name, count in mix_counts.items()}
    described |= {**trained, "stopped": len(losses) < planned, "versions": _versions()}
    save_folder(Path(folder), model, vlm.model.dtype, described, {**metrics, "losses": losses})
    return metrics


def fingerprint(conversations: pd.DataFrame) -> str:
    """Return the SHA-256 of each row's conversation_id, figure_id and turns, in order."""
    digest = hashlib.sha256()
    for row in conversations.itertuples():
        turns = [[turn["instruction"], turn["response"]] for turn in row.turns]
        digest.update(json.dumps([row.conversation_id, row.figure_id, turns]).encode() + b"\n")
    return digest.hexdigest()


def count_steps(conversations: pd.DataFrame, **settings: Any) -> int:
    """Return the number of steps that `tune` makes if no conversation is too long."""
    return _steps(len(conversations), TuningConfig(**settings))


def read_config(folder: str | Path) -> dict[str, Any]:
    """Return the config.json that `tune` wrote.

    Raises:
        FileNotFoundError: no tuned model in `folder`; the message names the notebook.
    """
    return _read(Path(folder), "config.json")


def read_losses(folder: str | Path) -> list[float]:
    """Return the loss of every step of a tuned model's training; raises as `read_config`."""
    return _read(Path(folder), "metrics.json")["losses"]


class _Progress(TrainerCallback):
    """Collect the loss of every step, and pass it to `on_step`."""

    def __init__(self, on_step: OnStep | None) -> None:
        self.losses: list[float] = []
        self._on_step = on_step

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        if not logs or "loss" not in logs:
            return
        self.losses.append(logs["loss"])
        if self._on_step is not None:
            proceed = self._on_step(TuningEvent(state.global_step, state.max_steps, logs["loss"]))
            control.should_training_stop = control.should_training_stop or proceed is False


class _Trainer(Trainer):
    """A Trainer that takes its batches from `batches`."""

    def __init__(self, batches: MixedBatches, **settings: Any) -> None:
        super().__init__(**settings)
        self._batches = batches

    def get_train_dataloader(self) -> DataLoader:
        loader = DataLoader(
            self.train_dataset,
            batch_sampler=self._batches,
            collate_fn=self.data_collator,
            pin_memory=self.args.dataloader_pin_memory,
        )
        return self.accelerator.prepare(loader)


def _train(
    model: torch.nn.Module,
    vlm: VisionLanguageModel,
    own: Examples,
    mixed: Examples,
    tensors: FigureTensors,
    config: TuningConfig,
    on_step: OnStep | None,
) -> tuple[list[float], int]:
    """Run the Trainer; return the loss of every step made, and the number of steps planned."""
    progress = _Progress(on_step)
    pad = vlm.processor.tokenizer.pad_token_id
    short = _can_leave_out_logits(vlm.model)

    def batch_of(chosen: Examples) -> dict[str, torch.Tensor]:
        batch = collate(chosen, [tensors[example["figure_id"]] for example in chosen], pad)
        return {**batch, "logits_to_keep": _graded(batch["labels"])} if short else batch

    lengths = ([len(example["input_ids"]) for example in part] for part in (own, mixed))
    size = config.micro_batch_size or config.batch_size
    with tempfile.TemporaryDirectory() as scratch:
        trainer = _Trainer(
            MixedBatches(*lengths, size=size, seed=config.seed),
            model=model,
            args=_arguments(config, len(own), vlm.device, scratch),
            data_collator=batch_of,
            train_dataset=[*own, *mixed],
            compute_loss_func=_loss if short else None,
            callbacks=[progress],
        )
        trainer.remove_callback(PrinterCallback)
        with interpolated(model, config.interpolation):
            trainer.train()
    return progress.losses, trainer.state.max_steps


def _can_leave_out_logits(model: torch.nn.Module) -> bool:
    """Return whether `model` can compute the logits of selected positions only.

    Most positions of a sequence (image, questions) do not count in the loss. Leaving them out saves
    a fifth of a tiny model's step, and gigabytes of memory with a large vocabulary. Several GPUs
    split all inputs by example, which does not work for a list of positions.
    """
    takes = "logits_to_keep" in inspect.signature(model.forward).parameters
    return takes and torch.cuda.device_count() <= 1


def _graded(labels: torch.Tensor) -> torch.Tensor:
    """Return the positions (K,) of labels (B, L) whose next token counts in the loss in any row."""
    return (labels[:, 1:] != IGNORED).any(0).nonzero()[:, 0]


def _loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of a step's labelled tokens.

    `outputs` holds the logits of their positions only.
    """
    targets = labels[:, 1:][:, _graded(labels)]  # (B, K)
    graded = targets != IGNORED
    logits = outputs.logits[graded].float()  # (graded tokens, vocabulary)
    total = torch.nn.functional.cross_entropy(logits, targets[graded], reduction="sum")
    return total / num_items_in_batch


def _arguments(
    config: TuningConfig, examples: int, device: torch.device, scratch: str
) -> TrainingArguments:
    """Return the Trainer's arguments; it saves no checkpoints.

    AdamW without weight decay, a cosine schedule after warm-up, gradients clipped at norm 1.
    """
    micro = config.micro_batch_size or config.batch_size
    return TrainingArguments(
        output_dir=scratch,
        num_train_epochs=config.epochs,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=config.batch_size // micro,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=round(_steps(examples, config) * config.warmup_share),
        weight_decay=0.0,
        max_grad_norm=1.0,
        activation_checkpointing=config.activation_checkpointing,
        seed=config.seed,
        bf16=device.type == "cuda",
        use_cpu=device.type == "cpu",
        logging_steps=1,
        logging_nan_inf_filter=False,  # show a diverging loss unchanged
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=device.type == "cuda",
    )


def _steps(examples: int, config: TuningConfig) -> int:
    return -(-examples // config.batch_size) * config.epochs


def _draw_and_find(
    conversations: pd.DataFrame,
    figures: pd.DataFrame,
    mix: Mix | None,
    config: TuningConfig,
) -> tuple[pd.DataFrame, dict[str, Path]]:
    """Return the mixed conversations (none without a mix), and figure_id -> file for both."""
    if not len(conversations):
        raise NothingToTune("no conversations: select some in notebooks/07_select_instructions")
    files = _image_files(conversations, figures)
    if mix is None:
        return conversations.iloc[:0], files
    mixed = draw_mix(mix[0], len(conversations), config.mix_share, config.seed)
    return mixed, _joined_files(files, _image_files(mixed, mix[1]))


def _image_files(conversations: pd.DataFrame, figures: pd.DataFrame) -> dict[str, Path]:
    """Map figure_id -> file for the figures of `conversations`."""
    known = dict(zip(figures["figure_id"], figures["image"], strict=True))
    used = sorted(set(conversations["figure_id"]))
    problem = "figures of the conversations are not given"
    refuse_missing(used, known, problem, "give a row of figures for each")
    return {figure_id: Path(known[figure_id]) for figure_id in used}


def _joined_files(own: dict[str, Path], mixed: dict[str, Path]) -> dict[str, Path]:
    twice = sorted(name for name in own.keys() & mixed.keys() if own[name] != mixed[name])
    if twice:
        raise ValueError(
            f"figure_id {twice[0]!r} and {len(twice) - 1} more have one image in the figures "
            "and another in the mix: rename those of the mix"
        )
    return own | mixed


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

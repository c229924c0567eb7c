"""Training steps on the same batches by three loops: ours, a bare one in PyTorch, and TRL's.

Each returns the seconds of every step by `clock`, from the end of the step before, so that all that
a loop does between two steps counts. Knows nothing of the model or of what is in the batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from transformers import TrainerCallback

from vital_lib.tuning import TuningConfig
from vital_lib.tuning.checkpoints import Checkpoints
from vital_lib.tuning.loop import Batch, Training
from vital_lib.tuning.run import Run

MakeBatch = Callable[[int], Batch]
"""Collates the batch of a step; every loop pays for it."""

Clock = Callable[[], float]


def our_steps(
    model: torch.nn.Module,
    batch_of: MakeBatch,
    steps: int,
    config: TuningConfig,
    folder: Path,
    clock: Clock = time.perf_counter,
) -> list[float]:
    """Our run, with its events and its checkpoints."""
    ends: list[float] = []
    given = SimpleNamespace(
        left_out=(),
        watched={},
        batches=lambda done: ([batch_of(step)] for step in range(done, steps)),
    )
    checkpoints = Checkpoints(folder, {})
    Run(
        Training(model, config, steps), given, checkpoints, None,
        lambda _: ends.append(clock()), time.perf_counter(),
    ).train()  # fmt: skip
    return _between(ends)


def bare_steps(
    model: torch.nn.Module,
    batch_of: MakeBatch,
    steps: int,
    config: TuningConfig,
    clock: Clock = time.perf_counter,
) -> list[float]:
    """The least that trains: forward, loss of the labelled positions, backward, clip, AdamW."""
    trained = [weights for weights in model.parameters() if weights.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=0.0, fused=True)
    kind = trained[0].device.type
    ends = [clock()]
    model.train()
    for step in range(steps):
        batch = {name: value.to(trained[0].device) for name, value in batch_of(step).items()}
        labels = batch.pop("labels")[:, 1:]
        places = (labels >= 0).any(0).nonzero()[:, 0]
        with torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda"):
            logits = model(**batch, logits_to_keep=places, use_cache=False).logits
        labels = labels[:, places]
        loss = torch.nn.functional.cross_entropy(logits[labels >= 0].float(), labels[labels >= 0])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        ends.append(clock())
    return _between(ends)


def trl_steps(
    model: torch.nn.Module,
    processor: Any,
    batch_of: MakeBatch,
    steps: int,
    config: TuningConfig,
    folder: Path,
    clock: Clock = time.perf_counter,
) -> list[float]:
    """TRL's SFTTrainer with its defaults, on our batches."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append(clock())

    on_cuda = next(model.parameters()).device.type == "cuda"
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(folder),
            max_steps=steps,
            per_device_train_batch_size=1,  # a row is the place of a whole batch
            learning_rate=config.learning_rate,
            lr_scheduler_type="cosine",
            activation_checkpointing=config.activation_checkpointing,
            train_sampling_strategy="sequential",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            remove_unused_columns=False,
            max_length=None,
            logging_steps=1,
            bf16=on_cuda,
            use_cpu=not on_cuda,
        ),
        data_collator=lambda rows: batch_of(rows[0]["place"]),
        train_dataset=Dataset.from_dict({"place": range(steps), "image": [""] * steps}),
        processing_class=processor,
        callbacks=[Clock()],
    )
    trainer.train()
    return _between(ends)


def _between(ends: Sequence[float]) -> list[float]:
    return [end - start for start, end in zip(ends, ends[1:], strict=False)]

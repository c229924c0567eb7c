"""Tuning of a vision-language model on conversations: LoRA, or the full language model.

``loop`` runs on the examples of ``sequences`` and trains the weights that ``weights`` selects. The
result is a folder; until it is complete, it holds a checkpoint. The module does not depend on chat
templates or tokens.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError

from vital_lib.models import (
    ADAPTER_WEIGHTS,
    LANGUAGE_WEIGHTS,
    VisionLanguageModel,
    load_model,
)
from vital_lib.tables import alone_in
from vital_lib.tuning.card import read_written
from vital_lib.tuning.checkpoints import CHECKPOINT, Checkpoints, differing
from vital_lib.tuning.data import TuningData, choose
from vital_lib.tuning.estimating import check_run
from vital_lib.tuning.events import OnStep, TuningEvent
from vital_lib.tuning.held_out import HeldOut
from vital_lib.tuning.loop import Training
from vital_lib.tuning.mixing import Mix
from vital_lib.tuning.run import Run, RunData
from vital_lib.tuning.settings import TuningConfig
from vital_lib.tuning.weights import interpolated, make_trainable, save_folder


def tune(
    base_model: str | Path,
    conversations: pd.DataFrame,
    figures: pd.DataFrame,
    folder: str | Path,
    *,
    mix: Mix | None = None,
    held_out: pd.DataFrame | None = None,
    resume: bool = True,
    on_step: OnStep | None = None,
    **settings: Any,
) -> dict[str, float]:
    """Tune `base_model` on conversations and write the trained weights to `folder`.

    Of several GPUs, one is used; ``CUDA_VISIBLE_DEVICES`` chooses it.

    Args:
        base_model: as in `vital_lib.models.load_model`, which also opens the tuned model.
        conversations: conversation_id, figure_id, turns (as table ``selected``).
        figures: figure_id, image (as table ``figures``), a row for every figure used. Instead of
            one file, `image` may list several, which the conversation then shows together.
        folder: gets the trained weights, ``config.json`` (settings, fingerprints of base model,
            conversations, images and mix, trained modules, left-out conversations, versions) and,
            once the model is complete, ``metrics.json`` (the returned values and all losses). Until
            then it has a checkpoint, written as often as costs 2 % of the time.
        mix: other conversations and their figures, such as the base model's own. Every batch gets
            ``mix_share`` of them per own conversation, drawn with ``seed``.
        held_out: conversations about other figures, whose loss and a few answers are reported.
        resume: whether a stopped or killed run goes on from its checkpoint, to the same losses, and
            a complete model of the same data, base model, settings and versions is kept.
        on_step: called with a `TuningEvent` at the start and after each step; returning False
            stops training and keeps the weights and a checkpoint.
        settings: fields of `TuningConfig`.

    Returns:
        seconds, steps, steps_planned, loss_first and loss_last (means over the first and last
        tenth of the steps), conversations, conversations_dropped, rounds, rounds_dropped, tokens,
        and the last five for the mix, as mix_conversations and so on. With `held_out` also
        held_out_loss_first and held_out_loss_last.

    Raises:
        NothingToTune: no conversations, none that can be used, or no language model to train.
        ValueError: a setting out of range, an unknown figure, or a mix that is too small.
        DoesNotFit: too little memory or disk; raised before the first step.
        FolderInUse: another process is tuning into `folder`.
        OSError: the result cannot be written, as on a full disk; a checkpoint is kept if it can be.
        OtherRun: `folder` has a checkpoint that is damaged or was made from something else.
        DivergedLoss, OutOfMemory, Stopped: what happened; a checkpoint is kept.
    """
    config, begun = TuningConfig(**settings), time.perf_counter()
    chosen = choose(conversations, figures, mix, held_out, config)
    with alone_in(Path(folder), "tuning into"):
        vlm = load_model(base_model, quantize=config.quantize)
        data = TuningData(vlm, chosen, config)
        check_run(vlm.model, data.own.rows, data.mixed.rows, config, folder)
        watched = HeldOut(vlm, data) if data.held_out.rows else None
        return run_in(
            Path(folder), vlm, data, resume=resume, on_step=on_step, begun=begun, held_out=watched
        )


def run_in(
    folder: Path,
    vlm: VisionLanguageModel,
    data: RunData,
    *,
    resume: bool,
    on_step: OnStep | None,
    begun: float,
    held_out: HeldOut | None = None,
    training: type[Training] = Training,
    head: str | None = None,
) -> dict[str, float]:
    """Train on `data` from the start or from a checkpoint, and write `folder`.

    Args and errors are those of `tune`; `training` computes the loss, and a new `head` of the model
    is trained with it. The caller holds the lock on `folder`.
    """
    config, checkpoints, checkpoint = data.config, Checkpoints(folder, data.made_from), None
    if not resume:
        checkpoints.discard()
    elif (known := _finished(folder, data)) is not None:
        checkpoints.discard()
        return _tell_finished(known, on_step)
    else:
        checkpoint = checkpoints.read()
    torch.manual_seed(config.seed)
    model, trained = make_trainable(vlm.model, config, head=head)
    with interpolated(model, config.interpolation):
        steps = training(model, config, data.steps)
        run = Run(steps, data, checkpoints, held_out, on_step, begun)
        if checkpoint is not None:
            run.go_on_from(checkpoint)
        run.train()
    metrics = {**_summary(run), **data.counts, "seconds": run.seconds}
    described = asdict(config) | {"base_model": vlm.name, **data.made_from, **trained}
    described |= {"stopped": run.stopped, "versions": _versions(), **data.watched}
    described["left_out"] = [one._asdict() for one in data.left_out]
    written = {**metrics, "losses": run.training.losses, "held_out_losses": run.measured}
    try:
        save_folder(folder, model, vlm.model.dtype, described, written)
    except (OSError, SafetensorError) as error:
        raise OSError(_not_written(run, folder, config, error)) from error
    if not run.stopped:
        checkpoints.discard()
    return metrics


def read_config(folder: str | Path) -> dict[str, Any]:
    """Return the config.json that `tune` wrote.

    Raises:
        FileNotFoundError: no tuned model in `folder`; the message names the notebook.
        ValueError: the file is damaged.
    """
    return read_written(Path(folder), "config.json")


def read_losses(folder: str | Path) -> list[float]:
    """Return the loss of every step of a tuned model's training; raises as `read_config`."""
    return read_written(Path(folder), "metrics.json")["losses"]


def read_held_out(folder: str | Path) -> list[tuple[int, float]]:
    """Return (steps made, held-out loss) of each measurement; raises as `read_config`."""
    found = read_written(Path(folder), "metrics.json").get("held_out_losses", [])
    return [(int(step), float(loss)) for step, loss in found]


def _finished(folder: Path, data: RunData) -> dict[str, Any] | None:
    """Return the metrics.json of a complete model in `folder` that was made from `data`."""
    try:
        config, metrics = read_written(folder, "config.json"), read_written(folder, "metrics.json")
    except (OSError, ValueError):
        return None
    wanted = {**data.made_from, **data.watched, "stopped": False, "versions": _versions()}
    weights = any((folder / name).is_file() for name in (ADAPTER_WEIGHTS, LANGUAGE_WEIGHTS))
    same = not differing(wanted, {name: config.get(name) for name in wanted})
    told = metrics.get("losses") and "held_out_losses" in metrics
    return metrics if weights and same and told else None


def _tell_finished(written: dict[str, Any], on_step: OnStep | None) -> dict[str, float]:
    """Report a complete model's last step, and return its metrics."""
    losses, held_out = written.pop("losses"), written.pop("held_out_losses")
    if on_step is not None:
        last = held_out[-1][1] if held_out else None
        on_step(TuningEvent(len(losses), len(losses), losses[-1], last))
    return written


def _not_written(run: Run, folder: Path, config: TuningConfig, error: Exception) -> str:
    """Keep what was trained, as far as there is room; return what to do."""
    for name in (ADAPTER_WEIGHTS, LANGUAGE_WEIGHTS):  # half a file, whose room a checkpoint needs
        (folder / name).unlink(missing_ok=True)
    if config.interpolation == 1:  # else the weights are no longer those of the last step
        run.keep()
    kept = (folder / CHECKPOINT).is_file()
    after = "goes on from its checkpoint" if kept else "begins anew, as no checkpoint could be kept"
    return (
        f"the tuned model cannot be written to {folder} ({error}): make room or give write "
        f"permission, and run the cell again; it {after}"
    )


def _summary(run: Run) -> dict[str, float]:
    losses = run.training.losses
    tenth = max(1, len(losses) // 10)
    summary = {
        "steps": len(losses),
        "steps_planned": run.training.total,
        "loss_first": sum(losses[:tenth]) / tenth,
        "loss_last": sum(losses[-tenth:]) / tenth,
    }
    if run.measured:
        summary |= {
            "held_out_loss_first": run.measured[0][1],
            "held_out_loss_last": run.measured[-1][1],
        }
    return summary


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("torch", "transformers", "peft")}

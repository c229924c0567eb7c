"""One tuning run from its first step, or from a checkpoint, to its last: reports, stops, faults.

``loop`` makes the steps and ``checkpoints`` writes the file; this module says when. It does not
depend on the base model or on chat templates.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Protocol

import torch

from vital_lib.stopping import Stopped
from vital_lib.tuning.checkpoints import Checkpoint, Checkpoints
from vital_lib.tuning.events import LeftOut, OnStep, TuningEvent
from vital_lib.tuning.held_out import HeldOut
from vital_lib.tuning.loop import Batch, Training
from vital_lib.tuning.settings import TuningConfig


class OutOfMemory(MemoryError):
    """Raised if memory runs out during training; the message says what to lower."""


class RunData(Protocol):
    """What a run asks of its data; `TuningData` has it.

    `limit` is the longest sequence in tokens, `counts` goes into the metrics. `made_from` decides
    the losses, `watched` does not.
    """

    @property
    def config(self) -> TuningConfig: ...

    @property
    def limit(self) -> int: ...

    @property
    def counts(self) -> dict[str, int]: ...

    @property
    def made_from(self) -> dict[str, Any]: ...

    @property
    def steps(self) -> int: ...

    @property
    def left_out(self) -> tuple[LeftOut, ...]: ...

    @property
    def watched(self) -> dict[str, str | None]: ...

    def batches(self, done: int) -> Iterator[list[Batch]]: ...


class Run:
    """The steps of one run.

    Attributes:
        training: the weights in training.
        measured: (steps made, held-out loss) of each measurement so far.
    """

    def __init__(
        self,
        training: Training,
        data: RunData,
        checkpoints: Checkpoints,
        held_out: HeldOut | None,
        on_step: OnStep | None,
        begun: float,
    ) -> None:
        self.training, self.measured = training, []
        self._data, self._checkpoints, self._held_out = data, checkpoints, held_out
        self._on_step, self._begun, self._earlier = on_step, begun, 0.0

    def go_on_from(self, checkpoint: Checkpoint) -> None:
        """Take over the state that an earlier process of this run wrote.

        Raises:
            OtherRun: the checkpoint lacks a part, or has another shape.
        """
        facts = checkpoint.facts
        try:
            self.training.go_on_from(checkpoint.tensors)
            self._earlier = facts["seconds"]
            if facts.get("watched") == self._data.watched:
                self.measured = [(int(step), loss) for step, loss in facts["measured"]]
        except (KeyError, RuntimeError) as error:  # of another release, or damaged
            raise self._checkpoints.unusable(error) from error

    @property
    def seconds(self) -> float:
        """Seconds of the whole run so far, over all its processes."""
        return self._earlier + time.perf_counter() - self._begun

    @property
    def stopped(self) -> bool:
        """Whether steps are still to be made."""
        return self.training.step < self.training.total

    def train(self) -> None:
        """Make the steps, until `on_step` returns False; a run that is not complete is kept.

        Raises:
            DivergedLoss, OutOfMemory, Stopped: as `vital_lib.tuning.tune`.
        """
        training = self.training
        try:
            proceed = self._report(self._data.left_out)
            batches = self._data.batches(training.step)
            parts = next(batches, None)
            while parts is not None and proceed:
                loss, norm = training.gradients(parts)
                parts = next(batches, None)  # made while a GPU computes
                training.update(float(loss), float(norm))
                proceed = self._report()
                self._checkpoints.write_if_due(self._checkpoint)
        except KeyboardInterrupt:
            self.keep()
            raise Stopped(
                f"stopped at step {training.step} of {training.total}; run the cell again to go on"
            ) from None
        except Exception as error:
            self.keep()
            if _is_lack_of_memory(error):
                raise OutOfMemory(self._lack()) from error
            raise
        if self.stopped:
            self.keep()

    def _checkpoint(self) -> Checkpoint:
        """Return all that the rest of the run follows from."""
        training = self.training
        facts = {
            "step": training.step,
            "total": training.total,
            "seconds": self.seconds,
            "measured": self.measured,
            "watched": self._data.watched,
        }
        return Checkpoint(training.state(), facts)

    def _lack(self) -> str:
        config, training = self._data.config, self.training
        return (
            f"memory ran out at step {training.step + 1} of {training.total}: "
            f"lower micro_batch_size={config.micro_batch_size or config.batch_size} or set "
            "activation_checkpointing=True and go on; or begin anew with max_tokens below "
            f"{self._data.limit}, quantize='4bit' (LoRA on a GPU) or a smaller base model"
        )

    def keep(self) -> None:
        """Write a checkpoint, unless there is nothing to keep or a step was interrupted half-way.

        In the latter case the checkpoint before stays.
        """
        if self.training.whole and self.training.step:
            self._checkpoints.write(self._checkpoint())

    def _report(self, left_out: tuple[LeftOut, ...] = ()) -> bool:
        """Tell `on_step` of the last step, or of the start; return whether to proceed."""
        training, held = self.training, self._held_out
        held_out_loss, samples = None, ()
        known = any(step == training.step for step, _ in self.measured)
        if held is not None and held.is_due(training.step) and not known:
            held_out_loss, samples = held.measure(training)
            self.measured.append((training.step, held_out_loss))
        if self._on_step is None:
            return True
        loss = training.losses[-1] if training.losses else None
        event = TuningEvent(training.step, training.total, loss, held_out_loss, samples, left_out)
        return self._on_step(event) is not False


def _is_lack_of_memory(error: Exception) -> bool:
    """Return whether `error` is torch's or Python's; torch has no class for it on the CPU."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)

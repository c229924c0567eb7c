"""Checkpoints of a tuning run: one file beside the model, from which a run goes on exactly.

The file holds the trained weights, AdamW's moments, the random states, the losses so far, and what
the run was made from. It is a safetensors file, so that reading it runs no code. The order of the
batches follows from the seed and the number of steps, so it needs no place in the file.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from vital_lib.tables import write_atomically

LOG = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.safetensors"
"""The last checkpoint in a model's folder, until the model is complete."""

SHARE = 0.02
"""Share of a run's time that its checkpoints may cost."""

LEAST_SECONDS = 5.0
"""Seconds between checkpoints at least, however cheap they are."""

_BYTES_PER_SECOND = 200e6  # of a slow disk; only for the first checkpoint, before one was timed
_WORDS = {
    "base_fingerprint": "the base model",
    "conversations_fingerprint": "the conversations",
    "mix_fingerprint": "the mixed-in conversations",
    "pairs_fingerprint": "the preference pairs or their responses",
    "images_fingerprint": "the images",
}


class OtherRun(ValueError):
    """Raised if a checkpoint is damaged, or of a run with other data, base model or settings."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory: `tensors` by name, and `facts` (JSON)."""

    tensors: dict[str, torch.Tensor]
    facts: dict[str, Any]


class Checkpoints:
    """The checkpoint file of one run.

    Args:
        folder: the model's folder.
        made_from: what decides the losses: settings and fingerprints, by name.
    """

    def __init__(self, folder: Path, made_from: Mapping[str, Any]) -> None:
        self.path = folder / CHECKPOINT
        self._made_from = json.loads(json.dumps(made_from))
        self._cost, self._last = 0.0, time.monotonic()

    def read(self) -> Checkpoint | None:
        """Return the last checkpoint, or None if there is none.

        Raises:
            OtherRun: it is damaged, or of another run; the message says what differs.
        """
        self._remove_unfinished()
        if not self.path.is_file():
            return None
        try:
            with safe_open(self.path, "pt") as file:
                facts = json.loads(file.metadata()["facts"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            before, where = facts["made_from"], f"step {facts['step']} of {facts['total']}"
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise self.unusable(error) from error
        if differences := differing(before, self._made_from):
            raise OtherRun(
                f"{self.path} is {where} of another run: "
                f"{'; '.join(differences)}. Give what it was made from to go on, or resume=False "
                "to discard it and begin anew"
            )
        return Checkpoint(tensors, facts)

    def unusable(self, why: Exception) -> OtherRun:
        """Return the error for a checkpoint that no run can go on from."""
        return OtherRun(
            f"the checkpoint {self.path} cannot be read ({why}): resume=False discards it and "
            "begins anew"
        )

    def write_if_due(self, make: Callable[[], Checkpoint]) -> None:
        """Write a checkpoint if the last one is so long ago that this one costs little."""
        waited = time.monotonic() - self._last
        if waited < LEAST_SECONDS:
            return
        checkpoint = None
        if not self._cost:
            checkpoint = make()
            size = sum(tensor.nbytes for tensor in checkpoint.tensors.values())
            self._cost = size / _BYTES_PER_SECOND
        if waited >= self._cost / SHARE:
            self.write(checkpoint or make())

    def write(self, checkpoint: Checkpoint) -> None:
        """Replace the last checkpoint; on a full disk, log a warning and keep the last one."""
        start = time.monotonic()
        facts = {"facts": json.dumps({**checkpoint.facts, "made_from": self._made_from})}
        tensors = {name: value.contiguous() for name, value in checkpoint.tensors.items()}
        try:
            write_atomically(self.path, lambda path: save_file(tensors, path, facts))
        except (OSError, SafetensorError) as error:
            LOG.warning(
                "no checkpoint of step %d in %s: %s", checkpoint.facts["step"], self.path, error
            )
        self._last = time.monotonic()
        self._cost = self._last - start

    def discard(self) -> None:
        """Remove the checkpoint, and what a killed run left of an unfinished one."""
        self._remove_unfinished()
        self.path.unlink(missing_ok=True)

    def _remove_unfinished(self) -> None:
        for path in self.path.parent.glob(f".{CHECKPOINT}-*"):
            path.unlink(missing_ok=True)


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return in words what differs between two runs' settings and fingerprints."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return [
        f"{_WORDS[name]} differ" + "s" * (name == "base_fingerprint")
        if name in _WORDS
        else f"{name} was {before.get(name)!r} and is {now.get(name)!r}"
        for name in names
    ]

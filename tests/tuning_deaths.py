"""Tuning runs that are killed, called in processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from vital_lib.tuning import checkpoints, tune


def checkpoint_every_step() -> None:
    """Let this process write a checkpoint after each step, however much time they cost."""
    checkpoints.LEAST_SECONDS, checkpoints.SHARE = 0.0, 1e9


def tune_until_killed(kill_at: int, *, while_writing: bool = False, on_step=None, **call) -> dict:
    """Tune, and die by SIGKILL after step `kill_at`, or half-way through its checkpoint."""
    checkpoint_every_step()
    save, step = checkpoints.save_file, 0

    def half_saved(tensors, path, facts):
        save(tensors, path, facts)
        if while_writing and step >= kill_at:
            whole = Path(path).read_bytes()
            Path(path).write_bytes(whole[: len(whole) // 2])
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(event):
        nonlocal step
        step = event.step
        if step >= kill_at and not while_writing:
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoints.save_file = half_saved
    return tune(**call, on_step=watch)

"""Calls of the client with batches, in processes that stop at a moment and are killed there."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import tempfile
from pathlib import Path

from client_acts import verdicts

from vital_lib.client import ChatClient
from vital_lib.client.batches import Pending, files, run, writing
from vital_lib.figures import open_image

STEPS = ("begun", "add", "uploaded", "created", "keep", "close")
"""What a run records, in this order; `add` and `keep` come several times."""


def quick(lines: int = files.MOST_LINES) -> None:
    """Let this process look at batches often, and write input files of at most so many lines."""
    run.POLL_SECONDS, files.MOST_LINES = (0.02, 0.1), lines
    writing._CHUNK = 4  # so that a kill finds a file half recorded


def clinic(url: str, ledger: Path | None = None, **options) -> ChatClient:
    """Return a client of a served clinic, free of charge unless `options` say otherwise."""
    return ChatClient("clinic", base_url=url, ledger=ledger, **{"local": True, **options})


def ask(url: str, ledger: Path, image: Path, count: int, lines: int) -> list:
    """Ask in batches."""
    quick(lines)
    return clinic(url, ledger).ask(verdicts(open_image(image), count), batch=True)


def _ask_and_halt(arguments: tuple, step: str, when: str, temporary: Path, reached) -> None:
    """Ask, and halt forever right before or after a step is recorded for the first time."""
    tempfile.tempdir = str(temporary)

    def halt():
        reached.send(step)
        signal.pause()

    def watched(name, is_step):
        act = getattr(Pending, name)

        def watching(self, *values, **options):
            if is_step(values) and when == "before":
                halt()
            act(self, *values, **options)
            if is_step(values):
                halt()

        setattr(Pending, name, watching)

    if step in ("add", "keep", "close"):
        watched(step, lambda values: True)
    else:
        watched("note", lambda values: values[1] == step)
    ask(*arguments)


@contextlib.contextmanager
def process(target, *arguments):
    """Run a call in a process that is killed when the block ends."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["vital_lib.client"])
    child = context.Process(target=target, args=arguments, daemon=True)
    child.start()
    try:
        yield child
    finally:
        child.kill()
        child.join()


def ask_until_killed(arguments: tuple, step: str, when: str) -> None:
    """Ask in a process that dies by SIGKILL right before or after a step is recorded.

    It leaves no file with requests, which hold images and texts, in its temporary folder.
    """
    here, there = multiprocessing.Pipe()
    with tempfile.TemporaryDirectory() as temporary:
        with process(_ask_and_halt, arguments, step, when, Path(temporary), there):
            assert here.poll(60), f"the step {step} was not reached"
        assert [path.name for path in Path(temporary).rglob("*") if path.is_file()] == []

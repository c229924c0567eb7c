"""Stop long cells of a notebook without a long traceback.

A stop is what Jupyter's stop button sends: a KeyboardInterrupt wherever the code is at that moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager


class Stopped(KeyboardInterrupt):
    """The user stopped a cell; the message says what is kept and how to go on."""

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows: the message alone."""
        return [f"{type(self).__name__}: {self}"]


class WaitCancelled(asyncio.CancelledError):
    """The user stopped a cell that awaits a job; the job itself goes on."""

    _render_traceback_ = Stopped._render_traceback_


@contextmanager
def stoppable(how_to_go_on: str) -> Generator[None]:
    """Turn a KeyboardInterrupt in the block, or in the decorated function, into `Stopped`.

    As a decorator, it does not reach into generators and coroutines, whose bodies run after the
    call: write the block inside them.

    Raises:
        Stopped: the user stopped the block; an inner `Stopped` keeps its message.
    """
    try:
        yield
    except Stopped:
        raise
    except KeyboardInterrupt:
        raise Stopped(how_to_go_on) from None

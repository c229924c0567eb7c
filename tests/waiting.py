"""Waiting for what a thread, another process or a page is about to do. Knows nothing of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], seconds: float = 20, what: str = "what was waited for") -> T:
    """What `condition` returns, asked again and again until it is true.

    Raises:
        AssertionError: it is not true within `seconds`; the message names `what`.
    """
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() >= end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.01)  # between two looks: nobody tells a test when something has happened
    return found

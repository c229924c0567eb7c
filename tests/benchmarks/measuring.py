"""Seconds of pieces of work, measured so that a busy neighbour hits all of them alike.

Knows nothing of what the work is, nor where the figures go.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def median_seconds(*works: Callable[[], object], times: int = 5) -> list[float]:
    """The median seconds of each of `works`, which take turns `times` times.

    Each runs once beforehand, untimed, so that none pays for imports and caches that all share.
    """
    for work in works:
        work()
    rounds = [[_seconds(work) for work in works] for _ in range(times)]
    return [statistics.median(seconds) for seconds in zip(*rounds, strict=True)]


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start

"""Seconds and memory of pieces of work.

Seconds are measured so that a busy neighbour hits all works alike. Knows nothing of what the work
is, nor where the figures go.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path


def median_seconds(*works: Callable[[], object], times: int = 5) -> list[float]:
    """The median seconds of each of `works`, which take turns `times` times.

    Each runs once beforehand, untimed, so that none pays for imports and caches that all share.
    """
    for work in works:
        work()
    rounds = [[_seconds(work) for work in works] for _ in range(times)]
    return [statistics.median(seconds) for seconds in zip(*rounds, strict=True)]


def peak_bytes() -> int:
    """The most memory that this process has held; `ru_maxrss` counts that of its parent too."""
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start

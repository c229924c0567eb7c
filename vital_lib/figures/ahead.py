"""Works on a stream in threads, some items ahead of the one that is needed next.

Pillow and hashlib release the interpreter while they decode, scale and hash, so threads use all
cores, and nothing is copied between processes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from vital_lib.processes import available_cores

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 8  # items per thread


def ahead(
    items: Iterable[Item], work: Callable[[Item], Result]
) -> Iterator[tuple[Item, Future[Result]]]:
    """Yield each item with the outcome of `work` on it, in order; one thread per core works.

    Only some items and outcomes are held at a time. An error of `work` is in its outcome, and an
    error of `items` is raised at once.
    """
    threads = available_cores()
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    pool = ThreadPoolExecutor(threads, "figures")
    try:
        for item in items:
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) >= threads * _AHEAD:
                yield waiting.popleft()
        yield from waiting
    finally:
        pool.shutdown(wait=True, cancel_futures=True)

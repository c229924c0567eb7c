"""Rows that follow from their keys, and processes that write them, are killed, or both."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np

from vital_lib import shards
from vital_lib.shards import RowShards

WIDTH = 24
BATCH = 16


def keys_of(numbers) -> np.ndarray:
    """A key (n, 32) for each number."""
    numbers = np.asarray(numbers, np.uint64)
    words = numbers[:, None] * np.array([11400714819323198485, 3, 5, 7], np.uint64) + np.uint64(1)
    return words.view(np.uint8)


def rows_of(keys: np.ndarray) -> np.ndarray:
    """The row (n, WIDTH) that belongs to each key, so that another's row is noticed."""
    return (keys[:, :WIDTH].astype(np.float32) + np.float32(0.1)) * np.float32(1.7)


def marks_of(keys: np.ndarray) -> np.ndarray:
    return keys[:, 1] % 2 == 1


def write(store: RowShards, numbers) -> None:
    """Write the rows of `numbers`, `BATCH` at once."""
    keys = keys_of(numbers)
    for start in range(0, len(keys), BATCH):
        part = keys[start : start + BATCH]
        store.write(part, rows_of(part), marks_of(part))


def found(store: RowShards, numbers) -> list[int]:
    """The numbers whose rows are there; each must be the row of its key."""
    keys = keys_of(numbers)
    rows = np.zeros((len(keys), WIDTH), np.float32)
    there, marked = store.read(keys, rows)
    assert np.array_equal(rows[there], rows_of(keys)[there])
    assert np.array_equal(marked, marks_of(keys) & there)
    return np.asarray(numbers)[there].tolist()


def write_with_others(folder: Path, numbers, start) -> None:
    """In a process: wait at the barrier `start`, then write and read what others write."""
    store = RowShards(folder, WIDTH)
    start.wait()
    for first in range(0, len(numbers), BATCH):
        write(store, numbers[first : first + BATCH])
        found(store, numbers)


def write_until_killed(folder: Path, numbers, batch: int, end: str, share: float) -> None:
    """In a process: die by SIGKILL when `share` of the file `end` of a batch is written."""
    append, calls = shards._append, 0

    def die(path, content, *, flush):
        nonlocal calls
        calls += path.suffix == end
        if path.suffix == end and calls == batch + 1:
            append(path, content[: int(share * len(content))], flush=flush)
            os.kill(os.getpid(), signal.SIGKILL)
        append(path, content, flush=flush)

    shards._append = die
    write(RowShards(folder, WIDTH), numbers)

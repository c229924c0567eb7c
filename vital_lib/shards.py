"""Rows of float32 by the SHA-256 of their content, in memory-mapped shards or in memory.

A shard is two files: `<name>.rows` holds the rows, and `<name>.keys` one record for each, its
SHA-256 and a mark. Every writer appends to a shard of its own, so that no lock is needed: first the
rows, flushed to disk, then their keys. A row counts once its key is written. What an interrupted
write leaves at the end of a shard is not read, and nobody appends to that shard again. The module
does not depend on encoders.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

LOG = logging.getLogger(__name__)

_RECORD: Any = np.dtype([("key", "<u8", 4), ("marked", "u1")])  # 33 bytes in a file of keys
_ENTRY: Any = np.dtype([("key", "<u8", 4), ("marked", "?"), ("shard", "<i4"), ("row", "<i8")])
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
_AT_ONCE = 4096  # rows copied at once


class ShardsUnwritable(RuntimeError):
    """Rows cannot be written, for example on a full disk; the message has the cause and a fix."""

    def __init__(self, folder: Path | None, error: OSError) -> None:
        super().__init__(
            f"{folder} cannot be written: {error.strerror}. What was written before is kept: free "
            "space if the disk is full, or give another folder, then run again"
        )


class RowShards:
    """Rows (width,) float32 by 32-byte key, each with a mark (a bool), read and written in batches.

    Several processes may read and write one folder at once. Of rows with the same key, the one in
    the oldest shard counts, or the first that this process found or wrote. In a folder that is
    read-only, and without a folder, new rows are kept in memory.

    Args:
        folder: holds the shards; created by the first write. None keeps all rows in memory.
        width: number of values in a row, the same for all rows in `folder`.

    Raises:
        NotADirectoryError: `folder` is a file, or lies in one.
    """

    def __init__(self, folder: Path | None, width: int) -> None:
        for place in () if folder is None else (folder, *folder.parents):
            if place.exists() and not place.is_dir():
                raise NotADirectoryError(f"{place} is a file: give the name of a folder")
        self.folder, self._width = folder, width
        self._in_memory = folder is None  # also once the folder proves to be read-only
        self._lock = threading.RLock()  # widget messages may arrive in another thread
        self._forget()

    def __len__(self) -> int:
        """Return the number of rows; rows with equal keys count each."""
        with self._lock:
            self._read_on()
            return sum(len(part.entries) for part in self._index)

    def read(self, keys: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Copy the rows of `keys` (n, 32) uint8 that exist into `rows` (n, width) float32.

        Returns:
            Which were found, and which of these are marked: (n,) bool each.
        """
        wanted = _as_numbers(keys)
        with self._lock:
            try:
                entries = self._entries(wanted)
                self._copy(entries, rows)
            except (OSError, ValueError):  # files were deleted or cut short since they were indexed
                self._forget()
                entries = self._entries(wanted)
                self._copy(entries, rows)
        found = entries["shard"] >= 0
        return found, found & entries["marked"]

    def write(self, keys: np.ndarray, rows: np.ndarray, marked: np.ndarray) -> None:
        """Append `rows` (n, width) with their `keys` (n, 32) uint8 and `marked` (n,) bool.

        Raises:
            ShardsUnwritable: the rows cannot be written; rows of earlier calls are kept.
        """
        records = np.empty(len(keys), _RECORD)
        records["key"], records["marked"] = _as_numbers(keys), marked
        with self._lock:
            try:
                self._append(records, rows)
            except OSError as error:
                if error.errno not in _READ_ONLY:
                    raise ShardsUnwritable(self.folder, error) from error
                LOG.warning(
                    "%s cannot be written (%s): new rows are kept until this process ends",
                    *(self.folder, error.strerror),
                )
                self._in_memory = True
                self._append(records, rows)

    def _forget(self) -> None:
        """Forget what was indexed; rows in memory are lost."""
        self._shards: list[_File | _Memory] = []
        self._number_of: dict[str, int] = {}
        self._index: list[_Sorted] = []  # each at least twice as long as the next
        self._own: tuple[int, int] | None = None  # process, number of the shard it appends to

    def _append(self, records: np.ndarray, rows: np.ndarray) -> None:
        """Append to the own shard. If this is interrupted, the next call begins another shard."""
        process, number = self._own or (0, 0)
        self._own = None
        if process != os.getpid():  # a fork does not append to the shard of its parent
            number = self._begin()
        start = self._shards[number].append(records, rows)
        self._add(number, start, records)
        self._own = os.getpid(), number

    def _begin(self) -> int:
        self._read_on()  # older shards come first in the index
        if self._in_memory or self.folder is None:
            self._shards.append(_Memory(self._width))
            return len(self._shards) - 1
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"{time.time_ns():016x}-{os.getpid():x}-{secrets.token_hex(4)}.keys"
        return self._number(self.folder / name)

    def _number(self, path: Path) -> int:
        """Return the number of the shard whose keys are in `path`."""
        if path.name not in self._number_of:
            self._shards.append(_File(path, self._width))
            self._number_of[path.name] = len(self._shards) - 1
        return self._number_of[path.name]

    def _read_on(self) -> bool:
        """Index what other writers added since the last call; return whether there was any."""
        any_added = False
        for path in [] if self.folder is None else sorted(self.folder.glob("*.keys")):
            if not path.is_file():  # another's, or deleted meanwhile
                continue
            number = self._number(path)
            start, records = self._shards[number].grown()
            if len(records):
                self._add(number, start, records)
                any_added = True
        return any_added

    def _add(self, number: int, start: int, records: np.ndarray) -> None:
        """Index `records`, the keys of the rows from `start` of shard `number`."""
        entries = np.empty(len(records), _ENTRY)
        entries["key"], entries["marked"] = records["key"], records["marked"] != 0
        entries["shard"], entries["row"] = number, start + np.arange(len(records))
        parts = [*self._index, _Sorted.of(entries)]
        while len(parts) > 1 and len(parts[-2].entries) < 2 * len(parts[-1].entries):
            parts[-2:] = [_Sorted.of(np.concatenate([part.entries for part in parts[-2:]]))]
        self._index = parts

    def _entries(self, wanted: np.ndarray) -> np.ndarray:
        """Return the entry of each of `wanted` (n, 4), with shard -1 if there is none."""
        entries = self._find(wanted)
        absent = np.flatnonzero(entries["shard"] < 0)
        if len(absent) and self._read_on():
            entries[absent] = self._find(wanted[absent])
        return entries

    def _find(self, wanted: np.ndarray) -> np.ndarray:
        entries = np.zeros(len(wanted), _ENTRY)
        entries["shard"] = -1
        for part in self._index:
            absent = np.flatnonzero(entries["shard"] < 0)
            places = part.places(wanted[absent])
            entries[absent[places >= 0]] = part.entries[places[places >= 0]]
        return entries

    def _copy(self, entries: np.ndarray, rows: np.ndarray) -> None:
        """Copy the row of each entry to its place in `rows`, in the order of the files."""
        order = np.lexsort((entries["row"], entries["shard"]))[(entries["shard"] < 0).sum() :]
        for own in np.split(order, np.flatnonzero(np.diff(entries["shard"][order])) + 1):
            kept = self._shards[entries["shard"][own[0]]].rows() if len(own) else rows
            for start in range(0, len(own), _AT_ONCE):
                part = own[start : start + _AT_ONCE]
                rows[part] = kept[entries["row"][part]]


class _Sorted(NamedTuple):
    """Entries in the order of the first 8 bytes of their key, `first` (n,); then as they came."""

    first: np.ndarray
    entries: np.ndarray

    @classmethod
    def of(cls, entries: np.ndarray) -> _Sorted:
        first = np.ascontiguousarray(entries["key"][:, 0])
        order = np.argsort(first, kind="stable")
        return cls(first[order], entries[order])

    def places(self, wanted: np.ndarray) -> np.ndarray:
        """Return the place of the first entry of each of `wanted` (n, 4), or -1."""
        places = np.full(len(wanted), -1)
        at = np.searchsorted(self.first, wanted[:, 0])
        left = np.arange(len(wanted))
        while True:  # a second round only if different keys begin with the same 8 bytes
            left = left[at[left] < len(self.first)]
            left = left[self.first[at[left]] == wanted[left, 0]]
            if not len(left):
                return places
            same = (self.entries["key"][at[left]] == wanted[left]).all(axis=1)
            places[left[same]] = at[left[same]]
            left = left[~same]
            at[left] += 1


class _Memory:
    """A shard in memory."""

    def __init__(self, width: int) -> None:
        self._parts = [np.empty((0, width), np.float32)]
        self._count = 0

    def rows(self) -> np.ndarray:
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        return self._parts[0]

    def append(self, records: np.ndarray, rows: np.ndarray) -> int:
        """Append `rows`; return the number of the first."""
        self._parts.append(np.array(rows, np.float32))
        self._count += len(records)
        return self._count - len(records)

    def grown(self) -> tuple[int, np.ndarray]:
        return self._count, np.empty(0, _RECORD)


class _File:
    """A shard in two files, of which the first `_count` rows are indexed."""

    def __init__(self, keys: Path, width: int) -> None:
        self._keys, self._rows, self._width = keys, keys.with_suffix(".rows"), width
        self._count = 0
        self._short = False

    def rows(self) -> np.ndarray:
        """Return the indexed rows (m, width). They are mapped anew, so that no file stays open."""
        shape = self._count, self._width
        return np.asarray(np.memmap(self._rows, "<f4", "r", shape=shape))

    def append(self, records: np.ndarray, rows: np.ndarray) -> int:
        """Append `rows`, then the `records` of their keys; return the number of the first row."""
        # After a power failure too, no key may stand for a row that is not there.
        _append(self._rows, np.ascontiguousarray(rows, "<f4").tobytes(), flush=True)
        _append(self._keys, records.tobytes(), flush=False)
        self._count += len(records)
        return self._count - len(records)

    def grown(self) -> tuple[int, np.ndarray]:
        """Return the records that were added since the last call, and their first row.

        Keys beyond the end of the rows are left out: that shard was cut short.
        """
        start, keys = self._count, self._keys.stat().st_size // _RECORD.itemsize
        if keys <= start:
            return start, np.empty(0, _RECORD)
        whole = self._rows.stat().st_size // (4 * self._width) if self._rows.exists() else 0
        if whole < keys and not self._short:
            self._short = True
            LOG.warning("%s was cut short: %d of %d rows are lost", self._rows, keys - whole, keys)
        self._count = max(start, min(keys, whole))
        with open(self._keys, "rb") as file:
            file.seek(start * _RECORD.itemsize)
            content = file.read((self._count - start) * _RECORD.itemsize)
        return start, np.frombuffer(content, _RECORD)


def _append(path: Path, content: bytes, *, flush: bool) -> None:
    left = memoryview(content)
    with open(path, "ab", buffering=0) as file:
        while left:
            left = left[file.write(left) :]
        if flush:
            os.fsync(file.fileno())


def _as_numbers(keys: np.ndarray) -> np.ndarray:
    """Return the keys (n, 32) uint8 as (n, 4) whole numbers."""
    return np.ascontiguousarray(keys, np.uint8).view("<u8").reshape(len(keys), 4)

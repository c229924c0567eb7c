"""Perceptual hashes of 64 bits, and which of many differ in few bits.

Of n + 2 bands of bits, at least two are equal in hashes that differ in up to n bits (multi-index
hashing: Norouzi et al. 2012, "Fast search in Hamming space with multi-index hashing"). Only hashes
that share two bands are compared, so the time grows with the number of hashes and not with its
square, unless most of them are alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

NEAR_IDENTICAL_BITS = 4
"""Most bits, of 64, in which the perceptual hashes of near-identical pictures may differ."""

_PAIRS = 2**20  # compared at once
_COST = 16  # time to compare a pair that shares two bands, in comparisons of one code with all


def hash_codes(phashes: Iterable[str]) -> np.ndarray:
    """Return hexadecimal perceptual hashes as 64-bit integers."""
    return np.array([int(phash, 16) for phash in phashes], dtype=np.uint64)


def near_codes(
    codes: np.ndarray, bits: int = NEAR_IDENTICAL_BITS
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each place of `codes` (n,) with all earlier places whose codes are near, in order.

    Near are codes that differ in at most `bits` bits. A place without any is left out.
    """
    tables = [_Table(codes & mask) for mask in _masks(bits + 2)]
    pairs = np.zeros(len(codes), np.int64)  # to compare for each place
    for table in tables:
        pairs += table.earlier
    sums = np.cumsum(pairs)
    start = 0
    while start < len(codes):
        before = sums[start] - pairs[start]
        stop = max(start + 1, int(np.searchsorted(sums, before + _PAIRS, "right")))
        if _COST * (sums[stop - 1] - before) < (stop - start) * (start + stop) // 2:
            yield from _near_by_table(codes, tables, start, stop, bits)
        else:
            yield from _near_of_all(codes, start, stop, bits)
        start = stop


def _masks(count: int) -> list[np.uint64]:
    """Return the bits of every two of `count` bands."""
    widths = [64 // count + (band < 64 % count) for band in range(count)]
    ends = np.cumsum(widths).tolist()
    bands = [(1 << end) - (1 << (end - width)) for end, width in zip(ends, widths, strict=True)]
    return [np.uint64(one | other) for one, other in itertools.combinations(bands, 2)]


class _Table:
    """Places by the bits of two bands: `earlier` (n,) counts those before each that share them."""

    def __init__(self, values: np.ndarray) -> None:
        self._order = np.argsort(values, kind="stable").astype(np.int32)
        ordered = values[self._order]
        begins = np.append(True, ordered[1:] != ordered[:-1])[: len(values)]
        first = np.flatnonzero(begins)[np.cumsum(begins) - 1].astype(np.int32)
        self._first, self.earlier = np.empty((2, len(values)), np.int32)
        self._first[self._order] = first
        self.earlier[self._order] = np.arange(len(values), dtype=np.int32) - first

    def pairs(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the pairs (later, earlier) whose later place is from `start` to `stop`."""
        counts = self.earlier[start:stop].astype(np.int64)
        later = np.repeat(np.arange(start, stop), counts)
        within = np.arange(len(later)) - np.repeat(np.cumsum(counts) - counts, counts)
        return later, self._order[self._first[later] + within].astype(np.int64)


def _near_by_table(
    codes: np.ndarray, tables: list[_Table], start: int, stop: int, bits: int
) -> Iterator[tuple[int, np.ndarray]]:
    found = [np.empty(0, np.int64)]
    for table in tables:
        later, earlier = table.pairs(start, stop)
        near = np.bitwise_count(codes[later] ^ codes[earlier]) <= bits
        found.append(later[near] * len(codes) + earlier[near])
    later, earlier = np.divmod(np.unique(np.concatenate(found)), len(codes))
    for own in np.split(np.arange(len(later)), np.flatnonzero(np.diff(later)) + 1):
        if len(own):
            yield int(later[own[0]]), earlier[own]


def _near_of_all(
    codes: np.ndarray, start: int, stop: int, bits: int
) -> Iterator[tuple[int, np.ndarray]]:
    for place in range(start, stop):
        near = np.flatnonzero(np.bitwise_count(codes[:place] ^ codes[place]) <= bits)
        if len(near):
            yield place, near

"""Tests of near hashes and near-identical pictures, against comparing each with each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vital_lib.figures import hashes, near_identical
from vital_lib.figures.hashes import NEAR_IDENTICAL_BITS, near_codes

CODES = st.lists(st.integers(0, 2**64 - 1), max_size=12)
FLIPS = st.lists(st.integers(0, 63), max_size=6)


def each_with_each(
    codes: np.ndarray, most: int = NEAR_IDENTICAL_BITS
) -> list[tuple[int, list[int]]]:
    found = []
    for place in range(len(codes)):
        bits = np.bitwise_count(codes[:place] ^ codes[place])
        near = np.flatnonzero(bits <= most).tolist()
        found += [(place, near)] if near else []
    return found


def listed(codes: np.ndarray, *bits: int) -> list[tuple[int, list[int]]]:
    return [(place, near.tolist()) for place, near in near_codes(codes, *bits)]


def flipped(codes: np.ndarray, times: int, rng: np.random.Generator) -> np.ndarray:
    for _ in range(times):
        codes = codes ^ (np.uint64(1) << rng.integers(0, 64, len(codes)).astype(np.uint64))
    return codes


@pytest.fixture(params=["by table", "each with each", "as is cheaper"])
def way(request, monkeypatch) -> None:
    cost = {"by table": 0, "each with each": 10**9, "as is cheaper": hashes._COST}
    monkeypatch.setattr(hashes, "_COST", cost[request.param])


@pytest.mark.parametrize("bits", [0, 1, 3, 8, 12])
def test_codes_are_near_within_any_number_of_bits(way, bits):
    rng = np.random.default_rng(bits)
    codes = rng.integers(0, 2**64, 40, dtype=np.uint64)[rng.integers(0, 40, 300)]
    codes = np.concatenate([flipped(codes[:150], bits, rng), flipped(codes[150:], bits + 2, rng)])
    expected = each_with_each(codes, bits)
    assert listed(codes, bits) == expected and expected


@pytest.mark.parametrize("centres", [1, 5, 100, 2000])
@pytest.mark.parametrize("pairs", [7, 2**20])
def test_all_near_codes_are_found_in_order(way, monkeypatch, centres, pairs):
    monkeypatch.setattr(hashes, "_PAIRS", pairs)
    rng = np.random.default_rng(centres)
    codes = rng.integers(0, 2**64, centres, dtype=np.uint64)[rng.integers(0, centres, 500)]
    codes = np.concatenate([flipped(codes[:250], 2, rng), flipped(codes[250:], 4, rng)])
    expected = each_with_each(codes)
    assert listed(codes) == expected and expected


@given(CODES, FLIPS, st.data())
def test_codes_of_a_few_other_bits_are_near_wherever_the_bits_are(codes, flips, data):
    one = data.draw(st.integers(0, 2**64 - 1))
    other = one
    for bit in flips:
        other ^= 1 << bit
    both = np.array([one, *codes, other], np.uint64)
    assert listed(both) == each_with_each(both)
    assert listed(both[:0]) == []


def test_cosines_are_those_of_the_whole_matrix_bit_for_bit_and_rows_may_come_as_a_list():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2**64, 40, dtype=np.uint64)[rng.integers(0, 40, 300)]
    phashes = [f"{code:016x}" for code in codes]
    phashes[5] = phashes[250] = None
    vectors = rng.normal(size=(40, 129))[rng.integers(0, 2, 300)].astype(np.float32) * 3
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    found = list(near_identical(phashes, vectors))
    assert len(found) > 50
    for row, earlier, bits, cosines in found:
        assert phashes[row] and row not in (5, 250)
        near = [k for k in range(row) if k not in (5, 250) and phashes[k] == phashes[row]]
        products = unit[near] @ unit[row]
        assert earlier.tolist() == [k for k, c in zip(near, products, strict=True) if c >= 0.995]
        assert np.array_equal(cosines, products[products >= 0.995])
        assert set(bits) == {0}
    again = list(near_identical(phashes, list(vectors)))
    assert [[*map(np.ndarray.tolist, map(np.asarray, one))] for one in again] == [
        [*map(np.ndarray.tolist, map(np.asarray, one))] for one in found
    ]

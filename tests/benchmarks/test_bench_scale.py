"""What a million candidates and a million rows of features cost, beside ten thousand."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from measuring import median_seconds
from PIL import Image
from scipy import sparse

from vital_lib import encoders, selector
from vital_lib.figures import open_image
from vital_lib.shards import RowShards

pytestmark = pytest.mark.slow

SIZES = (10_000, 100_000, 1_000_000)
WIDTH = 1024
BENCHMARKS = Path(__file__).parent


def _repeated(rows: np.ndarray, n: int) -> np.ndarray:
    return np.tile(rows, (-(-n // len(rows)), 1))[:n]


@pytest.fixture(scope="module")
def some_rows() -> np.ndarray:
    """Ten thousand rows of unit length."""
    rows = np.random.default_rng(0).normal(size=(10_000, WIDTH)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _selector_of(weights: np.ndarray) -> selector.Selector:
    nothing = np.zeros((len(weights), 0), np.float32)
    learned = selector.model.Weights(
        **dict.fromkeys(("score", "prior"), weights),
        **dict.fromkeys(("constant", "shift"), np.ones(1, np.float32)),
        **{"basis": nothing, "covariance": np.zeros((2, 2), np.float32)},
    )
    scaling = selector.Scaling({}, *[np.zeros(WIDTH, np.float32)] * 3)
    return selector.Selector(scaling, learned, config={"encoder": ""}, metrics={})


def test_scoring_ready_features_costs_little_more_than_their_product_with_a_vector(
    some_rows, report
):
    weights = np.random.default_rng(1).normal(size=WIDTH).astype(np.float32)
    model, seconds = _selector_of(weights), {}
    for n in SIZES:
        dense = _repeated(some_rows, n)
        rows = selector.Scaled(dense, sparse.csr_array((n, 0), dtype=np.float32))
        bare, ours = median_seconds(lambda d=dense: d @ weights, lambda r=rows: model.score(r))
        seconds[n] = ours
    growth = seconds[SIZES[-1]] / (SIZES[-1] // SIZES[0] * seconds[SIZES[0]])
    report(
        "scale",
        million_scored_seconds=ours,
        scoring_speed_over_product=bare / ours,
        scoring_growth_of_one_in_a_million_over_ten_thousand=growth,
    )
    assert bare / ours > 0.7
    assert growth < 5  # ten thousand rows lie in the processor's cache


def test_selecting_a_million_takes_the_time_of_a_hundred_times_ten_thousand(report):
    """Groups, near-duplicates, cut by quota and conversations, in processes of their own."""
    found = {}
    for n in SIZES:
        command = [sys.executable, BENCHMARKS / "selecting.py", str(n), str(WIDTH)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[n] = json.loads(done.stdout)
    few, _, many = (found[n] for n in SIZES)
    growth = many["seconds"] / (SIZES[-1] // SIZES[0] * few["seconds"])
    report(
        "scale",
        million_selected_seconds=many["seconds"],
        million_near_duplicates_seconds=many["near_duplicates"],
        million_selected_peak_gb=many["peak_gb"],
        selecting_growth_of_one_in_a_million_over_ten_thousand=growth,
    )
    assert growth < 3
    assert many["peak_gb"] < 6


def test_a_second_run_of_encoding_reads_what_the_first_has_written(tmp_path, report):
    rng = np.random.default_rng(0)
    for number in range(500):
        pixels = rng.integers(0, 256, (64, 64), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    images = [open_image(tmp_path / f"{number}.png") for number in range(500)]
    texts = [f"There is an opacity of {number} mm in the left lung." for number in range(5000)]
    ratios = {}
    for kind, contents in (("images", images), ("texts", texts)):
        encoder = encoders.load_encoder("clinic", cache=tmp_path / "features")
        start = time.perf_counter()
        rows = getattr(encoder, kind)(contents)
        first = time.perf_counter() - start
        later = [encoders.load_encoder("clinic", cache=tmp_path / "features") for _ in range(5)]
        seconds = []
        for encoder in later:  # each opens the cache anew
            start = time.perf_counter()
            assert np.array_equal(getattr(encoder, kind)(contents), rows)
            seconds.append(time.perf_counter() - start)
        ratios[kind] = first / np.median(seconds)
    report("scale", **{f"second_run_speed_of_{kind}": ratio for kind, ratio in ratios.items()})
    assert min(ratios.values()) > 30


def test_a_million_rows_are_opened_sooner_than_read_and_take_little_more_than_their_bytes(
    some_rows, tmp_path, report
):
    found = {}
    for n in SIZES:
        folder, rng = tmp_path / str(n), np.random.default_rng(n)
        keys = rng.integers(0, 256, (n, 32), dtype=np.uint8)
        store = RowShards(folder, WIDTH)
        for start in range(0, n, len(some_rows)):
            part = keys[start : start + len(some_rows)]
            store.write(part, some_rows[: len(part)], np.zeros(len(part), bool))
        asked, rows = keys[rng.permutation(n)[:5_000]], np.empty((5_000, WIDTH), np.float32)
        [file] = folder.glob("*.rows")
        opening, reading, raw = median_seconds(
            lambda f=folder: len(RowShards(f, WIDTH)),
            lambda s=store, a=asked, r=rows: s.read(a, r),
            lambda f=file: np.fromfile(f, np.float32),
            times=3,
        )
        size = sum(path.stat().st_size for path in folder.iterdir())
        found[n] = opening, reading, raw, size / (4 * WIDTH * n)
    (few, few_read, *_), (opening, reading, raw, size) = found[SIZES[0]], found[SIZES[-1]]
    report(
        "scale",
        million_rows_opened_seconds=opening,
        million_rows_opened_over_read_raw=opening / raw,
        rows_per_second_in_a_million=5_000 / reading,
        lookup_in_a_million_over_ten_thousand=reading / few_read,
        opening_growth_of_one_in_a_million_over_ten_thousand=opening / (few * 100),
        million_rows_bytes_over_raw=size,
    )
    assert size < 1.05 and opening < raw
    assert opening < 3 * 100 * few

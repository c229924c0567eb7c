"""What training the selector costs, and what it would cost if features were not kept."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from measuring import median_seconds

from vital_lib import selector

pytestmark = pytest.mark.slow

EPOCHS = 6  # the paper's


def _pairs(names: list[str], number: int) -> pd.DataFrame:
    """`number` pairs of two different candidates each, by the judge."""
    rng = np.random.default_rng(0)
    left = rng.integers(len(names), size=number)
    right = (left + rng.integers(1, len(names), size=number)) % len(names)
    return pd.DataFrame({
        "left_id": [names[i] for i in left], "right_id": [names[i] for i in right],
        "preferred": 1.0, "weight": 1.0, "source": "judge", "annotator": "j", "split": "train",
    })  # fmt: skip


def _train(pairs: pd.DataFrame, features: selector.Features) -> None:
    selector.train_selector(pairs, features, w_human=0, epochs=EPOCHS, steps_at_least=1)


def test_features_encoded_once_beat_encoding_in_every_epoch(report):
    """The published selector encodes image and text anew for every pair of every epoch."""
    names = [f"c{n}" for n in range(400)]
    raw = np.random.default_rng(0).normal(size=(400, 64, 96)).astype(np.float32)
    body = torch.nn.TransformerEncoderLayer(96, 4, 384, batch_first=True).eval()
    pairs = _pairs(names, 400)
    places = [[int(name[1:]) for name in pairs[side]] for side in ("left_id", "right_id")]

    def encode(rows: list[int]) -> np.ndarray:
        with torch.inference_mode():
            return body(torch.from_numpy(raw[rows])).mean(dim=1).numpy()

    def once() -> None:
        _train(pairs, selector.Features(names, encode(list(range(400)))))

    def every_epoch() -> None:
        for _ in range(EPOCHS):
            for rows in places:
                encode(rows)
        once()

    ours, theirs = median_seconds(once, every_epoch, times=3)
    report("selector", once_seconds=ours, once_over_every_epoch=ours / theirs)
    assert ours < theirs


def test_a_pair_among_four_times_as_many_costs_no_more_to_learn_from(report):
    n, names = 250, [f"c{k}" for k in range(400)]
    rows = np.random.default_rng(0).normal(size=(400, 384)).astype(np.float32)
    features = selector.Features(names, rows)
    few, many = median_seconds(
        *(partial(_train, _pairs(names, number), features) for number in (n, 4 * n))
    )
    growth = many / (4 * few)
    report("selector", pairs_per_second=4 * n * EPOCHS / many, pair_of_4n_over_pair_of_n=growth)
    assert growth < 2

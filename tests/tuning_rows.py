"""Figures, conversations and a short tuning for the tests of tuning."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vital_lib.tuning import tune

ROUNDS = [
    ("Which modality is it?", "A CT scan."),
    ("On which side?", "On the left,\nin two lines."),
    ("How many?", "Two."),
]


@pytest.fixture
def figures(tmp_path):
    """Eight figures of different shapes."""
    rng = np.random.default_rng(0)
    rows = []
    for k in range(8):
        pixels = rng.integers(0, 256, (48 + 16 * k, 112, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"F{k}.png")
        rows.append({"figure_id": f"F{k}", "image": str(tmp_path / f"F{k}.png")})
    return pd.DataFrame(rows)


def conversation_rows(n=8, rounds=ROUNDS):
    """A conversation of `rounds` about each of `n` figures."""
    turns = [{"instruction": q, "response": a} for q, a in rounds]
    rows = [{"conversation_id": f"F{k}-c", "figure_id": f"F{k}", "turns": turns} for k in range(n)]
    return pd.DataFrame(rows)


def tune_shortly(base, conversations, figures, tmp_path, folder="adapter", **settings):
    """Tune for one pass in a folder of `tmp_path`."""
    settings = {"epochs": 1, "batch_size": 4, "learning_rate": 1e-3, **settings}
    return tune(base, conversations, figures, tmp_path / folder, **settings)

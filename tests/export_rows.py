"""Figures, conversations and pairs for the tests of exports, and the tools that read them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
from beside import installed_beside
from PIL import Image

PACKAGES = ["trl==1.16.0", "datasets==5.2.0", "dill==0.4.1", "multiprocess==0.70.19"]
PACKAGES += ["xxhash==4.1.0"]


def tools_beside() -> Path:
    """A folder with TRL and datasets, kept between runs; skips the test without an index."""
    return installed_beside("trl-1.16.0", PACKAGES)


def figure_rows(folder: Path, n: int = 5, **facts: object) -> pd.DataFrame:
    """Figures F0, F1, ... of the training split, licensed and cleared, with their images."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    rows = []
    for k in range(n):
        pixels = rng.integers(0, 256, (24 + 4 * k, 32, 3), dtype=np.uint8)
        path = folder / f"original-{k}.png"
        Image.fromarray(pixels).save(path)
        checksum = hashlib.sha256(path.read_bytes()).hexdigest()
        known = {"figure_id": f"F{k}", "image": str(path), "sha256": checksum, "group_id": f"g{k}"}
        known |= {"split": "train", "source": "PMC", "licence": "CC BY 4.0", "credit": "Ada"}
        rows.append({**known, "cleared": True, "cleared_reason": "checked", **facts})
    return pd.DataFrame(rows)


def conversation_rows(n: int = 5, rounds: int = 2) -> pd.DataFrame:
    """A conversation F0-c, F1-c, ... about each figure, as in table `selected`."""
    rows = []
    for k in range(n):
        turns = [
            {"instruction": f"Question {r} on {k}?", "response": f"Answer {r} on {k}, µ = 3."}
            for r in range(rounds)
        ]
        row = {"conversation_id": f"F{k}-c", "figure_id": f"F{k}", "turns": turns}
        rows.append({**row, "score": float(n - k), "rank": k + 1})
    return pd.DataFrame(rows)


def with_texts(*rounds: tuple[object, object]) -> pd.DataFrame:
    """One conversation about F0 with the given questions and answers."""
    turns = [{"instruction": question, "response": answer} for question, answer in rounds]
    return conversation_rows(1).assign(turns=[turns])


def candidate_rows(n: int = 5) -> pd.DataFrame:
    """Two responses, F0-a and F0-b, to a question about each figure."""
    rows = [
        {
            "candidate_id": f"F{k}-{side}",
            "conversation_id": f"F{k}-draft",
            "figure_id": f"F{k}",
            "instruction": f"Where is it on {k}?",
            "response": f"{words} on {k}.",
            "generator": "clinic",
            "prompt_version": "0123456789",
            "arm": "none",
        }
        for k in range(n)
        for side, words in (("a", "On the left"), ("b", "On the right"))
    ]
    return pd.DataFrame(rows)


def pair_rows(n: int = 5) -> pd.DataFrame:
    """A pair about each figure: b is better for F0, a for F1, and so on by turns."""
    rows = [
        {
            "left_id": f"F{k}-a",
            "right_id": f"F{k}-b",
            "preferred": float(k % 2),
            "weight": 1.0,
            "source": "human",
            "annotator": "majority",
            "split": "train",
        }
        for k in range(n)
    ]
    return pd.DataFrame(rows)

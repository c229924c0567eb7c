"""Drafts and candidates with ratings, ticks, scores and a cut, for the tests of the explorer."""

from __future__ import annotations

import numpy as np
import pandas as pd
from panel_rows import CANDIDATES, DRAFTS, FIGURES

ROWS = pd.concat([DRAFTS, CANDIDATES], ignore_index=True).assign(
    split=lambda rows: rows["figure_id"].map({"f1": "train", "f2": "test", "f3": "train"})
)
IDS = list(ROWS["candidate_id"])
CRITERIA = [{"criterion": "image_use", "rating": 3.0}, {"criterion": "scope", "rating": None}]
RATINGS = pd.DataFrame(
    {
        "candidate_id": [IDS[0], IDS[0], IDS[1], IDS[2], IDS[3]],
        "judge": "clinic",
        "repeat": [0, 1, 0, 0, 0],
        "overall": [9.0, 8.0, 2.0, None, 10.0],
        "criteria": [CRITERIA] * 5,
        "rationale": ["right side", "second look", "poor", None, "fair"],
        "reply_id": "r",
    }
)
TICKS = pd.DataFrame(
    {
        "candidate_id": [IDS[0], IDS[0], IDS[1], IDS[1], IDS[2]],
        "annotator": ["ann", "bob", "ann", "bob", "ann"],
        "accepted": [1.0, 1.0, 1.0, 0.0, None],
    }
)
SCORES = pd.DataFrame({"candidate_id": IDS[:10], "score": np.linspace(-2, 2, 10)})
OUTCOME = pd.DataFrame({"candidate_id": IDS[8:], "outcome": ["kept"] * 3 + ["left out"] * 3})
TABLES = {"ratings": RATINGS, "ticks": TICKS, "scores": SCORES, "outcome": OUTCOME}


def many_rows(n: int, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`n` candidates of many figures with random values, and their figures."""
    rng = np.random.default_rng(seed)
    words = np.array(["Left", "right", "lower", "upper", "ÉTAGE", "lung", "no", "clear", "small"])
    places = np.arange(n)
    figure = [f"F{place // 5}" for place in places]
    rows = pd.DataFrame(
        {
            "candidate_id": [f"c{place}" for place in places],
            "instruction_id": [f"i{place // 2}" for place in places],
            "conversation_id": [f"{name}-final-none" for name in figure],
            "figure_id": figure,
            "stage": rng.choice(["draft", "final"], n),
            "arm": rng.choice(["none", "random", "clinician"], n),
            "split": rng.choice(["train", "validation", "test"], n),
            "round": 1 + places % 5,
            "instruction": [" ".join(rng.choice(words, 4)) for _ in places],
            "response": [" ".join(rng.choice(words, 8)) + f" #{place}" for place in places],
            "question_type": rng.choice(["side", "count", None], n),
            "demonstration_ids": [[]] * n,
            "generator": "clinic",
            "prompt_version": "v1",
            "reply_id": "r",
            "flags": [list(rng.choice(["a", "b"], rng.integers(3), replace=False)) for _ in places],
        }
    )
    names = list(dict.fromkeys(figure))
    figures = pd.DataFrame(
        {
            "figure_id": names,
            "caption": [" ".join(rng.choice(words, 5)) for _ in names],
            "mentions": [[]] * len(names),
            "modalities": [list(rng.choice(["mri", "gross"], rng.integers(3), replace=False))
                           for _ in names],
        }
    )  # fmt: skip
    return rows, figures


assert len(IDS) == 14 and FIGURES["figure_id"].tolist() == ["f1", "f2", "f3"]

"""Small figures, drafts, labels and ratings for the tests of the selector; an encoder, a world.

Knows nothing of what any test claims.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from vital_lib.selector import Features

SPLITS = ("train", "validation", "test")


def figure_rows(n: int = 6) -> pd.DataFrame:
    """Figures F0, F1, ... of articles g0, g1, ...; splits in turn."""
    names = [f"F{k}" for k in range(n)]
    return pd.DataFrame(
        {
            "figure_id": names,
            "group_id": [f"g{k}" for k in range(n)],
            "split": [SPLITS[k % 3] for k in range(n)],
            "image": [f"{name}.png" for name in names],
            "caption": [f"caption of {name}" for name in names],
            "mentions": [[f"mention of {name}"] for name in names],
        }
    )


def draft_rows(n: int = 6) -> pd.DataFrame:
    """Two responses to one instruction for each figure."""
    rows = [
        {
            "candidate_id": f"F{k}-r1-{side}",
            "instruction_id": f"F{k}-r1",
            "figure_id": f"F{k}",
            "group_id": f"g{k}",
            "split": SPLITS[k % 3],
            "instruction": "What is shown?",
            "response": f"Answer {side} to {k}.",
        }
        for k in range(n)
        for side in "ab"
    ]
    return pd.DataFrame(rows)


def preference_rows(*votes: tuple[int, str, str], arm: str = "random") -> pd.DataFrame:
    """Preferences from (figure number, annotator, which were accepted: "ab", "a", "", "skip")."""
    rows = []
    for number, who, accepted in votes:
        left, right = ("a", "b") if len(rows) % 2 else ("b", "a")
        ticks = [None, None] if accepted == "skip" else [left in accepted, right in accepted]
        rows.append(
            {
                "item_id": f"F{number}-r1",
                "annotator": who,
                "left_id": f"F{number}-r1-{left}",
                "right_id": f"F{number}-r1-{right}",
                "left_accepted": ticks[0],
                "right_accepted": ticks[1],
                "drawn_by": arm,
            }
        )
    frame = pd.DataFrame(rows)
    return frame.astype({"left_accepted": "boolean", "right_accepted": "boolean"})


def better_of(pairs: pd.DataFrame) -> list[str]:
    """The preferred candidate of each pair."""
    return [
        row.left_id if row.preferred == 1 else row.right_id for row in pairs.itertuples(index=False)
    ]


def rating_rows(**overall: float | None) -> pd.DataFrame:
    rows = [
        {"candidate_id": name, "judge": "j", "repeat": 0, "overall": value}
        for name, value in overall.items()
    ]
    return pd.DataFrame(rows).astype({"overall": float})


def rated(n: int, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ratings 0 to 4 of `n` candidates of a figure each, with those candidates."""
    overall = np.random.default_rng(seed).integers(0, 5, n).astype(float)
    names = [f"c{k}" for k in range(n)]
    candidates = candidate_rows(*range(n))
    return rating_rows(**dict(zip(names, overall, strict=True))), candidates


def candidate_rows(*numbers: int) -> pd.DataFrame:
    """Candidates c0, c1, ... of figures F0, F1, ..., as in `figure_rows`."""
    rows = [(f"c{k}", f"F{k}", f"g{k}", SPLITS[k % 3]) for k in numbers]
    return pd.DataFrame(rows, columns=["candidate_id", "figure_id", "group_id", "split"])


class WordEncoder:
    """An encoder of its own kind: words hashed to places, and a window of 12 words."""

    name, fingerprint, window = "words", "f" * 64, 12

    def __init__(self) -> None:
        self.encoded = 0

    def texts(self, texts):
        rows = np.zeros((len(texts), 64), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.split()[: self.window]:
                row[sum(word.encode()) % 64] += 1
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)

    def images(self, images):
        self.encoded += len(images)
        rows = np.ones((len(images), 64), np.float32)
        for row, image in zip(rows, images, strict=True):
            row[:3] += np.asarray(image.pixels(), np.float32).mean(axis=(0, 1))
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def world(n: int = 300, width: int = 12, seed: int = 0):
    """Features whose first column decides; (features, draw(k, split, source, sign) -> pairs).

    Splits own a third of the candidates each; with sign -1 the lower one is preferred.
    """
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(n, width)).astype(np.float32)
    ids = [f"c{k}" for k in range(n)]

    def draw(k: int, split: str, source: str = "human", sign: int = 1) -> pd.DataFrame:
        third = SPLITS.index(split) * (n // 3)
        places = third + np.array([rng.choice(n // 3, 2, replace=False) for _ in range(k)])
        left, right = places.T
        return pd.DataFrame(
            {
                "left_id": [ids[i] for i in left],
                "right_id": [ids[i] for i in right],
                "preferred": (sign * matrix[left, 0] > sign * matrix[right, 0]).astype(float),
                "weight": 1.0,
                "source": source,
                "annotator": "majority" if source == "human" else "j",
                "split": split,
            }
        )

    return Features(ids, {"text": matrix}), draw

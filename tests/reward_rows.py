"""Drafts whose wording is drawn at random, and annotators and judges with a declared preference."""

from __future__ import annotations

import numpy as np
import pandas as pd

EXTRA = "Nothing else stands out in this part of the picture."


def drafts(articles: int = 60, rounds: int = 4, seed: int = 0) -> pd.DataFrame:
    """Two responses to each of `rounds` instructions about one figure an article.

    By lot, and independently, half of them have a hedge, half an absolute word (in place of other
    words, so that the length is the same), and half one sentence more.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for place in range(articles * rounds * 2):
        pair, side = divmod(place, 2)
        article, number = divmod(pair, rounds)
        hedge, absolute = (
            ("now", "possibly")[rng.integers(2)],
            ("here", "definitely")[rng.integers(2)],
        )
        ending = f" {EXTRA}" if rng.integers(2) else ""
        instruction = f"f{article}-r{number}"
        rows.append(
            {
                "candidate_id": f"{instruction}-{'ab'[side]}",
                "instruction_id": instruction,
                "figure_id": f"f{article}",
                "group_id": f"g{article}",
                "instruction": "Where does the lesion lie?",
                "response": f"The lesion {hedge} lies {absolute} in the upper part.{ending}",
                "flags": ["names_the_text"] if rng.integers(4) == 0 else [],
            }
        )
    return pd.DataFrame(rows)


def has(word: str, rows: pd.DataFrame) -> np.ndarray:
    """Whether each response contains `word`: 0.0 or 1.0."""
    return rows["response"].str.contains(word, regex=False).to_numpy(float)


def preferences(rows: pd.DataFrame, accept: dict[str, np.ndarray], seed: int = 0) -> pd.DataFrame:
    """Votes of annotators, who accept each response with their chance in `accept` (n,)."""
    rng = np.random.default_rng([seed, 1])
    parts = []
    for who, chance in accept.items():
        ticks = rng.random(len(rows)) < chance
        left, right = rows.iloc[::2], rows.iloc[1::2]
        parts.append(
            pd.DataFrame(
                {
                    "item_id": left["instruction_id"].to_numpy(),
                    "annotator": who,
                    "left_id": left["candidate_id"].to_numpy(),
                    "right_id": right["candidate_id"].to_numpy(),
                    "left_accepted": ticks[::2],
                    "right_accepted": ticks[1::2],
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def ratings(rows: pd.DataFrame, overall: np.ndarray, seed: int = 0) -> pd.DataFrame:
    """Two ratings of each response by judge j, around `overall` (n,)."""
    rng = np.random.default_rng([seed, 2])
    parts = [
        rows[["candidate_id"]].assign(judge="j", overall=(overall + rng.normal(size=len(rows))))
        for _ in range(2)
    ]
    return pd.concat(parts, ignore_index=True)

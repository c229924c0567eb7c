"""Candidates, scores and their selection for the tests of selection."""

from __future__ import annotations

import numpy as np
import pandas as pd

from vital_lib.selection import conversations, cut


def candidate_rows(conversations: int = 5, rounds: int = 4) -> pd.DataFrame:
    """Candidates F0-final-r1-a, ... in reverse order of their rounds."""
    rows = [
        {
            "candidate_id": f"F{c}-final-r{r}-a",
            "conversation_id": f"F{c}-final",
            "figure_id": f"F{c}",
            "group_id": f"g{c}",
            "round": r,
            "instruction": f"Question {r} on {c}?",
            "response": f"Answer {r} on {c}.",
        }
        for r in reversed(range(1, rounds + 1))
        for c in range(conversations)
    ]
    return pd.DataFrame(rows)


def scores_for(candidates: pd.DataFrame, seed: int = 0) -> pd.Series:
    """A random score for each candidate."""
    values = np.random.default_rng(seed).normal(size=len(candidates))
    return pd.Series(values, index=pd.Index(candidates["candidate_id"]))


def select(candidates: pd.DataFrame, scores, **how) -> pd.DataFrame:
    """The conversations that a cut keeps."""
    return conversations(candidates, cut(candidates, scores, **how))


def rounds_in(selected: pd.DataFrame) -> int:
    """The number of rounds of all conversations."""
    return int(selected["turns"].str.len().sum())

"""What selecting costs as candidates grow in number."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from measuring import median_seconds

from vital_lib.selection import conversations, cut

pytestmark = pytest.mark.slow


def _candidates(conversations: int, rounds: int = 5) -> tuple[pd.DataFrame, dict[str, float]]:
    """Candidates and their scores."""
    names = [(f"F{c}", r) for c in range(conversations) for r in range(1, rounds + 1)]
    rows = [
        {
            "candidate_id": f"{figure}-final-r{r}-a", "conversation_id": f"{figure}-final",
            "figure_id": figure, "round": r, "instruction": f"Question {r}?", "response": "Left.",
        }
        for figure, r in names
    ]  # fmt: skip
    scores = np.random.default_rng(0).normal(size=len(rows))
    return pd.DataFrame(rows), dict(zip((row["candidate_id"] for row in rows), scores, strict=True))


def _select(candidates: pd.DataFrame, scores: dict[str, float]) -> pd.DataFrame:
    return conversations(candidates, cut(candidates, scores, share=0.4))


def test_selecting_from_four_times_as_many_candidates_costs_no_more_for_each(report):
    few, many = _candidates(1_000), _candidates(4_000)
    short, long = median_seconds(lambda: _select(*few), lambda: _select(*many))
    growth = long / (4 * short)
    report(
        "selection",
        candidates_per_second=len(many[0]) / long,
        candidate_of_4n_over_candidate_of_n=growth,
    )
    assert growth < 2

"""How well scores agree with pairs: pairwise agreement, AUC, mean rank, average precision.

Method, stage 2, item 10. Scores may come from anywhere: a selector, a judge's ratings, a baseline.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd


def pair_agreement(pairs: pd.DataFrame, scores: Mapping[str, float] | pd.Series) -> np.ndarray:
    """Per pair (n,): 1.0 where the scores order it as preferred, 0.0 where not, 0.5 where they tie.

    The mean is the paper's "alignment rate". A null score (an unread rating) orders nothing and
    counts as a tie, so that a judge gains nothing by not answering.

    Args:
        pairs: columns left_id, right_id, preferred (1 or 0).
        scores: candidate_id -> score.

    Raises:
        ValueError: a pair without a preferred side, or candidates without an entry in `scores`.
    """
    better, worse = _ordered(pairs, scores)
    agreement = np.where(better > worse, 1.0, np.where(better < worse, 0.0, 0.5))
    return np.where(np.isnan(better) | np.isnan(worse), 0.5, agreement)


def alignment_metrics(
    pairs: pd.DataFrame, scores: Mapping[str, float] | pd.Series
) -> dict[str, float]:
    """agreement, auc, mean_rank and average_precision over all responses of `pairs`.

    As the published code computes them: the preferred responses of all pairs against all others.

    Raises:
        ValueError: as `pair_agreement`; also no pairs, or null scores.
    """
    better, worse = _ordered(pairs, scores)
    null = int(np.isnan(np.r_[better, worse]).sum())
    if null or not len(better):
        raise ValueError(f"{null} null scores among {len(better)} pairs: a ranking needs them all")
    return {
        "agreement": float(pair_agreement(pairs, scores).mean()),
        "auc": auc(better, worse),
        "mean_rank": mean_rank(better, worse),
        "average_precision": average_precision(better, worse),
    }


def auc(better: np.ndarray, worse: np.ndarray) -> float:
    """The chance that a preferred response outscores any other; ties count half. 1 is best."""
    ranks = pd.Series(np.r_[better, worse]).rank().to_numpy()[: len(better)]
    wins = ranks.sum() - len(better) * (len(better) + 1) / 2
    return float(wins / (len(better) * len(worse)))


def mean_rank(better: np.ndarray, worse: np.ndarray) -> float:
    """Mean rank of the preferred among all, best first, as a share of their number; 0.25 is best.

    Equal scores share their mean rank, so that scores that say nothing come to 0.5.
    """
    scores = pd.Series(np.r_[better, worse])
    ranks = scores.rank(ascending=False).to_numpy()[: len(better)] - 0.5
    return float(ranks.mean() / len(scores))


def average_precision(better: np.ndarray, worse: np.ndarray) -> float:
    """Mean over the preferred of the share of preferred among all that score as high. 1 is best.

    Equal scores stand or fall together: their order in the table cannot raise it.
    """
    as_high = np.sort(better)
    hits = len(better) - np.searchsorted(as_high, better, side="left")
    others = len(worse) - np.searchsorted(np.sort(worse), better, side="left")
    return float((hits / (hits + others)).mean())


def _ordered(
    pairs: pd.DataFrame, scores: Mapping[str, float] | pd.Series
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the preferred and of the other candidate of each pair, both (n,)."""
    undecided = ~pairs["preferred"].isin([0.0, 1.0])
    if undecided.any():
        raise ValueError(
            f"{int(undecided.sum())} of {len(pairs)} pairs prefer neither side "
            f"(preferred {pairs['preferred'][undecided].iloc[0]!r}): leave ties out"
        )
    found = dict(scores)
    wanted = set(pairs["left_id"]) | set(pairs["right_id"])
    lost = sorted(wanted - set(found))
    if lost:
        raise ValueError(
            f"{len(lost)} of {len(wanted)} candidates have no score, first {lost[0]!r}"
        )
    left, right = (
        np.array([found[name] for name in pairs[side]], dtype=float)
        for side in ("left_id", "right_id")
    )
    first = pairs["preferred"].to_numpy(float) == 1.0
    return np.where(first, left, right), np.where(first, right, left)

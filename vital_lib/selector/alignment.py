"""Agreement of scores with preference pairs: pairwise agreement, AUC, mean rank, average precision.

Method, stage 2, item 10. Scores can come from a selector, a judge's ratings or a baseline.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from vital_lib.tables import refuse_missing


def pair_agreement(pairs: pd.DataFrame, scores: Mapping[str, float] | pd.Series) -> np.ndarray:
    """Return 1.0 per pair (n,) if the scores order it as preferred, 0.0 if not, 0.5 if they tie.

    The mean is the paper's "alignment rate". A null score (an unreadable rating) counts as a tie,
    so a judge gains nothing by not answering.

    Args:
        pairs: columns left_id, right_id, preferred (1 or 0).
        scores: candidate_id -> score.

    Raises:
        ValueError: a pair has no preferred side, or a candidate is missing from `scores`.
    """
    better, worse = _ordered(pairs, scores)
    agreement = np.where(better > worse, 1.0, np.where(better < worse, 0.0, 0.5))
    return np.where(np.isnan(better) | np.isnan(worse), 0.5, agreement)


def alignment_metrics(
    pairs: pd.DataFrame, scores: Mapping[str, float] | pd.Series
) -> dict[str, float]:
    """Return agreement, auc, mean_rank and average_precision over all responses of `pairs`.

    As in the published code, the preferred responses of all pairs are compared with all others.

    Raises:
        ValueError: as `pair_agreement`; also if there are no pairs or a score is null.
    """
    better, worse = _ordered(pairs, scores)
    null = int(np.isnan(np.r_[better, worse]).sum())
    if null or not len(better):
        raise ValueError(
            f"{null} null scores among {len(better)} pairs: give pairs with scored responses"
        )
    return {
        "agreement": float(pair_agreement(pairs, scores).mean()),
        "auc": auc(better, worse),
        "mean_rank": mean_rank(better, worse),
        "average_precision": average_precision(better, worse),
    }


def auc(better: np.ndarray, worse: np.ndarray) -> float:
    """Return the probability that a preferred response outscores a non-preferred response.

    Ties count half. The best value is 1.
    """
    ranks = pd.Series(np.r_[better, worse]).rank().to_numpy()[: len(better)]
    wins = ranks.sum() - len(better) * (len(better) + 1) / 2
    return float(wins / (len(better) * len(worse)))


def mean_rank(better: np.ndarray, worse: np.ndarray) -> float:
    """Return the mean rank of the preferred responses as a share of all responses, best first.

    The best value is 0.25. Tied scores share their mean rank, so uninformative scores give 0.5.
    """
    scores = pd.Series(np.r_[better, worse])
    ranks = scores.rank(ascending=False).to_numpy()[: len(better)] - 0.5
    return float(ranks.mean() / len(scores))


def average_precision(better: np.ndarray, worse: np.ndarray) -> float:
    """Return the mean precision at the scores of the preferred responses; the best value is 1.

    Tied scores are counted together, so the order of rows cannot raise the value.
    """
    as_high = np.sort(better)
    hits = len(better) - np.searchsorted(as_high, better, side="left")
    others = len(worse) - np.searchsorted(np.sort(worse), better, side="left")
    return float((hits / (hits + others)).mean())


def _ordered(
    pairs: pd.DataFrame, scores: Mapping[str, float] | pd.Series
) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of the preferred and of the other candidate of each pair, both (n,)."""
    undecided = ~pairs["preferred"].isin([0.0, 1.0])
    if undecided.any():
        raise ValueError(
            f"{int(undecided.sum())} of {len(pairs)} pairs prefer neither side "
            f"(preferred {pairs['preferred'][undecided].iloc[0]!r}): leave out ties"
        )
    found = dict(scores)
    wanted = sorted({*pairs["left_id"], *pairs["right_id"]})
    refuse_missing(wanted, found, "candidates have no score", "score every candidate of the pairs")
    left, right = (
        np.array([found[name] for name in pairs[side]], dtype=float)
        for side in ("left_id", "right_id")
    )
    first = pairs["preferred"].to_numpy(float) == 1.0
    return np.where(first, left, right), np.where(first, right, left)

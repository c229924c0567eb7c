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
    `mean_rank` is the mean rank of the preferred responses as a share of all responses, best first:
    0.25 at best, and 0.5 for scores that are all equal. The other metrics are 1 at best.

    Raises:
        ValueError: as `pair_agreement`; also if there are no pairs or a score is null.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    better, worse = _ordered(pairs, scores)
    numbers = np.r_[better, worse]
    null = int(np.isnan(numbers).sum())
    if null or not len(better):
        raise ValueError(
            f"{null} null scores among {len(better)} pairs: give pairs with scored responses"
        )
    preferred = np.arange(len(numbers)) < len(better)
    ranks = pd.Series(numbers).rank(ascending=False)[preferred] - 0.5
    return {
        "agreement": float(pair_agreement(pairs, scores).mean()),
        "auc": float(roc_auc_score(preferred, numbers)),
        "mean_rank": float(ranks.mean() / len(numbers)),
        "average_precision": float(average_precision_score(preferred, numbers)),
    }


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

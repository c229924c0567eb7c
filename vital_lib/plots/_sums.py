"""The two computations that plots need: principal components, and an interval of a share."""

from __future__ import annotations

import numpy as np
import pandas as pd


def pca_2d(features: np.ndarray) -> tuple[np.ndarray, tuple[str, str]]:
    """Return the first two principal components of (n, d) features, with their shares of variance.

    Fewer than two figures lie at the origin. Features with two columns are returned unchanged.

    Raises:
        ValueError: a feature is not finite.
    """
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(bad):
        raise ValueError(
            f"features of {len(bad)} of {len(features)} figures are not finite, first in row "
            f"{bad[0]}"
        )
    if features.shape[1] == 2:
        return features, ("", "")
    if len(features) < 2:
        return np.zeros((len(features), 2)), ("", "")
    left, sizes, _ = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
    shares = 100 * sizes**2 / max(float((sizes**2).sum()), 1e-12)
    first, second = (f" ({share:.0f} % of variance)" for share in shares[:2])
    return left[:, :2] * sizes[:2], (first, second)


def wilson(percent: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Return (2, n) distances from a share in percent down and up to its 95 % interval."""
    z, share = 1.959964, percent / 100
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return 100 * np.maximum(0, np.vstack([share - middle + half, middle + half - share]))


def accepted_share(labels: pd.DataFrame) -> pd.Series:
    """Mean `accepted` by candidate_id; candidates without one are left out."""
    known = labels.dropna(subset="accepted")
    return known.accepted.astype(float).groupby(known.candidate_id).mean().rename("accepted")

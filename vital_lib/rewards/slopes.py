"""Slopes of an outcome on properties, within strata, tested and with intervals over articles.

The tests flip the signs of whole articles at random, which needs no assumption about the spread.
The intervals are the bootstraps of ``statistics``. Knows no response, annotator or judge.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from vital_lib.statistics import FLIPS, LEAST_GROUPS, RESAMPLES, sign_flip_test, sums_intervals

FALSE_DISCOVERIES = 0.05
"""Highest expected share of chance findings among the findings (Benjamini and Hochberg 1995)."""

NUMBERS = (
    *("effect", "low", "high", "same_length", "same_length_low", "same_length_high", "p"),
    *("n", "articles"),
)
"""Columns of `slopes` besides `property`."""


def slopes(
    x: pd.DataFrame,
    outcome: np.ndarray,
    strata: np.ndarray,
    articles: np.ndarray,
    *,
    length: str | None,
    seed: int = 0,
    flips: int = FLIPS,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Regress `outcome` on each column of `x` alone, with one fixed effect per stratum.

    Args:
        x: (n, k), a column per property.
        outcome, strata, articles: of each row (n,).
        length: the column that `same_length` holds equal; None: `same_length` is null.
        seed, flips, resamples: of the sign-flip test and of the bootstrap.

    Returns:
        One row per column of `x`: property, then `NUMBERS`. `n` and `articles` count the strata
        with a difference in the property, and their articles. With fewer than ``LEAST_GROUPS``
        articles the other numbers are null.
    """
    names = list(x)
    inside = _within(x.to_numpy(float), strata)  # (n, k)
    y = _within(np.asarray(outcome, float)[:, None], strata)  # (n, 1)
    held = inside[:, [names.index(length)]] if length else np.zeros_like(y)
    held = np.broadcast_to(held, inside.shape)
    products = [inside * y, inside**2, inside * held, held**2, held * y]
    differs = pd.DataFrame(np.abs(inside) > 1e-9, columns=names)
    n, groups = (differs.groupby(by).any().sum() for by in (strata, articles))
    counts, draws = [*n, *n], {"seed": seed, "resamples": resamples}
    found = sums_intervals(articles, np.hstack(products).T, _quotients, n=counts, **draws)
    p = sign_flip_test(inside * y, articles, seed=seed, flips=flips)
    rows = []
    for place, name in enumerate(names):
        row = {"property": name, "n": int(n[name]), "articles": int(groups[name])}
        if groups[name] >= LEAST_GROUPS:
            row |= found[place].metrics("effect") | {"p": p[place]}
            if length not in (None, name):
                row |= found[len(names) + place].metrics("same_length")
        rows.append(row)
    renamed = {"effect_low": "low", "effect_high": "high"}
    return pd.DataFrame(rows).rename(columns=renamed).reindex(columns=["property", *NUMBERS])


def corrected(p: pd.Series) -> pd.Series:
    """Return the p-values corrected for their number; null stays null."""
    from scipy.stats import false_discovery_control

    known = p.dropna()
    adjusted = false_discovery_control(known) if len(known) else []
    return pd.Series(adjusted, known.index, dtype=float).reindex(p.index)


def _within(values: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """Return `values` (n, k) minus the mean of their stratum (n,)."""
    frame = pd.DataFrame(values)
    return (frame - frame.groupby(strata).transform("mean")).to_numpy()


def _quotients(sums: np.ndarray) -> np.ndarray:
    """Return slopes (R, 2k) from sums of products (R, 5k): alone, and beside the length."""
    xy, xx, xl, ll, ly = np.split(sums, 5, axis=1)
    determinant = xx * ll - xl**2
    with np.errstate(divide="ignore", invalid="ignore"):
        beside = np.where(determinant > 1e-9 * xx * ll, (xy * ll - ly * xl) / determinant, np.nan)
        return np.hstack([xy / xx, beside])

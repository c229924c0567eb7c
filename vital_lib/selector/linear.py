"""The two linear fits behind the selector: the judge's prior, and the people's ticks upon it.

Both are penalised by L2, so that their weights lie in the span of the rows they learn from; where
these are fewer than the columns, that span is where the sums are done. This module sees scaled
rows, numbers and groups: it knows nothing of ids, tables or files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.special import expit

from vital_lib.selector.scaling import Scaled

PENALTIES = (3.0, 10.0, 30.0, 100.0)
"""Penalties of the ridge that are tried; the second where there is one article alone."""
STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0)
"""Values of C that are tried for what people correct; the third where there is one article."""
DIRECTIONS = 512
"""Directions of the labelled rows that are kept, the widest first."""


def fit_ridge(rows: Scaled, ratings: np.ndarray, groups: Sequence) -> tuple[np.ndarray, float]:
    """Weights (D + S,) that foretell the `ratings` (n,) of `rows`, and the penalty chosen.

    The penalty is the one of `PENALTIES` with the least squared error on a third of the groups.
    """
    target = ratings - ratings.mean()
    penalty = PENALTIES[1]
    if len(set(groups)) > 1:
        learn, try_on = next(folds(groups, 3))
        part, held_out = rows.take(learn), rows.take(try_on)
        errors = [
            np.square(held_out.dot(weights) - target[try_on]).mean()
            for weights in _ridges(part, target[learn], PENALTIES)
        ]
        penalty = PENALTIES[int(np.argmin(errors))]
    return next(_ridges(rows, target, [penalty])), penalty


def _ridges(rows: Scaled, target: np.ndarray, penalties: Sequence[float]) -> Iterator[np.ndarray]:
    """The ridge's weights (D + S,) at each of `penalties`.

    Solved among rows or among columns, whichever are fewer.
    """
    columns = rows.dense.shape[1] + rows.sparse.shape[1]
    among_rows = len(rows) <= columns
    gram = rows.gram(rows) if among_rows else _column_products(rows)
    wanted = target if among_rows else rows.combine(target)
    for penalty in penalties:
        shifted = gram.copy()
        shifted[np.diag_indices_from(shifted)] += penalty
        factor = cho_factor(shifted, overwrite_a=True, check_finite=False)
        found = cho_solve(factor, wanted.astype(shifted.dtype), check_finite=False)
        yield rows.combine(found) if among_rows else found


def _column_products(rows: Scaled) -> np.ndarray:
    """Products (D + S, D + S) of every column with every other."""
    across = rows.sparse.T @ rows.dense  # (S, D)
    own = (rows.sparse.T @ rows.sparse).toarray()
    return np.block([[rows.dense.T @ rows.dense, across.T], [across, own]])


@dataclass(frozen=True)
class Corrections:
    """What people's ticks make of the prior.

    Attributes:
        basis: (D + S, r) directions of length 1 that the ticked rows span.
        weights: (r + 2,) of those directions, of the prior (0 without one) and of the constant.
        covariance: (r + 2, r + 2) of the weights, by Laplace's approximation.
        strength: C, also the variance of every direction that no ticked row has.
    """

    basis: np.ndarray
    weights: np.ndarray
    covariance: np.ndarray
    strength: float


def fit_ticks(
    rows: Scaled, ticks: np.ndarray, accepted: np.ndarray, prior: np.ndarray, groups: Sequence
) -> Corrections:
    """Logistic regression of people's ticks on the `prior` and on the rows themselves.

    Every tick counts once. The weight of the prior is drawn to 1 by a single tick's worth, and
    all others to 0 by the strength C, which is chosen by cross-validation over five folds of the
    groups: people correct the judge where their ticks say so.

    Args:
        rows: one row for each ticked response.
        ticks: (n,) how many judged each; `accepted`: (n,) the share that accepted it.
        prior: (n,) the judge's prior in standard deviations; all 0 without one.
        groups: (n,) the article of each.
    """
    basis = _basis(rows)
    seen = np.c_[rows.dot(basis), prior, np.ones(len(rows))].astype(float)  # (n, r + 2)
    start = np.zeros(seen.shape[1])
    start[-2] = float(prior.any())
    strength = STRENGTHS[2]
    if len(set(groups)) > 1:
        splits = list(folds(groups, 5))

        def held_out_loss(strength: float) -> float:
            return sum(
                logistic_loss(seen[b] @ _logistic(seen[a], ticks[a], accepted[a], start, strength),
                              ticks[b], accepted[b])
                for a, b in splits
            )  # fmt: skip

        strength = min(STRENGTHS, key=held_out_loss)
    weights = _logistic(seen, ticks, accepted, start, strength)
    chance = expit(seen @ weights)
    curvature = (seen * (ticks * chance * (1 - chance))[:, None]).T @ seen
    covariance = np.linalg.inv(curvature + np.diag(_penalty(start, strength)))
    return Corrections(basis, weights, covariance, strength)


def logistic_loss(scores: np.ndarray, ticks: np.ndarray, accepted: np.ndarray) -> float:
    """Minus the logarithm of the chance that the `scores` (n,) give to the ticks."""
    return float((ticks * (np.logaddexp(0, scores) - accepted * scores)).sum())


def _logistic(
    seen: np.ndarray, ticks: np.ndarray, accepted: np.ndarray, start: np.ndarray, strength: float
) -> np.ndarray:
    penalty = _penalty(start, strength)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        scores, away = seen @ weights, weights - start
        slope = seen.T @ (ticks * (expit(scores) - accepted)) + penalty * away
        return logistic_loss(scores, ticks, accepted) + penalty @ away**2 / 2, slope

    return minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x


def _penalty(start: np.ndarray, strength: float) -> np.ndarray:
    """Of each weight, (r + 2,): 1 / C; for the prior 1; for the constant next to none."""
    return np.r_[np.full(len(start) - 2, 1 / strength), 1.0, 1e-3]


def _basis(rows: Scaled) -> np.ndarray:
    """Directions (D + S, r) float32 of length 1, at right angles, that the `rows` (n,) span."""
    sizes, vectors = np.linalg.eigh(rows.gram(rows).astype(float))  # ascending
    kept = np.flatnonzero(sizes > 1e-6 * max(sizes[-1], 1e-12))[-DIRECTIONS:]
    return rows.combine(vectors[:, kept] / np.sqrt(sizes[kept])).astype(np.float32)


def folds(groups: Sequence, most: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Up to `most` splits of the rows into (learn, try on), no group on both sides."""
    from sklearn.model_selection import GroupKFold

    groups = np.asarray(groups)
    number = min(most, len(np.unique(groups)))
    return GroupKFold(number, shuffle=True, random_state=0).split(groups, groups=groups)

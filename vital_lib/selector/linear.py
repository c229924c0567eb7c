"""The selector's two linear fits: the prior from the judge's ratings, and its correction by votes.

Both use an L2 penalty, so their weights lie in the span of the training rows. With fewer rows than
columns, the fit is computed within that span.
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
"""Ridge penalties to try; the second is used if there is only one article."""
STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0)
"""Values of C to try for the correction; the third is used if there is only one article."""
DIRECTIONS = 512
"""Maximum number of directions of the labelled rows, largest first."""


def fit_ridge(rows: Scaled, ratings: np.ndarray, groups: Sequence) -> tuple[np.ndarray, float]:
    """Fit weights (D + S,) that predict the `ratings` (n,) of `rows`; return them and the penalty.

    The penalty is the value of `PENALTIES` with the lowest squared error on a held-out third of
    the groups.
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
    """Yield the ridge weights (D + S,) at each of `penalties`.

    The system is solved over rows or over columns, whichever are fewer.
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
    """Return the products (D + S, D + S) of all pairs of columns."""
    across = rows.sparse.T @ rows.dense  # (S, D)
    own = (rows.sparse.T @ rows.sparse).toarray()
    return np.block([[rows.dense.T @ rows.dense, across.T], [across, own]])


@dataclass(frozen=True)
class Corrections:
    """Correction of the prior, fitted to annotators' votes.

    Attributes:
        basis: (D + S, r), orthonormal directions spanned by the labelled rows.
        weights: (r + 2,), of the directions, the prior (0 without a prior) and the constant.
        covariance: (r + 2, r + 2) of the weights, by Laplace's approximation.
        strength: C, also the variance along every direction that no labelled row covers.
    """

    basis: np.ndarray
    weights: np.ndarray
    covariance: np.ndarray
    strength: float


def fit_ticks(
    rows: Scaled, ticks: np.ndarray, accepted: np.ndarray, prior: np.ndarray, groups: Sequence
) -> Corrections:
    """Fit a logistic regression of annotators' votes on the `prior` and on the rows.

    Every vote counts once. A penalty of 1 pulls the weight of the prior towards 1. A penalty of
    1 / C pulls the weights of the directions towards 0. C is chosen by cross-validation over five
    folds of the groups, so votes override the judge only where they support it.

    Args:
        rows: one row per labelled response.
        ticks: (n,), the number of votes on each response; `accepted`: (n,), the share that accept.
        prior: (n,), the judge's prior in standard deviations; all 0 without a prior.
        groups: (n,), the article of each response.
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
    """Return the negative log-likelihood of the votes under the `scores` (n,)."""
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
    """Return the penalty of each weight, (r + 2,): 1 / C; prior 1; constant almost 0."""
    return np.r_[np.full(len(start) - 2, 1 / strength), 1.0, 1e-3]


def _basis(rows: Scaled) -> np.ndarray:
    """Return orthonormal directions (D + S, r), float32, that span the `rows` (n,)."""
    sizes, vectors = np.linalg.eigh(rows.gram(rows).astype(float))  # ascending
    kept = np.flatnonzero(sizes > 1e-6 * max(sizes[-1], 1e-12))[-DIRECTIONS:]
    return rows.combine(vectors[:, kept] / np.sqrt(sizes[kept])).astype(np.float32)


def folds(groups: Sequence, most: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Split rows into (training, held-out) up to `most` times, with no group on both sides."""
    from sklearn.model_selection import GroupKFold

    rows = np.asarray(groups)
    number = min(most, len(np.unique(rows)))
    return GroupKFold(number, shuffle=True, random_state=0).split(rows, groups=rows)

"""Training of the selector: a prior from the judge's ratings, corrected by annotators' votes.

Ratings are many and noisy; votes are few and reliable. A ridge regression of the ratings predicts
the judge's rating without its noise. A logistic regression of the votes learns where annotators
differ from that prediction. Votes and ratings of held-out articles are rejected.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from vital_lib.selector.features import Features
from vital_lib.selector.linear import fit_ridge, fit_ticks
from vital_lib.selector.model import Selector, Weights
from vital_lib.selector.pairs import check_split
from vital_lib.selector.scaling import Scaling


def train_selector(
    features: Features,
    ticks: pd.DataFrame | None = None,
    ratings: pd.DataFrame | None = None,
    *,
    prior: Selector | None = None,
    scale_on: Sequence[str] | None = None,
) -> Selector:
    """Train a selector on annotators' votes (`ticks`), the judge's `ratings`, or both.

    Ratings alone give the judge's prior. Votes alone give a selector without a prior. Ratings that
    are all equal, and votes that are all equal, imply no order and are ignored. The same arguments
    give the same selector on the same machine.

    Args:
        features: features of every candidate in `ticks` and `ratings`.
        ticks: columns of `human_ticks`, of the training split.
        ratings: columns of `judge_ratings`, of the training split.
        prior: a selector already trained on ratings, in place of `ratings`. Training on new votes
            then takes a fraction of a second.
        scale_on: candidate_ids on which features get mean 0 and standard deviation 1, such as all
            candidates of the training articles; by default those in `ticks` and `ratings`.

    Raises:
        ValueError: neither votes nor ratings imply an order, votes or ratings of another split,
            candidates without features, or a prior trained on votes or on other features.
    """
    start = time.perf_counter()
    voted, rated = _ordering("ticks", ticks, "accepted"), _ordering("ratings", ratings, "overall")
    if voted is None and rated is None and prior is None:
        raise ValueError(
            f"nothing to learn from: {_count(ticks, 'ticks')} and {_count(ratings, 'ratings')}. "
            "Label responses in notebooks/03_label_preferences.ipynb, or rate them in "
            "notebooks/05_judge_candidates.ipynb"
        )
    if prior is not None and prior.config["learned_from"] != "judge":
        raise ValueError(
            f"prior learned from {prior.config['learned_from']}: give a prior of the judge alone"
        )
    with threadpool_limits(1):  # two threads wait for each other on arrays this small
        if prior is None:
            learned = [frame["candidate_id"] for frame in (voted, rated) if frame is not None]
            rows = features.rows(pd.unique(pd.concat(learned)) if scale_on is None else scale_on)
            if not len(rows):
                raise ValueError(f"scale_on = {scale_on!r} names no candidate: leave it out")
            prior = _judge_alone(features, rated, Scaling.fit(features, rows), rows)
        selector = prior if voted is None else _corrected(prior, features, voted)
    selector.metrics["seconds"] = round(time.perf_counter() - start, 3)
    return selector


def _judge_alone(
    features: Features, rated: pd.DataFrame | None, scaling: Scaling, scaled_on: np.ndarray
) -> Selector:
    """Return the judge's prior as a selector, with mean 0 and standard deviation 1 on `scaled_on`.

    Without ratings it scores every candidate 0.
    """
    columns = sum(scaling.layout.values())
    weights, shift, penalty = np.zeros(columns), 0.0, None
    if rated is not None:
        rows = scaling.apply(features)
        own = rows.take(features.rows(rated["candidate_id"]))
        target = rated["overall"].to_numpy(float)
        weights, penalty = fit_ridge(own, target, rated["group_id"])
        known = rows.take(scaled_on).dot(weights)
        spread = max(float(known.std()), 1e-12)
        weights, shift = weights / spread, -float(known.mean()) / spread
    found = Weights(
        **dict.fromkeys(("score", "prior"), weights.astype(np.float32)),
        **dict.fromkeys(("constant", "shift"), np.array([shift], np.float32)),
        basis=np.zeros((columns, 0), np.float32),
        covariance=np.zeros((2, 2), np.float32),
    )
    config: dict[str, Any] = {"learned_from": "judge", "blocks": dict(scaling.layout)}
    config |= {"encoder": features.encoder, "penalty": penalty, "strength": None}
    metrics = {"ticks": 0, "ticked": 0, "rated": 0 if rated is None else len(rated)}
    return Selector(scaling, found, config=config, metrics=metrics)


def _corrected(prior: Selector, features: Features, voted: pd.DataFrame) -> Selector:
    """Return the `prior` corrected by annotators' votes."""
    ticked = voted.groupby("candidate_id", sort=True).agg(
        accepted=("accepted", "mean"), ticks=("accepted", "size"), group=("group_id", "first")
    )
    rows = prior.ready(features).take(features.rows(ticked.index))
    before = prior.score(rows).astype(float)
    found = fit_ticks(
        rows, ticked["ticks"].to_numpy(float), ticked["accepted"].to_numpy(float),
        before, ticked["group"],
    )  # fmt: skip
    *directions, of_prior, constant = found.weights
    weights = Weights(
        score=(found.basis @ np.array(directions) + of_prior * prior.weights.prior).astype(
            np.float32
        ),
        constant=(constant + of_prior * prior.weights.shift).astype(np.float32),
        prior=prior.weights.prior,
        shift=prior.weights.shift,
        basis=found.basis,
        covariance=found.covariance.astype(np.float32),
    )
    learned_from = "both" if prior.weights.prior.any() else "people"
    config = {**prior.config, "learned_from": learned_from, "strength": found.strength}
    config["weight_of_prior"] = float(of_prior) if learned_from == "both" else None
    metrics = {**prior.metrics, "ticks": int(ticked["ticks"].sum()), "ticked": len(ticked)}
    return Selector(prior.scaling, weights, config=config, metrics=metrics)


def _ordering(name: str, frame: pd.DataFrame | None, column: str) -> pd.DataFrame | None:
    """Return the rows of `frame` with a value, or None if all values are equal."""
    if frame is None:
        return None
    check_split(name, frame, "train")
    known = frame.dropna(subset=column)
    return known if known[column].nunique() > 1 else None


def _count(frame: pd.DataFrame | None, name: str) -> str:
    return f"{0 if frame is None else len(frame)} {name}" + (
        " (all alike)" if frame is not None and len(frame) else ""
    )

"""Training the selector: the judge's ratings as a prior, and every tick of people upon it.

The ratings are many and noisy, the ticks few and right: a ridge regression of the ratings says
what the judge would rate a candidate without its noise, and a logistic regression of the ticks
says where people differ from that. Ticks and ratings of held-out articles are refused. This module
knows nothing of where ticks, ratings and features come from.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from vital_lib.selector.features import Features
from vital_lib.selector.linear import fit_ridge, fit_ticks
from vital_lib.selector.model import Selector, Weights
from vital_lib.selector.scaling import Scaling


def train_selector(
    features: Features,
    ticks: pd.DataFrame | None = None,
    ratings: pd.DataFrame | None = None,
    *,
    prior: Selector | None = None,
    scale_on: Sequence[str] | None = None,
) -> Selector:
    """A selector that has learned from people's `ticks`, the judge's `ratings`, or both.

    Ratings alone give the judge's prior, ticks alone a selector that heard people only. Ratings
    that are all equal, and ticks that are all alike, order nothing: they count as none. The same
    arguments give the same selector on the same machine.

    Args:
        features: of every candidate in `ticks` and `ratings`.
        ticks: columns of `human_ticks`, of the training split.
        ratings: columns of `judge_ratings`, of the training split.
        prior: a selector trained on the ratings before, in place of `ratings`: with it, learning
            from new ticks takes a fraction of a second.
        scale_on: candidate_ids whose features are brought to mean 0 and spread 1, such as all of
            the training articles; by default those in `ticks` and `ratings`.

    Raises:
        ValueError: neither ticks nor ratings that order anything, ticks or ratings of another
            split, candidates without features, or a prior of other features.
    """
    start = time.perf_counter()
    said, rated = _ordering("ticks", ticks, "accepted"), _ordering("ratings", ratings, "overall")
    if said is None and rated is None and prior is None:
        raise ValueError(
            f"nothing to learn from: {_told(ticks, 'ticks')} and {_told(ratings, 'ratings')}. "
            "Label some in notebooks/03_label_preferences.ipynb, or have the judge rate in "
            "notebooks/05_judge_candidates.ipynb"
        )
    if prior is not None and prior.config["learned_from"] != "judge":
        raise ValueError(
            f"prior learned from {prior.config['learned_from']}: wanted the judge alone"
        )
    with threadpool_limits(1):  # two threads for sums this small wait for each other
        if prior is None:
            learned = [frame["candidate_id"] for frame in (said, rated) if frame is not None]
            rows = features.rows(pd.unique(pd.concat(learned)) if scale_on is None else scale_on)
            if not len(rows):
                raise ValueError(f"scale_on = {scale_on!r} names no candidate: leave it out")
            prior = _judge_alone(features, rated, Scaling.fit(features, rows), rows)
        selector = prior if said is None else _corrected(prior, features, said)
    selector.metrics["seconds"] = round(time.perf_counter() - start, 3)
    return selector


def _judge_alone(
    features: Features, rated: pd.DataFrame | None, scaling: Scaling, scaled_on: np.ndarray
) -> Selector:
    """The judge's prior as a selector: mean 0 and spread 1 on the rows `scaled_on`.

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
    config = {"learned_from": "judge", "blocks": dict(scaling.layout), "encoder": features.encoder}
    config |= {"penalty": penalty, "strength": None}
    metrics = {"ticks": 0, "ticked": 0, "rated": 0 if rated is None else len(rated)}
    return Selector(scaling, found, config=config, metrics=metrics)


def _corrected(prior: Selector, features: Features, said: pd.DataFrame) -> Selector:
    """The `prior` with what people said upon it."""
    ticked = said.groupby("candidate_id", sort=True).agg(
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
    """The rows of `frame` with a value; None where these are all alike, and so order nothing."""
    if frame is None:
        return None
    strangers = frame["split"][frame["split"] != "train"]
    if len(strangers):
        raise ValueError(
            f"{len(strangers)} of {len(frame)} {name} are of the {strangers.iloc[0]} split: what "
            f"is learned from must be of the train split, {name}[{name}['split'] == 'train']"
        )
    known = frame.dropna(subset=column)
    return known if known[column].nunique() > 1 else None


def _told(frame: pd.DataFrame | None, name: str) -> str:
    return f"{0 if frame is None else len(frame)} {name}" + (
        " (all alike)" if frame is not None and len(frame) else ""
    )

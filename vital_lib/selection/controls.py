"""Controls of a selection: alternative scores for the same candidates, one plain function each.

Each function returns candidate_id -> number for `cut`, so every control keeps as many rounds as the
selected set, within the same groups, by the same rule. A control also leaves out refusals and
echoes of the request (`flagged` as in `cut`). That filter reads the text and needs no score, so
applying it to the selected set alone would credit its effect to the selector. If the arms draw from
separate pools, as with and without demonstrations, each pool gets the same filter, and its refusal
rate is not part of the difference.

On LLaVA's data, random and cluster-typical samples beat ranking by CLIP score (arXiv 2503.07591).
A selection result therefore needs these controls.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from vital_lib.figures.groups import unit_rows
from vital_lib.figures.sampling import clustered
from vital_lib.selection.cut import conversations, cut, top_candidates
from vital_lib.tables import refuse_judges


def chance_scores(candidates: pd.DataFrame, *, seed: int = 0) -> pd.Series:
    """Return random scores that do not depend on the order of the rows."""
    ids = np.sort(candidates["candidate_id"].to_numpy(str))
    return pd.Series(np.random.default_rng(seed).random(len(ids)), index=ids)


def length_scores(candidates: pd.DataFrame) -> pd.Series:
    """Return the number of words of each response; judges are known to favour long responses."""
    words = candidates["response"].str.split().str.len().astype(float)
    return pd.Series(words.to_numpy(), index=candidates["candidate_id"])


def similarity_scores(
    candidates: pd.DataFrame, images: np.ndarray, responses: np.ndarray
) -> pd.Series:
    """Return the cosine of each candidate's image (n, d) and response (n, d), from one encoder.

    Raises:
        ValueError: features that do not match the candidates or each other, or are not finite.
    """
    pictures = _unit("images", images, candidates)
    texts = _unit("responses", responses, candidates)
    if pictures.shape != texts.shape:
        raise ValueError(
            f"images have width {pictures.shape[1]}, responses {texts.shape[1]}: encode both "
            "with one encoder"
        )
    return pd.Series((pictures * texts).sum(axis=1), index=candidates["candidate_id"])


def typical_scores(
    candidates: pd.DataFrame, features: np.ndarray, *, clusters: int = 12, seed: int = 0
) -> pd.Series:
    """Score candidates by closeness to the centre of their K-means cluster.

    The score is minus the candidate's rank by distance, as a share of its cluster. A cut therefore
    keeps the same share of every cluster.

    Args:
        features: (n, d), rows as in `candidates`; normalised to length 1 here.
        clusters: number of clusters, at most the number of candidates.

    Raises:
        ValueError: features that do not match the candidates or are not finite.
    """
    rows = _unit("features", features, candidates)
    cluster, distance = clustered(rows, min(clusters, len(rows)), seed)
    nearer = pd.Series(distance).groupby(cluster).rank(pct=True)
    return pd.Series(-nearer.to_numpy(), index=candidates["candidate_id"])


def rating_scores(ratings: pd.DataFrame, *, repeats: int = 1) -> pd.Series:
    """Return the mean of the judge's first `repeats` ratings; null if none is readable.

    Candidates with fewer ratings are left out, so `cut` raises an error instead of comparing them
    with the others.

    Args:
        ratings: columns candidate_id, repeat, overall (null if unreadable) and, optionally, judge.

    Raises:
        ValueError: ratings by several judges.
    """
    refuse_judges(ratings)
    first = ratings[ratings["repeat"] < repeats].groupby("candidate_id")["overall"]
    return first.mean()[first.size() >= repeats]


def random_candidates(
    candidates: pd.DataFrame, *, n: int, seed: int = 0, **how: Any
) -> pd.DataFrame:
    """Draw `n` random rows of `candidates`; `how` (within, flagged) and errors as in `cut`."""
    return top_candidates(candidates, chance_scores(candidates, seed=seed), n=n, **how)


def select_random(candidates: pd.DataFrame, *, n: int, seed: int = 0, **how: Any) -> pd.DataFrame:
    """Draw `n` random candidates as the control of a selection; return them as conversations.

    Columns of table `selected`; `score` is always 0, so the rank has no meaning. `n` counts
    candidates: give the number of rounds in the selected set. `how` holds `within` and `flagged` of
    `cut`. Without `within`, groups keep their proportions on average; with it, exactly. Give the
    same `flagged` as for the selected set; refusals and echoes are left out unless it is set.
    Errors as in `cut`.
    """
    drawn = cut(candidates, chance_scores(candidates, seed=seed), n=n, **how)
    return conversations(candidates, drawn.assign(score=0.0))


def select_all(candidates: pd.DataFrame, *, flagged: bool = False) -> pd.DataFrame:
    """Return all candidates as conversations, with columns and `flagged` as in `select_random`.

    Raises:
        ValueError: duplicate ids, or no candidate is left.
    """
    equal = pd.Series(0.0, index=candidates["candidate_id"])
    return conversations(candidates, cut(candidates, equal, share=1, flagged=flagged))


def _unit(name: str, features: np.ndarray, candidates: pd.DataFrame) -> np.ndarray:
    """Return `features` (n, d), one row per candidate, normalised to length 1."""
    rows = np.asarray(features, dtype=np.float32)
    if len(rows) != len(candidates):
        raise ValueError(f"{len(rows)} rows of {name} for {len(candidates)} candidates")
    bad = int((~np.isfinite(rows).all(axis=1)).sum())
    if bad:
        raise ValueError(f"{bad} of {len(rows)} rows of {name} hold NaN or infinite numbers")
    return unit_rows(rows)

"""Controls of a selection: other numbers to rank the same candidates by, one plain function each.

Each gives candidate_id -> number for `cut`, so that every control keeps as many rounds as the
selected set, within the same groups, by the same rule. So each leaves out refusals
and echoes of the request as the selection does (`flagged` as in `cut`): the flag is read off the
text, without a score, so a filter on the selected set alone would be counted as the selector's
merit. Where the arms are drawn from pools of their own, as with and without demonstrations, each
pool is filtered by the one rule; how often it refuses is then no part of the difference.

On LLaVA's data random and cluster-typical samples beat ranking by CLIP score (arXiv 2503.07591): a
selection says little without them.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from vital_lib.selection.cut import Grouping, conversations, cut, top_candidates


def chance_scores(candidates: pd.DataFrame, *, seed: int = 0) -> pd.Series:
    """Numbers drawn by chance, whatever order the rows came in."""
    ids = np.sort(candidates["candidate_id"].to_numpy(str))
    return pd.Series(np.random.default_rng(seed).random(len(ids)), index=ids)


def length_scores(candidates: pd.DataFrame) -> pd.Series:
    """The words of each response: judges are known to like long ones."""
    words = candidates["response"].str.split().str.len().astype(float)
    return pd.Series(words.to_numpy(), index=candidates["candidate_id"])


def similarity_scores(
    candidates: pd.DataFrame, images: np.ndarray, responses: np.ndarray
) -> pd.Series:
    """The cosine of each candidate's image (n, d) with its response (n, d), by one encoder.

    Raises:
        ValueError: features that do not match the candidates or each other, or that are no numbers.
    """
    pictures = _unit("images", images, candidates)
    texts = _unit("responses", responses, candidates)
    if pictures.shape != texts.shape:
        raise ValueError(
            f"images are {pictures.shape[1]} wide, responses {texts.shape[1]}: one encoder "
            "must have made both"
        )
    return pd.Series((pictures * texts).sum(axis=1), index=candidates["candidate_id"])


def typical_scores(
    candidates: pd.DataFrame, features: np.ndarray, *, clusters: int = 12, seed: int = 0
) -> pd.Series:
    """Nearest to the centre of their K-means cluster first, every cluster by the same share.

    The number is minus the share of the cluster that lies nearer to its centre.

    Args:
        features: (n, d), rows as in `candidates`; brought to length 1 here.
        clusters: fewer where there are fewer candidates.

    Raises:
        ValueError: features that do not match the candidates, or that are no numbers.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    rows = _unit("features", features, candidates)
    means = KMeans(min(clusters, len(rows)), n_init=4, random_state=seed)
    with warnings.catch_warnings():  # fewer distinct rows than clusters leave some empty
        warnings.simplefilter("ignore", ConvergenceWarning)
        cluster = means.fit_predict(rows)
    distance = np.linalg.norm(rows - means.cluster_centers_[cluster], axis=1)
    nearer = pd.Series(distance).groupby(cluster).rank(pct=True)
    return pd.Series(-nearer.to_numpy(), index=candidates["candidate_id"])


def rating_scores(ratings: pd.DataFrame, *, repeats: int = 1) -> pd.Series:
    """The mean of the judge's first `repeats` ratings; null where none of them was read.

    Candidates rated fewer times are left out, so that `cut` refuses to rank them beside others.

    Args:
        ratings: columns candidate_id, repeat, overall (null where unread), and judge, of one.

    Raises:
        ValueError: ratings by several judges.
    """
    judges = sorted(set(ratings.get("judge", ())))
    if len(judges) > 1:
        raise ValueError(f"ratings by {len(judges)} judges ({', '.join(judges)}): keep one judge's")
    first = ratings[ratings["repeat"] < repeats].groupby("candidate_id")["overall"]
    return first.mean()[first.size() >= repeats]


def random_candidates(
    candidates: pd.DataFrame,
    *,
    n: int,
    seed: int = 0,
    within: Grouping | None = None,
    flagged: bool = False,
) -> pd.DataFrame:
    """`n` rows of `candidates` drawn by chance; `within`, `flagged` and errors as in `cut`."""
    numbers = chance_scores(candidates, seed=seed)
    return top_candidates(candidates, numbers, n=n, within=within, flagged=flagged)


def select_random(
    candidates: pd.DataFrame,
    *,
    n: int,
    seed: int = 0,
    within: Grouping | None = None,
    flagged: bool = False,
) -> pd.DataFrame:
    """The control of a selection: `n` candidates drawn by chance, as conversations.

    Columns of table `selected`; `score` is 0 throughout and the rank says nothing, as nothing was
    scored. `n` counts candidates: the rounds of the selected set that it is compared with. Without
    `within`, groups come in their proportion on average; with it, exactly. Refusals and echoes
    are left out as from the selected set, unless `flagged`: give it as there. Errors as in `cut`.
    """
    numbers = chance_scores(candidates, seed=seed)
    drawn = cut(candidates, numbers, n=n, within=within, flagged=flagged)
    return conversations(candidates, drawn.assign(score=0.0))


def _unit(name: str, features: np.ndarray, candidates: pd.DataFrame) -> np.ndarray:
    """`features` (n, d), one row a candidate, each of length 1."""
    rows = np.asarray(features, dtype=np.float32)
    if len(rows) != len(candidates):
        raise ValueError(f"{len(rows)} rows of {name} for {len(candidates)} candidates")
    bad = int((~np.isfinite(rows).all(axis=1)).sum())
    if bad:
        raise ValueError(f"{bad} of {len(rows)} rows of {name} hold NaN or infinite numbers")
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)

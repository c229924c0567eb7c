"""Votes of annotators, ratings of the judge, and preference pairs made from either.

Method, stage 2, item 8.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from vital_lib.labels import majority_ticks, votes_long
from vital_lib.tables import belonging, column_of, frame_of, refuse_judges, refuse_strays


def human_ticks(preferences: pd.DataFrame, drafts: pd.DataFrame) -> pd.DataFrame:
    """Return one row per vote of an annotator on a response.

    Columns item_id, annotator, candidate_id, accepted (0.0 or 1.0), group_id, split. A skip gives
    no row. Votes of all queue arms are included, because training data need not be a random sample.

    Raises:
        ValueError: votes on candidates that are not in `drafts`.
    """
    return _placed(votes_long(preferences).reset_index(drop=True), drafts, "votes")


def judge_ratings(ratings: pd.DataFrame, candidates: pd.DataFrame) -> pd.DataFrame:
    """Return one row per rated candidate: candidate_id, overall, group_id, split.

    `overall` is the mean of the candidate's repeats. Unreadable replies are left out. Ratings of
    candidates that are not in `candidates` are left out and counted in the log.

    Raises:
        ValueError: ratings by several judges, or no rating of any of `candidates`.
    """
    means = _mean_ratings(ratings, candidates).rename("overall").reset_index()
    return _placed(means, candidates, "ratings")


def human_pairs(
    preferences: pd.DataFrame, drafts: pd.DataFrame, *, votes: str = "majority"
) -> pd.DataFrame:
    """Return the pairs in which one response was accepted and the other rejected.

    Both, neither and skip make no pair. Outside the training split only preferences of the random
    arm count, because agreement is measured there. Returns the columns of table `pairs`, weight 1.

    Args:
        votes: "majority" gives one pair per item, from the annotators' majority vote on each
            response (an even split is no majority and makes no pair); "each" gives one pair per
            item and annotator.

    Raises:
        ValueError: an unknown value of `votes`, or votes on candidates that are not in `drafts`.
    """
    refuse_strays(preferences, "right_id", drafts["candidate_id"], what="votes", to="candidates")
    trains = _of("split", preferences["left_id"], drafts, "votes") == "train"
    preferences = preferences[trains | (preferences["drawn_by"] == "random")]
    if votes == "majority":
        found = majority_ticks(preferences).assign(annotator="majority")
        names = ["first_id", "second_id", "first_accepted", "second_accepted"]
    elif votes == "each":
        found = preferences
        names = ["left_id", "right_id", "left_accepted", "right_accepted"]
    else:
        raise ValueError(f"votes {votes!r}: wanted 'majority' or 'each'")
    left_id, right_id, left, right = (found[name] for name in names)
    decided = (left != right).fillna(False).astype(bool)
    pairs = pd.DataFrame(
        {
            "left_id": left_id[decided],
            "right_id": right_id[decided],
            "preferred": left[decided].astype(float),
            "annotator": found["annotator"][decided],
        }
    )
    return _pairs(pairs, source="human", split=_of("split", pairs["left_id"], drafts, "pairs"))


def judge_pairs(
    ratings: pd.DataFrame, candidates: pd.DataFrame, *, n: int, split: str = "train", seed: int = 0
) -> pd.DataFrame:
    """Draw `n` different pairs of candidates of `split` with different ratings.

    The two candidates may belong to different figures. Pairs are drawn uniformly; all are returned
    if there are fewer than `n`. A candidate's rating is the mean over its repeats, without
    unreadable replies. Equal ratings make no pair. Ratings of candidates that are not in
    `candidates` are ignored. Returns the columns of table `pairs`, weight 1.

    Raises:
        ValueError: `n` below 1, or as `judge_ratings`.
    """
    if n < 1:
        raise ValueError(f"n = {n!r}: wanted at least one pair")
    means = _mean_ratings(ratings, candidates)
    own = candidates.loc[candidates["split"] == split, "candidate_id"]
    means = means[means.index.isin(own)].sort_values()
    better, worse = _draw(means.to_numpy(float), n, seed)
    swap = np.random.default_rng([seed, 1]).random(len(better)) < 0.5
    ids = means.index.to_numpy(dtype=object)
    pairs = pd.DataFrame(
        {
            "left_id": ids[np.where(swap, worse, better)],
            "right_id": ids[np.where(swap, better, worse)],
            "preferred": np.where(swap, 0.0, 1.0),
        }
    )
    return _pairs(pairs, source="judge", annotator="".join(ratings["judge"].unique()), split=split)


def pair_groups(pairs: pd.DataFrame, candidates: pd.DataFrame) -> pd.Series:
    """Return the group_id (article or patient) of each pair's left candidate.

    The two candidates of a human pair share a figure, so both sides have the same group.

    Raises:
        ValueError: pairs of candidates that are not in `candidates`.
    """
    return _of("group_id", pairs["left_id"], candidates, "pairs")


def check_split(name: str, rows: pd.DataFrame, split: str) -> None:
    """Refuse `rows`, called `name`, of another split than `split`.

    Raises:
        ValueError: rows of another split; the message has their number.
    """
    outside = rows["split"][rows["split"] != split]
    if len(outside):
        raise ValueError(
            f"{len(outside)} of {len(rows)} rows of {name} are of the {outside.iloc[0]} split: "
            f"give only the {split} split, {name}[{name}['split'] == {split!r}]"
        )


def _mean_ratings(ratings: pd.DataFrame, candidates: pd.DataFrame) -> pd.Series:
    """Return the mean rating of each rated candidate over its repeats, by candidate_id."""
    refuse_judges(ratings)
    ids = candidates["candidate_id"]
    rated = belonging(ratings, "candidate_id", ids, what="ratings", to="candidates")
    return rated.groupby("candidate_id")["overall"].mean().dropna()


def _placed(rows: pd.DataFrame, candidates: pd.DataFrame, what: str) -> pd.DataFrame:
    """Add the group_id and split of each row's candidate."""
    ids = rows["candidate_id"]
    return rows.assign(**{name: _of(name, ids, candidates, what) for name in ("group_id", "split")})


def _of(column: str, ids: pd.Series, candidates: pd.DataFrame, what: str) -> pd.Series:
    return column_of(ids, column, candidates, "candidate_id", what=what, to="candidates")


def _draw(ratings: np.ndarray, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the indices (better, worse) of up to `n` different pairs among ascending `ratings` (m,).

    The pairs are numbered in blocks, one block per better candidate with one number per
    lower-rated candidate. Only `n` numbers are drawn, so the other pairs are never built.
    """
    below = np.searchsorted(ratings, ratings, side="left")  # (m,), the number of lower ratings
    ends = np.cumsum(below)
    total = int(ends[-1]) if len(ends) else 0
    rng = np.random.default_rng(seed)
    numbers = np.sort(rng.choice(total, size=min(n, total), replace=False, shuffle=False))
    better = np.searchsorted(ends, numbers, side="right")
    return better, numbers - (ends - below)[better]


def _pairs(pairs: pd.DataFrame, **constant: object) -> pd.DataFrame:
    """Fill in weight 1 and the `constant` columns; return the columns and types of the table."""
    return frame_of("pairs", pairs.assign(weight=1.0, **constant)).reset_index(drop=True)

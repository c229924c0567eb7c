"""The cut: choose the scored rounds to keep, within groups, and record why others are left out.

Method, stage 2, item 11. Scores can come from any source: a selector, a judge's ratings, a control.

Notebook 07 cuts within question types and polarities (`answer_polarity`). On labelled drafts of
validation articles (clinic seeds 0, 1, 2, 7 and 11), the best 40 % were accepted at a rate of 0.897
when ranked over all candidates, 0.887 within modalities, 0.876 within question types and 0.858
within question types and polarities. A single ranking kept 0.19 of the proportional share of one
question type. Within question types alone, three of the five selected sets said "no" more than
twice as often as "yes" (their pools: 1.2 to 1.5 times), and their tuned models lost 4.0 points
of closed accuracy on figures of no run; with the polarities kept they gained 0.2. The tuned model
cannot learn a type that is not kept, and repeats a polarity that is kept too often, so the loss of
acceptance is the smaller price.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Integral

import numpy as np
import pandas as pd

from vital_lib.modalities import modality_of
from vital_lib.tables import (
    NOT_TO_LEARN,
    TABLES,
    flags_in_words,
    not_to_learn,
    refuse_missing,
    refuse_twice,
)

KEPT, LEFT_OUT, NEAR_DUPLICATE = "kept", "left out", "near-duplicate"
BELOW_FLOOR, NO_SCORE = "below the floor", "no score"
NO_ANSWERS = tuple(flags_in_words([name])[0] for name in NOT_TO_LEARN)
OUTCOMES = (KEPT, LEFT_OUT, BELOW_FLOOR, NEAR_DUPLICATE, NO_SCORE, *NO_ANSWERS)
"""Outcomes of a cut; the last are the flags that exclude a response, in words."""

Scores = Mapping[str, float] | pd.Series
Grouping = str | Sequence[str] | Mapping[str, object] | pd.Series
"""One column of the candidates, several columns, or candidate_id -> group."""


def cut(
    candidates: pd.DataFrame,
    scores: Scores,
    *,
    share: float | None = None,
    n: int | None = None,
    threshold: float | None = None,
    within: Grouping | None = None,
    floor: float | None = None,
    duplicates: pd.DataFrame | None = None,
    seed: int | None = None,
    flagged: bool = False,
) -> pd.DataFrame:
    """Return the outcome of every candidate: kept, or the reason for leaving it out.

    Exactly one of `share`, `n` and `threshold` sets how many are kept: the best round(share x
    number of candidates), at least one; the best `n`; or all with a score of at least `threshold`.

    A response flagged as a refusal or an echo of the request is dropped first, whatever its score,
    and does not count towards `share`.

    `within` distributes the number over groups in proportion to their size (largest remainder; of
    equal remainders, the group whose next candidate scores higher) and keeps the best of each, so
    that ranking by one number cannot thin out a group. A round below `floor` is not kept, whatever
    the quota of its group, and no other round replaces it.

    Args:
        candidates: column candidate_id and those in `within`; optionally flags (lists).
        scores: candidate_id -> score; a null score (an unreadable rating) is never kept.
        duplicates: result of `near_duplicates`, the candidates to leave out first.
        seed: randomises the order of equal scores; without it they are ordered by candidate_id.
            Ratings have many ties, and ids follow the order of figures.
        flagged: whether responses that refuse or echo the request may be kept.

    Returns:
        candidate_id, group (null without `within`), score and outcome (of `OUTCOMES`), best first.

    Raises:
        ValueError: not exactly one of share, n and threshold; a value out of range; duplicate ids;
            candidates without a score or a group; more to keep than there are; none kept.
    """
    rows = _ranked(candidates, scores, within, seed)
    rows["outcome"] = _beforehand(rows, candidates, duplicates, flagged)
    eligible = rows[rows["outcome"] == LEFT_OUT]
    answers = int((~rows["outcome"].isin(NO_ANSWERS)).sum())
    number = _number(eligible["score"], answers, share, n, threshold)
    if within is not None and threshold is not None:
        raise ValueError(
            f"threshold = {threshold!r} applies to all groups alike: with within, give share or n"
        )
    kept = eligible.index[:number] if within is None else _best_of_each(eligible, number)
    rows.loc[kept, "outcome"] = KEPT
    if floor is not None:
        below = eligible.index[eligible["score"] < _finite("floor", floor)]
        rows.loc[below, "outcome"] = BELOW_FLOOR
        if not (rows["outcome"] == KEPT).any():
            raise ValueError(f"floor = {floor!r} leaves no candidate: {_range(eligible['score'])}")
    return rows


def quotas(codes: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
    """Return how many of each group `cut` keeps, for each total in `numbers`.

    Proportional to the size of the group, by largest remainder; of equal remainders, the group
    whose next candidate scores higher.

    Args:
        codes: (n,) the group of each eligible candidate, best first, as a number from 0.
        numbers: totals, each at most n.

    Returns:
        (len(numbers), number of groups) whole numbers; each row sums to its total.
    """
    sizes = np.bincount(codes)
    ranks = np.append(np.argsort(codes, kind="stable"), len(codes))  # group by group, best first
    starts = np.cumsum(sizes) - sizes
    made = np.empty((len(numbers), len(sizes)), dtype=int)
    for row, n in zip(made, numbers, strict=True):
        fair = n * sizes / len(codes)
        row[:] = np.floor(fair + 1e-9)
        remainder = np.where(row < sizes, (fair - row).round(9), -1)
        following = ranks[starts + row]  # the rank of each group's next candidate
        row[np.lexsort((following, -remainder))[: n - row.sum()]] += 1
    return made


def top_candidates(candidates: pd.DataFrame, scores: Scores, **how) -> pd.DataFrame:
    """Return the rows of `candidates` that `cut` keeps, best first; arguments as in `cut`."""
    return _kept_rows(candidates, cut(candidates, scores, **how))


def conversations(candidates: pd.DataFrame, outcome: pd.DataFrame) -> pd.DataFrame:
    """Return the kept rounds of `outcome` (see `cut`) as one row per conversation, best first.

    Columns of table `selected`. Rounds keep their order; a conversation without kept rounds is left
    out. `score` is the mean over the kept rounds, and rank 1 is the highest.

    Args:
        candidates: columns candidate_id, conversation_id, figure_id, round, instruction, response.
    """
    kept = _kept_rows(candidates, outcome)
    kept["score"] = kept["candidate_id"].map(outcome.set_index("candidate_id")["score"])
    by_round = kept.sort_values(["round", "candidate_id"])
    whole = by_round.groupby(["conversation_id", "figure_id"], sort=False)
    selected = whole["score"].mean().reset_index()
    texts = (by_round[name].to_numpy(object) for name in ("instruction", "response"))
    turns: list[list[dict[str, str]]] = [[] for _ in range(len(selected))]
    for number, instruction, response in zip(whole.ngroup().to_numpy(), *texts, strict=True):
        turns[number].append({"instruction": instruction, "response": response})
    selected["turns"] = turns
    order = {"by": ["score", "conversation_id"], "ascending": [False, True]}
    selected = selected.sort_values(**order, ignore_index=True)
    selected["rank"] = np.arange(1, len(selected) + 1)
    return selected[TABLES["selected"].columns]


def coverage(candidates: pd.DataFrame, outcome: pd.DataFrame, by: Grouping) -> pd.DataFrame:
    """Compare the mix of groups before and after the cut.

    Returns:
        One row per group, largest first: candidates, kept, share_before (of all candidates) and
        share_after (of all kept). Half the sum of the absolute differences between the two shares
        is the fraction of kept rounds that the pool's mix would put in other groups.
    """
    group = pd.Series(group_of(candidates, by).to_numpy(), candidates["candidate_id"], dtype=object)
    kept = group[outcome.loc[outcome["outcome"] == KEPT, "candidate_id"]].value_counts()
    rows = group.value_counts().rename_axis("group").to_frame("candidates")
    rows["kept"] = kept.reindex(rows.index, fill_value=0)
    rows["share_before"] = rows["candidates"] / rows["candidates"].sum()
    rows["share_after"] = rows["kept"] / rows["kept"].sum()
    return rows.reset_index()


def add_groups(rows: pd.DataFrame, figures: pd.DataFrame) -> pd.DataFrame:
    """Return `rows` with the columns that a cut can group by: modality, question_type, polarity.

    The modality is that of the row's figure (`modality_of`; null for an unknown figure). Question
    types are compared without case and surrounding space, and a missing one is "not stated".

    Args:
        rows: columns figure_id, question_type, response, as in tables drafts and candidates.
        figures: columns figure_id, modalities.
    """
    modality = figures.set_index("figure_id")["modalities"].map(modality_of)
    return rows.assign(
        modality=rows["figure_id"].map(modality),
        question_type=rows["question_type"].fillna("not stated").str.strip().str.lower(),
        polarity=answer_polarity(rows["response"]),
    )


def answer_polarity(responses: pd.Series) -> pd.Series:
    """Return "yes" or "no" for each response that begins with this word, and "other" for the rest.

    Annotators accept more of one polarity if a generator's errors are mostly of the other, such as
    findings that are not there. A selected set that says "no" more often than its pool teaches the
    model to say "no", whatever the image shows, so notebook 07 cuts within polarities. The bias
    of answers in visual question answering is described by Goyal et al. (CVPR 2017).
    """
    first = responses.str.extract(r"(?i)^\W*(yes|no)\b", expand=False)
    return first.str.lower().fillna("other")


def group_of(candidates: pd.DataFrame, within: Grouping) -> pd.Series:
    """Return each candidate's group, rows as in `candidates`; several columns give tuples.

    Raises:
        ValueError: an unknown column, or candidates without a group.
    """
    if isinstance(within, str):
        within = [within]
    if isinstance(within, Sequence):
        unknown = [name for name in within if name not in candidates]
        if unknown or not len(within):
            raise ValueError(
                f"within = {within!r}: no such column; give candidate_id -> group, or columns from "
                f"{', '.join(map(str, candidates.columns))}"
            )
        parts = candidates[list(within)]
        missing = parts.isna().any(axis=1)
        columns = [parts[name].to_numpy(object) for name in parts]
        several = pd.Series([*zip(*columns, strict=True)], candidates.index, dtype=object)
        groups = several if len(columns) > 1 else parts.iloc[:, 0]
    else:
        groups = candidates["candidate_id"].map(dict(within))
        missing = groups.isna()
    if missing.any():
        first = candidates["candidate_id"][missing].iloc[0]
        raise ValueError(
            f"{missing.sum()} of {len(candidates)} candidates have no group, first {first!r}: give "
            "them a group such as 'not stated'"
        )
    return groups


def _kept_rows(candidates: pd.DataFrame, outcome: pd.DataFrame) -> pd.DataFrame:
    kept = outcome.loc[outcome["outcome"] == KEPT, "candidate_id"]
    return candidates.set_index("candidate_id", drop=False).loc[kept].reset_index(drop=True)


def _ranked(
    candidates: pd.DataFrame, scores: Scores, within: Grouping | None, seed: int | None
) -> pd.DataFrame:
    """Return candidate_id, group and score, best first, null scores last."""
    ids = candidates["candidate_id"]
    numbers = pd.Series(scores, dtype=float)
    refuse_twice(ids, "candidates")
    refuse_twice(numbers.index.to_series(name="candidate_id"), "scores")
    way_out = "score them in notebooks/06_train_selector.ipynb"
    refuse_missing(ids, set(numbers.index.to_numpy(object)), "candidates have no score", way_out)
    rows = pd.DataFrame({"candidate_id": ids, "group": None})
    if within is not None:
        rows["group"] = group_of(candidates, within)
    rows["score"] = ids.map(numbers).astype(float)
    if np.isinf(rows["score"]).any():
        raise ValueError(f"{np.isinf(rows['score']).sum()} of {len(ids)} scores are infinite")
    rows = rows.sort_values("candidate_id")
    if seed is not None:
        rows = rows.iloc[np.random.default_rng(seed).permutation(len(rows))]
    return rows.sort_values("score", ascending=False, kind="stable", ignore_index=True)


def _beforehand(
    rows: pd.DataFrame, candidates: pd.DataFrame, duplicates: pd.DataFrame | None, flagged: bool
) -> pd.Series:
    """Return the outcomes that do not depend on the ranking; others are still `LEFT_OUT`."""
    made = pd.DataFrame({"outcome": LEFT_OUT}, rows.index)["outcome"]
    made[rows["score"].isna()] = NO_SCORE
    made[rows["candidate_id"].isin([] if duplicates is None else duplicates["candidate_id"])] = (
        NEAR_DUPLICATE
    )
    if not flagged:
        why = not_to_learn(candidates).set_axis(candidates["candidate_id"]).dropna()
        dropped = rows["candidate_id"].isin(why.index)
        made[dropped] = rows["candidate_id"][dropped].map(why)
    return made


def _number(
    scores: pd.Series, of: int, share: float | None, n: int | None, threshold: float | None
) -> int:
    """Return how many of the eligible `scores` (best first) to keep."""
    given = {"share": share, "n": n, "threshold": threshold}
    given = {name: value for name, value in given.items() if value is not None}
    if len(given) != 1:
        raise ValueError(f"give exactly one of share, n and threshold, not {given or 'none'}")
    if threshold is not None:
        number = int((scores >= _finite("threshold", threshold)).sum())
        if not number:
            raise ValueError(f"no score reaches threshold = {threshold!r}: {_range(scores)}")
        return number
    if share is not None:
        if not 0 < share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, not {share!r}")
        n = max(1, round(share * of))
    request = f"n = {n!r}" if share is None else f"share = {share!r} of {of} makes n = {n}"
    if not isinstance(n, Integral) or not 1 <= n <= len(scores):
        way_out = (
            "give a whole number from 1 to that count"
            if len(scores)
            else ("score candidates first, or allow the flagged ones with flagged=True")
        )
        raise ValueError(
            f"{request} with {len(scores)} eligible candidates (scored, and not near-duplicates, "
            f"refusals or echoes): {way_out}"
        )
    return int(n)


def _best_of_each(eligible: pd.DataFrame, n: int) -> pd.Index:
    """Return the index of the best of each group, `n` in total by largest remainder."""
    codes = pd.factorize(eligible["group"])[0]
    [quota] = quotas(codes, [n])
    place = eligible.groupby(codes).cumcount()  # 0 for the best of its group
    return eligible.index[place.to_numpy() < quota[codes]]


def _finite(name: str, value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, not {value!r}")
    return value


def _range(scores: pd.Series) -> str:
    if scores.empty:
        return "no candidate has a score"
    return f"scores range from {scores.min():.3f} to {scores.max():.3f}"

"""Measure a judge: its errors, and its agreement with annotators on the same answers.

Every function takes rows and returns rows of `COLUMNS`, one per measure, with 95 % intervals
resampled over groups (articles or patients). A measure without cases is left out. Join the rows
with ``pandas.concat`` and flatten them for metrics.json with `metrics_of`. This module sends no
requests: ratings, verdicts and probes are made elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from vital_lib.statistics import Interval, difference_interval, mean_interval, ratio_interval
from vital_lib.tables import refuse_missing, refuse_strays

COLUMNS = ("measure", "value", "low", "high", "n", "meaning")
"""Columns of the rows that every function returns; n is the number of cases."""

MEANINGS = {
    "agreement": "pairs ordered as by the annotators (a tie counts half; chance is 0.5)",
    "image_reliance": "agreement with the image, minus agreement with the image blanked",
    "null_share": "replies without a rating",
    "position_flip_rate": "comparisons whose verdict changes with the order",
    "position_bias": "win rate of the answer shown first, minus one half",
    "longer_judge": "pairs where the judge rates the longer response higher",
    "longer_people": "pairs where more annotators accept the longer response",
    "length_bias": "the judge's share for the longer response, minus the annotators' share",
    "repeat_difference": "mean difference in points between two ratings of the same answer",
    "consistency": "intraclass correlation of single ratings, ICC(1)",
    "calibration_error_raw": "mean distance between rating / 10 and the share accepted",
    "calibration_error": "the same, with ratings mapped by a line fitted on other articles",
    "probe_drop_rate_control": "repeated ratings of an unchanged answer that are lower",
    "blank_drop_rate": "ratings that fall when the image is blanked",
    "blank_points": "points lost when the image is blanked",
    "blank_minus_control": "ratings that fall when the image is blanked, minus those by chance",
}
"""The meaning of each measure; `_meaning` adds those of the probes."""


def metrics_of(measures: pd.DataFrame) -> dict[str, float]:
    """Flatten rows of `COLUMNS` to `judge.<measure>`, `_low` and `_high` for metrics.json."""
    flat: dict[str, float] = {}
    for row in measures.itertuples():
        interval = Interval(row.value, row.low, row.high, row.n)
        flat |= interval.metrics(f"judge.{row.measure}")
    return flat


def measured(**intervals: Interval) -> pd.DataFrame:
    """Return intervals, each under the name of its measure, as rows of `COLUMNS`."""
    rows = [
        (name, found.estimate, found.low, found.high, found.n, _meaning(name))
        for name, found in intervals.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def null_rate(ratings: pd.DataFrame, groups: Mapping[str, str]) -> pd.DataFrame:
    """Measure null_share: the share of replies without a rating; unsent requests do not count.

    Args:
        ratings: columns candidate_id, overall, reply_id (empty where nothing was sent).
        groups: candidate_id -> group_id of every rated candidate, as in the other functions.
    """
    ratings = ratings[ratings["reply_id"] != ""]
    if ratings.empty:
        return measured()
    nulls = ratings["overall"].isna().astype(float)
    return measured(null_share=mean_interval(nulls, _of(ratings["candidate_id"], groups)))


def position_bias(verdicts: pd.DataFrame, groups: Mapping[str, str]) -> pd.DataFrame:
    """Measure position_flip_rate and position_bias: the effect of an answer's position.

    Each pair is judged in both orders. A judge without position bias therefore gives the first
    answer half of the wins, however different the answers are.

    Args:
        verdicts: rows of the table verdicts, orders ab and ba; pairs with a null are left out.
        groups: question_id -> group_id.
    """
    names = ["question_id", "model_a", "model_b", "judge"]
    single = verdicts[verdicts["order"].isin(["ab", "ba"])]
    both = single.pivot(index=names, columns="order", values="winner")
    both = both.reindex(columns=["ab", "ba"]).dropna().reset_index()
    if both.empty:
        return measured()
    of = _of(both["question_id"], groups)
    first = (both["ab"] == "a").astype(float) + (both["ba"] == "b")
    wins = both[["ab", "ba"]].isin(["a", "b"]).sum(axis=1)
    found = {"position_flip_rate": mean_interval((both["ab"] != both["ba"]).astype(float), of)}
    if wins.sum():
        found["position_bias"] = ratio_interval(first - wins / 2, wins, of)
    return measured(**found)


def length_bias(
    ratings: pd.DataFrame,
    accepted: pd.DataFrame,
    candidates: pd.DataFrame,
    groups: Mapping[str, str],
) -> pd.DataFrame:
    """Measure longer_judge, longer_people and length_bias, over two responses to one instruction.

    The share of pairs in which the response with more words is preferred, by the mean rating and by
    the share of annotators who accepted it; ties count half. Annotators may prefer the longer
    response, so only the difference is bias: towards length, or towards what comes with it, such as
    copied text that annotators mind more.

    Args:
        ratings: columns candidate_id, overall; repeats are averaged.
        accepted: columns candidate_id, accepted (a share).
        candidates: columns candidate_id, instruction_id, response.
    """
    rows = candidates.set_index("candidate_id")[["instruction_id", "response"]]
    rows = rows.assign(
        words=rows["response"].str.split().str.len(),
        rating=ratings.groupby("candidate_id")["overall"].mean(),
        accepted=accepted.set_index("candidate_id")["accepted"],
    ).dropna(subset=["rating", "accepted"])
    rows = rows.sort_values("words", kind="stable").reset_index()
    sizes = rows.groupby("instruction_id")
    rows = rows[
        (sizes["words"].transform("size") == 2) & (sizes["words"].transform("nunique") == 2)
    ]
    if rows.empty:
        return measured()
    shorter, longer = (
        rows.groupby("instruction_id").nth(n).sort_values("instruction_id") for n in (0, 1)
    )
    of = _of(shorter["candidate_id"], groups)
    judge, people = (
        0.5 + np.sign(longer[name].to_numpy(float) - shorter[name].to_numpy(float)) / 2
        for name in ("rating", "accepted")
    )
    return measured(
        longer_judge=mean_interval(judge, of),
        longer_people=mean_interval(people, of),
        length_bias=difference_interval(judge, people, of),
    )


def consistency(ratings: pd.DataFrame, groups: Mapping[str, str]) -> pd.DataFrame:
    """Measure repeat_difference, consistency and probe_drop_rate_control, over repeated ratings.

    The consistency is the intraclass correlation of single ratings, ICC(1) of Shrout and Fleiss
    (1979), computed as 1 minus the variance within answers over the variance of all ratings.
    """
    read = ratings.dropna(subset="overall")
    repeated = read[read.groupby("candidate_id")["overall"].transform("size") > 1]
    if repeated.empty:
        return measured()
    grand = repeated["overall"].mean()
    parts = [
        (name, *_within(part.to_numpy(float), grand))
        for name, part in repeated.sort_values("repeat").groupby("candidate_id")["overall"]
    ]
    ids, differences, within, total, drops = (list(column) for column in zip(*parts, strict=True))
    of = _of(ids, groups)
    found = {"repeat_difference": mean_interval(differences, of)}
    if sum(total):
        noise = ratio_interval(within, total, of)
        found["consistency"] = Interval(1 - noise.estimate, 1 - noise.high, 1 - noise.low, noise.n)
    return measured(**found, probe_drop_rate_control=mean_interval(drops, of))


def calibration(
    ratings: pd.DataFrame, accepted: pd.DataFrame, groups: Mapping[str, str]
) -> pd.DataFrame:
    """Measure calibration_error_raw and calibration_error, of the first rating of each answer.

    The expected calibration error (Naeini et al. 2015) over bins of one point: the mean distance
    between the predicted and the observed share of acceptance. The raw prediction is a tenth of the
    rating; the other comes from a line fitted on the other half of the groups. Intervals keep each
    bin's sign.

    Args:
        ratings: columns candidate_id, repeat, overall.
        accepted: columns candidate_id, accepted (a share).
    """
    first = ratings[ratings["repeat"] == 0].dropna(subset="overall")
    rows = first.merge(accepted[["candidate_id", "accepted"]], on="candidate_id")
    if rows.empty:
        return measured()
    of = _of(rows["candidate_id"], groups)
    rating, share = rows["overall"].to_numpy(float), rows["accepted"].to_numpy(float)
    bins = rating.round()
    found = {"calibration_error_raw": mean_interval(_distances(rating / 10, share, bins), of)}
    fitted = _fitted_elsewhere(rating, share, of)
    if fitted is not None:
        found["calibration_error"] = mean_interval(_distances(fitted, share, bins), of)
    return measured(**found)


def probe_drop_rate(
    probes: pd.DataFrame,
    probe_ratings: pd.DataFrame,
    ratings: pd.DataFrame,
    groups: Mapping[str, str],
) -> pd.DataFrame:
    """Measure probe_drop_rate_<kind> and probe_points_<kind>: the cost of an error in an answer.

    The share of probes rated below the unchanged answer (at the same repeat), and the points lost.
    Ratings vary by chance: probe_minus_control_<kind> is the share minus that of lower second
    ratings of the same unchanged answers, where these were rated repeatedly.

    Args:
        probes: rows of `corrupt_answers`.
        probe_ratings, ratings: columns candidate_id, repeat, overall, of the probes and of the
            unchanged answers.
        groups: candidate_id -> group_id of the unchanged answers.

    Raises:
        ValueError: a rating is not of a probe, or a probe's unchanged answer has no rating.
    """
    ids = probes["candidate_id"]
    refuse_strays(probe_ratings, "candidate_id", ids, what="ratings", to="probes")
    rated = probe_ratings.merge(probes[["candidate_id", "probe_of", "kind"]], on="candidate_id")
    rated["candidate_id"] = rated["probe_of"]
    found = {}
    for kind, part in rated.groupby("kind", sort=False):
        found |= _falls("probe", f"_{kind}", part, ratings, groups)
    return measured(**found)


def blank_drop_rate(
    blank_ratings: pd.DataFrame, ratings: pd.DataFrame, groups: Mapping[str, str]
) -> pd.DataFrame:
    """Measure blank_drop_rate and blank_points: the cost of blanking an answer's image.

    A judge that looks at images should not trust an answer about a grey one. `blank_ratings` rate
    the candidates of `ratings` with `blanked` images; the rest is as in `probe_drop_rate`, with
    blank_minus_control for what exceeds the chance of a lower second rating.
    """
    return measured(**_falls("blank", "", blank_ratings, ratings, groups))


def _falls(
    what: str, end: str, after: pd.DataFrame, before: pd.DataFrame, groups: Mapping[str, str]
) -> dict[str, Interval]:
    names = ["candidate_id", "repeat", "overall"]
    ids = before["candidate_id"]
    refuse_strays(after, "candidate_id", ids, what=f"{what} ratings", to="unchanged answers")
    both = before[names].merge(after[names], on=names[:2], suffixes=("", "_after")).dropna()
    if both.empty:
        return {}
    both["lost"] = (both["overall"] - both["overall_after"]).astype(float)
    both["drops"] = (both["lost"] > 0).astype(float)
    means = both.groupby("candidate_id")[["drops", "lost"]].mean()  # over repeats
    of = _of(means.index, groups)
    found = {
        f"{what}_drop_rate{end}": mean_interval(means["drops"], of),
        f"{what}_points{end}": mean_interval(means["lost"], of),
    }
    noise = means.join(_falls_by_chance(before), how="inner")
    if len(noise):
        pair = (noise["drops"], noise["by_chance"], _of(noise.index, groups))
        found[f"{what}_minus_control{end}"] = difference_interval(*pair)
    return found


def _falls_by_chance(ratings: pd.DataFrame) -> pd.Series:
    """Return the share of lower second ratings, by_chance, of each answer rated repeatedly."""
    read = ratings.dropna(subset="overall").sort_values("repeat").groupby("candidate_id")["overall"]
    shares = {name: _within(part.to_numpy(float), 0.0)[3] for name, part in read if len(part) > 1}
    return pd.Series(shares, name="by_chance", dtype=float)


def _meaning(name: str) -> str:
    for start, words in (
        ("probe_drop_rate_", "probes rated lower"),
        ("probe_points_", "points lost"),
        ("probe_minus_control_", "probes rated lower, minus those by chance"),
    ):
        if name.startswith(start) and name not in MEANINGS:
            return f"{words}, error in the {name.removeprefix(start)}"
    return MEANINGS.get(name, name.replace("_", " "))


def _of(ids, groups: Mapping[str, str]) -> list[str]:
    known, ids = dict(groups), list(ids)
    refuse_missing(ids, known, "ids have no group", "give the article of each rated answer")
    return [known[name] for name in ids]


def _within(values: np.ndarray, grand: float) -> tuple[float, float, float, float]:
    """Return four statistics of one answer's ratings (k,): the mean absolute difference of pairs,
    the variance, the mean squared deviation from the `grand` mean, and the share of pairs whose
    later rating is lower."""
    gaps = (values[:, None] - values[None, :])[np.triu_indices(len(values), 1)]
    squares = float(((values - grand) ** 2).mean())
    return float(np.abs(gaps).mean()), float(values.var(ddof=1)), squares, float((gaps > 0).mean())


def _fitted_elsewhere(rating: np.ndarray, share: np.ndarray, of: list[str]) -> np.ndarray | None:
    """Predict each half of the groups by a line fitted on the other; None if ratings are equal."""
    codes = pd.factorize(pd.Series(of))[0] % 2
    predicted = np.empty(len(rating))
    for half in (0, 1):
        fit = codes != half
        if len(np.unique(rating[fit])) < 2:
            return None
        predicted[~fit] = np.polyval(np.polyfit(rating[fit], share[fit], 1), rating[~fit])
    return predicted.clip(0, 1)


def _distances(predicted: np.ndarray, share: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """Return each gap with its bin's sign, (n,); their mean is the expected calibration error."""
    gaps = pd.Series(predicted - share)
    return (gaps * np.sign(gaps.groupby(bins).transform("mean"))).to_numpy()

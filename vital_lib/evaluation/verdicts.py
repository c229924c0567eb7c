"""Verdicts of judges and people side by side: agreement, corrected win rates, judges that do not
compare.

Pure functions over rows of table ``verdicts``. A row with the orders ab and ba is a judge's, one
with the order both a person's. Values are those of `win_values`.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from vital_lib.evaluation.metrics import percent, win_values
from vital_lib.statistics import (
    LEAST_GROUPS,
    LEAST_LABELLED,
    Interval,
    agreement_interval,
    alpha_of_counts,
    corrected_interval,
    difference_interval,
    mean_interval,
)

PEOPLE = "people"
"""The name under which the verdicts of all people count together."""
ONE_SIDED = 0.95
"""Share of equal replies from which on a judge does not compare."""
_LEAST_REPLIES = 10
_KEYS = ["question_id", "draw", "model_a", "model_b"]
_MEASURES = ("share", "alpha")
_JUDGE = "evaluation.judge_"


def rater_values(
    questions: pd.DataFrame, verdicts: pd.DataFrame, *, together: bool = True
) -> pd.DataFrame:
    """Return the points of model_a by rater: `win_values`, with all people as one rater.

    Args:
        questions, verdicts: as for `win_values`, of any number of judges and people.
        together: whether the people's points are averaged under the name `PEOPLE`.

    Returns:
        question_id, draw, model_a, model_b, group_id, judge, value.
    """
    values = win_values(questions, verdicts)
    if not together:
        return values[[*_KEYS, "group_id", "judge", "value"]]
    people = set(verdicts["judge"][verdicts["order"] == "both"])
    names = values["judge"].where(~values["judge"].isin(people), PEOPLE)
    by = values.assign(judge=names).groupby([*_KEYS, "group_id", "judge"], sort=False)
    return by["value"].mean().reset_index()


def corrected_win_rates(
    questions: pd.DataFrame, verdicts: pd.DataFrame, judge: str, *, seed: int = 0
) -> pd.DataFrame:
    """Correct a judge's win rates by people's verdicts on some of the same questions.

    Prediction-powered inference (`corrected_interval`): the judge compares all answers, people a
    random sample of them. Fewer than `LEAST_LABELLED` articles with people's verdicts are too few.

    Args:
        questions, verdicts: as for `rater_values`.
        judge: the judge that is corrected.

    Returns:
        model_a, model_b, raw (the judge's), people (theirs, on what they compared), corrected, low,
        high (percent; the last three are null with too few labels), compared (answers that people
        compared), articles (theirs), why (why nothing was corrected; empty if it was).
    """
    values = rater_values(questions, verdicts)
    rows = []
    for (model, other), pair in values.groupby(["model_a", "model_b"], sort=False):
        wide = pair.pivot(index=[*_KEYS, "group_id"], columns="judge", values="value")
        wide = wide.reindex(columns=[judge, PEOPLE]).dropna(subset=[judge]).reset_index()
        labels = wide[PEOPLE].astype(float)
        known = labels.notna()
        articles = wide["group_id"][known].nunique()
        found = Interval(np.nan, np.nan, np.nan, int(known.sum()), articles)
        why = f"too few labels: {articles} articles with people's verdicts, {LEAST_LABELLED} needed"
        if articles >= LEAST_LABELLED:
            found, why = corrected_interval(labels, wide[judge], wide["group_id"], seed=seed), ""
        ends = (100 * end for end in (found.estimate, found.low, found.high))
        raw, theirs = 100 * wide[judge].mean(), 100 * labels.mean()
        rows.append((model, other, raw, theirs, *ends, found.n, articles, why))
    columns = ["model_a", "model_b", "raw", "people", "corrected", "low", "high", "compared"]
    return pd.DataFrame(rows, columns=[*columns, "articles", "why"])


def corrected_metrics(corrected: pd.DataFrame, *, usual: str = "random") -> dict[str, float]:
    """Return the rows of `corrected_win_rates` for metrics.json.

    Names: ``evaluation.win_rate_corrected_percent`` against the `usual` baseline,
    ``evaluation.win_rate_corrected_<other>_percent`` against another model, with intervals.
    ``evaluation.compared_by_people`` and ``evaluation.compared_articles`` state the sample, the
    smallest of all comparisons.
    """
    found: dict[str, float] = {}
    for row in corrected.itertuples():
        interval = Interval(row.corrected, row.low, row.high, row.compared)
        found |= percent(interval, "win_rate_corrected", row.model_b, usual)
    if len(corrected):
        found["evaluation.compared_by_people"] = int(corrected["compared"].min())
        found["evaluation.compared_articles"] = int(corrected["articles"].min())
    return found


def rater_agreement(
    questions: pd.DataFrame, verdicts: pd.DataFrame, *, together: bool = True, seed: int = 0
) -> pd.DataFrame:
    """Measure how far every two raters agree on the same comparisons.

    A rater's verdict on a question is a, tie or b: the mean over both orders, so a judge that
    names another answer in the other order says "tie".

    Args:
        questions, verdicts, together: as for `rater_values`.

    Returns:
        first, second, compared (comparisons that both made), articles, share and alpha, each with
        _low and _high: the share of equal verdicts and Krippendorff's alpha (nominal). Intervals
        are over articles; they are null for fewer than `LEAST_GROUPS` articles.
    """
    values = rater_values(questions, verdicts, together=together)
    wide = values.pivot(index=[*_KEYS, "group_id"], columns="judge", values="value")
    raters = list(dict.fromkeys(values["judge"]))
    rows = []
    for first, second in combinations(raters, 2):
        both = wide[[first, second]].dropna()
        groups = both.index.get_level_values("group_id")
        said = np.sign(both.to_numpy(float) - 0.5)  # (n, 2): 1 for a, 0 for a tie, -1 for b
        counts = np.stack([(said == code).sum(axis=1) for code in (1, 0, -1)], axis=1)
        rows.append((first, second, len(both), groups.nunique(), *_measured(counts, groups, seed)))
    ends = [f"{name}{end}" for name in _MEASURES for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=["first", "second", "compared", "articles", *ends])


def agreement_metrics(agreement: pd.DataFrame, judge: str) -> dict[str, float]:
    """Return the agreement of `judge` with people for metrics.json; empty if it was not measured.

    Names: ``evaluation.judge_people_share`` and ``evaluation.judge_people_alpha``, with intervals.

    Args:
        agreement: of `rater_agreement`.
    """
    pair = agreement[(agreement["first"] == judge) & (agreement["second"] == PEOPLE)]
    found: dict[str, float] = {}
    for row in pair[pair["compared"] > 0].to_dict("records"):
        for name in _MEASURES:
            ends = [row[f"{name}{end}"] for end in ("", "_low", "_high")]
            interval = Interval(*ends, row["compared"])
            found |= interval.metrics(f"{_JUDGE}people_{name}")
    return found


def blanked_metrics(
    questions: pd.DataFrame, verdicts: pd.DataFrame, blanked: pd.DataFrame, *, seed: int = 0
) -> dict[str, float]:
    """Return what a judge's verdicts owe to the images, for metrics.json.

    Names, each with an interval over articles: ``evaluation.judge_blanked_same``, the share of
    verdicts that are the same with the image blanked, and ``evaluation.judge_image_reliance``, the
    share of verdicts that equal the people's, with the image minus with the image blanked, on what
    people compared too. A measure without cases is left out.

    Args:
        questions, verdicts: as for `rater_values`, of the judge and of people.
        blanked: the judge's verdicts on some of the same answers, with the images blanked.
    """
    unseen = rater_values(questions, blanked).rename(columns={"value": "blank"})
    raters = [*_KEYS, "group_id", "judge"]
    seen = rater_values(questions, verdicts)
    people = seen[seen["judge"] == PEOPLE].rename(columns={"value": "people"})
    both = unseen.merge(seen, on=raters).merge(people[[*_KEYS, "people"]], how="left", on=_KEYS)
    both[["value", "blank", "people"]] = np.sign(both[["value", "blank", "people"]] - 0.5)
    found: dict[str, float] = {}
    if len(both):
        same = (both["value"] == both["blank"]).astype(float)
        found |= mean_interval(same, both["group_id"], seed=seed).metrics(f"{_JUDGE}blanked_same")
    both = both.dropna(subset="people")
    if len(both):
        hits = ((both[name] == both["people"]).astype(float) for name in ("value", "blank"))
        reliance = difference_interval(*hits, both["group_id"], seed=seed)
        found |= reliance.metrics(f"{_JUDGE}image_reliance")
    return found


def _measured(counts: np.ndarray, groups: pd.Index, seed: int) -> list[float]:
    if not len(counts):
        return [np.nan] * 6
    ends: list[float] = []
    for measure in (agreement_interval, alpha_of_counts):
        found = measure(counts, groups, seed=seed)
        few = (found.groups or 0) < LEAST_GROUPS
        ends += [found.estimate, *((np.nan, np.nan) if few else (found.low, found.high))]
    return ends


def win_table(questions: pd.DataFrame, verdicts: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Win rates of model_a by rater: over all questions, by question type, and by modality.

    Returns:
        judge, model_b, by ("all", "question type", "modality"), value (the type or modality),
        questions, win_rate, low, high (percent; the last two are null for fewer than
        `LEAST_GROUPS` articles).
    """
    values = rater_values(questions, verdicts)
    kinds = questions.set_index("question_id")[["question_type", "modality"]].fillna("not stated")
    values = values.join(kinds, on="question_id").assign(all="all")
    rows = []
    for (judge, other), own in values.groupby(["judge", "model_b"], sort=False):
        for by in ("all", "question_type", "modality"):
            for value, part in own.groupby(by, sort=False):
                found = mean_interval(100 * part["value"], part["group_id"], seed=seed)
                few = (found.groups or 0) < LEAST_GROUPS
                ends = (np.nan, np.nan) if few else (found.low, found.high)
                counted = part["question_id"].nunique()
                named = by.replace("_", " ")
                rows.append((judge, other, named, value, counted, found.estimate, *ends))
    columns = ["judge", "model_b", "by", "value", "questions", "win_rate", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def judges_that_do_not_compare(verdicts: pd.DataFrame) -> list[str]:
    """Return a sentence on each judge that gives nearly always the same reply.

    That is the answer shown first, the one shown second, or a tie in `ONE_SIDED` of its replies.
    Its win rates are near 50 % whatever it was shown, and say nothing of the models.

    Args:
        verdicts: rows of table ``verdicts``; those of people are left out.
    """
    replies = verdicts[verdicts["order"].isin(["ab", "ba"])].dropna(subset=["winner"])
    first = replies["order"].str[0]
    place = np.where(replies["winner"] == first, "the answer shown first", "the one shown second")
    place = np.where(replies["winner"] == "tie", "a tie", place)
    said = []
    for judge, own in pd.Series(place, index=replies.index).groupby(replies["judge"], sort=False):
        counts = own.value_counts()
        if len(own) >= _LEAST_REPLIES and counts.iloc[0] >= ONE_SIDED * len(own):
            said.append(
                f"{judge} names {counts.index[0]} in {counts.iloc[0]:,} of {len(own):,} replies: "
                "it does not compare, so its win rates say nothing; take another judge"
            )
    return said

"""Metrics of a benchmark: pure functions over rows, matched by question_id and never by place.

Values come one row a question with its ``group_id``, so that ``vital_lib.statistics`` can give
the interval over articles; several draws of an answer are averaged first. The ``*_metrics``
functions return the flat numbers of ``metrics.json``. Whatever is left out of a mean is counted.
Knows nothing of models or judges.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from vital_lib.evaluation._rows import pair_values, percent, refuse_twice, with_groups
from vital_lib.evaluation.llava_med import llava_med_closed, llava_med_recall
from vital_lib.evaluation.reading import closed_point, token_recall
from vital_lib.statistics import difference_interval, mean_interval, ratio_interval
from vital_lib.tables import refuse_strays

_POINTS = {"a": 1.0, "tie": 0.5, "b": 0.0}
_COMPARED = ["question_id", "model_a", "model_b", "draw", "judge"]


_Point = Callable[[str, str, str], float | None]
METRICS: dict[str, dict[str, _Point]] = {
    "vital": {
        "closed": closed_point,
        "open": lambda _, wanted, said: token_recall(wanted, said),
    },
    "llava-med": {
        "closed": lambda _, wanted, said: llava_med_closed(wanted, said),
        "open": lambda _, wanted, said: llava_med_recall(wanted, said),
    },
}
"""How one answer is measured, by kind of question: our way, and LLaVA-Med's."""


def open_recall(
    questions: pd.DataFrame, answers: pd.DataFrame, *, metric: str = "vital"
) -> pd.DataFrame:
    """Token recall of the reference in the answer, for the open questions.

    Ours differs from LLaVA-Med's: a word that the answer repeats counts no more often than the
    reference has it, all punctuation is set aside, and "none" stays a word, where theirs makes it
    a 0. To compare with a published number, ask for theirs.

    Args:
        questions: as table ``questions``; those of another kind are left aside.
        answers: as table ``answers``, of one model and control.
        metric: "vital", or "llava-med" for that project's own (`vital_lib.evaluation.llava_med`).

    Returns:
        question_id, group_id, value (0 to 1, mean over the draws), answered; an answer that is
        missing has value 0, and makes `answered` False.

    Raises:
        ValueError: an unknown metric, a question answered twice in one draw, or answers to other
            questions than these.
    """
    return _scored(questions, answers, "open", metric)


def closed_accuracy(
    questions: pd.DataFrame, answers: pd.DataFrame, *, metric: str = "vital"
) -> pd.DataFrame:
    """1 for each closed question answered rightly, else 0.

    Ours reads what the answer says (`closed_point`): a refusal, a hedge, an echo of the question or
    of its choices, a file name or a notice is no answer, so that `answered` is False as well.
    LLaVA-Med's looks for letters: "normal" is a no, "yes or no" is always right, and a choice such
    as "left" never is. Published closed accuracies are theirs. Else as `open_recall`.
    """
    return _scored(questions, answers, "closed", metric)


_MEASURES = {"closed_accuracy": closed_accuracy, "open_recall": open_recall}


def win_values(questions: pd.DataFrame, verdicts: pd.DataFrame) -> pd.DataFrame:
    """Points of model_a by open question and draw: the mean over both orders.

    A win is 1, a tie 0.5, a loss 0. A win in one order and a loss in the other make 0.5, so that
    standing first gains nothing; a win and a tie make 0.75.

    Args:
        questions: as table ``questions``; verdicts on other than open ones are left aside.
        verdicts: as table ``verdicts``: orders ab and ba of a judge, or both of a person. What has
            a null winner in either order is left out.

    Returns:
        question_id, group_id, model_a, model_b, draw, judge, value.

    Raises:
        ValueError: an order that stands twice or without the other, an unknown winner, or verdicts
            on other questions than these.
    """
    unknown = set(verdicts["winner"].dropna()) - set(_POINTS)
    if unknown:
        raise ValueError(f"winner {sorted(unknown)[0]!r}: wanted a, b, tie, or null")
    verdicts = with_groups(questions, verdicts, what="verdicts")
    asked = questions.loc[questions["kind"] == "open", "question_id"]
    rows = verdicts[verdicts["question_id"].isin(asked)]
    refuse_twice(rows, [*_COMPARED, "order"])
    points = rows["winner"].map(_POINTS).astype(float)
    by = rows.assign(value=points, read=points.notna()).groupby(_COMPARED, sort=False)
    orders = by["order"].agg(lambda order: "".join(sorted(order)))
    alone = orders[~orders.isin(["abba", "both"])]
    if len(alone):
        raise ValueError(
            f"question {alone.index[0][0]!r} has order {alone.iloc[0]!r}: wanted ab and ba, or "
            "both; in one order alone the answer shown first gains by it"
        )
    found = by.agg(group_id=("group_id", "first"), value=("value", "mean"), read=("read", "all"))
    found = found.reset_index()
    columns = ["question_id", "group_id", *_COMPARED[1:], "value"]
    return found[found["read"].astype(bool)][columns].reset_index(drop=True)


def accuracy_metrics(
    questions: pd.DataFrame, answers: pd.DataFrame, *, metric: str = "vital", seed: int = 0
) -> dict[str, float]:
    """Closed accuracy and open recall of every model and control, with intervals, 0 to 1.

    Names: ``evaluation.closed_accuracy_<model>`` and ``evaluation.open_recall_<model>``, for a
    control ``evaluation.<control>_closed_accuracy_<model>``. ``evaluation.unanswered_<model>``
    counts the questions that scored 0 for want of an answer, ``closed_unanswered_<model>`` the
    closed ones among them: no answer, or one that commits itself to nothing. By LLaVA-Med's metric
    ``evaluation.llava_med_closed_accuracy_<model>`` and its like, without the counts.
    """
    theirs = "" if metric == "vital" else f"{metric.replace('-', '_')}_"
    found: dict[str, float] = {}
    for (model, control), own in answers.groupby(["model", "control"], sort=False):
        prefix = "evaluation." if control == "none" else f"evaluation.{control}_"
        unanswered = {}
        for name, measure in _MEASURES.items():
            values = measure(questions, own, metric=metric)
            if len(values):
                unanswered[name] = int((~values["answered"]).sum())
                interval = mean_interval(values["value"], values["group_id"], seed=seed)
                found |= interval.metrics(f"{prefix}{theirs}{name}_{model}")
        if not theirs:
            found[f"{prefix}unanswered_{model}"] = sum(unanswered.values())
        if not theirs and "closed_accuracy" in unanswered:
            found[f"{prefix}closed_unanswered_{model}"] = unanswered["closed_accuracy"]
    return found


def unread_answers(questions: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """The closed answers that are there but commit themselves to nothing, to be looked at.

    Returns:
        model, control, question, reference, answer; in the order of `answers`.
    """
    asked = questions[questions["kind"] == "closed"]
    rows = answers.dropna(subset=["answer"]).merge(asked, on="question_id", validate="many_to_one")
    unread = [
        closed_point(row.question, row.reference, row.answer) is None for row in rows.itertuples()
    ]
    columns = ["model", "control", "question", "reference", "answer"]
    return rows.loc[unread, columns].reset_index(drop=True)


def difference_metrics(
    questions: pd.DataFrame, answers: pd.DataFrame, *, model: str = "selected", seed: int = 0
) -> dict[str, float]:
    """What closed accuracy and open recall of `model` are above every other model's, 0 to 1.

    Both models answer the same questions, so the interval is of the paired difference. Names:
    ``evaluation.open_recall_<model>_minus_<other>`` and ``..closed_accuracy_<model>_minus_..``.

    Raises:
        ValueError: `answers` has none of `model` (with its image), or as `open_recall`.
    """
    seen = answers[answers["control"] == "none"]
    if model not in set(seen["model"]):
        raise ValueError(f"no answers of model {model!r}: there are {sorted(set(seen['model']))}")
    found: dict[str, float] = {}
    for name, measure in _MEASURES.items():
        own = measure(questions, seen[seen["model"] == model])
        for other, theirs in seen[seen["model"] != model].groupby("model", sort=False):
            pairs = pair_values(own, measure(questions, theirs))
            if len(pairs):
                apart = difference_interval(pairs["a"], pairs["b"], pairs["group_id"], seed=seed)
                found |= apart.metrics(f"evaluation.{name}_{model}_minus_{other}")
    return found


def win_rate_metrics(
    questions: pd.DataFrame,
    verdicts: pd.DataFrame,
    *,
    name: str = "",
    usual: str = "random",
    seed: int = 0,
) -> dict[str, float]:
    """Win rates of each comparison of one judge in percent, with intervals and counts.

    The win rate is the mean of `win_values`; "won among decided" leaves the ties out: wins / (wins
    + losses). A win is a value above 0.5, a tie one of 0.5, a loss one below.

    Names: ``evaluation.win_rate_percent`` against the `usual` baseline,
    ``evaluation.win_rate_<other>_percent`` against another model; `name` (of a judge) goes before
    it: ``evaluation.win_rate_<name>_<other>_percent``. For ``_percent`` there is also
    ``_decided_percent`` (won among decided), and the counts ``_wins``, ``_ties``, ``_losses`` and
    ``_nulls`` (unread in either order).

    Raises:
        ValueError: as `win_values`; also verdicts of several judges or of several models a.
    """
    for column in ("judge", "model_a"):
        if verdicts[column].nunique() > 1:
            raise ValueError(f"{column} has {sorted(set(verdicts[column]))}: give one at a time")
    found: dict[str, float] = {}
    for other, own in verdicts.groupby("model_b", sort=False):
        values = win_values(questions, own)
        value, groups = values["value"], values["group_id"]
        stem = "_".join(part for part in ("win_rate", name) if part)
        won, decided = value > 0.5, value != 0.5
        if len(values):
            rate = mean_interval(100 * value, groups, seed=seed)
            found |= percent(rate, stem, other, usual)
        short = stem if other == usual else f"{stem}_{other}"
        if decided.any():
            rate = ratio_interval(100 * won, decided, groups, seed=seed)
            found |= rate.metrics(f"evaluation.{short}_decided_percent")
        asked = own["question_id"].isin(questions.loc[questions["kind"] == "open", "question_id"])
        nulls = len(own[asked].drop_duplicates(_COMPARED)) - len(values)
        counts = {"wins": won, "ties": ~decided, "losses": decided & ~won}
        found |= {f"evaluation.{short}_{count}": int(of.sum()) for count, of in counts.items()}
        found[f"evaluation.{short}_nulls"] = nulls
    return found


def _scored(questions: pd.DataFrame, answers: pd.DataFrame, kind: str, metric: str) -> pd.DataFrame:
    """One row per question of `kind`, its answer looked up by question_id."""
    if metric not in METRICS:
        raise ValueError(f"metric {metric!r}: there are {', '.join(METRICS)}")
    value = METRICS[metric][kind]
    refuse_twice(answers, ["question_id", "draw"])
    refuse_twice(questions, ["question_id"])
    ids = questions["question_id"]
    refuse_strays(answers, "question_id", ids, what="answers", to="questions")
    said = answers.groupby("question_id")["answer"].agg(list).to_dict()
    rows = []
    for row in questions[questions["kind"] == kind].itertuples():
        points = [
            value(row.question, row.reference, answer) if isinstance(answer, str) else None
            for answer in said.get(row.question_id, [None])
        ]
        mean = sum(point or 0.0 for point in points) / len(points)
        rows.append((row.question_id, row.group_id, mean, None not in points))
    columns = {"question_id": str, "group_id": str, "value": float, "answered": bool}
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)

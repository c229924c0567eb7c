"""Metrics of a benchmark: pure functions over rows, matched by question_id and never by place.

Values come one row a question with its ``group_id``, so that ``vital_lib.statistics`` can give
the interval over articles; several draws of an answer are averaged first. The ``*_metrics``
functions return the flat numbers of ``metrics.json``. Whatever is left out of a mean is counted.
Knows nothing of models or judges.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd

from vital_lib.evaluation.reading import closed_value, token_recall
from vital_lib.statistics import Interval, difference_interval, mean_interval, ratio_interval

_ENDS = ("estimate", "low", "high")
_POINTS = {"a": 1.0, "tie": 0.5, "b": 0.0}
_COMPARED = ["question_id", "model_a", "model_b", "draw", "judge"]


def open_recall(questions: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Token recall of the reference in the answer, for the open questions (LLaVA-Med).

    Args:
        questions: as table ``questions``; those of another kind are left aside.
        answers: as table ``answers``, of one model and control.

    Returns:
        question_id, group_id, value (0 to 1, mean over the draws), answered; an answer that is
        missing has value 0, and makes `answered` False.

    Raises:
        ValueError: a question answered twice in one draw, or answers of which none belongs to
            `questions`.
    """
    return _scored(questions, answers, "open", lambda _, wanted, said: token_recall(wanted, said))


def closed_accuracy(questions: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """1 for each closed question answered rightly, else 0; all else as in `open_recall`."""
    return _scored(questions, answers, "closed", closed_value)


_MEASURES = {"closed_accuracy": closed_accuracy, "open_recall": open_recall}


def relative_scores(questions: pd.DataFrame, chat_scores: pd.DataFrame) -> pd.DataFrame:
    """100 * model_score / reference_score by question and model (LLaVA-Med's open visual chat).

    Args:
        questions: as table ``questions``.
        chat_scores: as table ``chat_scores``, of one judge. Rows with a null score are left out.

    Returns:
        question_id, group_id, model, value (percent, mean over the draws).

    Raises:
        ValueError: a question scored twice for a model's draw, or a reference score that is not
            positive.
    """
    _refuse_twice(chat_scores, ["question_id", "model", "draw"])
    read = chat_scores.dropna(subset=["reference_score", "model_score"])
    if (read["reference_score"] <= 0).any():
        bad = read["reference_score"].min()
        raise ValueError(f"reference_score {bad!r}: scores run from 1 to 10")
    value = 100 * read["model_score"].astype(float) / read["reference_score"].astype(float)
    rows = _with_groups(questions, read.assign(value=value))
    keys = ["question_id", "group_id", "model"]
    return rows.groupby(keys, sort=False)["value"].mean().reset_index()


def relative_chat_gain(
    questions: pd.DataFrame, chat_scores: pd.DataFrame, model: str, baseline: str, *, seed: int = 0
) -> Interval:
    """By how many percent the mean relative score of `model` exceeds that of `baseline`.

    Over the questions scored for both; `n` is their number (the paper's +18.5 %).
    """
    values = relative_scores(questions, chat_scores)
    pairs = pair_values(values[values["model"] == model], values[values["model"] == baseline])
    ratio = ratio_interval(pairs["a"], pairs["b"], pairs["group_id"], seed=seed)
    return replace(ratio, **{end: 100 * (getattr(ratio, end) - 1) for end in _ENDS})


def pair_values(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Two frames of values side by side, by question: question_id, group_id, a, b."""
    keys = ["question_id", "group_id"]
    both = a[[*keys, "value"]].merge(
        b[[*keys, "value"]], on=keys, suffixes=("_a", "_b"), validate="one_to_one"
    )
    return both.rename(columns={"value_a": "a", "value_b": "b"})


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
        ValueError: an order that stands twice or without the other, or an unknown winner.
    """
    unknown = set(verdicts["winner"].dropna()) - set(_POINTS)
    if unknown:
        raise ValueError(f"winner {sorted(unknown)[0]!r}: wanted a, b, tie, or null")
    rows = _with_groups(questions[questions["kind"] == "open"], verdicts)
    _refuse_twice(rows, [*_COMPARED, "order"])
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
    questions: pd.DataFrame, answers: pd.DataFrame, *, seed: int = 0
) -> dict[str, float]:
    """Closed accuracy and open recall of every model and control, with intervals, 0 to 1.

    Names: ``evaluation.closed_accuracy_<model>`` and ``evaluation.open_recall_<model>``, for a
    control ``evaluation.<control>_closed_accuracy_<model>``; ``evaluation.unanswered_<model>``
    counts the questions that scored 0 for want of an answer.
    """
    found: dict[str, float] = {}
    for (model, control), own in answers.groupby(["model", "control"], sort=False):
        prefix = "" if control == "none" else f"{control}_"
        unanswered = 0
        for name, measure in _MEASURES.items():
            values = measure(questions, own)
            unanswered += int((~values["answered"]).sum())
            if len(values):
                interval = mean_interval(values["value"], values["group_id"], seed=seed)
                found |= interval.metrics(f"evaluation.{prefix}{name}_{model}")
        found[f"evaluation.{prefix}unanswered_{model}"] = unanswered
    return found


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


def chat_gain_metrics(
    questions: pd.DataFrame,
    chat_scores: pd.DataFrame,
    *,
    model: str = "selected",
    usual: str = "random",
    seed: int = 0,
) -> dict[str, float]:
    """Relative chat scores of every model, and the gains of `model` over each other one, percent.

    Names: ``evaluation.chat_score_<model>``; ``evaluation.chat_relative_gain_percent`` for the
    gain over the `usual` baseline, ``evaluation.chat_relative_gain_<other>_percent`` over another;
    ``evaluation.chat_scores_null`` counts the scores, of every draw, that were not read. Models
    that share no scored question have no gain.
    """
    values = relative_scores(questions, chat_scores)
    null = chat_scores[["reference_score", "model_score"]].isna().any(axis=1)
    found: dict[str, float] = {"evaluation.chat_scores_null": int(null.sum())}
    own_questions = set(values["question_id"][values["model"] == model])
    for name, own in values.groupby("model", sort=False):
        interval = mean_interval(own["value"], own["group_id"], seed=seed)
        found |= interval.metrics(f"evaluation.chat_score_{name}")
        if name != model and own_questions & set(own["question_id"]):
            gain = relative_chat_gain(questions, chat_scores, model, name, seed=seed)
            found |= _percent(gain, "chat_relative_gain", name, usual)
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
            found |= _percent(rate, stem, other, usual)
        short = stem if other == usual else f"{stem}_{other}"
        if decided.any():
            rate = ratio_interval(100 * won, decided, groups, seed=seed)
            found |= rate.metrics(f"evaluation.{short}_decided_percent")
        asked = _with_groups(questions[questions["kind"] == "open"], own)
        nulls = len(asked.drop_duplicates(_COMPARED)) - len(values)
        counts = {"wins": won, "ties": ~decided, "losses": decided & ~won}
        found |= {f"evaluation.{short}_{count}": int(of.sum()) for count, of in counts.items()}
        found[f"evaluation.{short}_nulls"] = nulls
    return found


def _percent(interval: Interval, stem: str, other: str, usual: str) -> dict[str, float]:
    against = "" if other == usual else f"_{other}"
    return interval.metrics(f"evaluation.{stem}{against}_percent")


def _scored(
    questions: pd.DataFrame,
    answers: pd.DataFrame,
    kind: str,
    value: Callable[[str, str, str], float],
) -> pd.DataFrame:
    """One row per question of `kind`, its answer looked up by question_id."""
    _refuse_twice(answers, ["question_id", "draw"])
    _refuse_twice(questions, ["question_id"])
    said = answers.groupby("question_id")["answer"].agg(list).to_dict()
    if said and not set(said) & set(questions["question_id"]):
        raise ValueError(f"no answer belongs to these questions, such as {next(iter(said))!r}")
    rows = []
    for row in questions[questions["kind"] == kind].itertuples():
        given: list[Any] = said.get(row.question_id, [None])
        answered = [isinstance(answer, str) for answer in given]
        points = [
            value(row.question, row.reference, answer) if is_one else 0.0
            for answer, is_one in zip(given, answered, strict=True)
        ]
        rows.append((row.question_id, row.group_id, sum(points) / len(points), all(answered)))
    columns = {"question_id": str, "group_id": str, "value": float, "answered": bool}
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)


def _with_groups(questions: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` about these questions, with their group_id."""
    _refuse_twice(questions, ["question_id"])
    groups = questions.set_index("question_id")["group_id"]
    own = rows[rows["question_id"].isin(groups.index)]
    if len(rows) and not len(own):
        raise ValueError(
            f"no row is about these questions, such as {rows['question_id'].iloc[0]!r}"
        )
    return own.assign(group_id=own["question_id"].map(groups)).reset_index(drop=True)


def _refuse_twice(rows: pd.DataFrame, key: list[str]) -> None:
    twice = rows[rows.duplicated(key)]
    if len(twice):
        first = twice[key].to_dict("records")[0]
        named = ", ".join(f"{name} {value!r}" for name, value in first.items())
        raise ValueError(f"{named} stands twice: give one model, control and judge at a time")

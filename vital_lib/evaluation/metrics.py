"""Metrics of a benchmark: pure functions over rows, matched by question_id and never by place.

Values come one row a question with its ``group_id``, so that ``vital_lib.statistics`` can give
the interval; the ``*_metrics`` functions return the flat numbers
of ``metrics.json``. Whatever is left out of a mean is counted. Knows nothing of models or judges.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd

from vital_lib.evaluation.reading import closed_value, token_recall
from vital_lib.statistics import Interval, mean_interval, ratio_interval

_ENDS = ("estimate", "low", "high")
_POINTS = {"a": 1.0, "tie": 0.5, "b": 0.0}


def open_recall(questions: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Token recall of the reference in the answer, for the open questions (LLaVA-Med).

    Args:
        questions: as table ``questions``; those of another kind are left aside.
        answers: as table ``answers``, of one model and control.

    Returns:
        question_id, group_id, value (0 to 1), answered; a question without an answer has value 0
        and `answered` False.

    Raises:
        ValueError: a question answered twice, or answers of which none belongs to `questions`.
    """
    return _scored(questions, answers, "open", lambda _, wanted, said: token_recall(wanted, said))


def closed_accuracy(questions: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """1 for each closed question answered rightly, else 0; all else as in `open_recall`."""
    return _scored(questions, answers, "closed", closed_value)


def relative_scores(questions: pd.DataFrame, chat_scores: pd.DataFrame) -> pd.DataFrame:
    """100 * model_score / reference_score by question and model (LLaVA-Med's open visual chat).

    Args:
        questions: as table ``questions``.
        chat_scores: as table ``chat_scores``, of one judge. Rows with a null score are left out.

    Returns:
        question_id, group_id, model, value (percent).

    Raises:
        ValueError: a question scored twice for a model, or a reference score that is not positive.
    """
    _refuse_twice(chat_scores, ["question_id", "model"])
    read = chat_scores.dropna(subset=["reference_score", "model_score"])
    if (read["reference_score"] <= 0).any():
        bad = read["reference_score"].min()
        raise ValueError(f"reference_score {bad!r}: scores run from 1 to 10")
    value = 100 * read["model_score"].astype(float) / read["reference_score"].astype(float)
    return _with_groups(questions, read.assign(value=value))[
        ["question_id", "group_id", "model", "value"]
    ]


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
    """Points of model_a by open question: 1 for a win, 0.5 for a tie, 0 for a loss.

    Args:
        questions: as table ``questions``; verdicts on other than open ones are left aside.
        verdicts: as table ``verdicts``, order "both". Rows with a null winner are left out.

    Returns:
        question_id, group_id, model_a, model_b, judge, value.

    Raises:
        ValueError: a row of a single order, a question twice, or an unknown winner.
    """
    decided = _open_verdicts(questions, verdicts).dropna(subset="winner")
    unknown = set(decided["winner"]) - set(_POINTS)
    if unknown:
        raise ValueError(f"winner {sorted(unknown)[0]!r}: wanted a, b, tie, or null")
    columns = ["question_id", "group_id", "model_a", "model_b", "judge", "value"]
    return decided.assign(value=decided["winner"].map(_POINTS).astype(float))[columns]


def win_rate(questions: pd.DataFrame, verdicts: pd.DataFrame) -> dict[str, float | int | None]:
    """How often model_a wins against model_b: (wins + half the ties) / verdicts that were read.

    Args:
        questions, verdicts: as in `win_values`, of one judge and one pair of models.

    Returns:
        rate (0 to 1, None where nothing was read), wins, ties, losses, nulls.

    Raises:
        ValueError: as `win_values`; also verdicts of several judges or pairs of models.
    """
    compared = verdicts[["judge", "model_a", "model_b"]].drop_duplicates()
    if len(compared) > 1:
        raise ValueError(f"verdicts of {len(compared)} comparisons: give one judge and one pair")
    values = win_values(questions, verdicts)["value"]
    counts = {name: int((values == points).sum()) for name, points in
              (("wins", 1.0), ("ties", 0.5), ("losses", 0.0))}  # fmt: skip
    nulls = len(_open_verdicts(questions, verdicts)) - len(values)
    rate = float(values.mean()) if len(values) else None
    return {"rate": rate, **counts, "nulls": nulls}


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
        for name, measure in (("closed_accuracy", closed_accuracy), ("open_recall", open_recall)):
            values = measure(questions, own)
            unanswered += int((~values["answered"]).sum())
            if len(values):
                interval = mean_interval(values["value"], values["group_id"], seed=seed)
                found |= interval.metrics(f"evaluation.{prefix}{name}_{model}")
        found[f"evaluation.{prefix}unanswered_{model}"] = unanswered
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
    ``evaluation.chat_scores_null`` counts what was not read.
    """
    values = relative_scores(questions, chat_scores)
    found: dict[str, float] = {"evaluation.chat_scores_null": len(chat_scores) - len(values)}
    for name, own in values.groupby("model", sort=False):
        interval = mean_interval(own["value"], own["group_id"], seed=seed)
        found |= interval.metrics(f"evaluation.chat_score_{name}")
        if name != model and model in set(values["model"]):
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
    """Win rates of each comparison of one judge in percent, with intervals, ties and nulls.

    Names: ``evaluation.win_rate_percent`` against the `usual` baseline,
    ``evaluation.win_rate_<other>_percent`` against another model; `name` (of a judge) goes before
    it: ``evaluation.win_rate_<name>_<other>_percent``. Names that end in ``_wins``, ``_ties``,
    ``_losses`` and ``_nulls`` are counts.
    """
    found: dict[str, float] = {}
    for other, own in verdicts.groupby("model_b", sort=False):
        values = win_values(questions, own)
        counts = win_rate(questions, own)
        stem = "_".join(part for part in ("win_rate", name) if part)
        if len(values):
            rate = mean_interval(100 * values["value"], values["group_id"], seed=seed)
            found |= _percent(rate, stem, other, usual)
        short = stem if other == usual else f"{stem}_{other}"
        del counts["rate"]  # it is in `found`, with its interval
        found |= {f"evaluation.{short}_{count}": number for count, number in counts.items()}
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
    _refuse_twice(answers, ["question_id"])
    _refuse_twice(questions, ["question_id"])
    said = dict(zip(answers["question_id"], answers["answer"], strict=True))
    if said and not set(said) & set(questions["question_id"]):
        raise ValueError(f"no answer belongs to these questions, such as {next(iter(said))!r}")
    rows = []
    for row in questions[questions["kind"] == kind].itertuples():
        answer: Any = said.get(row.question_id)
        answered = isinstance(answer, str)
        points = value(row.question, row.reference, answer) if answered else 0.0
        rows.append((row.question_id, row.group_id, points, answered))
    columns = {"question_id": str, "group_id": str, "value": float, "answered": bool}
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)


def _open_verdicts(questions: pd.DataFrame, verdicts: pd.DataFrame) -> pd.DataFrame:
    single = verdicts[verdicts["order"] != "both"]
    if len(single):
        raise ValueError(
            f"order {single['order'].iloc[0]!r}: combine the two orders first "
            "(judging.combine_orders), or the answer shown first gains by it"
        )
    _refuse_twice(verdicts, ["question_id", "model_a", "model_b", "judge"])
    return _with_groups(questions[questions["kind"] == "open"], verdicts)


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
        named = ", ".join(f"{name} {twice.iloc[0][name]!r}" for name in key)
        raise ValueError(f"{named} stands twice: give one model, control and judge at a time")

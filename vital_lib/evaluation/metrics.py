"""Benchmark metrics: pure functions over rows, matched by question_id and never by position.

Values have one row per question with its ``group_id``, so that ``vital_lib.statistics`` can compute
the interval over articles; several draws of an answer are averaged first. The ``*_metrics``
functions return the flat metrics of ``metrics.json``. Every row left out of a mean is counted.
Independent of models and judges.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from vital_lib.evaluation.controls import mirrored, side_questions, sides
from vital_lib.evaluation.llava_med import llava_med_closed, llava_med_recall
from vital_lib.evaluation.reading import closed_point, token_recall
from vital_lib.statistics import Interval, difference_interval, mean_interval, ratio_interval
from vital_lib.tables import refuse_strays, refuse_twice

ONE_AT_A_TIME = "give one model, control and judge at a time"

_POINTS = {"a": 1.0, "tie": 0.5, "b": 0.0}
_COMPARED = ["question_id", "model_a", "model_b", "draw", "judge"]


_Point = Callable[[str, str, str], float | None]
METRICS: dict[str, dict[str, _Point]] = {
    "vital": {
        "closed": closed_point,
        "open": lambda _, reference, answer: token_recall(reference, answer),
        "side": lambda _, reference, answer: _side_point(reference, answer),
    },
    "llava-med": {
        "closed": lambda _, reference, answer: llava_med_closed(reference, answer),
        "open": lambda _, reference, answer: llava_med_recall(reference, answer),
    },
}
"""The scores of one answer, ours and LLaVA-Med's, by kind of question."""


def open_recall(
    questions: pd.DataFrame, answers: pd.DataFrame, *, metric: str = "vital"
) -> pd.DataFrame:
    """Token recall of the reference in the answer, for the open questions.

    Our recall differs from LLaVA-Med's: words match by their root ("nodules" and "nodule"), a
    modality matches by any of its names ("radiograph" and "X-ray"), a repeated answer word counts
    at most as often as it occurs in the reference, all punctuation is ignored, and "none" stays a
    word instead of becoming 0. Use LLaVA-Med's for a comparison with a published number.

    Args:
        questions: as table ``questions``; other kinds are ignored.
        answers: as table ``answers``, of one model and control.
        metric: "vital", or "llava-med" for that project's own (`vital_lib.evaluation.llava_med`).

    Returns:
        question_id, group_id, value (0 to 1, mean over the draws), answered. A missing answer has
        value 0 and sets `answered` to False.

    Raises:
        ValueError: an unknown metric, two answers to a question in one draw, or answers to unknown
            questions.
    """
    return _scored(questions, answers, "open", metric)


def closed_accuracy(
    questions: pd.DataFrame, answers: pd.DataFrame, *, metric: str = "vital"
) -> pd.DataFrame:
    """1 for each closed question answered correctly, else 0.

    Our accuracy reads what the answer states (`closed_point`). A refusal, a hedge, an echo of the
    question or of its choices, a file name or a notice is no answer: `answered` is False as well.
    LLaVA-Med's matches letters: "normal" is a no, "yes or no" is always right, and a choice such
    as "left" never is. Published closed accuracies use LLaVA-Med's. Arguments, columns and errors
    are those of `open_recall`.
    """
    return _scored(questions, answers, "closed", metric)


def side_accuracy(questions: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """1 for each answer that names the side of its reference and not the other one, else 0.

    Only `side_questions` count, open and closed. An answer that names no side sets `answered` to
    False. Arguments, columns and errors are those of `open_recall`.
    """
    return _scored(questions, answers, "side", "vital")


_MEASURES = {"closed_accuracy": closed_accuracy, "open_recall": open_recall}
_SIDE_MEASURES: dict[str, Callable[..., pd.DataFrame]] = {"side_accuracy": side_accuracy}


def win_values(questions: pd.DataFrame, verdicts: pd.DataFrame) -> pd.DataFrame:
    """Points of model_a by open question and draw: the mean over both orders.

    A win is 1, a tie 0.5, a loss 0. A win in one order and a loss in the other give 0.5, so the
    order has no effect; a win and a tie give 0.75.

    Args:
        questions: as table ``questions``; verdicts on other than open questions are ignored.
        verdicts: as table ``verdicts``: orders ab and ba of a judge, or the order both of a person.
            A comparison with a null winner in either order is left out.

    Returns:
        question_id, group_id, model_a, model_b, draw, judge, value.

    Raises:
        ValueError: an order that occurs twice or without the other, an unknown winner, or verdicts
            on unknown questions.
    """
    unknown = set(verdicts["winner"].dropna()) - set(_POINTS)
    if unknown:
        raise ValueError(f"winner {sorted(unknown)[0]!r}: wanted a, b, tie, or null")
    verdicts = with_groups(questions, verdicts, what="verdicts")
    open_ids = questions.loc[questions["kind"] == "open", "question_id"]
    rows = verdicts[verdicts["question_id"].isin(open_ids)]
    refuse_twice(rows[[*_COMPARED, "order"]], "verdicts", ONE_AT_A_TIME)
    points = rows["winner"].map(_POINTS).astype(float)
    by = rows.assign(value=points, read=points.notna()).groupby(_COMPARED, sort=False)
    orders = by["order"].agg(lambda order: "".join(sorted(order)))
    alone = orders[~orders.isin(["abba", "both"])]
    if len(alone):
        raise ValueError(
            f"question {alone.index[0][0]!r} has order {alone.iloc[0]!r}: wanted ab and ba, or "
            "both, since a single order favours the answer shown first"
        )
    found = by.agg(group_id=("group_id", "first"), value=("value", "mean"), read=("read", "all"))
    found = found.reset_index()
    columns = ["question_id", "group_id", *_COMPARED[1:], "value"]
    return found[found["read"].astype(bool)][columns].reset_index(drop=True)


def accuracy_metrics(
    questions: pd.DataFrame, answers: pd.DataFrame, *, metric: str = "vital", seed: int = 0
) -> dict[str, float]:
    """Closed accuracy and open recall of every model and control but mirrored, 0 to 1.

    Names: ``evaluation.closed_accuracy_<model>`` and ``evaluation.open_recall_<model>``; for a
    control ``evaluation.<control>_closed_accuracy_<model>``. ``evaluation.unanswered_<model>``
    counts the questions that scored 0 for lack of an answer, and ``closed_unanswered_<model>`` the
    closed ones among them: no answer, or one that commits itself to nothing. LLaVA-Med's metric has
    the names ``evaluation.llava_med_closed_accuracy_<model>`` and so on, without the counts.
    """
    theirs = "" if metric == "vital" else f"{metric.replace('-', '_')}_"
    found: dict[str, float] = {}
    scored = answers[answers["control"] != "mirrored"]  # see `reliance_metrics`
    for (model, control), own in scored.groupby(["model", "control"], sort=False):
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


def reliance_metrics(
    questions: pd.DataFrame, answers: pd.DataFrame, *, seed: int = 0
) -> dict[str, float]:
    """Image reliance of every model and control in `answers`, with intervals, from -1 to 1.

    The score with the image minus the score under the control, question by question and against
    the same reference: 0 for a model that does not use its images. For mirrored images the score
    is the `side_accuracy`, which is also given with the image and with the mirrored one.

    Names: ``evaluation.image_reliance_<control>_<score>_<model>``, where the score is
    closed_accuracy, open_recall or side_accuracy; ``evaluation.side_accuracy_<model>`` and
    ``evaluation.mirrored_side_accuracy_<model>``. Only questions answered under the control count.

    Raises:
        ValueError: as `open_recall`.
    """
    found: dict[str, float] = {}
    for (model, control), own in answers.groupby(["model", "control"], sort=False):
        with_image = answers[(answers["model"] == model) & (answers["control"] == "none")]
        if control == "none" or with_image.empty:
            continue
        asked = questions[questions["question_id"].isin(own["question_id"])]
        seen = with_image[with_image["question_id"].isin(own["question_id"])]
        side = control == "mirrored"
        for name, measure in (_SIDE_MEASURES if side else _MEASURES).items():
            pairs = pair_values(measure(asked, seen), measure(asked, own))
            if len(pairs):
                apart = difference_interval(pairs["a"], pairs["b"], pairs["group_id"], seed=seed)
                found |= apart.metrics(f"evaluation.image_reliance_{control}_{name}_{model}")
            if len(pairs) and side:
                scores = {"": measure(asked, seen), "mirrored_": measure(mirrored(asked), own)}
                for under, score in scores.items():
                    value = mean_interval(score["value"], score["group_id"], seed=seed)
                    found |= value.metrics(f"evaluation.{under}{name}_{model}")
    return found


def unread_answers(questions: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Closed answers from which no yes, no or choice could be read, for inspection.

    Returns:
        model, control, question, reference, answer; in the order of `answers`.
    """
    closed = questions[questions["kind"] == "closed"]
    rows = answers.dropna(subset=["answer"]).merge(closed, on="question_id", validate="many_to_one")
    unread = [
        closed_point(row.question, row.reference, row.answer) is None for row in rows.itertuples()
    ]
    columns = ["model", "control", "question", "reference", "answer"]
    return rows.loc[unread, columns].reset_index(drop=True)


def difference_metrics(
    questions: pd.DataFrame, answers: pd.DataFrame, *, model: str = "selected", seed: int = 0
) -> dict[str, float]:
    """Closed accuracy and open recall of `model` minus every other model's, from -1 to 1.

    Both models answer the same questions, so the interval is that of the paired difference. Names:
    ``evaluation.open_recall_<model>_minus_<other>`` and ``..closed_accuracy_<model>_minus_..``.

    Raises:
        ValueError: `answers` has no rows of `model` without a control; also as `open_recall`.
    """
    with_image = answers[answers["control"] == "none"]
    if model not in set(with_image["model"]):
        raise ValueError(
            f"no answers of model {model!r}: give one of {sorted(set(with_image['model']))}"
        )
    found: dict[str, float] = {}
    for name, measure in _MEASURES.items():
        own = measure(questions, with_image[with_image["model"] == model])
        for other, theirs in with_image[with_image["model"] != model].groupby("model", sort=False):
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

    The win rate is the mean of `win_values`; the decided rate leaves out ties: wins / (wins +
    losses). A win is a value above 0.5, a tie 0.5, a loss a value below.

    Names: ``evaluation.win_rate_percent`` against the `usual` baseline,
    ``evaluation.win_rate_<other>_percent`` against another model; `name` (of a judge) precedes the
    model: ``evaluation.win_rate_<name>_<other>_percent``. Each has variants that end in
    ``_decided_percent``, ``_wins``, ``_ties``, ``_losses`` and ``_nulls`` (unread in either order)
    instead of ``_percent``.

    Several people count as one: their points on one answer are averaged, so a value above 0.5 is
    a win by their majority.

    Raises:
        ValueError: as `win_values`; also verdicts of several judges or several models a.
    """
    people = (verdicts["order"] == "both").all()
    for column in ("model_a",) if people else ("judge", "model_a"):
        if verdicts[column].nunique() > 1:
            raise ValueError(f"{column} has {sorted(set(verdicts[column]))}: give one at a time")
    found: dict[str, float] = {}
    for other, own in verdicts.groupby("model_b", sort=False):
        values = win_values(questions, own)
        read = len(values)
        by = ["question_id", "group_id", "draw"]
        values = values.groupby(by, sort=False)["value"].mean().reset_index()
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
        on_open = own["question_id"].isin(questions.loc[questions["kind"] == "open", "question_id"])
        nulls = len(own[on_open].drop_duplicates(_COMPARED)) - read
        counts = {"wins": won, "ties": ~decided, "losses": decided & ~won}
        found |= {f"evaluation.{short}_{count}": int(of.sum()) for count, of in counts.items()}
        found[f"evaluation.{short}_nulls"] = nulls
    return found


def _scored(questions: pd.DataFrame, answers: pd.DataFrame, kind: str, metric: str) -> pd.DataFrame:
    """One row per question of `kind`, with its answer looked up by question_id."""
    if metric not in METRICS:
        raise ValueError(f"metric {metric!r}: give one of {', '.join(METRICS)}")
    value = METRICS[metric][kind]
    refuse_twice(answers[["question_id", "draw"]], "answers", ONE_AT_A_TIME)
    refuse_twice(questions["question_id"], "questions")
    ids = questions["question_id"]
    refuse_strays(answers, "question_id", ids, what="answers", to="questions")
    by_question = answers.groupby("question_id")["answer"].agg(list).to_dict()
    rows = []
    own = side_questions(questions) if kind == "side" else questions[questions["kind"] == kind]
    for row in own.itertuples():
        points = [
            value(row.question, row.reference, answer) if isinstance(answer, str) else None
            for answer in by_question.get(row.question_id, [None])
        ]
        mean = sum(point or 0.0 for point in points) / len(points)
        rows.append((row.question_id, row.group_id, mean, None not in points))
    columns = {"question_id": str, "group_id": str, "value": float, "answered": bool}
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)


def _side_point(reference: str, answer: str) -> float | None:
    named = sides(answer)
    return float(named == sides(reference)) if named else None


def pair_values(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Pair two frames of values by question: columns question_id, group_id, a, b."""
    keys = ["question_id", "group_id"]
    both = a[[*keys, "value"]].merge(
        b[[*keys, "value"]], on=keys, suffixes=("_a", "_b"), validate="one_to_one"
    )
    return both.rename(columns={"value_a": "a", "value_b": "b"})


def with_groups(questions: pd.DataFrame, rows: pd.DataFrame, *, what: str) -> pd.DataFrame:
    """Return `rows` with the group_id of each row's question.

    Raises:
        ValueError: two questions share an id, or rows (called `what`) belong to no question here.
    """
    refuse_twice(questions["question_id"], "questions")
    groups = questions.set_index("question_id")["group_id"]
    refuse_strays(rows, "question_id", groups.index, what=what, to="questions")
    return rows.assign(group_id=rows["question_id"].map(groups)).reset_index(drop=True)


def percent(interval: Interval, stem: str, other: str, usual: str) -> dict[str, float]:
    """Return ``evaluation.<stem>_<other>_percent`` with its interval; omit `other` if `usual`."""
    against = "" if other == usual else f"_{other}"
    return interval.metrics(f"evaluation.{stem}{against}_percent")

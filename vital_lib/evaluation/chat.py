"""LLaVA-Med's open visual chat: a judge's score of the answer, relative to the reference's.

Pure functions over rows, as in `vital_lib.evaluation.metrics`. Independent of judges.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pandas as pd

from vital_lib.evaluation.metrics import ONE_AT_A_TIME, pair_values, percent, with_groups
from vital_lib.statistics import Interval, mean_interval, ratio_interval
from vital_lib.tables import refuse_twice

NOT_STATED = "not stated"
_ENDS = ("estimate", "low", "high")
_NOT_A_WORD = re.compile(r"[^a-z0-9]+")
_COUNTS = ["questions", "scored", "unscored", "unjudged"]


def relative_scores(questions: pd.DataFrame, chat_scores: pd.DataFrame) -> pd.DataFrame:
    """Return 100 * model_score / reference_score by question and model.

    Args:
        questions: as table ``questions``.
        chat_scores: as table ``chat_scores``, of one judge. Rows with a null score are left out.

    Returns:
        question_id, group_id, model, value (percent, mean over the draws).

    Raises:
        ValueError: two scores for one question, model and draw, scores of unknown questions, or a
            reference score that is not positive.
    """
    refuse_twice(chat_scores[["question_id", "model", "draw"]], "chat scores", ONE_AT_A_TIME)
    scored = with_groups(questions, chat_scores, what="chat scores")
    read = scored.dropna(subset=["reference_score", "model_score"])
    if (read["reference_score"] <= 0).any():
        bad = read["reference_score"].min()
        raise ValueError(f"reference_score {bad!r}: scores run from 1 to 10")
    value = 100 * read["model_score"].astype(float) / read["reference_score"].astype(float)
    keys = ["question_id", "group_id", "model"]
    return read.assign(value=value).groupby(keys, sort=False)["value"].mean().reset_index()


def relative_chat_gain(
    questions: pd.DataFrame, chat_scores: pd.DataFrame, model: str, baseline: str, *, seed: int = 0
) -> Interval:
    """Return by how many percent the mean relative score of `model` exceeds that of `baseline`.

    Uses the questions scored for both; `n` is their number. The paper reports +18.5 %.
    """
    values = relative_scores(questions, chat_scores)
    pairs = pair_values(values[values["model"] == model], values[values["model"] == baseline])
    ratio = ratio_interval(pairs["a"], pairs["b"], pairs["group_id"], seed=seed)
    return replace(ratio, **{end: 100 * (getattr(ratio, end) - 1) for end in _ENDS})


def chat_table(
    questions: pd.DataFrame, chat_scores: pd.DataFrame, *, seed: int = 0
) -> pd.DataFrame:
    """Relative scores of every model: over all chat questions, by question type, and by modality.

    A question belongs to one modality, the first that it states: "histology, gross" counts as
    histology (LLaVA-Med takes the first in a fixed order instead). Without a modality it counts as
    "not stated".

    Args:
        questions, chat_scores: as in `relative_scores`; questions of other kinds are ignored.

    Returns:
        model, by ("all", "question type", "modality"), value (the type or modality), questions
        (their number), scored (in at least one draw), unscored (judged, but without a readable
        score), unjudged (never sent to a judge), score (percent, mean over the scored questions),
        low, high (95 % interval over articles); score, low and high are null if none is scored.

    Raises:
        ValueError: as `relative_scores`.
    """
    chat = questions[questions["kind"] == "chat"]
    values = relative_scores(chat, chat_scores)
    classes = {
        "all": pd.Series("all", index=chat.index),
        "question type": chat["question_type"].fillna(NOT_STATED),
        "modality": chat["modality"].map(_first_stated),
    }
    rows = []
    for model, judged in chat_scores.groupby("model", sort=False):
        own = values[values["model"] == model]
        for by, value_of in classes.items():
            for value, part in chat.groupby(value_of, sort=False):
                scored = own[own["question_id"].isin(part["question_id"])]
                n_judged = int(part["question_id"].isin(judged["question_id"]).sum())
                counts = (len(part), len(scored), n_judged - len(scored), len(part) - n_judged)
                rows.append((model, by, value, *counts, *_mean(scored, seed)))
    columns = ["model", "by", "value", *_COUNTS, "score", "low", "high"]
    return pd.DataFrame(rows, columns=columns).astype(
        dict.fromkeys(_COUNTS, int) | dict.fromkeys(columns[-3:], float)
    )


def chat_gain_metrics(
    questions: pd.DataFrame,
    chat_scores: pd.DataFrame,
    *,
    model: str = "selected",
    usual: str = "random",
    seed: int = 0,
) -> dict[str, float]:
    """Relative chat scores of every model and gains of `model` over each other model, in percent.

    Names: ``evaluation.chat_score_<model>``; by question type and by modality
    ``evaluation.chat_score_type_<type>_<model>`` and ``..chat_score_modality_<modality>_<model>``;
    ``evaluation.chat_relative_gain_percent`` for the gain over the `usual` baseline,
    ``evaluation.chat_relative_gain_<other>_percent`` for the gain over another model.
    ``evaluation.chat_scores_null`` counts the unreadable scores over all draws,
    ``evaluation.chat_unscored_<model>`` the judged questions without a readable score, and
    ``evaluation.chat_unjudged_<model>`` the questions never sent to a judge. Models without a
    scored question in common have no gain.
    """
    values = relative_scores(questions, chat_scores)
    null = chat_scores[["reference_score", "model_score"]].isna().any(axis=1)
    found: dict[str, float] = {"evaluation.chat_scores_null": int(null.sum())}
    own_questions = set(values["question_id"][values["model"] == model])
    for row in chat_table(questions, chat_scores, seed=seed).itertuples():
        stem = {"all": "", "question type": "type_", "modality": "modality_"}[row.by]
        named = f"{stem}{_NOT_A_WORD.sub('_', row.value.lower())}_" if stem else ""
        interval = Interval(row.score, row.low, row.high, row.scored)
        found |= interval.metrics(f"evaluation.chat_score_{named}{row.model}")
        if not stem:
            found[f"evaluation.chat_unscored_{row.model}"] = row.unscored
            found[f"evaluation.chat_unjudged_{row.model}"] = row.unjudged
    for name, own in values.groupby("model", sort=False):
        if name != model and own_questions & set(own["question_id"]):
            gain = relative_chat_gain(questions, chat_scores, model, name, seed=seed)
            found |= percent(gain, "chat_relative_gain", name, usual)
    return found


def _mean(scored: pd.DataFrame, seed: int) -> tuple[float, float, float]:
    if scored.empty:
        return math.nan, math.nan, math.nan
    found = mean_interval(scored["value"], scored["group_id"], seed=seed)
    return found.estimate, found.low, found.high


def _first_stated(value: object) -> str:
    """Return the first name in a list such as "histology, gross"."""
    names = [name.strip() for name in re.split(r"[,;|]", value if isinstance(value, str) else "")]
    return next((name for name in names if name), NOT_STATED)

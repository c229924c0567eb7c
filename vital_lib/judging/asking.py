"""Requests to a judge: ratings of candidates, scores of answers, verdicts on pairs of answers.

They follow BioMed-VITAL's rating policy (paper section 3.2) and its evaluation by a judge (section
4). Rows are joined by their ids, never by their position. A missing value is null, with the reason
and the raw reply in place of the rationale. This module averages nothing and does not depend on
annotators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd

from vital_lib.client import ChatClient
from vital_lib.judging._replies import NULL, RatingTask, Row, ask_rows, rating, scores, verdict
from vital_lib.prompts import chat_score_prompt, figure_text, rating_prompt, verdict_prompt
from vital_lib.tables import frame_of, refuse_missing, refuse_strays, refuse_twice

_SHOWN = ("image", "sha256", "cleared", "cleared_reason")
RESPONSES = ("first response", "second response")
"""Names of the two responses to one instruction in `compare_drafts`."""

NULL_COLUMNS = ("asked", "id", "why", "sent")
"""Columns of `nulls`: the name of the rows, an id, the reason, and whether a request was sent."""


def rate_candidates(
    candidates: pd.DataFrame,
    figures: pd.DataFrame,
    client: ChatClient | Sequence[ChatClient],
    *,
    repeats: int | Mapping[str, int] = 1,
    **options: Any,
) -> pd.DataFrame:
    """Have a judge rate every candidate by the policy, once or several times.

    Args:
        candidates: rows of the table candidates or drafts.
        figures: rows of the table figures, including every candidate's figure.
        client: the judge; or a panel of judges, each of which rates every candidate.
        repeats: number of ratings per candidate, each with another seed, or a mapping from
            candidate_id to that number (1 for missing ids). The column `repeat` counts from 0.
        options: `unread_again` (send requests with unread replies once more, including those of
            earlier runs; each is a new attempt and is charged again), and arguments of
            ``ChatClient.ask``: seed, on_reply, control, again.

    Returns:
        Rows of the table ratings, in the order of the candidates. For an unread reply, `overall` is
        null, `criteria` is empty and `rationale` holds the reason and the raw reply. For a request
        that was not sent (unreadable image, stopped run), `reply_id` is also empty.

    Raises:
        ValueError: a candidate occurs twice, or its figure is not in `figures`.
    """
    own, known = _by_id(candidates, "candidate_id"), _by_id(figures, "figure_id")
    refuse_strays(candidates, "figure_id", known, what="candidates", to="figures")
    counts = repeats if isinstance(repeats, Mapping) else dict.fromkeys(own, repeats)
    requests = [
        _rating_request(row, known[row["figure_id"]], repeat)
        for name, row in own.items()
        for repeat in range(counts.get(name, 1))  # innermost: an image is opened once
    ]
    return frame_of("ratings", ask_rows(requests, client, rating, **options))


def score_answers(
    questions: pd.DataFrame,
    answers: pd.DataFrame,
    client: ChatClient | Sequence[ChatClient],
    *,
    captions: Mapping[str, str] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Have a judge score the reference answer and each model's answer from 1 to 10.

    As in LLaVA-Med's open visual chat, the reference comes first and the model's answer second. The
    judge is also shown the caption of the question's image if it is known.

    Args:
        questions: rows of the table questions, with an optional column `caption`.
        answers: rows of the table answers. Answers to other questions and those of the blank and
            shuffled controls are left out.
        client: the judge, or a panel of judges.
        captions: image -> caption; None for the captions that ``evaluation.read_questions`` found
            (``questions.attrs["captions"]``).
        options: as for `rate_candidates`.

    Returns:
        Rows of the table chat_scores, one per model and question; scores of unread replies are
        null. `draw` is 0: pass the answers of one draw at a time (``evaluation.each_draw``).

    Raises:
        ValueError: a model has two answers to a question, or none.
    """
    known = questions.attrs.get("captions", {}) if captions is None else captions
    by_id = {
        question_id: {**row, "caption": _text_of(row.get("caption")) or known.get(row["image"])}
        for question_id, row in _by_id(questions, "question_id").items()
    }
    real = answers[answers["control"] == "none"]
    requests = [
        _score_request(model, by_id[question_id], answer)
        for model in real["model"].unique()
        for question_id, answer in _answers_of(model, real, by_id).items()
    ]
    return frame_of("chat_scores", ask_rows(requests, client, scores, **options))


def compare_answers(
    questions: pd.DataFrame,
    answers: pd.DataFrame,
    model_a: str,
    model_b: str,
    client: ChatClient | Sequence[ChatClient],
    **options: Any,
) -> pd.DataFrame:
    """Have a judge compare two models' answers to each question, once in either order.

    Args:
        questions, answers: as for `score_answers`.
        model_a, model_b: names in the column `model` of `answers`.
        client: the judge, or a panel of judges.
        options: as for `rate_candidates`.

    Returns:
        Rows of the table verdicts, two per question: order ab (a comes first) and ba. `winner` is
        the model's letter (a or b) or tie; it is null if the reply is unread.

    Raises:
        ValueError: the models are the same, or a model has two answers to a question, or none.
    """
    if model_a == model_b:
        raise ValueError(f"model_a and model_b are both {model_a!r}; compare two models")
    by_id = _by_id(questions, "question_id")
    real = answers[answers["control"] == "none"]
    texts = {"a": _answers_of(model_a, real, by_id), "b": _answers_of(model_b, real, by_id)}
    models = {"model_a": model_a, "model_b": model_b}
    requests = [
        _verdict_request(models, question, order, *(texts[name][question_id] for name in order))
        for question_id, question in by_id.items()
        for order in ("ab", "ba")
    ]
    verdicts = ask_rows(requests, client, verdict, **options)
    for row in verdicts:
        letters = dict(zip(("first", "second"), row["order"], strict=True))
        row["winner"] = letters.get(row["winner"], row["winner"])
    return frame_of("verdicts", verdicts)


def compare_drafts(
    drafts: pd.DataFrame, figures: pd.DataFrame, client: ChatClient, **options: Any
) -> pd.DataFrame:
    """Have a judge compare the two responses to each drafted instruction, once in either order.

    The reference is the figure's text, since these questions have no reference answer.

    Args:
        drafts: rows of the table drafts; only instructions with exactly two responses are used.
        figures: rows of the table figures, including every draft's figure.
        options: as for `compare_answers`.

    Returns:
        Rows of the table verdicts, two per instruction: `question_id` is the instruction's id;
        `model_a` and `model_b` name its first and second response in the order of `drafts`.

    Raises:
        ValueError: a draft's figure is not in `figures`.
    """
    refuse_strays(drafts, "figure_id", figures["figure_id"], what="drafts", to="figures")
    two = drafts[drafts.groupby("instruction_id")["candidate_id"].transform("size") == 2]
    place = two.groupby("instruction_id").cumcount()
    texts = {row["figure_id"]: figure_text(row) for row in figures.to_dict("records")}
    shown = figures.set_index("figure_id")
    questions = pd.DataFrame(
        {
            "question_id": two["instruction_id"],
            **{name: two["figure_id"].map(shown[name]) for name in _SHOWN if name in shown},
            "question": two["instruction"],
            "reference": two["figure_id"].map(texts),
        }
    ).drop_duplicates("question_id")
    answers = pd.DataFrame(
        {
            "question_id": two["instruction_id"],
            "model": place.map({0: RESPONSES[0], 1: RESPONSES[1]}),
            "control": "none",
            "answer": two["response"],
        }
    )
    return compare_answers(questions, answers, *RESPONSES, client, **options)


def nulls(**asked: pd.DataFrame) -> pd.DataFrame:
    """Return the rows without a value, for inspection; ``unread_again`` requests them once more.

    Args:
        asked: rows of the tables ratings, verdicts or chat_scores, each under its own name, as in
            ``nulls(ratings=ratings, blanked=unseen)``.

    Returns:
        A table of `NULL_COLUMNS`; `id` is a candidate_id or question_id. `sent` is false if the
        request was not sent, because the image was unreadable or the run stopped.
    """
    found = [pd.DataFrame(columns=list(NULL_COLUMNS))]
    for name, frame in asked.items():
        value, key = next((value, key) for value, key in NULL.items() if value in frame)
        null = frame[frame[value].isna()].rename(columns={key: "id", "rationale": "why"})
        found.append(null.assign(asked=name, sent=null["reply_id"] != ""))
    return pd.concat(found, ignore_index=True)[list(NULL_COLUMNS)].astype({"sent": bool})


def _rating_request(candidate: Row, figure: Row, repeat: int) -> RatingTask:
    words = {"instruction": candidate["instruction"], "response": candidate["response"]}
    row = {"candidate_id": candidate["candidate_id"], "repeat": repeat}
    return RatingTask(row, figure, partial(rating_prompt, figure, **words), repeat)


def _score_request(model: str, question: Row, answer: str) -> RatingTask:
    words = {"reference": question["reference"], "answer": answer}
    row = {"question_id": question["question_id"], "model": model, "draw": 0}
    prompt = partial(chat_score_prompt, question["question"], **words, caption=question["caption"])
    return RatingTask(row, question, prompt)


def _text_of(value: Any) -> str:
    """Return a cell's text, or "" for a null, which a frame may store as NaN."""
    return value if isinstance(value, str) else ""


def _verdict_request(models: Row, question: Row, order: str, first: str, second: str) -> RatingTask:
    words = {"reference": question["reference"], "first": first, "second": second}
    row = {"question_id": question["question_id"], **models, "draw": 0, "order": order}
    return RatingTask(row, question, partial(verdict_prompt, question["question"], **words))


def _by_id(frame: pd.DataFrame, name: str) -> dict[str, Row]:
    refuse_twice(frame[name], "rows", "keep one of them")
    return {row[name]: row for row in frame.to_dict("records")}


def _answers_of(model: str, answers: pd.DataFrame, by_id: dict[str, Any]) -> dict[str, str]:
    """Return a model's answers by question_id, in the order of the questions."""
    own = answers[(answers["model"] == model) & answers["question_id"].isin(list(by_id))]
    own = own[own["answer"].notna()]  # a null is no answer, and not the word None
    texts = {key: row["answer"] for key, row in _by_id(own, "question_id").items()}
    way_out = "run notebooks/09_evaluate_model.ipynb to answer them, or leave the questions out"
    refuse_missing(by_id, texts, f"questions have no answer of model {model!r}", way_out)
    return {question_id: texts[question_id] for question_id in by_id}

"""What a judge is asked: ratings of candidates, scores of answers, verdicts between two answers.

BioMed-VITAL's rating policy (paper section 3.2) and its evaluation by a judge (section 4). Rows
are joined by their ids, never by their place. What a judge did not say is null, with the reason and
the raw reply in place of the rationale: this module averages nothing, and knows nothing of people.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd

from vital_lib.client import ChatClient
from vital_lib.judging._replies import (
    NULL,
    RatingTask,
    Resolve,
    Row,
    ask_rows,
    rating,
    scores,
    verdict,
)
from vital_lib.prompts import chat_score_prompt, figure_text, rating_prompt, verdict_prompt
from vital_lib.tables import empty_frame, refuse_strays

RESPONSES = ("first response", "second response")
"""What `compare_drafts` calls the two responses to one instruction."""

NULL_COLUMNS = ("asked", "id", "why", "sent")
"""Columns of `nulls`: under which name it was asked, of what, why it is null, and whether sent."""


def rate_candidates(
    candidates: pd.DataFrame,
    figures: pd.DataFrame,
    client: ChatClient,
    *,
    resolve: Resolve,
    repeats: int | Mapping[str, int] = 1,
    **options: Any,
) -> pd.DataFrame:
    """Have a judge rate every candidate by the policy, once or several times.

    Args:
        candidates: rows of the table candidates or drafts.
        figures: rows of the table figures, among them every candidate's.
        resolve: from an `image` to its file (``Workspace.resolve``).
        repeats: how often each candidate is rated, under another seed each time, or how often by
            candidate_id (once where there is none); the column `repeat` counts them from 0.
        options: `unread_again` (ask once more for what came back unread, now or in an earlier
            run: another attempt, and another price), and arguments of ``ChatClient.ask``: seed,
            on_reply, control, again.

    Returns:
        Rows of the table ratings, in the order of the candidates. Where the reply was unread,
        `overall` is null, `criteria` empty, and `rationale` says why, with the raw reply; where
        nothing was sent (the image is unreadable, the run was stopped), `reply_id` is empty, too.

    Raises:
        ValueError: a candidate stands twice, or its figure is not in `figures`.
    """
    own, known = _by_id(candidates, "candidate_id"), _by_id(figures, "figure_id")
    lost = [row["figure_id"] for row in own.values() if row["figure_id"] not in known]
    if lost:
        raise ValueError(f"figure {lost[0]!r} of a candidate is not in figures ({len(lost)} so)")
    often = repeats if isinstance(repeats, Mapping) else dict.fromkeys(own, repeats)
    requests = [
        _rating_request(row, known[row["figure_id"]], repeat)
        for name, row in own.items()
        for repeat in range(often.get(name, 1))  # innermost: each image is opened and encoded once
    ]
    return _frame(ask_rows(requests, client, resolve, rating, **options), "ratings")


def score_answers(
    questions: pd.DataFrame,
    answers: pd.DataFrame,
    client: ChatClient,
    *,
    resolve: Resolve,
    captions: Mapping[str, str] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Have a judge score the reference answer and each model's answer, 1 to 10 each.

    LLaVA-Med's open visual chat: the reference stands first, the model's answer second. Where a
    caption is known of a question's image, the judge is shown it as well.

    Args:
        questions: rows of the table questions; a column `caption` is read where there is one.
        answers: rows of the table answers. Those to other questions, and those of the blank and
            shuffled controls, are left out.
        captions: image -> caption; None for those that ``evaluation.read_questions`` has found
            (``questions.attrs["captions"]``).
        options: as for `rate_candidates`.

    Returns:
        Rows of the table chat_scores, one per model and question; null where unread. `draw` is 0:
        give the answers of one draw at a time (``evaluation.each_draw``).

    Raises:
        ValueError: a model answered one of the questions twice, or not at all.
    """
    known = questions.attrs.get("captions", {}) if captions is None else captions
    asked = {
        question_id: {**row, "caption": _text_of(row.get("caption")) or known.get(row["image"])}
        for question_id, row in _by_id(questions, "question_id").items()
    }
    real = answers[answers["control"] == "none"]
    requests = [
        _score_request(model, asked[question_id], answer)
        for model in real["model"].unique()
        for question_id, answer in _answers_of(model, real, asked).items()
    ]
    return _frame(ask_rows(requests, client, resolve, scores, **options), "chat_scores")


def compare_answers(
    questions: pd.DataFrame,
    answers: pd.DataFrame,
    model_a: str,
    model_b: str,
    client: ChatClient,
    *,
    resolve: Resolve,
    **options: Any,
) -> pd.DataFrame:
    """Have a judge compare two models' answers, each question once in either order.

    Args:
        questions, answers: as for `score_answers`.
        model_a, model_b: names in the column `model` of `answers`.
        options: as for `rate_candidates`.

    Returns:
        Rows of the table verdicts, two per question: order ab (a stood first) and ba. `winner` is
        the model's letter, not its place; null where unread.

    Raises:
        ValueError: the models are one, or one answered a question twice or not at all.
    """
    if model_a == model_b:
        raise ValueError(f"model_a and model_b are both {model_a!r}; compare two models")
    asked = _by_id(questions, "question_id")
    real = answers[answers["control"] == "none"]
    said = {"a": _answers_of(model_a, real, asked), "b": _answers_of(model_b, real, asked)}
    models = {"model_a": model_a, "model_b": model_b}
    requests = [
        _verdict_request(models, question, order, *(said[name][question_id] for name in order))
        for question_id, question in asked.items()
        for order in ("ab", "ba")
    ]
    verdicts = ask_rows(requests, client, resolve, verdict, **options)
    for row in verdicts:
        stood = dict(zip(("first", "second"), row["order"], strict=True))
        row["winner"] = stood.get(row["winner"], row["winner"])
    return _frame(verdicts, "verdicts")


def compare_drafts(
    drafts: pd.DataFrame,
    figures: pd.DataFrame,
    client: ChatClient,
    *,
    resolve: Resolve,
    **options: Any,
) -> pd.DataFrame:
    """Have a judge compare the two responses of each drafted instruction, in either order.

    The reference is the figure's text, since nobody has answered these questions before.

    Args:
        drafts: rows of the table drafts; instructions with other than two responses are left out.
        figures: rows of the table figures, among them every draft's.
        options: as for `compare_answers`.

    Returns:
        Rows of the table verdicts, two per instruction: `question_id` is its id, `model_a` and
        `model_b` stand for its first and second response in the order of `drafts`.

    Raises:
        ValueError: a draft's figure is not in `figures`.
    """
    refuse_strays(drafts, "figure_id", figures["figure_id"], what="drafts", to="figures")
    two = drafts[drafts.groupby("instruction_id")["candidate_id"].transform("size") == 2]
    place = two.groupby("instruction_id").cumcount()
    texts = {row["figure_id"]: figure_text(row) for row in figures.to_dict("records")}
    images = dict(zip(figures["figure_id"], figures["image"], strict=True))
    questions = pd.DataFrame(
        {
            "question_id": two["instruction_id"],
            "image": two["figure_id"].map(images),
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
    return compare_answers(questions, answers, *RESPONSES, client, resolve=resolve, **options)


def nulls(**asked: pd.DataFrame) -> pd.DataFrame:
    """What the judge did not say, to be looked at; ``unread_again`` asks for it once more.

    Args:
        asked: rows of the tables ratings, verdicts or chat_scores, each under a name of its own,
            as in ``nulls(ratings=ratings, blanked=unseen)``.

    Returns:
        `NULL_COLUMNS`; `id` is a candidate_id or question_id. `sent` is false where nothing was
        asked, since the image was unreadable or the run stopped: such rows are no bad replies.
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
    return RatingTask(row, figure["image"], partial(rating_prompt, figure, **words), repeat)


def _score_request(model: str, question: Row, answer: str) -> RatingTask:
    words = {"reference": question["reference"], "answer": answer}
    row = {"question_id": question["question_id"], "model": model, "draw": 0}
    asked = partial(chat_score_prompt, question["question"], **words, caption=question["caption"])
    return RatingTask(row, question["image"], asked)


def _text_of(value: Any) -> str:
    """A cell's text; empty for a null, which a frame may spell NaN."""
    return value if isinstance(value, str) else ""


def _verdict_request(models: Row, question: Row, order: str, first: str, second: str) -> RatingTask:
    words = {"reference": question["reference"], "first": first, "second": second}
    row = {"question_id": question["question_id"], **models, "draw": 0, "order": order}
    return RatingTask(
        row, question["image"], partial(verdict_prompt, question["question"], **words)
    )


def _by_id(frame: pd.DataFrame, name: str) -> dict[str, Row]:
    twice = frame[name][frame[name].duplicated()]
    if len(twice):
        raise ValueError(f"{name} {twice.iloc[0]!r} stands twice")
    return {row[name]: row for row in frame.to_dict("records")}


def _answers_of(model: str, answers: pd.DataFrame, asked: dict[str, Any]) -> dict[str, str]:
    """A model's answers by question_id, in the order of the questions."""
    own = answers[(answers["model"] == model) & answers["question_id"].isin(list(asked))]
    said = {key: row["answer"] for key, row in _by_id(own, "question_id").items()}
    lost = [question_id for question_id in asked if question_id not in said]
    if lost:
        raise ValueError(
            f"model {model!r} has no answer to question {lost[0]!r} ({len(lost)} such): "
            "run notebooks/09_evaluate_model.ipynb to answer them, or leave the questions out"
        )
    return {question_id: said[question_id] for question_id in asked}


def _frame(made: list[Row], table: str) -> pd.DataFrame:
    empty = empty_frame(table)
    if not made:
        return empty
    frame = pd.DataFrame(made)[list(empty)]
    numbers = [name for name in ("overall", "reference_score", "model_score") if name in frame]
    return frame.astype(dict.fromkeys(numbers, float))

"""What a judge is asked: ratings of candidates, scores of answers, verdicts between two answers.

BioMed-VITAL's rating policy (paper section 3.2) and its evaluation by a judge (section 4). Rows
are joined by their ids, never by their place. What a judge did not say is null, with the reason and
the raw reply in place of the rationale: this module averages nothing, and knows nothing of people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pandas as pd

from vital_lib.figures import FigureImage, UnreadableImage, open_image
from vital_lib.prompts import (
    VERSIONS,
    Prompt,
    chat_score_prompt,
    figure_text,
    rating_prompt,
    verdict_prompt,
)
from vital_lib.tables import empty_frame
from vital_lib.vlm import VLM, Reply

Resolve = Callable[[str], Path]
OnReply = Callable[[int], None]
_Request = tuple[str, Callable[[FigureImage], Prompt]]  # an `image`, and the prompt made with it

RESPONSES = ("first response", "second response")
"""What `compare_drafts` calls the two responses to one instruction."""

_WINNER = {
    ("ab", "first"): "a",
    ("ab", "second"): "b",
    ("ba", "first"): "b",
    ("ba", "second"): "a",
}


def rate_candidates(
    candidates: pd.DataFrame,
    figures: pd.DataFrame,
    vlm: VLM,
    *,
    resolve: Resolve,
    repeats: int = 1,
    seed: int = 0,
    on_reply: OnReply | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Have a judge rate every candidate by the policy, once or several times.

    Args:
        candidates: rows of the table candidates or drafts.
        figures: rows of the table figures, among them every candidate's.
        resolve: from an `image` to its file (``Workspace.resolve``).
        repeats: how often each candidate is rated; the column `repeat` counts them from 0.
        on_reply: called with the number of ratings done (``VLM.ask``).
        options: further arguments of ``VLM.ask``.

    Returns:
        Rows of the table ratings, as candidates. Where the reply was unread, `overall` is null,
        `criteria` empty, and `rationale` says why, with the raw reply.

    Raises:
        ValueError: a candidate stands twice, or its figure is not in `figures`.
    """
    rows = _by_id(candidates, "candidate_id")
    requests = _rating_requests(rows, figures)
    ratings = []
    for repeat in range(repeats):
        told = on_reply and partial(_add, on_reply, repeat * len(requests))
        asked = {"repeat": repeat, "seed": seed, "on_reply": told, **options}
        ratings += _rated(rows, requests, vlm, resolve, **asked)
    return _frame(ratings, "ratings")


def rate_again(
    ratings: pd.DataFrame,
    candidates: pd.DataFrame,
    figures: pd.DataFrame,
    vlm: VLM,
    *,
    resolve: Resolve,
    **options: Any,
) -> pd.DataFrame:
    """Ask anew for the ratings that are null, each as a new attempt at the same repeat.

    Args:
        ratings: of `rate_candidates`, by this judge; the others are left as they are.
        candidates, figures: as for `rate_candidates`, among them those of the null ratings.
        options: as for `rate_candidates`; the same `seed`, and ``again=True`` by default.

    Returns:
        The rows of `ratings`, in their order, the null ones as they came back this time.
    """
    ratings = ratings.reset_index(drop=True)
    null = ratings[ratings["overall"].isna() & (ratings["judge"] == vlm.model)]
    rows = _by_id(candidates, "candidate_id")
    anew: dict[int, dict[str, Any]] = {}
    for repeat, part in null.groupby("repeat"):
        some = {name: rows[name] for name in part["candidate_id"]}
        asked = {"repeat": int(repeat), "again": True, **options}
        told = _rated(some, _rating_requests(some, figures), vlm, resolve, **asked)
        anew |= dict(zip(part.index, told, strict=True))
    kept = ratings.to_dict("records")
    return _frame([anew.get(place, row) for place, row in enumerate(kept)], "ratings")


def _rating_requests(rows: dict[str, dict[str, Any]], figures: pd.DataFrame) -> list[_Request]:
    known = _by_id(figures, "figure_id")
    lost = [row["figure_id"] for row in rows.values() if row["figure_id"] not in known]
    if lost:
        raise ValueError(f"figure {lost[0]!r} of a candidate is not in figures ({len(lost)} so)")
    return [_rating_request(row, known[row["figure_id"]]) for row in rows.values()]


def _rated(
    rows: dict[str, Any], requests: list[_Request], vlm: VLM, resolve: Resolve, **asked: Any
) -> list[dict[str, Any]]:
    told = {"judge": vlm.model, "repeat": asked["repeat"]}
    replies = _ask(requests, vlm, resolve, **asked)
    return [
        {"candidate_id": candidate_id, **told, **_rating(reply)}
        for candidate_id, reply in zip(rows, replies, strict=True)
    ]


def _add(on_reply: OnReply, before: int, done: int) -> None:
    on_reply(before + done)


def score_answers(
    questions: pd.DataFrame,
    answers: pd.DataFrame,
    vlm: VLM,
    *,
    resolve: Resolve,
    seed: int = 0,
    on_reply: OnReply | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Have a judge score the reference answer and each model's answer, 1 to 10 each.

    LLaVA-Med's open visual chat: the reference stands first, the model's answer second.

    Args:
        questions: rows of the table questions.
        answers: rows of the table answers. Those to other questions, and those of the blank and
            shuffled controls, are left out.
        on_reply, options: as for `rate_candidates`.

    Returns:
        Rows of the table chat_scores, one per model and question; null where unread.

    Raises:
        ValueError: a model answered one of the questions twice, or not at all.
    """
    asked = _by_id(questions, "question_id")
    real = answers[answers["control"] == "none"]
    places = [
        (model, question_id, answer)
        for model in real["model"].unique()
        for question_id, answer in _answers_of(model, real, asked).items()
    ]
    requests = [_score_request(asked[question_id], answer) for _, question_id, answer in places]
    replies = _ask(requests, vlm, resolve, seed=seed, on_reply=on_reply, **options)
    scores = [
        {"question_id": question_id, "model": model, "judge": vlm.model, **_scores(reply)}
        for (model, question_id, _), reply in zip(places, replies, strict=True)
    ]
    return _frame(scores, "chat_scores")


def compare_answers(
    questions: pd.DataFrame,
    answers: pd.DataFrame,
    model_a: str,
    model_b: str,
    vlm: VLM,
    *,
    resolve: Resolve,
    seed: int = 0,
    on_reply: OnReply | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Have a judge compare two models' answers, each question once in either order.

    Args:
        questions, answers: as for `score_answers`.
        model_a, model_b: names in the column `model` of `answers`.

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
    places = [(question_id, order) for question_id in asked for order in ("ab", "ba")]
    requests = [
        _verdict_request(asked[question_id], *(said[letter][question_id] for letter in order))
        for question_id, order in places
    ]
    replies = _ask(requests, vlm, resolve, seed=seed, on_reply=on_reply, **options)
    models = {"model_a": model_a, "model_b": model_b, "judge": vlm.model}
    verdicts = [
        {"question_id": question_id, **models, "order": order, **_verdict(order, reply)}
        for (question_id, order), reply in zip(places, replies, strict=True)
    ]
    return _frame(verdicts, "verdicts")


def compare_drafts(
    drafts: pd.DataFrame, figures: pd.DataFrame, vlm: VLM, *, resolve: Resolve, **options: Any
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
    """
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
    return compare_answers(questions, answers, *RESPONSES, vlm, resolve=resolve, **options)


def combine_orders(verdicts: pd.DataFrame) -> pd.DataFrame:
    """One verdict of the two orders: where they disagree it is a tie, so place wins nothing.

    Args:
        verdicts: rows of the table verdicts; those of order "both" stay as they are.

    Returns:
        Rows of the table verdicts with order "both"; `winner` is null if either order's is, or is
        missing. Rationale and reply_id are null: the words stay with the single verdicts.

    Raises:
        ValueError: one order stands twice for a question, pair of models and judge.
    """
    names = ["question_id", "model_a", "model_b", "judge"]
    single = verdicts[verdicts["order"] != "both"]
    twice = single[single.duplicated([*names, "order"])]
    if len(twice):
        raise ValueError(f"two verdicts of the same order: {twice.iloc[0][names].to_dict()}")
    rows = []
    for key, group in single.groupby(names, sort=False):
        winners = [winner for winner in group["winner"] if not pd.isna(winner)]
        agreed = winners[0] if len(set(winners)) == 1 else "tie"
        combined = {"order": "both", "winner": agreed if len(winners) == 2 else None}
        empty = {"rationale": None, "reply_id": None}
        rows.append(dict(zip(names, key, strict=True)) | combined | empty)
    kept = verdicts[verdicts["order"] == "both"]
    frames = [frame for frame in (kept, _frame(rows, "verdicts")) if len(frame)]
    return pd.concat(frames, ignore_index=True) if frames else empty_frame("verdicts")


def _ask(requests: list[_Request], vlm: VLM, resolve: Resolve, **options: Any) -> list[Reply]:
    """The replies as requests; for an image that cannot be read, one that was never sent."""
    unsent: dict[int, Reply] = {}

    @lru_cache(maxsize=64)  # a figure's candidates follow one another
    def opened(image: str) -> FigureImage:
        return open_image(resolve(image))

    def prompts() -> Iterator[Prompt]:
        for place, (image, prompt_with) in enumerate(requests):
            try:
                seen = opened(image)
            except UnreadableImage as error:
                unsent[place] = Reply("", None, "", f"not sent: {error}", 0, 0, 0.0)
            else:
                yield prompt_with(seen)

    replies = iter(vlm.ask(prompts(), **options))
    return [unsent[place] if place in unsent else next(replies) for place in range(len(requests))]


def _rating_request(candidate: dict[str, Any], figure: dict[str, Any]) -> _Request:
    words = {"instruction": candidate["instruction"], "response": candidate["response"]}
    return figure["image"], partial(rating_prompt, figure, **words)


def _score_request(question: dict[str, Any], answer: str) -> _Request:
    words = {"reference": question["reference"], "answer": answer}
    return question["image"], partial(chat_score_prompt, question["question"], **words)


def _verdict_request(question: dict[str, Any], first: str, second: str) -> _Request:
    words = {"reference": question["reference"], "first": first, "second": second}
    return question["image"], partial(verdict_prompt, question["question"], **words)


def _rating(reply: Reply) -> dict[str, Any]:
    value, criteria = reply.value, []
    if value is not None:
        named = value.criteria.model_dump().items()
        stated = [(name, rating) for name, rating in named if rating is not None]
        criteria = [{"criterion": name, "rating": rating} for name, rating in stated]
    return {
        "overall": None if value is None else value.overall,
        "criteria": criteria,
        "rationale": _words(reply),
        "prompt_version": VERSIONS["rating"],
        "reply_id": reply.reply_id,
    }


def _scores(reply: Reply) -> dict[str, Any]:
    value = reply.value
    return {
        "reference_score": None if value is None else value.first,
        "model_score": None if value is None else value.second,
        "reply_id": reply.reply_id,
    }


def _verdict(order: str, reply: Reply) -> dict[str, Any]:
    value = reply.value
    winner = None if value is None else _WINNER.get((order, value.winner), "tie")
    return {"winner": winner, "rationale": _words(reply), "reply_id": reply.reply_id}


def _words(reply: Reply) -> str:
    """The judge's words; where they were not read, why, and the raw reply."""
    if reply.value is not None:
        return reply.value.rationale
    return f"[{reply.reason}] {reply.text}".strip()


def _by_id(frame: pd.DataFrame, name: str) -> dict[str, dict[str, Any]]:
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


def _frame(rows: list[dict[str, Any]], table: str) -> pd.DataFrame:
    empty = empty_frame(table)
    if not rows:
        return empty
    frame = pd.DataFrame(rows)[list(empty)]
    numbers = [name for name in ("overall", "reference_score", "model_score") if name in frame]
    return frame.astype(dict.fromkeys(numbers, float))

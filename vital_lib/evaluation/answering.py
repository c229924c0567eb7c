"""Asks a vision-language model a benchmark's questions, with the image, or with a control.

Closed questions are decoded greedily, open and chat ones sampled, as BioMed-VITAL's published code
does at 0.7: greedy decoding averages faults of style away. A control shows how much of a score
comes from the text alone. Knows nothing of references or metrics.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from PIL import Image

from vital_lib.figures import UnreadableImage, blank, open_image
from vital_lib.tables import empty_frame

LOG = logging.getLogger(__name__)
CONTROLS = ("none", "blank", "shuffled")
_AT_ONCE = 64  # images decoded at a time
_NEXT_DRAW = 2**32  # between the seeds of two draws, so that no run's seed meets another's draw


class AnswersQuestions(Protocol):
    """What is asked: `vital_lib.models.VisionLanguageModel`, or anything that answers alike."""

    def answer(
        self,
        images: Sequence[Image.Image],
        questions: Sequence[str],
        max_new_tokens: int,
        *,
        temperature: float | None = None,
        seed: int = 0,
    ) -> list[str]:
        """One answer per image and question, sampled where there is a temperature."""


def answer_questions(
    model: AnswersQuestions,
    questions: pd.DataFrame,
    *,
    resolve: Callable[[str], Path],
    name: str,
    control: str = "none",
    draws: int = 1,
    temperature: float | None = 0.7,
    seed: int = 0,
    max_new_tokens: int = 48,
    on_answer: Callable[[int], object] | None = None,
) -> pd.DataFrame:
    """Ask every question about its image.

    Args:
        questions: as table ``questions``.
        resolve: the file behind an ``image`` value, such as `Workspace.resolve`.
        name: the model's name in the rows.
        control: "none"; "blank", the image as mean grey; or "shuffled", another question's image.
        draws: answers drawn to each open and chat question; a closed one has one, greedy.
        temperature: of the drawn answers; None makes them greedy, too.
        seed: of the draws and of the shuffling.
        on_answer: called with the number of questions that are done, as they get done.

    Returns:
        Rows of the table ``answers``, by draw and in the questions' order. A question whose image
        cannot be read has no row: it is named in the log and in ``.attrs["unreadable"]``
        (question_id -> reason), and the metrics count it as unanswered.

    Raises:
        ValueError: an unknown control, nothing to shuffle because all questions share an image,
            a temperature that is not above 0, no draws, or several greedy ones, which would all
            be the same.
    """
    _check_asking(control, draws, temperature)
    shown = _swapped(questions["image"], seed) if control == "shuffled" else {}
    picture = lru_cache(maxsize=_AT_ONCE)(partial(_picture, resolve, shown, control == "blank"))
    answers: dict[tuple[int, str], str] = {}
    unreadable: dict[str, str] = {}
    done = 0
    for _, part in questions.groupby(pd.factorize(questions["image"])[0] // _AT_ONCE):
        pictures = _pictures(part, picture, unreadable)
        readable = part[part["question_id"].isin(list(pictures))]
        for asked, draw, warmth in _jobs(readable, draws, temperature):
            ids = list(asked["question_id"])
            how = {"temperature": warmth, "seed": seed + draw * _NEXT_DRAW}
            seen = [pictures[question_id] for question_id in ids]
            said = model.answer(seen, list(asked["question"]), max_new_tokens, **how)
            answers |= zip([(draw, question_id) for question_id in ids], said, strict=True)
        done += len(part)
        if on_answer is not None:
            on_answer(done)
    frame = _frame(answers, list(questions["question_id"]), name, control)
    frame.attrs["unreadable"] = unreadable
    return frame


def _check_asking(control: str, draws: int, temperature: float | None) -> None:
    if control not in CONTROLS:
        raise ValueError(f"control {control!r}: there are {', '.join(CONTROLS)}")
    if temperature is not None and not temperature > 0:
        raise ValueError(f"temperature={temperature}: wanted above 0, or None for greedy")
    if draws < 1 or (draws > 1 and temperature is None):
        raise ValueError(f"draws={draws}, temperature={temperature}: wanted 1, or more if sampled")


def load_and_answer(
    base_model: str | Path,
    folder: str | Path | None,
    questions: pd.DataFrame,
    *,
    on_step: Callable[[int], object] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """`answer_questions` by a model that is opened here, so that another process can do it all.

    Args:
        base_model, folder: as in `vital_lib.models.load_model`; None for the base model itself.
        on_step: as `on_answer` there, by the name that ``processes.run_calls`` gives it.
        options: of `answer_questions`.
    """
    from vital_lib.models import load_model

    model = load_model(base_model, folder)
    return answer_questions(model, questions, on_answer=on_step, **options)


def each_draw(
    judged: Callable[..., pd.DataFrame],
    questions: pd.DataFrame,
    answers: pd.DataFrame,
    *given: Any,
    **options: Any,
) -> pd.DataFrame:
    """What `judged` makes of the answers of one draw, for every draw, in one frame.

    Args:
        judged: takes `questions`, the answers of one draw, `given` and `options`, and returns rows
            of ``chat_scores`` or ``verdicts``, as ``judging.compare_answers`` does; their column
            `draw` is written here.
        questions, answers: as tables ``questions`` and ``answers``.

    Raises:
        ValueError: no answers, and so no draw.
    """
    if answers.empty:
        raise ValueError(
            f"no answers to {len(questions)} questions: have a model answer them, and look in the "
            "log for images that could not be read"
        )
    parts = [
        judged(questions, own, *given, **options).assign(draw=draw)
        for draw, own in answers.groupby("draw")
    ]
    return pd.concat(parts, ignore_index=True)


def _jobs(
    questions: pd.DataFrame, draws: int, temperature: float | None
) -> Iterator[tuple[pd.DataFrame, int, float | None]]:
    """(questions, draw, temperature) of one kind at a time: a batch lasts as its longest answer."""
    for kind, asked in questions.groupby("kind"):
        warmth = None if kind == "closed" else temperature
        for draw in range(1 if warmth is None else draws):
            yield asked, draw, warmth


def _picture(
    resolve: Callable[[str], Path], shown: dict[str, str], blanked: bool, image: str
) -> Image.Image:
    opened = open_image(resolve(shown.get(image, image)))
    return blank(opened) if blanked else opened.pixels()


def _pictures(
    questions: pd.DataFrame,
    picture: Callable[[str], Image.Image],
    unreadable: dict[str, str],
) -> dict[str, Image.Image]:
    """question_id -> image, in order; what cannot be read goes to `unreadable` with its reason."""
    found = {}
    for row in questions.itertuples():
        try:
            found[row.question_id] = picture(row.image)
        except UnreadableImage as error:
            unreadable[row.question_id] = str(error)
            LOG.warning("question %s goes unanswered: %s", row.question_id, error)
    return found


def _frame(
    answers: dict[tuple[int, str], str], order: list[str], name: str, control: str
) -> pd.DataFrame:
    """Rows of ``answers`` from (draw, question_id) -> answer, by draw and in `order`."""
    place = {question_id: k for k, question_id in enumerate(order)}
    rows = [
        (question_id, name, control, draw, answers[draw, question_id])
        for draw, question_id in sorted(answers, key=lambda key: (key[0], place[key[1]]))
    ]
    return pd.DataFrame(rows, columns=list(empty_frame("answers")))


def _swapped(images: pd.Series, seed: int) -> dict[str, str]:
    """Each image's stand-in: another one, and no two the same."""
    order = sorted(set(images))
    if len(order) == 1:
        raise ValueError(f"all {len(images)} questions share one image: there is none to swap in")
    random.Random(seed).shuffle(order)
    return dict(zip(order, order[1:] + order[:1], strict=True))

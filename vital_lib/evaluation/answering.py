"""Asks a vision-language model a benchmark's questions, with the image, or with a control.

A control shows how much of a score comes from the text alone: the image blanked, or another
question's image in its place. Knows nothing of references or metrics.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import pandas as pd
from PIL import Image

from vital_lib.figures import UnreadableImage, blank, open_image

LOG = logging.getLogger(__name__)
CONTROLS = ("none", "blank", "shuffled")
_AT_ONCE = 64  # images decoded at a time


class AnswersQuestions(Protocol):
    """What is asked: `vital_lib.models.VisionLanguageModel`, or anything that answers alike."""

    def answer(
        self, images: Sequence[Image.Image], questions: Sequence[str], max_new_tokens: int
    ) -> list[str]:
        """One answer per image and question."""


def answer_questions(
    model: AnswersQuestions,
    questions: pd.DataFrame,
    *,
    resolve: Callable[[str], Path],
    name: str,
    control: str = "none",
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
        seed: of the shuffling.
        on_answer: called with the number of questions that are done, as they get done.

    Returns:
        Rows of the table ``answers``, in the questions' order. A question whose image cannot be
        read has no row: it is named in the log and in ``.attrs["unreadable"]`` (question_id ->
        reason), and the metrics count it as unanswered.

    Raises:
        ValueError: an unknown control, or nothing to shuffle because all questions share an image.
    """
    if control not in CONTROLS:
        raise ValueError(f"control {control!r}: there are {', '.join(CONTROLS)}")
    shown = _swapped(questions["image"], seed) if control == "shuffled" else {}

    @lru_cache(maxsize=_AT_ONCE)  # a figure's questions follow one another
    def picture(image: str) -> Image.Image:
        opened = open_image(resolve(shown.get(image, image)))
        return blank(opened) if control == "blank" else opened.pixels()

    answers: dict[str, str] = {}
    unreadable: dict[str, str] = {}
    for start in range(0, len(questions), _AT_ONCE):
        part = questions.iloc[start : start + _AT_ONCE]
        pictures = _pictures(part, picture, unreadable)
        asked = part[part["question_id"].isin(list(pictures))]
        said = model.answer(list(pictures.values()), list(asked["question"]), max_new_tokens)
        answers |= zip(pictures, said, strict=True)
        if on_answer is not None:
            on_answer(start + len(part))
    return _frame(answers, name, control, unreadable)


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
    answers: dict[str, str], name: str, control: str, unreadable: dict[str, str]
) -> pd.DataFrame:
    rows = [(question_id, name, control, answer) for question_id, answer in answers.items()]
    frame = pd.DataFrame(rows, columns=["question_id", "model", "control", "answer"], dtype=str)
    frame.attrs["unreadable"] = unreadable
    return frame


def _swapped(images: pd.Series, seed: int) -> dict[str, str]:
    """Each image's stand-in: another one, and no two the same."""
    order = sorted(set(images))
    if len(order) == 1:
        raise ValueError(f"all {len(images)} questions share one image: there is none to swap in")
    random.Random(seed).shuffle(order)
    return dict(zip(order, order[1:] + order[:1], strict=True))

"""Generate a vision-language model's answers to a benchmark, with its images or with a control.

Closed questions are decoded greedily. Open and chat questions are sampled, at 0.7 as in
BioMed-VITAL's published code, because greedy decoding hides faults of style. A control measures
how much of a score comes from the text alone. Independent of references and metrics.
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
from tqdm import tqdm

from vital_lib.figures import UnreadableImage, blank, open_image
from vital_lib.tables import frame_of

LOG = logging.getLogger(__name__)
CONTROLS = ("none", "blank", "shuffled")
_AT_ONCE = 64  # images decoded at a time
_NEXT_DRAW = 2**32  # between the seeds of two draws, so that they never equal another run's


class AnswersQuestions(Protocol):
    """The model interface; `vital_lib.models.VisionLanguageModel` implements it."""

    def answer(
        self,
        images: Sequence[Image.Image],
        questions: Sequence[str],
        max_new_tokens: int,
        *,
        temperature: float | None = None,
        seed: int = 0,
    ) -> list[str]:
        """Return one answer per image and question, sampled if `temperature` is given."""


def answer_questions(
    model: AnswersQuestions,
    questions: pd.DataFrame,
    *,
    name: str,
    control: str = "none",
    draws: int = 1,
    temperature: float | None = 0.7,
    seed: int = 0,
    max_new_tokens: int = 48,
    on_answer: Callable[[int], object] | None = None,
) -> pd.DataFrame:
    """Answer every question about its image.

    Args:
        model: the model that answers.
        questions: as table ``questions``.
        name: the model's name in the rows.
        control: "none"; "blank", the image as mean grey; or "shuffled", another question's image.
        draws: answers to each open or chat question; a closed question has one greedy answer.
        temperature: sampling temperature of open and chat answers; None decodes them greedily.
        seed: of the sampling and the shuffling.
        max_new_tokens: the maximum length of an answer.
        on_answer: called with the number of questions done so far.

    Returns:
        Rows of the table ``answers``, by draw and in the questions' order. A question whose image
        cannot be read has no row: the log and ``.attrs["unreadable"]`` (question_id -> reason) name
        it, and the metrics count it as unanswered.

    Raises:
        ValueError: an unknown control, a shuffled control where all questions share an image, a
            temperature that is not above 0, fewer than one draw, or several greedy draws, which
            would all be the same.
    """
    _check_options(control, draws, temperature)
    shown = _swapped(questions["image"], seed) if control == "shuffled" else {}
    picture = lru_cache(maxsize=_AT_ONCE)(partial(_picture, shown, control == "blank"))
    answers: dict[tuple[int, str], str] = {}
    unreadable: dict[str, str] = {}
    done = 0
    for _, part in questions.groupby(pd.factorize(questions["image"])[0] // _AT_ONCE):
        pictures = _pictures(part, picture, unreadable)
        readable = part[part["question_id"].isin(list(pictures))]
        for batch, draw, batch_temperature in _jobs(readable, draws, temperature):
            ids = list(batch["question_id"])
            sampling = {"temperature": batch_temperature, "seed": seed + draw * _NEXT_DRAW}
            images = [pictures[question_id] for question_id in ids]
            replies = model.answer(images, list(batch["question"]), max_new_tokens, **sampling)
            answers |= zip([(draw, question_id) for question_id in ids], replies, strict=True)
        done += len(part)
        if on_answer is not None:
            on_answer(done)
    frame = _frame(answers, list(questions["question_id"]), name, control)
    frame.attrs["unreadable"] = unreadable
    return frame


def _check_options(control: str, draws: int, temperature: float | None) -> None:
    if control not in CONTROLS:
        raise ValueError(f"control {control!r}: give one of {', '.join(CONTROLS)}")
    if temperature is not None and not temperature > 0:
        raise ValueError(f"temperature={temperature}: wanted above 0, or None for greedy")
    if draws < 1 or (draws > 1 and temperature is None):
        raise ValueError(
            f"draws={draws}, temperature={temperature}: wanted 1 draw, or more if sampled"
        )


def load_and_answer(
    base_model: str | Path,
    folder: str | Path | None,
    questions: pd.DataFrame,
    *,
    on_step: Callable[[int], object] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Load a model and call `answer_questions`, so that a worker process can do both.

    Args:
        base_model, folder: as in `vital_lib.models.load_model`; None is the base model alone.
        questions: as in `answer_questions`.
        on_step: its `on_answer`, under the name that ``processes.run_calls`` uses.
        options: its other arguments.
    """
    from vital_lib.models import load_model

    model = load_model(base_model, folder)
    return answer_questions(model, questions, on_answer=on_step, **options)


def show_done(bar: tqdm, done: int) -> None:
    """Show the number of questions done on a progress bar; with the bar bound, an ``on_step``."""
    bar.update(done - bar.n)


def each_draw(
    judged: Callable[..., pd.DataFrame],
    questions: pd.DataFrame,
    answers: pd.DataFrame,
    *given: Any,
    **options: Any,
) -> pd.DataFrame:
    """Apply `judged` to the answers of each draw and return all rows in one frame.

    Args:
        judged: takes `questions`, the answers of one draw, `given` and `options`, and returns rows
            of ``chat_scores`` or ``verdicts``, as ``judging.compare_answers`` does. This function
            sets their column `draw`.
        questions, answers: as tables ``questions`` and ``answers``.

    Raises:
        ValueError: there are no answers.
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
    """Yield (questions, draw, temperature) by kind: a batch takes as long as its longest answer."""
    for kind, batch in questions.groupby("kind"):
        batch_temperature = None if kind == "closed" else temperature
        for draw in range(1 if batch_temperature is None else draws):
            yield batch, draw, batch_temperature


def _picture(shown: dict[str, str], blanked: bool, image: str) -> Image.Image:
    opened = open_image(shown.get(image, image))
    return blank(opened) if blanked else opened.pixels()


def _pictures(
    questions: pd.DataFrame,
    picture: Callable[[str], Image.Image],
    unreadable: dict[str, str],
) -> dict[str, Image.Image]:
    """Return question_id -> image, in order; `unreadable` receives the reasons for the others."""
    found = {}
    for row in questions.itertuples():
        try:
            found[row.question_id] = picture(row.image)
        except UnreadableImage as error:
            unreadable[row.question_id] = str(error)
            LOG.warning("question %s is left unanswered: %s", row.question_id, error)
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
    return frame_of("answers", rows)


def _swapped(images: pd.Series, seed: int) -> dict[str, str]:
    """Return another image for each image, each used once."""
    order = sorted(set(images))
    if len(order) == 1:
        raise ValueError(f"all {len(images)} questions share one image: 'shuffled' needs two")
    random.Random(seed).shuffle(order)
    return dict(zip(order, order[1:] + order[:1], strict=True))

"""Generate a vision-language model's answers to a benchmark, with its images or with a control.

Closed questions are decoded greedily. Open and chat questions are sampled, at 0.7 as in
BioMed-VITAL's published code, because greedy decoding hides faults of style. A control measures
how much of a score comes from the text alone. A probe and the receipts of the images show that the
images reach the model. Independent of references and metrics.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image
from tqdm import tqdm

from vital_lib.evaluation.controls import picture_under, side_questions
from vital_lib.figures import UnreadableImage, clearance_of, held_back_in_words
from vital_lib.receipts import (
    Answer,
    AnswersQuestions,
    Receipt,
    TextAloneRefused,
    check_probe,
    check_received,
)
from vital_lib.tables import frame_of

LOG = logging.getLogger(__name__)
_AT_ONCE = 64  # images decoded at a time
_NEXT_DRAW = 2**32  # between the seeds of two draws, so that they never equal another run's


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
    probe: int = 8,
    on_answer: Callable[[int], object] | None = None,
) -> pd.DataFrame:
    """Answer every question about its image, or under a control.

    A probe comes before answers without a control. If it fails, nothing is answered.

    Args:
        questions: as table ``questions``.
        name: the model's name in the rows.
        control: one of `CONTROLS`; "mirrored" asks `side_questions` only.
        draws: answers to each open or chat question; a closed question has one greedy answer.
        temperature: sampling temperature of open and chat answers; None decodes them greedily.
        seed, max_new_tokens: of the sampling and the shuffling; the maximum length of an answer.
        probe: questions asked with their image and with a blanked one; 0 answers without a probe.
        on_answer: called with the number of questions done so far.

    Returns:
        Rows of the table ``answers`` with their receipts, by draw and in the questions' order. A
        question whose image cannot be read, or that is not cleared for this model, has no row: the
        log and ``.attrs["unreadable"]`` (question_id -> reason) name it, and the metrics count it
        as unanswered. A model that needs an image has no rows under no_image; the log says so.

    Raises:
        ValueError: an unknown control, a shuffled one where all questions share an image, a
            temperature that is not above 0, fewer than one draw, or several (equal) greedy draws.
        ImageNotSeen: the probe failed, or an image was dropped or swapped.
    """
    _check_options(draws, temperature)
    questions, unreadable = _allowed(model, questions, name)
    _probe(model, questions, probe if control == "none" else 0, name, max_new_tokens)
    picture = lru_cache(maxsize=_AT_ONCE)(picture_under(control, questions, seed))
    questions = side_questions(questions) if control == "mirrored" else questions
    sampling = {"draws": draws, "temperature": temperature, "seed": seed}
    answers: dict[tuple[int, str], Answer] = {}
    done = 0
    for _, part in questions.groupby(pd.factorize(questions["image"])[0] // _AT_ONCE):
        pictures = _pictures(part, picture, unreadable)
        readable = part[part["question_id"].isin(list(pictures))]
        try:
            answers |= _answers_to(model, readable, pictures, max_new_tokens, **sampling)
        except TextAloneRefused as error:
            LOG.warning("no answers under the control %s: %s", control, error)
            break
        done += len(part)
        if on_answer is not None:
            on_answer(done)
    frame = _frame(answers, list(questions["question_id"]), name, control)
    frame.attrs["unreadable"] = unreadable
    return frame


def _answers_to(
    model: AnswersQuestions,
    questions: pd.DataFrame,
    pictures: dict[str, Image.Image | None],
    max_new_tokens: int,
    *,
    draws: int,
    temperature: float | None,
    seed: int,
) -> dict[tuple[int, str], Answer]:
    """Return (draw, question_id) -> answer for every question and draw."""
    found: dict[tuple[int, str], Answer] = {}
    for batch, draw, batch_temperature in _jobs(questions, draws, temperature):
        sampling = {"temperature": batch_temperature, "seed": seed + draw * _NEXT_DRAW}
        replies = _asked(model, batch, pictures, max_new_tokens, **sampling)
        found |= zip([(draw, name) for name in batch["question_id"]], replies, strict=True)
    return found


def _asked(
    model: AnswersQuestions,
    batch: pd.DataFrame,
    pictures: dict[str, Image.Image | None],
    max_new_tokens: int,
    **sampling: Any,
) -> list[Answer]:
    """Ask the questions of `batch`, and check that each was sent with its own picture."""
    ids, texts = list(batch["question_id"]), list(batch["question"])
    images = [pictures[question_id] for question_id in ids]
    found = model.answered(images, texts, max_new_tokens, **sampling)
    expected = {id(image): model.expected(image) for image in {id(i): i for i in images}.values()}
    wanted = [expected[id(image)] for image in images]
    check_received(ids, [answer.receipt for answer in found], wanted)
    return found


def _probe(
    model: AnswersQuestions, questions: pd.DataFrame, n: int, name: str, max_new_tokens: int
) -> None:
    """Ask `n` questions spread over `questions` with their images and with blanked ones.

    Raises:
        ImageNotSeen: as `check_probe`.
    """
    some = questions.iloc[:: max(1, len(questions) // max(1, n))].head(n)
    real = _pictures(some, picture_under("none", some, 0), {})
    some = some[some["question_id"].isin(list(real))]
    grey = _pictures(some, picture_under("blank", some, 0), {})
    if len(some):
        warning = check_probe(*(_asked(model, some, own, max_new_tokens) for own in (real, grey)))
        if warning:
            LOG.warning("%s: %s", name, warning)


def _allowed(
    model: AnswersQuestions, questions: pd.DataFrame, name: str
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the questions that may be sent to the model, and by question_id why others may not."""
    if not getattr(model, "sends_out", False):  # it answers in this process
        return questions, {}
    refusals = [clearance_of(row).refusal for row in questions.to_dict("records")]
    held = {i: why for i, why in zip(questions["question_id"], refusals, strict=True) if why}
    if held:
        LOG.warning("%s: %s", name, held_back_in_words(questions, "questions"))
    return questions[~questions["question_id"].isin(held)], held


def _check_options(draws: int, temperature: float | None) -> None:
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


def model_calls(
    folders: Mapping[str, str | Path | None],
    questions: pd.DataFrame,
    controls: Mapping[str, Sequence[str]],
    **settings: Any,
) -> dict[str, dict[str, Any]]:
    """Return the arguments of `load_and_answer` for each model, and for each control of a model.

    Args:
        folders: a model's name -> its folder, as in `load_and_answer`.
        questions: as in `answer_questions`. Chat questions have no score under a control, and are
            asked without one only.
        controls: a model's name -> its controls; a model that is not named has none.
        settings: further arguments of every call.

    Returns:
        The arguments by a name for progress bars and errors.
    """
    scored = questions[questions["kind"] != "chat"]
    asked = {"none": questions, "mirrored": side_questions(questions)}
    calls = {}
    for name, folder in folders.items():
        for control in ("none", *controls.get(name, ())):
            told = name if control == "none" else f"{name}, {control}"
            own = asked.get(control, scored)
            about = {"name": name, "folder": folder, "questions": own, "control": control}
            if len(own):
                calls[told] = {**settings, **about}
    return calls


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


def _pictures(
    questions: pd.DataFrame,
    picture: Callable[[str], Image.Image | None],
    unreadable: dict[str, str],
) -> dict[str, Image.Image | None]:
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
    answers: dict[tuple[int, str], Answer], order: list[str], name: str, control: str
) -> pd.DataFrame:
    """Rows of ``answers`` from (draw, question_id) -> answer, by draw and in `order`."""
    place = {question_id: k for k, question_id in enumerate(order)}
    rows = []
    for draw, question_id in sorted(answers, key=lambda key: (key[0], place[key[1]])):
        text, receipt = answers[draw, question_id]
        rows.append((question_id, name, control, draw, text, *(receipt or Receipt())))
    return frame_of("answers", rows)

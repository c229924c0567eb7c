"""The simulated generator: writes instructions and responses from the text of a request.

It reads the caption, mentions and modalities in the request and asks about the facts that they
state, or about their key terms if they state few. Its responses contain errors at the declared
rates. Demonstrations change only its style and length: few-shot examples show how to write, not
what an image shows (paper section 3.1). It sees no image, no ground truth and no labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from vital_lib.clinic.answering import Manner, respond
from vital_lib.clinic.asking import ask, kinds_for, questions_about, subject_of
from vital_lib.clinic.lexicon import STYLE_FAULTS, style_faults
from vital_lib.clinic.rates import DEFAULT_RATES, Rates
from vital_lib.clinic.requests import (
    BadRequest,
    Demonstration,
    Shown,
    demonstrations,
    last_text,
    randomness,
    shown_figure,
    wanted,
)

QUESTIONS, ROUNDS = 4, 5
"""Default number of questions in a draft and of rounds in a conversation."""


def write_drafts(
    request: Mapping[str, Any], rates: Rates = DEFAULT_RATES, seed: int = 0
) -> dict[str, Any]:
    """Write the requested questions, each with two independent responses (schema Drafts).

    Raises:
        BadRequest: the request holds no figure text.
    """
    rng = randomness(request, seed)
    subject = subject_of(shown_figure(request))
    manner = manner_of(demonstrations(request), rates)
    drafted = []
    for question in questions_about(subject, wanted(request, QUESTIONS), rng):
        first, second = (respond(subject, question, manner, rates, rng)[0] for _ in range(2))
        drafted.append(
            {
                "instruction": question.text,
                "question_type": question.kind.question_type,
                "response_a": first,
                "response_b": second,
            }
        )
    return {"questions": drafted}


def write_conversation(
    request: Mapping[str, Any], rates: Rates = DEFAULT_RATES, seed: int = 0
) -> dict[str, Any]:
    """Write a conversation about the last figure (schema Conversation).

    Raises:
        BadRequest: the request holds no figure text.
    """
    rng = randomness(request, seed)
    subject = subject_of(shown_figure(request))
    manner = manner_of(demonstrations(request), rates)
    rounds = [
        {
            "instruction": question.text,
            "response": respond(subject, question, manner, rates, rng)[0],
            "question_type": question.kind.question_type,
        }
        for question in questions_about(subject, wanted(request, ROUNDS), rng)
    ]
    return {"rounds": rounds}


def write_text(request: Mapping[str, Any], rates: Rates = DEFAULT_RATES, seed: int = 0) -> str:
    """Write a short description in plain text; a message without figure text serves as caption.

    Raises:
        BadRequest: there is no user message.
    """
    rng = randomness(request, seed)
    try:
        shown = shown_figure(request)
    except BadRequest:
        shown = Shown(caption=" ".join(last_text(request).split()))
    subject = subject_of(shown)
    kinds = [kind for kind in kinds_for(subject) if not kind.closed]
    describing = [kind for kind in kinds if kind.name in ("describe", "terms")]
    question = ask(subject, (describing or kinds)[0], rng)
    return respond(subject, question, manner_of((), rates), rates, rng)[0]


def manner_of(shown: Sequence[Demonstration], rates: Rates) -> Manner:
    """Return the weighted mean of the generator's own style and the demonstrations' style.

    The rate of a style fault is (own * half + faulty responses) / (half + responses).
    Demonstrations with the generator's own fault rate therefore change nothing.
    """
    styles = [_style_of(demonstration) for demonstration in shown]
    responses = sum(count for count, _, _ in styles)
    half = rates.demonstration_half
    style = {
        fault: (own * half + sum(faults[fault] for _, faults, _ in styles)) / (half + responses)
        for fault, own in rates.style.items()
    }
    if not responses:
        return Manner(style, rates.own_words)
    mean = sum(words for _, _, words in styles) / responses
    pull = rates.length_pull * responses / (half + responses)
    return Manner(style, rates.own_words + pull * (mean - rates.own_words))


@lru_cache(maxsize=4096)
def _style_of(demonstration: Demonstration) -> tuple[int, dict[str, int], int]:
    """Return (responses, faulty responses by fault, total words) of one demonstration."""
    read = [
        style_faults(instruction, response, demonstration.shown.sources)
        for instruction, response in demonstration.turns
    ]
    faults = {fault: sum(fault in found for found in read) for fault in STYLE_FAULTS}
    words = sum(len(response.split()) for _, response in demonstration.turns)
    return len(read), faults, words

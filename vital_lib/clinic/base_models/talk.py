"""Training conversations for the clinic's vision-language model.

A terse question gets a word or two, a whole sentence gets a sentence, and "tell me more" gets a
passage of the textbook. The wording is neither the benchmark's nor the generator's, so that tuning
has something to teach. This module knows nothing about models or tokens.
"""

from __future__ import annotations

import numpy as np

from vital_lib.clinic.base_models.question_words import (
    ABNORMAL,
    BRIEFLY,
    NORMAL,
    SEVERAL,
    SINGLE,
)
from vital_lib.clinic.base_models.questions import (
    about,
    choice_question,
    open_question,
    whether_question,
)
from vital_lib.clinic.base_models.textbook import SENTENCES, write_passage
from vital_lib.clinic.base_models.texts import (
    FINDING_WORDS,
    VALUES,
    Statement,
    answer_word,
    ask_for_caption,
    ask_plainly,
    ask_whether,
    level_word,
    other_value,
    pick,
    say,
    with_value,
)
from vital_lib.clinic.lexicon import ATTRIBUTES, Truth

Round = tuple[str, str]  # question, answer

TERSE, WHETHER, CHOICE, OPEN = 0.2, 0.6, 0.78, 1.0
"""Upper limits on [0, 1) of terse questions, yes/no questions, choices and open questions."""
MORE, MORE_ALONE = 0.2, 0.02
"""Share of requests for a textbook passage: in conversations, and among single rounds."""

MORE_QUESTIONS = ("Tell me more about it.", "What else should one know?", "Go on, please.", "more?")
SUBJECT_QUESTIONS = ("Teach me about {subject}.", "What does the book say of {subject}?")


def write_conversation(truth: Truth, rng: np.random.Generator) -> list[Round]:
    """A conversation about a picture: every subject once, in random order and form."""
    subjects = _subjects(truth)
    chosen = [subjects[k] for k in rng.permutation(len(subjects))]
    rounds = [_ask(truth, subject, rng) for subject in chosen]
    if rng.random() < MORE:
        rounds.append(_ask_for_more(truth, rng))
    return rounds


def write_round(truth: Truth, rng: np.random.Generator) -> Round:
    """One round about a picture that could open a conversation."""
    if rng.random() < MORE_ALONE:
        return _ask_for_more(truth, rng)
    return _ask(truth, pick(rng, _subjects(truth)), rng)


def write_spoken(truth: Truth, rng: np.random.Generator) -> Statement:
    """A question in a whole sentence and its answer as one text, with the values it allows."""
    attribute = pick(rng, ATTRIBUTES)
    stated = say(truth, {attribute}, rng)
    if not truth.count or rng.random() < 0.5:
        question = open_question(truth, attribute, rng)
        return Statement(f"{question} {stated.text}", _granted(question, truth) | stated.allowed)
    yes = rng.random() < 0.5
    other = with_value(truth, attribute, other_value(truth, attribute, rng))
    asked_of = truth if yes else other
    question, word = whether_question(truth, attribute, asked_of, rng), "Yes" if yes else "No"
    if rng.random() < 0.5:
        return Statement(
            f"{question} {word}: {stated.text}", _granted(question, truth) | stated.allowed
        )
    value = getattr(asked_of, attribute)
    left = {value} if yes else set(VALUES[attribute]) - {value}
    allowed = _granted(question, truth) | {attribute: frozenset(left)}
    return Statement(f"{question} {word}.", allowed)


def _granted(question: str, truth: Truth) -> dict[str, frozenset]:
    """The finding that a question presupposes: the true finding where the question names it."""
    names = FINDING_WORDS.get(truth.finding, ())
    named = any(name in question for name in names)
    return {"finding": frozenset([truth.finding])} if named else {}


def _subjects(truth: Truth) -> tuple[str, ...]:
    if truth.count == 0:
        return ("modality", "finding", "count", "normal", "caption")
    return (*ATTRIBUTES, "place", "normal", "caption")


def _ask_for_more(truth: Truth, rng: np.random.Generator) -> Round:
    subject = truth.finding if rng.random() < 0.75 else truth.modality
    return pick(rng, MORE_QUESTIONS), write_passage(rng, subject)


def write_lesson(rng: np.random.Generator) -> list[Round]:
    """Two rounds about random subjects of the textbook, without a picture."""
    subjects = [tuple(SENTENCES)[k] for k in rng.integers(len(SENTENCES), size=2)]
    return [
        (pick(rng, SUBJECT_QUESTIONS).format(subject=subject), write_passage(rng, subject))
        for subject in subjects
    ]


def _ask(truth: Truth, subject: str, rng: np.random.Generator) -> Round:
    """One round about `subject`, in a random form."""
    if subject == "caption":
        return ask_for_caption(truth, rng)
    if subject == "normal":
        return _ask_whether_normal(truth, rng)
    form = OPEN if subject == "place" else rng.random()
    if form < TERSE:
        return ask_plainly(truth, subject, rng)
    if form < WHETHER:
        whether = ask_whether if rng.random() < 0.3 else ask_whether_so
        return whether(truth, subject, rng)[-2:]
    if form < CHOICE:
        return _ask_which(truth, subject, rng)
    return _ask_openly(truth, subject, rng)


def ask_whether_so(truth: Truth, attribute: str, rng: np.random.Generator) -> Round:
    """A yes/no question in a whole sentence; half of the answers also state the true value."""
    if attribute == "count" and rng.random() < 0.25 and truth.count:
        return _ask_whether_several(truth, rng)
    real = getattr(truth, attribute) not in (None, "none", 0)
    yes = real and rng.random() < 0.5
    asked_of = truth if yes else with_value(truth, attribute, other_value(truth, attribute, rng))
    question = whether_question(truth, attribute, asked_of, rng)
    return question, _yes_no(yes, _sentence(truth, attribute, rng), rng)


def _ask_whether_several(truth: Truth, rng: np.random.Generator) -> Round:
    several = rng.random() < (0.25 if truth.count > 1 else 0.5)
    question = about(SEVERAL if several else SINGLE, truth, rng)
    return question, _yes_no(several == (truth.count > 1), _sentence(truth, "count", rng), rng)


def _ask_whether_normal(truth: Truth, rng: np.random.Generator) -> Round:
    normal = truth.count == 0
    of_normal = rng.random() < 0.5
    question = about(NORMAL if of_normal else ABNORMAL, truth, rng)
    return question, _yes_no(normal == of_normal, _sentence(truth, "finding", rng), rng)


def _ask_which(truth: Truth, attribute: str, rng: np.random.Generator) -> Round:
    """A choice of two values, one of them true; a plain question where `truth` has no value."""
    if getattr(truth, attribute) in (None, "none", 0):
        return ask_plainly(truth, attribute, rng)
    question, right, _ = choose_of_two(truth, attribute, rng)
    return question, right if rng.random() < 0.6 else _sentence(truth, attribute, rng)


def choose_of_two(truth: Truth, attribute: str, rng: np.random.Generator) -> tuple[str, str, str]:
    """A question between the true value and another, the true value and the other, in words."""
    other = with_value(truth, attribute, other_value(truth, attribute, rng))
    if rng.random() < 0.5:
        question, (right, wrong) = choice_question(truth, attribute, (truth, other), rng)
    else:
        question, (wrong, right) = choice_question(truth, attribute, (other, truth), rng)
    return question, right, wrong


def _ask_openly(truth: Truth, subject: str, rng: np.random.Generator) -> Round:
    """An open question in a whole sentence; the answer is a sentence, or a word on request."""
    question = open_question(truth, subject, rng)
    if rng.random() < 0.3:
        return pick(rng, BRIEFLY) + question[0].lower() + question[1:], _word(truth, subject)
    stated = {"side", "level"} if subject == "place" else {subject}
    return question, _sentence(truth, stated, rng)


def _yes_no(yes: bool, reason: str, rng: np.random.Generator) -> str:
    word = "Yes" if yes else "No"
    return f"{word}." if rng.random() < 0.5 else f"{word}: {reason}"


def _word(truth: Truth, subject: str) -> str:
    if subject == "place":
        return f"{truth.side}, {level_word(truth)}"
    return answer_word(truth, subject)


def _sentence(truth: Truth, stated: str | set[str], rng: np.random.Generator) -> str:
    """A sentence that states one or several attributes, and sometimes one attribute more."""
    stated = {stated} if isinstance(stated, str) else set(stated)
    stated |= {pick(rng, ATTRIBUTES)} if rng.random() < 0.3 else set()
    text = say(truth, stated, rng).text
    return f"{text[0].upper()}{text[1:].rstrip('.')}."

"""The conversations that the clinic's vision-language model learns to talk by.

Terse questions get a word or two, whole sentences get sentences, and "tell me more" gets a passage
of the textbook. The wording is its own: neither the benchmark's nor the generator's, so that tuning
has something to teach. Knows nothing about models or tokens.
"""

from __future__ import annotations

import numpy as np

from vital_lib.clinic.base_models.textbook import SENTENCES, write_passage
from vital_lib.clinic.base_models.texts import (
    FINDING_WORDS,
    MODALITY_WORDS,
    answer_word,
    ask_for_caption,
    ask_plainly,
    ask_whether,
    other_value,
    pick,
    say,
    with_value,
)
from vital_lib.clinic.lexicon import ATTRIBUTES, Truth

Round = tuple[str, str]  # question, answer

TERSE, WHETHER, CHOICE = 0.3, 0.65, 0.78
"""Borders on [0, 1) between terse questions, yes/no questions, choices, and open ones."""
MORE = 0.2

SENTENCE_QUESTIONS: dict[str, tuple[str, ...]] = {
    "modality": (
        "Tell me what sort of image we have.",
        "Can you name the technique behind the picture?",
        "How do you think this was taken?",
        "What sort of scan or slide would you call it?",
    ),
    "finding": (
        "Tell me what is wrong here.",
        "What do you notice first?",
        "What would you call the thing that is wrong?",
        "What is to be seen in the picture, if anything?",
    ),
    "side": (
        "What side would you say {it_is} on?",
        "Tell me which half the {thing} {sits} in.",
        "Where {is_it}, to the left or to the right?",
        "On what side do you find the {thing}?",
    ),
    "level": (
        "How high or low would you say {it_is}?",
        "Tell me at what height the {thing} {sits}.",
        "In which third {is_it} to be found?",
        "What part of the picture do you find the {thing} in?",
    ),
    "size": (
        "How big would you say {it_is}?",
        "Tell me about the size of the {thing}.",
        "Of what size {is_it}?",
    ),
    "count": (
        "How many do you see?",
        "Tell me the number of {things}.",
        "What number of them do you count?",
        "Can you count the {things} for me?",
    ),
}
"""Attribute -> open questions that are whole sentences; slots as `_slots` fills them."""

WHETHER_QUESTIONS: dict[str, tuple[str, ...]] = {
    "modality": (
        "Would you say that this is {value}?",
        "Could it be {value} that we see?",
        "Is the picture one of {value}?",
        "Does it look like {value}?",
    ),
    "finding": (
        "Are there any signs of {value}?",
        "Would you call it {value}?",
        "Does the picture have {value} in it?",
        "Is {value} what we see?",
        "Is {value} to be seen?",
    ),
    "side": (
        "Does the {thing} sit to the {value}?",
        "Would you say {it_is} on the {value} side?",
        "Is the {value} half the one with the {thing}?",
        "{Is_it} to the {value}?",
    ),
    "level": (
        "Does the {thing} sit in the {value} third?",
        "Would you say {it_is} at {value} level?",
        "{Is_it} in the {value} part?",
    ),
    "size": (
        "Would you say {it_is} {value}?",
        "{Is_it} {value} in size?",
        "Does the {thing} look {value}?",
    ),
    "count": (
        "Would you count {value} of them?",
        "{Is_it} {value} in number?",
        "Do you see {value} here?",
    ),
}
NORMAL_QUESTIONS = ("Is all as it should be?", "Would you say that all is normal?")
ABNORMAL_QUESTIONS = ("Is something wrong here?", "Do you see anything that is not normal?")
CHOICE_QUESTIONS = (
    "Which of the two is it: {one} or {two}?",
    "{one} or {two}?",
    "Would you rather say {one} or {two}?",
    "Is it {one}, or is it {two}?",
)
MORE_QUESTIONS = ("Tell me more about it.", "What else should one know?", "Go on, please.", "more?")
SUBJECT_QUESTIONS = ("Teach me about {subject}.", "What does the book say of {subject}?")


def write_conversation(truth: Truth, rng: np.random.Generator) -> list[Round]:
    """A conversation about a picture: every attribute once at most, in any order, in any form."""
    subjects = [*ATTRIBUTES, "normal", "caption"]
    if truth.count == 0:
        subjects = ["modality", "finding", "count", "normal", "caption"]
    chosen = [subjects[k] for k in rng.permutation(len(subjects))]
    rounds = [_ask(truth, subject, rng) for subject in chosen]
    if rng.random() < MORE:
        subject = truth.finding if rng.random() < 0.75 else truth.modality
        rounds.append((pick(rng, MORE_QUESTIONS), write_passage(rng, subject)))
    return rounds


def write_lesson(rng: np.random.Generator) -> list[Round]:
    """Two rounds about subjects of the textbook, without a picture."""
    subjects = [tuple(SENTENCES)[k] for k in rng.integers(len(SENTENCES), size=2)]
    return [
        (pick(rng, SUBJECT_QUESTIONS).format(subject=subject), write_passage(rng, subject))
        for subject in subjects
    ]


def _ask(truth: Truth, subject: str, rng: np.random.Generator) -> Round:
    """One round about `subject`, in a form chosen by chance."""
    if subject == "caption":
        return ask_for_caption(truth, rng)
    if subject == "normal":
        return _ask_whether_normal(truth, rng)
    form = rng.random()
    if form < TERSE:
        return ask_plainly(truth, subject, rng)
    if form < WHETHER:
        whether = ask_whether if rng.random() < 0.3 else _ask_whether
        return whether(truth, subject, rng)[-2:]
    if form < CHOICE:
        return _ask_which(truth, subject, rng)
    question = pick(rng, SENTENCE_QUESTIONS[subject]).format_map(_slots(truth))
    return question, _sentence(truth, subject, rng)


def _ask_whether(truth: Truth, attribute: str, rng: np.random.Generator) -> Round:
    """A yes/no question in a whole sentence, yes as often as no, often with what is right."""
    real = getattr(truth, attribute) not in (None, "none", 0)
    yes = real and rng.random() < 0.5
    asked_of = truth if yes else with_value(truth, attribute, other_value(truth, attribute, rng))
    slots = {**_slots(truth), "value": _value_words(asked_of, attribute, rng)}
    question = pick(rng, WHETHER_QUESTIONS[attribute]).format_map(slots)
    return question, _yes_no(yes, _sentence(truth, attribute, rng), rng)


def _ask_whether_normal(truth: Truth, rng: np.random.Generator) -> Round:
    normal = truth.count == 0
    of_normal = rng.random() < 0.5
    question = pick(rng, NORMAL_QUESTIONS if of_normal else ABNORMAL_QUESTIONS)
    return question, _yes_no(normal == of_normal, _sentence(truth, "finding", rng), rng)


def _ask_which(truth: Truth, attribute: str, rng: np.random.Generator) -> Round:
    """A choice of two, one of them right; what is not there cannot be chosen, so it is asked."""
    if getattr(truth, attribute) in (None, "none", 0):
        return ask_plainly(truth, attribute, rng)
    other = with_value(truth, attribute, other_value(truth, attribute, rng))
    words = [_value_words(one, attribute, rng) for one in (truth, other)]
    one, two = words if rng.random() < 0.5 else words[::-1]
    question = pick(rng, CHOICE_QUESTIONS).format(one=one, two=two)
    said = words[0] if rng.random() < 0.6 else _sentence(truth, attribute, rng)
    return question[0].upper() + question[1:], said


def _yes_no(yes: bool, reason: str, rng: np.random.Generator) -> str:
    word = "Yes" if yes else "No"
    return f"{word}." if rng.random() < 0.5 else f"{word}: {reason}"


def _sentence(truth: Truth, attribute: str, rng: np.random.Generator) -> str:
    """A sentence that tells `attribute`, and now and then one thing more."""
    told = {attribute} | ({pick(rng, ATTRIBUTES)} if rng.random() < 0.3 else set())
    text = say(truth, told, rng).text
    return f"{text[0].upper()}{text[1:].rstrip('.')}."


def _value_words(truth: Truth, attribute: str, rng: np.random.Generator) -> str:
    if attribute == "modality":
        return pick(rng, MODALITY_WORDS[truth.modality])
    if attribute == "finding" and rng.random() < 0.5:
        return FINDING_WORDS[truth.finding][1]
    return answer_word(truth, attribute)


def _slots(truth: Truth) -> dict[str, str]:
    """Words that agree with the number of findings; a finding is named or is just a lesion."""
    many = truth.count > 1
    forms = ("lesion", "lesions") if truth.count == 0 else FINDING_WORDS[truth.finding]
    return {
        "thing": forms[many],
        "things": forms[1],
        "sits": "sit" if many else "sits",
        "it_is": "they are" if many else "it is",
        "is_it": "are they" if many else "is it",
        "Is_it": "Are they" if many else "Is it",
    }

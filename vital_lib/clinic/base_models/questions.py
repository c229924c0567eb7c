"""Training questions for the clinic's vision-language model, in many wordings of their own.

Questions combine frames and phrases, so that a model learns the words that matter and not whole
sentences. This module knows nothing about models or answers.
"""

from __future__ import annotations

import numpy as np

from vital_lib.clinic.base_models.question_words import (
    BEFORE,
    CHOICES,
    CHOICES_OF,
    CLAIMS,
    DIRECT,
    DOUBTS,
    FRAMES,
    HALVES,
    ORGANS,
    PARTS,
    SIZES,
    WHAT,
    WHETHER,
)
from vital_lib.clinic.base_models.texts import (
    FINDING_WORDS,
    MODALITY_WORDS,
    level_word,
    pick,
    with_article,
)
from vital_lib.clinic.lexicon import Truth


def open_question(truth: Truth, attribute: str, rng: np.random.Generator) -> str:
    """An open question about `attribute`, or about "place", in a whole sentence."""
    if rng.random() < 0.5:
        return _worded(pick(rng, DIRECT[attribute]), truth, rng)
    frame = pick(rng, FRAMES).replace("{what}", pick(rng, WHAT[attribute]))
    return _worded(frame, truth, rng)


def whether_question(
    truth: Truth, attribute: str, asked_of: Truth, rng: np.random.Generator
) -> str:
    """A yes/no question: does `truth` have the value of `attribute` that `asked_of` has?"""
    if rng.random() < 0.5:
        template = pick(rng, WHETHER[attribute])
    else:
        template = pick(rng, DOUBTS).replace("{claim}", pick(rng, CLAIMS[attribute]))
    article = not template.startswith("Any ")
    value = value_words(asked_of, attribute, rng, article=article)
    return _worded(template, truth, rng, value=value)


def choice_question(
    truth: Truth, attribute: str, options: tuple[Truth, Truth], rng: np.random.Generator
) -> tuple[str, tuple[str, str]]:
    """A choice between the values of `attribute` in two truths, and both values in words."""
    template = pick(rng, (*CHOICES, *(CHOICES_OF[attribute] * 3)))
    one, two = (value_words(option, attribute, rng) for option in options)
    return _worded(template, truth, rng, one=one, two=two), (one, two)


def about(templates: tuple[str, ...], truth: Truth, rng: np.random.Generator) -> str:
    """One of `templates` at random, its slots filled for `truth`."""
    return _worded(pick(rng, templates), truth, rng)


def value_words(
    truth: Truth, attribute: str, rng: np.random.Generator, *, article: bool = True
) -> str:
    """The value of `attribute` in the words of a question or an answer."""
    if attribute == "modality":
        name = pick(rng, MODALITY_WORDS[truth.modality])
        return with_article(name) if article and rng.random() < 0.5 else name
    if attribute == "finding":
        one, many = FINDING_WORDS[truth.finding]
        if not article:
            return one
        return pick(rng, (one, many, with_article(one), with_article(one)))
    if attribute == "level":
        return level_word(truth)
    if attribute == "size":
        return pick(rng, SIZES[truth.size]) if rng.random() < 0.4 else truth.size
    if attribute == "count":
        return ("none", "one", "two", "three")[truth.count]
    return truth.side


def _worded(template: str, truth: Truth, rng: np.random.Generator, **words: str) -> str:
    slots = _slots(truth, rng)
    single = words.get("value") == "one"
    slots["those"] = slots["thing1"] if single else slots["things"]
    slots["there_are"] = "there is" if single else "there are"
    text = template.format_map({**slots, **words})
    if rng.random() < 0.06:
        return pick(rng, BEFORE) + text[0].lower() + text[1:] if text[1:2].islower() else text
    return text[0].upper() + text[1:]


def _slots(truth: Truth, rng: np.random.Generator) -> dict[str, str]:
    """Words that agree with the number of findings; a finding is named or called a lesion."""
    many = truth.count > 1
    forms = pick(rng, (("lesion", "lesions"), ("finding", "findings"), ("abnormality",
                 "abnormalities")))  # fmt: skip
    general = forms[0]
    if truth.count and rng.random() < 0.6:
        forms = FINDING_WORDS[truth.finding]
    levels = ("upper", "middle", "lower")
    if truth.modality in ("ct_scan", "mri"):
        levels = ("anterior", "central", "posterior")
    return {
        "thing": forms[many],
        "thing1": forms[0],
        "things": forms[1],
        "thing0": general,
        "is": "are" if many else "is",
        "Is": "Are" if many else "Is",
        "Does": "Do" if many else "Does",
        "sits": "sit" if many else "sits",
        "looks": "look" if many else "looks",
        "it_is": "they are" if many else "it is",
        "is_it": "are they" if many else "is it",
        "Is_it": "Are they" if many else "Is it",
        "half": pick(rng, HALVES[truth.modality]),
        "part": pick(rng, PARTS[truth.modality]),
        "organ": ORGANS[truth.modality],
        "first": levels[0],
        "First": levels[0].capitalize(),
        "second": levels[1],
        "third": levels[2],
    }

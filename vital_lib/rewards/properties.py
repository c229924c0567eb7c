"""Properties of a response that can be read from its text and flags, without a model.

The word lists are general English: the hedges and boosters of
academic writing (Hyland 2005, "Metadiscourse"), the usual phrases of doubt in reports, and the
Greek and Latin parts of medical terms. They depend on no figure set, generator or annotator.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from vital_lib.english import NUMBERS, sentences, split_words
from vital_lib.tables import flags_in_words

FLAGGED = "flag_"
"""Prefix of the properties that are automatic flags."""

_HEDGES = re.compile(
    r"\b(?:may(?: be)?|might(?: be)?|could(?: be)?|perhaps|maybe|possib(?:le|ly|ility)|"
    r"probabl[ey]|likely|unlikely|presum(?:ed|abl[ey]|ably)|apparent(?:ly)?|potentially|"
    r"seem(?:s|ed|ingly)?|appear(?:s|ed)? to|suggest(?:s|ed|ing|ive)?|suspect(?:ed)?|"
    r"suspicious|questionabl[ey]|equivocal|uncertain(?:ty)?|unclear|indeterminate|"
    r"(?:consistent|compatible) with|cannot be (?:excluded|ruled out)|"
    r"(?:kind|sort) of|somewhat|to some extent)\b",
    re.I,
)
_ABSOLUTES = re.compile(
    r"\b(?:always|never|definite(?:ly)?|certainly|clearly|obvious(?:ly)?|evidently|surely|"
    r"undoubted(?:ly)?|undeniabl[ey]|indisputabl[ey]|unquestionabl[ey]|unequivocal(?:ly)?|"
    r"unmistakabl[ey]|conclusive(?:ly)?|absolute(?:ly)?|invariabl[ey]|entirely|completely|"
    r"pathognomonic|diagnostic of|proves?|proven|guarantee[sd]?|of course|for certain|"
    r"(?:without|no|beyond) (?:a |any |all )?(?:reasonable )?(?:doubt|question))\b",
    re.I,
)
_TERMS = re.compile(
    r"(?:itis|itides|os[ie]s|otic|omas?|omata|omatous|a?emi[ac]|path(?:y|ic|ies)|plasi[ac]|"
    r"plas(?:m|tic)s?|troph(?:y|ic)|ectasi[as]|ectatic|megaly|scop(?:y|ic)|graph(?:y|ic)|ectomy|"
    r"otomy|lytic|lysis|cyt(?:e|es|ic)|genic|genesis|thorax|algia|rrhag(?:e|es|ic)|rrh?ea|"
    r"oid|ular|yma|ymal|phil(?:ia|ic)|blast(?:ic|oma)?s?|sclerotic)$|"
    r"^(?:hyper|hypo|peri|intra|endo|epi|neuro|cardi|pneum|bronch|hepat|nephr|oste|h(?:a?e)m[ao]|"
    r"cerebr|ventric|pleur|gastr|enter|derm|vascul|myel|encephal|thromb|isch|metasta|neopl|"
    r"carcin|fibr|necro|edem|oedem|parench|mediast|abdom|thorac|lumb|crani)\w{3,}",
    re.I,
)
_NOT_TERMS = frozenset(("diploma", "hypothesis", "hypothetical", "aroma", "avoid", "period"))
_TERM_LETTERS = 6  # shorter words with such parts ("coma", "void") are mostly everyday English
_SIDE = re.compile(r"\b(?:(?:left|right)(?![ -](?:away|now|angles?))|bilateral)", re.I)
_YES_OR_NO = re.compile(r"\W*(?:yes|no)\s*(?:[,.;:!–—-]|$)", re.I)


@dataclass(frozen=True)
class Property:
    """A property of a response.

    Attributes:
        name: of its column.
        label: in words.
        unit: what one unit more of it is, in words after "points".
        measure: response -> its value in this unit; None for a flag, which no text shows.
    """

    name: str
    label: str
    unit: str
    measure: Callable[[str], float] | None = None


def hedges(text: str) -> list[str]:
    """Return the hedging words and phrases of `text`, in order."""
    return _HEDGES.findall(text)


def absolutes(text: str) -> list[str]:
    """Return the words and phrases of `text` that leave no doubt, in order."""
    return _ABSOLUTES.findall(text)


def terms(text: str) -> list[str]:
    """Return the technical terms of `text`, in order: words with a Greek or Latin medical part."""
    return [
        word
        for word in split_words(text)
        if len(word) >= _TERM_LETTERS and word.lower() not in _NOT_TERMS and _TERMS.search(word)
    ]


def sides(text: str) -> list[str]:
    """Return the words of `text` that name a side, in order."""
    return _SIDE.findall(text)


def numbers(text: str) -> list[str]:
    """Return the numbers of `text`, in digits or in words, in order."""
    return [word for word in split_words(text) if word[0].isdigit() or word.lower() in NUMBERS]


_WORDS_OF = {
    **{"hedges": hedges, "absolutes": absolutes, "terms": terms},
    **{"number": numbers, "side": sides},
}


def marked(name: str, text: str) -> list[tuple[str, bool]]:
    """Split `text` into runs, each with whether it is a word of property `name`.

    A property that is not about single words has one run, unmarked.
    """
    runs, place = [], 0
    for word in _WORDS_OF[name](text) if name in _WORDS_OF else ():
        start = text.index(word, place)
        runs += [(text[place:start], False), (word, True)]
        place = start + len(word)
    return [run for run in (*runs, (text[place:], False)) if run[0]]


PROPERTIES = (
    Property(
        "words",
        "length in tens of words",
        "per ten words",
        lambda text: len(split_words(text)) / 10,
    ),
    Property("sentences", "sentences", "per sentence", lambda text: len(sentences(text))),
    Property("hedges", "hedging words", "per hedging word", lambda text: len(hedges(text))),
    Property("absolutes", "absolute words", "per absolute word", lambda t: len(absolutes(t))),
    Property("terms", "technical terms", "per technical term", lambda text: len(terms(text))),
    Property("number", "has a number", "with a number", lambda text: bool(numbers(text))),
    Property("side", "has a side", "with a side", lambda text: bool(sides(text))),
    Property(
        *("yes_or_no", "begins with yes or no", "with a yes or no at the start"),
        lambda text: bool(_YES_OR_NO.match(text)),
    ),
)
"""The properties of a response's text."""


def flag_property(flag: str) -> Property:
    """Return the property of having the automatic `flag`."""
    [label] = flags_in_words([flag])
    return Property(FLAGGED + flag, f"flag: {label}", f"with the flag “{label}”")


def properties_of(candidates: pd.DataFrame) -> tuple[pd.DataFrame, list[Property]]:
    """Measure every response: (the properties by candidate_id, what each column is).

    The columns are `PROPERTIES`, then one for each flag that occurs, 1 with it and 0 without it.

    Args:
        candidates: columns candidate_id, response, and flags (lists) if flags are wanted.
    """
    texts = candidates["response"]
    found = {
        one.name: [float(one.measure(text)) for text in texts] for one in PROPERTIES if one.measure
    }
    flags = [set(own) for own in candidates["flags"]] if "flags" in candidates else []
    occurring = [flag_property(flag) for flag in sorted(set().union(*flags))]
    for one in occurring:
        flag = one.name.removeprefix(FLAGGED)
        found[one.name] = [float(flag in own) for own in flags]
    ids = pd.Index(candidates["candidate_id"], name="candidate_id")
    return pd.DataFrame(found, index=ids), [*PROPERTIES, *occurring]

"""Parse what a yes/no question asks about. Independent of answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from vital_lib.english import NEGATORS, said, stem, words
from vital_lib.evaluation.yes_no import lexicon as lex

# "Metastatic disease" means metastasis, so "disease" is dropped; "heart disease" keeps it.
_DISEASE_ADJECTIVE = re.compile(r"\w+(?:(?<!pro)static|ctatic|otic|emic|hagic|matory)$")


@dataclass(frozen=True)
class Asked:
    """A parsed question. `topic`, `cores`, `heads` and `less` hold stems.

    Attributes:
        words: all words of the question.
        topic: the content words.
        cores: the alternatives ("a mass or a cyst" has two); a yes affirms all words of one.
        heads: the head words; a no negates one of them.
        exists: the question is whether something is present ("is there ..."), not "is this ...".
        inverted: the question is whether something is absent ("without").
        unclear: the question contains "not", "no", "never" or "nor".
        start: the auxiliary verb at the beginning, or "".
        less: the content words that occur only after "than".
        fault: the question is about a change whose opposite is normal, such as "enlarged".
    """

    words: frozenset[str]
    topic: frozenset[str]
    cores: tuple[frozenset[str], ...]
    heads: frozenset[str]
    exists: bool
    inverted: bool
    unclear: bool
    start: str
    less: frozenset[str] = frozenset()
    fault: bool = False


@lru_cache(maxsize=1024)
def read_question(question: str) -> Asked:
    """Parse a question. Never raises: a question without words has empty fields."""
    found = words(plainly(re.sub(r"\bor (?:not|no)\b", " ", said(question))))
    start = found[0] if found and found[0] in lex.AUX else ""
    rest = found[1:] if start else found
    named, exists = _named(rest)
    topic = telling(rest)
    named = [
        word
        for k, word in enumerate(named)
        if word != "disease" or not _DISEASE_ADJECTIVE.match(named[k - 1])
    ]
    parts = [[stem(word) for word in part if telling([word])] for part in _split(named)]
    heads = {part[-1] for part in parts if part}
    if normality := topic & {"normal", "abnormal"}:
        heads, parts = normality, [sorted(normality)]
    negators = [word for word in rest if word in NEGATORS | lex.DENIALS]
    return Asked(
        words=frozenset(found),
        topic=frozenset(topic),
        cores=tuple(frozenset(part) for part in parts if part),
        heads=frozenset(heads),
        exists=exists,
        inverted=len(negators) % 2 == 1,
        unclear=bool(set(negators) & {"not", "no", "never", "nor"}),
        start=start,
        less=frozenset(_less(rest)),
        fault=any(lex.FAULT.fullmatch(word) for word in rest if stem(word) in heads),
    )


def _less(rest: list[str]) -> set[str]:
    at = rest.index("than") if "than" in rest else len(rest)
    return telling(rest[at:]) - telling(rest[:at]) - {"than"}


def _named(rest: list[str]) -> tuple[list[str], bool]:
    """Return the words that name the subject, and whether the question is about presence."""
    trigger = next((k for k, word in enumerate(rest) if word in lex.TRIGGERS), None)
    present = next((k for k, w in enumerate(rest) if k and w in lex.PRESENT and w != "there"), None)
    if trigger is not None:
        found = _phrase(rest[trigger + 1 :])
        if found:
            return found, True
    if rest and rest[0] in lex.EMPTY - lex.PRESENT and (found := _phrase(rest)):
        return found, False
    if present is not None and (found := _phrase(rest[:present])):
        return found, True
    last = [word for word in rest if telling([word])][-1:]
    return last, False


def _phrase(rest: list[str]) -> list[str]:
    """Return the first content words, up to a preposition or a verb."""
    start = next((k for k, word in enumerate(rest) if telling([word])), len(rest))
    found = []
    for word in rest[start:]:
        if word in lex.PLACE or word in lex.VERBS | lex.PRESENT:
            break
        found.append(word)
    return found


def _split(named: list[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in named:
        if word == "or":
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def telling(clause: list[str]) -> set[str]:
    """Stems of the content words: no verbs, prepositions, negations or hedges."""
    ignored = lex.EMPTY | NEGATORS | lex.DENIALS | lex.HEDGES
    return {stem(word) for word in clause if word not in ignored}


@lru_cache(maxsize=1024)
def plainly(text: str) -> str:
    """Return `text` with one form for each negation and for some organs and findings."""
    for pattern, becomes in lex.BECOMES:
        text = pattern.sub(becomes, text)
    return re.sub(r"\bnot\s+absent\b", " ", text)

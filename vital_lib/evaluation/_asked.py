"""What a yes/no question asks for, in words. Knows nothing of answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from vital_lib.evaluation._english import (
    AUX,
    BECOMES,
    DENIALS,
    EMPTY,
    FAULT,
    HEDGES,
    NEGATORS,
    PLACE,
    PRESENT,
    TRIGGERS,
    VERBS,
)
from vital_lib.evaluation._roots import stem
from vital_lib.evaluation.wording import said, words

# "Metastatic disease" is metastasis; "heart disease" is not the heart.
_KIN = re.compile(r"\w+(?:(?<!pro)static|ctatic|otic|emic|hagic|matory)$")


@dataclass(frozen=True)
class Asked:
    """What a question asks for, in stems.

    `words` are all of its words; `topic` those that tell something; `cores` those of which a yes
    affirms one set ("a mass or a cyst" has two); `heads` those of which a no negates one.
    `exists`: it asks "is there ...", not "is this ...". `inverted`: it asks for something not to be
    there ("without"). `unclear`: it has a "not". `start`: the verb that it begins with, or "".
    `less`: what stands after its "than" alone. `fault`: it asks for what may be normal instead.
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
    """What a question asks for; nothing is raised: a question of no words asks for nothing."""
    found = words(plainly(re.sub(r"\bor (?:not|no)\b", " ", said(question))))
    start = found[0] if found and found[0] in AUX else ""
    rest = found[1:] if start else found
    named, exists = _named(rest)
    topic = telling(rest)
    named = [
        word for k, word in enumerate(named) if word != "disease" or not _KIN.match(named[k - 1])
    ]
    parts = [[stem(word) for word in part if telling([word])] for part in _split(named)]
    heads = {part[-1] for part in parts if part}
    if normality := topic & {"normal", "abnormal"}:
        heads, parts = normality, [sorted(normality)]
    negators = [word for word in rest if word in NEGATORS | DENIALS]
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
        fault=any(FAULT.fullmatch(word) for word in rest if stem(word) in heads),
    )


def _less(rest: list[str]) -> set[str]:
    at = rest.index("than") if "than" in rest else len(rest)
    return telling(rest[at:]) - telling(rest[:at]) - {"than"}


def _named(rest: list[str]) -> tuple[list[str], bool]:
    """The words that name what is asked for, and whether it is asked to be there."""
    trigger = next((k for k, word in enumerate(rest) if word in TRIGGERS), None)
    present = next((k for k, w in enumerate(rest) if k and w in PRESENT and w != "there"), None)
    if trigger is not None:
        found = _phrase(rest[trigger + 1 :])
        if found:
            return found, True
    if rest and rest[0] in EMPTY - PRESENT and (found := _phrase(rest)):
        return found, False
    if present is not None and (found := _phrase(rest[:present])):
        return found, True
    last = [word for word in rest if telling([word])][-1:]
    return last, False


def _phrase(rest: list[str]) -> list[str]:
    """The first words that tell something, up to a preposition or a verb."""
    start = next((k for k, word in enumerate(rest) if telling([word])), len(rest))
    found = []
    for word in rest[start:]:
        if word in PLACE or word in VERBS | PRESENT:
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
    """The stems of the words that tell something: no verbs, prepositions, negations or hedges."""
    quiet = EMPTY | NEGATORS | DENIALS | HEDGES
    return {stem(word) for word in clause if word not in quiet}


@lru_cache(maxsize=1024)
def plainly(text: str) -> str:
    """`text` with its ways to negate, and some names of organs and findings, made one."""
    for pattern, becomes in BECOMES:
        text = pattern.sub(becomes, text)
    return re.sub(r"\bnot\s+absent\b", " ", text)

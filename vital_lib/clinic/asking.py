"""Draw the simulated generator's questions about a figure, from those that its text can answer.

A subject holds everything that the figure's text offers. Independent of rates, errors and the
wording of answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from typing import Any

from vital_lib.clinic.anatomy import Scene, scene_of
from vital_lib.clinic.asides import FOREIGN, knowledge_of
from vital_lib.clinic.lexicon import COUNTS, FINDINGS, NO_FINDING, SIDES, SIZES
from vital_lib.clinic.question_kinds import (
    CLOSED_KINDS,
    OPEN_KINDS,
    SPEECHLESS,
    TERM_KINDS,
    Kind,
)
from vital_lib.clinic.requests import Shown
from vital_lib.clinic.terms import key_terms
from vital_lib.clinic.wording import NUMBER_WORDS, Phrases, speaks_of_several
from vital_lib.modalities import MODALITIES

_TRUE_PROPOSALS = 0.5  # yes and no are correct about equally often
_DRAWS = 60


@dataclass(frozen=True)
class Subject:
    """What a figure's text offers to write about.

    Args:
        facts: attribute -> value, as the text states it.
        scene: organ and image type, from the text.
        several: the text names the finding in the plural.
    """

    shown: Shown
    facts: Mapping[str, Any] = field(hash=False)
    scene: Scene
    several: bool

    @property
    def terms(self) -> tuple[str, ...]:
        """The key terms of the caption."""
        return key_terms((self.shown.caption,))

    def phrases(self, facts: Mapping[str, Any], rng: Random) -> Phrases:
        """Return the template slots, worded for this figure and `facts`."""
        return Phrases(facts, self.scene, rng, self.several)


@dataclass(frozen=True)
class Question:
    """An instruction; `proposed` is the value or topic that a yes/no question proposes."""

    kind: Kind
    text: str
    proposed: str | int | None = None


@lru_cache(maxsize=1024)
def subject_of(shown: Shown) -> Subject:
    """Return the subject of a figure from its text and modality flags."""
    sources, facts = shown.sources, shown.facts
    return Subject(
        shown=shown,
        facts=facts,
        scene=scene_of(facts.get("modality"), sources, shown.modalities),
        several=speaks_of_several(" ".join(sources)),
    )


def questions_about(subject: Subject, number: int, rng: Random) -> list[Question]:
    """Return up to `number` distinct questions; kinds on a new topic come first.

    Fewer are returned only if the figure's text allows too few wordings.
    """
    kinds = kinds_for(subject)
    found: dict[str, Question] = {}
    waiting: list[Kind] = []
    for _ in range(_DRAWS):
        waiting = waiting or _in_random_order(kinds, rng)
        question = ask(subject, waiting.pop(0), rng)
        found.setdefault(question.text, question)
        if len(found) >= number:
            break
    return list(found.values())


@lru_cache(maxsize=1024)
def kinds_for(subject: Subject) -> tuple[Kind, ...]:
    """Return the kinds of question that the figure's text can answer."""
    found = [kind for kind in (*OPEN_KINDS, *CLOSED_KINDS) if _fits(kind, subject)]
    # Questions on the caption's terms are a fallback for texts that state no finding.
    if "finding" not in subject.facts and subject.terms:
        found += TERM_KINDS
    return tuple(found) or (SPEECHLESS,)


def _fits(kind: Kind, subject: Subject) -> bool:
    facts = subject.facts
    if not all(name in facts for name in kind.needs):
        return False
    if "finding" not in kind.needs:
        return True
    fitting = ("also", "only") if facts["finding"] == NO_FINDING else ("also", "no")
    if kind.of_normal not in fitting:
        return False
    return not kind.knows or bool(
        getattr(knowledge_of(str(facts["finding"]), subject.scene), kind.knows)
    )


def ask(subject: Subject, kind: Kind, rng: Random) -> Question:
    """Return a question of `kind`, worded for the figure."""
    facts = dict(subject.facts)
    proposed: Any = _proposal(subject, kind, rng) if kind.closed else None
    named: dict[str, str] = {}
    if proposed is not None and not kind.asks:
        named["topic"] = str(proposed)
    elif kind.asks == ("finding",) and kind.closed:
        named["a_one"] = subject.phrases({"finding": proposed}, rng)["a_one"]
    elif kind.asks == ("count",) and kind.closed:
        # The noun keeps the finding's true number; only {number} holds the proposed count.
        named["number"] = NUMBER_WORDS[proposed]
    elif proposed is not None:
        facts[kind.asks[0]] = proposed
    phrases = subject.phrases(facts, rng)
    phrases.update(named)
    return Question(kind, phrases.fill(rng.choice(kind.questions)), proposed)


def values_of(attribute: str, facts: Mapping[str, str | int]) -> tuple[str | int, ...]:
    """Return the values that an attribute can take, given the modality in `facts`."""
    if attribute == "finding":
        everywhere = tuple(kind for kinds in FINDINGS.values() for kind in kinds)
        return FINDINGS.get(facts.get("modality"), everywhere)
    return {"modality": MODALITIES, "side": SIDES, "size": SIZES, "count": COUNTS}[attribute]


def _in_random_order(kinds: Sequence[Kind], rng: Random) -> list[Kind]:
    """Shuffle the kinds by weight; the first kind of each topic goes before all repeats.

    Weighted sampling without replacement (Efraimidis and Spirakis, 2006): key u ** (1 / weight).
    """
    order = sorted(kinds, key=lambda kind: rng.random() ** (1 / kind.weight), reverse=True)
    covered: set[tuple[str, ...]] = set()
    new, again = [], []
    for kind in order:
        topic = kind.asks or (kind.question_type,)
        (again if topic in covered else new).append(kind)
        covered.add(topic)
    return new + again


def _proposal(subject: Subject, kind: Kind, rng: Random) -> str | int:
    """Draw the proposal of a yes/no question: true or false about equally often."""
    if not kind.asks:
        return rng.choice(subject.terms if rng.random() < _TRUE_PROPOSALS else FOREIGN)
    choices = kind.proposals or values_of(kind.asks[0], subject.facts)
    holds = subject.facts[kind.asks[0]]
    others = [value for value in choices if value != holds]
    if holds in choices and (not others or rng.random() < _TRUE_PROPOSALS):
        return holds
    return rng.choice(others)

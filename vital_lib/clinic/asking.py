"""What the simulated generator asks about a figure: only what the figure's text can answer.

A subject is all that there is to write about, read from the text; questions are drawn from the
kinds that it can answer. Knows nothing of rates, of mistakes or of how answers are worded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random

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

_TRUE_PROPOSALS = 0.5  # yes and no are right about as often
_DRAWS = 60


@dataclass(frozen=True)
class Subject:
    """What there is to write about a figure.

    Args:
        facts: attribute -> value, as the text states it.
        scene: what the text says of organ and image.
        several: the finding is named in the plural.
    """

    shown: Shown
    facts: Mapping[str, str | int] = field(hash=False)
    scene: Scene
    several: bool

    @property
    def terms(self) -> tuple[str, ...]:
        """Key terms of the caption."""
        return key_terms((self.shown.caption,))

    def phrases(self, facts: Mapping[str, str | int], rng: Random) -> Phrases:
        """The slots of a template, worded for this figure and `facts`."""
        return Phrases(facts, self.scene, rng, self.several)


@dataclass(frozen=True)
class Question:
    """One instruction; `proposed` is what a yes/no question proposes: a value, or a topic."""

    kind: Kind
    text: str
    proposed: str | int | None = None


@lru_cache(maxsize=1024)
def subject_of(shown: Shown) -> Subject:
    """Everything that a figure's text offers."""
    sources, facts = shown.sources, shown.facts
    return Subject(
        shown=shown,
        facts=facts,
        scene=scene_of(facts.get("modality"), sources, shown.modalities),
        several=speaks_of_several(" ".join(sources)),
    )


def questions_about(subject: Subject, number: int, rng: Random) -> list[Question]:
    """Up to `number` questions, no two alike; kinds that ask for something new come first.

    There are fewer only where the figure's text is too poor for so many wordings.
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
    """The kinds of question that the figure's text can answer."""
    found = [kind for kind in (*OPEN_KINDS, *CLOSED_KINDS) if _fits(kind, subject)]
    # Where a finding is stated there is better to ask than what the figure is about.
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
    """One question of a kind, worded for the figure."""
    facts = dict(subject.facts)
    proposed = _proposal(subject, kind, rng) if kind.closed else None
    named: dict[str, str] = {}
    if proposed is not None and not kind.asks:
        named["topic"] = str(proposed)
    elif kind.asks == ("finding",) and kind.closed:
        named["a_one"] = subject.phrases({"finding": proposed}, rng)["a_one"]
    elif kind.asks == ("count",) and kind.closed:
        # The noun keeps the number of the finding; only the number asked about is the proposal.
        named["number"] = NUMBER_WORDS[proposed]
    elif proposed is not None:
        facts[kind.asks[0]] = proposed
    phrases = subject.phrases(facts, rng)
    phrases.update(named)
    return Question(kind, phrases.fill(rng.choice(kind.questions)), proposed)


def values_of(attribute: str, facts: Mapping[str, str | int]) -> tuple[str | int, ...]:
    """The values that an attribute can take in a figure of such a modality."""
    if attribute == "finding":
        everywhere = tuple(kind for kinds in FINDINGS.values() for kind in kinds)
        return FINDINGS.get(facts.get("modality"), everywhere)
    return {"modality": MODALITIES, "side": SIDES, "size": SIZES, "count": COUNTS}[attribute]


def _in_random_order(kinds: Sequence[Kind], rng: Random) -> list[Kind]:
    """All kinds by weighted chance, those that ask for something new before the others.

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
    """What a yes/no question proposes: what holds, or about as often something else."""
    if not kind.asks:
        return rng.choice(subject.terms if rng.random() < _TRUE_PROPOSALS else FOREIGN)
    choices = kind.proposals or values_of(kind.asks[0], subject.facts)
    holds = subject.facts[kind.asks[0]]
    others = [value for value in choices if value != holds]
    if holds in choices and (not others or rng.random() < _TRUE_PROPOSALS):
        return holds
    return rng.choice(others)

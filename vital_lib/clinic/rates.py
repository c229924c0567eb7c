"""How often each simulated party errs: fixed before any result was seen, and never tuned.

Every number that decides what the simulated generator, judges and clinicians do stands here with
the reason for its size. A run's figures follow from these rates; the rates do not follow from the
figures. This module knows nothing of text, images or requests.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from types import MappingProxyType
from typing import Any

FACTUAL = ("wrong_side", "wrong_count", "wrong_modality", "invented_finding", "missed_finding")
STYLE = ("vague", "overconfident", "quoted", "truncated")
SEEN = ("modality", "finding", "side", "level", "size", "count")


def _fixed(**values: Any) -> Any:
    """A dataclass field whose default is the mapping `values`; `_freeze` makes it read-only."""
    return field(default_factory=lambda: dict(values))


@dataclass(frozen=True)
class JudgeRates:
    """One simulated judge: what it notices, what it minds, and how it turns that into a number.

    Probabilities are per fact or fault that is really there; penalties, bonuses and noise are in
    points of a 0 to 10 rating. A negative `minds` is a liking: with that probability the fault
    earns what it would otherwise cost.
    """

    sees: Mapping[str, float] = _fixed(
        # The kind of image is plain at a glance, and the caption nearly always names it.
        modality=0.95,
        # A named finding is the caption's subject; one in ten slips by a near-synonym.
        finding=0.90,
        # Laterality is where vision-language models fail first (arXiv 2604.27720):
        # a coin's chance of noticing.
        side=0.50,
        # Up and down are not mirrored between patient and image, so they are easier than side.
        level=0.80,
        # Size is one adjective; a reader that skims overlooks one in five.
        size=0.80,
        # Counting is the other known weakness of vision-language models.
        count=0.50,
    )
    false_alarm: float = 0.05  # a sound answer blamed for a fact: judges also misread captions
    minds: Mapping[str, float] = _fixed(
        # The policy asks for specialist terms over vague words; obeyed more often than not.
        vague=0.60,
        # A confident tone reads as competence; the policy's word against it is heeded weakly.
        overconfident=0.30,
        # A judge holds the caption in its own prompt, and agreement with it looks like accuracy.
        quoted=0.20,
        # A sentence without an end is plain to any reader.
        truncated=0.80,
    )
    start: float = 8.0  # LLM judges are generous: a sound answer gets 8, seldom 10
    fact_penalty: float = 3.5  # one wrong fact brings a sound answer below the middle of the scale
    style_penalty: float = 1.5  # a fault of style costs less than half as much as a wrong fact
    noise_sd: float = 1.0  # the same candidate rated twice differs by about a point
    length_bonus: float = 1.0  # points per `length_step` words: judges reward length
    length_from: int = 15  # words that earn no bonus: a full sentence
    length_step: int = 20  # words: a second sentence
    length_most: float = 1.5  # points: beyond two more sentences, length stops to impress
    first_bonus: float = 0.0  # points added to the answer shown first

    def __post_init__(self) -> None:
        _freeze(self)
        _check_keys("sees", self.sees, SEEN)
        _check_keys("minds", self.minds, STYLE)
        _check_chances("sees", self.sees)
        _check_chances("minds", {key: abs(value) for key, value in self.minds.items()})
        _check_chances("false_alarm", {"false_alarm": self.false_alarm})
        if self.noise_sd < 0 or self.length_step < 1:
            raise ValueError(
                f"noise_sd {self.noise_sd}, length_step {self.length_step}: "
                "wanted a spread of 0 or more points and a step of 1 or more words"
            )


def _second_judge() -> JudgeRates:
    return JudgeRates(
        # Another family: a little weaker on what is named, less blind on side and count, so that
        # the two judges' errors are not the same ones.
        sees={
            "modality": 0.90,
            "finding": 0.85,
            "side": 0.65,
            "level": 0.75,
            "size": 0.75,
            "count": 0.65,
        },
        false_alarm=0.04,  # blames a little less readily than the first
        # It rather likes a confident tone (judges reward plausible text, arXiv 2606.02578), hence
        # the negative value; and it is the more lenient one in everything else.
        minds={"vague": 0.50, "overconfident": -0.20, "quoted": 0.10, "truncated": 0.60},
        noise_sd=1.2,  # noisier: comparisons are asked of it once per order, not averaged
        length_bonus=0.5,  # half as fond of length
        length_most=0.75,
        first_bonus=0.4,  # judges prefer what stands first: about half of the margin for a tie
    )


@dataclass(frozen=True)
class Rates:
    """The rates of the whole clinic.

    Fields:
        factual: chance per response whose question touches that fact, whatever demonstrations
            are shown (a demonstration shows how to write, not what the image holds).
        style: chance per response, without demonstrations, of each fault of style.
        demonstration_half: demonstration responses at which their style weighs as much as the
            generator's own: rate = (own * half + faulty responses) / (half + responses).
        own_words, length_pull: the length, in words, that the generator aims at by itself, and
            the part of the demonstrations' weight with which theirs moves it.
        judge, second: the rating judge ("clinic") and the second judge ("clinic-second").
        tie_within: difference of perceived quality, in points, below which a verdict is a tie.
        clinician_sees_fact, clinician_minds, clinician_slip: per simulated clinician.

    Raises:
        ValueError: a rate outside 0..1, or a name that the clinic does not know.
    """

    factual: Mapping[str, float] = _fixed(
        # Laterality fails first (arXiv 2604.27720): one answer about a side in five is mirrored.
        wrong_side=0.20,
        # Counts of small findings are as unreliable.
        wrong_count=0.20,
        # The kind of image is nearly always right.
        wrong_modality=0.05,
        # A finding that is not there, or another one than the caption's: about one in twelve.
        invented_finding=0.08,
        # An abnormal figure called normal: as often.
        missed_finding=0.08,
    )
    style: Mapping[str, float] = _fixed(
        # Vague words over specialist terms are the commonest complaint about generic models.
        vague=0.16,
        # "Definitely": common enough that the published policy forbids it by name.
        overconfident=0.12,
        # Copying the caption is the cheap way to a correct answer.
        quoted=0.14,
        # A reply that ends at the token limit: rare.
        truncated=0.05,
    )
    demonstration_half: float = 10.0  # two demonstrations of five rounds weigh as much as habit
    own_words: float = 20.0  # a sentence and a half: what such generators write unasked
    # How far demonstrations pull the length, next to their pull on style: half, since the length
    # of an answer also follows from what the question asks.
    length_pull: float = 0.5
    judge: JudgeRates = field(default_factory=JudgeRates)
    second: JudgeRates = field(default_factory=_second_judge)
    tie_within: float = 0.75  # points: below the judges' own noise on one answer
    clinician_sees_fact: Mapping[str, float] = _fixed(
        # People who read such images daily notice nearly every wrong fact; haste costs a little.
        strict=0.97,
        moderate=0.94,
        lenient=0.90,
    )
    clinician_minds: Mapping[str, Mapping[str, float]] = _fixed(
        # Chance that a fault of style alone makes this clinician cross the answer. All three mind
        # an unfinished answer most and a copied caption least: it is at least correct.
        strict={"vague": 0.85, "overconfident": 0.80, "quoted": 0.60, "truncated": 0.90},
        moderate={"vague": 0.65, "overconfident": 0.55, "quoted": 0.40, "truncated": 0.80},
        lenient={"vague": 0.40, "overconfident": 0.30, "quoted": 0.20, "truncated": 0.60},
    )
    clinician_slip: float = 0.03  # a tick that should be a cross, or the reverse, by hand

    def __post_init__(self) -> None:
        _freeze(self)
        _check_keys("factual", self.factual, FACTUAL)
        _check_keys("style", self.style, STYLE)
        _check_chances("factual", self.factual)
        _check_chances("style", self.style)
        _check_keys("clinician_minds", self.clinician_minds, tuple(self.clinician_sees_fact))
        _check_chances("clinician_sees_fact", self.clinician_sees_fact)
        single = {"clinician_slip": self.clinician_slip, "length_pull": self.length_pull}
        _check_chances("Rates", single)
        for clinician, minds in self.clinician_minds.items():
            _check_keys(f"clinician_minds[{clinician!r}]", minds, STYLE)
            _check_chances(f"clinician_minds[{clinician!r}]", minds)
        if self.demonstration_half <= 0:
            raise ValueError(
                f"demonstration_half is {self.demonstration_half}: wanted responses, above 0"
            )


def rates_fingerprint(rates: Rates) -> str:
    """SHA-256, in hexadecimal, of `rates` as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(_plain(rates), sort_keys=True).encode()).hexdigest()


def _freeze(rates: Any) -> None:
    """Replace every mapping of a frozen dataclass by a read-only copy that no caller holds."""
    for item in fields(rates):
        value = getattr(rates, item.name)
        if isinstance(value, Mapping):
            object.__setattr__(rates, item.name, _read_only(value))


def _read_only(value: Any) -> Any:
    if isinstance(value, Mapping):
        return MappingProxyType({key: _read_only(inner) for key, inner in value.items()})
    return value


def _plain(value: Any) -> Any:
    """`value` as what JSON can hold (dataclasses and read-only mappings become dicts)."""
    if is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return value


def _check_keys(name: str, values: Mapping[str, Any], wanted: tuple[str, ...]) -> None:
    if set(values) != set(wanted):
        raise ValueError(f"{name} has {sorted(values)}; wanted exactly {', '.join(sorted(wanted))}")


def _check_chances(name: str, values: Mapping[str, float]) -> None:
    for key, value in values.items():
        if not (math.isfinite(value) and 0 <= value <= 1):
            raise ValueError(f"{name}: {key} is {value!r}; wanted a chance from 0 to 1")


DEFAULT_RATES = Rates()
"""The rates in force. A change needs a line in CHANGELOG.md; tests/test_rates.py says how."""

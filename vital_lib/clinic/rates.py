"""Error rates of the simulated generator, judges and clinicians, fixed before any result was seen.

Each rate has a comment with the reason for its value. Rates are never tuned to the results of a
run. Independent of text, images and requests.
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
    """Return a dataclass field with default mapping `values`; `_freeze` makes it read-only."""
    return field(default_factory=lambda: dict(values))


@dataclass(frozen=True)
class JudgeRates:
    """Rates of one simulated judge: errors noticed, style faults penalised, and scoring.

    Probabilities are per error or fault that is present. Penalties, bonuses and noise are in points
    of a 0 to 10 rating. A negative value in `minds` is a preference: the fault raises the rating by
    the style penalty, with its absolute value as the probability.
    """

    sees: Mapping[str, float] = _fixed(
        # The modality is obvious, and the caption nearly always names it.
        modality=0.95,
        # The caption names the finding; one error in ten is missed as a near-synonym.
        finding=0.90,
        # Laterality is where vision-language models fail first (arXiv 2604.27720), so half of the
        # errors are missed.
        side=0.50,
        # Level is easier than side, since an image does not mirror it.
        level=0.80,
        # Size is one adjective, easily overlooked: one error in five is missed.
        size=0.80,
        # Counting is another known weakness of vision-language models.
        count=0.50,
    )
    false_alarm: float = 0.05  # per answer without a noticed error: judges also misread captions
    minds: Mapping[str, float] = _fixed(
        # The policy prefers specialist terms to vague words; judges usually follow it.
        vague=0.60,
        # A confident tone suggests competence, so judges follow the policy against it only weakly.
        overconfident=0.30,
        # The judge's prompt holds the caption, and agreement with it looks like accuracy.
        quoted=0.20,
        # An unfinished sentence is obvious to any reader.
        truncated=0.80,
    )
    start: float = 8.0  # LLM judges are generous: a correct answer gets 8, rarely 10
    fact_penalty: float = 3.5  # one factual error moves a correct answer below mid-scale
    style_penalty: float = 1.5  # less than half the penalty of a factual error
    noise_sd: float = 1.0  # repeated ratings of a candidate differ by about a point
    length_bonus: float = 1.0  # points per `length_step` words: judges reward length
    length_from: int = 15  # words without a bonus: a full sentence
    length_step: int = 20  # words: a second sentence
    length_most: float = 1.5  # points: no further bonus beyond two more sentences
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
                "wanted noise_sd of at least 0 points and length_step of at least 1 word"
            )


def _second_judge() -> JudgeRates:
    return JudgeRates(
        # A different model family: slightly weaker on named facts, better on side and count, so
        # that the two judges make different errors.
        sees={
            "modality": 0.90,
            "finding": 0.85,
            "side": 0.65,
            "level": 0.75,
            "size": 0.75,
            "count": 0.65,
        },
        false_alarm=0.04,  # slightly fewer false alarms than the first judge
        # Negative: it likes a confident tone (judges reward plausible text, arXiv 2606.02578). On
        # all other style faults it is more lenient than the first judge.
        minds={"vague": 0.50, "overconfident": -0.20, "quoted": 0.10, "truncated": 0.60},
        noise_sd=1.2,  # noisier: one comparison per order, without averaging
        length_bonus=0.5,  # half the length bonus of the first judge
        length_most=0.75,
        first_bonus=0.4,  # position bias: about half of the tie margin
    )


@dataclass(frozen=True)
class Rates:
    """The rates of the whole clinic.

    Fields:
        factual: probability of each factual error, per response to a question on that fact. It
            is independent of demonstrations, which show how to write, not what the image shows.
        style: probability of each style fault per response, without demonstrations.
        demonstration_half: number of demonstration responses at which their style has the same
            weight as the generator's own:
            rate = (own * half + faulty responses) / (half + responses).
        own_words: target length in words, without demonstrations.
        length_pull: share of the demonstrations' weight that applies to the target length.
        judge, second: the rating judge ("clinic") and the second judge ("clinic-second").
        tie_within: difference of perceived quality, in points, below which a verdict is a tie.
        clinician_sees_fact: probability of noticing a factual error, by clinician.
        clinician_minds: probability of rejecting a response for a style fault, by clinician.
        clinician_slip: probability of ticking the wrong box.

    Raises:
        ValueError: a rate is outside 0..1, or a name is unknown.
    """

    factual: Mapping[str, float] = _fixed(
        # Laterality fails first (arXiv 2604.27720): one answer in five names the other side.
        wrong_side=0.20,
        # Counts of small findings are equally unreliable.
        wrong_count=0.20,
        # The modality is nearly always right.
        wrong_modality=0.05,
        # A finding that is absent or differs from the caption's: about one in twelve.
        invented_finding=0.08,
        # An abnormal figure called normal: equally often.
        missed_finding=0.08,
    )
    style: Mapping[str, float] = _fixed(
        # Vague wording is the commonest complaint about generic models.
        vague=0.16,
        # "Definitely" is so common that the published policy forbids it by name.
        overconfident=0.12,
        # Copying the caption is the easiest way to a correct answer.
        quoted=0.14,
        # Replies rarely stop at the token limit.
        truncated=0.05,
    )
    demonstration_half: float = 10.0  # two demonstrations of five rounds equal its own style
    own_words: float = 20.0  # a sentence and a half, the usual length of such generators
    # Demonstrations influence length half as much as style, since the length of an answer also
    # depends on the question.
    length_pull: float = 0.5
    judge: JudgeRates = field(default_factory=JudgeRates)
    second: JudgeRates = field(default_factory=_second_judge)
    tie_within: float = 0.75  # points: smaller than a judge's noise on one answer
    clinician_sees_fact: Mapping[str, float] = _fixed(
        # Daily readers of such images notice nearly every factual error; in haste they miss a few.
        strict=0.97,
        moderate=0.94,
        lenient=0.90,
    )
    clinician_minds: Mapping[str, Mapping[str, float]] = _fixed(
        # All three reject an unfinished answer most often and a copied caption least often, since
        # the copy is at least correct.
        strict={"vague": 0.85, "overconfident": 0.80, "quoted": 0.60, "truncated": 0.90},
        moderate={"vague": 0.65, "overconfident": 0.55, "quoted": 0.40, "truncated": 0.80},
        lenient={"vague": 0.40, "overconfident": 0.30, "quoted": 0.20, "truncated": 0.60},
    )
    clinician_slip: float = 0.03  # per response: accepted by mistake, or rejected by mistake

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
                f"demonstration_half is {self.demonstration_half}: wanted a number above 0"
            )


def rates_fingerprint(rates: Rates) -> str:
    """Return the hexadecimal SHA-256 of `rates` as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(_plain(rates), sort_keys=True).encode()).hexdigest()


def _freeze(rates: Any) -> None:
    """Replace every mapping of a frozen dataclass with a read-only copy."""
    for item in fields(rates):
        value = getattr(rates, item.name)
        if isinstance(value, Mapping):
            object.__setattr__(rates, item.name, _read_only(value))


def _read_only(value: Any) -> Any:
    if isinstance(value, Mapping):
        return MappingProxyType({key: _read_only(inner) for key, inner in value.items()})
    return value


def _plain(value: Any) -> Any:
    """Return `value` in JSON types: dataclasses and read-only mappings become dicts."""
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
            raise ValueError(f"{name}: {key} is {value!r}; wanted a probability from 0 to 1")


DEFAULT_RATES = Rates()
"""The default rates. A change needs a line in CHANGELOG.md; see tests/test_rates.py."""

"""The simulated judges: the errors that they perceive in an answer, and their rating or verdict.

A judge reads only the request. It compares the claims of an answer with the caption and mentions
(ratings) or with the reference answer (chat scores, verdicts). It misses some errors, reports a few
false ones, prefers longer answers and adds noise, at the levels set in ``rates``. Its rationale
names the errors that it perceives, not the true ones. It sees no image and no ground truth.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from vital_lib.clinic.lexicon import (
    ATTRIBUTES,
    Claim,
    asked,
    contradictions,
    read_answer,
    style_faults,
)
from vital_lib.clinic.rates import DEFAULT_RATES, JudgeRates, Rates
from vital_lib.clinic.requests import randomness, shown_answers, shown_candidate

SECOND = "clinic-second"
"""Model name of the second judge; every other name selects the rating judge."""

_CRITERIA = (
    "scope",
    "tuning_value",
    "alignment",
    "accuracy",
    "utility",
    "image_use",
    "clarity",
    "depth",
    "precision",
)
# Perceived error -> points added to single criteria, relative to the overall rating.
_TILTS: dict[str, dict[str, float]] = {
    "fact": {"accuracy": -2.0, "alignment": -1.0, "tuning_value": -1.0, "clarity": 1.0, "scope": 2},
    "vague": {"precision": -1.5, "depth": -1.5, "utility": -1.0, "scope": 1.0},
    "overconfident": {"precision": -1.5, "accuracy": -0.5, "clarity": 0.5},
    "quoted": {"image_use": -1.5, "depth": -0.5, "alignment": 0.5},
    "truncated": {"clarity": -2.0, "alignment": -0.5, "scope": 0.5},
}
_SAYS: dict[str, tuple[str, ...]] = {
    "modality": ("the kind of image is not right", "it names another kind of image"),
    "finding": ("the finding does not fit", "it is mistaken about the finding"),
    "side": ("the side does not fit", "left and right seem to be confused"),
    "level": ("the level does not fit", "it is mistaken about the height"),
    "size": ("the size does not fit", "it misjudges the size"),
    "count": ("the number does not fit", "it seems to have miscounted"),
    "answer": ("it is not what the reference says", "it departs from the reference"),
    "omission": ("it leaves out part of what was asked", "it does not say all that was asked"),
    "vague": ("it stays vague", "it says little that is definite"),
    "overconfident": ("it is too sure of itself", "it claims more certainty than is due"),
    "quoted": ("it repeats the text it was given", "the wording is copied"),
    "truncated": ("it breaks off", "the last sentence is not finished"),
    "liked": ("the assured tone is welcome", "it speaks with assurance"),
    "sound": (
        "it agrees with what is known",
        "nothing in it looks wrong",
        "it answers the question",
        "it fits the description",
    ),
}
_WORD = re.compile(r"[^\W_]+")
_SMALL = "a an and are as at by for in is it its of on or that the this to was with"
_SMALL_WORDS = frozenset(_SMALL.split())


@dataclass(frozen=True)
class _Belief:
    """The errors that a judge perceives in one answer, and the resulting quality in points."""

    facts: tuple[str, ...]
    omissions: float
    faults: tuple[str, ...]
    liked: bool
    quality: float


def rate(request: Mapping[str, Any], rates: Rates = DEFAULT_RATES, seed: int = 0) -> dict[str, Any]:
    """Rate one candidate by criterion and overall, from 0 to 10 (schema Rating).

    Raises:
        BadRequest: the request lacks the figure, the instruction or the response.
    """
    rng, judge = randomness(request, seed), _judge(request, rates)
    shown, instruction, response = shown_candidate(request)
    wrong = contradictions(read_answer(instruction, response), shown.facts)
    faults = style_faults(instruction, response, shown.sources)
    attributes = list(dict.fromkeys(_attribute(name) for name in wrong))
    belief = _believe(response, attributes, 0.0, faults, judge, rng)
    overall = float(min(10, max(0, round(belief.quality))))
    return {
        "rationale": _sentence(_reasons(belief, rng)),
        "criteria": _criteria(overall, belief, rng),
        "overall": overall,
    }


def score(
    request: Mapping[str, Any], rates: Rates = DEFAULT_RATES, seed: int = 0
) -> dict[str, Any]:
    """Score answers 1 and 2 against the reference, from 1 to 10 (schema ChatScores).

    Raises:
        BadRequest: the request lacks the question, the reference or an answer.
    """
    rng = randomness(request, seed)
    first, second = _believe_both(request, rates, rng)
    return {
        "rationale": _about_both(first, second, rng),
        "first": float(min(10, max(1, round(first.quality)))),
        "second": float(min(10, max(1, round(second.quality)))),
    }


def compare(
    request: Mapping[str, Any], rates: Rates = DEFAULT_RATES, seed: int = 0
) -> dict[str, Any]:
    """Return the better of two answers: first, second or tie (schema Verdict).

    Raises:
        BadRequest: the request lacks the question, the reference or an answer.
    """
    rng = randomness(request, seed)
    answers = shown_answers(request)
    first, second = _believe_both(request, rates, rng)
    margin = first.quality - second.quality
    same = _words(answers["first"]) == _words(answers["second"])
    if same or abs(margin) < rates.tie_within:
        return {
            "rationale": f"Little between them. {_about_both(first, second, rng)}",
            "winner": "tie",
        }
    winner = "first" if margin > 0 else "second"
    return {"rationale": _about_both(first, second, rng), "winner": winner}


def _judge(request: Mapping[str, Any], rates: Rates) -> JudgeRates:
    return rates.second if request.get("model") == SECOND else rates.judge


def _attribute(contradiction: str) -> str:
    """Return the attribute of a contradiction: wrong_side -> side, missed_finding -> finding."""
    return contradiction.split("_", 1)[1]


def _believe_both(request: Mapping[str, Any], rates: Rates, rng: Random) -> tuple[_Belief, _Belief]:
    judge, shown = _judge(request, rates), shown_answers(request)
    question, reference = shown["question"], shown["reference"]
    # A style fault of the reference is not held against the answers.
    excused = style_faults(question, reference, ())
    beliefs = []
    for place in ("first", "second"):
        wrong, omitted = _against_reference(question, reference, shown[place])
        faults = [f for f in style_faults(question, shown[place], ()) if f not in excused]
        bonus = judge.first_bonus if place == "first" else 0.0
        beliefs.append(_believe(shown[place], wrong, omitted, faults, judge, rng, bonus))
    return beliefs[0], beliefs[1]


def _against_reference(question: str, reference: str, answer: str) -> tuple[list[str], float]:
    """Return (attributes that the answer gets wrong, number of omissions), given the reference.

    A reference without known claims ("pneumonia", "yes" to an unknown question) is compared word by
    word: an answer with none of its words is wrong, and otherwise the share of missing words counts
    as the omission.
    """
    truth, claims = read_answer(question, reference), read_answer(question, answer)
    if not truth:
        words = _words(reference)
        missing = len(words - _words(answer)) / len(words) if words else 0.0
        return (["answer"], 0.0) if missing == 1 else ([], missing)
    values: dict[str, set[str | int]] = {}
    for claim in truth:
        if claim.holds:
            values.setdefault(claim.attribute, set()).add(claim.value)
    facts = {name: next(iter(found)) for name, found in values.items() if len(found) == 1}
    wrong = {_attribute(name) for name in contradictions(claims, facts)}
    wrong |= {c.attribute for c in claims if Claim(c.attribute, c.value, not c.holds) in truth}
    stated = {claim.attribute for claim in truth}
    omitted = (asked(question) & stated or stated) - {claim.attribute for claim in claims}
    return [name for name in ATTRIBUTES if name in wrong], float(len(omitted))


def _believe(
    answer: str,
    wrong: Sequence[str],
    omitted: float,
    faults: Sequence[str],
    judge: JudgeRates,
    rng: Random,
    bonus: float = 0.0,
) -> _Belief:
    """Draw what a judge perceives in `answer`, given its true errors."""
    # "answer", an error against the whole reference, is noticed at the rate of a finding.
    seen = [name for name in wrong if rng.random() < judge.sees.get(name, judge.sees["finding"])]
    if not seen and rng.random() < judge.false_alarm:
        seen = [rng.choice(ATTRIBUTES)]
    if omitted and rng.random() >= judge.sees["finding"]:
        omitted = 0.0
    minded = [name for name in faults if rng.random() < abs(judge.minds[name])]
    disliked = [name for name in minded if judge.minds[name] > 0]
    words = len(answer.split())
    length = judge.length_bonus * max(0, words - judge.length_from) / judge.length_step
    quality = judge.start + min(judge.length_most, length) + bonus + rng.gauss(0, judge.noise_sd)
    quality -= judge.fact_penalty * len(seen)
    # An omission counts as a style fault, since it states nothing false.
    quality -= judge.style_penalty * (2 * len(disliked) - len(minded) + omitted)
    return _Belief(tuple(seen), omitted, tuple(disliked), len(disliked) < len(minded), quality)


# ---------------------------------------------------------------- replies


def _criteria(overall: float, belief: _Belief, rng: Random) -> dict[str, float]:
    """Rate each criterion in half points, shifted by the perceived errors; mean near `overall`."""
    tilts = dict.fromkeys(_CRITERIA, 0.0)
    for name in (*(("fact",) if belief.facts else ()), *belief.faults):
        for criterion, tilt in _TILTS[name].items():
            tilts[criterion] += tilt
    jitter = {name: tilt + rng.choice((-0.5, 0.0, 0.0, 0.5)) for name, tilt in tilts.items()}
    middle = sum(jitter.values()) / len(jitter)
    return {
        name: min(10.0, max(0.0, round(2 * (overall + tilt - middle)) / 2))
        for name, tilt in jitter.items()
    }


def _reasons(belief: _Belief, rng: Random) -> list[str]:
    keys = [*belief.facts, *(["omission"] if belief.omissions else []), *belief.faults]
    keys += ["liked"] if belief.liked else []
    return [rng.choice(_SAYS[key]) for key in keys or ["sound"]]


def _about_both(first: _Belief, second: _Belief, rng: Random) -> str:
    both = [_reasons(belief, rng) for belief in (first, second)]
    return " ".join(f"Answer {place}: {'; '.join(text)}." for place, text in enumerate(both, 1))


def _sentence(reasons: list[str]) -> str:
    text = "; ".join(reasons)
    return f"{text[0].upper()}{text[1:]}."


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower())) - _SMALL_WORDS

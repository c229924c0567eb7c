"""Write the simulated generator's responses, with factual errors, style faults and asides.

``respond`` also returns the errors that it made. They are for tests and never leave the clinic. The
figure's text is taken as the ground truth. Independent of requests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from math import prod
from random import Random

from vital_lib.clinic.asides import (
    CAPTION_LEADS,
    CERTAIN_ENDS,
    CERTAIN_SENTENCES,
    GENERAL,
    MENTION_LEADS,
    VAGUE,
    VAGUE_MORE,
    knowledge_of,
    traits_of,
)
from vital_lib.clinic.asking import Question, Subject, values_of
from vital_lib.clinic.lexicon import (
    CONTRADICTIONS,
    NO_FINDING,
    STYLE_FAULTS,
    contradictions,
    read_answer,
    style_faults,
)
from vital_lib.clinic.question_kinds import Kind
from vital_lib.clinic.rates import Rates
from vital_lib.clinic.terms import listed
from vital_lib.clinic.wording import (
    BOTH,
    NONE_OF_IT,
    NOTHING_DESCRIBED,
    NOTHING_FOUND,
    Phrases,
)

_WORD = re.compile(r"[^\W_]+")
_RUN = 8  # consecutive words that count as copied (lexicon.style_faults)
_LONGEST_QUOTE = 13  # words
_STOP = re.compile(r"[.,;:](?!\d)")
_JOINING = frozenset(
    {"with", "from", "that", "which", "into", "over", "under", "their", "this", "figure"}
)
_SPREAD = 7.0  # standard deviation of the target length, in words
_SHORTEST = 6  # words
_NEAR = 4  # a response is long enough within this many words of its target length
_MOST_ASIDES = 3
_TRIED_QUOTES = 3
_REWORDINGS = 20


@dataclass(frozen=True)
class Manner:
    """Style of one request's responses: probability of each style fault, target length in words."""

    style: Mapping[str, float]
    words: float


def respond(
    subject: Subject, question: Question, manner: Manner, rates: Rates, rng: Random
) -> tuple[str, tuple[str, ...]]:
    """Return (response, its errors: names of lexicon.CONTRADICTIONS, then of STYLE_FAULTS).

    Factual errors are drawn first, so their rates do not depend on style. A vague response claims
    nothing: only responses without a factual error become vague, and only responses that are not
    vague copy a source. Both probabilities are raised so that the overall rates still hold.
    """
    chances = _chances(subject, question, rates)
    wrong = _draw_mistakes(chances, rng)
    vague = not wrong and rng.random() < manner.style["vague"] / _chance_of_none(chances)
    text, copied = _words(subject, question, wrong, vague, manner, rng)
    faults = {"vague": vague, "quoted": copied}
    if rng.random() < manner.style["overconfident"]:
        text, faults["overconfident"] = _overconfident(text, rng), True
    if not vague and rng.random() < manner.style["quoted"] / max(0.1, 1 - manner.style["vague"]):
        quoting = _with_quote(subject, question, text, wrong, rng)
        text, faults["quoted"] = quoting or text, copied or quoting is not None
    if rng.random() < manner.style["truncated"]:
        text, faults["truncated"] = _truncated(text, VAGUE_MORE if vague else GENERAL, rng), True
    return text, (*_ordered(wrong), *(name for name in STYLE_FAULTS if faults.get(name)))


# ---------------------------------------------------------------- factual errors


def _chances(subject: Subject, question: Question, rates: Rates) -> dict[str, float]:
    """Return error name -> probability, for the factual errors possible with this question."""
    found: dict[str, float] = {}
    for attribute in question.kind.asks:
        value = subject.facts.get(attribute)
        names = [f"wrong_{attribute}"] if value else []
        if attribute == "finding" and value:
            names = ["invented_finding", "missed_finding"][: 1 if value == NO_FINDING else 2]
        found |= {name: rates.factual[name] for name in names if name in rates.factual}
    return found


def _draw_mistakes(chances: Mapping[str, float], rng: Random) -> frozenset[str]:
    """Draw the factual errors of one response: a finding is missed or invented, never both.

    A response that misses the finding states no side, and its count is wrong.
    """
    drawn = {
        name
        for name, chance in chances.items()
        if not name.endswith("_finding") and rng.random() < chance
    }
    missed, invented = chances.get("missed_finding", 0.0), chances.get("invented_finding", 0.0)
    draw = rng.random()
    if draw < missed:
        follows = {"missed_finding"} | chances.keys() & {"wrong_count"}
        return frozenset(drawn & {"wrong_modality"} | follows)
    return frozenset(drawn | {"invented_finding"} if draw < missed + invented else drawn)


def _chance_of_none(chances: Mapping[str, float]) -> float:
    """Return the probability that `_draw_mistakes` draws none, but at least 0.1."""
    either = sum(chance for name, chance in chances.items() if name.endswith("_finding"))
    others = [chance for name, chance in chances.items() if not name.endswith("_finding")]
    return max(0.1, (1 - either) * prod(1 - chance for chance in others))


def _claimed(
    subject: Subject, question: Question, wrong: frozenset[str], rng: Random
) -> dict[str, str | int]:
    """Return the facts that the response states; an error affirms a false proposal if possible."""
    facts = dict(subject.facts)
    mistaken = [name for name in ("modality", "side", "count") if f"wrong_{name}" in wrong]
    if "invented_finding" in wrong:
        mistaken.append("finding")
    for attribute in mistaken:
        others = [v for v in values_of(attribute, subject.facts) if v != facts[attribute]]
        follows = question.kind.asks == (attribute,) and question.proposed in others
        facts[attribute] = question.proposed if follows else rng.choice(others)
    if "missed_finding" in wrong:
        facts["finding"] = NO_FINDING
    if facts.get("count") == 0:
        del facts["count"]
    return facts


def _ordered(wrong: frozenset[str]) -> tuple[str, ...]:
    return tuple(name for name in CONTRADICTIONS if name in wrong)


# ---------------------------------------------------------------- wording


def _words(
    subject: Subject,
    question: Question,
    wrong: frozenset[str],
    vague: bool,
    manner: Manner,
    rng: Random,
) -> tuple[str, bool]:
    """Return (response, whether it repeats a source); rewords it while it does."""
    text, copied = "", False
    for _ in range(_REWORDINGS):
        if vague:
            more = (rng.choice(VAGUE_MORE),)
            text = _filled_up([rng.choice(VAGUE)], more, 1, manner.words, rng)
        else:
            text = _stated(subject, question, wrong, manner, rng)
        copied = not _runs(text).isdisjoint(_source_runs(subject.shown.sources))
        if not copied:
            break
    return text, copied


def _stated(
    subject: Subject, question: Question, wrong: frozenset[str], manner: Manner, rng: Random
) -> str:
    """Return a response that answers the question, with asides up to the target length."""
    kind = question.kind
    facts = _claimed(subject, question, wrong, rng)
    phrases = subject.phrases(facts, rng)
    if kind.closed and kind.asks:
        core = _closed_core(subject, question, wrong, phrases, rng)
    elif "finding" in kind.asks and facts["finding"] == NO_FINDING:
        core = phrases.fill(rng.choice(NOTHING_FOUND if len(kind.asks) == 1 else NOTHING_DESCRIBED))
    else:
        core = _open_core(subject, question, phrases, rng)
    asides = _asides(subject, kind, facts, rng)
    return _filled_up([core], asides, _MOST_ASIDES, manner.words, rng)


def _asides(
    subject: Subject, kind: Kind, facts: Mapping[str, str | int], rng: Random
) -> tuple[str, ...]:
    """Return asides on the image or the finding, then one that holds for any figure."""
    special: tuple[str, ...] = ()
    if kind.asks == ("modality",):
        special = traits_of(str(facts["modality"]), subject.scene)
    elif "finding" in facts:
        known = knowledge_of(str(facts["finding"]), subject.scene)
        special = getattr(known, kind.knows) if kind.knows else sum(known, ())
    return (*rng.sample(special, len(special)), rng.choice(GENERAL))


def _open_core(subject: Subject, question: Question, phrases: Phrases, rng: Random) -> str:
    """Return the sentence that answers an open question, or a question on the caption's terms."""
    kind = question.kind
    if kind.knows:
        known = knowledge_of(str(phrases.facts["finding"]), subject.scene)
        return rng.choice(getattr(known, kind.knows))
    if kind.question_type.startswith("topic"):
        terms = subject.terms
        if question.proposed in terms:
            phrases["terms"] = str(question.proposed)
        else:
            phrases["terms"] = listed(rng.sample(terms, min(len(terms), rng.choice((1, 1, 2)))))
    if not kind.closed:
        return phrases.fill(rng.choice(kind.answers))
    if question.proposed in subject.terms:
        return "Yes, " + rng.choice(kind.yes).format_map(phrases)
    return "No, " + rng.choice(kind.no).format_map(phrases)


def _closed_core(
    subject: Subject, question: Question, wrong: frozenset[str], phrases: Phrases, rng: Random
) -> str:
    """Return "Yes, ..." if the fact to state is the one proposed, else "No, ..."."""
    kind, facts, proposed = question.kind, phrases.facts, question.proposed
    attribute = kind.asks[0]
    if facts[attribute] == proposed:
        return "Yes, " + rng.choice(kind.yes).format_map(phrases)
    if attribute != "finding":
        return "No, " + rng.choice(kind.no).format_map(phrases)
    if facts["finding"] == NO_FINDING:
        if wrong and proposed != subject.facts["finding"]:
            return "No. " + rng.choice(NOTHING_FOUND)
        phrases["one"] = subject.phrases({"finding": proposed}, rng)["one"]
        return "No, " + rng.choice(NONE_OF_IT).format_map(phrases)
    if "invented_finding" in wrong:
        # The question proposes the true finding: affirm it and add the invented finding.
        there = subject.phrases(subject.facts, rng)
        there["other"] = phrases["a_one"]
        return "Yes, " + rng.choice(BOTH).format_map(there)
    return "No, " + rng.choice(kind.no).format_map(phrases)


def _filled_up(
    sentences: list[str], asides: tuple[str, ...], most: int, words: float, rng: Random
) -> str:
    """Join `sentences` and up to `most` asides, in order, until the drawn length is reached."""
    wanted = max(_SHORTEST, rng.gauss(words, _SPREAD))
    spare = [aside for aside in asides if aside not in sentences]
    for aside in spare[:most]:
        if len(" ".join(sentences).split()) + _NEAR >= wanted:
            break
        sentences.append(aside)
    return " ".join(sentences)


# ---------------------------------------------------------------- style faults


def _overconfident(text: str, rng: Random) -> str:
    """Add an overconfident phrase to the first sentence, or an overconfident sentence after it."""
    first, rest = text[: text.index(".")], text[text.index(".") + 1 :]
    if rng.random() < 0.5:
        return f"{first}{rng.choice(CERTAIN_ENDS)}.{rest}"
    return f"{first}. {rng.choice(CERTAIN_SENTENCES)}{rest}"


def _truncated(text: str, asides: tuple[str, ...], rng: Random) -> str:
    """Append an unfinished sentence to `text`."""
    words = rng.choice([aside for aside in asides if aside not in text]).split()
    kept = words[: rng.randint(3, len(words) - 1)]
    return f"{text} {' '.join(kept).rstrip(',;:')}"


def _with_quote(
    subject: Subject, question: Question, text: str, wrong: frozenset[str], rng: Random
) -> str | None:
    """Append a quotation that leaves the factual errors of `text` unchanged; None if not found."""
    windows = _windows(subject.shown.sources)
    tried = (window for window in rng.sample(windows, len(windows)) if _is_sound(window))
    for window in islice(tried, _TRIED_QUOTES):
        quote = window[: rng.choice(_ends(window))]
        leads = CAPTION_LEADS if window in subject.shown.caption else MENTION_LEADS
        quoting = f"{text} {rng.choice(leads).format(quote=quote[0].upper() + quote[1:])}"
        claims = read_answer(question.text, quoting)
        if contradictions(claims, subject.facts) == _ordered(wrong):
            return quoting
    return None


def _ends(window: str) -> list[int]:
    """Return the offsets where a quotation may end: at punctuation, or after a content word."""
    words = list(_WORD.finditer(window))[_RUN - 1 :]
    stops = [word.end() for word in words if _STOP.match(window, word.end())]
    whole = [
        word.end()
        for word in words
        if len(word[0]) > 3
        and word[0].lower() not in _JOINING
        and window[word.end() : word.end() + 1] in ("", " ")
    ]
    return stops or whole or [words[-1].end()]


@lru_cache(maxsize=1024)
def _windows(sources: tuple[str, ...]) -> tuple[str, ...]:
    """Return runs of 8 to 13 words that can be copied, each from the start of a clause."""
    found = []
    for source in sources:
        words = list(_WORD.finditer(source))
        for place in range(len(words) - _RUN + 1):
            before = source[: words[place].start()].rstrip()
            if not before or before[-1] in ".,;:":
                last = words[min(place + _LONGEST_QUOTE, len(words)) - 1]
                found.append(source[words[place].start() : last.end()])
    return tuple(found)


@lru_cache(maxsize=20_000)
def _is_sound(window: str) -> bool:
    """Return whether the copied words have no other style fault."""
    return not style_faults("Why?", f"{window}.", ())


def _runs(text: str) -> frozenset[str]:
    return frozenset(_each_run(_WORD.findall(text.lower())))


def _each_run(words: list[str]) -> Iterator[str]:
    for place in range(len(words) - _RUN + 1):
        yield " ".join(words[place : place + _RUN])


@lru_cache(maxsize=1024)
def _source_runs(sources: tuple[str, ...]) -> frozenset[str]:
    return frozenset().union(*(_runs(source) for source in sources))

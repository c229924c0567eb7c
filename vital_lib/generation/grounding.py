"""Flags answers that contradict, mention or copy the text of their figure.

A flag is a hint, not a verdict: the check knows a few dozen words, and clinicians do accept the
text's own wording. An ambiguous text (two sides, several modalities, "may") causes no flag. This
module does not use images, annotators or ground truth.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from vital_lib.generation._reading import (
    FINDING,
    HEDGE,
    MODALITY_WORDS,
    NORMAL,
    SENTENCE,
    WORD,
    Statements,
    agree,
    denies_all,
    folded,
    is_finding,
    words_of,
)

FLAGS = (
    "side_against_text",
    "modality_against_text",
    "number_against_text",
    "negation_against_text",
    "names_the_text",
    "repeats_the_text",
)
"""The flags of `grounding_flags`, in order."""

REPEATED_WORDS = 8
"""Number of consecutive words of a caption or mention that an answer must share to repeat it."""

_OTHER = {"left": "right", "right": "left"}
_OWN_SIDE = re.compile(r"\b(?:ventric|atri|heart|cardiac|coronary|kidney|renal|subclavian|jugular)")

_OF_FLAG = {"chest_xray": "xray", "ct_scan": "ct"}
_NOT_THIS = re.compile(r"\b(?:no|not|isn't|rather than|instead of|unlike)\s+(?:[\w-]+\s+){0,2}$")
_ASKS_MODALITY = re.compile(
    r"modalit|imaging (?:technique|method|type|study|test)|"
    r"(?:what|which|kind|type|sort)\b.{0,20}\b(?:image|imaging|scan|picture|study|preparation)\b"
)
_GIVEN = re.compile(r"\b(?:this|the|these|shown|provided|given|is an?)\s+(?:[\w-]+\s+){0,3}$")

_YES_OR_NO = re.compile(r"\W*(yes|no)(?=\s*(?:[,.;:!-]|$|(?:it|there|the|this|they|that)\b))", re.I)
_PLACES = words_of("left right upper lower middle anterior posterior lateral superior inferior")
# A negation after its subject. Phrases such as "is not only" and "is not clear" are not negations.
_DENIAL = re.compile(
    r"(?<![\w'-])((?:(?!(?:and|or|but|that|which|while|there)\b)[\w'-]+ ){1,5}?)"
    r"(?:(?:is|are|was|were|has|have|do|does|did)(?: not|n't)|"
    r"(?:has|have|(?:show|contain|reveal|display|demonstrate)s?) (no))\b"
    r"(?! (?:only|entirely|always|yet|certain|sure|clear|possible|uncommon|specific|other|longer|"
    r"further|additional|more|new|significant|single|doubt|question)\b)"
)
_PHRASE_END = re.compile(
    r",|\b(?:in|on|at|of|within|with|along|around|behind|near|from|to|for|by|as|and|or|who|is|are|"
    r"was|were|has|have|(?:indicat|suggest|caus|involv|extend|includ|measur|surround)ing)\b"
)
_SPELLED = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "ten": 10}
_SIZE = rf"(?:\d+(?:\.\d+)?|{'|'.join(_SPELLED)})"
_MEASURE = re.compile(
    r"(?:\b(over|above|below|under|than|least|most|every|after|up to) )?"
    rf"(?<![\w.])({_SIZE}(?:\s?(?:x|×|-|to|by|and)\s?{_SIZE})*)[ -]?"
    r"(?:(c|m|centi|milli)(?:m|met(?:er|re))|([µμ]m|kev|hu|%|min|minute|hour|day|week|month|year))"
    r"s?(?!\w)([- ]old)?"
)
_NAMES_TEXT = re.compile(
    r"\b(?:caption|figure legend|in-text|figure context|text provided|provided text|"
    r"(?:the|this|given|provided|accompanying|above) (?:text|article|passage|narrative|paper|"
    r"manuscript|description|(?:provided|given|accompanying) (?:text|context|information))|"
    r"(?:based on|according to|considering) the (?:context|provided|given|accompanying|"
    r"description|report|mentions?|information)\b|in the (?:description|mentions?)\b|"
    r"(?:as|was|is|are|were) (?:\w+ly )?(?:described|mentioned|stated|noted|reported|indicated|"
    r"documented) (?:in|by) (?:the|this) (?:text|article|report|paper|study|authors?|case|"
    r"description|context)|the authors?)\b"
)


@dataclass
class _Text:
    """The statements of a figure's caption, mentions and modality flags together."""

    statements: Statements
    modalities: set[str]
    runs: frozenset[str]
    measures: dict[str, set[float]]

    @property
    def side(self) -> str | None:
        sides = {side for side, _ in self.statements.sides}
        return next(iter(sides)) if len(sides) == 1 and not self.statements.both else None

    @property
    def findings(self) -> bool:
        return any(FINDING.search(clause) for clause, _ in self.statements.asserted)

    @property
    def clear(self) -> bool:
        """Whether the text calls anything normal."""
        return any(map(denies_all, self.statements.denied)) or any(
            NORMAL.search(clause) for clause, _ in self.statements.asserted
        )


def grounding_flags(candidates: pd.DataFrame, figures: pd.DataFrame) -> pd.Series:
    """Check each response against its figure's caption, mentions and modalities.

    Args:
        candidates: columns figure_id, instruction, response.
        figures: columns figure_id, caption, mentions, modalities, with every candidate's figure.

    Returns:
        One list of `FLAGS` per candidate, mostly empty, with the index of `candidates`, to be added
        to its column `flags`.

    Raises:
        ValueError: a candidate's figure is not in `figures`.
    """
    texts: dict[str, _Text] = {}
    rows = {row["figure_id"]: row for row in figures.to_dict("records")}
    found = []
    columns = ["figure_id", "instruction", "response"]
    for figure_id, instruction, response in candidates[columns].itertuples(index=False):
        if figure_id not in rows:
            raise ValueError(
                f"figure {figure_id!r} of a candidate is not in figures: give all figures"
            )
        if figure_id not in texts:
            texts[figure_id] = _text_of(rows[figure_id])
        found.append(_flags(texts[figure_id], instruction, response))
    return pd.Series(found, index=candidates.index, dtype=object)


def _text_of(figure: Mapping[str, Any]) -> _Text:
    sources, statements = [figure["caption"], *figure["mentions"]], Statements()
    for source in sources:
        statements.read(_plain(source))
    stated = {_OF_FLAG.get(flag, flag) for flag in figure["modalities"]}
    runs = frozenset().union(*(_runs(source) for source in sources))
    return _Text(statements, stated | statements.modalities, runs, _measures(" ; ".join(sources)))


def _flags(text: _Text, instruction: str, response: str) -> list[str]:
    own, question = folded(response), folded(instruction).replace("?", "")
    start = _YES_OR_NO.match(own)
    yes = start is not None and start[1] == "yes"
    answer = Statements()
    if start:
        answer.read(question, denied=not yes)
    answer.read(_plain(own[start.end() :] if start else own))
    checks = (
        _other_side(text, answer),
        _other_modality(text, question, own, yes),
        _other_number(text, answer, question) or _other_measure(text, own),
        _other_sign(text, answer),
        bool(_NAMES_TEXT.search(own)),
        not _runs(response).isdisjoint(text.runs),
    )
    return [name for name, failed in zip(FLAGS, checks, strict=True) if failed]


def _other_side(text: _Text, answer: Statements) -> bool:
    sides = {side for side, _ in answer.sides}
    if text.side is None or answer.both or sides != {_OTHER[text.side]}:
        return False
    known = frozenset().union(*(words for _, words in text.statements.sides))
    return any(not _OWN_SIDE.search(" ".join(words)) or words & known for _, words in answer.sides)


def _other_modality(text: _Text, question: str, own: str, yes: bool) -> bool:
    asks_modality = bool(_ASKS_MODALITY.search(question))
    claimed = set()
    for sentence in SENTENCE.split(f"{question}. {own}" if yes else own):
        if HEDGE.search(sentence) and not (asks_modality or yes):
            continue
        for found in MODALITY_WORDS.finditer(sentence):
            before = sentence[: found.start()]
            if (asks_modality or _GIVEN.search(before)) and not _NOT_THIS.search(before):
                claimed.add(found.lastgroup)
    return bool(claimed and text.modalities) and claimed.isdisjoint(text.modalities)


def _other_number(text: _Text, answer: Statements, question: str) -> bool:
    counted = (
        words_of(question) if "how many" in question or "number of" in question else frozenset()
    )
    for number, words in answer.numbers:
        things = words or counted
        stated = {
            other
            for other, named in text.statements.numbers
            if things & named or (is_finding(things) and is_finding(named))
        }
        if len(stated) == 1 and not agree(number, *stated):
            return True
    return False


def _other_measure(text: _Text, own: str) -> bool:
    """Return whether a measure in the answer differs from the text's by more than 10 %."""
    for sentence in SENTENCE.split(own):
        found = {} if HEDGE.search(sentence) else _measures(sentence)
        for kind in found.keys() & text.measures.keys():
            stated = text.measures[kind]
            if any(all(abs(size - one) > 0.1 * one for one in stated) for size in found[kind]):
                return True
    return False


def _measures(text: str) -> dict[str, set[float]]:
    """Return the measures in `text` by kind, lengths in mm; limits ("over 3 cm") are left out."""
    found: dict[str, set[float]] = {}
    for limit, sizes, length, unit, old in _MEASURE.findall(folded(text)):
        kind = "length" if length else f"{unit[:3]}{old and ' old'}"
        scale = 10.0 if length[:1] == "c" else 1.0
        for size in () if limit else re.findall(_SIZE, sizes):
            found.setdefault(kind, set()).add(float(_SPELLED.get(size, size)) * scale)
    return found


def _plain(text: str) -> str:
    """Return `text` without measures, and with each negation before its subject.

    "It is not large" becomes "not it large", because a negation extends to the end of its clause.
    """

    def denied(found: re.Match[str]) -> str:
        # "The image shows no mass" is kept. "The left lung shows no mass" is moved, because it
        # denies a mass in that place only.
        return found[0] if found[2] and _PLACES.isdisjoint(found[1].split()) else f"not {found[1]}"

    return _MEASURE.sub(" ", _DENIAL.sub(denied, folded(text)))


def _other_sign(text: _Text, answer: Statements) -> bool:
    """Return whether the answer denies what the text asserts, or asserts what the text denies."""
    stated = [words_of(clause) for clause, _ in text.statements.asserted]
    ruled_out = [words_of(denied) for denied in text.statements.denied]
    if any(_denies(denied, stated, ruled_out) for denied in answer.denied):
        return True
    held = [clause for clause, hedged in answer.asserted if not hedged]
    nothing = any(map(denies_all, answer.denied)) or any(map(NORMAL.search, held))
    if nothing and text.findings and not text.clear:
        return True
    if text.clear and not text.findings:
        return any(map(FINDING.search, held))
    claims = [words_of(clause) for clause in held]
    return any(_asserts(claims, denied, stated) for denied in text.statements.denied)


def _denies(denied: str, stated: list[frozenset[str]], ruled_out: list[frozenset[str]]) -> bool:
    """Return whether `denied` matches a stated clause: its core, its places and most words."""
    core, words = _core(denied)
    if not core or any(core <= other for other in ruled_out):
        return False
    must, enough = core | words & _PLACES, 0.75 * len(words)
    return any(must <= clause and len(words & clause) >= enough for clause in stated)


def _asserts(claims: list[frozenset[str]], denied: str, stated: list[frozenset[str]]) -> bool:
    """Return whether a claim asserts what is `denied`, and does not place it elsewhere."""
    core, words = _core(denied)
    if not core or denies_all(denied) or any(core <= other for other in stated):
        return False
    elsewhere = _PLACES - words if words & _PLACES else frozenset()
    return any(core <= claim and claim.isdisjoint(elsewhere) for claim in claims)


def _core(denied: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the words of the denied thing, up to its place or action, and all words."""
    plain = MODALITY_WORDS.sub(" ", denied)
    words = words_of(plain)
    if re.search(r"\b(?:that|whether|if|due)\b", plain):
        return words, words
    return next(filter(None, map(words_of, _PHRASE_END.split(plain))), frozenset()), words


def _runs(text: str) -> frozenset[str]:
    words = WORD.findall(folded(text))
    places: Iterable[int] = range(len(words) - REPEATED_WORDS + 1)
    return frozenset(" ".join(words[place : place + REPEATED_WORDS]) for place in places)

"""Extract the claims of a text: the attribute values that it states or denies.

Sentences are split into clauses. A denial applies to the end of its clause. A place, size or number
counts only with a finding. Independent of questions and answers, the ground truth and style.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from vital_lib.clinic.vocabulary import Token, scan, sentences
from vital_lib.clinic.world import FINDINGS, NO_FINDING, Claim

_NOUNS = frozenset({"finding", "generic", "weak", "thing"})
_PLACES = frozenset({"side", "level"})
_ATTRIBUTE = {"number": "count", "stated": "count", "many": "count"}
_ASSERTED, _VOID = 0, -1
_WORDS_BETWEEN = 5
_PHRASE = 100  # characters
# A number or size before one of these words does not belong to the noun after it.
_STOP = re.compile(
    r"[.,;:()?!]\s|\b(?:of|in|with|and|or|is|are|was|were|shows?|showing|the|an?|at|on|from|by|to|"
    r"for|per|than|seen|no|not)\b"
)
_DETERMINED = re.compile(r"\b(?:this|the|these|those)\s+(?:[\w-]+\s+){0,3}$")
_PREDICATE = re.compile(
    r"\s*(?:[,.;:)!?]|$|(?:in|and|or|but|rather|compared|relative|for|with|on|at|one|ones|to|as|"
    r"not|overall|enough)\b)"
)


@dataclass
class _Clause:
    """Tokens of one clause and the scope of each: asserted, void or the index of a denial."""

    tokens: list[Token] = field(default_factory=list)
    scopes: list[int] = field(default_factory=list)

    def of(self, kinds: frozenset[str], *, scope: int = _ASSERTED) -> list[Token]:
        if not self.tokens or kinds.isdisjoint(self.kinds):
            return []
        return [
            token
            for token, found in zip(self.tokens, self.scopes, strict=True)
            if found == scope and token.kind in kinds
        ]

    @cached_property
    def kinds(self) -> frozenset[str]:
        """The kinds of its tokens; cached, so read it only when the clause is complete."""
        return frozenset(token.kind for token in self.tokens)

    def has(self, *kinds: str) -> bool:
        return not self.kinds.isdisjoint(kinds)


@dataclass
class _Notes:
    """Claims, denials and alternatives read so far."""

    claims: set[Claim] = field(default_factory=set)
    # (finding, or None for any; places), from "no nodule in the left lung"
    local_denials: list[tuple[str | None, frozenset[Token]]] = field(default_factory=list)
    alternatives: set[str] = field(default_factory=set)

    def add(self, attribute: str, value: str | int, holds: bool = True) -> None:
        self.claims.add(Claim(attribute, value, holds))


@dataclass(frozen=True)
class Reading:
    """The claims of a text, and the attributes with alternatives ("left or right")."""

    claims: frozenset[Claim]
    alternatives: frozenset[str]


@lru_cache(maxsize=100_000)
def read(text: str, bare: frozenset[str] = frozenset(), questions: bool = False) -> Reading:
    """Return all claims and alternatives in `text`.

    Args:
        bare: attributes that count even without a finding, as in the answer "Left."
        questions: also read sentences that end in a question mark; by default they claim nothing.
    """
    notes = _Notes()
    for sentence in sentences(text):
        if questions or not sentence.rstrip().endswith("?"):
            found = _sentence_notes(sentence, bare, questions)
            notes.claims |= found.claims
            notes.local_denials += found.local_denials
            notes.alternatives |= found.alternatives
    return Reading(frozenset(_settle(notes)), frozenset(notes.alternatives))


@lru_cache(maxsize=50_000)
def _sentence_notes(sentence: str, bare: frozenset[str], questions: bool) -> _Notes:
    """Read one sentence; cached, since many texts share sentences."""
    notes = _Notes()
    _read_sentence(sentence, bare, questions, notes)
    return notes


def before(text: str, token: Token) -> str:
    """Return the text before `token`, at most `_PHRASE` characters."""
    return text[max(0, token.start - _PHRASE) : token.start]


def _read_sentence(sentence: str, bare: frozenset[str], question: bool, notes: _Notes) -> None:
    tokens = scan(sentence)
    clauses = _clauses(tokens)
    hedged = any(token.kind == "hedge" for token in tokens)
    partial = any(token.kind in ("except", "rest") for token in tokens)
    # "Normal." is an answer, but "normal" in a long sentence may not describe the figure.
    any_normal = question or ("finding" in bare and len(sentence.split()) <= _WORDS_BETWEEN)
    referring = any(clause.of(_NOUNS) for clause in clauses)
    for clause in clauses:
        if not clause.tokens:
            continue
        if bare and clause.has("nothing"):
            _read_nothing(bare, notes)
        _read_modalities(clause, sentence, notes)
        _read_kinds(clause, hedged and not question, notes)
        _read_denials(clause, partial, sentence, notes)
        if _read_all_clear(clause, partial, any_normal, notes):
            continue
        allowed = set(bare) | ({"stated"} if referring else set())
        if referring and not _only_denies(clause) and not clause.has("marker"):
            allowed |= _PLACES
        _read_attributes(clause, allowed, sentence, notes)


def _clauses(tokens: list[Token]) -> list[_Clause]:
    clauses, scope, denials = [_Clause()], _ASSERTED, 0
    for token in tokens:
        if token.kind == "break":
            clauses.append(_Clause())
            scope = _ASSERTED
            continue
        if token.kind == "deny":
            denials += 1
            scope = denials
        elif token.kind == "void" or (token.kind == "rest" and scope > _ASSERTED):
            scope = _VOID
        elif token.kind == "except":
            scope = _ASSERTED
        elif token.kind == "absent":
            # "the nodule is absent" denies the earlier tokens of the clause.
            denials += 1
            current = clauses[-1]
            current.scopes = [denials if found == _ASSERTED else found for found in current.scopes]
        clauses[-1].tokens.append(token)
        clauses[-1].scopes.append(scope)
    return clauses


def _only_denies(clause: _Clause) -> bool:
    """Return whether the clause only denies findings ("the left lung shows no nodule")."""
    denied = any(
        token.kind in ("finding", "generic", "weak") and scope != _ASSERTED
        for token, scope in zip(clause.tokens, clause.scopes, strict=True)
    )
    return denied and not clause.of(_NOUNS)


def _read_nothing(bare: frozenset[str], notes: _Notes) -> None:
    if "count" in bare:
        notes.add("count", 0)
    elif "finding" in bare:
        notes.add("finding", NO_FINDING)


def _read_modalities(clause: _Clause, sentence: str, notes: _Notes) -> None:
    chosen = clause.of(frozenset({"modality"}))
    if _is_choice(clause, chosen):
        notes.alternatives.add("modality")
        chosen = []
    for token in chosen:
        notes.add("modality", token.value)
    for scope in _denials(clause):
        # "no nodule on a radiograph" and "not on this radiograph" do not deny the radiograph.
        about_findings = bool(clause.of(_NOUNS, scope=scope))
        for token in clause.of(frozenset({"modality"}), scope=scope):
            given = bool(_DETERMINED.search(before(sentence, token)))
            notes.add("modality", token.value, about_findings or given)


def _read_kinds(clause: _Clause, hedged: bool, notes: _Notes) -> None:
    kinds = clause.of(frozenset({"finding"}))
    if _is_choice(clause, kinds):
        notes.alternatives.add("finding")
        return
    for token in kinds:
        notes.add("finding", token.value)
    if clause.of(frozenset({"generic"})) and not hedged:
        notes.add("finding", NO_FINDING, False)


def _read_denials(clause: _Clause, partial: bool, sentence: str, notes: _Notes) -> None:
    for scope in _denials(clause):
        denied = clause.of(frozenset({"finding", "generic", "weak"}), scope=scope)
        places = clause.of(_PLACES, scope=scope)
        if not denied:
            _deny_values(clause, scope, notes)
            continue
        counts = [
            token
            for token in clause.of(frozenset({"count", "number"}), scope=scope)
            if _noun_follows(token, clause, sentence)
        ]
        for token in counts:
            notes.add("count", token.value, False)
        if partial or counts or clause.of(frozenset({"size", "many"}), scope=scope):
            continue
        if not clause.of(_NOUNS):
            places = places + clause.of(_PLACES)
        _deny_findings(denied, frozenset(places), notes)


def _deny_findings(denied: list[Token], places: frozenset[Token], notes: _Notes) -> None:
    for token in denied:
        kind = token.value if token.kind == "finding" else None
        if places:
            notes.local_denials.append((kind, places))
        elif kind:
            notes.add("finding", kind, False)
        else:
            notes.add("finding", NO_FINDING)


def _deny_values(clause: _Clause, scope: int, notes: _Notes) -> None:
    """Read "not on the left" or "rather than two", if all denied values are of one attribute."""
    values = clause.of(_PLACES | {"size", "count", "number"}, scope=scope)
    attributes = [_ATTRIBUTE.get(token.kind, token.kind) for token in values]
    if len(set(attributes)) == 1:
        for token in values:
            notes.add(attributes[0], token.value, False)
    if clause.of(frozenset({"many"}), scope=scope):
        notes.add("count", 1)
    if any(token.kind == "normal" for token in clause.of(frozenset({"normal"}), scope=scope)):
        notes.add("finding", NO_FINDING, False)


def _read_all_clear(clause: _Clause, partial: bool, any_normal: bool, notes: _Notes) -> bool:
    """Read "the lungs are clear"; return True if so, as its places then belong to no finding."""
    kinds = frozenset({"clear", "normal"}) if any_normal else frozenset({"clear"})
    if not clause.of(kinds) or clause.of(frozenset({"finding", "generic"})):
        return False
    if clause.has("organ"):
        return True
    places = clause.of(_PLACES)
    if places:
        notes.local_denials.append((None, frozenset(places)))
    elif not partial:
        notes.add("finding", NO_FINDING)
    return True


def _read_attributes(clause: _Clause, allowed: set[str], sentence: str, notes: _Notes) -> None:
    for attribute, kinds in (
        ("side", frozenset({"side"})),
        ("level", frozenset({"level"})),
        ("size", frozenset({"size"})),
        ("count", frozenset({"count", "number", "stated", "many"})),
    ):
        found = [
            token
            for token in clause.of(kinds)
            if {attribute, token.kind} & allowed or _is_bound(token, clause, sentence)
        ]
        if _is_choice(clause, found):
            notes.alternatives.add(attribute)
            continue
        for token in found:
            if token.kind == "many":
                notes.add("count", 1, False)
            else:
                notes.add(attribute, token.value)


def _is_bound(token: Token, clause: _Clause, sentence: str) -> bool:
    """Return whether a size or number belongs to a finding in its clause."""
    if token.kind in _PLACES:
        return False
    if _noun_follows(token, clause, sentence):
        return True
    if token.kind in ("number", "many"):
        return False
    named = any(noun.end <= token.start for noun in clause.of(_NOUNS))
    return named and bool(_PREDICATE.match(sentence, token.end))


def _noun_follows(token: Token, clause: _Clause, sentence: str) -> bool:
    for noun in clause.tokens:
        if noun.start >= token.end and noun.kind in _NOUNS:
            between = sentence[token.end : noun.start]
            return len(between.split()) <= _WORDS_BETWEEN and not _STOP.search(between)
    return False


def _is_choice(clause: _Clause, tokens: list[Token]) -> bool:
    """Return whether "or" separates two different values among `tokens`."""
    if len({(token.kind, token.value) for token in tokens}) < 2:
        return False
    return any(
        tokens[0].end <= word.start < tokens[-1].start
        for word in clause.tokens
        if word.kind == "or"
    )


def _denials(clause: _Clause) -> list[int]:
    return sorted({scope for scope in clause.scopes if scope > _ASSERTED})


def _settle(notes: _Notes) -> set[Claim]:
    """Return the final claims, once the whole text is read."""
    claims = notes.claims
    present = {
        claim.value
        for claim in claims
        if claim.attribute == "finding" and claim.holds and claim.value != NO_FINDING
    }
    for kind, places in notes.local_denials:
        if kind is not None and kind not in present:
            claims.add(Claim("finding", kind, False))
        elif len({(token.kind, token.value) for token in places}) == 1:
            place = next(iter(places))
            claims.add(Claim(place.kind, place.value, False))
    nothing = Claim("finding", NO_FINDING)
    if present:
        claims.discard(nothing)
    elif any(
        all(Claim("finding", kind, False) in claims for kind in kinds)
        for kinds in FINDINGS.values()
    ):
        claims.add(nothing)
    return claims

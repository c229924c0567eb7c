"""Score one short answer against its reference by its words, without a model or a judge.

Open answers are scored by the recall of words, closed ones by what they affirm. Words are compared
whole: "female" does not contain "male". Published numbers use LLaVA-Med's own metrics, which
differ; `vital_lib.evaluation.llava_med` has them and explains how.
"""

from __future__ import annotations

import re
from collections import Counter

from vital_lib.english import roots, said, stem, words
from vital_lib.evaluation.yes_no import read_yes_no, statements
from vital_lib.evaluation.yes_no.question import telling


def _set(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_SIGN = re.compile(r"[<>≤≥±]=?|(?<![\w.,])[+−-](?=\d)")  # of a measure, not of a range or a word
# A word before an A that is no article: the A ends a phrase, or is a capital ("type A dissection").
_LETTER = re.compile(
    r"(\w+)[ -](?:[Aa](?=\W*$|[.,;:)/]| (?:and|or)\b)|(?<=[a-z][ -])A(?= [a-z]))", re.MULTILINE
)
_ANY_A = re.compile(r"(\w+)[ -]a\b", re.IGNORECASE)
_SIGN_NAMES = {">=": "≥", "<=": "≤", "−": "-"}
_CLAUSE = re.compile(r"[,;:!?]|\.(?!\d)|\bbut\b")
_TRUTHS = {"yes": "yes", "no": "no", "true": "yes", "false": "no"}
_NEGATORS = _set("not no nor neither than instead")
_CHOICE = re.compile(r"\b(?:or|vs|versus)\b")
_NO_CONTENT = _set(
    "in on at of to by for from as if is are was were it this that these just only than used taken "
    "patient s side sides view image scan film plane matter part zone third half field specimen"
)


def token_recall(reference: str, answer: str) -> float:
    """Share of the reference's words that occur in the answer, 0 to 1 (open questions).

    LLaVA-Med's recall with two differences (``llava_med.llava_med_recall`` is the original): words
    match by their root and a modality by any of its names, as "nodules" answers "nodule"; and a
    repeated answer word counts at most as often as it occurs in the reference. The sign of a
    measure counts as a word, so that "< 5 mm" does not answer "≥ 5 mm", and so does an A that is no
    article, so that "hepatitis B" does not answer "hepatitis A".
    """
    wanted = Counter([*roots(reference), *_signs(reference), *_letters(_LETTER, reference)])
    found = wanted & Counter([*roots(answer), *_signs(answer), *_letters(_ANY_A, answer)])
    return found.total() / wanted.total() if wanted else 0.0


def _signs(text: str) -> list[str]:
    return [_SIGN_NAMES.get(sign, sign) for sign in _SIGN.findall(text)]


def _letters(pattern: re.Pattern[str], text: str) -> list[str]:
    return [f"{stem(word.lower())} a" for word in pattern.findall(text)]


def closed_value(question: str, reference: str, answer: str) -> float:
    """1 if the answer to a closed question agrees with its reference, else 0."""
    return closed_point(question, reference, answer) or 0.0


def closed_point(question: str, reference: str, answer: str) -> float | None:
    """1 or 0 as `closed_value`; None if the answer commits itself to nothing.

    Yes/no questions are read by `read_yes_no`. Others ("Is it on the left or right?") are read by
    the words that distinguish the choices: the answer must affirm the reference's and no other
    choice's. An answer with no choice, or with several joined by "or", is no answer. Synonyms of a
    choice are not known: "a little infarct" does not answer "large or small?". LLaVA-Med matches
    letters instead (``llava_med.llava_med_closed``).
    """
    wanted = words(said(reference)) or words(reference)
    known = _TRUTHS.get(wanted[0] if wanted[:1] in (["yes"], ["no"]) else " ".join(wanted))
    if known:
        found = read_yes_no(question, answer)
        return None if found is None else float(found == known)
    return _chosen_point(question, set(wanted), answer)


def _chosen_point(question: str, wanted: set[str], answer: str) -> float | None:
    unsure = wanted & _NEGATORS  # a reference may be "Not sure"
    text = said(answer) if unsure else statements(question, answer)
    affirmed = set(words(text)) if unsure else _affirmed(text)
    choices = [names for _, names in _choices(question)]
    chosen = [names for names in choices if names <= affirmed]
    if len(chosen) > 1 and _CHOICE.search(text):
        return None
    if "both" in wanted:
        if affirmed & {"both", "bilateral"}:
            return 1.0
        return 0.0 if telling(list(affirmed)) & telling(words(question)) else None
    own, others = _distinguishing_words(question, wanted)
    if own and own <= affirmed and not any(other <= affirmed for other in others):
        return 1.0
    answered = bool(chosen) if choices else bool(telling(list(affirmed)))
    return 0.0 if answered else None


def _affirmed(text: str) -> set[str]:
    """Words of a text, without those that a clause excludes ("not the left", "than a CT")."""
    kept: set[str] = set()
    for clause in _CLAUSE.split(text):
        found = words(clause)
        stop = next((k for k, word in enumerate(found) if word in _NEGATORS), len(found))
        kept.update(found[:stop])
    return kept


def _distinguishing_words(question: str, wanted: set[str]) -> tuple[set[str], list[set[str]]]:
    """Return the reference's words in its own choice, and the words that name each other choice.

    The own choice is the one whose word nearest to "or" is in the reference, else the one with most
    words in common. If no choice has a word in common, all words of the reference are returned and
    the other choices are unknown.
    """
    choices = _choices(question)
    ranked = [
        (near[0] in wanted, len(wanted & set(near)), k) for k, (near, _) in enumerate(choices)
    ]
    best = max((rank for rank in ranked if rank[1]), key=lambda rank: rank[:2], default=None)
    if best is None:
        return wanted, []
    own = choices[best[2]][0]
    others = [names - wanted for near, names in choices if near is not own]
    return wanted & set(own), [other for other in others if other]


def _choices(question: str) -> list[tuple[list[str], set[str]]]:
    """Return the choices around "or": the words of each, nearest first, and the words that name it.

    Before "or", the last word names a choice ("chest X-ray" is a ray), also in a short part between
    commas. After "or", all words up to one without content name it ("IV contrast").
    """
    *before, after = _CHOICE.split(said(question))
    if not before:
        return []
    parts = [part for piece in before for part in piece.split(",") if words(part)]
    choices = []
    for place, part in enumerate(parts):
        near = [word for word in reversed(words(part)) if word not in _NO_CONTENT][:3]
        if near and (place == len(parts) - 1 or len(words(part)) <= 2):
            choices.append((near, {near[0]}))
    rest = words(after)
    start = next((k for k, word in enumerate(rest) if word not in _NO_CONTENT), len(rest))
    stop = next((k for k in range(start, len(rest)) if rest[k] in _NO_CONTENT), len(rest))
    near = rest[start : min(stop, start + 3)]
    return [*choices, (near, set(near))] if near else choices

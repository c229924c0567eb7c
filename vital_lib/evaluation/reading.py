"""What one short answer says, measured against its reference: words only, no model, no judge.

Open answers by LLaVA-Med's token recall, closed ones by what they affirm. Words are compared whole,
never as parts of words: "female" does not contain "male".
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter


def _set(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_WORD = re.compile(r"[^\W_]+(?:\.\d+)*")
_ARTICLES = _set("a an the")
_DIGITS = {
    word: str(digit)
    for digit, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
}

_YES = _set("yes yeah yep yup")
_NO = _set("no nope not none absent neither")
_JUDGED = r"(?:tell|told|say|said|determin|assess|answer|know|judg|evaluat|exclud|confirm|conclu)"
_UNSURE = re.compile(
    rf"\b(?:(?:can|could) not (?:be )?(?:\w+ly )?{_JUDGED}\w*"
    r"|unable|impossible|unclear|uncertain|unsure|unknown|indeterminate|inconclusive|insufficient"
    r"|difficult to|hard to|no idea|(?:do|does) not (?:know|allow)"
    r"|not (?:sure|certain|known|possible|enough|clear (?:if|whether)|determin\w*))"
)
_NO_DOUBT = re.compile(r"\b(?:no|without) doubt\b|\bnot only\b")
_EMPTY_WORDS = _set(
    "is are was were do does did has have can could be there here it its this these that in on of "
    "at to from with by for and any some image picture scan seen see shown show shows visible "
    "evidence present patient s"
)

_CLAUSE = re.compile(r"[,;:!?]|\.(?!\d)|\bbut\b")
_NEGATORS = _set("not no nor neither than instead")
_CHOICE = re.compile(r"\b(?:or|vs|versus)\b")
_UNTELLING = _set(
    "in on at of to by for from as if is are was were it this that these just only than used taken "
    "patient s side sides view image scan film plane matter part zone third half field specimen"
)


def words(text: str) -> list[str]:
    """Lower-case words without punctuation or articles, number words as digits (as VQA's own).

    A text of articles alone keeps them: the reference "A" is not empty.
    """
    found = [_DIGITS.get(word, word) for word in _WORD.findall(_folded(text))]
    return [word for word in found if word not in _ARTICLES] or found


def token_recall(reference: str, answer: str) -> float:
    """Share of the reference's words that the answer holds, 0 to 1 (LLaVA-Med, open questions).

    Words are counted: one that the answer repeats counts no more often than the reference has it.
    """
    wanted = Counter(words(reference))
    found = wanted & Counter(words(answer))
    return found.total() / wanted.total() if wanted else 0.0


def read_yes_no(question: str, answer: str) -> str | None:
    """ "yes", "no", or None where the answer commits itself to neither.

    The first clear word decides: yes, no, or a "not" that the question did not bring along. "It
    cannot be told" is neither. An answer that only repeats all that was asked for ("The heart is
    enlarged.") is a yes.
    """
    said = words(_NO_DOUBT.sub(" ", _folded(answer)))
    asked = set(words(question))
    unsure = _UNSURE.search(" ".join(said))
    end = len(" ".join(said)[: unsure.start()].split()) if unsure else len(said)
    for word in said[:end]:
        if word in _YES:
            return "yes"
        if word in _NO and (word == "no" or word not in asked):
            return "no"
    topic = asked - _EMPTY_WORDS
    repeats = bool(topic) and not asked & _NO and topic <= set(said)
    return "yes" if repeats and not unsure else None


def closed_value(question: str, reference: str, answer: str) -> float:
    """1 where a closed question is answered as its reference answers it, else 0.

    Yes/no questions by `read_yes_no`. Others ("Is it on the left or right?") by the words that
    tell the choices apart: the reference's must be affirmed, another choice's must not.
    """
    wanted = words(reference)
    if wanted and wanted[0] in ("yes", "no"):
        return float(read_yes_no(question, answer) == wanted[0])
    affirmed = set(words(answer)) if set(wanted) & _NEGATORS else _affirmed(answer)
    if "both" in wanted:
        return float(bool(affirmed & {"both", "bilateral"}))
    telling, others = _told_apart(question, set(wanted))
    hedged = any(other <= affirmed for other in others)
    return float(bool(telling) and telling <= affirmed and not hedged)


def _folded(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    return re.sub(r"\bcan(?:not|'t)\b", "can not", re.sub(r"(?<!ca)n't\b", " not", folded))


def _affirmed(answer: str) -> set[str]:
    """The answer's words, without those that a clause sets aside ("not the left", "than a CT")."""
    kept: set[str] = set()
    for clause in _CLAUSE.split(_folded(answer)):
        said = words(clause)
        stop = next((k for k, word in enumerate(said) if word in _NEGATORS), len(said))
        kept.update(said[:stop])
    return kept


def _told_apart(question: str, wanted: set[str]) -> tuple[set[str], list[set[str]]]:
    """The words of the reference that tell it from the other choices, and each other choice's.

    The reference's own choice is the one it shares most words with, the word next to "or" first.
    Where it shares none, all of its words tell, and nothing is known of the others.
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
    """The choices around "or": each one's words, the nearest to it first, and those that name it.

    Before "or" the last word names a choice ("chest X-ray" is a ray), and so it does in a short
    part between commas; after it, all words up to one that tells nothing ("IV contrast").
    """
    *before, after = _CHOICE.split(_folded(question))
    if not before:
        return []
    parts = [part for piece in before for part in piece.split(",") if words(part)]
    choices = []
    for place, part in enumerate(parts):
        near = [word for word in reversed(words(part)) if word not in _UNTELLING][:3]
        if near and (place == len(parts) - 1 or len(words(part)) <= 2):
            choices.append((near, {near[0]}))
    rest = words(after)
    start = next((k for k, word in enumerate(rest) if word not in _UNTELLING), len(rest))
    stop = next((k for k in range(start, len(rest)) if rest[k] in _UNTELLING), len(rest))
    near = rest[start : min(stop, start + 3)]
    return [*choices, (near, set(near))] if near else choices

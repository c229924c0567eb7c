"""Detect clauses about medicine in general rather than about this image.

"A fracture is a break in the bone", "Look for a fracture" and "Fractures can be seen on X-rays"
name a finding without stating that it is present. The form decides: the subject holds the finding
and has no "the" or "this", and the predicate does not state that or where it is seen. A heading
claims nothing about the finding either, nor does a "yes" followed by what the image is.
"""

from __future__ import annotations

import re

from vital_lib.english import ARTICLES, NEGATORS, split_words, stem, words
from vital_lib.evaluation.yes_no import lexicon as lex
from vital_lib.evaluation.yes_no.question import Asked, telling

_KINDS = {stem(word) for word in lex.KINDS_OF_IMAGE}
_VERBS = lex.FINITE | lex.INCLUDES | lex.POINTS
_PARTS = lex.SIZES | lex.PLACE | lex.LIKELY | lex.HEDGES
_ANSWERS = lex.YES | lex.NO | NEGATORS | lex.PRESENT | {"absent", *lex.VERDICTS}
_PARTICIPLE = re.compile(r"\w{3,}(?:ed|ing|ly|al|ar|ic|ous|ive)$")


def is_generic(clause: str, asked: Asked) -> bool:
    """Whether `clause` (lower case, with its articles) states nothing about this image."""
    tokens = split_words(clause)
    heads = [k for k, word in enumerate(tokens) if stem(word) in asked.heads]
    verb = next((k for k, w in enumerate(tokens) if w in _VERBS), None)
    if not heads:
        return False
    within = tokens[0] in lex.PLACE | {"with", "during"} and heads[0] < min(verb or 0, 5)
    if within or verb is None:  # "in pneumothorax, the edge is ..."
        rest = within or _verb_unknown(tokens, heads, asked)
        return rest and not _of_this_image(tokens[: heads[0]])
    own = _of_this_image(tokens[:verb])
    if own and (
        tokens[verb] not in lex.POINTS or _of_this_image([w for w in tokens[1:verb] if w != "the"])
    ):
        return False
    if own and tokens[0] in lex.DEFINITE:
        return False
    predicate = tokens[verb:]
    if not set(predicate) & NEGATORS and {"can", "may"} & set(predicate[:1]):
        return verb > 0 and not _seen_here(predicate)
    if heads[0] < verb:
        return not _placed(predicate)
    return verb > 0 and _rule(tokens[:verb], predicate)


def _of_this_image(subject: list[str]) -> bool:
    """Whether a subject belongs to this image: "the heart", "this", "left lung", "it"."""
    return bool(set(subject[subject[:2] == ["the", "normal"] :]) & lex.DEFINITE)


def _seen_here(predicate: list[str]) -> bool:
    """Whether "can be seen" refers to this image: "on the left", but not "on X-rays"."""
    if predicate[1:2] != ["be"] or not set(predicate[2:4]) & lex.PRESENT:
        return False
    where = next((k for k, word in enumerate(predicate) if word in lex.PLACE), None)
    return where is None or bool(set(predicate[where + 1 : where + 2]) & lex.DEFINITE)


def _placed(predicate: list[str]) -> bool:
    """Whether a predicate states that a finding is seen, at a place, of a size, or absent."""
    verb = predicate[0]
    after = [word for word in predicate[1:] if word in lex.LIKELY or not word.endswith("ly")]
    denied = set(predicate) & (NEGATORS if verb in lex.SEEING else NEGATORS | lex.DENIALS)
    if denied or verb in ("was", "were", "had") or not after:
        return True
    if "as" in predicate and not set(predicate) & lex.PRESENT or verb in lex.POINTS | lex.INCLUDES:
        return False
    if verb in ("has", "have"):
        return bool(re.fullmatch(r"been|become|grown|shrunk|\w+ed", after[0]))
    ending = "ing|ed" if verb in ("is", "are") else "ing"
    if re.fullmatch(rf"\w{{3,}}(?:{ending})", after[0]) and after[0] not in lex.TELLS_A_RULE:
        return True
    start = set(after[:4])
    there = start & (lex.PRESENT | lex.LIKELY | lex.SIZES) or after[0] in lex.PLACE
    return bool(there) and verb not in lex.SEEING


def _rule(subject: list[str], predicate: list[str]) -> bool:
    """Whether a clause with the finding as its object states a rule ("Lesions include ...")."""
    verb, known = predicate[0], set(subject) & lex.IMAGING
    if verb in lex.INCLUDES | lex.POINTS:
        return not known
    if "normal" in subject[:2] and verb in lex.SEEING:
        return True
    return verb in ("show", "demonstrate", "reveal", "display", "depict") and subject[-1] != "i"


def _plural(word: str) -> bool:
    return word.endswith("s") and not word.endswith(("ss", "us", "is"))


def _verb_unknown(tokens: list[str], heads: list[int], asked: Asked) -> bool:
    """Whether a clause without a known verb has an unknown one: "FLAIR suppresses fluid".

    The name of a finding is followed by a place, a participle or nothing. Any other word is a verb
    ("pleural effusions blunt ...") or turns the name into an event ("metastasis workup").
    """
    first = tokens[0] if tokens[0] not in ARTICLES else tokens[-1]
    if asked.start in ("does", "do", "did", "can") and not asked.exists:
        return bool(telling([first]) - asked.topic) and not _PARTICIPLE.match(first)
    place, many = heads[0], _plural(tokens[heads[0]])
    if _PARTICIPLE.match(tokens[place]):
        return False
    for word in tokens[place + 1 :]:
        if word in lex.EVENTS:
            return True
        if word in ("image", "images", "scan", "scans", "sequence", "sequences"):
            many = many or _plural(word)
            continue
        if word in lex.EMPTY | lex.PLACE | lex.SIZES | NEGATORS or stem(word) in asked.topic:
            return False
        verb_like = (_plural(word) or many) and word not in lex.HAPPENING
        return verb_like and not _PARTICIPLE.match(word) and word not in ("or", "vs")
    return False


def affirms_another(sentence: str, asked: Asked) -> bool:
    """Whether a "yes" states what the image is although the question is about a finding."""
    if not lex.TELLS_OF_IMAGE.match(sentence) or asked.heads & _KINDS:
        return False
    content = telling(words(sentence)) - lex.YES
    return bool(content) and content <= _KINDS | (asked.topic - asked.heads)


def without_headings(answer: str, asked: Asked) -> str:
    """Remove headings that name the finding in question ("Fracture: a break in the bone").

    Such a heading is joined to a short phrase without a verb that follows it ("Effusion: small,
    left"). It stays if an answer follows it ("Fracture: no").
    """

    def kept(match: re.Match[str]) -> str:
        head, body = words(match[1]), words(match[2])
        answers = set(head) & (lex.YES | lex.NO | lex.FINITE) or not telling(head) & asked.heads
        if answers or set(body[:1]) & _ANSWERS:
            return match[0]
        part = body[:1] and (body[0] in _PARTS or _PARTICIPLE.match(body[0]) or body[0].isdigit())
        return f"{match[1]} " if part and len(body) < 5 and not set(body) & lex.FINITE else ""

    return lex.HEADING.sub(kept, answer)

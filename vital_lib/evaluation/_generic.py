"""Whether a clause tells of things in general, not of the image that was asked about.

"A fracture is a break in the bone", "Look for a fracture", "Fractures can be seen on X-rays" name a
finding without saying that it is there. Told by their form: a subject without "the" or "this" that
holds the finding, and a predicate other than being seen, or lying, somewhere. A heading, and a
"yes" that goes on to say what the image is, claim nothing of the finding either.
"""

from __future__ import annotations

import re

from vital_lib.evaluation._asked import Asked, telling
from vital_lib.evaluation._english import (
    DEFINITE,
    DENIALS,
    EMPTY,
    EVENTS,
    FINITE,
    HAPPENING,
    HEADING,
    HEDGES,
    IMAGING,
    INCLUDES,
    KINDS_OF_IMAGE,
    LIKELY,
    NEGATORS,
    NO,
    PLACE,
    POINTS,
    PRESENT,
    SEEING,
    SIZES,
    TELLS_A_RULE,
    TELLS_OF_IMAGE,
    VERDICTS,
    YES,
)
from vital_lib.evaluation._roots import stem
from vital_lib.evaluation.wording import words

_TOKEN = re.compile(r"[^\W_]+(?:\.\d+)*")
_KINDS = {stem(word) for word in KINDS_OF_IMAGE}
_VERBS = FINITE | INCLUDES | POINTS
_PARTS = SIZES | PLACE | LIKELY | HEDGES
_ARTICLES = {"a", "an", "the"}
_PARTICIPLE = re.compile(r"\w{3,}(?:ed|ing|ly|al|ar|ic|ous|ive)$")


def is_generic(clause: str, asked: Asked) -> bool:
    """Whether `clause` (in lower case, with its articles) claims nothing of the image itself."""
    tokens = _TOKEN.findall(clause)
    heads = [k for k, word in enumerate(tokens) if stem(word) in asked.heads]
    verb = next((k for k, w in enumerate(tokens) if w in _VERBS), None)
    if not heads:
        return False
    within = tokens[0] in PLACE | {"with", "during"} and heads[0] < min(verb or 0, 5)
    if within or verb is None:  # "in pneumothorax, the edge is ..."
        rest = within or _verb_unknown(tokens, heads, asked)
        return rest and not _own(tokens[: heads[0]])
    own = _own(tokens[:verb])
    if own and (tokens[verb] not in POINTS or _own([w for w in tokens[1:verb] if w != "the"])):
        return False
    if own and tokens[0] in DEFINITE:
        return False
    predicate = tokens[verb:]
    if not set(predicate) & NEGATORS and {"can", "may"} & set(predicate[:1]):
        return verb > 0 and not _seen_here(predicate)
    if heads[0] < verb:
        return not _placed(predicate)
    return verb > 0 and _rule(tokens[:verb], predicate)


def _own(subject: list[str]) -> bool:
    """Whether a subject is one of this image: "the heart", "this", "left lung", "it"."""
    return bool(set(subject[subject[:2] == ["the", "normal"] :]) & DEFINITE)


def _seen_here(predicate: list[str]) -> bool:
    """Whether something "can be seen" here: "on the left", not "on X-rays"."""
    if predicate[1:2] != ["be"] or not set(predicate[2:4]) & PRESENT:
        return False
    where = next((k for k, word in enumerate(predicate) if word in PLACE), None)
    return where is None or bool(set(predicate[where + 1 : where + 2]) & DEFINITE)


def _placed(predicate: list[str]) -> bool:
    """Whether what is said of a finding is that it is there: seen, somewhere, small, not."""
    verb, after = (
        predicate[0],
        [word for word in predicate[1:] if word in LIKELY or not word.endswith("ly")],
    )
    denied = set(predicate) & (NEGATORS if verb in SEEING else NEGATORS | DENIALS)
    if denied or verb in ("was", "were", "had") or not after:
        return True
    if "as" in predicate and not set(predicate) & PRESENT or verb in POINTS | INCLUDES:
        return False
    if verb in ("has", "have"):
        return bool(re.fullmatch(r"been|become|grown|shrunk|\w+ed", after[0]))
    ending = "ing|ed" if verb in ("is", "are") else "ing"
    if re.fullmatch(rf"\w{{3,}}(?:{ending})", after[0]) and after[0] not in TELLS_A_RULE:
        return True
    said = set(after[:4])
    there = said & (PRESENT | LIKELY | SIZES) or after[0] in PLACE
    return bool(there) and verb not in SEEING


def _rule(subject: list[str], predicate: list[str]) -> bool:
    """Whether a clause whose object is the finding tells a rule: "Lesions include an abscess"."""
    verb, known = predicate[0], set(subject) & IMAGING
    if verb in INCLUDES:
        return not known
    if verb in POINTS:
        return not known
    if "normal" in subject[:2] and verb in SEEING:
        return True
    return verb in ("show", "demonstrate", "reveal", "display", "depict") and subject[-1] != "i"


def _plural(word: str) -> bool:
    return word.endswith("s") and not word.endswith(("ss", "us", "is"))


def _verb_unknown(tokens: list[str], heads: list[int], asked: Asked) -> bool:
    """Whether a clause without a known verb has another: "FLAIR suppresses fluid".

    A finding's name is followed by a place, a participle or nothing; what else follows is a verb
    ("pleural effusions blunt ...") or makes an event of it ("metastasis workup").
    """
    first = tokens[0] if tokens[0] not in _ARTICLES else tokens[-1]
    if asked.start in ("does", "do", "did", "can") and not asked.exists:
        return bool(telling([first]) - asked.topic) and not _PARTICIPLE.match(first)
    place, many = heads[0], _plural(tokens[heads[0]])
    if _PARTICIPLE.match(tokens[place]):
        return False
    for word in tokens[place + 1 :]:
        if word in EVENTS:
            return True
        if word in ("image", "images", "scan", "scans", "sequence", "sequences"):
            many = many or _plural(word)
            continue
        if word in EMPTY | PLACE | SIZES | NEGATORS or stem(word) in asked.topic:
            return False
        verb_like = (_plural(word) or many) and word not in HAPPENING
        return verb_like and not _PARTICIPLE.match(word) and word not in ("or", "vs")
    return False


def affirms_another(sentence: str, asked: Asked) -> bool:
    """Whether a "yes" is explained by what the image is, where a finding was asked for."""
    if not TELLS_OF_IMAGE.match(sentence) or asked.heads & _KINDS:
        return False
    told = telling(words(sentence)) - YES
    return bool(told) and told <= _KINDS | (asked.topic - asked.heads)


def without_headings(answer: str, asked: Asked) -> str:
    """`answer` without headings that name what was asked for ("Fracture: a break in the bone").

    One before a few words that have no verb is a part of what they say ("Effusion: small, left").
    """

    def kept(match: re.Match[str]) -> str:
        head, told = words(match[1]), words(match[2])
        answers = set(head) & (YES | NO | FINITE) or not telling(head) & asked.heads
        if answers or told[:1] and told[0] in YES | NO | NEGATORS | PRESENT | {"absent", *VERDICTS}:
            return match[0]
        part = told[:1] and (told[0] in _PARTS or _PARTICIPLE.match(told[0]) or told[0].isdigit())
        return f"{match[1]} " if part and len(told) < 5 and not set(told) & FINITE else ""

    return HEADING.sub(kept, answer)

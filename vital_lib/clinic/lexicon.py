"""Extract claims about a figure from free text, within the clinic's closed world of findings.

The simulated clinicians, generator and judges use this module to find the claims of a text, the
attributes that a question asks for, the claims of an answer to its question, the facts that it
contradicts and its style faults. It uses only a lexicon and regular expressions, so the same text
always gives the same result, and an unknown phrase claims nothing. Independent of images and of
the text's author.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from vital_lib.clinic.reading import Reading, before, read
from vital_lib.clinic.vocabulary import fold, scan
from vital_lib.clinic.world import (
    ATTRIBUTES,
    COUNTS,
    FINDINGS,
    LEVELS,
    NO_FINDING,
    SIDES,
    SIZES,
    Claim,
    Truth,
)
from vital_lib.modalities import MODALITIES

__all__ = [
    "ATTRIBUTES",
    "CONTRADICTIONS",
    "COUNTS",
    "FINDINGS",
    "LEVELS",
    "NO_FINDING",
    "SIDES",
    "SIZES",
    "STYLE_FAULTS",
    "Claim",
    "Truth",
    "asked",
    "contradictions",
    "facts_in",
    "known_facts",
    "read_answer",
    "read_claims",
    "style_faults",
]

CONTRADICTIONS = (
    "wrong_modality",
    "wrong_side",
    "wrong_level",
    "wrong_size",
    "wrong_count",
    "invented_finding",
    "missed_finding",
)
STYLE_FAULTS = ("vague", "overconfident", "quoted", "truncated")
QUOTED_WORDS = 8

_THING = r"(?:abnormalit|finding|lesion|patholog|anomal|diagnos|disease|process|change|mass|opacit)"
_IMAGE = (
    r"(?:image|picture|figure|scan|radiograph|x-ray|ct|mri|slide|section|specimen|photo|film|study)"
)
_NAMES = "|".join(kind.split()[-1] for kinds in FINDINGS.values() for kind in kinds)
_OPEN = {
    "modality": re.compile(
        r"modalit|imaging (?:technique|method|type|study|examination|test)|technique|"
        r"(?:what|which|the) (?:kind|type|sort) of (?:\w+ )?(?:image|imaging|scan|picture|study|"
        r"exam|film|figure|preparation)|how was (?:this|the) (?:image|picture|figure|scan|photo)|"
        r"(?:what|which) (?:scan|imaging|study)\b"
    ),
    "finding": re.compile(
        rf"(?:what|which)(?: is| are)?(?: the)?(?: \w+)? {_THING}\w*(?!'s| size)|"
        rf"(?:kind|type|sort|nature) of (?:\w+ ){{0,3}}{_THING}|nature of (?:this|it|the)|"
        r"what (?:is|are|can be|was) (?:\w+ )?(?:seen|shown|visible|present|depicted|wrong|noted|"
        r"observed|identified|abnormal|found)|what can (?:be|you)|what do (?:you|we) (?:see|find)|"
        r"what (?:does|do|did|is) (?:the|this|it)\b.{0,40}\b(?:show|reveal|demonstrat|depict)|"
        r"what stands out|main finding|your (?:impression|diagnosis)|name the"
    ),
    "place": re.compile(
        r"\bwhere\b|\blocat|\bposition\b|(?:which|what) (?:\w+ )?(?:part|region|area|site|place|"
        r"portion)\b|situated|whereabouts"
    ),
    "side": re.compile(
        r"(?:which|what) (?:\w+ )?(?:side|lung|hemisphere|half)\b|laterality|left[- ]or|right[- ]or"
    ),
    "level": re.compile(
        r"(?:which|what) (?:\w+ )?(?:level|third|zone|lobe|tier)\b|how (?:high|far)\b|"
        r"(?:upper|anterior|top)\b.{0,40}\b(?:lower|posterior|bottom)"
    ),
    "size": re.compile(
        r"how (?:large|big|small|sizeable)\b|\bsizes?\b|small or|large or|dimensions"
    ),
    "count": re.compile(
        r"how many|\bnumber\b|\bcount\b|(?:single|solitary) or|(?:one|1) or|more than one"
    ),
}
_DESCRIBE = re.compile(
    rf"\bdescri\w+ (?:(?!of\b)[\w-]+ ){{0,4}}?(?:{_IMAGE}|{_THING}|{_NAMES}|what)|"
    r"description of (?:the|this|what)|(?:tell|walk|talk) (?:me|us) (?:\w+ )?(?:about|through)|"
    r"what can you (?:tell|say)|summari[sz]e|\breport\b|overview|in detail|"
    rf"explain (?:what (?:you|is|are|(?:this|the) {_IMAGE})|(?:this|the) {_IMAGE})"
)
_CLOSED = re.compile(
    r"^(?:(?:(?!\b(?:what|which|where|how|why)\b)[^?])*[,.:] )?"
    r"(?:is|are|does|do|did|was|were|can|could|has|have|would|will|should)\b"
)
_REQUEST = re.compile(
    r"^(?:[^?]*, )?(?:can|could|would|will) you (?:please )?(?:tell|describe|say|identify|explain|"
    r"name|specify|state|give|point|summar|estimate)"
)
_PRESENCE = re.compile(r"\b(?:is|are) there\b|evidence of|\b(?:present|visible|seen|see|show)\b")
_YES = re.compile(r"\W*(?:yes|yeah|yep|correct|indeed|affirmative|true|present)\b[\s,.:;!-]*")
_NO = re.compile(
    r"\W*(?:(?:no|nope)\b(?=\s*(?:[,.;:!-]|$|(?:it|there|the|this|they|that)\b))|"
    r"(?:incorrect|false)\b|(?:none|absent|negative)\b(?=\W*$))[\s,.:;!-]*"
)
# A question presupposes "the nodule", "this large left-sided tumour" or "in this chest X-ray"; it
# does not ask about them. "Is this CT?" does ask about the modality.
_BETWEEN = (
    r"\s+(?:(?!(?:an?|any|show|contain|demonstrat|reveal|ha[sv]e?|display|includ|see|of|in|on|with|"
    r"is|are)\w*\b)[\w-]+\s+){0,4}"
)
_GIVEN = re.compile(
    rf"\b(?:the|this|these|those|its){_BETWEEN}(?:(?:areas?|foc(?:us|i)|patch(?:es)?) of\s+)?$"
)
_GIVEN_IMAGE = re.compile(rf"\b(?:(?<!\bis )(?<!\bwas )(?<!\bare )this|the|these|those){_BETWEEN}$")
_VISIBLE = re.compile(
    r"\b(?:visible|present|seen|evident|shown|detect\w*|found|identif\w+|apparent|visuali[sz]ed)\b"
)

_HEDGED = re.compile(
    r"\b(?:may|might|could|possibl[ey]|perhaps|some (?:kind|sort|abnormal|change|finding|degree)|"
    r"various|hard to|difficult to|cannot (?:be|say|tell)|not (?:possible|certain|clear|sure)|"
    r"unclear|unsure|something|certain (?:changes|features)|further (?:evaluation|imaging|"
    r"investigation|work)|correlat|depends|in some way|of note)"
)
_OVERCONFIDENT = re.compile(
    r"\b(?:definite(?:ly)?|undoubtedly|unquestionabl[ey]|indisputabl[ey]|undeniabl[ey]|"
    r"unmistakabl[ey]|unequivocal(?:ly)?|beyond (?:any |all )?(?:reasonable )?(?:doubt|question)|"
    r"without (?:any |a |the slightest )?(?:shadow of a )?(?:doubt|question|hesitation)|"
    r"no doubt|no question|there can be no|absolute(?:ly)? (?:certain\w*|sure|clear|no)|"
    r"certainly|(?:100|one hundred|hundred) ?(?:%|per ?cent)|guaranteed?|"
    r"conclusive(?:ly)?|proves?|it is certain|obviously|for sure|cannot be anything else|"
    r"with (?:complete |absolute |full |total )?certainty)"
)
_DEFINITE = re.compile(
    r"\b(?:no|not|without|nor)\s+(?:a |any )?(?:definite(?:ly)?|conclusive(?:ly)?|certainly)"
)
# Specialist words outside the closed world: an answer that uses them is not vague.
_SPECIALIST = re.compile(
    r"\b(?:\w{3,}(?:itis|osis|omas?|a?emia|pathy|plasia|ectasis|thorax|sclerosis|megaly)|"
    r"pneumonia|emphysema|effusions?|mass(?:es)?|lucenc\w+|\w+intens\w+|collaps\w+|enlarge\w+|"
    r"thicken\w+|swelling|swollen|gallstones?|liver|kidneys?|spleen|pancrea\w+|colon|glands?|veins?|"
    r"arter\w+|fractures?|o?edema\w*|herniat\w+|opaci\w+|infiltrat\w+|ulcer\w*|rash|"
    r"thromb\w+|embol\w+|aneurysm\w*|erosion\w*|collection|lobes?|hil(?:um|ar)|ventric\w+|cortex|"
    r"parietal|temporal|occipital|frontal|femur|radius|cerebell\w+|dermis|marrow|neutrophil\w*|"
    r"lymphocyt\w*|erythrocyt\w*|parasit\w*|bacteri\w*|ultraso\w+|angiogra\w+|pet)\b|"
    r"\d ?(?:cm|mm)\b"
)
_WORD = re.compile(r"[^\W_]+")
_ENDED = re.compile(r"(?:[.!?…]['\"”’)\]]*|['\"”’)\]])$")


def read_claims(text: str) -> frozenset[Claim]:
    """Return the claims that `text` makes about a figure.

    Recognises synonyms and both spellings ("hemorrhage", "radiograph", "anterior" as upper), and
    denials within their clause ("no nodule", "rather than the left"). Places, sizes and numbers
    count only with a finding. Questions claim nothing. "The left lung is clear" claims that the
    side is not left; "bilateral" claims no side; "no abnormality" claims finding "none".
    """
    return read(text).claims


@lru_cache(maxsize=100_000)
def read_answer(question: str, answer: str) -> frozenset[Claim]:
    """Return the claims of `answer` as an answer to `question`.

    A requested value may be given alone ("Left.", "Two."). A yes asserts the question's claims. A
    no negates the claim that is asked about. If the question asks about several claims ("Is there a
    nodule in the left lung?"), a no claims nothing, since it does not state which one is false.
    """
    wanted = asked(question)
    claims: set[Claim] = set()
    rest = fold(answer)
    if _is_closed(question):
        if yes := _YES.match(rest):
            claims |= _question(question)[0].claims
            rest = rest[yes.end() :]
        elif no := _NO.match(rest):
            claims |= _turned(_question(question)[1].claims)
            rest = rest[no.end() :]
    claims |= read(rest, wanted).claims
    if "count" in wanted and not any(claim.attribute == "count" for claim in claims):
        denied = any(claim.attribute == "finding" and not claim.holds for claim in claims)
        none = Claim("finding", NO_FINDING) in claims
        if (denied and Claim("finding", NO_FINDING, False) not in claims) or none:
            claims.add(Claim("count", 0))
    return frozenset(claims)


@lru_cache(maxsize=100_000)
def asked(question: str) -> frozenset[str]:
    """Return the attributes that `question` asks for; all for "describe this figure"."""
    text = fold(question)
    found: set[str] = set()
    if _is_closed(question):
        whole, focus = _question(question)
        found = {claim.attribute for claim in focus.claims} | set(whole.alternatives)
        if not found and _PRESENCE.search(text):
            found = {"finding"}
        elif "count" in found:
            found.discard("finding")  # "are there two nodules?" asks how many
        return frozenset(found & set(ATTRIBUTES))
    for attribute, pattern in _OPEN.items():
        if pattern.search(text):
            found |= {"side", "level"} if attribute == "place" else {attribute}
    if not found and _DESCRIBE.search(text):
        found = set(ATTRIBUTES)
    return frozenset(found)


def facts_in(texts: Iterable[str]) -> dict[str, str | int]:
    """Return attribute -> value, for attributes with exactly one claimed value in all `texts`."""
    values: dict[str, set[str | int]] = {}
    for text in texts:
        for claim in read_claims(text):
            if claim.holds:
                values.setdefault(claim.attribute, set()).add(claim.value)
    return {
        attribute: next(iter(values[attribute]))
        for attribute in ATTRIBUTES
        if len(values.get(attribute, ())) == 1
    }


def known_facts(texts: Iterable[str], modalities: Iterable[str]) -> dict[str, str | int]:
    """Return `facts_in` the texts of a figure, with the modality checked against its flags.

    The flags describe this figure, but its text may mention other images ("lesions are also seen on
    MRI"). A single flag sets the modality. With several flags, a modality from the text counts only
    if it is among them. Without flags, the text alone counts.
    """
    facts = facts_in(texts)
    flagged = [name for name in modalities if name in MODALITIES]
    if len(flagged) == 1:
        facts["modality"] = flagged[0]
    elif flagged and facts.get("modality") not in flagged:
        facts.pop("modality", None)
    return facts


def contradictions(claims: Iterable[Claim], facts: Mapping[str, str | int]) -> tuple[str, ...]:
    """Return the CONTRADICTIONS between `claims` and `facts`, in that order, without duplicates.

    Attributes absent from `facts` cannot be contradicted, except that a claimed place or size
    contradicts finding "none". Facts may come from a Truth (`facts()`) or a caption (`facts_in`).
    """
    claims = frozenset(claims)
    found = {_contradiction(claim, claims, facts) for claim in claims}
    return tuple(name for name in CONTRADICTIONS if name in found)


def style_faults(question: str, answer: str, sources: Iterable[str]) -> tuple[str, ...]:
    """Return the STYLE_FAULTS of `answer`, in that order.

    vague: it claims nothing that is asked for. overconfident: "definitely", "without any doubt".
    quoted: it repeats eight or more consecutive words of one of `sources` (caption, mentions),
    ignoring case and punctuation. truncated: it has more than three words and no final punctuation.
    """
    text = fold(answer)
    faults = {
        "vague": _is_vague(question, answer),
        "overconfident": bool(_OVERCONFIDENT.search(_DEFINITE.sub("", text))),
        "quoted": _is_quoted(text, sources),
        "truncated": len(text.split()) > 3 and not _ENDED.search(text.rstrip()),
    }
    return tuple(name for name in STYLE_FAULTS if faults[name])


def _is_closed(question: str) -> bool:
    text = fold(question).strip()
    return bool(_CLOSED.match(text)) and not _REQUEST.match(text)


@lru_cache(maxsize=20_000)
def _question(question: str) -> tuple[Reading, Reading]:
    """Return (reading of the whole closed question, reading of what it asks).

    For the second reading, presupposed words are replaced: "this chest X-ray" with "this image",
    "the nodule" with "it". The nodule stays if its presence is all that is asked.
    """
    text = fold(question)
    whole = read(text, questions=True)
    about_image = _without_given(text, ("modality",), "image", _GIVEN_IMAGE)
    about_it = _without_given(about_image, ("finding", "generic"), "it", _GIVEN)
    focus = read(about_it, questions=True)
    if not (focus.claims or focus.alternatives) and _VISIBLE.search(about_it):
        focus = read(about_image, questions=True)
    return whole, focus


def _without_given(text: str, kinds: tuple[str, ...], word: str, given: re.Pattern[str]) -> str:
    for token in reversed(scan(text)):
        found = given.search(before(text, token)) if token.kind in kinds else None
        if found and text[token.start : token.end] != "abnormal":
            text = text[: token.start - len(found.group())] + word + text[token.end :]
    return text


def _turned(claims: frozenset[Claim]) -> set[Claim]:
    """Return the negation of the only claim, or of the count claim; empty if ambiguous."""
    numbers = [claim for claim in claims if claim.attribute == "count"]
    single = numbers or list(claims)
    if len(single) != 1:
        return set()
    claim = single[0]
    return {Claim(claim.attribute, claim.value, not claim.holds)}


def _contradiction(
    claim: Claim, claims: frozenset[Claim], facts: Mapping[str, str | int]
) -> str | None:
    name, finding = claim.attribute, facts.get("finding")
    if name == "finding":
        return _finding_contradiction(claim, finding)
    if finding == NO_FINDING and claim.holds and name in ("side", "level", "size"):
        return "invented_finding"
    if name not in facts or (claim.value == facts[name]) == claim.holds:
        return None
    if claim == Claim("count", 0) and any(
        other.attribute == "finding"
        and not other.holds
        and other.value not in (finding, NO_FINDING)
        for other in claims
    ):
        return None  # denies another finding, not the true one
    return f"wrong_{name}"


def _finding_contradiction(claim: Claim, finding: str | int | None) -> str | None:
    if finding is None or (claim.value == finding and claim.holds):
        return None
    if claim.holds:
        return "missed_finding" if claim.value == NO_FINDING else "invented_finding"
    if claim.value != finding:
        return None
    return "invented_finding" if finding == NO_FINDING else "missed_finding"


def _is_vague(question: str, answer: str) -> bool:
    wanted, text = asked(question), fold(answer)
    closed = _is_closed(question)
    if closed and (_YES.match(text) or _NO.match(text)):
        return False
    claims = read_answer(question, answer)
    if not wanted:
        return not claims and bool(_HEDGED.search(text)) and not _SPECIALIST.search(text)
    empty = Claim("finding", NO_FINDING, False)
    if any(claim.attribute in wanted and (closed or claim != empty) for claim in claims):
        return False
    if wanted & {"side", "level", "size"} and Claim("finding", NO_FINDING) in claims:
        return False  # "there is no lesion" also answers "where?"
    return not (wanted & {"finding", "side", "level", "size"} and _SPECIALIST.search(text))


def _is_quoted(text: str, sources: Iterable[str]) -> bool:
    runs = _runs(text)
    return bool(runs) and any(not runs.isdisjoint(_source_runs(source)) for source in sources)


def _runs(text: str) -> frozenset[str]:
    words = _WORD.findall(text)
    return frozenset(
        " ".join(words[place : place + QUOTED_WORDS])
        for place in range(len(words) - QUOTED_WORDS + 1)
    )


@lru_cache(maxsize=20_000)
def _source_runs(source: str) -> frozenset[str]:
    return _runs(fold(source))

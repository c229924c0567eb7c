"""Extracts the statements of a text about a figure: sides, numbers, modalities, negations.

It works with a few dozen words and regular expressions. A negation extends to the end of its
clause. Captions and answers are read alike. This module uses no flags, images or ground truth.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_MANY = 99  # "several": contradicts one, but no other number
_PICTURE = r"(?:images?|pictures?|figures?|photo\w*|panels?|slides?|screen|frame|scans?)"

# Phrases whose side, number or negation word has another meaning.
_LOOK_ALIKES = re.compile(
    r"left (?:untreated|alone|behind|in situ|in place|open|over)|right (?:away|angles?|after|now)|"
    r"(?:was|were|is|are|been|being|be) left\b(?! (?:lung|lobe|side))|"
    rf"(?:left|right)[- ](?:hand )?(?:side )?(?:of|in) (?:the|this|each) {_PICTURE}|"
    rf"(?:upper|lower|top|bottom|middle)?[- ]?(?:left|right)[- ](?:hand )?{_PICTURE}|"
    r"\((?:(?:upper|lower|top|bottom|middle|center)[- ])?(?:left|right)\)|"
    r"(?:shift|displac|deviat|push|pull|mov|tilt|turn|rotat|point)\w*(?: [\w-]+){0,10}? "
    r"(?:to|towards?) (?:the |his |her )?(?:left|right)(?: side)?|"
    r"(?:on|to|from) (?:the )?(?:left|right) to (?:the )?(?:left|right)|left[- ](?:to|or)[- ]right|"
    r"not only|not (?:entirely |always |yet )?(?:certain|sure|clear|possible|uncommon\w*|specific)|"
    r"no (?:doubt|question|longer|other|further|additional|more|new|significant|single)\b|"
    r"without (?:any |a )?(?:contrast|doubt|question|other|further)|with (?:or|and) without|"
    r"\d+[- ](?:year|month|week|day)s?[- ]old|fig(?:ure|s)?\b\.? ?\d+\w*|\[.*?\d.*?\]|"
    r"\d+[.,]\d+|\b\d{3,}|"
    r"(?:case|patient|group|stage|grade|type|level|day|t|c|l)[- ]?\d+"
)
_SIDE = re.compile(r"\b(left|right)(?:ward)?([- ]sided|[- ]hand(?:ed)?)?\b(?: side\b)?")
_BOTH = re.compile(
    r"\b(?:bilateral\w*|(?:both|each|either) (?:[\w-]+ )?(?:\w+s|side)|symmetric\w*)\b"
)
_MODALITY = {
    "xray": r"x-? ?rays?|radiogra\w+|roentgen\w+|cxr|(?:plain |ap |pa )?films?",
    "ct": r"ct|cta|ctpa|cbct|computed tomogra\w+|computeri[sz]ed tomogra\w+|tomograms?|cat scans?",
    "mri": r"f?mri|mr|mra|magnetic resonance|t[12][- ]?(?:weighted|w)|flair",
    "histology": (
        r"histo[lpc]\w+|(?:photo)?micro(?:graph|scop)\w*|smears?|h ?& ?e|hematoxylin|slides?|"
        r"immunohisto\w+|(?:tissue|stained) sections?"
    ),
    "gross": r"gross(?:ly)?|macroscop\w+|cut surfaces?|(?:clinical )?photo(?:graph)?s?|specimens?",
    "ultrasound": r"ultraso\w+|sonogra\w+|echocardiogra\w+",
    "pet": r"pet|positron emission\w*",
    "endoscopy": r"\w*endoscop\w+|colonoscop\w+|bronchoscop\w+",
    "fundus": r"fundus|retinal photo\w*",
}
MODALITY_WORDS = re.compile(
    r"\b(?:" + "|".join(f"(?P<{name}>{words})" for name, words in _MODALITY.items()) + r")\b"
)
_WORDS = {"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7}
_WORDS |= {"eight": 8, "nine": 9, "ten": 10}
_WORDS |= {"single": 1, "solitary": 1, "lone": 1, "sole": 1, "couple": 2, "pair": 2, "double": 2}
_WORDS |= dict.fromkeys(["multiple", "several", "numerous", "many", "multifocal"], _MANY)
_NUMBER = re.compile(rf"\b({'|'.join(_WORDS)}|\d{{1,2}})\b(?![-–.,/]?\d|[ -]?(?:%|×|x\b))")
_PHRASE_END = re.compile(r"[,.]|\b(?:in|on|at|of the|within|are|is|and)\b")
_NOT_COUNTED = re.compile(
    r"(?:[cmn]?m|mm2|cm2|years?|yrs?|months?|weeks?|days?|hours?|minutes?|times?|fold|patients?|"
    r"cases?|panels?|images?|views?|slices?|scans?|sections?|sequences?|planes?|figures?|types?|"
    r"kinds?|ways?|reasons?|sides?|lungs?|eyes?|knees?|hands?|arrows?|arrowheads?|percent|of|or|"
    r"day|month|year|week|hour|male|female|possible|different|half|thirds?|main)$"
)

_DENY = re.compile(
    r"\b(?:no|not|without|absence of|lacks?|lacking|free (?:of|from)|negative for|neither|nor|"
    r"never|cannot|fails? to|(?:is|are|was|were|does|do|did|has|have)n't|rather than|instead of|"
    r"excludes?|rules? out|absent|ruled out|excluded)\b"
)
_AFTER = re.compile(
    r"\b(?:is|are|was|were) (?:not (?:\w+ly )?(?:seen|visible|present|identified|evident|detected|"
    r"found|shown|demonstrated|observed|apparent)|absent|excluded|ruled out)\b"
)
HEDGE = re.compile(
    r"\b(?:may|might|could|would|can|if|possibl[ey]|perhaps|typical\w*|usual\w*|often|general\w*|"
    r"suggest\w*|suspect\w*|potential\w*|likely|refers?|defined|means?|such as|rule out|exclude)\b"
)
_MAY = re.compile(r"\b(?:may|might|could|would|if|unless|until|as long as)\b")
_COMMA = r",(?!\s*(?:or|nor|and)\b|\s*(?:[\w-]+\s+){0,2}[\w-]+\s*(?:,|\b(?:or|nor|and)\b))"
_CLAUSE = re.compile(
    rf"[;:()—?]|{_COMMA}|\b(?:but|however|although|though|while|whereas|which|because|since|"
    r"there (?:is|are|was|were)|and (?=the|a|an|there|it|they|is|are|left|right|no)\b)"
)
SENTENCE = re.compile(r"(?<=[.!?])(?<!\bfig\.)(?<!\bfigs\.)(?<!\be\.g\.)(?<!\bi\.e\.)\s+|\n+")
FINDING = re.compile(
    r"\b(?:(?!diagn|progn|stroma)\w{3,}(?:itis|omas?|omata|osis|oses)|lesion|mass(?:es)?\b|nodul|"
    r"opaci|consolidat|cavit(?:y|ies|ation)|hemorrhag|bleed|infarct|calcif|tumor|neoplas|cyst|"
    r"plaque|necro|metasta|abscess|scar|fractur|effusion|edema|infiltrat|pneumo(?:nia|thora)|embol|"
    r"thromb|aneurysm|ulcer|herniat|aggregat|follicle|abnormal|atelecta|emphysem|anomal|"
    r"demyelin|inflam|collaps)"
)
_NOTHING = {"abnormality", "lesion", "finding", "pathology", "anomaly", "disease", "change"}
_NOTHING |= {"focal", "abnormal"}
NORMAL = re.compile(
    r"\bunremarkable\b|\b(?:is|are|appears?|looks?|entirely|completely|within|shows? an?) normal\b|"
    r"^\W*(?:yes\W+|no\W+)?normal\b"
)
WORD = re.compile(r"[^\W_]+")
_ENDINGS = (
    *(("sses", "ss"), ("ies", "y"), ("oses", "osis"), ("tases", "tasis"), ("foci", "focus")),
    ("omata", "oma"),
)
_EMPTY = re.compile(
    r"(?:"
    r"the|and|any|are|was|were|has|have|had|for|with|without|from|that|this|"
    r"these|those|its|there|suggest|suggests|evidence|sign|signs|indication|"
    r"indications|visible|seen|present|shown|evident|apparent|definite|clear|obvious|"
    r"noted|identified|observed|detected|found|suggestive|suggesting|show|shows|"
    r"showing|see|image|figure|picture|scan|radiograph|ray|film|does|can|you|not|"
    r"into|also|they|them|section|view|focal|reported|within|under|over|both|been|"
    r"being|which|other|some|such|patient"
    r")$"
)


@dataclass
class Statements:
    """The statements of a text: sides with the words after them, modalities, numbers, clauses."""

    sides: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    both: bool = False
    modalities: set[str] = field(default_factory=set)
    numbers: list[tuple[int, frozenset[str]]] = field(default_factory=list)
    asserted: list[tuple[str, bool]] = field(default_factory=list)  # (clause, hedged)
    denied: list[str] = field(default_factory=list)  # clauses, without the negation

    def read(self, text: str, *, denied: bool = False) -> Statements:
        """Add the statements of `text`; `denied` negates them, for a question answered with no."""
        for sentence in SENTENCE.split(folded(text)):
            hedged = bool(HEDGE.search(sentence))
            for clause in _CLAUSE.split(_LOOK_ALIKES.sub(" ; ", sentence)):
                held, against = _halves(clause)
                if denied:
                    of_image = MODALITY_WORDS.search(held) and not FINDING.search(held)
                    held, against = "", "" if of_image else held
                if held:
                    self.asserted.append((held, hedged))
                    self._read_values(held)
                if against and not _MAY.search(clause):
                    self.denied.append(against)
        return self

    def _read_values(self, clause: str) -> None:
        self.both |= bool(_BOTH.search(clause))
        for found in _SIDE.finditer(clause):
            after = "" if found[2] else clause[found.end() :]
            self.sides.append((found[1], words_of(" ".join(after.split()[:4]))))
        for found in _NUMBER.finditer(clause):
            after = _PHRASE_END.split(clause[found.end() :])
            following = after[0].split()[:4]
            if not (following and _NOT_COUNTED.match(following[0].strip(",.- "))):
                number = _WORDS[found[1]] if found[1] in _WORDS else int(found[1])
                things = words_of(" ".join(following)) or words_of(clause[: found.start()])
                self.numbers.append((number, things))
        self.modalities |= {found.lastgroup for found in MODALITY_WORDS.finditer(clause)}


def is_finding(words: frozenset[str]) -> bool:
    """Return whether `words` name a finding or are empty, as for "they"."""
    return not words or any(FINDING.match(word) for word in words)


def agree(one: int, other: int) -> bool:
    """Return whether two counts of the same thing can both be true: "several" fits all but 1."""
    return one == other or (_MANY in (one, other) and 1 not in (one, other))


def denies_all(denied: str) -> bool:
    """Return whether a negated clause excludes every finding: "no focal lesion on this scan"."""
    words = words_of(MODALITY_WORDS.sub(" ", re.split(r"\bon (?:this|the)\b", denied)[0]))
    return bool(words) and words <= _NOTHING


def _halves(clause: str) -> tuple[str, str]:
    """Split a clause into the part it asserts and the part it denies, after the negation."""
    if _AFTER.search(clause):
        return "", _AFTER.sub(" ", clause)
    denial = _DENY.search(clause)
    if denial is None:
        return clause.strip(" .,"), ""
    return clause[: denial.start()].strip(" .,"), clause[denial.end() :].strip(" .,")


def folded(text: str) -> str:
    """Return `text` in lower case, with ASCII quotes and dashes and American medical spelling."""
    text = text.lower().translate({0x2019: "'", 0x2018: "'", 0x2013: "-", 0x2011: "-", 0x2010: "-"})
    return re.sub(r"tumour", "tumor", re.sub(r"(?<=[a-z])(?:ae|oe)(?=m|d|s)|^oe", "e", text))


def words_of(text: str) -> frozenset[str]:
    """Return the content words of `text` in the singular."""
    found = re.findall(r"[a-z][a-z-]{2,}", text)
    return frozenset(_singular(word) for word in found if not _EMPTY.match(word))


def _singular(word: str) -> str:
    for plural, singular in _ENDINGS:
        if word.endswith(plural):
            return word[: -len(plural)] + singular
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word

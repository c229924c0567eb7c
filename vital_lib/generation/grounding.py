"""Flags answers that contradict, mention or copy the text of their figure.

It reads sides, modalities, numbers and negations with a few dozen words; a negation extends to the
end of its clause. Captions and answers are read alike. A flag is a hint, not a verdict: clinicians
do accept the text's own wording. An ambiguous text (two sides, several modalities, "may") causes no
flag. This module does not use images, annotators or ground truth.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from vital_lib import english
from vital_lib.english import NEGATORS, NUMBERS, OTHER_SIDE, WITHOUT, singular
from vital_lib.tables import refuse_strays

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


def _set(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_PICTURE = r"(?:images?|pictures?|figures?|photo\w*|panels?|slides?|screen|frame|scans?)"
# Phrases whose side, number or negation word has another meaning.
_LOOK_ALIKES = re.compile(
    r"left (?:untreated|alone|behind|in situ|in place|open|over)|right (?:away|angles?|after|now)|"
    rf"(?:left|right)[- ](?:hand )?(?:side )?(?:of|in) (?:the|this|each) {_PICTURE}|"
    rf"(?:upper|lower|top|bottom|middle)?[- ]?(?:left|right)[- ](?:hand )?{_PICTURE}|"
    r"\((?:(?:upper|lower|top|bottom|middle|center)[- ])?(?:left|right)\)|"
    r"(?:shift|displac|deviat|push|pull|mov|tilt|turn|rotat|point)\w*(?: [\w-]+){0,10}? "
    r"(?:to|towards?) (?:the |his |her )?(?:left|right)(?: side)?|"
    r"not only|not (?:entirely |always |yet )?(?:certain|sure|clear|possible|uncommon\w*|specific)|"
    r"no (?:doubt|question|longer|other|further|additional|more|new|significant|single)\b|"
    r"without (?:any |a )?(?:contrast|doubt|question|other|further)|"
    r"\d+[- ](?:year|month|week|day)s?[- ]old|fig(?:ure|s)?\b\.? ?\d+\w*|\[.*?\d.*?\]|"
    r"\d+[.,]\d+|\b\d{3,}|"
    r"(?:case|patient|group|stage|grade|type|level|day|t|c|l)[- ]?\d+"
)
_SIDE = re.compile(r"\b(left|right)(?:ward)?([- ]sided|[- ]hand(?:ed)?)?\b(?: side\b)?")
_BOTH = re.compile(
    r"\b(?:bilateral\w*|(?:both|each|either) (?:[\w-]+ )?(?:\w+s|side)|symmetric\w*)\b"
)
_OWN_SIDE = re.compile(r"\b(?:ventric|atri|heart|cardiac|coronary|kidney|renal|subclavian|jugular)")
_MODALITIES = {
    "chest_xray": r"x-? ?rays?|radiogra\w+|roentgen\w+|cxr|(?:plain |ap |pa )?films?",
    "ct_scan": r"ct|cta|ctpa|cbct|comput\w+ tomogra\w+|tomograms?|cat scans?",
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
_MODALITY = re.compile(
    r"\b(?:" + "|".join(f"(?P<{name}>{words})" for name, words in _MODALITIES.items()) + r")\b"
)
_NOT_THIS = re.compile(r"\b(?:no|not|rather than|instead of|unlike)\s+(?:[\w-]+\s+){0,2}$")
_ASKS_MODALITY = re.compile(
    r"modalit|imaging (?:technique|method|type|study|test)|"
    r"(?:what|which|kind|type|sort)\b.{0,20}\b(?:image|imaging|scan|picture|study|preparation)\b"
)
_GIVEN = re.compile(r"\b(?:this|the|these|shown|provided|given|is an?)\s+(?:[\w-]+\s+){0,3}$")
_MANY = 99  # "several": contradicts one, but no other number
_COUNTS = NUMBERS | dict.fromkeys(["single", "solitary", "lone", "sole"], 1)
_COUNTS |= dict.fromkeys(["couple", "pair", "double"], 2)
_COUNTS |= dict.fromkeys(["multiple", "several", "numerous", "many", "multifocal"], _MANY)
_COUNT = re.compile(rf"\b({'|'.join(_COUNTS)}|\d{{1,2}})\b(?![-–.,/]?\d|[ -]?(?:%|×|x\b))")
_COUNTED_END = re.compile(r"[,.]|\b(?:in|on|at|of the|within|are|is|and)\b")
_NOT_COUNTED = re.compile(
    r"(?:[cmn]?m|mm2|cm2|years?|yrs?|months?|weeks?|days?|hours?|minutes?|times?|fold|patients?|"
    r"cases?|panels?|images?|views?|slices?|scans?|sections?|sequences?|planes?|figures?|types?|"
    r"kinds?|ways?|reasons?|sides?|lungs?|eyes?|knees?|hands?|arrows?|arrowheads?|percent|of|or|"
    r"male|female|possible|different|half|thirds?|main)$"
)
_SIZE = rf"(?:\d+(?:\.\d+)?|{'|'.join(NUMBERS)})"
_MEASURE = re.compile(
    r"(?:\b(over|above|below|under|than|least|most|every|after|up to) )?"
    rf"(?<![\w.])({_SIZE}(?:\s?(?:x|×|-|to|by|and)\s?{_SIZE})*)[ -]?"
    r"(?:(c|m|centi|milli)(?:m|met(?:er|re))|([µμ]m|kev|hu|%|min|minute|hour|day|week|month|year))"
    r"s?(?!\w)([- ]old)?"
)
_YES_OR_NO = re.compile(r"\W*(yes|no)(?=\s*(?:[,.;:!-]|$|(?:it|there|the|this|they|that)\b))")
_DENIERS = "|".join(NEGATORS - {"non"})
_DENY = re.compile(rf"\b(?:{_DENIERS}|fails? to|absent|ruled out|excluded)\b|{WITHOUT}")
# A negation after its subject.
_DENIAL = re.compile(
    r"(?<![\w'-])((?:(?!(?:and|or|but|that|which|while|there)\b)[\w'-]+ ){1,5}?)"
    r"(?:(?:is|are|was|were|(?:has|have|had) been) (?:absent|excluded|ruled out)|"
    r"(?:is|are|was|were|has|have|do|does|did) not|"
    r"(?:has|have|(?:show|contain|reveal|display|demonstrate)s?) (no))\b"
)
_HEDGE = re.compile(
    r"\b(?:may|might|could|would|can|if|possibl[ey]|perhaps|typical\w*|usual\w*|often|general\w*|"
    r"suggest\w*|suspect\w*|potential\w*|likely|refers?|defined|means?|such as|rule out|exclude)\b"
)
_MAY = re.compile(r"\b(?:may|might|could|would|if|unless|until|as long as)\b")
_COMMA = r",(?!\s*(?:or|nor|and)\b|\s*(?:[\w-]+\s+){0,2}[\w-]+\s*(?:,|\b(?:or|nor|and)\b))"
_CLAUSE = re.compile(
    rf"[;:()—?]|{_COMMA}|\b(?:but|however|although|though|while|whereas|which|because|since|"
    r"there (?:is|are|was|were)|and (?=the|a|an|there|it|they|is|are|left|right|no)\b)"
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_FINDING = re.compile(
    r"\b(?:(?!diagn|progn|stroma)\w{3,}(?:itis|omas?|omata|osis|oses)|lesion|mass(?:es)?\b|nodul|"
    r"opaci|consolidat|cavit(?:y|ies|ation)|hemorrhag|bleed|infarct|calcif|tumor|neoplas|cyst|"
    r"plaque|necro|metasta|abscess|scar|fractur|effusion|edema|infiltrat|pneumo(?:nia|thora)|embol|"
    r"thromb|aneurysm|ulcer|herniat|aggregat|follicle|abnormal|atelecta|emphysem|anomal|"
    r"demyelin|inflam|collaps)"
)
_NOTHING = _set("abnormality lesion finding pathology anomaly disease change focal abnormal")
_NORMAL = re.compile(
    r"\bunremarkable\b|\b(?:is|are|appears?|looks?|entirely|completely|within|shows? an?) normal\b|"
    r"^\W*(?:yes\W+|no\W+)?normal\b"
)
_PLACES = _set("left right upper lower middle anterior posterior lateral superior inferior")
_PHRASE_END = re.compile(
    r",|\b(?:in|on|at|of|within|with|along|around|behind|near|from|to|for|by|as|and|or|who|is|are|"
    r"was|were|has|have|(?:indicat|suggest|caus|involv|extend|includ|measur|surround)ing)\b"
)
_NAMES_TEXT = re.compile(
    r"\b(?:caption|figure (?:legend|context)|in-text|text provided|"
    r"(?:the|this|given|provided|accompanying|above) (?:text|article|passage|narrative|paper|"
    r"manuscript|description|(?:provided|given|accompanying) (?:text|context|information))|"
    r"(?:based on|according to|considering) the (?:context|provided|given|accompanying|"
    r"description|report|mentions?|information)\b|in the (?:description|mentions?)\b|"
    r"(?:as|was|is|are|were) (?:\w+ly )?(?:described|mentioned|stated|noted|reported|indicated|"
    r"documented) (?:in|by) (?:the|this) (?:text|article|report|paper|study|authors?|case|"
    r"description|context)|the authors?)\b"
)
_EMPTY = _set(
    "the and any are was were has have had for with without from that this these those its there "
    "suggest suggests evidence sign signs indication indications visible seen present shown "
    "evident apparent definite clear obvious noted identified observed detected found suggestive "
    "suggesting show shows showing see image figure picture scan radiograph ray film does can you "
    "not into also they them section view focal reported within under over both been being which "
    "other some such patient"
)


class _Statements:
    """The statements of a text: sides with the words after them, modalities, numbers, clauses."""

    def __init__(self) -> None:
        self.sides: list[tuple[str, frozenset[str]]] = []
        self.both = False
        self.modalities: set[str] = set()
        self.numbers: list[tuple[int, frozenset[str]]] = []
        self.asserted: list[tuple[str, bool]] = []  # (clause, hedged)
        self.denied: list[str] = []  # clauses, without the negation

    def read(self, text: str, *, denied: bool = False) -> None:
        """Add the statements of `text`; `denied` negates them, for a question answered with no."""
        for sentence in _SENTENCE.split(_plain(text)):
            hedged = bool(_HEDGE.search(sentence))
            for clause in _CLAUSE.split(sentence):
                held, *after = (part.strip(" .,") for part in _DENY.split(clause, maxsplit=1))
                against = after[0] if after else ""
                if denied:
                    of_image = _MODALITY.search(held) and not _FINDING.search(held)
                    held, against = "", "" if of_image else held
                if held:
                    self.asserted.append((held, hedged))
                    self._read_values(held)
                if against and not _MAY.search(clause):
                    self.denied.append(against)

    def _read_values(self, clause: str) -> None:
        self.both |= bool(_BOTH.search(clause))
        for found in _SIDE.finditer(clause):
            after = "" if found[2] else clause[found.end() :]
            self.sides.append((found[1], _words(" ".join(after.split()[:4]))))
        for found in _COUNT.finditer(clause):
            following = _COUNTED_END.split(clause[found.end() :])[0].split()[:4]
            if not (following and _NOT_COUNTED.match(following[0].strip(",.- "))):
                number = _COUNTS[found[1]] if found[1] in _COUNTS else int(found[1])
                things = _words(" ".join(following)) or _words(clause[: found.start()])
                self.numbers.append((number, things))
        self.modalities |= {str(found.lastgroup) for found in _MODALITY.finditer(clause)}


class _Text(_Statements):
    """The statements of a figure's caption, mentions and modality flags together."""

    def __init__(self, figure: Mapping[str, Any]) -> None:
        super().__init__()
        self.modalities |= set(figure["modalities"])
        sources = [_folded(source) for source in (figure["caption"], *figure["mentions"])]
        for source in sources:
            self.read(source)
        self.runs = set().union(*map(_runs, sources))
        self.measures = _measures(" ; ".join(sources))
        sides = {side for side, _ in self.sides}
        self.side = sides.pop() if len(sides) == 1 and not self.both else None
        held = [clause for clause, _ in self.asserted]
        self.findings = any(map(_FINDING.search, held))
        # Whether the text calls anything normal.
        self.clear = any(map(_denies_all, self.denied)) or any(map(_NORMAL.search, held))


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
    wanted = figures[figures["figure_id"].isin(candidates["figure_id"])]
    texts = {row["figure_id"]: _Text(row) for row in wanted.to_dict("records")}
    refuse_strays(candidates, "figure_id", texts, what="candidates", to="figures")
    rows = candidates[["figure_id", "instruction", "response"]].itertuples(index=False)
    found = [_flags(texts[figure_id], *asked) for figure_id, *asked in rows]
    return pd.Series(found, index=candidates.index, dtype=object)


def _flags(text: _Text, instruction: str, response: str) -> list[str]:
    own, question = _folded(response), _folded(instruction).replace("?", "")
    start = _YES_OR_NO.match(own)
    yes = start is not None and start[1] == "yes"
    answer = _Statements()
    if start:
        answer.read(question, denied=not yes)
    answer.read(own[start.end() :] if start else own)
    checks = (
        _other_side(text, answer),
        _other_modality(text, question, own, yes),
        _other_number(text, answer, question) or _other_measure(text, own),
        _other_sign(text, answer),
        bool(_NAMES_TEXT.search(own)),
        not text.runs.isdisjoint(_runs(own)),
    )
    return [name for name, failed in zip(FLAGS, checks, strict=True) if failed]


def _other_side(text: _Text, answer: _Statements) -> bool:
    sides = {side for side, _ in answer.sides}
    if text.side is None or answer.both or sides != {OTHER_SIDE[text.side]}:
        return False
    known = frozenset().union(*(words for _, words in text.sides))
    return any(not _OWN_SIDE.search(" ".join(words)) or words & known for _, words in answer.sides)


def _other_modality(text: _Text, question: str, own: str, yes: bool) -> bool:
    asked = bool(_ASKS_MODALITY.search(question))
    claimed = set()
    for sentence in _SENTENCE.split(f"{question}. {own}" if yes else own):
        if _HEDGE.search(sentence) and not (asked or yes):
            continue
        for found in _MODALITY.finditer(sentence):
            before = sentence[: found.start()]
            if (asked or _GIVEN.search(before)) and not _NOT_THIS.search(before):
                claimed.add(found.lastgroup)
    return bool(claimed and text.modalities) and claimed.isdisjoint(text.modalities)


def _other_number(text: _Text, answer: _Statements, question: str) -> bool:
    asked = _words(question) if re.search("how many|number of", question) else frozenset()
    for number, words in answer.numbers:
        things = words or asked
        stated = {
            other
            for other, named in text.numbers
            if things & named or (_is_finding(things) and _is_finding(named))
        }
        several = _MANY in {number, *stated} and 1 not in {number, *stated}  # fits all but 1
        if len(stated) == 1 and number not in stated and not several:
            return True
    return False


def _is_finding(words: frozenset[str]) -> bool:
    """Return whether `words` name a finding or are empty, as for "they"."""
    return not words or any(map(_FINDING.match, words))


def _other_measure(text: _Text, own: str) -> bool:
    """Return whether a measure in the answer differs from the text's by more than 10 %."""
    found = _measures("\n".join(s for s in _SENTENCE.split(own) if not _HEDGE.search(s)))
    return any(
        all(abs(size - one) > 0.1 * one for one in text.measures[kind])
        for kind in found.keys() & text.measures.keys()
        for size in found[kind]
    )


def _measures(text: str) -> dict[str, set[float]]:
    """Return the measures in `text` by kind, lengths in mm; limits ("over 3 cm") are left out."""
    found: dict[str, set[float]] = {}
    for limit, sizes, length, unit, old in _MEASURE.findall(text):
        kind = "length" if length else f"{unit[:3]}{old and ' old'}"
        scale = 10.0 if length[:1] == "c" else 1.0
        for size in () if limit else re.findall(_SIZE, sizes):
            found.setdefault(kind, set()).add(float(NUMBERS.get(size, size)) * scale)
    return found


def _other_sign(text: _Text, answer: _Statements) -> bool:
    """Return whether the answer denies what the text asserts, or asserts what the text denies."""
    stated = [_words(clause) for clause, _ in text.asserted]
    ruled_out = [_words(denied) for denied in text.denied]
    if any(_denies(denied, stated, ruled_out) for denied in answer.denied):
        return True
    held = [clause for clause, hedged in answer.asserted if not hedged]
    nothing = any(map(_denies_all, answer.denied)) or any(map(_NORMAL.search, held))
    if nothing and text.findings and not text.clear:
        return True
    if text.clear and not text.findings:
        return any(map(_FINDING.search, held))
    claims = [_words(clause) for clause in held]
    return any(_asserts(claims, denied, stated) for denied in text.denied)


def _denies_all(denied: str) -> bool:
    """Return whether a negated clause excludes every finding: "no focal lesion on this scan"."""
    words = _words(_MODALITY.sub(" ", re.split(r"\bon (?:this|the)\b", denied)[0]))
    return bool(words) and words <= _NOTHING


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
    if not core or _denies_all(denied) or any(core <= other for other in stated):
        return False
    elsewhere = _PLACES - words if words & _PLACES else frozenset()
    return any(core <= claim and claim.isdisjoint(elsewhere) for claim in claims)


def _core(denied: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the words of the denied thing, up to its place or action, and all words."""
    plain = _MODALITY.sub(" ", denied)
    words = _words(plain)
    return next(filter(None, map(_words, _PHRASE_END.split(plain))), frozenset()), words


def _plain(text: str) -> str:
    """Return `text` without measures and look-alikes, and with each negation before its subject.

    "It is not large" becomes "not it large", because a negation extends to the end of its clause.
    """

    def denied(found: re.Match[str]) -> str:
        # "The image shows no mass" is kept. "The left lung shows no mass" is moved, because it
        # denies a mass in that place only.
        return found[0] if found[2] and _PLACES.isdisjoint(found[1].split()) else f"not {found[1]}"

    return _DENIAL.sub(denied, _LOOK_ALIKES.sub(" ; ", _MEASURE.sub(" ", text)))


def _folded(text: str) -> str:
    """Return `text` in lower case and full forms, with ASCII dashes and American spelling."""
    text = english.folded(text).translate({0x2013: "-", 0x2011: "-", 0x2010: "-"})
    return re.sub(r"tumour", "tumor", re.sub(r"(?<=[a-z])(?:ae|oe)(?=m|d|s)|^oe", "e", text))


def _words(text: str) -> frozenset[str]:
    """Return the content words of `text` in the singular."""
    found = re.findall(r"[a-z][a-z-]{2,}", text)
    return frozenset(singular(word) for word in found if word not in _EMPTY)


def _runs(text: str) -> set[str]:
    words = re.findall(r"[^\W_]+", text)
    places = range(len(words) - REPEATED_WORDS + 1)
    return {" ".join(words[place : place + REPEATED_WORDS]) for place in places}

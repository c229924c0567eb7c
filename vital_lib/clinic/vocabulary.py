"""Words that describe a figure, and the scanner that finds them in a sentence.

Patterns are tried in order, and the first match at a position wins. Phrases such as "left
untreated" or "small cell" are therefore skipped before "left" and "small" can match. Independent of
claims, the scope of denials and the ground truth.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple, cast

_BODY = (
    r"(?:hands?|arms?|f(?:oo|ee)t|legs?|knees?|elbows?|wrists?|hips?|ankles?|shoulders?|femur|"
    r"tibia|spine|pelvis|teeth|skull|abdomen|bones?)"
)
_UNIT = (
    r"(?:[cmµun]?m\b|centimet\w+|millimet\w+|cm2|mm2|ml\b|k?v\b|kg|mg|years?|yrs?|months?|"
    r"weeks?|days?|hours?|minutes?|"
    r"times?\b|fold\b|thirds?|quarters?|hal(?:f|ves)|dimension\w*|tesla|patients?|cases?|slices?|"
    r"views?|sections?|images?|panels?|scans?|sequences?|planes?|percent|per cent|hu\b|°|%|[×/])"
)
_WORDS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5,
    "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
}  # fmt: skip
_NUMBER = r"(?:\d{1,2}|" + "|".join(_WORDS) + r")\b"
_ANY_NUMBER = r"(?:\d+(?:[.,]\d+)?|" + "|".join(_WORDS) + r")"
_SEEN = (
    r"(?:seen|visible|present|identified|evident|detected|found|demonstrated|observed|shown|"
    r"apparent|visuali[sz]ed|appreciated|recogni[sz]ed|noted)"
)
_NT = r"(?:is|are|was|were|does|do|did|has|have|can|could)n't"
_IS = r"(?:is|are|was|were|appears?|appeared|remains?|looks?|seems?|seemed)"
_FINE = (
    r"(?:clear|normal|unremarkable|within normal limits|uninvolved|spared|unaffected|healthy|"
    r"preserved|intact)"
)

# Phrases that only look like claims.
_LOOK_ALIKES: tuple[str, ...] = (
    rf"{_ANY_NUMBER}(?:\s*(?:-|to|or|and|×|x)\s*{_ANY_NUMBER}){{0,3}}[\s-]{{0,3}}{_UNIT}",
    r"\d+\.\d+|\d{3,}",
    r"(?:fig(?:ure|s|ures)?|table|case|patient|grade|stage|type|day|segment|t)\b[.\s]*\d+\w*",
    (
        r"one (?:or (?:more|two)|another|of|side|hand|can|could|may|might|must|should|would|has|"
        r"sees?|observes?|finds?)\b|(?:no|any) ?one|one-sided"
    ),
    (
        r"(?:left|right)[- ](?:untreated|behind|alone|unchanged|in (?:situ|place)|over|out|open|"
        r"handed|to (?:right|left)|after|before|now|away|angles?|answer|diagnosis|for|ventric\w+|"
        r"atri\w+|heart|coronary|subclavian|jugular|carotid|hemi\w*paresis|hemiplegia|arm|leg|hand|"
        r"ear|eye|knee|elbow)\b"
    ),
    (
        r"(?:was|were|been|be|being|has|had|have|he|she) left\b(?= (?:un\w+|in|to|with|the|"
        r"hospital))"
    ),
    (
        r"(?:(?:upper|lower|top|bottom|middle|first|second)[- ])?(?:left|right|upper|lower|top|"
        r"bottom|middle)(?:[- ]hand)? (?:panels?|images?|columns?|rows?|photos?|pictures?|arrows?|"
        r"insets?)\b"
    ),
    (
        r"\((?:(?:upper|lower|top|bottom|middle) )?(?:left|right|upper|lower|top|bottom|middle|"
        r"cent(?:re|er))(?: panel| image| column| row| hand)?\)"
    ),
    r"(?:all|that is|that's|you are|you're|quite) right\b",
    (
        r"(?:small|large)[- ](?:cells?|bowels?|intestines?|vessels?|airways?|joints?|numbers?|"
        r"amounts?|fields?|part|arter\w+|molecules?|calib\w+|child\w*|scale)"
    ),
    (
        r"(?:upper|lower)[- ](?:limbs?|extremit\w+|respiratory|abdom\w+|arms?|legs?|body|back|gi\b|"
        r"gastro\w*|airways?|power|than|magnification|grade|density|signal|attenuation|dose|surface|"
        r"motor|urinary)"
    ),
    (
        r"middle[- ](?:aged?|ear|cerebral|mediastin\w+|east\w*|finger)|central (?:venous|nervous|"
        r"lines?|catheters?|canal|hospital)|basal (?:cells?|ganglia|membrane|layer)"
    ),
    (
        r"(?:anterior|posterior|superior|inferior)(?: |-)(?:view|projection|anterior|posterior|"
        r"fossa|cerebral|vena|mediastin\w+|to\b)|(?:antero|postero)-\w+"
    ),
    (
        r"tumou?r necrosis factor|myocardial infarct\w*|heart attack|cystic fibrosis|"
        r"dental plaques?|amyloid plaques?|gas gangrene|bleeding time|"
        r"multiple (?:sclerosis|myeloma)"
    ),
    (
        r"(?:oral|nasal|abdominal|pleural|peritoneal|chest|thoracic|body|uterine|pelvic|cranial|"
        r"buccal|joint|medullary|sinus|tympanic) cavit(?:y|ies)"
    ),
    (
        r"not only|no doubt|no question|not (?:entirely )?(?:certain|sure)|no longer|"
        r"with(?:out)? (?:any |a )?(?:doubt|question|hesitation|contrast)|no\.? ?\d+|(?:not|"
        r"cannot) be (?:excluded|ruled out)|with or without|not uncommon\w*|no(?=\s*[,.!]|\s*$)"
    ),
    (
        rf"(?:{_BODY} |dental |bone )(?:x[- ]?rays?|radiographs?)|(?:x[- ]?rays?|"
        rf"radiographs?)(?: image)? of (?:the |a |his |her )?(?:left |right )?{_BODY}|"
        r"angiograms?(?: \(x-ray\))?|clear cell\w*|(?:fundus|retinal|endoscopic) (?:photographs?|"
        r"photos?)"
    ),
    r"gross(?:ly)? (?:abnormal\w*|ha?ematuria|motor|total)",
    (
        r"single[- ](?:cent(?:re|er)|case|slice|image|institution|patient|dose|view|study|level|"
        r"plane)"
    ),
)

# Words that negate, limit or structure a statement.
_KINDS: dict[str, str] = {
    "marker": r"markers?\b|arrows?\b|arrowheads?\b",
    "void": (
        r"no (?:other|further|additional|second|more|new)\b|without (?:other|further|"
        r"additional)\b"
    ),
    "absent": (
        rf"absent\b|(?:not|{_NT}) (?:\w+ly )?(?:be )?{_SEEN}|(?:is|are|was|were) (?:excluded|"
        r"ruled out)"
    ),
    "deny": (
        r"no\b|not\b|without\b|absence of|lacks?\b|lacking\b|free (?:of|from)|negative for|"
        r"rather than|instead of|as opposed to|neither\b|nor\b|never\b|fails? to|excludes?\b|"
        rf"rules? out|{_NT}"
    ),
    "except": r"other than|except\w*|apart from|aside from|besides",
    "rest": (
        r"otherwise|elsewhere|remaining|remainder|rest of|surrounding|adjacent|background|"
        r"other\b|further\b|additional\b"
    ),
    "break": (
        r"(?:but|however|although|though|while|whereas|yet|which|with|because|since|there (?:is|"
        r"are|was|were))\b|and(?= (?:the|a|an|there|it|they|is|are|lies?|left|right|no)\b)"
    ),
    "or": r"or\b(?! not\b)",
    "hedge": (
        r"may\b|might\b|could\b|possibl[ey]|perhaps|some\b|various|suspected|suggest\w*|"
        r"cannot\b|certain (?:kind|changes)|potential\w*|if\b"
    ),
    "clear": (
        rf"{_IS}(?: \w+ly| all| both)? {_FINE}\b(?! that\b)|unremarkable\b|(?:shows?|showing|"
        r"demonstrat\w+|reveal\w*|is|as) (?:a |an )?(?:\w+ly )?(?:normal|clear)\b|"
        r"normal(?= (?:\w+ ){0,2}(?:appearances?|study|examination|radiograph|x-ray|ct|mri|mr|"
        r"scan|film|histology|specimen|section)\b)"
    ),
    "normal": r"normal\b|clear\b|healthy\b",
    "organ": (
        r"heart\b|cardiac|cardiomediastinal|mediastin\w+|ribs?\b|bones?\b|bony|diaphragm\w*|"
        r"vessels?|vascular|pleura\w*|hil(?:um|ar|a)\b|ventricles?|ventricular|trachea\w*|"
        r"soft tissues?|skull|midline|sulci|sinuses|laborator\w+|blood\b(?! smear)|counts?|vital"
    ),
    "nothing": r"none\b|nothing\b|nil\b",
}

# Words for attribute values and for findings in general; longer names first.
_VALUES: dict[tuple[str, str | int | None], str] = {
    ("modality", "chest_xray"): (
        r"(?:chest |plain )?(?:x[- ]?rays?|radiogra(?:ph(?:s|y|ic)?|m)|roentgenogra\w+)\b|"
        r"(?:chest|plain) films?|cxr\b"
    ),
    ("modality", "ct_scan"): (
        r"ct(?:[- ]scans?)?\b|computed[- ]tomogra\w+|computeri[sz]ed tomogra\w+|cat scans?|"
        r"tomograms?\b|ctpa\b"
    ),
    ("modality", "mri"): (
        r"f?mris?\b|magnetic resonance|mr (?:scans?|images?|imaging|study|slices?)|"
        r"mr\b(?! \w+ (?:is|was|had))|t[12][- ]?(?:weighted|w)\b|flair\b"
    ),
    ("modality", "histology"): (
        r"histolog\w*|histopatholog\w*|(?:photo)?micrographs?\b|microscop\w*|h ?& ?e\b|"
        r"ha?ematoxylin|tissue sections?|(?:blood|peripheral) smears?|(?:glass |stained |"
        r"tissue )?slides?\b|immunohistochem\w*|stained (?:tissue )?sections?"
    ),
    ("modality", "gross"): (
        r"gross(?:ly)?\b|macroscop\w*|cut surfaces?|photographs?\b|clinical photos?|(?:resected|"
        r"excised|resection|surgical|autopsy|liver|organ) specimens?"
    ),
    ("modality", "ultrasound"): r"ultraso\w+|sonogra\w+",
    ("finding", "infarction scar"): (
        r"(?:post-?)?infarct(?:ion|ed)?[- ]scar\w*|scars? (?:of|from|after|due to|"
        r"left by) (?:\w+ ){0,2}infarct\w*|scars?\b|scarred infarct\w*"
    ),
    ("finding", "metastasis"): (
        r"metasta(?:sis|ses|tic (?:deposits?|lesions?|nodules?|foc(?:i|us)|tumou?rs?|"
        r"disease))\b|metastatic\b|secondary deposits?"
    ),
    ("finding", "granuloma"): r"granulomas?\b|granulomata\b|granulomatous (?:\w+ )?\w+",
    (
        "finding",
        "necrosis",
    ): r"necros[ie]s\b|necrotic (?:areas?|foc(?:i|us)|regions?|tissue|zones?|patch\w*)",
    ("finding", "lymphoid aggregate"): (
        r"lymphoid (?:aggregat\w+|follicles?|nodules?|clusters?)|lymphocyt\w+ aggregat\w+|"
        r"(?:aggregat\w+|clusters?|collections?) of lympho\w+(?: cells)?"
    ),
    ("finding", "abscess"): r"abscess(?:es)?\b",
    ("finding", "cavity"): (
        r"cavit(?:y|ies|ations?)\b|cavitary (?:lesions?|disease)|cavitating (?:lesions?|focus|"
        r"foci)"
    ),
    (
        "finding",
        "consolidation",
    ): r"consolidat(?:ions?|ed)\b|air-?space (?:opaci\w+|shadow\w*|disease)",
    (
        "finding",
        "nodule",
    ): r"nodules?\b|nodular (?:opacit\w+|lesions?|shadows?|foc(?:i|us))|coin lesions?",
    ("finding", "haemorrhage"): (
        r"ha?emorrhag(?:es?|ing)\b|ha?emorrhagic (?:lesions?|foc(?:i|us)|areas?)|ha?ematomas?\b|"
        r"ha?ematomata|bleed(?:s|ing)?\b"
    ),
    ("finding", "infarct"): (
        r"infarct(?:s|ions?)?\b|infarcted (?:areas?|regions?|tissue)|ischa?emic (?:lesions?|"
        r"strokes?|foc(?:i|us)|areas?)"
    ),
    ("finding", "calcification"): (
        r"calcifi(?:cations?|ed(?: (?:lesions?|foc(?:i|us)|deposits?))?)\b|calcific (?:foc(?:i|"
        r"us)|deposits?|densit\w+)"
    ),
    (
        "finding",
        "tumour",
    ): r"(?:intra-axial |brain )?tumou?rs?\b|neoplasms?\b|neoplastic (?:lesions?|mass(?:es)?)",
    ("finding", "cyst"): r"cysts?\b|cystic (?:lesions?|spaces?|structures?|foc(?:i|us))",
    ("finding", "plaque"): r"plaques?\b|demyelinat\w+ (?:lesions?|plaques?|foc(?:i|us))",
    ("generic", None): (
        r"lesions?\b|abnormalit(?:y|ies)\b|abnormal (?:\w+ )?(?:areas?|findings?|foc\w+|"
        r"signals?)|anomal(?:y|ies)\b|(?:(?<=\bimage )|(?<=\bscan )|(?<=\bbrain )|(?<=\blungs )|"
        r"(?<=\btissue )|(?<=\bpicture )|(?<=\borgan )|(?<=\bspecimen ))abnormal\b"
    ),
    ("weak", None): r"findings?\b|changes?\b|disease\b|patholog(?:y|ies|ical|ic)\b",
    ("thing", None): (
        r"mass(?:es)?\b|opacit(?:y|ies)\b|opacification\b|shadow(?:s|ing)?\b|foc(?:i|us)\b|"
        r"areas?\b|spots?\b|deposits?\b|patch(?:es)?\b|densit(?:y|ies)\b|(?:it|they|them|its|"
        r"their)\b|located|situated|lying|lies?\b|affected|involved"
    ),
    ("side", "left"): r"left(?:[- ](?:sided|hand))?\b|leftwards?\b",
    ("side", "right"): r"right(?:[- ](?:sided|hand))?\b|rightwards?\b",
    (
        "level",
        "upper",
    ): r"upper(?:most)?\b|superior\b|top\b|apical\b|apex\b|apices\b|anterior(?:ly)?\b",
    ("level", "middle"): (
        r"middle\b|mid(?:[- ]?(?:zones?|lung|portion|part|third|field|level|section|region))?\b|"
        r"central(?:ly)?\b|(?:in|at|near|towards?|within) the cent(?:re|er)\b|cent(?:re|"
        r"er)(?= (?:of|part|third)\b)|^cent(?:re|er)\b"
    ),
    ("level", "lower"): (
        r"lower(?:most)?\b|inferior\b|bottom\b|basal\b|(?:lung|the) bases?\b(?! of the (?:skull|"
        r"hair|hand|brain|tongue))|posterior(?:ly)?\b"
    ),
    ("size", "small"): r"small(?:[- ]sized)?\b|tiny\b|minute\b|little\b|small-volume|diminutive\b",
    ("size", "large"): r"large(?:[- ]sized)?\b|big\b|size?able\b|bulky\b|huge\b|sizeable\b",
    ("count", 1): r"single\b|solitary\b|lone\b|sole\b",
    ("count", 2): r"(?:a )?(?:pair|couple) of\b|paired\b|twin\b",
    ("many", None): (
        r"multiple\b|several\b|numerous\b|many\b|multifocal\b|more than one\b|"
        r"more than a single\b"
    ),
    ("stated", "number"): (
        r"(?:numbering|numbers?|count|total(?:ling|s)?)\b(?: (?:is|are|was|were|of)|"
        rf"\s*[=:])?\s*(?:\w+ )?{_NUMBER}|n\s*=\s*{_NUMBER}|{_NUMBER} in (?:number|total|all)\b"
    ),
    ("number", "number"): rf"{_NUMBER}",
}

_TABLE: tuple[tuple[str, str | int | None, str], ...] = (
    *(("skip", None, pattern) for pattern in _LOOK_ALIKES),
    *((kind, None, pattern) for kind, pattern in _KINDS.items()),
    *((kind, value, pattern) for (kind, value), pattern in _VALUES.items()),
)


class Token(NamedTuple):
    """A word or phrase of the table, with its kind, its value and its position."""

    kind: str
    value: Any
    start: int
    end: int


_PAUSES = frozenset(";:()—,")
# A comma ends a clause unless a list continues after it ("no nodule, consolidation or cavity").
_PAUSE = r"[;:()—]|,(?!\s*(?:or|nor|and)\b|\s*(?:[\w-]+\s+){0,2}[\w-]+\s*(?:,|\b(?:or|nor|and)\b))"


# For speed, _FIND is a flat list of alternatives, which the regular expression engine scans by
# first letter. The rows of _NAME are tried only at its matches. The look-behind keeps words whole.
_FIND = re.compile(rf"(?<![a-z0-9])(?:{'|'.join(row[2] for row in _TABLE)})|{_PAUSE}")
_NAME = re.compile("|".join(f"(?P<t{place}>{row[2]})" for place, row in enumerate(_TABLE)))
_SENTENCE = re.compile(
    r"(?<=[.!?])(?<!\bfig\.)(?<!\bfigs\.)(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bvs\.)(?<!\bdr\.)\s+|\n+"
)
_LONGEST = 1000
_PIECES = re.compile(rf"(?s).{{1,{_LONGEST}}}(?:\s|$)|.{{{_LONGEST}}}")
_FOLDED = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "‑": "-"})
_DIGITS = re.compile(_NUMBER)


def fold(text: str) -> str:
    """Return `text` in lower case, with typographic quotes and dashes replaced by ASCII."""
    return text.translate(_FOLDED).lower()


def sentences(text: str) -> list[str]:
    """Return the non-empty folded sentences of `text`, each of at most 1,000 characters.

    Reading time grows with the square of a sentence's length, so longer sentences are split.
    """
    parts = [part for part in _SENTENCE.split(fold(text)) if part and not part.isspace()]
    if all(len(part) <= _LONGEST for part in parts):
        return parts
    return [piece for part in parts for piece in _PIECES.findall(part)]


def scan(sentence: str) -> list[Token]:
    """Return the tokens of one folded sentence, in order, without look-alike phrases."""
    tokens = []
    for match in _FIND.finditer(sentence):
        start, end = match.span()
        if sentence[start] in _PAUSES:
            tokens.append(Token("break", None, start, end))
            continue
        row = cast(re.Match[str], _NAME.match(sentence, start))  # what _FIND found has a name
        kind, value, _ = _TABLE[int(str(row.lastgroup)[1:])]
        if kind == "skip":
            continue
        if value == "number":
            value = _number(match.group())
        tokens.append(Token(kind, value, start, end))
    return tokens


def _number(text: str) -> int:
    word = cast(re.Match[str], _DIGITS.search(text)).group()
    return _WORDS[word] if word in _WORDS else int(word)

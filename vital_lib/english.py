"""Words of medical English, as several stages read them: forms, stems, numbers, sides, negations.

A few word lists and regular expressions, without a model. Independent of figures, questions and
answers.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

ARTICLES = frozenset(("a", "an", "the"))
NUMBERS = {
    word: number
    for number, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
}
OTHER_SIDE = {"left": "right", "right": "left"}
NEGATORS = frozenset(("not", "no", "nor", "neither", "never", "none", "nothing", "non", "without"))
"""Words that negate what follows them."""

WITHOUT = (
    r"\b(?:free|devoid|void|absence|lack|negative|instead)"
    r"(?: \w+ly)?[ -](?:of|from|for)\b|\bfail(?:s|ed)? to (?:show|reveal|demonstrate)\b"
    r"|\brul(?:es|ed|ing) out\b(?= (?:a|an|the|any)\b)|\bdenie[sd]\b|\black(?:s|ing)\b"
    r"|\brather than\b|\bclear of\b|\bexclud(?:es|ing)\b"
)
"""Pattern of the phrases that negate what follows them, as "without" does."""

_WORD = re.compile(r"[^\W_]+(?:\.\d+)*")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_SHORT = (
    (re.compile(r"\bcan(?:not|'t)\b"), "can not"),
    (re.compile(r"(?<!ca)n't\b"), " not"),
    (re.compile(r"\b(is|are|was|were|do|does|did|has|had|could|would|should)nt\b"), r"\1 not"),
    (re.compile(r"\bcant\b"), "can not"),
    (re.compile(r"'m\b"), " am"),
    (re.compile(r"'re\b"), " are"),
    (re.compile(r"'ve\b"), " have"),
    (re.compile(r"'(?:ll|d)\b"), " would"),
)
_READ = 2_000  # characters of a closed answer: its patterns are slow on longer ones
_FILE = r"(?:png|jpe?g|tiff?|dcm|gif|bmp|webp|svg|pdf|nii(?:\.gz)?|txt|json)"
# File names, addresses and tags say nothing about the image.
_NAMES = re.compile(
    rf"^(?!.*\b(?:is|are|was|were|shows?|see|in|of|answer)\b)[\w() -]+\.{_FILE}\s*$"
    r"|<[^<>\n]{0,40}>|\b(?:https?://|www\.)\S+|\b10\.\d{4,}/\S+"
    rf"|(?<![\w./\\-])[\w./\\-]*\w\.{_FILE}\b"
    r"|(?<!\w)(?:[a-z]:)?(?:[/\\][\w.-]+){2,}"
    r"|\b[a-z0-9-]+(?:_+[a-z0-9-]+)+\b",
    re.MULTILINE,
)
_SLIDE = r"(?:slides?|sections?|images?|views?|specimens?)"
# A modality by any of its names counts as the same word.
_SAME = tuple(
    (re.compile(rf"\b(?:{names})\b"), name)
    for names, name in (
        (r"cxrs?", "chest xray"),
        (r"(?:x[\s-]?rays?|radiographs?|roentgenograms?)(?:[\s-](?:images?|films?))?", "xray"),
        (
            r"(?:mri|(?:mr|magnetic resonance)[\s-](?:imag(?:e|es|ing)|scans?))"
            r"(?:[\s-](?:scans?|images?))?",
            "mri",
        ),
        (
            r"(?:ct|comput(?:ed|erized) tomograph(?:y|ic)|cat scans?)(?:[\s-](?:scans?|images?))?",
            "ct",
        ),
        (rf"(h ?& ?e)(?:[\s-]stained)?[\s-]{_SLIDE}", r"\1 histology"),
        (
            rf"histo(?:patho)?log(?:y|ic|ical)(?:[\s-]{_SLIDE})?|tissue[\s-]{_SLIDE}"
            r"|(?<!electron )(?:light |photo)?(?:micrographs?|microscopy)"
            rf"|(?:light )?microscopic(?:al)?[\s-]{_SLIDE}",
            "histology",
        ),
        (
            r"(?:gross|macroscopic)(?: pathology)?(?:[\s-]specimens?)?(?:[\s-]"
            r"(?:photo(?:graph)?s?|images?|sections?|views?))?|specimen[\s-]photo(?:graph)?s?",
            "gross",
        ),
    )
)
_PLURALS = (
    ("ies", "y"), ("tases", "tasis"), ("noses", "nosis"), ("roses", "rosis"), ("races", "rax"),
    ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("brae", "bra"), ("s", ""),
    ("oli", "olus"), ("ombi", "ombus"), ("foci", "focus"), ("omata", "oma"),
    ("swollen", "swelling"),
)  # fmt: skip
# The first match replaces the ending; at least `stays` letters must precede it.
_ENDINGS = tuple(
    (re.compile(rf"(?<=\w{{{stays}}})(?:{ending})$"), root)
    for stays, ending, root in (
        (2, r"if(?:y|ied|ying|ication)", "if"),  # calcified, calcification
        (3, r"m?mat(?:ion|ory)", "m"),  # inflammation
        (3, r"(?<=[ao])(?:tic|sis)|(?<=o)sed", ""),  # necrotic, metastasis, stenosed
        (3, r"em(?:ia|ic)", "em"),  # ischemia
        (3, r"matous", "ma"),  # edematous
        (3, r"hag(?:e|ic)", "hag"),  # hemorrhagic
        (3, r"(?<=[lr]u|va|ro)(?:sion|de|ded|ding)", "d"),  # occlusion, invaded, erosion
        (5, r"(?<=ten)[st]ion|(?<=pan)sion", "d"),  # distension, expansion
        (3, r"(?<=lat)ation", ""),  # dilatation
        (4, r"ncy", "nt"),  # malignancy
        (4, r"uosity", "uous"),  # tortuosity
        (2, r"(?:eal|ural|bial)", None),  # tracheal, pleural, tibial
        (4, r"ements?|ion|ity|ious|ing|ed", ""),  # enlargement, infection, density, thickened
        (4, r"(?<=ur|nc|rg|ps|ag|at|is|as|us|ac|ns)e", ""),  # fracture
    )
)


def folded(text: str) -> str:
    """Return `text` in lower case with plain apostrophes and full forms ("isn't" is "is not")."""
    found = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    for short, full in _SHORT:
        found = short.sub(full, found)
    return found


def counted(n: int, noun: str) -> str:
    """Return a number with its noun: "1 item", "2 items"."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def sentences(text: str) -> list[str]:
    """Return the sentences of `text`, split after full stops, exclamation and question marks."""
    return [part for part in _SENTENCE_END.split(text.strip()) if part]


def split_words(text: str) -> list[str]:
    """Return the words and numbers of `text`, whole and in its own case."""
    return _WORD.findall(text)


def words(text: str) -> list[str]:
    """Lower-case words without punctuation and articles; number words become digits.

    This follows the VQA challenge, except that "none" stays a word instead of becoming 0. A text of
    articles alone keeps them: the reference "A" is not empty.
    """
    found = [str(NUMBERS.get(word, word)) for word in split_words(folded(text))]
    return [word for word in found if word not in ARTICLES] or found


def said(text: str) -> str:
    """Return `folded` text without file names, addresses and tags, with one name per modality.

    Only the first 2,000 characters are used: a closed answer comes at the start.
    """
    return _one_name(_NAMES.sub(" ", folded(text[:_READ])))


def roots(text: str) -> list[str]:
    """Return the stem of each of the `words`, with one name per modality.

    "Nodules" and "nodule" have one stem, as have "chest radiograph" and "chest X-ray".
    """
    return [stem(word) for word in words(_one_name(folded(text)))]


def singular(word: str) -> str:
    """Return the singular of a word of at least four letters; others are returned as they are."""
    if len(word) < 4 or word.endswith(("ss", "us", "is")):
        return word
    for plural, end in _PLURALS:
        if word.endswith(plural):
            return word.removesuffix(plural) + end
    return word


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """Return the stem of a word: its singular, without a verb's or an adjective's ending.

    "Calcified" and "calcification", "necrotic" and "necrosis" share a stem. A general stemmer
    (Snowball's) keeps them apart: "calcifi" and "calcif", "metastat" and "metastasi".
    """
    found = singular(word)
    if len(word) > 3:
        found = found.replace("ae", "e").replace("oe", "e")
    if len(found) < 6:
        return found
    for ending, root in _ENDINGS:
        if ending.search(found):
            found = found[:-1] if root is None else ending.sub(root, found)
            return re.sub(r"([^aeiou])\1$", r"\1", found)
    return found


def _one_name(text: str) -> str:
    for others, name in _SAME:
        text = others.sub(name, text)
    return text

"""Words of a short answer, as the metrics compare them: whole, never as parts of words.

Independent of questions, references and the meaning of an answer.
"""

from __future__ import annotations

import re
import unicodedata

from vital_lib.evaluation._roots import stem

_WORD = re.compile(r"[^\W_]+(?:\.\d+)*")
_ARTICLES = frozenset(("a", "an", "the"))
_DIGITS = {
    word: str(digit)
    for digit, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
}
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
_READ = 2_000  # characters of a closed answer: the patterns below are slow on longer ones
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
_SAME = (
    (re.compile(r"\bcxrs?\b"), "chest xray"),
    (
        re.compile(
            r"\b(?:x[\s-]?rays?|radiographs?|roentgenograms?)(?:[\s-](?:images?|films?))?\b"
        ),
        "xray",
    ),
    (
        re.compile(
            r"\b(?:mri|(?:mr|magnetic resonance)[\s-](?:imag(?:e|es|ing)|scans?))"
            r"(?:[\s-](?:scans?|images?))?\b"
        ),
        "mri",
    ),
    (
        re.compile(
            r"\b(?:ct|comput(?:ed|erized) tomograph(?:y|ic)|cat scans?)(?:[\s-](?:scans?|images?))?\b"
        ),
        "ct",
    ),
    (re.compile(rf"\b(h ?& ?e)(?:[\s-]stained)?[\s-]{_SLIDE}\b"), r"\1 histology"),
    (
        re.compile(
            rf"\b(?:histo(?:patho)?log(?:y|ic|ical)(?:[\s-]{_SLIDE})?|tissue[\s-]{_SLIDE}"
            r"|(?<!electron )(?:light |photo)?(?:micrographs?|microscopy)"
            rf"|(?:light )?microscopic(?:al)?[\s-]{_SLIDE})\b"
        ),
        "histology",
    ),
    (
        re.compile(
            r"\b(?:(?:gross|macroscopic)(?: pathology)?(?:[\s-]specimens?)?(?:[\s-]"
            r"(?:photo(?:graph)?s?|images?|sections?|views?))?|specimen[\s-]photo(?:graph)?s?)\b"
        ),
        "gross",
    ),
)


def words(text: str) -> list[str]:
    """Lower-case words without punctuation and articles; number words become digits.

    This follows the VQA challenge, except that "none" stays a word instead of becoming 0. A text of
    articles alone keeps them: the reference "A" is not empty.
    """
    found = [_DIGITS.get(word, word) for word in _WORD.findall(folded(text))]
    return [word for word in found if word not in _ARTICLES] or found


def folded(text: str) -> str:
    """Return `text` in lower case with plain apostrophes and full forms ("isn't" is "is not")."""
    found = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    for short, full in _SHORT:
        found = short.sub(full, found)
    return found


def said(text: str) -> str:
    """Return `folded` text without file names, addresses and tags, with one name per modality.

    Only the first 2,000 characters are used: a closed answer comes at the start.
    """
    return _one_name(_NAMES.sub(" ", folded(text[:_READ])))


def roots(text: str) -> list[str]:
    """Return the root of each of the `words`, with one name per modality.

    "Nodules" and "nodule" have one root, as have "chest radiograph" and "chest X-ray".
    """
    return [stem(word) for word in words(_one_name(folded(text)))]


def _one_name(text: str) -> str:
    for others, name in _SAME:
        text = others.sub(name, text)
    return text

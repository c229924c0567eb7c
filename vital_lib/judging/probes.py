"""Corrupt answers and blank images, to test whether a judge notices.

A probe is an accepted answer with one kind of error put in: a wrong side, modality or count, or a
flipped negation. Probes are made from the English text alone, with the word lists below; an answer
without such words gives no probe. Blanking sends the same request with a grey image. This module
does not depend on measures.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from vital_lib.english import OTHER_SIDE
from vital_lib.figures import UnreadableImage, blank, open_figure
from vital_lib.tables import write_atomically

_SIDE = re.compile(r"\b(left|right)\b", re.I)
_OTHER_MODALITY = (
    (r"CT scans?|CT|computed tomograph(?:y|ic)", "MRI"),
    (r"(?:brain |cranial )?MRIs?|MR scans?|MR|magnetic resonance(?: imag(?:e|ing))?", "CT"),
    (r"(?:chest )?(?:X-?rays?|radiographs?)", "CT"),
    (r"ultrasound|sonogra(?:m|phy)", "MRI"),
    (r"histolog(?:y|ical)|histopatholog(?:y|ical)|micrographs?", "radiograph"),
    (r"gross(?: patholog(?:y|ical))?(?= (?:specimen|photograph|image|section))", "histology"),
)
_NAMES = "|".join(f"({names})" for names, _ in _OTHER_MODALITY)
_MODALITY = re.compile(rf"\b(?:(?P<article>an?) )?(?:{_NAMES})\b", re.I)
_NEXT = {"two": "three", "three": "two", "four": "five", "five": "four", "six": "seven"}
_NEXT |= {str(n): str(n + 1 if n % 2 == 0 else n - 1) for n in range(2, 10)}
_NEXT |= {"2": "3", "3": "2", "both": "three"}
_UNITS = r"(?!\s*(?:%|[cm]?m\b|k?g\b|ml\b|years?\b|months?\b|weeks?\b|days?\b|hours?\b|tesla\b))"
_COUNT = re.compile(
    rf"(?<![\w.,/-])({'|'.join(_NEXT)})(?![\w/%-]|[.,]\d){_UNITS}(?=\s+[a-z])", re.I
)
_AMOUNT = "(?:an? |the |one |two |three |four |several |[0-9]+ )?"
# (pattern, replacement): only the first pattern found is replaced, once.
_NEGATIONS = tuple(
    (re.compile(found, re.I), replacement)
    for found, replacement in (
        (r"\bno (?:evidence|sign) of\b", "clear evidence of"),
        (r"\b(is|are|was|were|does|do|can)(?: not|n't) ", r"\1 "),
        (r"\bwithout (?=an?\b|any\b|\w)", "with "),
        (r"\b(there (?:is|was)|shows?|has|have|with) no ", r"\1 a "),
        (r"\b(there (?:are|were)) no ", r"\1 "),
        (r"\bno (?=\w+ (?:is|are|was|were|can)\b)", "a "),
        (r"\bno (?=[a-z])", "a "),
        (rf"\b(there (?:is|are|was|were)|shows?|showing|has|have) {_AMOUNT}", r"\1 no "),
        (r"\b(is|are|was|were) ", r"\1 not "),
    )
)
_LEADS = {"yes": "no", "no": "yes"}
_LEAD = re.compile(r"(yes|no)(?=[,.;:]|$)", re.I)


def corrupt_answers(candidates: pd.DataFrame) -> pd.DataFrame:
    """Return every probe that can be made of `candidates`.

    Args:
        candidates: rows of the table candidates or drafts, preferably accepted ones.

    Returns:
        Rows as `candidates`, with candidate_id `<its own>-probe-<kind>`, the corrupted response,
        and two more columns: probe_of (the candidate's own id) and kind (of `KINDS`).
    """
    rows = []
    for row in candidates.to_dict("records"):
        for kind, corrupt in _CORRUPTERS.items():
            response = corrupt(row["response"])
            if response != row["response"]:
                own = {"candidate_id": f"{row['candidate_id']}-probe-{kind}", "response": response}
                rows.append({**row, **own, "probe_of": row["candidate_id"], "kind": kind})
    return pd.DataFrame(rows, columns=[*candidates, "probe_of", "kind"])


def blanked(figures: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Return `figures` (or `questions`) with each image replaced by a grey one in `folder`.

    The grey is each image's mean (``figures.blank``), and the file is named by the image's hash. An
    image that cannot be opened is not replaced, so that its requests are not sent either. A grey
    image is cleared if the image is.
    """
    sha256: dict[str, str] = {}

    def grey(row: Mapping[str, Any]) -> str:
        try:
            seen = open_figure(row)
        except UnreadableImage:
            return row["image"]
        target = folder / f"{seen.sha256[:16]}.png"
        if not target.exists():
            write_atomically(target, partial(blank(seen).save, format="PNG"))
        if seen.clearance.cleared:
            sha256[str(target)] = hashlib.sha256(target.read_bytes()).hexdigest()
        return str(target)

    images = pd.Series(list(map(grey, figures.to_dict("records"))), figures.index, dtype=object)
    hashes = {"sha256": images.map(sha256)} if "sha256" in figures else {}
    return figures.assign(image=images, **hashes)


def _replaced(pattern: re.Pattern[str], others: Mapping[str, str], text: str) -> str:
    """Replace each word that `pattern` finds by the other one, in its case."""
    return pattern.sub(lambda found: _cased(found[0], others[found[0].lower()]), text)


def _in_other_modality(found: re.Match[str]) -> str:
    place = next(n for n, names in enumerate(found.groups()[1:]) if names)
    other = _OTHER_MODALITY[place][1]
    if not found["article"]:
        return other
    article = "an" if other == "MRI" else "a"
    return f"{_cased(found['article'], article)} {other}"


def _negated(text: str) -> str:
    """Negate the first sentence, or undo its negation, and flip a leading yes or no."""
    found = _LEAD.match(text)
    lead = found[0] if found else ""
    head = _cased(lead, _LEADS[lead.lower()]) if lead else ""
    first, stop, others = re.split(r"([.!?](?=\s)|$)", text[len(lead) :], maxsplit=1)
    for pattern, replacement in _NEGATIONS:
        if pattern.search(first):
            first = pattern.sub(lambda m, to=replacement: _cased(m[0], m.expand(to)), first, 1)
            break
    return head + first + stop + others


_CORRUPTERS: dict[str, Callable[[str], str]] = {
    "side": partial(_replaced, _SIDE, OTHER_SIDE),
    "modality": partial(_MODALITY.sub, _in_other_modality),
    "count": partial(_replaced, _COUNT, _NEXT),  # "one" and "none" are left to the negation
    "negation": _negated,
}
KINDS = tuple(_CORRUPTERS)
"""What a probe corrupts."""


def _cased(like: str, word: str) -> str:
    """Return `word` with the capitals of `like`."""
    if len(like) > 1 and like.isupper():
        return word.upper()
    return word.capitalize() if like[:1].isupper() else word

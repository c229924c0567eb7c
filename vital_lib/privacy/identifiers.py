"""Finds what may identify a patient in captions and mentions, by a few rules.

The rules look for what has a form: a name after a title, a date, a number after its label. A name
in running text without a title or a label is not found, so nothing found does not mean nothing is
there. ``docs/privacy.md`` states what the rules found of planted identifiers, and their false
alarms on published captions. This module opens no file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

_NAME = r"(?:(?:van|von|der|den|de|del|della|da|di|la|le|ter|bin|al)\s+)*[A-ZÀ-ÞĀ-Ž][\w'’-]+"
_NAMES = rf"{_NAME}(?:,?\s+{_NAME}|,?\s+[A-Z]\.?(?=\s|,|$)){{0,3}}"
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_YEAR = r"(?:19|20)\d\d"
_TITLE = r"(?:Mr|Mrs|Ms|Mx|Miss|Mister|Dr|Prof|Professor|Herr|Frau|Mme|Monsieur|Madame|Señora?)"
_STREET = r"(?:street|st|avenue|ave|road|rd|lane|ln|drive|boulevard|blvd|court|square|terrace)"
_RECORD = (
    r"(?:MRN|medical record|patient id(?:entifier)?|patient (?:no|number)|hospital (?:no|number|id)"
    r"|accession(?: no| number)?|record (?:no|number)|case id|study id|NHS(?: no| number)?"
    r"|social security(?: number)?|SSN|insurance (?:no|number|id)|PID|pat\.? ?id)"
)

RULES: dict[str, tuple[re.Pattern[str], ...]] = {
    "name": (
        re.compile(rf"\b{_TITLE}\.?\s+{_NAMES}"),
        re.compile(
            rf"\b(?i:(?:patient(?:'s)?|pt|full|first|last|family|given|sur)[ _-]?name|name|surname)"
            rf"(?i:\s+(?:is|was)\s+|\s*[:=]\s*){_NAMES}"
        ),
        re.compile(
            rf"\b(?i:patient|pt\.?|named|called|signed by|reported by):?\s+{_NAME}\s+{_NAME}"
        ),
        re.compile(r"\b[A-ZÀ-Þ][\w'’-]+\^[A-ZÀ-Þ][\w'’^-]*"),  # as in DICOM headers
    ),
    "date": (
        re.compile(r"(?<![\d/.-])\d{1,2}[/.-]\d{1,2}[/.-](?:\d{4}|\d{2})(?![\d/.-]*\d)"),
        re.compile(rf"(?<!\d){_YEAR}[/.-](?:0?[1-9]|1[0-2])[/.-](?:0?[1-9]|[12]\d|3[01])(?!\d)"),
        re.compile(rf"(?<!\d){_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?!\d)"),
        re.compile(
            rf"(?<![\w.])(?:[0-3]?\d(?:st|nd|rd|th)?(?:\s+of)?[\s-]+{_MONTH}"
            rf"|{_MONTH}[\s-]+[0-3]?\d(?:st|nd|rd|th)?(?!\d|\.\d))(?:,?[\s-]+{_YEAR})?\b",
            re.IGNORECASE,
        ),
        re.compile(rf"\b{_MONTH}[\s,]+(?:of\s+)?{_YEAR}\b", re.IGNORECASE),
    ),
    "record number": (
        re.compile(
            rf"\b{_RECORD}\.?\s*(?:is|was)?\s*[:#=]?\s*(?=[\w/-]*\d)[\w/-]{{3,}}(?: \d{{3,4}})*",
            re.IGNORECASE,
        ),
        re.compile(r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])"),  # social security number
        re.compile(r"(?<![\d-])\d{3} \d{3} \d{4}(?![\d-])"),  # NHS number
        re.compile(r"(?<!\w)#\s?\d[\w/-]{3,}|\b[A-Z]{1,2}\d\d-\d{4,}\b"),  # case, specimen
        re.compile(r"\b(?i:ID)\s*[:#=]\s*(?=[\w-]*\d)[\w-]{4,}"),
    ),
    "telephone": (
        re.compile(
            r"\b(?:tel(?:ephone)?|phone|mobile|cell|fax|pager|call)\b\.?\s*(?:no\.?|number)?\s*[:#]?"
            r"\s*\+?\(?\d[\d\s().-]{5,}\d",
            re.IGNORECASE,
        ),
        re.compile(r"(?<![\w.])\+\d{1,3}[\s.-]?\(?\d{1,4}\)?(?:[\s.-]?\d{2,4}){2,4}(?!\d)"),
        re.compile(r"(?<![\d.,])0\d{2,4} \d{3,4} ?\d{3,4}(?!\d|\.\d)"),
        re.compile(r"(?<!\d)(?:\(\d{3}\)\s?|\d{3}[-.])\d{3}[-.]\d{4}(?!\d)"),
    ),
    "e-mail": (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),),
    "address": (
        re.compile(
            rf"\b\d{{1,5}}[A-Za-z]?,?\s+(?:[A-ZÀ-Þ][\w'’.-]*\s+){{1,3}}(?i:{_STREET})\b\.?",
        ),
        re.compile(r"\b[A-ZÄÖÜ]\w*(?:straße|strasse|str\.|gasse|allee)\s+\d{1,4}\s?[a-z]?\b"),
        re.compile(r"\b\d{1,4},? (?:rue|via|calle|avenida)(?: [\w'’]+){1,4}"),
        re.compile(r"\b(?:rue|via|calle|avenida)\s+(?:[\w'’]+\s+){1,3},?\s*\d{1,4}\b"),
        re.compile(r"\b[A-Z][a-z]+,\s+[A-Z]{2}\s+\d{5}(?:-\d{4})?\b"),  # city, state and ZIP code
        re.compile(r"\b[A-Z]{1,2}\d[A-Z\d]? \d[ABD-HJLNP-UW-Z]{2}\b"),  # British postcode
    ),
    "age over 89": (
        re.compile(
            r"(?<![\d.,-])(?:9\d|1[0-2]\d)[\s-]*(?:years?|yrs?|y)?[\s/.-]*(?:old\b|o\b|of age\b)",
            re.IGNORECASE,
        ),
        re.compile(
            r"\b(?:aged?|age of|age:)\s*(?:9\d|1[0-2]\d)(?![\d.,]*\d|\s*(?:days|months|%))", re.I
        ),
        re.compile(r"\b(?:nonagenarian|centenarian)s?\b", re.IGNORECASE),
        re.compile(
            r"\bninety[\s-](?:one|two|three|four|five|six|seven|eight|nine)[\s-]years?(?:[\s-]old)?",
            re.I,
        ),
    ),
}
"""What is looked for: a kind, and the forms that it is found in."""


class Identifier(NamedTuple):
    """What may identify a patient in a text: its kind (of `RULES`), where it begins and ends."""

    kind: str
    begin: int
    end: int


def find_identifiers(text: str) -> list[Identifier]:
    """Return what may identify a patient in a text, in order; of two that overlap, the longer."""
    found = sorted(_all_in(text), key=lambda one: (one.begin - one.end, one.begin))
    kept: list[Identifier] = []
    for one in found:
        if all(one.end <= other.begin or other.end <= one.begin for other in kept):
            kept.append(one)
    return sorted(kept, key=lambda one: one.begin)


def _all_in(text: str) -> Iterator[Identifier]:
    for kind, patterns in RULES.items():
        for pattern in patterns:
            for match in pattern.finditer(text):
                yield Identifier(kind, *match.span())


def texts_of(row: pd.Series | dict) -> dict[str, str]:
    """Return a figure's texts by place: caption, mention 1, mention 2, ..."""
    mentions = enumerate(row["mentions"], start=1)
    return {"caption": row["caption"], **{f"mention {n}": text for n, text in mentions}}


def find_in_texts(figures: pd.DataFrame) -> pd.DataFrame:
    """Return what may identify a patient in the captions and mentions of figures.

    Args:
        figures: columns figure_id, caption, mentions.

    Returns:
        figure_id, place (caption, mention 1, ...), kind (of `RULES`), begin, end, text.
    """
    rows = [
        (row["figure_id"], place, *found, text[found.begin : found.end])
        for row in figures[["figure_id", "caption", "mentions"]].to_dict("records")
        for place, text in texts_of(row).items()
        for found in find_identifiers(text)
    ]
    return pd.DataFrame(rows, columns=["figure_id", "place", "kind", "begin", "end", "text"])

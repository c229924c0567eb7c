"""Names the Creative Commons licence that an address or a sentence states.

Only what is stated is named; no licence is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_ADDRESS = re.compile(
    r"creativecommons\.org/(?:licen[sc]es/([a-z-]+)(?:/(\d\.\d))?|publicdomain/(zero|mark)\b)",
    re.IGNORECASE,
)
_SHORT = re.compile(r"\bcc[ -]?(by(?:[ -](?:nc|nd|sa)){0,2})\b[ -]?(?:v?(\d\.\d))?", re.IGNORECASE)
_ZERO = re.compile(r"\bcc[ -]?0\b|\bcc zero\b", re.IGNORECASE)
_WORDS = re.compile(
    r"creative commons[\s,]+(?:public licen[sc]e[\s,]+)?"
    r"(attribution"
    r"(?:[\s,-]*(?:non[- ]?commercial|no[- ]?deriv(?:ative|ate)?(?:s| works)?|share[- ]?alike))*)"
    r"(?:\D{0,25}(\d\.\d))?",
    re.IGNORECASE,
)
_PARTS = (
    ("nc", r"non[- ]?commercial|\bnc\b"),
    ("nd", r"no[- ]?deriv|\bnd\b"),
    ("sa", r"share[- ]?alike|\bsa\b"),
)
_CODES = {"by", "by-sa", "by-nc", "by-nd", "by-nc-sa", "by-nc-nd"}
_EXCEPTION = re.compile(
    r"\b(?:except(?:ing|ions?)?|exclud(?:es?|ed|ing)|exclusion of)\b(?! (?:where|when|as|if)\b)",
    re.IGNORECASE,
)  # not "except where otherwise noted", which refers to the figure's own permission
_LONGEST = 300


def licence_of(texts: Iterable[str]) -> str | None:
    """Return the licence that `texts` state, such as "CC BY-NC 4.0"; None for empty texts.

    Addresses of licences count before sentences. A text that names no known licence is returned
    itself, shortened; so is one with an exception ("CC BY except figure 3"), which may be the very
    figure. Texts that name different licences are joined by " / ", which is no licence that allows
    reuse.
    """
    given = [" ".join(text.split()) for text in texts if text and text.strip()]
    if limited := next(filter(_EXCEPTION.search, given), None):
        return limited[:_LONGEST]
    for read in (_addressed, _said):
        found = [name for text in given for name in read(text)]
        full = [name for name in found if not any(o != name and o.startswith(name) for o in found)]
        if full:
            return " / ".join(dict.fromkeys(full))
    return given[0][:_LONGEST] if given else None


def named_in(text: str) -> bool:
    """Return whether a text names a Creative Commons licence."""
    return bool(_addressed(text) or _said(text))


def _addressed(text: str) -> list[str]:
    found = []
    for code, version, public in _ADDRESS.findall(text):
        if public:
            found.append("CC0 1.0" if public.lower() == "zero" else "public domain")
        elif code.lower().strip("-") in _CODES:
            found.append(_named(code.lower().strip("-"), version))
    return found


def _said(text: str) -> list[str]:
    found = ["CC0 1.0"] if _ZERO.search(text) else []
    limits = {code for code, sign in _PARTS[:2] if re.search(sign, text, re.IGNORECASE)}
    for pattern in (_SHORT, _WORDS):
        for words, version in pattern.findall(text):
            kinds = [code for code, sign in _PARTS if re.search(sign, words, re.IGNORECASE)]
            code = "-".join(["by", *kinds])
            if code in _CODES and limits <= set(kinds):  # else the sentence limits it further
                found.append(_named(code, version))
    return found


def _named(code: str, version: str) -> str:
    return f"CC {code.upper()} {version}".strip()

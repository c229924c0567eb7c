"""Licences by their SPDX names, whatever a source calls them.

A text is a licence only if it is nothing else: a name, the address of a Creative Commons deed, or
both. A sentence about a licence can contain an exception, so it is unknown. Nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from urllib.parse import urlsplit

import pandas as pd

PUBLIC_DOMAIN = "Public domain"
"""Name of a work without copyright; SPDX has none."""

STATED, ANY = "stated", "any"
"""Every licence, if one is stated; or also none."""

_PARTS = {"by": "BY", "nc": "NC", "nd": "ND", "sa": "SA", "attribution": "BY", "sharealike": "SA",
          "noncommercial": "NC", "noderivatives": "ND", "noderivs": "ND"}  # fmt: skip
_ALLOWED = ("BY", "BY-SA", "BY-NC", "BY-ND", "BY-NC-SA", "BY-NC-ND")
_OPEN = ("CC0", "CC-BY", "CC-BY-SA", PUBLIC_DOMAIN, "CC-PDM")
_OTHERS = {
    **{"mit": "MIT", "mit license": "MIT", "mit licence": "MIT", "isc": "ISC"},
    **{"apache 2.0": "Apache-2.0", "apache license 2.0": "Apache-2.0"},
    **{"bsd 3 clause": "BSD-3-Clause", "bsd 2 clause": "BSD-2-Clause"},
}
_VERSION = r"(?P<version>\d(?:\.\d)?)"
_MORE = r"(?: (?:nc|nd|sa|non ?commercial|no ?deriv(?:ative)?s|share ?alike))*"
_REGION = r"(?: (?:international|unported|generic|(?P<port>[a-z]{2,3}|united states)))?"
_WORD = r"(?: (?:public )?licen[cs]e)?"
_NAME = re.compile(
    rf"(?:(?:cc|creative commons) )?(?P<parts>(?:attribution|by){_MORE}){_WORD}"
    rf"(?: v?{_VERSION}{_REGION})?(?: international)?{_WORD}(?: deed)?"
)
_MARK = re.compile(rf"cc pdm(?: {_VERSION})?|public domain mark(?: (?P<other>\d\.\d))?")
_ZERO = re.compile(
    rf"(?:cc ?(?:0|zero)|(?:creative commons )?(?:cc ?0|zero))(?: v?{_VERSION})?"
    r"(?: universal)?(?: public domain dedication)?"
)
_DOMAIN = re.compile(r"(?:in the )?public domain(?: us(?: [a-z]+)?| [a-z]+ government)?")
_BRACKETS = re.compile(r"^(.*?)\s*[(\[]([^()\[\]]+)[)\]]$")


@cache
def spdx(text: str | None) -> str | None:
    """Return the SPDX name of a licence as a source states it; None if it is not known.

    "CC BY 4.0", "cc-by-4.0", "Creative Commons Attribution 4.0 International" and
    "https://creativecommons.org/licenses/by/4.0/" are "CC-BY-4.0". Without a version, the name has
    none ("CC-BY"). If a name and the text in brackets after it differ, the licence is not known.
    """
    if not isinstance(text, str) or not text.strip():
        return None
    plain = " ".join(text.split())
    if found := _of_address(plain) or _of_name(plain):
        return found
    if both := _BRACKETS.match(plain):
        names = [spdx(part) for part in both.groups()]
        if None not in names and len({_family(str(name)) for name in names}) == 1:
            return max(map(str, names), key=len)
    return None


def is_open(text: str | None) -> bool:
    """Whether everyone may use and change the work, also commercially."""
    name = spdx(text)
    return name is not None and _family(name) in _OPEN


def terms(text: str | None) -> list[str]:
    """Return in words what the licence demands or forbids: credit, share alike, no ..."""
    parts = (spdx(text) or "").split("-")
    words = {"BY": "credit", "SA": "same licence", "NC": "no commercial use", "ND": "no changes"}
    return [word for part, word in words.items() if part in parts and parts[0] == "CC"]


def wanted_names(wanted: Sequence[str]) -> frozenset[str]:
    """Return the SPDX names of the licences to allow.

    Raises:
        ValueError: one of them is not known, or none is given.
    """
    unknown = [text for text in wanted if spdx(text) is None]
    if unknown or not len(wanted) or isinstance(wanted, str):
        raise ValueError(
            f"licences = {wanted!r}: {unknown or 'an empty list or a text'} cannot be used; give a "
            'list of names such as "CC0", "CC BY", "CC BY-NC 4.0", "Public domain"'
        )
    return frozenset(str(spdx(text)) for text in wanted)


def allowed(text: str | None, names: frozenset[str]) -> bool:
    """Whether a stated licence is one of `names` (`wanted_names`); an unknown one never is.

    A name without a version stands for all versions. "CC BY" does not stand for "CC BY-NC".
    """
    name = spdx(text)
    return name is not None and bool({name, _family(name)} & names)


def figures_under(figures: pd.DataFrame, wanted: Sequence[str] | str) -> set[str]:
    """Return the figures under one of the `wanted` licences; all for "stated" and "any".

    Args:
        figures: columns figure_id, licence.

    Raises:
        ValueError: a wanted licence is not known, or no figure is under any.
    """
    if wanted in (STATED, ANY):
        return set(figures["figure_id"])
    names = wanted_names(wanted)
    fits = [allowed(text, names) for text in figures["licence"].astype(object)]
    if not any(fits):
        stated = sorted({str(text) for text in figures["licence"].dropna()})[:5]
        raise ValueError(
            f"licences = {list(wanted)!r}: 0 of {len(fits)} figures are under these; stated are "
            f"{', '.join(stated) or 'none'}"
        )
    return set(figures["figure_id"][fits])


def _of_name(text: str) -> str | None:
    words = " ".join(re.sub(r"[-_/,:–—‐‑]+", " ", text.lower()).split())
    words = re.sub(r"^(cc)(by|0)", r"\1 \2", words)
    words = re.sub(r"(by|sa|nc|nd|cc 0)(\d)", r"\1 \2", words)
    words = re.sub(r"(?<=\d) (?=\d\b)", ".", words) if "." not in words else words
    if found := _ZERO.fullmatch(words):
        return f"CC0-{_version(found['version'] or '1.0')}"
    if found := _MARK.fullmatch(words):
        return f"CC-PDM-{_version(found['version'] or found['other'] or '1.0')}"
    if _DOMAIN.fullmatch(re.sub(r"[()]", "", words)):
        return PUBLIC_DOMAIN
    if found := _NAME.fullmatch(words):
        spaced = re.sub(r"(non|no|share) (?=comm|deriv|alike)", r"\1", found["parts"])
        spaced = spaced.replace("noderivatives", "nd").replace("noderivative", "nd")
        bare = not words.startswith(("cc ", "creative commons ")) and found["parts"] == "by"
        return None if bare else _named(spaced.split(), found["version"], found["port"])
    return _OTHERS.get(words)


def _of_address(text: str) -> str | None:
    try:
        address = urlsplit(text if "://" in text else f"https://{text}")
        host = (address.hostname or "").removeprefix("www.")
    except ValueError:  # such as an incomplete IPv6 address
        return None
    parts = [part for part in address.path.lower().split("/") if part]
    if " " in text or host != "creativecommons.org" or len(parts) < 2:
        return None
    kind, name, *rest = parts
    rest = [part for part in rest if not part.startswith(("legalcode", "deed"))]
    version = rest[0] if rest and re.fullmatch(_VERSION, rest[0]) else None
    if kind == "publicdomain":
        known = {"zero": f"CC0-{version or '1.0'}", "mark": f"CC-PDM-{version or '1.0'}"}
        return known.get(name)
    port = rest[1] if len(rest) > 1 and re.fullmatch(r"[a-z]{2,4}", rest[1]) else None
    return _named(name.split("-"), version, port) if kind == "licenses" else None


def _named(parts: Sequence[str], version: str | None, port: str | None) -> str | None:
    codes = [_PARTS.get(part) for part in parts]
    order = [code for code in ("BY", "NC", "ND", "SA") if code in codes]
    if None in codes or len(order) != len(codes) or "-".join(order) not in _ALLOWED:
        return None
    ends = [_version(version)] if version else []
    ends += [{"united states": "US"}.get(port, port.upper())] if port and version else []
    return "-".join(["CC", *order, *ends])


def _version(text: str) -> str:
    return text if "." in text else f"{text}.0"


def _family(name: str) -> str:
    """Return the name without version and port."""
    return re.sub(r"-\d.*$", "", name)

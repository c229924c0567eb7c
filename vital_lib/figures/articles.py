"""Finds the article of a record (PMID, PMCID or DOI) in its ids, URLs and paths.

A record without an identifier is grouped by its URL, or by the part of its id before the figure
number. This module does not depend on files, images or splits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from vital_lib.records import InvalidRecord, shown

_STATED = ("group_id", "patient_id", "pmid")
_NAMED = {
    **{"pmid": "pmid {}", "pubmed_id": "pmid {}"},
    **{"pmcid": "pmc{}", "pmc_id": "pmc{}", "pmc": "pmc{}", "doi": "{}"},
}
"""Fields that hold an identifier, each with the form of a bare number in it."""

_ADDRESSES = ("url", "article_url", "source_url", "link", "href")
_PLACES = (
    *("pair_id", "figure_id", "id", "image_id", "fig_uri"),
    *("image", "image_path", "file_name", "path", "text_path"),
)
_DOCUMENTS = ("article_id", "paper_id", "pdf_hash")
_SEARCHED = (*_ADDRESSES, *_DOCUMENTS, *_PLACES)
# Characters of a text that are searched: a field may hold a whole image instead of its path.
_LONGEST = 2_000

_PMCID = re.compile(r"(?<![a-z\d])pmc(?:id)?(?:[-_ :=]{0,2}(?:pmc)?(\d{5,9})|(\d{3,9}))(?![\dxmk])")
_PMC_PAGE = re.compile(r"/pmc/articles/(?:pmc)?(\d{3,9})(?!\d)")
_PMID = re.compile(
    r"(?:(?<![a-z\d])(?:pmid|pubmed)(?:[-_ ]?id)?[-_ :=/]{0,3}|\bpubmed\.(?:ncbi\.nlm\.nih\.)?gov/"
    r"|/(?:article|abstract)/med/"
    r"|^(?=.*pubmed).*[?&](?:term|list_uids|uid|id)=)0*([1-9]\d{0,7})(?!\d)"
)
_PMID_MARKS = ("pmid", "pubmed", "/med/")
_BARE_PMID = re.compile(
    r"(?:^|/)([1-9]\d{4,7})_(?:figure|fig|f)[-_]?\d[^/]*$"  # LLaVA-Med's form
    r"|(?:^|/)(?!(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])/)([1-9]\d{6,7})/",  # not a date
    re.IGNORECASE,
)
_DOI = re.compile(r"(?<![\d.])(10\.\d{4,9}(?:\.\d+)*)(?:[/_]|-(?=[a-z]))([^\s?&#\"'|\\]+)")

# Parts of a URL or a path that follow a DOI and do not belong to it.
_AFTER_DOI = re.compile(
    r"(?:fig(?:ure)?s?|tables?|full(?:[-_]?text)?|abs(?:tract)?|e?pdf(?:direct)?|html|xml|epub"
    r"|assets?|attachments?|mediaobjects|media|images?|img|downloads?|suppl\w*|meta|references"
    r"|citations?|metrics|large|medium|related|viewer"
    r"|(?:fig|figure|f|t|table|panel)[-_.]?\d+\w*|.*\.(?:jpe?g|png|gif|tiff?|webp|svg|bmp|dcm))"
)
_ENDINGS = re.compile(
    r"(?:\.(?:jpe?g|png|gif|tiff?|webp|svg|bmp|dcm|pdf|x?html?|n?xml|full(?:-text)?|abstract|large"
    r"|json|txt|zip|tar|t?gz|epub)|[.,;:\]}'*>-])$"
)
_COMPONENT = re.compile(
    r"(?:\.[gste]\d{3}|\.fig(?:ure)?[-_]?\d+\w*|[_-](?:figure|fig|gr|img|image|panel)[-_.]?\d+\w*"
    r"|_(?:f|g|t|table)[-_]?\d+\w*)(?:[-_.].*)?$"
)
_ARXIV = re.compile(
    r"(?<![a-z\d])arxiv(?:\.org/(?:abs|pdf|html|format|src|e-print)/|[:_ -]{1,2})"
    r"(\d{4}\.\d{4,5}|[a-z-]+(?:\.[a-z]{2})?/\d{7})(?!\d)"
)
_VERSION = {
    "10.48550": re.compile(r"v\d+$"),
    "10.1101": re.compile(r"v\d+(?:\..*)?$"),  # bioRxiv, medRxiv
    "10.64898": re.compile(r"v\d+(?:\..*)?$"),
    "10.12688": re.compile(r"(?<=\d)\.\d+$"),  # F1000
    "10.7554": re.compile(r"(?<=\d)\.\d+$"),  # eLife's figures
}
_NUMBERED = re.compile(r"_\d{1,3}$")
# The DOIs of book chapters, of Medknow's articles and of prefix 10.1207 end in such a number.
_ARTICLE_NUMBERED = re.compile(r"10\.1007/(?!s\d).*[^_]_\d+$|_\d+_\d{2}$|10\.1207/")

_FIGURE_PART = re.compile(r"_(?:figure|fig|f)[-_]?\d", re.IGNORECASE)
_FIGURE_PAGE = re.compile(
    r"/(?:fig(?:ure)?s?|tables?)(?:/(?:figure|fig|f|table|t)?[-_.]?\d{0,3}[a-z]?(?:[-._]\w+)*)?/?$"
    r"|/(?:fig(?:ure)?|f|t)[-_]?\d{1,3}[a-z]?(?:[-._]\w+)*/?$",
    re.IGNORECASE,
)
_ONE_FILE = re.compile(r"(?:/File:.*|\.(?:jpe?g|png|gif|tiff?|webp|svg))$", re.IGNORECASE)
_FIGURE_FILE = re.compile(
    r"(?:/fig(?:ure)?s?/(?:figure|fig|f)?|/(?:figure|fig|f))[-_]?\d{1,3}[a-z]?(?:\.\w+)?\.\w+$",
    re.IGNORECASE,
)
_NO_ARTICLE_PART = re.compile(
    r"(?:utm_\w+|fbclid|gclid|size|width|height|w|h|format|lang|download|dopt|report)=.*"
    r"|(?:fig\w*|panel|page|index|pos|req|seq|tab|view|type|ref|n|no)=\w{0,3}"
    r"|\w*=(?:figure|fig|f|g|gr)[-_.]?\d{1,4}\w?",
    re.IGNORECASE,
)  # query parameters that select a figure or a view of one article


@dataclass(frozen=True)
class Article:
    """The article identifiers of one record.

    Args:
        stated: the group that the record states, or None.
        ids: PMID (digits), PMCID ("PMC" and digits) and DOI (lower case, "10..."), each at most
            once, the most reliable first.
        otherwise: the group to use without `stated` and `ids`.
    """

    stated: str | None
    ids: tuple[str, ...]
    otherwise: str


def article_of(record: Mapping[str, Any], figure_id: str) -> Article:
    """Find the article of `record` in its own fields and in those of its `source`.

    `group_id` and `patient_id` state the group, and so does a `pmid` that is not a PMID.
    Identifiers come from their own fields first, then from ids, URLs and paths. Captions, mentions,
    licences and credits are not searched.

    Raises:
        InvalidRecord: `group_id`, `patient_id` or `pmid` is neither text nor a whole number.
    """
    source = record.get("source")
    if isinstance(source, str) and "://" in source:
        source = {"url": source}
    own = dict(source) if isinstance(source, Mapping) else {}
    own |= {name: value for name, value in record.items() if value is not None}
    stated = {name: _stated(own, name) for name in _STATED}
    if text := stated["group_id"] or stated["patient_id"]:
        return Article(text, (), text)
    if (text := stated["pmid"]).strip("0") and not _named("pmid", text):
        return Article(text, (), text)
    found: dict[str, str] = {}
    for name in _NAMED.keys() & own.keys():
        found |= _named(name, _plain(own[name]))
    for text in (figure_id, *(own[name] for name in _SEARCHED if name in own)):
        if isinstance(text, str):
            found = article_ids(text) | found
    ids = [found[kind] for kind in ("pmid", "pmcid", "doi") if kind in found]
    paths = [name for name in (figure_id, own.get("image")) if isinstance(name, str)]
    bare = next(filter(None, map(_BARE_PMID.search, paths)), None)
    if bare and "pmid" not in found:
        ids.append(bare[1] or bare[2])  # last: an unmarked number is less reliable
    return Article(None, tuple(ids), _without_ids(own, figure_id))


def article_id(record: Mapping[str, Any], name: str) -> str | None:
    """Return the group that `record` states, or its PMID, PMCID or DOI; None without any of them.

    Args:
        name: the record's id, which is searched too.

    Raises:
        InvalidRecord: as in `article_of`.
    """
    article = article_of(record, name)
    return article.stated or next(iter(article.ids), None)


def article_ids(text: str, *, exact: bool = False) -> dict[str, str]:
    """Return the first PMID, PMCID and DOI in an id, a URL or a path, normalized.

    Args:
        text: the id, URL (with its query string) or path, percent-encoded or not.
        exact: whether `text` is a registered identifier. The number at the end of a DOI is then
            kept, not removed as a figure number.

    Returns:
        The identifiers found, by kind: "pmid" (digits), "pmcid" ("PMC" and digits) and "doi"
        (lower case, without the suffix of a figure, a file or a version).
    """
    plain = text[:_LONGEST].lower()
    if "%" in plain:
        plain = unquote(unquote(plain)).lower()
    found = {}
    if any(mark in plain for mark in _PMID_MARKS) and (pmid := _PMID.search(plain)):
        found["pmid"] = str(int(pmid[1]))
    if "pmc" in plain and (pmcid := _PMCID.search(plain) or _PMC_PAGE.search(plain)):
        digits = next(digits for digits in pmcid.groups() if digits)
        found["pmcid"] = f"PMC{int(digits)}"
    for doi in _DOI.finditer(plain) if "10." in plain else ():
        if whole := _doi(doi[1], doi[2], exact or "://" in plain):
            return {**found, "doi": whole}
    if "arxiv" in plain and (preprint := _ARXIV.search(plain)):
        found["doi"] = f"10.48550/arxiv.{preprint[1]}"  # the DOI that arXiv registers
    return found


def rank(group_id: str) -> tuple[int, str]:
    """Return the sort key of a group: PMIDs (smaller first), PMCIDs, DOIs, then other names."""
    if group_id.isdecimal():
        return 0, group_id.zfill(12)
    return 1 if group_id.startswith("PMC") else 2 if group_id.startswith("10.") else 3, group_id


def _stated(own: Mapping[str, Any], name: str) -> str:
    """Return the field `name` as stripped text, "" where it is empty."""
    value = own.get(name)
    text = _plain(value)
    missing = value is None or value != value or (isinstance(value, str) and not value.strip())
    if not text and not missing:
        raise InvalidRecord(name, f"wanted text or a whole number, received {shown(value)}")
    return text


def _plain(value: Any) -> str:
    """Return a text or a whole number (a table may hold it as 5.0) as text, else ""."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    valid = isinstance(value, str | int) and not isinstance(value, bool)
    return str(value).strip() if valid else ""


def _named(name: str, text: str) -> dict[str, str]:
    """Return the identifiers, by kind, in the text of the identifier field `name`."""
    return article_ids(_NAMED[name].format(text) if text.isdecimal() else text, exact=True)


def _doi(prefix: str, text: str, exact: bool) -> str | None:
    """Return a DOI from its prefix and the text after it, without figure and file parts."""
    suffix, *others = text.split("/")
    for part in others:
        if not part or _AFTER_DOI.fullmatch(part):
            break
        suffix += f"/{part}"
    before = None
    while before != suffix:
        before, suffix = suffix, _ENDINGS.sub("", suffix)
        if suffix.endswith(")") and suffix.count(")") > suffix.count("("):
            suffix = suffix[:-1]
    suffix = _COMPONENT.sub("", suffix)
    if prefix in _VERSION:
        suffix = _VERSION[prefix].sub("", suffix)
    doi = f"{prefix}/{suffix}"
    if not exact and not _ARTICLE_NUMBERED.search(doi):
        doi = _NUMBERED.sub("", doi)
    return doi if suffix else None


def _without_ids(own: Mapping[str, Any], figure_id: str) -> str:
    """Return the group of a record without identifiers: document, URL, or start of its id."""
    for name in _DOCUMENTS:
        if text := _plain(own.get(name)):
            return text
    url = next((own[name] for name in _ADDRESSES if own.get(name)), None)
    url = figure_id if url is None and "://" in figure_id else url
    if isinstance(url, str):
        if page := _page(url):
            return page
    elif isinstance(own.get("text_path"), str) and own["text_path"]:
        return "/".join(filter(None, (own.get("repo"), own["text_path"])))
    return _FIGURE_PART.split(figure_id)[0] or figure_id


def _page(url: str) -> str | None:
    """Return the article's URL from a figure's URL; None for the URL of one image or of a site."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:  # such as an incomplete IPv6 address
        return url
    path = _FIGURE_FILE.sub("", parts.path)
    if _ONE_FILE.search(path):
        return None
    path = _FIGURE_PAGE.sub("", path).rstrip("/")
    kept = [
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if not _NO_ARTICLE_PART.fullmatch(f"{name}={value}")
    ]
    tail = f"?{urlencode(sorted(kept))}" if kept else ""
    if parts.fragment.startswith(("/", "!")):  # the route within a single-page application
        tail += f"#{parts.fragment}"
    scheme = "https" if parts.scheme.lower() in ("http", "https") else parts.scheme
    head = f"{scheme}://" if parts.netloc else ""
    page = head + parts.netloc.lower().removeprefix("www.") + path + tail
    return page if path or tail else None

"""Reads from ids, addresses and paths which article a record belongs to: PMID, PMCID or DOI.

What identifies an article is looked for; only a record without it is told apart by its address or
by what stands before the figure's number in its id. Knows nothing of files, images or splits.
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
"""Fields named for an identifier, and how a bare number in them is to be read."""

_ADDRESSES = ("url", "article_url", "source_url", "link", "href")
_PLACES = (
    *("pair_id", "figure_id", "id", "image_id", "fig_uri"),
    *("image", "image_path", "file_name", "path", "text_path"),
)
_DOCUMENTS = ("article_id", "paper_id", "pdf_hash")
_LOOKED_AT = (*_ADDRESSES, *_DOCUMENTS, *_PLACES)
_LONGEST = (
    2_000  # characters of a text that are looked at: an image may stand where its path should
)

_PMCID = re.compile(r"(?<![a-z\d])pmc(?:id)?(?:[-_ :=]{0,2}(?:pmc)?(\d{5,9})|(\d{3,9}))(?![\dxmk])")
_PMC_PAGE = re.compile(r"/pmc/articles/(?:pmc)?(\d{3,9})(?!\d)")
_PMID = re.compile(
    r"(?:(?<![a-z\d])(?:pmid|pubmed)(?:[-_ ]?id)?[-_ :=/]{0,3}|\bpubmed\.(?:ncbi\.nlm\.nih\.)?gov/"
    r"|/(?:article|abstract)/med/"
    r"|^(?=.*pubmed).*[?&](?:term|list_uids|uid|id)=)0*([1-9]\d{0,7})(?!\d)"
)
_PMID_MARKS = ("pmid", "pubmed", "/med/")
_BARE_PMID = re.compile(
    r"(?:^|/)([1-9]\d{4,7})_(?:figure|fig|f)[-_]?\d[^/]*$"  # as LLaVA-Med writes it
    r"|(?:^|/)(?!(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])/)([1-9]\d{6,7})/",  # but no date
    re.IGNORECASE,
)
_DOI = re.compile(r"(?<![\d.])(10\.\d{4,9}(?:\.\d+)*)(?:[/_]|-(?=[a-z]))([^\s?&#\"'|\\]+)")

# What follows a DOI in an address or a path and is no part of it.
_BEHIND_DOI = re.compile(
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
    "10.7554": re.compile(r"(?<=\d)\.\d+$"),  # eLife numbers its figures so
}
_NUMBERED = re.compile(r"_\d{1,3}$")
# Chapters of a book, Medknow's articles, and those of one more publisher end in such a number.
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
)  # of a query: what tells figures or views of one article apart


@dataclass(frozen=True)
class Article:
    """What one record says of its article.

    Args:
        stated: the group that the record itself states, or None.
        ids: PMID (digits), PMCID ("PMC..." with digits) and DOI (lower case, "10..."), each at most
            once, the surest first.
        otherwise: the group of a record that has neither.
    """

    stated: str | None
    ids: tuple[str, ...]
    otherwise: str


def article_of(record: Mapping[str, Any], figure_id: str) -> Article:
    """What `record` says of its article, in its own fields and in those of its `source`.

    `group_id` and `patient_id` state the group, as does a `pmid` that names no PMID. Identifiers
    are looked for in the fields named for them, then in ids, addresses and paths; captions,
    mentions, licences and credits are not read.

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
    for text in (figure_id, *(own[name] for name in _LOOKED_AT if name in own)):
        if isinstance(text, str):
            found = article_ids(text) | found
    ids = [found[kind] for kind in ("pmid", "pmcid", "doi") if kind in found]
    paths = [name for name in (figure_id, own.get("image")) if isinstance(name, str)]
    bare = next(filter(None, map(_BARE_PMID.search, paths)), None)
    if bare and "pmid" not in found:
        ids.append(bare[1] or bare[2])  # less sure than what is marked as such
    return Article(None, tuple(ids), _without_ids(own, figure_id))


def article_id(record: Mapping[str, Any], name: str) -> str | None:
    """The group that a record called `name` states, or its PMID, PMCID or DOI; None without one.

    Raises:
        InvalidRecord: as `article_of`.
    """
    article = article_of(record, name)
    return article.stated or next(iter(article.ids), None)


def article_ids(text: str, *, exact: bool = False) -> dict[str, str]:
    """The first PMID, PMCID and DOI in an id, an address or a path, by kind, in their plain form.

    Args:
        text: of an address, the query string as well; percent-encoded or not.
        exact: `text` is an identifier as registered: a number at a DOI's end is no figure's.

    Returns:
        Of "pmid" (digits), "pmcid" ("PMC" and digits) and "doi" (lower case) those that are found;
        a DOI without what the text says of a figure, a file or a version.
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
        found["doi"] = f"10.48550/arxiv.{preprint[1]}"  # as arXiv registers it
    return found


def rank(group_id: str) -> tuple[int, str]:
    """An order of groups' names: PMIDs, PMCIDs, DOIs, then all others; of numbers the lesser."""
    if group_id.isdecimal():
        return 0, group_id.zfill(12)
    return 1 if group_id.startswith("PMC") else 2 if group_id.startswith("10.") else 3, group_id


def _stated(own: Mapping[str, Any], name: str) -> str:
    """What stands in the field `name` as stripped text, "" where nothing does."""
    value = own.get(name)
    text = _plain(value)
    missing = value is None or value != value or (isinstance(value, str) and not value.strip())
    if not text and not missing:
        raise InvalidRecord(name, f"wanted text or a whole number, received {shown(value)}")
    return text


def _plain(value: Any) -> str:
    """A text or a whole number (a table's column may hold 5.0) as text; "" for all else."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    told = isinstance(value, str | int) and not isinstance(value, bool)
    return str(value).strip() if told else ""


def _named(name: str, text: str) -> dict[str, str]:
    """The identifiers, by kind, in the text of a field named for one."""
    return article_ids(_NAMED[name].format(text) if text.isdecimal() else text, exact=True)


def _doi(prefix: str, text: str, exact: bool) -> str | None:
    """A DOI from its prefix and what follows, without what that says of a figure or a file."""
    suffix, *others = text.split("/")
    for part in others:
        if not part or _BEHIND_DOI.fullmatch(part):
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
    """The group of a record that names no article: its document, address, or its id's beginning."""
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
    """The article's address in that of a figure; None where it names one image file, or a site."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:  # half an IPv6 address
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
    behind = f"?{urlencode(sorted(kept))}" if kept else ""
    if parts.fragment.startswith(("/", "!")):  # an address within a page's own program
        behind += f"#{parts.fragment}"
    scheme = "https" if parts.scheme.lower() in ("http", "https") else parts.scheme
    before = f"{scheme}://" if parts.netloc else ""
    page = before + parts.netloc.lower().removeprefix("www.") + path + behind
    return page if path or behind else None

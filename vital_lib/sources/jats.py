"""Reads the figures of articles in JATS (`.nxml`, `.xml`), the form of PMC's Open Access subset.

A figure is read wherever JATS allows it. No entity is expanded, no DTD is loaded and nothing is
fetched. This module opens no image.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vital_lib.records import InvalidRecord
from vital_lib.sources.licences import licence_of, named_in
from vital_lib.sources.mentions import mentions_by_id

if TYPE_CHECKING:
    from lxml import etree

MAX_ARTICLE_BYTES = 100_000_000
"""Most bytes of an XML file that is read."""

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".gif", ".bmp")
"""The endings of image files, preferred ones first: a package has a GIF thumbnail beside a JPEG."""

_ENTITY = tuple(
    mark.encode(encoding)
    for mark in ("<!ENTITY", "<!entity")
    for encoding in ("utf-8", "utf-16-le", "utf-16-be")
)
_HREF = "{http://www.w3.org/1999/xlink}href"
_SKIPPED = frozenset({"tex-math", "object-id", "alt-text", "long-desc", "label"})
_SPACED = frozenset({"p", "title", "list-item", "sec", "td", "th", "tr", "break", "disp-formula"})
_ARTICLE_IDS = {"pmid": "pmid", "doi": "doi", "pmc": "pmcid", "pmcid": "pmcid"}
_FOREIGN = re.compile(
    r"(?:reproduced|reprinted|republished|adapted|modified|used|taken) (?:\w+ ){0,6}?"
    r"(?:with|by) (?:\w+ ){0,3}?permission|with (?:kind )?permission (?:of|from)"
    r"|©|\(c\) ?\d{4}|\bcopyright\b|all rights reserved|courtesy of",
    re.IGNORECASE,
)
_UNPARTED = ("string-name", "institution", "anonymous")
_AUTHORS_NAMED = 3


def article_records(
    content: bytes, name: str, folder: str, images: Mapping[str, str]
) -> Iterator[tuple[str, Any]]:
    """Yield the place and the record of each image of each figure in an XML file.

    Args:
        content: the file's bytes: an `article`, or a set of them.
        name: the file's name, for places and for articles without an id.
        folder: the file's folder, relative to the set's, "" or ending in "/".
        images: the image files beside, lower case -> path relative to the set's folder.

    A record has pair_id (`<PMCID, PMID, DOI or file>_<id of the fig>`), fig_label, fig_caption
    (label, title and paragraphs), in_text_mention, image, the article's pmid, pmcid and doi, and
    source (name, url, licence, credit). A figure with several images is one record for each. The
    licence is null for a figure that states a permission of its own without a licence.

    Yields an `InvalidRecord` for a file that is no XML, declares entities or holds no article, and
    for a figure without an image.

    Raises:
        ImportError: lxml is not installed.
    """
    try:
        root = _parsed(content)
    except InvalidRecord as wrong:
        yield name, wrong
        return
    found = [root] if _tag(root) == "article" else list(root.iter("{*}article"))
    if not found:
        yield name, InvalidRecord("record", f"<{_tag(root)}> is no JATS article, and holds none")
    for number, element in enumerate(found):
        alone = name if len(found) == 1 else f"{name}[{number}]"
        article = _Article(element, Path(name).stem if len(found) == 1 else alone)
        for place, record in article.records(folder, images):
            yield f"{alone}#{place}", record


def _parsed(content: bytes) -> etree._Element:
    try:
        from lxml import etree
    except ImportError:
        raise ImportError(
            "reading articles needs lxml: pip install 'vital-workbench[articles]'"
        ) from None
    if len(content) > MAX_ARTICLE_BYTES:
        raise InvalidRecord("record", f"{len(content):,} bytes, over {MAX_ARTICLE_BYTES:,}")
    refused = InvalidRecord("record", "the XML declares entities: refused, nothing is expanded")
    if any(mark in content for mark in _ENTITY):
        raise refused
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False,
        huge_tree=False, remove_comments=True, remove_pis=True,
    )  # fmt: skip
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise InvalidRecord("record", f"not XML: {' '.join(str(error).split())[:200]}") from None
    dtd = root.getroottree().docinfo.internalDTD
    if dtd is not None and any(True for _ in dtd.iterentities()):  # in an encoding not searched
        raise refused
    return root


def _tag(element: etree._Element) -> str:
    """Return an element's name without its namespace; "" for an entity."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _children(element: etree._Element, *path: str) -> list[etree._Element]:
    return element.findall("/".join(f"{{*}}{name}" for name in path))


def text_of(element: etree._Element | None, skipped: frozenset[str] = _SKIPPED) -> str:
    """Return the text in an element, its spaces joined; without labels and TeX."""
    parts: list[str] = []
    if element is not None:
        _collect(element, skipped, parts)
    return " ".join("".join(parts).split())


def _collect(element: etree._Element, skipped: frozenset[str], parts: list[str]) -> None:
    parts.append(element.text or "")
    for child in element:
        name = _tag(child)
        if not name:
            named = html.unescape(child.text or "")  # an entity that the DTD would declare
            parts.append("" if named.startswith("&") else named)
        elif name not in skipped:
            apart = " " if name in _SPACED else ""
            parts.append(apart)
            _collect(child, skipped, parts)
            parts.append(apart)
        parts.append(child.tail or "")


@dataclass
class _Article:
    """One `article`, and what its figures share."""

    root: etree._Element
    name: str

    @cached_property
    def _meta(self) -> etree._Element | None:
        found = _children(self.root, "front", "article-meta") or _children(self.root, "front-stub")
        return found[0] if found else None

    @cached_property
    def ids(self) -> dict[str, str]:
        """The article's pmid, pmcid and doi."""
        found: dict[str, str] = {}
        for one in _children(self._meta, "article-id") if self._meta is not None else ():
            kind, text = _ARTICLE_IDS.get(one.get("pub-id-type", "")), text_of(one)
            if kind and text:
                pmc = kind == "pmcid" and text.isdecimal()
                found.setdefault(kind, f"PMC{text}" if pmc else text)
        return found

    @cached_property
    def _figures(self) -> list[etree._Element]:
        return list(self.root.iter("{*}fig"))

    @cached_property
    def _names(self) -> list[str]:
        """The id of each figure; a number for those without one or with one that is taken."""
        names: dict[str, None] = {}
        for number, figure in enumerate(self._figures, start=1):
            name = figure.get("id") or f"fig{number}"
            names[name if name not in names else f"{name}-{number}"] = None
        return list(names)

    def records(self, folder: str, images: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
        mentions = mentions_by_id(self.root, self._figures, self._names)
        shared = {**self.ids} if self.ids else {"article_id": self.name}
        name = self.ids.get("pmcid") or self.ids.get("pmid") or self.ids.get("doi") or self.name
        stem = re.sub(r"[^\w.-]+", "_", name)
        for figure, own in zip(self._figures, self._names, strict=True):
            hrefs = _hrefs(figure)
            if not hrefs:
                yield own, InvalidRecord("image", "the figure has no graphic with an address")
            about = {
                **shared,
                "fig_label": _label(figure),
                "fig_caption": _caption(figure),
                "in_text_mention": [{"tokens": text} for text in mentions.get(own, ())],
                "source": self._source(figure),
            }
            for number, href in enumerate(hrefs, start=1):
                part = own if len(hrefs) == 1 else f"{own}-{number}"
                image = _image(href, folder, images)
                yield part, {**about, "pair_id": f"{stem}_{part}", "image": image}

    def _source(self, figure: etree._Element) -> dict[str, str | None]:
        credit = " ".join(text_of(one) for one in _children(figure, "attrib"))
        own = _children(figure, "permissions")
        foreign = own or _FOREIGN.search(f"{credit} {_caption(figure)}")
        licence = licence_of(_licences(figure)) if foreign else self._licence
        pmcid, doi = self.ids.get("pmcid"), self.ids.get("doi")
        url = f"https://doi.org/{doi}" if doi else None
        return {
            "name": "PMC-OA" if pmcid else None,
            "url": f"https://pmc.ncbi.nlm.nih.gov/articles/{pmcid}/" if pmcid else url,
            "licence": licence,
            "credit": " ".join(filter(None, (self._credit, *[text_of(one) for one in own], credit)))
            or None,
        }

    @cached_property
    def _licence(self) -> str | None:
        return licence_of(_licences(self._meta)) if self._meta is not None else None

    @cached_property
    def _credit(self) -> str:
        """The article's authors, title, journal and year."""
        if self._meta is None:
            return ""
        each = self._meta.iterfind("{*}contrib-group/{*}contrib")
        people = list(filter(None, map(_person, each)))
        named = ", ".join(people[:_AUTHORS_NAMED]) + (" et al." if people[_AUTHORS_NAMED:] else "")
        journal = next(self.root.iterfind("{*}front/{*}journal-meta//{*}journal-title"), None)
        title = next(self._meta.iterfind("{*}title-group/{*}article-title"), None)
        year = next(self._meta.iterfind("{*}pub-date/{*}year"), None)
        cited = " ".join(filter(None, (text_of(journal), text_of(year))))
        told = [part.rstrip(".") for part in (named, text_of(title), cited) if part]
        return f"{'. '.join(told)}." if told else ""


def _person(contributor: etree._Element) -> str:
    """Return the name of an author, a group or an institution; "" for an editor or no name."""
    if contributor.get("contrib-type", "author") not in ("author", "authors"):
        return ""
    name = next(contributor.iterfind(".//{*}name"), None)
    if name is not None and _first(contributor, "collab") is None:
        parts = (text_of(_first(name, part)) for part in ("surname", "given-names"))
        return " ".join(parts).strip()
    other = (next(contributor.iterfind(f".//{{*}}{kind}"), None) for kind in _UNPARTED)
    group = _first(contributor, "collab")
    members = frozenset({"contrib-group", "contrib", "aff", "xref", *_SKIPPED})
    return text_of(group, members) or next(filter(None, map(text_of, other)), "")


def _first(element: etree._Element, name: str) -> etree._Element | None:
    return element.find(f"{{*}}{name}")


def _label(figure: etree._Element) -> str:
    label = text_of(_first(figure, "label"))
    group = figure.getparent()
    if not label and group is not None and _tag(group) == "fig-group":
        label = text_of(_first(group, "label"))
    return label


def _caption(figure: etree._Element) -> str | None:
    """Return label, title and paragraphs; those of the group for a figure without its own."""
    parts = [_said_in(_first(figure, "caption"))]
    group = figure.getparent()
    if group is not None and _tag(group) == "fig-group":
        parts.insert(0, _said_in(_first(group, "caption")))
    text = " ".join(filter(None, parts))
    label = _label(figure)
    if not text or not label or text.startswith(label):
        return text or None
    return f"{label.rstrip('.:')}. {text}"


def _said_in(caption: etree._Element | None) -> str:
    if caption is None:
        return ""
    title = text_of(_first(caption, "title"))
    rest = " ".join(text_of(one) for one in caption if _tag(one) not in ("title", ""))
    stop = "" if not title or title[-1] in ".:;?!" else "."
    return f"{title}{stop} {rest}".strip() or text_of(caption)


def _hrefs(figure: etree._Element) -> list[str]:
    """Return the addresses of a figure's images: of alternatives, the best alone."""
    found: list[str] = []
    done: set[etree._Element] = set()
    for graphic in figure.iter("{*}graphic"):
        above = graphic.getparent()
        inner = next((one for one in graphic.iterancestors("{*}fig")), figure)
        href = graphic.get(_HREF) or graphic.get("href")
        if above in done or inner is not figure or not href:
            continue
        if above is not None and _tag(above) == "alternatives":
            done.add(above)
            others = [one.get(_HREF) or one.get("href") for one in _children(above, "graphic")]
            href = min(filter(None, others), key=_preference)
        found.append(href.strip())
    return list(dict.fromkeys(found))


def _preference(href: str) -> int:
    ending = Path(href).suffix.lower()
    return IMAGE_ENDINGS.index(ending) if ending in IMAGE_ENDINGS else len(IMAGE_ENDINGS) - 2


def _image(href: str, folder: str, images: Mapping[str, str]) -> str:
    """Return the path of an image that is there under the address or another ending."""
    base, dot, ending = href.rpartition(".")
    stems = [href] if f".{ending.lower()}" not in IMAGE_ENDINGS or not dot else [base]
    for stem in stems:
        for one in (href, *(f"{stem}{end}" for end in IMAGE_ENDINGS)):
            if found := images.get(one.lower()):
                return found
    return f"{folder}{href}" if dot and stems == [base] else f"{folder}{href}.jpg"


def _licences(element: etree._Element) -> list[str]:
    """Return the addresses and the texts in the licences of an element and of its permissions.

    A copyright statement, where articles before 2008 have theirs, counts if it names one.
    """
    found: list[str | None] = []
    places = [element, *_children(element, "permissions")]
    for one in (licence for place in places for licence in _children(place, "license")):
        inside = [text_of(ref) for ref in one.iterfind("{*}license_ref")]
        links = [link.get(_HREF) for link in one.iter("{*}ext-link", "{*}uri")]
        found += [one.get(_HREF), *inside, *links, text_of(one), one.get("license-type")]
    if not any(found):
        said = [text_of(one) for place in places for one in _children(place, "copyright-statement")]
        found += [text for text in said if named_in(text)]
    return [text for text in found if text]

"""Finds the sentences of an article that refer to its figures.

It reads cross-references (`xref`) of parsed JATS and knows nothing of files.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml import etree

MAX_MENTIONS = 50
"""Most sentences that are kept for a figure."""

_LONGEST = 2_000
_WIDEST = 100  # figures in a range
_BREAK = re.compile(r"[.?!][)\]\"”’]*\s+(?=[\"“‘(\[]?[A-Z0-9])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:figs?|figures?|tabs?|eqs?|refs?|nos?|suppl|et al|e\.g|i\.e|cf|vs|approx|ca|dr|prof"
    r"|mr|mrs|ms|st|sp|spp|resp|vol|pp?)|\b[A-Z])\.$",
    re.IGNORECASE,
)
_RANGE = re.compile(
    r"^[\s,]*(?:[-\u2010-\u2015\u2212]|to|through)\s*(?:figs?\.?|figures?)?\s*$", re.I
)
_NUMBERS = re.compile(r"(\d+)\s*[-\u2010-\u2015]\s*(\d+)")
_BLOCKS = ("p", "title", "td", "th", "li", "list-item", "abstract", "sec", "body")
_DROPPED = ("tex-math", "fig", "table-wrap", "fn")


def mentions_by_id(
    article: etree._Element, figures: Sequence[etree._Element], names: Sequence[str]
) -> dict[str, list[str]]:
    """Return, for each figure's name, the sentences with a cross-reference to it, in order.

    A reference may name several figures, a group or a part of one, or both ends of a range of
    figures. Those within captions of figures do not count.

    Args:
        figures: the `fig` elements in the order of the document; names: of each, its name.
    """
    order = {name: place for place, name in enumerate(names)}
    known = _known_ids(figures, names)
    numbers: dict[str, str] = {}
    for figure, name in zip(figures, names, strict=True):
        label = next(figure.iterfind("{*}label"), None)
        digits = re.findall(r"\d+", "".join(label.itertext())) if label is not None else []
        if len(digits) == 1:
            numbers.setdefault(digits[0], name)
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for block, references in _blocks(article, known):
        text, places = _flat(block, references)
        ends = _ends(text)
        before: list[str] = []
        end = 0
        for reference, (start, stop) in zip(references, places, strict=True):
            meant = [
                name for rid in reference.get("rid", "").split() for name in known.get(rid, ())
            ]
            meant += _of_numbers(text[start:stop], numbers, order, names) if meant else []
            if before and meant and _RANGE.match(text[end:start]):
                first, last = max(order[name] for name in before), min(order[n] for n in meant)
                meant = [*_between(names, first + 1, last), *meant]
            for name in dict.fromkeys(meant):
                if len(found[name]) < MAX_MENTIONS:
                    found[name][_sentence(text, ends, start)] = None
            before, end = meant, stop
    return {name: list(sentences) for name, sentences in found.items()}


def _known_ids(
    figures: Sequence[etree._Element], names: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Return what each id in or around figures stands for."""
    known: dict[str, list[str]] = defaultdict(list)
    for figure, name in zip(figures, names, strict=True):
        known[figure.get("id") or name].append(name)
        inside = (one.get("id") for one in figure.iterdescendants() if isinstance(one.tag, str))
        around = (one.get("id") for one in figure.iterancestors("{*}fig-group", "{*}fig"))
        for other in (*inside, *around):
            if other and name not in known[other]:
                known[other].append(name)
    return {one: tuple(meant) for one, meant in known.items()}


def _of_numbers(
    text: str, numbers: dict[str, str], order: dict[str, int], names: Sequence[str]
) -> Sequence[str]:
    """Return the figures of a range that one reference states in its text, such as "Figs 2-4"."""
    ends = _NUMBERS.search(text)
    first, last = (numbers.get(one) for one in ends.groups()) if ends else (None, None)
    if first is None or last is None or order[first] > order[last]:
        return ()
    return _between(names, order[first], order[last] + 1)


def _between(names: Sequence[str], start: int, end: int) -> Sequence[str]:
    """Return the figures of a range; none of one that no article means."""
    return names[start:end] if end - start <= _WIDEST else ()


def _blocks(
    article: etree._Element, known: Mapping[str, Sequence[str]]
) -> Iterator[tuple[etree._Element, list[etree._Element]]]:
    """Yield each smallest block of text with its references to figures.

    JATS lets a reference leave its type out: then its target says whether it means a figure.
    """
    blocks: dict[etree._Element, list[etree._Element]] = {}
    tags = [f"{{*}}{name}" for name in _BLOCKS]
    for reference in article.iter("{*}xref"):
        kind, targets = reference.get("ref-type"), reference.get("rid", "").split()
        if kind not in ("fig", "figure") and (kind or known.keys().isdisjoint(targets)):
            continue
        if next(reference.iterancestors("{*}fig", "{*}fig-group"), None) is not None:
            continue
        block = next(reference.iterancestors(*tags), reference.getparent())
        blocks.setdefault(block, []).append(reference)
    yield from blocks.items()


def _flat(
    block: etree._Element, references: list[etree._Element]
) -> tuple[str, list[tuple[int, int]]]:
    """Return a block's text, and where each reference begins and ends in it."""
    wanted = {reference: number for number, reference in enumerate(references)}
    places = [(0, 0)] * len(references)
    parts: list[str] = []
    length = 0

    def walk(element: etree._Element) -> None:
        nonlocal length
        start = length
        if text := element.text:
            parts.append(text)
            length += len(text)
        for child in element:
            if isinstance(child.tag, str) and child.tag.rpartition("}")[2] not in _DROPPED:
                walk(child)
            if tail := child.tail:
                parts.append(tail)
                length += len(tail)
        if element in wanted:
            places[wanted[element]] = (start, length)

    walk(block)
    return "".join(parts), places


def _ends(text: str) -> list[int]:
    """Return where sentences end, after the space behind them; abbreviations end none."""
    return [
        found.end()
        for found in _BREAK.finditer(text)
        if not _ABBREVIATION.search(text, max(0, found.start() - 12), found.start() + 1)
    ]


def _sentence(text: str, ends: list[int], place: int) -> str:
    """Return the sentence of `text` around the character `place`, its spaces joined."""
    number = bisect_right(ends, place)
    start = ends[number - 1] if number else 0
    end = ends[number] if number < len(ends) else len(text)
    if end - start > _LONGEST:  # no sentence: cut around the reference
        start = max(start, place - _LONGEST // 2)
        end = min(end, start + _LONGEST)
    return " ".join(text[start:end].split())

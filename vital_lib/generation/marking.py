"""Finds the words that a flag is about: in the figure's text, and in the response.

The flags are those of ``grounding``, whose patterns are used here on the text as written. A mark
shows where to look; the flag itself may rest on a comparison that no single word shows.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from itertools import pairwise

from vital_lib.generation import grounding

_ANY_CASE = {
    "side_against_text": (grounding._SIDE, grounding._BOTH),
    "modality_against_text": (grounding._MODALITY,),
    "number_against_text": (grounding._COUNT,),
    "negation_against_text": (grounding._DENY, grounding._NORMAL, grounding._FINDING),
}
_IN_TEXT = {
    flag: [re.compile(rf"(?:{pattern.pattern})\w*", re.IGNORECASE) for pattern in patterns]
    for flag, patterns in _ANY_CASE.items()
}
_MEASURE = re.compile(grounding._MEASURE.pattern, re.IGNORECASE)
_LOOK_ALIKES = re.compile(grounding._LOOK_ALIKES.pattern, re.IGNORECASE)
_NAMES_TEXT = re.compile(grounding._NAMES_TEXT.pattern, re.IGNORECASE)
_TOKEN = re.compile(r"[^\W_]+")

Pieces = list[tuple[str, bool]]
"""A text in pieces, each with whether it is marked; joined, they are the text."""


def marked(texts: Iterable[str], response: str, flags: Collection[str]) -> list[Pieces]:
    """Return `texts` and then `response` in pieces, with the words that `flags` are about marked.

    Args:
        texts: the figure's caption and mentions.
        flags: flags of `response`; others than `FLAGS` mark nothing.
    """
    sources = list(texts)
    spans = [_of_flags(text, flags) for text in (*sources, response)]
    if "names_the_text" in flags:
        spans[-1] += [found.span() for found in _NAMES_TEXT.finditer(response)]
    if "repeats_the_text" in flags:
        for own, more in zip(spans, _repeated(sources, response), strict=True):
            own += more
    return [_pieces(text, own) for text, own in zip((*sources, response), spans, strict=True)]


def _of_flags(text: str, flags: Collection[str]) -> list[tuple[int, int]]:
    patterns = [pattern for flag in _IN_TEXT if flag in flags for pattern in _IN_TEXT[flag]]
    measured = _MEASURE.finditer(text) if "number_against_text" in flags else ()
    measures = [found.span() for found in measured]
    other = [found.span() for found in _LOOK_ALIKES.finditer(text)] if patterns else []
    found = [match.span() for pattern in patterns for match in pattern.finditer(text)]
    return measures + [span for span in found if not any(_overlap(span, one) for one in other)]


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _repeated(sources: list[str], response: str) -> list[list[tuple[int, int]]]:
    """Return, for each source and then the response, the runs of words that they share."""
    n = grounding.REPEATED_WORDS
    texts = [list(_TOKEN.finditer(text)) for text in (*sources, response)]
    runs = [
        {
            tuple(word[0].lower() for word in words[at : at + n]): at
            for at in range(len(words) - n + 1)
        }
        for words in texts
    ]
    of_text = set().union(*runs[:-1])
    shared = of_text & runs[-1].keys()
    return [
        [(words[at].start(), words[at + n - 1].end()) for run, at in own.items() if run in shared]
        for words, own in zip(texts, runs, strict=True)
    ]


def _pieces(text: str, spans: list[tuple[int, int]]) -> Pieces:
    """Cut `text` at the ends of its marked spans; overlapping spans are one."""
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if joined and start < joined[-1][1]:
            start, stop = joined[-1][0], max(stop, joined.pop()[1])
        joined.append((start, stop))
    ends = [0, *(end for span in joined for end in span), len(text)]
    cut = [(text[start:end], bool(n % 2)) for n, (start, end) in enumerate(pairwise(ends))]
    return [piece for piece in cut if piece[0]] or [("", False)]

"""The key terms of a caption or mention: short runs of words that carry its subject.

Runs of content words between stop words and punctuation, longest first (the idea of RAKE: Rose et
al., Automatic keyword extraction from individual documents, 2010). A term that claims something
about a figure by itself is left out: what it claims depends on the words around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from vital_lib.clinic.lexicon import ATTRIBUTES, style_faults
from vital_lib.clinic.reading import read

MOST_WORDS = 3

_STOP_WORDS = """
a about above after all also although among an and another any are around as at be became because
become becomes been before being below between both but by called can cannot case cases caused
causes certain certainly clear commonly compare compared conclusive conclusively contained
contains could definite definitely demonstrated demonstrates demonstrating depicted depicting
depicts despite did different do does due during each either et even ever fig figure figures
filled fills find finding findings following for formed found from further generates given had has
have having help her here him his how however if illustrated illustrates image images in including
indicate indicated indicates individual individuals into is it its just kind known left less like
likely located lower made make makes man many may men middle might more most much multiple must
named near never new no non nor normal not note noted number numerous observed obtained obviously
occur of often on one only or other our out over own panel panels part patient patients perhaps
picture possible possibly presence present presented presenting presents previously proves
reported reproduced respectively result results revealed revealing right same scale see seen
several should show showed showing shown shows similar since size so some something stained still
such suggest suggested suggestive suspected than that the their them then there these they this
those though through thus to too typical typically under unlike until up upon upper use used using
various very view views visible was we well were what when where whereas which while who whose
will with within without woman women would year years yet you your
"""
_STOP = frozenset(_STOP_WORDS.split())
_TOKEN = re.compile(r"[^\W_]+(?:[’'-][^\W_]+)*|[^\w\s]")
_EVERY = frozenset(ATTRIBUTES)


@lru_cache(maxsize=4096)
def key_terms(texts: tuple[str, ...], most: int = 8) -> tuple[str, ...]:
    """Up to `most` terms of `texts`, the longest first; each of one to three words."""
    found: dict[str, str] = {}
    for text in texts:
        for term in _runs(text):
            found.setdefault(term.lower(), term)
    ordered = sorted(found.values(), key=lambda term: -len(term.split()))
    plain = [term for term in ordered if _is_plain(term)]
    # A word alone says little; it counts only where nothing longer is found.
    longer = [term for term in plain if " " in term or "-" in term]
    return tuple(longer or plain)[:most]


def listed(terms: Iterable[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    *first, last = terms
    return f"{', '.join(first)} and {last}" if first else last


def _runs(text: str) -> Iterator[str]:
    run: list[str] = []
    before = "."
    for word in [*_TOKEN.findall(text), "."]:
        if word[0].isalpha() and word.lower() not in _STOP and not word.endswith("ly"):
            opens = before == "." and word[1:].islower()
            run.append(word.lower() if opens else word)
        elif run:
            # A long run is a sentence without stop words; its end holds the noun.
            if len(" ".join(run)) > 3:
                yield " ".join(run[-MOST_WORDS:])
            run = []
        before = word


def _is_plain(term: str) -> bool:
    """Whether the term neither claims anything nor has a fault of style."""
    text = f"It is about {term}."
    return not read(text, _EVERY).claims and not style_faults("Why?", text, ())

"""Extract the key terms of a caption or mention.

A term is a run of content words between stop words and punctuation, as in RAKE (Rose et al.,
Automatic keyword extraction from individual documents, 2010). Terms that make a claim about a
figure are omitted, since the claim depends on the surrounding words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice

from vital_lib.clinic.lexicon import ATTRIBUTES, style_faults
from vital_lib.clinic.reading import read

MOST_WORDS = 4

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
# Verbs and adverbial words, which a noun phrase does not span.
_BREAKS = """
accumulated accumulating affects allow allows appear appeared appears april arise arises arrow
arrowhead arrowheads arrows associated assumed attack attacks august axial became begin begins
behind best bind binds bleeding brought called carried cause causing characterised characteristic
characteristically characterized collect collected collecting collects come comes common commonly
consist consistent consists contain containing contains coronal covered covering day days december
decrease decreased depict describe described detected develop developed develops differentiate
differentiates disfigured due early easily entire examined exerted extend extending february female
fill filling first forming forms generally give gives happen hour hours identified illness include
increase increased increasing indicating infected initial introduced involve involves involving
january july june kill killed killing kills last lead leading leads least male march marked
mediated minute minutes monitor month months mostly november obtain occluded occurs october old
patients performed permit permits persist persons plausible presents prevent preventing produce
produced produces producing progress progressed projecting protrude provide provided provides
reaching reason received recent reference related remain remained represent representing represents
required requiring resolved resulted resulting rupture ruptures sagittal second secondary section
sections september serve serves spread spreading spreads squeezed stained start started suffering
support supports surround surrounded surrounding take taken takes treated triangle triangles turn
varies vary walled week weeks worsening
"""
_STOP = frozenset((_STOP_WORDS + _BREAKS).split())
# Credits, licences and magnifications are not the subject of an image.
_CREDIT = re.compile(
    r"[(\[][^()\[\]]*\b(?:credits?|courtesy|licen[cs]ed?|photo(?:graph)?s? by|work by|CC[ -]BY|"
    r"magnification|scale bars?|reproduced|©)[^()\[\]]*[)\]]|"
    r"(?:(?<=[.!?,;])|^)[^.!?,;]*(?:\b(?:credits?:?|courtesy|licen[cs]ed?|copyright|"
    r"photo(?:graph(?:er|ed)?)?s? by|(?:micrograph|image)s? (?:provided|supplied) by|"
    r"modification of work|wikimedia|flickr|CC[ -]BY|magnification|scale bars?|reference bar|"
    r"reproduced (?:from|with))\b|©|×\s?\d|\b\d+\s?×)[^.!?]*[.!?]?",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"[^\W_]+(?:[’'-][^\W_]+)*|[^\w\s]")
_EVERY = frozenset(ATTRIBUTES)


@lru_cache(maxsize=4096)
def key_terms(texts: tuple[str, ...], most: int = 6) -> tuple[str, ...]:
    """Return up to `most` terms of `texts`, in order: one to four words each, with the article.

    Statements of credit, licence and magnification are skipped.
    """
    found: dict[str, str] = {}
    for text in texts:
        for term in _runs(_CREDIT.sub(" . ", text)):
            found.setdefault(term.lower(), term)
    # A single word is unspecific, so it counts only if no longer term is found.
    words = [term for term in found.values() if not _has_parts(term)]
    longer = filter(_is_plain, filter(_has_parts, found.values()))
    return tuple(islice(longer, most)) or tuple(islice(filter(_is_plain, words), most))


def _has_parts(term: str) -> bool:
    return " " in re.sub("^an? ", "", term) or "-" in term


def listed(terms: Iterable[str]) -> str:
    """Join terms as in "a", "a and b" or "a, b and c"."""
    *first, last = terms
    return f"{', '.join(first)} and {last}" if first else last


def _runs(text: str) -> Iterator[str]:
    run: list[str] = []
    before, article = ".", ""
    for word in [*_TOKEN.findall(text), "."]:
        if word[0].isalpha() and word.lower() not in _STOP and not word.endswith("ly"):
            if not run:
                article = f"{before.lower()} " if before.lower() in ("a", "an") else ""
            opens = before == "." and word[1:].islower()
            run.append(word.lower() if opens else word)
        elif run:
            # A long run is a sentence without stop words; the noun is at its end.
            if len(" ".join(run)) > 3:
                whole = len(run) <= MOST_WORDS
                yield (article if whole else "") + " ".join(run[-MOST_WORDS:])
            run = []
        before = word


def _is_plain(term: str) -> bool:
    """Return whether the term makes no claim and has no style fault."""
    text = f"It is about {term}."
    return not read(text, _EVERY).claims and not style_faults("Why?", text, ())

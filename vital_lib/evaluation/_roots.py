"""Stem medical English: "calcified" and "calcification", "necrotic" and "necrosis" share a stem.

The rules follow how medical English forms words. A general stemmer (Snowball's) keeps such words
apart: "calcifi" and "calcif", "metastat" and "metastasi", "inflam" and "inflamm".
"""

from __future__ import annotations

import re
from functools import lru_cache

_PLURALS = (
    ("ies", "y"), ("tases", "tasis"), ("noses", "nosis"), ("roses", "rosis"), ("races", "rax"),
    ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("brae", "bra"), ("s", ""),
    ("oli", "olus"), ("ombi", "ombus"), ("swollen", "swelling"),
)  # fmt: skip
# The first match replaces the ending; at least `stays` letters must precede it.
_ENDINGS = tuple(
    (re.compile(rf"(?<=\w{{{stays}}})(?:{ending})$"), root)
    for stays, ending, root in (
        (2, r"if(?:y|ied|ying|ication)", "if"),  # calcified, calcification
        (3, r"m?mat(?:ion|ory)", "m"),  # inflammation
        (3, r"(?<=[ao])(?:tic|sis)|(?<=o)sed", ""),  # necrotic, metastasis, stenosed
        (3, r"em(?:ia|ic)", "em"),  # ischemia
        (3, r"matous", "ma"),  # edematous
        (3, r"hag(?:e|ic)", "hag"),  # hemorrhagic
        (3, r"(?<=[lr]u|va|ro)(?:sion|de|ded|ding)", "d"),  # occlusion, invaded, erosion
        (5, r"(?<=ten)[st]ion|(?<=pan)sion", "d"),  # distension, expansion
        (3, r"(?<=lat)ation", ""),  # dilatation
        (4, r"ncy", "nt"),  # malignancy
        (4, r"uosity", "uous"),  # tortuosity
        (2, r"(?:eal|ural|bial)", None),  # tracheal, pleural, tibial
        (4, r"ements?|ion|ity|ious|ing|ed", ""),  # enlargement, infection, density, thickened
        (4, r"(?<=ur|nc|rg|ps|ag|at|is|as|us|ac|ns)e", ""),  # fracture
    )
)


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """Return the stem of a word: its singular, without a verb's or an adjective's ending."""
    if len(word) < 4:
        return word
    found = word
    if not found.endswith(("ss", "us", "is")):
        for ends, becomes in _PLURALS:
            if found.endswith(ends):
                found = found.removesuffix(ends) + becomes
                break
    found = found.replace("ae", "e").replace("oe", "e")
    if len(found) < 6:
        return found
    for ending, root in _ENDINGS:
        if ending.search(found):
            found = found[:-1] if root is None else ending.sub(root, found)
            return re.sub(r"([^aeiou])\1$", r"\1", found)
    return found

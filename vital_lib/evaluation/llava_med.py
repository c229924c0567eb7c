"""LLaVA-Med's own measures of one answer, so that a published number can be compared with ours.

Written from what its released evaluation computes (version 1.0.0, with its correction of December
2023): words are normalised as the VQA challenge does, and then

- **open** recall: the answer's words that stand in the reference, each as often as the *answer* has
  it, over these and the reference's words that are missing. A repeated word counts each time: to
  the reference "left lobe", "left left left" has 3/4, where ours has 1/2.
- **closed**: a hit where the answer holds the letters "yes" or "no" anywhere ("normal" does) and
  the reference's letters, too ("no" stands in "nodule"). An answer that names a choice ("left")
  without these letters never hits, and "Yes or no" always does. Before that correction (and still
  in its script for PathVQA) a wrong yes or no was not counted; that is not offered here.

Its table of contractions ("dont" for "don't") is left out: it moves nothing where no reference has
one. Knows nothing of tables or models.
"""

from __future__ import annotations

import re
from collections import Counter

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_ARTICLES = frozenset(("a", "an", "the"))
_DIGITS = {
    word: str(digit)
    for digit, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
} | {"none": "0"}


def challenge_words(text: str) -> list[str]:
    """Words as the VQA challenge compares them: "none" is 0, and number words are digits.

    A mark that stands beside a blank anywhere in the text vanishes, elsewhere it becomes a blank;
    where a comma groups digits, all marks vanish. Colons and percent signs stay.
    """
    text = text.lower()
    grouped = re.search(r"\d,\d", text) is not None
    bare = text
    for mark in _MARKS:
        beside = grouped or f"{mark} " in text or f" {mark}" in text
        bare = bare.replace(mark, "" if beside else " ")
    found = [_DIGITS.get(word, word) for word in re.sub(r"\.(?!\d)", "", bare).split()]
    return [word for word in found if word not in _ARTICLES]


def llava_med_recall(reference: str, answer: str) -> float:
    """LLaVA-Med's recall of an open question, 0 to 1; words that the answer repeats count again."""
    wanted, given = Counter(challenge_words(reference)), Counter(challenge_words(answer))
    found = sum(given[word] for word in wanted)
    missing = sum(times for word, times in wanted.items() if word not in given)
    return found / (found + missing) if found else 0.0


def llava_med_closed(reference: str, answer: str) -> float:
    """LLaVA-Med's hit of a closed question, 0 or 1: letters, not words."""
    wanted, given = (" ".join(challenge_words(text)) for text in (reference, answer))
    return float(("yes" in given or "no" in given) and wanted in given)

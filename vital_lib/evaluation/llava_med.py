"""LLaVA-Med's own metrics of one answer, for comparison with published numbers.

Written from what its released evaluation computes (version 1.0.0, with its correction of December
2023). Words are normalised as in the VQA challenge.

- **open** recall: the number of answer words that occur in the reference, repetitions included,
  divided by that number plus the number of reference words missing from the answer. For the
  reference "left lobe", "left left left" scores 3/4; our metric gives 1/2.
- **closed** accuracy: a hit if the answer contains the letters "yes" or "no" anywhere ("normal"
  does) and the reference's letters as well ("no" occurs in "nodule"). An answer that names a choice
  ("left") without these letters never hits, and "Yes or no" always does. Before the correction (and
  still in its script for PathVQA) a wrong yes or no was not counted; this module has no such mode.

Its table of contractions ("dont" for "don't") is omitted: it has no effect unless a reference
contains one. Independent of tables and models.
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
    """Split text into words as the VQA challenge does: "none" is 0, number words are digits.

    A punctuation mark next to a blank anywhere in the text is removed throughout; any other mark
    becomes a blank. If a comma groups digits, all marks are removed. Colons and percent signs stay.
    """
    text = text.lower()
    grouped = re.search(r"\d,\d", text) is not None
    bare = text
    for mark in _MARKS:
        removed = grouped or f"{mark} " in text or f" {mark}" in text
        bare = bare.replace(mark, "" if removed else " ")
    found = [_DIGITS.get(word, word) for word in re.sub(r"\.(?!\d)", "", bare).split()]
    return [word for word in found if word not in _ARTICLES]


def llava_med_recall(reference: str, answer: str) -> float:
    """LLaVA-Med's recall of an open question, 0 to 1; repeated answer words count again."""
    wanted, given = Counter(challenge_words(reference)), Counter(challenge_words(answer))
    found = sum(given[word] for word in wanted)
    missing = sum(times for word, times in wanted.items() if word not in given)
    return found / (found + missing) if found else 0.0


def llava_med_closed(reference: str, answer: str) -> float:
    """LLaVA-Med's hit for a closed question, 0 or 1; it compares letters, not words."""
    wanted, given = (" ".join(challenge_words(text)) for text in (reference, answer))
    return float(("yes" in given or "no" in given) and wanted in given)

"""Blocks of features that an encoder's vectors alone do not hold: closeness, wording, words.

Each is computed from texts and unit vectors, candidate by candidate. This module knows nothing of
labels or ratings, nor of how any generator words its answers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

HASHED_WORDS = 4096
"""Columns of the hashed words; two words may share one."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_WORD = re.compile(r"[^\W_]+")
_ENDS = (".", "!", "?", '"', "'", ")")


def sentences(text: str) -> list[str]:
    """The sentences of `text`, by their full stops, question and exclamation marks."""
    return [part for part in _SENTENCE_END.split(text.strip()) if part]


def words(text: str) -> list[str]:
    """The words of `text` in lower case, without punctuation."""
    return [word.lower() for word in _WORD.findall(text)]


def image_closeness(
    image: np.ndarray,
    answer: np.ndarray,
    question: np.ndarray,
    response: np.ndarray,
    context: np.ndarray,
) -> list[float]:
    """Cosines (8,) of what was said with the image; all vectors of length 1.

    Of the response's sentences the highest, lowest, mean and first; of the answer and of the
    instruction; of the context's sentences the mean and lowest, which say how well it is described.

    Args:
        image, answer, question: (d,) of the image, the answer text, the instruction.
        response: (s, d) of the response's sentences.
        context: (p, d) of the sentences of caption and mentions.
    """
    said, told = response @ image, context @ image  # (s,), (p,)
    return [
        *(said.max(), said.min(), said.mean(), said[0]),
        *(answer @ image, question @ image, told.mean(), told.min()),
    ]


def text_closeness(answer: np.ndarray, response: np.ndarray, context: np.ndarray) -> list[float]:
    """Cosines (8,) of what was said with the context's sentences; arguments as `image_closeness`.

    Each of the response's sentences has a nearest sentence in the context: the highest, mean and
    lowest of these tell a response that leaves its text from one that keeps to it. Then the first
    sentence's highest and lowest, and the answer's highest, lowest and mean.
    """
    near = response @ context.T  # (s, p)
    nearest, own = near.max(axis=1), answer @ context.T  # (s,), (p,)
    return [
        *(nearest.max(), nearest.mean(), nearest.min(), near[0].max(), near[0].min()),
        *(own.max(), own.min(), own.mean()),
    ]


def wording(
    response: str, instruction: Sequence[str], context: Sequence[Sequence[str]]
) -> list[float]:
    """How a response is worded, (8,): log(1 + words), sentences, the longest run of words copied
    from the context, the shares of its words found in the context and in the instruction, and
    whether it ends with punctuation, begins with yes, begins with no.

    Args:
        instruction: its words.
        context: the words of the caption and of each mention.
    """
    said = words(response)
    asked, known = set(instruction), {word for text in context for word in text}
    count = max(1, len(said))
    return [
        *(np.log1p(len(said)), len(sentences(response)), longest_copy(said, context)),
        *(sum(word in known for word in said) / count, sum(word in asked for word in said) / count),
        *(response.rstrip().endswith(_ENDS), said[:1] == ["yes"], said[:1] == ["no"]),
    ]


def longest_copy(said: Sequence[str], context: Sequence[Sequence[str]]) -> int:
    """The length of the longest run of words of `said` that stands in one text of `context`."""
    longest = 0
    for text in context:
        while longest < min(len(said), len(text)) and _runs(said, longest + 1) & _runs(
            text, longest + 1
        ):
            longest += 1
    return longest


def _runs(text: Sequence[str], length: int) -> set[tuple[str, ...]]:
    return set(zip(*(text[start:] for start in range(length)), strict=False))


def hashed_words(responses: Sequence[str]) -> csr_array:
    """Words and pairs of neighbours, hashed to (n, HASHED_WORDS) float32, sparse, rows of length 1.

    Hashing needs no vocabulary (Weinberger et al. 2009, "Feature hashing for large scale multitask
    learning"), so that a new candidate is read like the first.
    """
    from scipy.sparse import csr_array
    from sklearn.feature_extraction.text import HashingVectorizer

    if not len(responses):
        return csr_array((0, HASHED_WORDS), dtype=np.float32)
    hashing = HashingVectorizer(
        n_features=HASHED_WORDS, ngram_range=(1, 2), norm="l2", dtype=np.float32
    )
    return csr_array(hashing.transform(responses))

"""Blocks of features that an encoder's vectors alone do not hold: closeness, wording, words.

Each is computed from texts and unit vectors, candidate by candidate. This module knows nothing of
labels or ratings, nor of how any generator words its answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

HASHED_WORDS = 4096
"""Columns of the hashed words; two words may share one."""

BREAK = "\n"
"""Stands between two texts among the words of a context: no run of words crosses it."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_WORD = re.compile(r"[^\W_]+")
_ENDS = (".", "!", "?", '"', "'", ")")


def sentences(text: str) -> list[str]:
    """The sentences of `text`, by their full stops, question and exclamation marks."""
    return [part for part in _SENTENCE_END.split(text.strip()) if part]


def words(text: str) -> list[str]:
    """The words of `text` in lower case, without punctuation."""
    return _WORD.findall(text.lower())


@dataclass(frozen=True)
class Sentences:
    """The vectors (N, d) of texts' sentences, text after text; `counts` (t,): how many of each."""

    vectors: np.ndarray
    counts: np.ndarray

    @property
    def starts(self) -> np.ndarray:
        """Where each text's first sentence stands, (t,)."""
        return np.cumsum(self.counts) - self.counts

    def each(self, reduce: np.ufunc, values: np.ndarray) -> np.ndarray:
        """`values` (N, ...) of sentences reduced to one of each text, (t, ...)."""
        return reduce.reduceat(values, self.starts) if len(self.counts) else values[:0]

    def directions(self) -> np.ndarray:
        """The mean of each text's sentences, brought to length 1: (t, d)."""
        sums = self.each(np.add, self.vectors)
        return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)


def image_closeness(
    image: np.ndarray,
    answer: np.ndarray,
    question: np.ndarray,
    said: Sentences,
    told: Sentences,
    of_figure: np.ndarray,
) -> np.ndarray:
    """Cosines (n, 8) of what was said with the image; all vectors are of length 1.

    Of the response's sentences the highest, lowest, mean and first; of the answer and of the
    instruction; of the context's sentences the mean and lowest, which say how well it is described.

    Args:
        image: (m, d); answer, question: (n, d) of each candidate's answer text and instruction.
        said: of the n responses; told: of the m figures' captions and mentions.
        of_figure: (n,) the figure's place among the m.
    """
    seen = image[of_figure]  # (n, d)
    own = _cosines(said.vectors, np.repeat(seen, said.counts, axis=0))  # (N,)
    described = _cosines(told.vectors, np.repeat(image, told.counts, axis=0))  # (P,)
    highest, lowest = said.each(np.maximum, own), said.each(np.minimum, own)
    mean, of_context = said.each(np.add, own) / said.counts, told.each(np.add, described)
    columns = [
        *(highest, lowest, mean, own[said.starts], _cosines(answer, seen)),
        *(_cosines(question, seen), (of_context / told.counts)[of_figure]),
        told.each(np.minimum, described)[of_figure],
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def text_closeness(
    answer: np.ndarray, said: Sentences, told: Sentences, of_figure: np.ndarray
) -> np.ndarray:
    """Cosines (n, 8) of what was said with the context's sentences; arguments as `image_closeness`.

    Each of the response's sentences has a nearest sentence in the context: the highest, mean and
    lowest of these tell a response that leaves its text from one that keeps to it. Then the first
    sentence's highest and lowest, and the answer's highest, lowest and mean.
    """
    rows = np.concatenate([said.vectors, answer])  # (N + n, d)
    figure = np.concatenate([np.repeat(of_figure, said.counts), of_figure])
    order = np.argsort(figure, kind="stable")
    ends = np.cumsum(np.bincount(figure, minlength=len(told.counts)))
    high, low, mean = np.zeros((3, len(rows)), np.float32)
    starts = told.starts
    for place, end in enumerate(ends):  # a figure's candidates share its context
        own = order[ends[place - 1] if place else 0 : end]
        context = told.vectors[starts[place] : starts[place] + told.counts[place]]  # (p, d)
        near = context @ rows[own].T  # (p, k)
        high[own], low[own], mean[own] = near.max(axis=0), near.min(axis=0), near.mean(axis=0)
    nearest, first, last = high[: len(said.vectors)], said.starts, slice(len(said.vectors), None)
    columns = [
        *(said.each(np.maximum, nearest), said.each(np.add, nearest) / said.counts),
        *(said.each(np.minimum, nearest), high[first], low[first]),
        *(high[last], low[last], mean[last]),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", a, b)


def wording(response: str, instruction: Iterable[str], context: Sequence[str]) -> list[float]:
    """How a response is worded, (8,): log(1 + words), sentences, the longest run of words copied
    from the context, the shares of its words found in the context and in the instruction, and
    whether it ends with punctuation, begins with yes, begins with no.

    Args:
        instruction: its words.
        context: the words of caption and mentions, with `BREAK` between the texts.
    """
    said = words(response)
    asked, known, count = set(instruction), set(context), max(1, len(said))
    return [
        *(np.log1p(len(said)), len(sentences(response)), longest_copy(said, context)),
        *(sum(word in known for word in said) / count, sum(word in asked for word in said) / count),
        *(response.rstrip().endswith(_ENDS), said[:1] == ["yes"], said[:1] == ["no"]),
    ]


def longest_copy(said: Sequence[str], context: Sequence[str]) -> int:
    """The length of the longest run of words of `said` that stands in `context`."""
    text, longest = f" {' '.join(context)} ", 0
    for start in range(len(said)):
        while (
            start + longest < len(said)
            and f" {' '.join(said[start : start + longest + 1])} " in text
        ):
            longest += 1
    return longest


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

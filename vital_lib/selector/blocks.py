"""Feature blocks beyond the encoder's vectors: sentence-level cosines, wording, hashed words.

Each block is computed per candidate from texts and unit vectors. No block uses labels, ratings or
the typical phrases of a generator.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from vital_lib.english import sentences

HASHED_WORDS = 4096
"""Columns of the hashed words; different words can share a column."""

_TOKEN = r"(?u)\b(?:\w\w+|[^\W_a])\b"  # "grade 3", "hepatitis B"; the article "a" says nothing

BREAK = "\n"
"""Separates the texts in a context's list of words; no run of words crosses it."""

_WORD = re.compile(r"[^\W_]+")
_ENDS = (".", "!", "?", '"', "'", ")")


def words(text: str) -> list[str]:
    """Return the words of `text` in lower case, without punctuation."""
    return _WORD.findall(text.lower())


@dataclass(frozen=True)
class Sentences:
    """Sentence vectors (N, d) of t texts, in text order; `counts` (t,) is the number per text."""

    vectors: np.ndarray
    counts: np.ndarray

    @property
    def starts(self) -> np.ndarray:
        """Row of each text's first sentence, (t,)."""
        return np.cumsum(self.counts) - self.counts

    def each(self, reduce: np.ufunc, values: np.ndarray) -> np.ndarray:
        """Reduce the sentences' `values` (N, ...) to one value per text, (t, ...)."""
        return reduce.reduceat(values, self.starts) if len(self.counts) else values[:0]

    def directions(self) -> np.ndarray:
        """Return the mean sentence vector of each text, normalised to length 1: (t, d)."""
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
    """Return cosines (n, 8) between the figure's image and texts; all vectors have length 1.

    Columns: highest, lowest, mean and first cosine of the response's sentences; cosine of the
    answer; cosine of the instruction; mean and lowest cosine of the context's sentences. The last
    two show how well the context describes the image.

    Args:
        image: (m, d), one row per figure.
        answer, question: (n, d), each candidate's answer text and instruction.
        said: sentences of the n responses.
        told: sentences of the captions and mentions of the m figures.
        of_figure: (n,), the row of each candidate's figure in `image`.
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
    """Return cosines (n, 8) between a candidate's texts and the context's sentences.

    Each sentence of the response has a nearest sentence in the context. The first three columns
    are the highest, mean and lowest cosine of these nearest sentences. They separate responses that
    keep to the context from responses that leave it. Then follow the highest and lowest cosine of
    the first sentence, and the highest, lowest and mean of the answer. Arguments as in
    `image_closeness`.
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
    """Return eight measures of how a response is worded.

    In order: log(1 + number of words), number of sentences, longest run of words copied from the
    context, share of words found in the context, share found in the instruction, and whether the
    response ends with punctuation, begins with "yes", or begins with "no".

    Args:
        instruction: words of the instruction.
        context: words of caption and mentions, with `BREAK` between texts.
    """
    tokens = words(response)
    instruction_words, context_words, count = set(instruction), set(context), max(1, len(tokens))
    return [
        *(np.log1p(len(tokens)), len(sentences(response)), longest_copy(tokens, context)),
        *(
            sum(word in context_words for word in tokens) / count,
            sum(word in instruction_words for word in tokens) / count,
        ),
        *(response.rstrip().endswith(_ENDS), tokens[:1] == ["yes"], tokens[:1] == ["no"]),
    ]


def longest_copy(said: Sequence[str], context: Sequence[str]) -> int:
    """Return the length of the longest run of words of `said` that also occurs in `context`."""
    text, longest = f" {' '.join(context)} ", 0
    for start in range(len(said)):
        while (
            start + longest < len(said)
            and f" {' '.join(said[start : start + longest + 1])} " in text
        ):
            longest += 1
    return longest


def hashed_words(responses: Sequence[str]) -> csr_array:
    """Hash words and adjacent word pairs to (n, HASHED_WORDS) float32, sparse, rows of length 1.

    Feature hashing (Weinberger et al. 2009, "Feature hashing for large scale multitask learning")
    needs no vocabulary, so new candidates are encoded in the same way.
    """
    from sklearn.feature_extraction.text import HashingVectorizer

    if not len(responses):
        return csr_array((0, HASHED_WORDS), dtype=np.float32)
    hashing = HashingVectorizer(
        n_features=HASHED_WORDS, ngram_range=(1, 2), dtype=np.float32, token_pattern=_TOKEN
    )
    return csr_array(hashing.transform(responses))

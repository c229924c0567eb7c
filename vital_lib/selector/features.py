"""Frozen features of candidates, computed once and looked up by id.

A candidate is encoded as four things apart, its image, its answer, its whole response and its
context, so that no caption, however long, can push the answer out of the text window. This module
knows nothing of preferences, ratings or training.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from vital_lib.figures import open_image

if TYPE_CHECKING:
    from vital_lib.encoders import Encoder


_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class Features:
    """The features of candidates: `matrix` (n, D) float32, row i that of candidate `ids[i]`.

    Raises:
        ValueError: rows and ids differ in number, or an id stands twice.
    """

    ids: Sequence[str]
    matrix: np.ndarray
    _row_of: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or len(self.matrix) != len(self.ids):
            raise ValueError(f"{len(self.ids)} ids for features of shape {self.matrix.shape}")
        row_of = {name: row for row, name in enumerate(self.ids)}
        if len(row_of) < len(self.ids):
            raise ValueError(f"{len(self.ids) - len(row_of)} of {len(self.ids)} ids stand twice")
        object.__setattr__(self, "_row_of", row_of)

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, ids: Iterable[str]) -> np.ndarray:
        """Row numbers (k,) of `ids`.

        Raises:
            ValueError: ids without features; the message counts them and shows the first.
        """
        wanted = list(ids)
        lost = [name for name in wanted if name not in self._row_of]
        if lost:
            raise ValueError(
                f"{len(lost)} of {len(wanted)} candidates have no features, first {lost[0]!r}: "
                "encode them with candidate_features"
            )
        return np.array([self._row_of[name] for name in wanted], dtype=np.int64)


def candidate_features(
    candidates: pd.DataFrame,
    figures: pd.DataFrame,
    encoder: Encoder,
    *,
    resolve: Callable[[str], Path],
) -> np.ndarray:
    """Features (n, 6 d) float32 of `candidates`, row for row; d is the encoder's width.

    The parts are image, answer (the instruction and the response's first sentence), response,
    context (caption and mentions), image * answer, context * answer. The products let a small
    head see whether the answer fits the image and its caption, which the parts side by side do not
    show it; the paper's head sees the image and one text side by side.

    Args:
        candidates: columns candidate_id, figure_id, instruction, response.
        figures: columns figure_id, image, caption, mentions.
        resolve: the path behind an `image` value, as `Workspace.resolve`.

    Raises:
        ValueError: candidates whose figure is not in `figures`.
        UnreadableImage: an image file is missing or damaged.
    """
    about = figures.set_index("figure_id")
    lost = candidates[~candidates["figure_id"].isin(about.index)]
    if len(lost):
        raise ValueError(
            f"{len(lost)} of {len(candidates)} candidates are about figures that are not given, "
            f"first {lost['candidate_id'].iloc[0]!r} about {lost['figure_id'].iloc[0]!r}"
        )
    codes, names = pd.factorize(candidates["figure_id"])  # each figure is encoded once
    rows = about.loc[list(names)]
    image = encoder.images([open_image(resolve(path)) for path in rows["image"]])  # (m, d)
    passages = [[row["caption"], *row["mentions"]] for row in rows.to_dict("records")]
    context = encode_passages(encoder, passages)  # (m, d)
    answer = encoder.texts([answer_text(row) for row in candidates.to_dict("records")])  # (n, d)
    response = encode_passages(encoder, [[text] for text in candidates["response"]])  # (n, d)
    return join_features(image[codes], answer, response, context[codes])


def join_features(
    image: np.ndarray, answer: np.ndarray, response: np.ndarray, context: np.ndarray
) -> np.ndarray:
    """Image, answer, response and context, each (n, d), as the selector reads them: (n, 6 d)."""
    parts = [image, answer, response, context, image * answer, context * answer]
    return np.concatenate(parts, axis=1, dtype=np.float32)


def encode_passages(encoder: Encoder, passages: Sequence[Sequence[str]]) -> np.ndarray:
    """Each passage (texts of any length) as the mean of its sentences' features: (n, d), length 1.

    A sentence fits the text window of any encoder, so nothing is cut off; and one that recurs in
    many passages is encoded once.
    """
    split = [[one for text in texts for one in sentences(text)] or [""] for texts in passages]
    known = list(dict.fromkeys(one for own in split for one in own))
    features = encoder.texts(known)  # (k, d)
    row_of = {one: row for row, one in enumerate(known)}
    means = np.stack([features[[row_of[one] for one in own]].mean(axis=0) for own in split])
    return means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)


def answer_text(candidate: Mapping[str, str]) -> str:
    """The response's first sentence, where the answer stands, and then the instruction.

    In this order, as what an encoder cuts off is the end.
    """
    return "\n".join([*sentences(candidate["response"])[:1], candidate["instruction"]])


def sentences(text: str) -> list[str]:
    """The sentences of `text`, by their full stops, question and exclamation marks."""
    return [part for part in _SENTENCE_END.split(text.strip()) if part]

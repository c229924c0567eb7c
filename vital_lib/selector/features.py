"""Frozen features of candidates in named blocks, computed once and looked up by id.

The image, the answer, the full response and the context are encoded separately, so a long caption
cannot push the answer out of the text window. Cosines of single sentences, measures of wording and
hashed words complete the features. No feature uses preferences or ratings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from vital_lib.encoders import Encoder
from vital_lib.english import sentences
from vital_lib.figures import open_image
from vital_lib.selector.blocks import (
    BREAK,
    Sentences,
    hashed_words,
    image_closeness,
    text_closeness,
    wording,
    words,
)
from vital_lib.tables import refuse_missing, refuse_strays, refuse_twice

IMAGE_BLOCKS = ("image", "image_closeness")
"""Blocks that use the image; the other blocks use text only."""
ENCODED_BLOCKS = ("image", "text")
"""The encoder's vectors and their products, which are the input of the published recipe."""


@dataclass(frozen=True)
class Features:
    """Named blocks of features, each (n, d) float32, dense or sparse; row i belongs to `ids[i]`.

    Attributes:
        blocks: block name -> rows.
        encoder: fingerprint of the encoder; a selector rejects the features of another encoder.

    Raises:
        ValueError: no blocks, a block with another number of rows than ids, a duplicate id, or a
            value that is not finite.
    """

    ids: Sequence[str]
    blocks: Mapping[str, Any]
    encoder: str = ""
    _row_of: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        row_of = {name: row for row, name in enumerate(self.ids)}
        if len(row_of) < len(self.ids):
            refuse_twice(pd.Series(self.ids, name="candidate_id"), "candidates")
        if not self.blocks:
            raise ValueError(f"{len(self.ids)} candidates without feature blocks")
        for name, block in self.blocks.items():
            _check_block(name, block, self.ids)
        object.__setattr__(self, "_row_of", row_of)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def widths(self) -> dict[str, int]:
        """Number of columns of each block."""
        return {name: block.shape[1] for name, block in self.blocks.items()}

    def only(self, *names: str) -> Features:
        """Return the same candidates with only these blocks.

        Raises:
            ValueError: an unknown block; the message lists the existing blocks.
        """
        missing = [name for name in names if name not in self.blocks]
        if missing:
            raise ValueError(f"no block {missing[0]!r}: the blocks are {', '.join(self.blocks)}")
        return replace(self, blocks={name: self.blocks[name] for name in names})

    def without(self, *names: str) -> Features:
        """Return the same candidates without these blocks; `without(*IMAGE_BLOCKS)` keeps text."""
        self.only(*names)
        return self.only(*(name for name in self.blocks if name not in names))

    def matrix(self) -> np.ndarray:
        """Return all dense blocks side by side, unscaled: (n, D) float32."""
        dense = [block for block in self.blocks.values() if not hasattr(block, "tocsr")]
        return np.concatenate(dense, axis=1, dtype=np.float32)

    def rows(self, ids: Iterable[str]) -> np.ndarray:
        """Return the row numbers (k,) of `ids`.

        Raises:
            ValueError: ids without features; the message counts them and shows the first.
        """
        wanted = list(ids)
        way_out = "encode them with candidate_features"
        refuse_missing(wanted, self._row_of, "candidates have no features", way_out)
        return np.array([self._row_of[name] for name in wanted], dtype=np.int64)


def candidate_features(
    candidates: pd.DataFrame, figures: pd.DataFrame, encoder: Encoder
) -> Features:
    """Compute the features of `candidates`, row for row; d is the encoder's width.

    Blocks: `image` (2 d: image, image * answer), `text` (4 d: answer, response, context,
    context * answer), `image_closeness` (8), `text_closeness` (8), `wording` (8) and `words`
    (4,096, sparse). The answer is the response's first sentence with the
    instruction; the context is caption and mentions. The products let a linear score measure how
    well the answer fits the image and its caption, which the separate vectors cannot.

    Args:
        candidates: columns candidate_id, figure_id, instruction, response.
        figures: columns figure_id, image, caption, mentions.

    Raises:
        ValueError: a candidate's figure is not in `figures`, or is there twice.
        UnreadableImage: an image file is missing or damaged.
    """
    refuse_twice(figures["figure_id"], "figures")
    about = figures.set_index("figure_id")
    refuse_strays(candidates, "figure_id", about.index, what="candidates", to="figures")
    of_figure, names = pd.factorize(candidates["figure_id"])  # each figure is encoded once
    shown = about.loc[list(names)]
    image = encoder.images([open_image(path) for path in shown["image"]])  # (m, d)
    contexts = [[row["caption"], *row["mentions"]] for row in shown.to_dict("records")]
    rows = candidates[["instruction", "response"]].to_dict("records")
    found: dict[str, Any] = _encoded(rows, of_figure, image, contexts, encoder)
    found["wording"] = _wording(rows, of_figure, contexts)
    found["words"] = hashed_words([row["response"] for row in rows])
    return Features(list(candidates["candidate_id"]), found, encoder.fingerprint)


def shuffle_images(figures: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Replace each article's images with another article's images of the same split.

    A selector that gains as much from these images does not use the image content. An article that
    is alone in its split keeps its images.

    Args:
        figures: columns group_id, split, image.
    """
    shuffled = figures["image"].copy()
    rng = np.random.default_rng(seed)
    for _, rows in figures.groupby("split", sort=False):
        articles = rng.permutation(rows["group_id"].unique())
        other = dict(zip(articles, np.roll(articles, 1), strict=True))
        images = rows.groupby("group_id")["image"].agg(list)
        turn = rows.groupby("group_id").cumcount()
        lent = rows["group_id"].map(other).map(images)
        shuffled[rows.index] = [own[k % len(own)] for own, k in zip(lent, turn, strict=True)]
    return figures.assign(image=shuffled)


def answer_text(candidate: Mapping[str, str]) -> str:
    """Return the response's first sentence, which holds the answer, followed by the instruction.

    The answer comes first because encoders truncate the end.
    """
    return "\n".join([*sentences(candidate["response"])[:1], candidate["instruction"]])


def _encoded(
    rows: Sequence[Mapping[str, str]],
    of_figure: np.ndarray,
    image: np.ndarray,
    contexts: Sequence[Sequence[str]],
    encoder: Encoder,
) -> dict[str, np.ndarray]:
    """Compute the blocks that use the encoder's vectors.

    Single sentences fit the text window of any encoder, so nothing is truncated. Repeated texts
    are encoded once.

    Args:
        of_figure: (n,), the row of each candidate's figure in `image` (m, d) and `contexts` (m).
    """
    responses = [sentences(row["response"]) or [""] for row in rows]
    described = [[part for text in texts for part in sentences(text)] or [""] for texts in contexts]
    answers = [answer_text(row) for row in rows]
    instructions = [row["instruction"] for row in rows]
    unique = list(
        dict.fromkeys(
            text for texts in (*responses, *described, answers, instructions) for text in texts
        )
    )
    vectors, place = encoder.texts(unique), {text: row for row, text in enumerate(unique)}

    def stacked(lists: Sequence[Sequence[str]]) -> Sentences:
        found = vectors[[place[text] for texts in lists for text in texts]]
        return Sentences(found, np.array([len(texts) for texts in lists], dtype=np.int64))

    answer, question = stacked([answers]).vectors, stacked([instructions]).vectors  # (n, d)
    response, context = stacked(responses), stacked(described)
    around, seen = context.directions()[of_figure], image[of_figure]  # (n, d)
    places = (response, context, of_figure)
    return {
        "image": _joined(seen, seen * answer),
        "text": _joined(answer, response.directions(), around, around * answer),
        "image_closeness": image_closeness(image, answer, question, *places),
        "text_closeness": text_closeness(answer, *places),
    }


def _wording(
    rows: Sequence[Mapping[str, str]], of_figure: np.ndarray, contexts: Sequence[Sequence[str]]
) -> np.ndarray:
    context = [[word for text in texts for word in (*words(text), BREAK)] for texts in contexts]
    instruction = {text: words(text) for text in {row["instruction"] for row in rows}}
    found = [
        wording(row["response"], instruction[row["instruction"]], context[figure])
        for row, figure in zip(rows, of_figure, strict=True)
    ]
    return np.array(found, np.float32).reshape(len(rows), 8)


def _joined(*parts: np.ndarray) -> np.ndarray:
    return np.concatenate(parts, axis=1, dtype=np.float32)


def _check_block(name: str, block: Any, ids: Sequence[str]) -> None:
    if block.ndim != 2 or block.shape[0] != len(ids):
        raise ValueError(
            f"{len(ids)} ids for block {name!r} of shape {block.shape}: give a row per id"
        )
    bad = np.flatnonzero(~np.isfinite(block.sum(axis=1)))
    if len(bad):
        raise ValueError(
            f"block {name!r} has values that are not finite in {len(bad)} of {len(ids)} rows, "
            f"first for {ids[bad[0]]!r}: encode it again, or leave the candidate out"
        )

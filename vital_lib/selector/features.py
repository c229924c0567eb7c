"""Frozen features of candidates in named blocks, computed once and looked up by id.

A candidate's image, answer, whole response and context are encoded apart, so that no caption,
however long, can push the answer out of the text window; cosines of single sentences, scalars of
wording and hashed words stand beside them. This module knows nothing of preferences or ratings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vital_lib.figures import open_image
from vital_lib.selector.blocks import (
    BREAK,
    Sentences,
    hashed_words,
    image_closeness,
    sentences,
    text_closeness,
    wording,
    words,
)

if TYPE_CHECKING:
    from vital_lib.encoders import Encoder

IMAGE_BLOCKS = ("image", "image_closeness")
"""The blocks that are made of the image; without them, what is left has read text only."""
ENCODED_BLOCKS = ("image", "text")
"""The encoder's own vectors and their products: all that the published recipe reads."""


@dataclass(frozen=True)
class Features:
    """Blocks of features, each (n, d) float32, dense or sparse; row i is of candidate `ids[i]`.

    Attributes:
        blocks: block's name -> its rows.
        encoder: fingerprint of the encoder; a selector refuses the features of another.

    Raises:
        ValueError: rows and ids differ in number, an id stands twice, or a value is not finite.
    """

    ids: Sequence[str]
    blocks: Mapping[str, Any]
    encoder: str = ""
    _row_of: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        row_of = {name: row for row, name in enumerate(self.ids)}
        if len(row_of) < len(self.ids):
            raise ValueError(f"{len(self.ids) - len(row_of)} of {len(self.ids)} ids stand twice")
        if not self.blocks:
            raise ValueError(f"{len(self.ids)} candidates without a block of features")
        for name, block in self.blocks.items():
            _check_block(name, block, self.ids)
        object.__setattr__(self, "_row_of", row_of)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def widths(self) -> dict[str, int]:
        """How many columns each block has."""
        return {name: block.shape[1] for name, block in self.blocks.items()}

    def only(self, *names: str) -> Features:
        """The same candidates with these blocks alone.

        Raises:
            ValueError: a block that there is not; the message lists those there are.
        """
        lost = [name for name in names if name not in self.blocks]
        if lost:
            raise ValueError(f"no block {lost[0]!r}: there are {', '.join(self.blocks)}")
        return replace(self, blocks={name: self.blocks[name] for name in names})

    def without(self, *names: str) -> Features:
        """The same candidates less these blocks: `without(*IMAGE_BLOCKS)` has read text only."""
        self.only(*names)
        return self.only(*(name for name in self.blocks if name not in names))

    def matrix(self) -> np.ndarray:
        """All dense blocks side by side, unscaled: (n, D) float32."""
        dense = [block for block in self.blocks.values() if not hasattr(block, "tocsr")]
        return np.concatenate(dense, axis=1, dtype=np.float32)

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
    flags: pd.DataFrame | None = None,
) -> Features:
    """Features of `candidates`, row for row; d is the encoder's width.

    Blocks: `image` (2 d: image, image * answer), `text` (4 d: answer, response, context,
    context * answer), `image_closeness` (8) and `text_closeness` (8), `wording` (8), `words`
    (4,096, sparse) and, where given, `flags`. The answer is the instruction and the response's
    first sentence; the context is caption and mentions. The products let a linear score see
    whether the answer fits the image and its caption, which the parts side by side do not show it.

    Args:
        candidates: columns candidate_id, figure_id, instruction, response.
        figures: columns figure_id, image, caption, mentions.
        resolve: the path behind an `image` value, as `Workspace.resolve`.
        flags: further columns, numbers or booleans, a row for each candidate, such as grounding
            flags; they are a block of their own.

    Raises:
        ValueError: candidates whose figure is not in `figures`, or a figure that stands twice
            there; flags of another length.
        UnreadableImage: an image file is missing or damaged.
    """
    about = figures.set_index("figure_id")
    twice = about.index[about.index.duplicated()]
    if len(twice):
        raise ValueError(
            f"{len(twice)} of {len(about)} figures stand twice, first {twice[0]!r}: give each once"
        )
    lost = candidates[~candidates["figure_id"].isin(about.index)]
    if len(lost):
        raise ValueError(
            f"{len(lost)} of {len(candidates)} candidates are about figures that are not given, "
            f"first {lost['candidate_id'].iloc[0]!r} about {lost['figure_id'].iloc[0]!r}"
        )
    of_figure, names = pd.factorize(candidates["figure_id"])  # each figure is encoded once
    shown = about.loc[list(names)]
    image = encoder.images([open_image(resolve(path)) for path in shown["image"]])  # (m, d)
    contexts = [[row["caption"], *row["mentions"]] for row in shown.to_dict("records")]
    rows = candidates[["instruction", "response"]].to_dict("records")
    found = _encoded(rows, of_figure, image, contexts, encoder)
    found["wording"] = _wording(rows, of_figure, contexts)
    found["words"] = hashed_words([row["response"] for row in rows])
    if flags is not None:
        found["flags"] = flags.to_numpy(np.float32)
    return Features(list(candidates["candidate_id"]), found, encoder.fingerprint)


def shuffle_images(figures: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """`figures` with each article's images replaced by another article's of the same split.

    What a selector gains from such images, it does not gain by looking. An article alone in its
    split keeps its own.

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
    """The response's first sentence, where the answer stands, and then the instruction.

    In this order, as what an encoder cuts off is the end.
    """
    return "\n".join([*sentences(candidate["response"])[:1], candidate["instruction"]])


def _encoded(
    rows: Sequence[Mapping[str, str]],
    of_figure: np.ndarray,
    image: np.ndarray,
    contexts: Sequence[Sequence[str]],
    encoder: Encoder,
) -> dict[str, np.ndarray]:
    """The blocks that are made of the encoder's vectors.

    A sentence fits the text window of any encoder, so nothing is cut off; and one that recurs is
    encoded once, as is an instruction.

    Args:
        of_figure: (n,) the place of each candidate's figure in `image` (m, d) and `contexts` (m).
    """
    said = [sentences(row["response"]) or [""] for row in rows]
    told = [[one for text in texts for one in sentences(text)] or [""] for texts in contexts]
    answers = [answer_text(row) for row in rows]
    asked = [row["instruction"] for row in rows]
    known = list(dict.fromkeys(one for own in (*said, *told, answers, asked) for one in own))
    vectors, place = encoder.texts(known), {one: row for row, one in enumerate(known)}

    def stacked(texts: Sequence[Sequence[str]]) -> Sentences:
        found = vectors[[place[one] for own in texts for one in own]]
        return Sentences(found, np.array([len(own) for own in texts], dtype=np.int64))

    answer, question = stacked([answers]).vectors, stacked([asked]).vectors  # (n, d)
    spoken, context = stacked(said), stacked(told)
    around, seen = context.directions()[of_figure], image[of_figure]  # (n, d)
    places = (spoken, context, of_figure)
    return {
        "image": _joined(seen, seen * answer),
        "text": _joined(answer, spoken.directions(), around, around * answer),
        "image_closeness": image_closeness(image, answer, question, *places),
        "text_closeness": text_closeness(answer, *places),
    }


def _wording(
    rows: Sequence[Mapping[str, str]], of_figure: np.ndarray, contexts: Sequence[Sequence[str]]
) -> np.ndarray:
    told = [[one for text in texts for one in (*words(text), BREAK)] for texts in contexts]
    asked = {text: words(text) for text in {row["instruction"] for row in rows}}
    found = [
        wording(row["response"], asked[row["instruction"]], told[figure])
        for row, figure in zip(rows, of_figure, strict=True)
    ]
    return np.array(found, np.float32).reshape(len(rows), 8)


def _joined(*parts: np.ndarray) -> np.ndarray:
    return np.concatenate(parts, axis=1, dtype=np.float32)


def _check_block(name: str, block: Any, ids: Sequence[str]) -> None:
    if block.ndim != 2 or block.shape[0] != len(ids):
        raise ValueError(f"{len(ids)} ids for block {name!r} of shape {block.shape}")
    if hasattr(block, "tocsr"):
        bad = np.flatnonzero(~np.isfinite(block.tocsr().sum(axis=1)))
    else:
        bad = np.flatnonzero(~np.isfinite(block.sum(axis=1)))
    if len(bad):
        raise ValueError(
            f"block {name!r} holds values that are not finite in {len(bad)} of {len(ids)} rows, "
            f"first that of {ids[bad[0]]!r}: encode it again, or leave the candidate out"
        )

"""Finds what a run shares with evaluation sets: their images among its figures, and their texts.

A model that was tuned on a benchmark's image is not tested by that benchmark. So figures that show
one are dropped, by notebook 07 and by every export. Questions and answers are short and often equal
by chance, so a text in both is listed only.
"""

from __future__ import annotations

import logging
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from vital_lib.figures import (
    CLINIC,
    DRAWN,
    FigureImage,
    UnreadableImage,
    find_copies,
    image_opener,
    open_image,
    picture_hashes,
)
from vital_lib.tables import Workspace, frame_of

LOG = logging.getLogger(__name__)

NEARLY = 0.85
"""Least share of words that a question with its answer has in common with a nearly equal one."""

_TABLE = "contaminated"
_HASHES = ["sha256", "phash", "phash_inner"]
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Overlap:
    """What figures share with benchmarks.

    Attributes:
        found: table `contaminated`; a row for each figure, benchmark image and reason.
        figures, images: how many were compared.
        unread: images of the benchmarks that cannot be opened.
        benchmarks: names of the benchmarks, in order.
    """

    found: pd.DataFrame
    figures: int
    images: int
    unread: int
    benchmarks: tuple[str, ...]

    @property
    def dropped(self) -> dict[str, str]:
        """The figures to drop, each with the evaluation item that it shows."""
        rows = self.found[self.found["dropped"]].drop_duplicates("figure_id")
        items = [f"{benchmark}: {item}" for benchmark, item in rows[["benchmark", "item"]].values]
        return dict(zip(rows["figure_id"], items, strict=True))

    def __str__(self) -> str:
        if not self.benchmarks:
            return "no benchmark to compare with"
        said = f"{len(self.dropped):,} of {self.figures:,} figures show one of the {self.images:,} "
        said += f"images of {', '.join(self.benchmarks)}"
        similar = self.found.loc[~self.found["dropped"], "figure_id"].nunique()
        said += f"; {similar:,} show a similar picture" if similar else ""
        return said + (f"; {self.unread:,} images cannot be opened" if self.unread else "")


def shared_images(
    figures: pd.DataFrame,
    questions: pd.DataFrame,
    image_of: Callable[[str], FigureImage] | None = None,
) -> Overlap:
    """Compare figures with the images of benchmarks.

    A figure with the same image file, or the same picture (`figures.find_copies`: re-encoded,
    resized, bordered, slightly cropped), is `dropped`. A similar picture is listed only; so is a
    phantom that looks like one of the clinic's benchmark, since each is drawn anew.

    Args:
        figures: columns figure_id, image; sha256, phash, phash_inner and source where they are
            known.
        questions: columns question_id, benchmark, image, cleared_reason of table `questions`; may
            be empty.
        image_of: figure_id -> opened image.
    """
    first = questions.drop_duplicates("image")
    opened = {image: found for image in first["image"] if (found := _opened(str(image)))}
    benchmarks = tuple(sorted(questions["benchmark"].unique()))
    unread = len(first) - len(opened)
    found = pd.DataFrame()
    if opened and len(figures):
        why = first.set_index("image").reindex(columns=["cleared_reason"])["cleared_reason"]
        source = [DRAWN if why[image] == CLINIC else None for image in opened]
        others = pd.DataFrame({"figure_id": list(opened), "source": source})
        others = _hashed(others, opened.__getitem__)
        image_of = image_of or image_opener(figures)
        found = find_copies(_hashed(figures, image_of), others, image_of, opened.__getitem__)
    asked = first.set_index("image")
    rows = [
        {
            "figure_id": row.figure_id,
            "benchmark": asked.loc[row.copy_of, "benchmark"],
            "question_id": asked.loc[row.copy_of, "question_id"],
            "item": Path(row.copy_of).name,
            "reason": row.reason,
            "likeness": row.likeness,
            "dropped": row.same,
        }
        for row in found.itertuples()
    ]
    return Overlap(frame_of(_TABLE, rows), len(figures), len(opened), unread, benchmarks)


def shared_texts(conversations: pd.DataFrame, questions: pd.DataFrame) -> pd.DataFrame:
    """List the rounds whose question and answer are (nearly) those of a benchmark.

    Case, punctuation and spaces do not count. Nearly equal are texts that share at least `NEARLY`
    of their words; a round is listed once, with the question that it equals most.

    Args:
        conversations: columns conversation_id, figure_id, turns of table `selected`.
        questions: columns question_id, benchmark, question, reference.

    Returns:
        Rows of table `contaminated` that are not dropped, in the order of the conversations.
    """
    index = _Words([f"{row.question} {row.reference}" for row in questions.itertuples()])
    columns = (conversations[name] for name in ("conversation_id", "figure_id", "turns"))
    rows = []
    for conversation_id, figure_id, turns in zip(*columns, strict=True) if len(questions) else ():
        for match in filter(None, map(index.nearest, _texts(turns))):
            place, share, exact = match
            asked = questions.iloc[place]
            row = {"figure_id": figure_id, "conversation_id": conversation_id, "dropped": False}
            row |= {"benchmark": asked["benchmark"], "question_id": asked["question_id"]}
            row |= {"item": f"{asked['question']} {asked['reference']}", "likeness": share}
            row["reason"] = "the same text" if exact else "nearly the same text"
            rows.append(row)
    return frame_of(_TABLE, rows)


def dropped_figures(workspace: Workspace) -> set[str]:
    """Return the figures that notebook 07 left out because a benchmark shows them."""
    if not workspace.has(_TABLE):
        return set()
    found = workspace.read(_TABLE)
    return set(found.loc[found["dropped"], "figure_id"])


def _opened(image: str) -> FigureImage | None:
    try:
        return open_image(image)
    except UnreadableImage as error:
        LOG.warning("not compared with the figures: %s", error.reason)
        return None


def _hashed(figures: pd.DataFrame, image_of: Callable[[str], FigureImage]) -> pd.DataFrame:
    """Return the figures with `_HASHES`; a figure without hashes is opened."""
    known = figures.reset_index(drop=True).reindex(columns=["figure_id", "source", *_HASHES])
    known = known.astype(object)
    for place in known.index[known[["sha256", "phash"]].isna().any(axis=1)]:
        try:
            image = image_of(known.loc[place, "figure_id"])
        except UnreadableImage:
            continue  # whoever uses the figure says so
        known.loc[place, _HASHES] = [image.sha256, *picture_hashes(image.pixels())]
    return known


class _Words:
    """Texts by their words, to find one that shares most of them.

    Two texts that share at least `NEARLY` of their words share one of the rarest of each
    (prefix filtering: Chaudhuri et al. 2006, "A primitive operator for similarity joins").
    """

    def __init__(self, texts: list[str]) -> None:
        self._texts = [frozenset(_WORD.findall(text.lower())) for text in texts]
        self._exact = {_normal(text): place for place, text in reversed([*enumerate(texts)])}
        self._times = Counter(word for words in self._texts for word in words)
        self._places: dict[str, list[int]] = defaultdict(list)
        for place, words in enumerate(self._texts):
            for word in self._rarest(words):
                self._places[word].append(place)

    def nearest(self, text: str) -> tuple[int, float, bool] | None:
        """Return the place of the nearest text, the share of common words, and if it is equal."""
        if (place := self._exact.get(_normal(text))) is not None:
            return place, 1.0, True
        words = frozenset(_WORD.findall(text.lower()))
        tried = {place for word in self._rarest(words) for place in self._places.get(word, ())}
        shares = {
            place: len(words & own) / len(words | own)
            for place in sorted(tried)
            if (own := self._texts[place])
        }
        best = max(shares, key=shares.__getitem__, default=None)
        return None if best is None or shares[best] < NEARLY else (best, shares[best], False)

    def _rarest(self, words: frozenset[str]) -> Iterator[str]:
        ordered = sorted(words, key=lambda word: (self._times[word], word))
        return iter(ordered[: len(words) - math.ceil(NEARLY * len(words)) + 1])


def _texts(turns: object) -> list[str]:
    """Return the question with its answer of each round that has both."""
    rounds = turns if isinstance(turns, list | tuple | np.ndarray) else ()
    texts = [
        (turn.get("instruction"), turn.get("response"))
        for turn in rounds
        if isinstance(turn, Mapping)
    ]
    return [
        f"{one} {other}" for one, other in texts if isinstance(one, str) and isinstance(other, str)
    ]


def _normal(text: str) -> str:
    return " ".join(_WORD.findall(text.lower()))

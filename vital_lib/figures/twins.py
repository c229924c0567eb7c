"""Finds copies of pictures in a figure set, or of one set's pictures in another.

Candidates have the same image file, or near perceptual hashes. A hash alone proves nothing: blank,
very dark and text-like pictures share one. So each candidate is opened and compared (``copies``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache

import numpy as np
import pandas as pd

from vital_lib.figures.copies import ALIKE, SAME, Picture, Thumbnails, likeness, thumbnails
from vital_lib.figures.folders import UnreadableImage
from vital_lib.figures.hashes import hash_codes, near_codes
from vital_lib.figures.images import FigureImage

LOG = logging.getLogger(__name__)

COPY_BITS = 8
"""Most bits, of 64, in which the perceptual hashes of pictures that are compared may differ."""

DRAWN = "clinic"
"""The source of phantoms. Each is drawn anew: two of them only look alike, if not equal files."""

_PREPARED = 2_000  # pictures kept ready for comparison, 80 kB each, with a border twice that
_TWINS = [
    *("figure_id", "twin_id", "group_id", "twin_group_id", "source", "twin_source"),
    *("bits", "likeness", "same"),
]
_COPIES = ["figure_id", "copy_of", "reason", "bits", "likeness", "same"]

Opener = Callable[[str], FigureImage]


def find_twins(figures: pd.DataFrame, image_of: Opener, *, bits: int = COPY_BITS) -> pd.DataFrame:
    """Find pictures that nearly equal a picture of another group, such as a reprint.

    A copy may be re-encoded, resized, brighter or darker, bordered, or cropped by some per cent of
    its sides. A mirrored or turned picture is no copy: left and right matter.

    Args:
        figures: columns figure_id, group_id, phash; phash_inner and source where they are known.
        image_of: figure_id -> opened image (`image_opener`); only candidates are opened.
        bits: `COPY_BITS`; fewer are faster and miss more of the cropped copies.

    Returns:
        One row per pair of at least `ALIKE` likeness, most alike first: figure_id, twin_id,
        group_id, twin_group_id, source, twin_source, bits, likeness, and same (likeness of at least
        `SAME`, and not two phantoms; the others need a person's look).
    """
    known = figures.reindex(columns=["figure_id", "group_id", "source"]).to_numpy(object)
    pictures, drawn = _Prepared(known[:, 0], image_of).picture, _is_drawn(figures)
    rows = []
    for one, other, apart in _near_within(_codes(figures), bits):
        if known[one, 1] == known[other, 1]:
            continue
        if (found := _likeness(pictures(one), pictures(other))) >= ALIKE:
            pair = (value for both in zip(known[one], known[other], strict=True) for value in both)
            same = found >= SAME and not (drawn[one] and drawn[other])
            rows.append((*pair, apart, found, same))
    made = pd.DataFrame(rows, columns=_TWINS)
    return made.sort_values("likeness", ascending=False, kind="stable", ignore_index=True)


def find_copies(
    figures: pd.DataFrame, others: pd.DataFrame, image_of: Opener, other_image_of: Opener
) -> pd.DataFrame:
    """Find the figures whose picture is a copy of one of `others`, such as a benchmark's image.

    Args:
        figures: columns figure_id, sha256, phash; phash_inner and source where they are known.
        others: the same columns; its figure_ids may be any names.
        image_of, other_image_of: figure_id -> opened image; only candidates are opened.

    Returns:
        One row per pair: figure_id, copy_of (the figure_id in `others`), reason ("the same image
        file", "the same picture" or "a similar picture"), bits, likeness, and same (false for
        similar pictures, which need a person's look, and for two phantoms of unequal files).
    """
    ids, names = figures["figure_id"].to_numpy(object), others["figure_id"].to_numpy(object)
    files = others.groupby("sha256", sort=False)["figure_id"].agg(list)
    rows = [
        (one, other, "the same image file", 0, 1.0, True)
        for one, sha256 in zip(ids, figures["sha256"], strict=True)
        for other in files.get(sha256, ())
    ]
    equal = {row[:2] for row in rows}
    drawn, other_drawn = (_is_drawn(rows) for rows in (figures, others))
    ours, theirs = _Prepared(ids, image_of).picture, _Prepared(names, other_image_of).picture
    for one, other, apart in _near_between(_codes(figures), _codes(others)):
        if (ids[one], names[other]) in equal:
            continue
        if (found := _likeness(ours(one), theirs(other))) >= ALIKE:
            same = found >= SAME and not (drawn[one] and other_drawn[other])
            reason = "the same picture" if same else "a similar picture"
            rows.append((ids[one], names[other], reason, apart, found, same))
    made = pd.DataFrame(rows, columns=_COPIES)
    return made.sort_values(["likeness"], ascending=False, kind="stable", ignore_index=True)


def _is_drawn(figures: pd.DataFrame) -> np.ndarray:
    """Return which rows are phantoms (k,); none where no source is known."""
    return figures.reindex(columns=["source"])["source"].eq(DRAWN).to_numpy()


def _codes(figures: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows with hashes (k,), and the hashes (k, 2) of the pictures and their insides."""
    whole = figures["phash"].astype(object)
    inner = figures["phash_inner"].astype(object) if "phash_inner" in figures else whole
    rows = np.flatnonzero(whole.notna())
    both = np.stack([hash_codes(part.iloc[rows]) for part in (whole, inner.fillna(whole))], axis=1)
    return rows, both


def _near_within(coded: tuple[np.ndarray, np.ndarray], bits: int) -> Iterator[tuple[int, int, int]]:
    """Yield each pair of rows (earlier, later) with near hashes once, and the least bits."""
    rows, codes = coded
    owners = np.tile(np.arange(len(rows)), 2)
    distinct = np.append(np.ones(len(rows), bool), codes[:, 0] != codes[:, 1])
    every, owners = codes.T.ravel()[distinct], owners[distinct]
    found: dict[tuple[int, int], None] = {}
    for place, near in near_codes(every, bits):
        for other in owners[near].tolist():
            one, later = sorted((other, int(owners[place])))
            if one != later:
                found[one, later] = None
    for one, later in found:
        yield int(rows[one]), int(rows[later]), _least_bits(codes[one], codes[later])


def _near_between(
    coded: tuple[np.ndarray, np.ndarray], others: tuple[np.ndarray, np.ndarray]
) -> Iterator[tuple[int, int, int]]:
    """Yield each row, each row of the others with a near hash, and the least bits."""
    (rows, codes), (other_rows, other_codes) = coded, others
    for place, code in enumerate(other_codes):
        apart = np.bitwise_count(codes[:, :, None] ^ code).min(axis=(1, 2), initial=64)
        for near in np.flatnonzero(apart <= COPY_BITS).tolist():
            yield int(rows[near]), int(other_rows[place]), int(apart[near])


def _least_bits(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.bitwise_count(one[:, None] ^ other).min())


class _Prepared:
    """Pictures by row, opened once and ready for comparison; None if an image cannot be opened."""

    def __init__(self, names: Sequence[str], image_of: Opener) -> None:
        self._names, self._image_of = names, image_of
        self._thumbnails = cache(self._opened)
        self.picture = lru_cache(_PREPARED)(self._made)

    def _opened(self, row: int) -> Thumbnails | None:
        try:
            return thumbnails(self._image_of(self._names[row]).pixels())
        except UnreadableImage as error:
            LOG.warning("%s: not compared with other pictures: %s", self._names[row], error.reason)
            return None

    def _made(self, row: int) -> Picture | None:
        found = self._thumbnails(row)
        return None if found is None else Picture(*found)


def _likeness(one: Picture | None, other: Picture | None) -> float:
    return 0.0 if one is None or other is None else likeness(one, other)

"""Groups the figures of an article or a patient, which must stay on one side of a split.

Records that cite one article by different identifiers form one group. Groups that share an image
are joined, and the frame's ``attrs`` record what was joined. This module reads no files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from vital_lib.figures.articles import Article, rank
from vital_lib.figures.hashes import hash_codes, near_codes
from vital_lib.seeds import hash64
from vital_lib.tables import refuse_twice

ALIKE_COSINE = 0.995
"""Least cosine between the image features of near-identical pictures."""

LARGE_GROUP = 0.05
"""Share of all figures above which a group causes a warning."""

_CHECKED_AT_ONCE = 4096  # vectors
_JOINED = "joined_groups"


def split_of(group_id: str) -> str:
    """Return train (0.55), validation (0.10) or test (0.35) by the SHA-256 of `group_id` alone.

    All figures of an article or a patient are in one split. Added figures change no split, unless
    an added image joins two groups: both then take one name.
    """
    share = hash64(group_id) / 2**64
    if share < 0.55:
        return "train"
    return "validation" if share < 0.65 else "test"


def group_names(articles: Sequence[Article]) -> list[str]:
    """Return the group of each record: `stated`, else an article identifier, else `otherwise`.

    Two identifiers of different kinds, such as a PMCID and a DOI, name one article if some record
    has both and neither occurs with a second identifier of the other's kind. A DOI that occurs with
    several PMCIDs belongs to a collection. The article takes its PMID as its name, else its PMCID.
    """
    partners: dict[tuple[str, int], set[str]] = defaultdict(set)
    for article in articles:
        for one in article.ids:
            for other in article.ids:
                partners[one, _kind(other)].add(other)
    same = _UnionFind()
    for (one, kind), others in partners.items():
        for other in others if len(others) == 1 else ():
            if len(partners[other, _kind(one)]) == 1 and kind != _kind(one):
                same.join(one, other)
    return [
        article.stated or (same.name(article.ids[0]) if article.ids else article.otherwise)
        for article in articles
    ]


def join_same_images(figures: pd.DataFrame) -> pd.DataFrame:
    """Join the groups that hold byte-identical images.

    Args:
        figures: columns figure_id, group_id, split, sha256.

    Returns:
        A new frame; `joined_groups` lists what was joined.
    """
    repeated = figures[figures["sha256"].duplicated(keep=False)]
    pairs = []
    for _, rows in repeated.groupby("sha256", sort=False):
        others = rows[["figure_id", "group_id"]].drop_duplicates("group_id")
        pairs += [(others["figure_id"].iloc[0], other) for other in others["figure_id"].iloc[1:]]
    return _joined(figures, pairs, "the same image file")


def near_identical(
    phashes: Sequence[str | None], features: np.ndarray | Sequence[np.ndarray]
) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield each picture that is near-identical to an earlier one.

    Args:
        phashes: n perceptual hashes, hexadecimal; null matches nothing.
        features: (n, d), or n vectors (d,), not necessarily of unit length. They are not copied
            as a whole.

    Yields:
        The row of the picture, and its k earlier matches: rows (k,), bits (k,), cosines (k,).

    Raises:
        ValueError: the features hold NaN or infinite numbers.
    """

    def unit(rows: Sequence[int] | np.ndarray) -> np.ndarray:
        whole = isinstance(features, np.ndarray)
        return unit_rows(features[rows] if whole else np.stack([features[row] for row in rows]))

    for start in range(0, len(features), _CHECKED_AT_ONCE):
        part = np.asarray(features[start : start + _CHECKED_AT_ONCE], dtype=np.float32)
        if not np.isfinite(part).all():
            raise ValueError("features of pictures hold NaN or infinite numbers")
    known = np.flatnonzero(pd.notna(np.asarray(phashes, dtype=object)))
    codes = hash_codes(phashes[row] for row in known)
    for place, near in near_codes(codes):
        cosines = unit(known[near]) @ unit(known[[place]])[0]
        sure = cosines >= ALIKE_COSINE
        if sure.any():
            bits = np.bitwise_count(codes[near] ^ codes[place])
            yield int(known[place]), known[near[sure]], bits[sure], cosines[sure]


def unit_rows(features: np.ndarray) -> np.ndarray:
    """Return rows of length 1, as float32; a row of zeros stays zero."""
    rows = np.asarray(features, dtype=np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def combine(*sets: pd.DataFrame) -> pd.DataFrame:
    """Join several figure sets into one table `figures`; groups with the same image file are one.

    Args:
        sets: results of `read_figures`.

    Raises:
        ValueError: a figure_id occurs in two sets.
    """
    notes = {
        name: [note for one in sets for note in one.attrs.get(name, [])]
        for name in (_JOINED, "image_notes")
    }
    figures = pd.concat(sets, ignore_index=True)
    refuse_twice(figures["figure_id"], "figures")
    figures.attrs = {name: found for name, found in notes.items() if found}
    return join_same_images(figures)


def join_twins(figures: pd.DataFrame, twins: pd.DataFrame) -> pd.DataFrame:
    """Join the groups of each pair of twins, so that both are in one split.

    Args:
        figures: table `figures`.
        twins: rows of `find_twins`, usually those that are `same`.

    Returns:
        A new frame; `joined_groups` lists what was joined.

    Raises:
        KeyError: a twin is not in `figures`.
    """
    return _joined(
        figures, twins[["figure_id", "twin_id"]].to_numpy().tolist(), "nearly the same picture"
    )


def joined_groups(figures: pd.DataFrame) -> pd.DataFrame:
    """List the groups that were joined into another group when `figures` was made.

    Returns:
        One row per renamed group: group_id (the new name), was (the old name), split,
        split_before, reason (the same image file, or nearly the same picture), figure_id and
        twin_id (the images that join the groups).
    """
    columns = ["group_id", "was", "split", "split_before", "reason", "figure_id", "twin_id"]
    return pd.DataFrame(figures.attrs.get(_JOINED, []), columns=columns)


def group_sizes(figures: pd.DataFrame) -> pd.DataFrame:
    """Count the figures of each article or patient, largest group first.

    Returns:
        group_id, figures (count), share (of all figures), split, large (more than one figure and a
        share above `LARGE_GROUP`).
    """
    groups = figures.groupby("group_id", sort=False, as_index=False)
    sizes = groups.agg(figures=("split", "size"), split=("split", "first"))
    sizes = sizes.sort_values("figures", ascending=False, kind="stable", ignore_index=True)
    large = (sizes["figures"] > 1) & (sizes["figures"] > LARGE_GROUP * len(figures))
    sizes = sizes.assign(share=sizes["figures"] / len(figures), large=large)
    return sizes[["group_id", "figures", "share", "split", "large"]]


def group_warnings(figures: pd.DataFrame) -> list[str]:
    """Return one sentence for each group that is large or was joined."""
    sizes = group_sizes(figures)
    found = [
        f"Group {row.group_id!r} holds {row.figures:,} of {len(figures):,} figures "
        f"({row.share:.0%}), all in {row.split}: is it one article or patient?"
        for row in sizes[sizes["large"]].itertuples()
    ]
    for row in joined_groups(figures).itertuples():
        moved = f", which moves it from {row.split_before} to {row.split}"
        found.append(
            f"Group {row.was!r} is joined to {row.group_id!r}: {row.figure_id!r} and "
            f"{row.twin_id!r} are {row.reason}{moved if row.split != row.split_before else ''}"
        )
    return found


def _joined(figures: pd.DataFrame, pairs: Iterable[Sequence[str]], reason: str) -> pd.DataFrame:
    """Join the groups of each pair of figures, and note each renamed group in ``attrs``."""
    group_of = dict(zip(figures["figure_id"], figures["group_id"], strict=True))
    same, links = _UnionFind(), {}
    for one, other in pairs:
        a, b = group_of[one], group_of[other]
        links.setdefault(a, (other, one))
        links.setdefault(b, (one, other))
        same.join(a, b)
    renamed = {group: same.name(group) for group in links}
    renamed = {group: name for group, name in renamed.items() if name != group}
    if not renamed:
        return figures
    names = figures["group_id"].map({name: renamed.get(name, name) for name in group_of.values()})
    splits = {name: split_of(name) for name in names.unique()}
    made = figures.assign(group_id=names, split=names.map(splits))
    notes = [_note(group, name, reason, links[group]) for group, name in renamed.items()]
    earlier = [note | _now(renamed, note) for note in figures.attrs.get(_JOINED, [])]
    made.attrs = {**figures.attrs, _JOINED: earlier + notes}
    return made


def _note(group: str, name: str, reason: str, link: tuple[str, str]) -> dict[str, str]:
    splits = {"split": split_of(name), "split_before": split_of(group)}
    return {
        "group_id": name, "was": group, **splits, "reason": reason, "figure_id": link[0],
        "twin_id": link[1],
    }  # fmt: skip


def _now(renamed: Mapping[str, str], note: Mapping[str, str]) -> dict[str, str]:
    """Return the present name and split of the group in an earlier note."""
    name = renamed.get(note["group_id"], note["group_id"])
    return {"group_id": name, "split": split_of(name)}


def _kind(identifier: str) -> int:
    return rank(identifier)[0]


class _UnionFind:
    """Sets of equivalent names; the name that ranks first represents its set."""

    def __init__(self) -> None:
        self._better: dict[str, str] = {}

    def name(self, one: str) -> str:
        while (better := self._better.get(one, one)) != one:
            one = better
        return one

    def join(self, one: str, other: str) -> None:
        first, second = sorted((self.name(one), self.name(other)), key=rank)
        if first != second:
            self._better[second] = first

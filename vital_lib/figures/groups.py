"""Groups of figures that belong on one side of a split: one article's or one patient's.

Records that name one article differently are brought together, as are groups that show the same
image; what was joined is kept beside the table. Knows nothing of files or of how they are read.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from vital_lib.figures.articles import Article, rank

NEAR_IDENTICAL_BITS = 4
"""Perceptual hashes that differ in at most so many of 64 bits may be of one picture."""

ALIKE_COSINE = 0.995
"""... and are where the pictures' features have at least this cosine, too."""

LARGE_GROUP = 0.05
"""A group with a larger share of the figures is worth a warning."""

_JOINED = "joined_groups"
_TWINS = ["figure_id", "twin_id", "group_id", "twin_group_id", "bits", "cosine"]


def split_of(group_id: str) -> str:
    """train (0.55), validation (0.10) or test (0.35) by the SHA-256 of `group_id` alone.

    No article or patient stands on both sides. None changes side when figures are added, but for
    one that an added image joins to another: both then go by one name.
    """
    share = int.from_bytes(hashlib.sha256(group_id.encode()).digest()[:8], "big") / 2**64
    if share < 0.55:
        return "train"
    return "validation" if share < 0.65 else "test"


def group_names(articles: Sequence[Article]) -> list[str]:
    """The group of each record: stated, or its article's identifier, or its address.

    Two identifiers of different kinds (a PMCID and a DOI) name one article where some record has
    both and neither goes with another one of the other's kind: a DOI that stands beside several
    PMCIDs is a collection's. The article is then named by its PMID, else its PMCID.
    """
    beside: dict[tuple[str, int], set[str]] = defaultdict(set)
    for article in articles:
        for one in article.ids:
            for other in article.ids:
                beside[one, _kind(other)].add(other)
    same = _Same()
    for (one, kind), others in beside.items():
        for other in others if len(others) == 1 else ():
            if len(beside[other, _kind(one)]) == 1 and kind != _kind(one):
                same.join(one, other)
    return [
        article.stated or (same.name(article.ids[0]) if article.ids else article.otherwise)
        for article in articles
    ]


def join_same_images(figures: pd.DataFrame) -> pd.DataFrame:
    """`figures` with one group for all groups that hold an image of the same bytes.

    Args:
        figures: columns figure_id, group_id, split, sha256.

    Returns:
        A new frame; what was joined is told by `joined_groups`.
    """
    repeated = figures[figures["sha256"].duplicated(keep=False)]
    pairs = []
    for _, rows in repeated.groupby("sha256", sort=False):
        others = rows[["figure_id", "group_id"]].drop_duplicates("group_id")
        pairs += [(others["figure_id"].iloc[0], other) for other in others["figure_id"].iloc[1:]]
    return _joined(figures, pairs, "the same image file")


def find_twins(figures: pd.DataFrame, features: np.ndarray) -> pd.DataFrame:
    """Pictures that are nearly another's of another group, such as one reprinted in two articles.

    Perceptual hashes differ in at most `NEAR_IDENTICAL_BITS` bits, and features confirm it by a
    cosine of `ALIKE_COSINE` or more: a hash alone takes different X-rays for one.

    Args:
        figures: columns figure_id, group_id, phash (hexadecimal, or null: then never a twin).
        features: (n figures, d) of the images alone, rows as in `figures`.

    Returns:
        A row a pair, likest first: figure_id, twin_id, group_id, twin_group_id, bits, cosine.

    Raises:
        ValueError: rows that do not match, or features that are no numbers.
    """
    if len(features) != len(figures):
        raise ValueError(f"{len(features)} rows of features for {len(figures)} figures")
    ids, groups = figures["figure_id"].to_numpy(), figures["group_id"].to_numpy()
    rows = [
        (ids[other], ids[one], groups[other], groups[one], bits, cosine)
        for one, *near in near_identical(figures["phash"], features)
        for other, bits, cosine in zip(*near, strict=True)
        if groups[other] != groups[one]
    ]
    found = pd.DataFrame(rows, columns=_TWINS)
    return found.sort_values("cosine", ascending=False, kind="stable", ignore_index=True)


def near_identical(
    phashes: Sequence[str | None], features: np.ndarray
) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    """The pictures that are nearly an earlier one.

    Args:
        phashes: n perceptual hashes, hexadecimal; a null one is near none.
        features: (n, d), of any length.

    Yields:
        A row, and of the k earlier rows that it is near: places (k,), bits (k,), cosines (k,).

    Raises:
        ValueError: features hold NaN or infinite numbers.
    """
    known = np.flatnonzero(pd.notna(np.asarray(phashes, dtype=object)))
    codes = np.array([int(phashes[row], 16) for row in known], dtype=np.uint64)
    unit = np.asarray(features, dtype=np.float32)
    if not np.isfinite(unit).all():
        raise ValueError("features of pictures hold NaN or infinite numbers")
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    for i, row in enumerate(known):
        bits = np.bitwise_count(codes[:i] ^ codes[i])
        near = np.flatnonzero(bits <= NEAR_IDENTICAL_BITS)
        cosines = unit[known[near]] @ unit[row]
        sure = cosines >= ALIKE_COSINE
        if sure.any():
            yield int(row), known[near[sure]], bits[near[sure]], cosines[sure]


def join_twins(figures: pd.DataFrame, twins: pd.DataFrame) -> pd.DataFrame:
    """`figures` with one group, and so one side of the split, for the articles of each twin pair.

    Args:
        figures: table `figures`.
        twins: as `find_twins` gives them; leave out the rows that are two pictures after all.

    Returns:
        A new frame; what was joined is told by `joined_groups`.

    Raises:
        KeyError: a twin that is not among `figures`.
    """
    return _joined(
        figures, twins[["figure_id", "twin_id"]].to_numpy().tolist(), "nearly the same picture"
    )


def joined_groups(figures: pd.DataFrame) -> pd.DataFrame:
    """What was joined when `figures` was made: a row for each group that now goes by another name.

    Returns:
        group_id (as it is now), was (the name before), split, split_before, reason (the same
        image file, or nearly the same picture), figure_id and twin_id (the images that join them).
    """
    columns = ["group_id", "was", "split", "split_before", "reason", "figure_id", "twin_id"]
    return pd.DataFrame(figures.attrs.get(_JOINED, []), columns=columns)


def group_sizes(figures: pd.DataFrame) -> pd.DataFrame:
    """How many figures each article or patient has, largest first.

    Returns:
        group_id, figures, share (of all figures), split, large (more than one figure, and a share
        above `LARGE_GROUP`).
    """
    splits = dict(zip(figures["group_id"], figures["split"], strict=True))
    rows = [
        (name, count, count / len(figures), splits[name], _is_large(count, len(figures)))
        for name, count in Counter(figures["group_id"]).most_common()
    ]
    return pd.DataFrame(rows, columns=["group_id", "figures", "share", "split", "large"])


def group_warnings(figures: pd.DataFrame) -> list[str]:
    """Sentences on groups that are large or were joined; none where all is well."""
    sizes = Counter(figures["group_id"])
    large = [name for name, count in sizes.most_common() if _is_large(count, len(figures))]
    splits = dict(zip(figures["group_id"], figures["split"], strict=True)) if large else {}
    found = [
        f"Group {name!r} holds {sizes[name]:,} of {len(figures):,} figures "
        f"({sizes[name] / len(figures):.0%}), all in {splits[name]}: is it one article or patient?"
        for name in large
    ]
    for row in joined_groups(figures).itertuples():
        moved = f", which moves it from {row.split_before} to {row.split}"
        found.append(
            f"Group {row.was!r} is joined to {row.group_id!r}: {row.figure_id!r} and "
            f"{row.twin_id!r} are {row.reason}{moved if row.split != row.split_before else ''}"
        )
    return found


def _is_large(count: int, of: int) -> bool:
    return count > 1 and count > LARGE_GROUP * of


def _joined(figures: pd.DataFrame, pairs: Iterable[Sequence[str]], reason: str) -> pd.DataFrame:
    """`figures` with the groups of each pair of figures as one, and a note of each joined group."""
    group_of = dict(zip(figures["figure_id"], figures["group_id"], strict=True))
    same, links = _Same(), {}
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
    """What an earlier note says of its group after it was joined to yet another."""
    name = renamed.get(note["group_id"], note["group_id"])
    return {"group_id": name, "split": split_of(name)}


def _kind(identifier: str) -> int:
    return rank(identifier)[0]


class _Same:
    """Names of which some mean the same; together they go by the one that ranks first."""

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

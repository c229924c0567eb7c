"""The facets by which candidates are filtered: their values, and which rows have each value.

Independent of the panel. A row may have several values of a facet (flags, annotators) or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from vital_lib.modalities import MODALITY_LABELS
from vital_lib.tables import ARMS, flags_in_words

_MOST = 30  # values listed; rarer ones count as "other"
_OTHER, _NONE = "other", "none"
_RATINGS = (0.0, 2.0, 4.0, 6.0, 8.0)  # lower bounds; the last group includes 10
_FIFTHS = ("lowest fifth", "second fifth", "third fifth", "fourth fifth", "highest fifth")


@dataclass
class Facet:
    """One facet: its title and, per value, a label and the mask of the rows that have it."""

    title: str
    labels: dict[str, str]
    masks: dict[str, np.ndarray]

    def chosen(self, values: Iterable[str]) -> np.ndarray:
        """Return the mask of the rows that have one of `values`."""
        return np.logical_or.reduce([self.masks[value] for value in values])


def facets_of(rows: pd.DataFrame, ticks: pd.DataFrame | None = None) -> dict[str, Facet]:
    """Return the facets that `rows` can be filtered by, as far as their columns are given.

    Args:
        rows: from `joined_rows`.
        ticks: columns candidate_id, annotator, for the facet of annotators.
    """
    made = {
        "stage": ("stage", partial(_single, "stage", {})),
        "arm": ("arm", partial(_single, "arm", ARMS)),
        "prompt_version": ("prompt_version", partial(_single, "prompt version", {})),
        "split": ("split", partial(_single, "split", {})),
        "modality": ("modality", partial(_single, "modality", MODALITY_LABELS)),
        "question_type": ("question_type", partial(_single, "question type", {})),
        "flag": ("flags", _flags),
        "rating": ("rating", _ratings),
        "score": ("score", _fifths),
        "accepted": ("accepted", _shares),
    }
    found = {name: make(rows[column]) for name, (column, make) in made.items() if column in rows}
    if ticks is not None:
        found["annotator"] = _annotators(rows, ticks)
    if "outcome" in rows:
        found["outcome"] = _single("cut", {}, rows["outcome"])
    return {name: facet for name, facet in found.items() if len(facet.masks) > 1}


def _single(title: str, labels: Mapping[str, str], column: pd.Series) -> Facet:
    """Return the facet of a column with one value per row; null is "none"."""
    none = _apart(_NONE, column.dropna().astype(str).unique())
    values = column.astype(object).where(column.notna(), none).astype(str)
    codes, names = pd.factorize(values)
    counts = np.bincount(codes, minlength=len(names))
    frequent = np.argsort(-counts, kind="stable")[:_MOST]
    listed = sorted(frequent, key=lambda code: _rank(names[code], list(labels), none))
    masks = {str(names[code]): codes == code for code in listed}
    if len(names) > _MOST:
        rare = ~np.logical_or.reduce(list(masks.values()))
        masks[_OTHER] = rare | masks.get(_OTHER, False)
    return Facet(title, {name: labels.get(name, name) for name in masks}, masks)


def _rank(name: str, known: list[str], none: str) -> tuple[int, str]:
    return (known.index(name) if name in known else len(known) + (name == none), name)


def _apart(mark: str, names: Iterable[object]) -> str:
    """Return a key for the rows without a value: `mark`, in brackets if a value has that name."""
    taken = set(map(str, names))
    while mark in taken:
        mark = f"({mark})"
    return mark


def _flags(flags: pd.Series) -> Facet:
    own = flags.reset_index(drop=True)
    long = own.explode().dropna()
    masks = {}
    for name in sorted(long.unique()):
        masks[str(name)] = np.zeros(len(own), dtype=bool)
        masks[str(name)][long.index[long == name]] = True
    none = _apart(_NONE, masks)
    labels = {name: flags_in_words([name])[0] for name in masks}
    masks[none] = ~np.isin(np.arange(len(own)), long.index)
    return Facet("flag", labels | {none: "no flag"}, masks)


def _ratings(rating: pd.Series) -> Facet:
    values = rating.to_numpy(dtype=float)
    ends = [*_RATINGS[1:], np.inf]
    masks = {
        f"{low:.0f}": (values >= low) & (values < high)
        for low, high in zip(_RATINGS, ends, strict=True)
    }
    labels = {name: f"{name} to under {int(name) + 2}" for name in masks} | {"8": "8 to 10"}
    return Facet("rating", labels | {_NONE: "no rating"}, masks | {_NONE: np.isnan(values)})


def _fifths(score: pd.Series) -> Facet:
    """Return the fifths of the scores; only the order of scores has meaning."""
    values = score.to_numpy(dtype=float)
    rank = score.rank(pct=True, method="average").to_numpy(dtype=float)
    place = np.ceil(5 * rank - 1e-9)
    masks = {str(n): place == n for n in range(1, 6)}
    labels = {str(n): name for n, name in enumerate(_FIFTHS, start=1)}
    return Facet("score", labels | {_NONE: "no score"}, masks | {_NONE: np.isnan(values)})


def _shares(accepted: pd.Series) -> Facet:
    share = accepted.to_numpy(dtype=float)
    masks = {"all": share == 1, "some": (share > 0) & (share < 1), "no_one": share == 0}
    labels = {"all": "by all", "some": "by some", "no_one": "by no one", _NONE: "not judged"}
    return Facet("accepted", labels, masks | {_NONE: np.isnan(share)})


def _annotators(rows: pd.DataFrame, ticks: pd.DataFrame) -> Facet:
    given = ticks.dropna(subset="accepted")
    places = pd.Index(rows["candidate_id"]).get_indexer(given["candidate_id"])
    by, known = given["annotator"].to_numpy(object), places >= 0
    names = given["annotator"].value_counts().index[:_MOST]
    masks = {str(name): np.zeros(len(rows), dtype=bool) for name in sorted(names)}
    for name, mask in masks.items():
        mask[places[known & (by == name)]] = True
    none = _apart(_NONE, masks)
    masks[none] = np.ones(len(rows), dtype=bool)
    masks[none][places[known]] = False
    return Facet("judged by", {name: name for name in masks} | {none: "no one"}, masks)

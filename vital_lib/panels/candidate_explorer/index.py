"""Filters, counts, searches and sorts rows by their places; sends and draws nothing.

Texts are held once more in lower case, as pandas keeps strings; everything else is a mask or an
order of places, so that 100,000 rows take tens of megabytes and milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import reduce

import numpy as np
import pandas as pd

from vital_lib.panels.candidate_explorer.facets import Facet

_SEARCHED = ("instruction", "response")
_WORDS = re.compile(r'"([^"]+)"?|(\S+)')


class RowIndex:
    """The rows of a table, found by facet, text and order.

    Args:
        rows: from `joined_rows`.
        figures: columns figure_id, caption.
        facets: name -> `Facet`; the masks may be replaced later by others of the same length.
    """

    def __init__(self, rows: pd.DataFrame, figures: pd.DataFrame, facets: dict[str, Facet]) -> None:
        self.facets, self._rows = facets, rows
        texts = [_lower(rows[name]).fillna("") for name in _SEARCHED if name in rows]
        self._texts = reduce(lambda one, other: one + "\n" + other, texts)
        captions = figures.drop_duplicates("figure_id")
        self._captions = _lower(captions["caption"])
        found = pd.Index(captions["figure_id"]).get_indexer(rows["figure_id"])
        self._figure_at = found.astype(np.int32)  # -1: the figure is not given
        self._orders: dict[tuple[str, bool], np.ndarray] = {}

    def matching(self, query: str) -> np.ndarray:
        """Return the mask of rows whose instruction, response or caption has every word of `query`.

        Case is ignored; words in double quotes are one phrase. A word may be part of a longer one.
        """
        found = np.ones(len(self._rows), dtype=bool)
        for phrase, word in _WORDS.findall(query.lower()):
            found &= self._having(phrase or word)
        return found

    def _having(self, word: str) -> np.ndarray:
        in_caption = _contains(self._captions, word)
        found = np.append(in_caption, False)[self._figure_at]
        return found | _contains(self._texts, word)

    def passing(self, matched: np.ndarray, chosen: Mapping[str, Iterable[str]]) -> np.ndarray:
        """Return the mask of the `matched` rows that have a chosen value of every chosen facet."""
        masks = [self.facets[name].chosen(values) for name, values in chosen.items()]
        return np.logical_and.reduce([matched, *masks])

    def counts(
        self, matched: np.ndarray, chosen: Mapping[str, Iterable[str]]
    ) -> dict[str, dict[str, int]]:
        """Return, by facet and value, how many rows have it under the filters of other facets."""
        passing = self.passing(matched, chosen)
        found = {}
        for name, facet in self.facets.items():
            others = {other: values for other, values in chosen.items() if other != name}
            base = self.passing(matched, others) if name in chosen else passing
            found[name] = {
                value: int(np.count_nonzero(base & mask)) for value, mask in facet.masks.items()
            }
        return found

    def in_order(
        self, passing: np.ndarray, column: str | None = None, *, descending: bool = False
    ) -> np.ndarray:
        """Return the places of the `passing` rows in the order of `column`, nulls last.

        Without a column, in the order of the table. A column of lists is ordered by their length.
        Rows with the same value keep the order of the table.
        """
        if column is None:
            return np.flatnonzero(passing)
        order = self._orders.get((column, descending))
        if order is None:
            order = self._orders[column, descending] = self._sorted(column, descending)
        return order[passing[order]]

    def _sorted(self, column: str, descending: bool) -> np.ndarray:
        values = self._rows[column]
        if values.dtype == object and values.map(pd.api.types.is_list_like).any():
            values = values.map(len, na_action="ignore")
        ordered = values.sort_values(ascending=not descending, kind="stable", na_position="last")
        return ordered.index.to_numpy().astype(np.int32)


def _lower(texts: pd.Series) -> pd.Series:
    return texts.astype("str").str.lower()


def _contains(texts: pd.Series, word: str) -> np.ndarray:
    return texts.str.contains(word, regex=False, na=False).to_numpy(dtype=bool)

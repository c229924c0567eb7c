"""The rows that a panel lists: by filters, search and order, one of them shown.

Independent of what is drawn of a row; ``explorer`` does that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import pandas as pd

from vital_lib.panels._panel import Paged
from vital_lib.panels.candidate_explorer.facets import Facet
from vital_lib.panels.candidate_explorer.index import RowIndex

PAGE = 60
"""Rows that the page holds at once; it shows about a quarter of them."""


class Listing(Paged):
    """A panel over rows of candidates that lists some of them and shows one.

    Args:
        rows: from `joined_rows`.
        figures: columns figure_id, caption.
        facets: name -> `Facet`.
        image_of: figure_id -> its FigureImage, or JPEG bytes.
    """

    _actions = (*Paged._actions, *("scroll", "toggle_filter", "clear_filters", "search", "sort"))
    _items: Any = ()  # places of the listed rows

    def __init__(
        self,
        rows: pd.DataFrame,
        figures: pd.DataFrame,
        facets: dict[str, Facet],
        image_of: Callable[[str], Any],
    ) -> None:
        super().__init__(image_of)
        self._rows, self._ids = rows, pd.Index(rows["candidate_id"])
        self._index = RowIndex(rows, figures, facets)
        self._chosen: dict[str, list[str]] = {}
        self._query, self._sorted_by, self._descending = "", None, False
        self._first = self._anchor = 0

    @property
    def candidate_id(self) -> str | None:
        """The id of the candidate shown; None if none is listed."""
        return self._ids[self._items[self._place]] if len(self._items) else None

    def rows(self) -> pd.DataFrame:
        """Return the listed rows in their order: the columns given and those of `joined_rows`."""
        return self._rows.iloc[self._items].reset_index(drop=True)

    def filter(self, **values: str | Collection[str] | None) -> None:
        """List only rows with one of the `values` of each facet named; None lifts a filter.

        Facets that are not named stay as they are: `filter(arm="clinician", flag=None)`.

        Raises:
            ValueError: an unknown facet or value.
        """
        for name, given in values.items():
            if name not in self._index.facets:
                raise ValueError(f"facet {name!r}: give one of {', '.join(self._index.facets)}")
            known = self._index.facets[name].masks
            wanted = [given] if isinstance(given, str) else list(given or ())
            if unknown := [value for value in wanted if value not in known]:
                raise ValueError(f"{name} {unknown[0]!r}: give one of {', '.join(known)}")
            self._chosen = {key: own for key, own in self._chosen.items() if key != name}
            self._chosen |= {name: wanted} if wanted else {}
        self._match()

    def toggle_filter(self, facet: str, value: str) -> None:
        """Add a value of a facet to the filters, or take it away."""
        own = self._chosen.get(facet, [])
        self.filter(**{facet: [v for v in own if v != value] if value in own else [*own, value]})

    def clear_filters(self) -> None:
        """List all rows: lift every filter and the search."""
        self._chosen, self._query = {}, ""
        self._match()

    def search(self, query: str) -> None:
        """List only rows whose instruction, response or caption has every word of `query`.

        Case is ignored; words in double quotes are one phrase.
        """
        self._query = str(query)[:500]
        self._match()

    def sort(self, column: str | None, descending: bool | None = None) -> None:
        """Sort by a column of `rows()`, nulls last, and show the first row.

        None is the order of the table. Without `descending`, the first call sorts upwards and the
        next one downwards.

        Raises:
            ValueError: there is no such column.
        """
        if column not in (None, *self._rows.columns):
            raise ValueError(f"column {column!r}: give one of {', '.join(self._rows.columns)}")
        again = column == self._sorted_by and not self._descending
        self._descending = again if descending is None else bool(descending)
        self._sorted_by = column
        self._match(keep=False)

    def jump(self, number: int | str) -> None:
        """Show listed row `number`, counted from 1, or the candidate with that candidate_id.

        Raises:
            ValueError: no listed candidate has that id.
        """
        if isinstance(number, str):
            found = np.flatnonzero(self._ids[self._items] == number)
            if not len(found):
                raise ValueError(f"no candidate {number!r} among the {len(self._items)} listed")
            number = int(found[0]) + 1
        with self._lock:
            place = max(0, min(int(number), len(self._items)) - 1)
            if not self._first <= place < self._first + PAGE:
                self._first = max(0, place - PAGE // 2)
            super().jump(number)

    def scroll(self, first: int) -> None:
        """Send the page the rows from listed row `first` on, counted from 0."""
        with self._lock:
            self._first = max(0, min(int(first), len(self._items) - PAGE))
            self._show()

    def _match(self, *, keep: bool = True) -> None:
        """Find the listed rows; `keep` shows the candidate shown before if it is still listed."""
        with self._lock:
            shown = self._items[self._place] if keep and len(self._items) else None
            matched = self._index.matching(self._query)
            passing = self._index.passing(matched, self._chosen)
            order = {"column": self._sorted_by, "descending": self._descending}
            self._items = self._index.in_order(passing, **order)
            self._counts = self._index.counts(matched, self._chosen)
            found = np.flatnonzero(self._items == shown) if shown is not None else ()
            self._first = self._anchor = 0
            self.jump(int(found[0]) + 1 if len(found) else 1)

    def _listed(self, number: int) -> int | None:
        place = int(number) - 1
        return place if 0 <= place < len(self._items) else None

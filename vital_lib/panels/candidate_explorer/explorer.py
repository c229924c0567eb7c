"""The candidate explorer: a table of all candidates beside the detail of one.

The kernel filters, searches and sorts; the page gets the rows in view and the shown candidate. This
module trains nothing and stores no labels: it passes requests to label to the log given.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vital_lib.annotators import Votes, is_simulated
from vital_lib.panels._panel import Paged, plain, script_beside
from vital_lib.panels.candidate_explorer.aligned import aligned
from vital_lib.panels.candidate_explorer.details import Details, one_decimal
from vital_lib.panels.candidate_explorer.facets import ARMS, Facet, facets_of
from vital_lib.panels.candidate_explorer.index import RowIndex
from vital_lib.panels.candidate_explorer.rows import TITLES, joined_rows

if TYPE_CHECKING:
    from vital_lib.client import Ledger

PAGE = 60
"""Rows that the page holds at once; it shows about a quarter of them."""

_CUT = 240  # characters of a text in the table
_MARKED = {"selected": "selected", "highlighted": "highlighted"}
_IN_TABLE = (None, "arm", "rating", "accepted", "score", "flags", "instruction", "response")


class CandidateExplorer(Paged):
    """Drafts and candidates to filter, search, sort and select, with the detail of one of them.

    Every control of the panel is a method: `filter`, `search`, `sort`, `select`, `save_selection`.
    `rows()` and `selected()` return what is listed and what is selected.

    Args:
        candidates: columns of table `candidates` or `drafts`, or both below each other.
        figures: columns figure_id, caption, mentions, modalities; with sha256, the images of a
            prompt are shown.
        image_of: figure_id -> its FigureImage, or JPEG bytes.
        ratings: rows of table `ratings`, of one policy.
        ticks: columns candidate_id, annotator, accepted, from `labels.votes_long` or
            `Clinicians.ticks`.
        scores: rows of table `scores`, of one selector.
        outcome: columns candidate_id, outcome, from `selection.cut`.
        demonstrations: rows of table `demonstrations`.
        ledger: the `client.Ledger` of the run, for the exact prompt and its cost.

    Raises:
        ValueError: a candidate comes twice, or has two scores or outcomes.

    Attributes:
        selections: name -> candidate_ids, as `save_selection` keeps them.
    """

    _script = script_beside(__file__)
    _actions = (
        *Paged._actions,
        *("scroll", "toggle_filter", "clear_filters", "search", "sort", "align", "show_prompt"),
        *("toggle_selected", "select_to", "select_listed", "unselect"),
        *("save_selection", "open_selection"),
    )

    _items: Any = ()  # places of the listed rows

    def __init__(
        self,
        candidates: pd.DataFrame,
        figures: pd.DataFrame,
        image_of: Callable[[str], Any],
        *,
        ratings: pd.DataFrame | None = None,
        ticks: pd.DataFrame | None = None,
        scores: pd.DataFrame | None = None,
        outcome: pd.DataFrame | None = None,
        demonstrations: pd.DataFrame | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        super().__init__(image_of)
        joined = {"ratings": ratings, "ticks": ticks}
        self._rows = joined_rows(candidates, figures, **joined, scores=scores, outcome=outcome)
        self._ids = pd.Index(self._rows["candidate_id"])
        masks = {name: np.zeros(len(self._rows), dtype=bool) for name in _MARKED}
        marked = {"marked": Facet("marked", dict(_MARKED), masks)}
        self._index = RowIndex(self._rows, figures, marked | facets_of(self._rows, ticks))
        self._details = Details(
            self._rows, figures, **joined, demonstrations=demonstrations, ledger=ledger
        )
        self._note = _simulated(self._rows, ticks)
        self.selections: dict[str, list[str]] = {}
        self._chosen: dict[str, list[str]] = {}
        self._query, self._sorted_by, self._descending = "", None, False
        self._aligned = self._with_prompt = False
        self._first, self._anchor, self._said = 0, 0, ""
        self._found: tuple[Any, dict[str, Any]] | None = None  # the detail last made, by its key
        self._match()

    # --- what is listed

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
        """Sort by a column of `rows()`, nulls last; None is the order of the table.

        Without `descending`, the first call sorts upwards and the next one downwards.

        Raises:
            ValueError: there is no such column.
        """
        if column not in (None, *self._rows.columns):
            raise ValueError(f"column {column!r}: give one of {', '.join(self._rows.columns)}")
        again = column == self._sorted_by and not self._descending
        self._descending = again if descending is None else bool(descending)
        self._sorted_by = column
        self._match()

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

    def align(self, on: bool) -> None:
        """Show the candidates of the figure in columns, aligned by question, or one detail."""
        self._aligned = bool(on)
        self._show()

    def show_prompt(self, on: bool) -> None:
        """Show the exact prompt of the candidate shown, from the ledger."""
        self._with_prompt = bool(on)
        self._show()

    # --- what is marked

    def selected(self, name: str | None = None) -> pd.DataFrame:
        """Return the selected rows, or those of a saved selection, in the order of the table.

        Raises:
            ValueError: no selection has that name.
        """
        if name is None:
            mask = self._marks("selected")
        elif name in self.selections:
            mask = self._ids.isin(self.selections[name])
        else:
            raise ValueError(f"selection {name!r}: give one of {', '.join(self.selections)}")
        return self._rows[mask].reset_index(drop=True)

    def select(self, ids: Iterable[str]) -> None:
        """Select exactly these candidates.

        Raises:
            ValueError: an id is not among the rows.
        """
        self._mark("selected", ids)

    def highlight(self, ids: Iterable[str]) -> None:
        """Mark exactly these candidates in the table and list them in the facet "highlighted".

        Raises:
            ValueError: an id is not among the rows.
        """
        self._mark("highlighted", ids)

    def toggle_selected(self, number: int) -> None:
        """Select listed row `number`, counted from 1, or take it out of the selection."""
        place = self._listed(number)
        if place is not None:
            mask = self._marks("selected")
            mask[self._items[place]] ^= True
            self._anchor = place
            self._marks_changed()

    def select_to(self, number: int) -> None:
        """Select the listed rows from the one that was last toggled to row `number`."""
        place = self._listed(number)
        if place is not None:
            start, end = sorted((self._anchor, place))
            self._marks("selected")[self._items[start : end + 1]] = True
            self._marks_changed()

    def select_listed(self) -> None:
        """Add all listed rows to the selection."""
        self._marks("selected")[self._items] = True
        self._marks_changed()

    def unselect(self) -> None:
        """Select nothing."""
        self._marks("selected")[:] = False
        self._marks_changed()

    def save_selection(self, name: str) -> None:
        """Keep the selected rows under a name, for `selected(name)` and the panel's list.

        Raises:
            ValueError: the name is empty.
        """
        if not str(name).strip():
            raise ValueError("a selection needs a name")
        self.selections[str(name).strip()[:80]] = list(self._ids[self._marks("selected")])
        self._show()

    def open_selection(self, name: str) -> None:
        """Select the rows of a saved selection."""
        self.select(self.selected(name)["candidate_id"])

    # --- inside

    def _match(self) -> None:
        """Find the listed rows; the candidate shown stays shown if it is still listed."""
        with self._lock:
            shown = self._items[self._place] if len(self._items) else None
            matched = self._index.matching(self._query)
            passing = self._index.passing(matched, self._chosen)
            order = {"column": self._sorted_by, "descending": self._descending}
            self._items = self._index.in_order(passing, **order)
            self._counts = self._index.counts(matched, self._chosen)
            found = np.flatnonzero(self._items == shown) if shown is not None else ()
            self._first = self._anchor = 0
            self.jump(int(found[0]) + 1 if len(found) else 1)

    def _marks(self, name: str) -> np.ndarray:
        return self._index.facets["marked"].masks[name]

    def _mark(self, name: str, ids: Iterable[str]) -> None:
        places = self._ids.get_indexer(wanted := list(ids))
        if (unknown := np.flatnonzero(places < 0)).size:
            first = wanted[unknown[0]]
            raise ValueError(f"{unknown.size} of {len(wanted)} ids are no candidate's: {first!r}")
        self._marks(name)[:] = False
        self._marks(name)[places] = True
        self._marks_changed()

    def _marks_changed(self) -> None:
        """Show the marks; the rows listed stay as they are until a filter changes."""
        counts = {name: int(self._marks(name).sum()) for name in _MARKED}
        self._counts = self._counts | {"marked": counts}
        self._show()

    def _listed(self, number: int) -> int | None:
        place = int(number) - 1
        return place if 0 <= place < len(self._items) else None

    def _state(self) -> dict[str, Any]:
        return {
            **self._pages(),
            "all": len(self._rows),
            "note": self._note,
            "said": self._said,
            "query": self._query,
            "sort": [self._sorted_by, self._descending],
            "columns": [[name, TITLES[name]] for name in TITLES if name in self._rows],
            "facets": [self._facet(name) for name in self._index.facets],
            "first": self._first,
            "rows": self._page(),
            "selected": int(self._marks("selected").sum()),
            "selections": [[name, len(ids)] for name, ids in self.selections.items()],
            "aligned": self._aligned,
            "with_prompt": self._with_prompt,
            "shown": self._detail() if len(self._items) else None,
        }

    def _facet(self, name: str) -> dict[str, Any]:
        facet, chosen = self._index.facets[name], self._chosen.get(name, [])
        values = [
            [value, facet.labels[value], self._counts[name][value], value in chosen]
            for value in facet.masks
        ]
        return {"name": name, "title": facet.title, "values": values}

    def _page(self) -> list[dict[str, Any]]:
        """Return what the table shows of its rows; `sorted` is the value of a column not shown."""
        places = self._items[self._first : self._first + PAGE]
        hidden = self._sorted_by if self._sorted_by not in _IN_TABLE else None
        lines = self._rows.iloc[places].to_dict("records")
        return [
            {name: bool(self._marks(name)[place]) for name in _MARKED}
            | _cells(row)
            | {"sorted": _short(row[hidden]) if hidden else None}
            for place, row in zip(places, lines, strict=True)
        ]

    def _detail(self) -> dict[str, Any]:
        """Return the candidate shown, or all of its figure; the last result is kept."""
        place = int(self._items[self._place])
        key = place, self._aligned, self._with_prompt
        if self._found is None or self._found[0] != key:
            found = self._details.of(place, with_prompt=self._with_prompt)
            if self._aligned:
                figure = self._rows["figure_id"] == self._rows.at[place, "figure_id"]
                found |= aligned(self._rows[figure])
            self._found = key, found
        return self._found[1]


def _cells(row: dict[str, Any]) -> dict[str, Any]:
    arm, accepted = plain(row.get("arm")), row.get("accepted")
    judged = accepted is not None and not pd.isna(accepted)
    return {
        "instruction": _short(row.get("instruction")),
        "response": _short(row.get("response")),
        "arm": "draft" if row.get("stage") == "draft" else ARMS.get(arm, arm).split(" ")[0],
        "rating": one_decimal(row.get("rating")),
        "accepted": f"{accepted * row['annotators']:.0f} of {row['annotators']}" if judged else "",
        "score": _two_decimals(row.get("score")),
        "flags": 0 if row.get("flags") is None else len(row["flags"]),
    }


def _short(value: Any) -> str:
    return plain(value)[:_CUT]


def _two_decimals(value: Any) -> str:
    return "" if value is None or pd.isna(value) else f"{value:z.2f}".replace("-", "−")


def _simulated(rows: pd.DataFrame, ticks: pd.DataFrame | None) -> str:
    """Say which of the texts and ticks come from the clinic's simulation."""
    simulated = [] if "clinic" not in set(rows.get("generator", ())) else ["texts"]
    if ticks is not None and len(ticks):
        votes = Votes(len(ticks), int(ticks["annotator"].map(is_simulated).sum()))
        simulated += [f"ticks of {votes.who}"] if votes.simulated else []
    return f"simulated by the clinic: {' and '.join(simulated)}" if simulated else ""

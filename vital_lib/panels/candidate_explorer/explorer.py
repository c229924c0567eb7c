"""The candidate explorer: a table of all candidates beside the detail of one.

The kernel filters, searches and sorts; the page gets the rows in view and the shown candidate. This
module trains nothing and stores no labels: it passes requests to label to the log given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vital_lib.labels import LabelLog, LabelsNotSaved
from vital_lib.panels._panel import script_beside
from vital_lib.panels._static import Form
from vital_lib.panels.candidate_explorer.aligned import aligned
from vital_lib.panels.candidate_explorer.cells import cells_of, simulated
from vital_lib.panels.candidate_explorer.details import Details
from vital_lib.panels.candidate_explorer.facets import Facet, facets_of
from vital_lib.panels.candidate_explorer.listing import PAGE, Listing
from vital_lib.panels.candidate_explorer.rows import TITLES, joined_rows
from vital_lib.panels.candidate_explorer.saved import saved_form
from vital_lib.tables import write_rows

if TYPE_CHECKING:
    from vital_lib.client import Ledger

_MARKED = {"selected": "selected", "highlighted": "highlighted"}


class CandidateExplorer(Listing):
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
        log: the `LabelLog` that takes requests to label or to adjudicate.
        export_to: file that `export` writes without another name; .jsonl or .csv.

    Raises:
        ValueError: a candidate comes twice, or has two scores or outcomes.

    Attributes:
        selections: name -> candidate_ids, as `save_selection` keeps them.
    """

    _script = script_beside(__file__)
    _shows_greys = True
    _actions = (
        *Listing._actions,
        *("align", "show_prompt"),
        *("toggle_selected", "select_to", "select_listed", "unselect"),
        *("save_selection", "open_selection", "send_to_queue", "send_to_adjudication", "export"),
    )

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
        log: LabelLog | None = None,
        export_to: str | Path | None = None,
    ) -> None:
        joined = {"ratings": ratings, "ticks": ticks}
        rows = joined_rows(candidates, figures, **joined, scores=scores, outcome=outcome)
        masks = {name: np.zeros(len(rows), dtype=bool) for name in _MARKED}
        marked = {"marked": Facet("marked", dict(_MARKED), masks)}
        super().__init__(rows, figures, marked | facets_of(rows, ticks), image_of)
        self._details = Details(
            self._rows, figures, **joined, demonstrations=demonstrations, ledger=ledger
        )
        self._log, self._export_to = log, export_to
        self._note = simulated(self._rows, ticks)
        self.selections: dict[str, list[str]] = {}
        self._aligned = self._with_prompt = False
        self._said = ""
        self._found: tuple[Any, dict[str, Any]] | None = None  # the detail last made, by its key
        self._match()

    # --- what is shown

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

    # --- what is done with them

    def send_to_queue(self) -> int:
        """Ask for labels of the selected drafts, or of the draft shown if none is selected.

        Queues hand these questions out first when they are opened next. Drafts of validation and
        test articles are not sent: their labels have to stay a random sample.

        Returns:
            The number of questions sent.

        Raises:
            ValueError: the explorer was opened without a label log.
        """
        rows = self._targets()
        train = rows["split"] == "train" if "split" in rows else pd.Series(True, rows.index)
        held_out = rows["instruction_id"][~train].nunique()
        note = f"{held_out} held out, whose labels stay a random sample" if held_out else ""
        return self._request(rows[train], "label", note)

    def send_to_adjudication(self) -> int:
        """Ask to adjudicate the selected drafts, or the draft shown if none is selected.

        Returns and raises as `send_to_queue`; held-out drafts are sent, too.
        """
        return self._request(self._targets(), "adjudication", "")

    def export(self, path: str | Path | None = None) -> int:
        """Write the listed rows, in their order, to a .jsonl or .csv file; return their number.

        Raises:
            ValueError: no path is given here or in `export_to`, or it has another ending.
        """
        path = path or self._export_to
        if path is None:
            raise ValueError("give a path to export to, or open the explorer with export_to")
        count = write_rows(self.rows(), path)
        self._say(f"{count:,} rows written to {path}")
        return count

    # --- inside

    def _heard(self, widget: Any, content: dict[str, Any], buffers: Any) -> None:
        """Handle a message from the browser; if a call fails, the panel shows why."""
        try:
            super()._heard(widget, content, buffers)
        except (LabelsNotSaved, ValueError, OSError) as error:
            self._say(f"not done: {error}")

    def _targets(self) -> pd.DataFrame:
        mask = self._marks("selected").copy()
        if not mask.any() and len(self._items):
            mask[self._items[self._place]] = True
        return self._rows[mask]

    def _request(self, rows: pd.DataFrame, purpose: str, note: str) -> int:
        """Request the questions of `rows` that have two responses, and say how many they were."""
        if self._log is None:
            raise ValueError("there is no label log: open the explorer with log=")
        items = self._rows["instruction_id"].value_counts()
        pairs = rows["instruction_id"].drop_duplicates()
        whole = pairs[pairs.map(items) == 2]
        single = len(pairs) - len(whole)
        new = self._log.request(whole, purpose)
        notes = [f"{len(whole) - new} sent before" if len(whole) > new else "", note]
        notes.append(f"{single} without two responses to compare" if single else "")
        to = "the label queue" if purpose == "label" else "adjudication"
        self._say("; ".join([f"{new} questions sent to {to}", *filter(None, notes)]))
        return new

    def _say(self, said: str) -> None:
        self._said = said
        self._show()

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

    def _state(self) -> dict[str, Any]:
        return {
            **self._pages(),
            "all": len(self._rows),
            "note": self._note,
            "said": self._said,
            "acts": [self._log is not None, self._export_to is not None],
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

    def _static(self, state: dict[str, Any]) -> Form:
        return saved_form(state, self._thumbnail)

    def _facet(self, name: str) -> dict[str, Any]:
        facet, chosen = self._index.facets[name], self._chosen.get(name, [])
        values = [
            [value, facet.labels[value], self._counts[name][value], value in chosen]
            for value in facet.masks
        ]
        return {"name": name, "title": facet.title, "values": values}

    def _page(self) -> list[dict[str, Any]]:
        """Return what the table shows of its rows."""
        places = self._items[self._first : self._first + PAGE]
        lines = cells_of(self._rows, places, self._sorted_by)
        marks = {name: self._marks(name)[places].tolist() for name in _MARKED}
        return [line | {name: on[n] for name, on in marks.items()} for n, line in enumerate(lines)]

    def _detail(self) -> dict[str, Any]:
        """Return the candidate shown, or all of its figure; the last result is kept."""
        place = int(self._items[self._place])
        key = place, self._aligned, self._with_prompt
        if self._found is None or self._found[0] != key:
            found = self._details.of(place, with_prompt=self._with_prompt)
            if self._aligned:
                found |= aligned(self._rows.iloc[self._details.alike(place, "figure_id")])
            self._found = key, found
        return self._found[1]

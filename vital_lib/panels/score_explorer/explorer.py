"""The score explorer: linked views of scores, and a cut that is dragged on them and acts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from vital_lib.annotators import Votes, beside, who
from vital_lib.panels._panel import Panel, plain, script_beside
from vital_lib.panels._static import Form
from vital_lib.panels.score_explorer.curves import curves_of
from vital_lib.panels.score_explorer.items import brief, facets_of, scored_items
from vital_lib.panels.score_explorer.packing import cut_message, points_message
from vital_lib.panels.score_explorer.picking import AGAINST, far_apart, label_of
from vital_lib.panels.score_explorer.pool_cut import PoolCut, groupings, named
from vital_lib.panels.score_explorer.saved import saved_form
from vital_lib.selection import Grouping, add_groups
from vital_lib.tables import csv_text

_BORDERLINE = 3  # cases shown on each side of the cut
_LISTED = 50  # of the selected candidates
_SETS = {
    "pool": "to select from",
    "held-out": "held-out articles",
    "training": "training articles, which the selector learned from",
}


class ScoreExplorer(Panel):
    """Linked views of scores, and the cut of a pool, to be dragged on its histogram.

    ``share`` and ``within`` are the panel's result: select with them. Held-out articles and those
    that the selector learned from (the training split) are different sets and are never mixed.

    Args:
        scores: columns candidate_id, score.
        candidates: drafts and candidates, as in the tables; with a column cluster, also grouped by
            it. Those without a score are counted and left out, and so are those flagged as a
            refusal or an echo of the request, unless `flagged`.
        figures: columns figure_id, modalities, split.
        image_of: figure_id -> its FigureImage, or JPEG bytes.
        pool: the candidate_ids that the cut selects from; None stands for all.
        share: the share of the pool kept at the start; None shows no cut.
        within, floor, flagged, duplicates: as for `selection.cut`.
        ratings: candidate_id -> the judge's rating.
        people: from `labels.accepted_share`.
        votes: whose votes are in `people` and the curves; the panel names them.
        other, other_name: candidate_id -> another selector's score; its name.
        expected: from `selection.accepted_by_share`.
        learning: columns learned, questions, agreement, low, high, as for `plots.learning_curve`.
        sweep: columns w_human, validation_agreement, as from `selector.sweep_published`.
        by: the facet that colours the distributions at the start.

    Raises:
        ValueError: no candidate has a score, an unknown facet, or a share that `cut` refuses.
    """

    _script = script_beside(__file__)
    _actions = ("set_share", "set_within", "show_set", "split_by", "save_table")
    _actions += ("select", "select_disagreements", "select_crossing", "look_at")

    def __init__(
        self,
        scores: pd.DataFrame,
        candidates: pd.DataFrame,
        figures: pd.DataFrame,
        image_of: Callable[[str], Any],
        *,
        pool: pd.Series | None = None,
        share: float | None = 0.4,
        within: Grouping | None = None,
        floor: float | None = None,
        flagged: bool = False,
        duplicates: pd.DataFrame | None = None,
        ratings: pd.Series | None = None,
        people: pd.DataFrame | None = None,
        votes: Votes | None = None,
        other: pd.Series | None = None,
        other_name: str = "the other selector",
        expected: pd.DataFrame | None = None,
        learning: pd.DataFrame | None = None,
        sweep: pd.DataFrame | None = None,
        by: str = "modality",
    ) -> None:
        super().__init__(image_of)
        known = {"ratings": ratings, "people": people, "other": other}
        self._items, self._no_answer = scored_items(
            scores, candidates, figures, flagged=flagged, **known
        )
        self._rows_by_id = self._items.set_index("candidate_id", drop=False)
        self._facets, self._votes = facets_of(self._items, votes), votes
        self._curves = curves_of(expected, learning, sweep, votes)
        self._figures = figures.set_index("figure_id")
        self._other, self._other_name = other, other_name
        ids = candidates["candidate_id"]
        chosen = candidates if pool is None else candidates[ids.isin(pool)]
        self._pool = add_groups(chosen, figures).reset_index(drop=True)
        self._scores = scores.set_index("candidate_id")["score"]
        self._how: dict[str, Any] = {"floor": floor, "flagged": flagged, "duplicates": duplicates}
        self._withins = groupings(self._pool, within)
        in_training = (self._items["split"] == "train").to_numpy()
        in_pool = self._items["candidate_id"].isin(self._pool["candidate_id"]).to_numpy()
        self._sets = {"held-out": ~in_training, "training": in_training}
        if share is not None:
            self._sets = {"pool": in_pool, **self._sets}
        self._apart = {name: self._how_far_apart(rows) for name, rows in self._sets.items()}
        self.set = next(name for name, rows in self._sets.items() if rows.any())
        self._picked, self._picked_label = np.array([], dtype=np.int32), ""
        self._looked: int | None = None
        self.share = 1.0 if share is None else float(share)
        self.within: Grouping | None = within
        self._cut: PoolCut | None = None
        self.by = self._facet_called(by)
        if share is not None:
            self._cut_within(within)
        self._show()

    @property
    def kept(self) -> list[str]:
        """The candidate_ids that the cut keeps, best score first; without a cut, none."""
        if self._cut is None:
            return []
        return list(self._outcome.loc[self._outcome["outcome"] == "kept", "candidate_id"])

    def set_share(self, share: float) -> None:
        """Keep the best-scored `share` of the pool.

        Raises:
            ValueError: as `selection.cut`, such as for a share above 1; or the panel has no cut.
        """
        with self._lock:
            self._outcome = self._given_cut().outcome(share)
            self.share = float(share)
            self._show()

    def set_within(self, label: str) -> None:
        """Distribute the share over other groups: "none", "modality" or another label shown.

        Raises:
            ValueError: an unknown label, or a share that cannot be kept within these groups.
        """
        if label not in self._withins:
            raise ValueError(f"within {label!r}: give one of {', '.join(self._withins)}")
        with self._lock:
            self._given_cut()
            self._cut_within(self._withins[label])
            self._send_cut()
            self._show()

    def show_set(self, name: str) -> None:
        """Show "pool", "held-out" or "training".

        Raises:
            ValueError: an unknown set, or one without candidates.
        """
        if name not in (known := [own for own, rows in self._sets.items() if rows.any()]):
            raise ValueError(f"set {name!r}: give one of {', '.join(known)}")
        with self._lock:
            self.set = name
            self._show()

    def split_by(self, facet: str) -> None:
        """Colour the distributions by `facet`, such as "modality" or "votes".

        Raises:
            ValueError: an unknown facet.
        """
        with self._lock:
            self.by = self._facet_called(facet)
            self._show()

    def select(self, rows: Iterable[str | int]) -> None:
        """Select candidates by candidate_id, or by number, 0 for the best score of all.

        Raises:
            ValueError: a candidate that the panel does not have.
        """
        self._pick([self._number(row) for row in rows], "lasso")

    def select_disagreements(self, against: str = "rating", higher: str | None = None) -> None:
        """Select candidates of the set shown on which the selector and another opinion disagree.

        They differ by half of the ranking or more (`picking.far_apart`); largest first.

        Args:
            against: "rating" (the judge) or "other" (the other selector).
            higher: only those that the "selector" or the "other" opinion places higher.

        Raises:
            ValueError: an unknown argument.
        """
        if against not in AGAINST or higher not in (None, "selector", "other"):
            raise ValueError(
                f"against {against!r}, higher {higher!r}: give against = 'rating' or 'other', and "
                "higher = 'selector', 'other' or None"
            )
        far = far_apart(self._items[self._sets[self.set]], against)
        far = {"selector": far[far > 0], "other": far[far < 0]}.get(higher or "", far)
        who = {"rating": "judge", "other": self._other_name}[against]
        self._pick([self._number(name) for name in far.index], label_of(who, higher))

    def select_crossing(self, way: str) -> None:
        """Select the candidates that "enter" the kept set with this selector, or "leave" it.

        They are compared with what the other selector keeps at the same share and quotas; best
        score first.

        Raises:
            ValueError: another way, no cut, or the other selector cannot fill the share.
        """
        if way not in ("enter", "leave"):
            raise ValueError(f"way {way!r}: give 'enter' or 'leave'")
        ours, theirs = set(self.kept), self._kept_by_other()
        names = ours - theirs if way == "enter" else theirs - ours
        rows = sorted(self._number(name) for name in names)
        self._pick(rows, f"{way} the set")

    def selected(self) -> pd.DataFrame:
        """Return the selected candidates as rows of the table given, with score, rating and cut."""
        return self._with_outcome(self._items.iloc[self._picked]).reset_index(drop=True)

    def look_at(self, row: str | int | None) -> None:
        """Show a candidate, by candidate_id or by number; None shows none.

        Raises:
            ValueError: a candidate that the panel does not have.
        """
        with self._lock:
            self._looked = None if row is None else self._number(row)
            self._show()

    def table(self) -> pd.DataFrame:
        """Return the rows shown: candidate_id, figure_id, split, stage, arm, score and the facets.

        With a cut, also `outcome`; it is null outside the pool.
        """
        names = ["candidate_id", "figure_id", "split", "stage", "arm", "question_type", "modality"]
        names += [name for name in ("cluster", "rating", "accepted") if name in self._items]
        names += [name for name in ("other",) if self._other is not None]
        rows = self._items.loc[self._sets[self.set], [*names, "score"]]
        return self._with_outcome(rows).reset_index(drop=True)

    def save_table(self) -> None:
        """Send `table` to the page as a CSV file to download."""
        self.widget.send({"file": f"scores_{self.set}.csv"}, [csv_text(self.table()).encode()])

    def _with_outcome(self, rows: pd.DataFrame) -> pd.DataFrame:
        if self._cut is None:
            return rows
        outcome = self._outcome.set_index("candidate_id")["outcome"]
        return rows.assign(outcome=rows["candidate_id"].map(outcome))

    def _number(self, row: str | int) -> int:
        """Return the row number of a candidate, given by that number or by its id."""
        if isinstance(row, str):
            if row not in self._rows_by_id.index:
                raise ValueError(f"no candidate {row!r} among the {len(self._items):,} scored")
            return int(self._rows_by_id.index.get_loc(row))
        if not 0 <= row < len(self._items):
            raise ValueError(f"no row {row!r}: give a number from 0 to {len(self._items) - 1}")
        return int(row)

    def _pick(self, rows: list[int], label: str) -> None:
        with self._lock:
            self._picked, self._picked_label = np.array(rows, dtype=np.int32), label
            self._send_picked()
            self._show()

    def _how_far_apart(self, rows: np.ndarray) -> dict[str, list[int]]:
        """Return how many rows each opinion places far higher: [selector, other]."""
        gaps = {name: far_apart(self._items[rows], name) for name in AGAINST}
        return {name: [int((gap > 0).sum()), int((gap < 0).sum())] for name, gap in gaps.items()}

    def _kept_by_other(self) -> set[str]:
        """Return what the other selector would keep; raises ValueError as `selection.cut`."""
        if self._other is None:
            raise ValueError("no other selector is given: give its scores as other=")
        outcome = self._given_cut().outcome(self.share, self._other)
        return set(outcome.loc[outcome["outcome"] == "kept", "candidate_id"])

    def _crossing(self) -> list[int] | None:
        """Return how many candidates enter and leave; None if the other cannot fill the share."""
        try:
            theirs = self._kept_by_other()
        except ValueError:
            return None
        ours = set(self.kept)
        return [len(ours - theirs), len(theirs - ours)]

    def _facet_called(self, name: str) -> str:
        if name not in self._facets:
            raise ValueError(f"facet {name!r}: give one of {', '.join(self._facets)}")
        return name

    def _given_cut(self) -> PoolCut:
        if self._cut is None:
            raise ValueError("this panel has no cut: give it a share")
        return self._cut

    def _cut_within(self, within: Grouping | None) -> None:
        prepared = PoolCut(self._pool, self._scores, within=within, **self._how)
        self._outcome = prepared.outcome(self.share)
        self._cut, self.within = prepared, within

    # --- to the page

    def _heard(self, widget: Any, content: dict[str, Any], buffers: Any) -> None:
        if "points" not in content:
            super()._heard(widget, content, buffers)
            return
        with self._lock:
            self._send_points()
            self._send_cut()
            self._send_picked()

    def _send_points(self) -> None:
        """Send the rows as columns, once for each page."""
        content, data = points_message(self._items, self._sets, self._facets, self._curves)
        self.widget.send(content, buffers=data)

    def _send_cut(self) -> None:
        """Send which rows each share keeps: to each page once, and again after `set_within`."""
        if self._cut is not None:
            content, data = cut_message(self._items, self._cut)
            self.widget.send(content, buffers=data)

    def _send_picked(self) -> None:
        self.widget.send({"picked": len(self._picked)}, buffers=[self._picked.tobytes()])

    def _state(self) -> dict[str, Any]:
        sets = [
            [name, _SETS[name], int(rows.sum()), bit]
            for bit, (name, rows) in enumerate(self._sets.items())
            if rows.any()
        ]
        shown = {"set": self.set, "sets": sets, "by": self.by, "no_answer": self._no_answer}
        names: dict[str, Any] = {"who": who(self._votes), "note": beside(self._votes)}
        listed = self._items.iloc[self._picked[:_LISTED]]
        picked = {
            "label": self._picked_label,
            "n": len(self._picked),
            "list": [
                {
                    "row": int(i),
                    "score": float(row.score),
                    "instruction": plain(row.instruction)[:90],
                }
                for i, row in zip(listed.index, listed.itertuples(), strict=True)
            ],
        }
        names |= {"other": self._other_name, "apart": self._apart[self.set], "picked": picked}
        names |= {"shown": None if self._looked is None else self._detail(self._looked)}
        return {**shown, **names, "cut": None if self._cut is None else self._cut_state()}

    def _static(self, state: dict[str, Any]) -> Form:
        scores, rows = self._items["score"].to_numpy(), self._sets[self.set]
        return saved_form(state, scores, self._facets[self.by], rows, self._thumbnail)

    def _detail(self, number: int) -> dict[str, Any]:
        row = self._with_outcome(self._items.iloc[[number]]).iloc[0]
        shown = self._items.loc[self._sets[self.set], "score"]
        judged = "" if pd.isna(row["accepted"]) else self._ticks(row)
        return {
            **brief(row),
            "row": number,
            "above": float((shown < row["score"]).mean()),
            "rating": None if pd.isna(row["rating"]) else float(row["rating"]),
            "ticks": judged or "not judged",
            "split": plain(row["split"]),
            "outcome": plain(row.get("outcome")),
        }

    def _ticks(self, row: pd.Series) -> str:
        accepted, named = round(row["accepted"] * row["annotators"]), who(self._votes)
        return f"accepted by {accepted} of {row['annotators']:.0f} {named}"

    def _cut_state(self) -> dict[str, Any]:
        cut, of = self._given_cut(), self._sets["pool"]
        inside = self._outcome[self._outcome["outcome"] == "kept"]
        outside = self._outcome[self._outcome["outcome"] == "left out"]
        return {
            "share": self.share,
            "line": cut.line(cut.number(self.share)),
            "quota": cut.quota(self.share),
            "kept": len(inside),
            "of": int(of.sum()),
            "learned": int((of & self._sets["training"]).sum()),
            "unscored": int(self._outcome["outcome"].eq("no score").sum()),
            "crossing": None if self._other is None else self._crossing(),
            "within": named(self.within),
            "withins": list(self._withins),
            "inside": [self._case(name) for name in inside["candidate_id"].tail(_BORDERLINE)],
            "outside": [self._case(name) for name in outside["candidate_id"].head(_BORDERLINE)],
        }

    def _case(self, name: str) -> dict[str, Any]:
        return brief(self._rows_by_id.loc[name])

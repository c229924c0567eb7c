"""The score explorer: distributions of scores, and a cut that is dragged on them and acts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from vital_lib.annotators import Votes, beside, who
from vital_lib.panels._panel import Panel, candidate_texts, script_beside
from vital_lib.panels.score_explorer.items import facets_of, scored_items
from vital_lib.panels.score_explorer.pool_cut import NEVER, PoolCut, named
from vital_lib.selection import Grouping, add_groups

_BORDERLINE = 3  # cases shown on each side of the cut
_SETS = {
    "pool": "to select from",
    "held-out": "held-out articles",
    "training": "training articles, which the selector learned from",
}


class ScoreExplorer(Panel):
    """Distributions of scores, and the cut of a pool, to be dragged on its histogram.

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
        votes: whose votes are in `people`; the panel names them.
        by: the facet that colours the distributions at the start.

    Raises:
        ValueError: no candidate has a score, an unknown facet, or a share that `selection.cut`
            refuses.
    """

    _script = script_beside(__file__)
    _actions = ("set_share", "set_within", "show_set", "split_by", "save_table")

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
        by: str = "modality",
    ) -> None:
        super().__init__(image_of)
        known = {"ratings": ratings, "people": people, "flagged": flagged}
        self._items, self._no_answer = scored_items(scores, candidates, figures, **known)
        self._rows_by_id = self._items.set_index("candidate_id", drop=False)
        self._facets, self._votes = facets_of(self._items, votes), votes
        ids = candidates["candidate_id"]
        chosen = candidates if pool is None else candidates[ids.isin(pool)]
        self._pool = add_groups(chosen, figures).reset_index(drop=True)
        self._scores = scores.set_index("candidate_id")["score"]
        self._how: dict[str, Any] = {"floor": floor, "flagged": flagged, "duplicates": duplicates}
        self._withins = _groupings(self._pool, within)
        in_training = (self._items["split"] == "train").to_numpy()
        in_pool = self._items["candidate_id"].isin(self._pool["candidate_id"]).to_numpy()
        self._sets = {"held-out": ~in_training, "training": in_training}
        if share is not None:
            self._sets = {"pool": in_pool, **self._sets}
        self.set = next(name for name, rows in self._sets.items() if rows.any())
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
            ValueError: an unknown set.
        """
        if name not in self._sets:
            raise ValueError(f"set {name!r}: give one of {', '.join(self._sets)}")
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

    def table(self) -> pd.DataFrame:
        """Return the rows shown: candidate_id, figure_id, split, stage, arm, score and the facets.

        With a cut, also `outcome`; it is null outside the pool.
        """
        names = ["candidate_id", "figure_id", "split", "stage", "arm", "question_type", "modality"]
        names += [name for name in ("cluster", "rating", "accepted") if name in self._items]
        rows = self._items.loc[self._sets[self.set], [*names, "score"]]
        if self._cut is not None:
            outcome = self._outcome.set_index("candidate_id")["outcome"]
            rows = rows.assign(outcome=rows["candidate_id"].map(outcome))
        return rows.reset_index(drop=True)

    def save_table(self) -> None:
        """Send `table` to the page as a CSV file to download."""
        data = self.table().to_csv(index=False).encode()
        self.widget.send({"file": f"scores_{self.set}.csv"}, buffers=[data])

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

    def _send_points(self) -> None:
        """Send each row's score, sets (one bit each) and groups, once for each page."""
        sets = sum(rows.astype(np.uint8) << place for place, rows in enumerate(self._sets.values()))
        scores = self._items["score"].to_numpy(np.float32)
        columns = [scores, sets, *(facet.codes for facet in self._facets.values())]
        facets = {
            name: {"label": facet.label, "names": facet.names, "colours": facet.colours}
            for name, facet in self._facets.items()
        }
        self.widget.send({"points": len(scores), "facets": facets}, buffers=_bytes(*columns))

    def _send_cut(self) -> None:
        """Send which rows each share keeps: to each page once, and again after `set_within`."""
        if self._cut is None:
            return
        places = self._cut.places.reindex(self._items["candidate_id"])
        group, place = places["group"].fillna(0), places["place"].fillna(NEVER)
        columns = [group.astype(np.int32), place.astype(np.int32), self._cut.grid]
        numbers = [self._cut.lines.astype(np.float32), self._cut.shares]
        self.widget.send({"cut": len(self._cut.shares)}, buffers=_bytes(*columns, *numbers))

    def _state(self) -> dict[str, Any]:
        sets = [
            [name, _SETS[name], int(rows.sum()), bit]
            for bit, (name, rows) in enumerate(self._sets.items())
            if rows.any()
        ]
        shown = {"set": self.set, "sets": sets, "by": self.by, "no_answer": self._no_answer}
        names = {"who": who(self._votes), "note": beside(self._votes)}
        return {**shown, **names, "cut": None if self._cut is None else self._cut_state()}

    def _cut_state(self) -> dict[str, Any]:
        cut, of = self._given_cut(), self._sets["pool"]
        training = of & self._sets["training"]
        inside = self._outcome[self._outcome["outcome"] == "kept"]
        outside = self._outcome[self._outcome["outcome"] == "left out"]
        return {
            "share": self.share,
            "line": cut.line(cut.number(self.share)),
            "quota": cut.quota(self.share),
            "kept": len(inside),
            "of": int(of.sum()),
            "learned": int(training.sum()),
            "unscored": int(self._outcome["outcome"].eq("no score").sum()),
            "within": named(self.within),
            "withins": list(self._withins),
            "lowest": float(inside["score"].min()),
            "inside": [self._case(name) for name in inside["candidate_id"].tail(_BORDERLINE)],
            "outside": [self._case(name) for name in outside["candidate_id"].head(_BORDERLINE)],
        }

    def _case(self, name: str) -> dict[str, Any]:
        row = self._rows_by_id.loc[name]
        return {**candidate_texts(row), "score": float(row["score"])}


def _groupings(pool: pd.DataFrame, within: Grouping | None) -> dict[str, Grouping | None]:
    """Return the groupings offered, by label: the given one first."""
    offered: list[Grouping | None] = [within, None]
    for name in ("modality", "cluster", "question_type"):
        if name in pool and pool[name].notna().all():
            offered.append(name)
    return {named(each): each for each in offered}


def _bytes(*columns: Any) -> list[bytes]:
    return [np.ascontiguousarray(column).tobytes() for column in columns]

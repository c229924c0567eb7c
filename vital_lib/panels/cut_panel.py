"""A panel to set the cut: scores by modality, coverage, and the cases closest to the cut.

The cut keeps the best-scored candidates, as `selection.cut` does. This panel saves no selection: it
shows what a share would keep.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from vital_lib.modalities import MODALITY_LABELS, modality_of
from vital_lib.panels._panel import Panel, candidate_texts, script_beside
from vital_lib.plots import MODALITY_COLOURS
from vital_lib.plots._colours import GREY
from vital_lib.selection import Grouping, coverage, cut
from vital_lib.tables import not_to_learn

_BINS = 44
_BORDERLINE = 3  # cases shown on each side of the cut


class CutPanel(Panel):
    """A slider for the share of candidates kept, from one candidate to all.

    Args:
        scores: columns candidate_id, score.
        candidates: columns candidate_id, figure_id, instruction, response, and those that `within`
            names. Candidates flagged as a refusal or an echo of the request are left out unless
            `flagged`, as are candidates without a score; the panel shows how many.
        figures: columns figure_id, modalities.
        image_of: figure_id -> its FigureImage, or JPEG bytes.
        share: the share kept at the start.
        within, floor, flagged: as for `selection.cut`; if `within` is given, coverage is shown by
            its groups.
    """

    _script = script_beside(__file__)
    _actions = ("set_share",)

    def __init__(
        self,
        scores: pd.DataFrame,
        candidates: pd.DataFrame,
        figures: pd.DataFrame,
        image_of: Callable[[str], Any],
        *,
        share: float = 0.4,
        within: Grouping | None = None,
        floor: float | None = None,
        flagged: bool = False,
    ) -> None:
        super().__init__(image_of)
        self._how: dict[str, Any] = {"within": within, "floor": floor, "flagged": flagged}
        answers = candidates[flagged | not_to_learn(candidates).isna()]
        self._no_answer = len(candidates) - len(answers)
        rows = answers.merge(scores[["candidate_id", "score"]], on="candidate_id")
        rows = rows.dropna(subset="score")
        if rows.empty:
            raise ValueError(
                "no candidate has a score: run notebooks/06_train_selector.ipynb first"
            )
        flags = figures.set_index("figure_id")["modalities"]
        rows["modality"] = [modality_of(flags.at[figure]) for figure in rows["figure_id"]]
        best_first = ["score", "candidate_id"]
        self._rows = rows.sort_values(best_first, ascending=[False, True], ignore_index=True)
        self._unscored = answers["candidate_id"].nunique() - len(self._rows)
        self._names = [name for name in MODALITY_LABELS if name in set(rows["modality"])]
        self._bins = self._histogram()
        self.set_share(share)

    @property
    def kept(self) -> list[str]:
        """The candidate_ids that the cut keeps, best score first."""
        return list(self._rows["candidate_id"][self._is_kept])

    def set_share(self, share: float) -> None:
        """Keep the best-scored `share` of candidates.

        Raises:
            ValueError: `share` is not above 0 and at most 1.
        """
        with self._lock:
            scores = self._rows.set_index("candidate_id")["score"]
            self._outcome = cut(self._rows, scores, share=share, **self._how)
            self._is_kept = (self._outcome["outcome"] == "kept").to_numpy()  # both are best first
            self.share = float(share)
            self._show()

    def _state(self) -> dict[str, Any]:
        inside, outside = np.flatnonzero(self._is_kept), np.flatnonzero(~self._is_kept)
        edge = self._rows["score"].iloc[inside[-1]]
        low, high = self._bins["from"], self._bins["to"]
        return {
            "share": self.share,
            "kept": len(inside),
            "of": len(self._rows),
            "unscored": self._unscored,
            "no_answer": self._no_answer,
            "threshold": float(edge),
            "grouped": self._how["within"] is not None,
            "place": float((edge - low) / (high - low)),
            "bins": self._bins,
            "coverage": self._coverage(),
            "inside": [self._case(i) for i in inside[-_BORDERLINE:]],
            "outside": [self._case(i) for i in outside[:_BORDERLINE]],
        }

    def _histogram(self) -> dict[str, Any]:
        scores = self._rows["score"].to_numpy(dtype=float)
        edges = np.histogram_bin_edges(scores, bins=_BINS)
        layers = [
            {
                "colour": MODALITY_COLOURS[name],
                "counts": np.histogram(scores[self._rows["modality"] == name], edges)[0].tolist(),
            }
            for name in self._names
        ]
        return {"from": float(edges[0]), "to": float(edges[-1]), "layers": layers}

    def _coverage(self) -> list[dict[str, Any]]:
        """Return counts and shares before and after the cut, by modality or by `within`."""
        within = self._how["within"]
        by = "modality" if within is None else within
        mix = coverage(self._rows, self._outcome, by).set_index("group")
        if within is None:
            mix = mix.loc[self._names]
        return [
            {
                "name": MODALITY_LABELS.get(name, _named(name)),
                "colour": MODALITY_COLOURS.get(name, GREY),
                "before": int(row["candidates"]),
                "after": int(row["kept"]),
                "share_before": float(row["share_before"]),
                "share_after": float(row["share_after"]),
            }
            for name, row in mix.iterrows()
        ]

    def _case(self, place: int) -> dict[str, Any]:
        row = self._rows.iloc[place]
        return {**candidate_texts(row), "score": float(row["score"])}


def _named(group: Any) -> str:
    return " · ".join(map(str, group)) if isinstance(group, tuple) else str(group)

"""What every share of a pool keeps, prepared so that a page can follow a drag by itself.

`selection.cut` decides; this module asks it once which candidates are eligible, and takes the
quotas of all shares from `selection.quotas`, which the cut itself uses.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from vital_lib.selection import Grouping, cut, quotas
from vital_lib.selection.cut import NO_ANSWERS

STEPS = 1000
"""A drag moves the share in steps of 1 / STEPS; with many groups, in steps of ten times this."""

NEVER = np.iinfo(np.int32).max
"""The place of a candidate that no share keeps."""

_MANY_GROUPS = 300


class PoolCut:
    """A pool, its scores and the rule of its cut, without the share.

    Args:
        pool: columns as for `selection.cut`.
        scores: candidate_id -> score; a candidate without one is never kept, but counts.
        within, floor, flagged, duplicates: as for `selection.cut`.

    Attributes:
        shares: (K,) the shares of a drag that keep at least one candidate, smallest first.
        grid: (K, G) how many of each group they keep, before the floor.
        lines: (K,) the score at which an ungrouped cut of this share lies.
        places: candidate_id -> group (a number) and place in it, 0 for the best.

    Raises:
        ValueError: as `selection.cut`; also if no share keeps a candidate.
    """

    def __init__(
        self,
        pool: pd.DataFrame,
        scores: pd.Series,
        *,
        within: Grouping | None = None,
        floor: float | None = None,
        flagged: bool = False,
        duplicates: pd.DataFrame | None = None,
    ) -> None:
        self._pool, self.within, self._floor = pool, within, floor
        self._scores = scores.reindex(pool["candidate_id"])
        self._how: dict[str, Any] = {"within": within, "flagged": flagged, "duplicates": duplicates}
        ranked = cut(pool, self._scores, n=1, **self._how)
        self._answers = int((~ranked["outcome"].isin(NO_ANSWERS)).sum())
        rows = ranked[ranked["outcome"].isin(("kept", "left out"))].reset_index(drop=True)
        self._ranked = rows["score"].to_numpy(float)
        one = np.zeros(len(rows), dtype=int)
        self._codes = one if within is None else pd.factorize(rows["group"])[0]
        place = pd.Series(self._codes).groupby(self._codes).cumcount().to_numpy()
        above = np.ones(len(rows), bool) if floor is None else self._ranked >= floor
        self.places = pd.DataFrame(
            {"group": self._codes, "place": np.where(above, place, NEVER)},
            index=rows["candidate_id"],
        )
        best_of = np.flatnonzero((place == 0) & above)  # of each group, if it is above the floor
        self._tell_of_each_share(self._codes[best_of])

    def _tell_of_each_share(self, open_groups: np.ndarray) -> None:
        steps = STEPS if self._codes.max() < _MANY_GROUPS else STEPS // 10
        shares = np.arange(1, steps + 1) / steps
        numbers = np.maximum(1, np.round(shares * self._answers)).astype(int)
        enough = numbers <= len(self._codes)
        shares, numbers = shares[enough], numbers[enough]
        grid = quotas(self._codes, numbers.tolist())
        keeping = (grid[:, open_groups] > 0).any(axis=1)
        if not keeping.any():
            raise ValueError(
                f"floor = {self._floor!r} leaves no candidate: the best score is "
                f"{self._ranked.max():.3f}"
            )
        self.shares, self.grid = shares[keeping], grid[keeping].astype(np.int32)
        self.lines = np.array([self.line(number) for number in numbers[keeping]])

    def number(self, share: float) -> int:
        """Return how many candidates `share` keeps before the floor."""
        return max(1, round(share * self._answers))

    def line(self, number: int) -> float:
        """Return a score that `number` eligible candidates reach, and the next one does not."""
        after = self._ranked[min(number, len(self._ranked) - 1)]
        return float((self._ranked[number - 1] + after) / 2)

    def quota(self, share: float) -> list[int]:
        """Return how many of each group `share` keeps, before the floor."""
        return quotas(self._codes, [self.number(share)])[0].tolist()

    def outcome(self, share: float, scores: pd.Series | None = None) -> pd.DataFrame:
        """Return the outcome of `selection.cut` for this share, by the pool's or other scores.

        Raises:
            ValueError: as `selection.cut`.
        """
        ranked = self._scores if scores is None else scores.reindex(self._scores.index)
        return cut(self._pool, ranked, share=share, floor=self._floor, **self._how)


def named(within: Grouping | None) -> str:
    """Return the label of a grouping: "none", "modality", "question type and polarity"."""
    if within is None:
        return "none"
    if isinstance(within, str):
        within = [within]
    if isinstance(within, list | tuple):
        return " and ".join(str(name).replace("_", " ") for name in within)
    return "given groups"


def groupings(pool: pd.DataFrame, within: Grouping | None) -> dict[str, Grouping | None]:
    """Return the groupings offered, by label: the given one first."""
    offered: list[Grouping | None] = [within, None]
    for name in ("modality", "cluster", "question_type"):
        if name in pool and pool[name].notna().all():
            offered.append(name)
    return {named(each): each for each in offered}

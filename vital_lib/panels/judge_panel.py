"""A panel of the largest differences between judge and annotators, with the judge's measures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from vital_lib.annotators import Votes, beside
from vital_lib.panels._panel import (
    Paged,
    candidate_texts,
    figure_texts,
    listed,
    plain,
    script_beside,
)
from vital_lib.panels._static import Form, joined, paragraph, side_by_side, table
from vital_lib.tables import decimals, refuse_strays

_MOST = 100  # candidates listed, largest differences first
_SAVED = 10  # of them in the static form
_SIDES = (None, "judge", "people")


class JudgePanel(Paged):
    """Candidates with both a rating and an annotator's judgement, largest disagreement first.

    The disagreement is the judge's mean rating divided by 10, minus the share of annotators who
    accepted: from -1 (only annotators accept) to 1 (only the judge does).

    Args:
        ratings: columns candidate_id, overall, criteria, rationale. Ratings without a value are
            left out; repeats are averaged, and the criteria and rationale of the first are shown.
            With prompt_version, the panel shows the versions of the policy that were used.
        candidates: columns candidate_id, figure_id, instruction, response.
        people: from `labels.accepted_share`: columns candidate_id, accepted (share of the
            annotators), annotators (their number).
        figures: columns figure_id, caption, mentions.
        image_of: figure_id -> its FigureImage, or JPEG bytes.
        policy: the text of the judge's rating policy.
        measures: from ``judging``: columns value, low, high, n, meaning.
        votes: who the annotators in `people` are; the panel names them in its labels.

    Raises:
        ValueError: a candidate that is rated and judged belongs to none of `figures`.
    """

    _script = script_beside(__file__)
    _actions = (*Paged._actions, "higher")

    def __init__(
        self,
        ratings: pd.DataFrame,
        candidates: pd.DataFrame,
        people: pd.DataFrame,
        figures: pd.DataFrame,
        image_of: Callable[[str], Any],
        *,
        policy: str = "",
        measures: pd.DataFrame | None = None,
        votes: Votes | None = None,
    ) -> None:
        super().__init__(image_of)
        self._judge = {
            "who": votes.who if votes else "annotators",
            "votes": beside(votes),
            "policy": plain(policy),
            "versions": sorted(ratings.get("prompt_version", pd.Series(dtype=str)).unique()),
            "measures": []
            if measures is None
            else [_measure(row) for row in measures.itertuples()],
        }
        self.disagreements = _disagreements(ratings, candidates, people)
        refuse_strays(
            self.disagreements, "figure_id", figures["figure_id"], what="candidates", to="figures"
        )
        self._figures = figures.set_index("figure_id")
        self.side: str | None = None
        self.higher(None)

    def higher(self, side: str | None) -> None:
        """List only candidates that the "judge" or "people" rate higher; None lists all.

        Raises:
            ValueError: an unknown side.
        """
        if side not in _SIDES:
            raise ValueError(f'side {side!r}: give "judge", "people" or None')
        self.side = side
        gap = self.disagreements["gap"]
        kept = {"judge": gap > 0, "people": gap < 0}.get(side, gap.notna())
        self._items = self.disagreements[kept].head(_MOST).to_dict("records")
        self._more = int(kept.sum()) > _MOST
        self.jump(1)

    @property
    def candidate_id(self) -> str | None:
        """The id of the candidate shown; None if the list is empty."""
        return self._items[self._place]["candidate_id"] if self._items else None

    def _state(self) -> dict[str, Any]:
        gap = self.disagreements["gap"]
        return {
            **self._pages(),
            **self._judge,
            "more": self._more,
            "mean": float(gap.abs().mean()) if len(gap) else 0.0,
            "side": self.side,
            "counts": [len(gap), int((gap > 0).sum()), int((gap < 0).sum())],
            "list": [[row["gap"], plain(row["instruction"])] for row in self._items],
            "shown": self._detail(self._items[self._place]) if self._items else None,
        }

    def _static(self, state: dict[str, Any]) -> Form:
        people, rows = state["who"], self._items[:_SAVED]
        summary = (
            f"Judge and {people}: the {len(rows)} largest of {state['counts'][0]:,} differences; "
            f"mean difference {state['mean']:.2f}{state['votes']}"
        )
        titles = ["judge", f"accepted by {people}", "instruction", "response", "judge's rationale"]
        details = [self._detail(row) for row in rows]
        names = ("people", "instruction", "response", "rationale")
        lines = [[f"{row['rating']:.1f}", *(row[name] for name in names)] for row in details]
        parts = [table(titles, lines)]
        if first := next(iter(details), None):
            texts = [paragraph(name.capitalize(), first[name]) for name in ("caption", *names[1:])]
            parts.insert(0, side_by_side(self._thumbnail(first["figure"]), joined(*texts)))
        measures = table(["measure of the judge", "value", "95 % interval", "n"], state["measures"])
        return Form(summary, [*parts, measures] if state["measures"] else parts)

    def _detail(self, row: dict[str, Any]) -> dict[str, Any]:
        return {
            **candidate_texts(row),
            **figure_texts(self._figures.loc[row["figure_id"]]),
            "rating": float(row["overall"]),
            "accepted": float(row["accepted"]),
            "people": f"{row['accepted'] * row['annotators']:.0f} of {row['annotators']}",
            "rationale": plain(row["rationale"]),
            "criteria": [
                [plain(part["criterion"]).replace("_", " "), float(part["rating"])]
                for part in listed(row["criteria"])
                if pd.notna(part["rating"])
            ],
        }


def _measure(row: Any) -> list[str]:
    """Return meaning, value, interval and n as text; without both bounds, the interval is empty."""
    value, low, high = (decimals(number, 2) for number in (row.value, row.low, row.high))
    interval = f"{low} to {high}" if low and high else ""
    return [plain(row.meaning), value, interval, f"{row.n:,}"]


def _disagreements(
    ratings: pd.DataFrame, candidates: pd.DataFrame, people: pd.DataFrame
) -> pd.DataFrame:
    """Return candidate_id, gap, overall, accepted, annotators, criteria, rationale and texts."""
    read = ratings.dropna(subset="overall")
    first = read.drop_duplicates("candidate_id").set_index("candidate_id")
    judged = first[["criteria", "rationale"]].join(read.groupby("candidate_id").overall.mean())
    about = ["figure_id", "instruction", "response"]
    rows = judged.join(people.set_index("candidate_id"), how="inner")
    rows = rows.join(candidates.set_index("candidate_id")[about], how="inner")
    rows["gap"] = rows["overall"] / 10 - rows["accepted"]
    order = rows["gap"].abs().sort_values(ascending=False, kind="stable").index
    return rows.loc[order].rename_axis("candidate_id").reset_index()

"""A panel of the largest differences between judge and annotators, with the judge's measures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from vital_lib.annotators import Votes, beside
from vital_lib.panels._panel import Paged, plain, script_beside

_MOST = 100  # candidates listed, largest differences first
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
        people: table `preferences`; or columns candidate_id, accepted (boolean, one row per
            annotator); or candidate_id, accepted (share), annotators (number of annotators).
        figures: columns figure_id, caption, mentions.
        image_of: figure_id -> its FigureImage, or JPEG bytes.
        policy: the text of the judge's rating policy.
        measures: from ``judging``: columns value, low, high, n, meaning.
        votes: who the annotators in `people` are; the panel names them in its labels.
    """

    _draw = script_beside(__file__)
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

    def _detail(self, row: dict[str, Any]) -> dict[str, Any]:
        figure = self._figures.loc[row["figure_id"]]
        return {
            **{name: plain(row[name]) for name in ("candidate_id", "instruction", "response")},
            "figure": plain(row["figure_id"]),
            "caption": plain(figure["caption"]),
            "mentions": [plain(mention) for mention in figure["mentions"]],
            "rating": float(row["overall"]),
            "accepted": float(row["accepted"]),
            "people": _in_words(row["accepted"], row["people"]),
            "rationale": plain(row["rationale"]),
            "criteria": [
                [plain(part["criterion"]).replace("_", " "), float(part["rating"])]
                for part in row["criteria"]
                if part["rating"] is not None
            ],
        }


def _measure(row: Any) -> list[str]:
    """Return meaning, value, interval and n as text; without both bounds, the interval is empty."""
    value, low, high = (f"{n:z.2f}".replace("-", "−") for n in (row.value, row.low, row.high))
    interval = "" if pd.isna(row.low + row.high) else f"{low} to {high}"
    return [plain(row.meaning), value, interval, f"{row.n:,}"]


def _disagreements(
    ratings: pd.DataFrame, candidates: pd.DataFrame, people: pd.DataFrame
) -> pd.DataFrame:
    """Return candidate_id, gap, overall, accepted, people, criteria, rationale and texts."""
    read = ratings.dropna(subset="overall")
    first = read.drop_duplicates("candidate_id").set_index("candidate_id")
    judged = first[["criteria", "rationale"]].join(read.groupby("candidate_id").overall.mean())
    rows = judged.join(_accepted_share(people), how="inner").join(
        candidates.set_index("candidate_id")[["figure_id", "instruction", "response"]], how="inner"
    )
    rows["gap"] = rows["overall"] / 10 - rows["accepted"]
    order = rows["gap"].abs().sort_values(ascending=False, kind="stable").index
    return rows.loc[order].rename_axis("candidate_id").reset_index()


def _accepted_share(people: pd.DataFrame) -> pd.DataFrame:
    """Return columns accepted (share of people) and people (their number), by candidate_id."""
    if "left_id" in people:
        sides = [
            people[[f"{side}_id", f"{side}_accepted"]].set_axis(
                ["candidate_id", "accepted"], axis=1
            )
            for side in ("left", "right")
        ]
        people = pd.concat(sides)
    ticks = people.dropna(subset="accepted").assign(accepted=lambda rows: rows["accepted"] * 1.0)
    if "annotators" in ticks:
        shares = ticks.set_index("candidate_id")[["accepted", "annotators"]]
    else:
        shares = ticks.groupby("candidate_id")["accepted"].agg(["mean", "size"])
    return shares.set_axis(["accepted", "people"], axis=1)


def _in_words(share: float, people: int) -> str:
    accepted = share * people
    whole = abs(accepted - round(accepted)) < 1e-6  # else the rows are bare shares
    return f"{accepted:.0f} of {people:.0f}" if whole else f"{100 * share:.0f} %"

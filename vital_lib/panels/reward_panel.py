"""A panel of what annotators and judges reward, with the pairs of responses behind each effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from vital_lib.annotators import Votes, beside, who
from vital_lib.panels._panel import Paged, plain, script_beside
from vital_lib.panels._static import Form, paragraph, side_by_side, table
from vital_lib.rewards import ALL, EACH, JUDGE, effect_in_words, examples, marked


class RewardPanel(Paged):
    """The properties of a response, with their effects; a click shows the pairs that differ in it.

    Args:
        found: from ``rewards.rewards``.
        candidates: columns candidate_id, instruction_id, figure_id, instruction, response, flags.
        preferences: columns of table `preferences`.
        ratings: columns candidate_id, overall; None without a judge.
        image_of: figure_id -> its FigureImage, or JPEG bytes.
        votes: the votes behind `found`; the panel names their annotators.
    """

    _script = script_beside(__file__)
    _actions = (*Paged._actions, "choose")

    def __init__(
        self,
        found: pd.DataFrame,
        candidates: pd.DataFrame,
        preferences: pd.DataFrame,
        ratings: pd.DataFrame | None,
        image_of: Callable[[str], Any],
        *,
        votes: Votes | None = None,
    ) -> None:
        super().__init__(image_of)
        self._found = found
        self._tables = (candidates, preferences, ratings)
        self._votes = votes
        self._names = list(found["property"].unique())
        self.name: str | None = None
        if self._names:
            self.choose(self._names[0])
        else:
            self._show()

    def choose(self, name: str) -> None:
        """Show the pairs of responses that differ in property `name`.

        Raises:
            ValueError: there is no such property.
        """
        shown = examples(name, *self._tables)
        self.name, self._items = name, shown.to_dict("records")
        self.jump(1)

    def _state(self) -> dict[str, Any]:
        return {
            **self._pages(),
            "who": who(self._votes),
            "votes": beside(self._votes),
            "list": [self._row(name) for name in self._names],
            "name": self.name,
            "effects": self._effects(self.name),
            "shown": self._pair(self._items[self._place]) if self._items else None,
        }

    def _static(self, state: dict[str, Any]) -> Form:
        people = state["who"]
        lines = [
            [row["label"] if place == 0 else "", *effect]
            for row in state["list"]
            for place, effect in enumerate(self._effects(row["name"], (ALL, JUDGE)))
        ]
        summary = f"What {people} reward: {len(state['list'])} properties of a response"
        parts = [table(["property", "source", "effect", ""], lines)]
        if pair := state["shown"]:
            sides = [
                paragraph(
                    f"{side['value']}; accepted by {side['accepted']}",
                    "".join(run for run, _ in side["runs"]),
                )
                for side in pair["sides"]
            ]
            parts.append(paragraph("A pair that differs", pair["instruction"]))
            parts.append(side_by_side(self._thumbnail(pair["figure"]), *sides))
        return Form(summary + state["votes"], parts)

    def _row(self, name: str) -> dict[str, Any]:
        """Return a property with its direction, if found, for annotators and for judges."""
        own = self._found[self._found["property"] == name]
        signs = {
            kind: [_sign(row) for row in own[own["kind"] == kind].itertuples()]
            for kind in (ALL, JUDGE)
        }
        label = own["label"].iloc[0]
        return {"name": name, "label": label, "people": signs[ALL], "judges": signs[JUDGE]}

    def _effects(
        self, name: str | None, kinds: tuple[str, ...] = (ALL, EACH, JUDGE)
    ) -> list[list[str]]:
        """Return [source, effect in words, note] of every source of these kinds."""
        own = self._found[(self._found["property"] == name) & self._found["kind"].isin(kinds)]
        names = {ALL: who(self._votes), EACH: "", JUDGE: "judge "}
        rows = []
        for _, row in own.iterrows():
            source = names[ALL] if row["kind"] == ALL else names[row["kind"]] + row["source"]
            if pd.isna(row["p"]):
                rows.append([source, f"too few: {row['articles']} articles with a difference", ""])
            else:
                note = "" if row["found"] else "not beyond chance"
                rows.append([source, effect_in_words(row), note])
        return rows

    def _pair(self, row: dict[str, Any]) -> dict[str, Any]:
        return {
            "figure": plain(row["figure_id"]),
            "instruction": plain(row["instruction"]),
            "sides": [self._side(row, end) for end in ("more", "less")],
        }

    @property
    def _label(self) -> str:
        return self._found["label"][self._found["property"] == self.name].iloc[0]

    def _side(self, row: dict[str, Any], end: str) -> dict[str, Any]:
        rating = row[f"rating_{end}"]
        return {
            "runs": marked(str(self.name), plain(row[f"response_{end}"])),
            "value": f"{self._label}: {row[f'value_{end}']:g}",
            "accepted": f"{100 * row[f'accepted_{end}']:.0f} %",
            "rating": "" if pd.isna(rating) else f"{rating:.1f} of 10",
        }


def _sign(row: Any) -> str:
    """Return + or − for an effect that was found, else an empty string."""
    return ("+" if row.effect > 0 else "−") if row.found else ""

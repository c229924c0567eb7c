"""Annotators and their votes: people, or the clinic's simulated clinicians.

Every result that rests on votes is recorded with the number of votes and of simulated votes, so
that each plot, table row and report line can state both. This module does not depend on logs,
figures or models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import pandas as pd

ALLOWED = ("clinic", "people")
"""The values of `annotators` in a notebook; with "people", simulated votes do not count."""

_MARK = "(simulated)"
_EARLIER = ("strict", "moderate", "lenient")  # their names in the earliest logs
_NOT_RECORDED = "annotators (simulated or not: not recorded)"

_RESTS = {
    "preferences": ("",),
    "candidates": ("accepted_share_",),
    "arms": ("",),
    "judge": ("",),
    "rewards": ("accepted_",),
    "selector": ("",),
    "selection": ("accepted_share_",),
    "evaluation": ("win_rate_clinicians", "win_rate_corrected", "compared_", "judge_people_"),
}
"""By stage, the prefixes of the metrics that rest on votes."""
_OWN = ("judge.ratings", "judge.nulls", "selector.judge_pairs", "selector.rated")
"""The metrics among them that rest on the judge alone."""


def signed(name: str) -> str:
    """Return the name of a simulated clinician in the log and in all outputs."""
    return f"{name} {_MARK}"


def is_simulated(annotator: str) -> bool:
    """Whether `annotator` is a simulated clinician."""
    return annotator.endswith(_MARK) or annotator in _EARLIER


def check_person(annotator: str) -> None:
    """Refuse a person who uses the name of a simulated clinician.

    Raises:
        ValueError: `annotator` is the name of a simulated clinician.
    """
    if is_simulated(annotator):
        raise ValueError(
            f"annotator {annotator!r} is the name of a simulated clinician: use your own name"
        )


def votes_of(rows: pd.DataFrame, annotators: str) -> pd.DataFrame:
    """Return the `rows` that count: all rows with "clinic", only those of people with "people".

    Args:
        rows: column annotator, or annotators (lists). A list counts if it holds at least one
            person, or if it is empty, as for a published demonstration.
        annotators: one of `ALLOWED`.

    Raises:
        ValueError: `annotators` is not one of `ALLOWED`.
    """
    if annotators not in ALLOWED:
        raise ValueError(
            f"annotators = {annotators!r}: give one of {', '.join(map(repr, ALLOWED))}"
        )
    if annotators == "clinic":
        return rows
    if "annotators" in rows:
        kept = [not names or not all(map(is_simulated, names)) for names in rows["annotators"]]
    else:
        kept = [not is_simulated(name) for name in rows["annotator"]]
    return rows[pd.Series(kept, index=rows.index, dtype=bool)]


@dataclass(frozen=True)
class Votes:
    """The number of votes behind a result, and how many of them were simulated.

    Attributes:
        n: all votes.
        simulated: votes of simulated clinicians.
        without_truth: simulated votes that were judged from caption and mentions alone, because
            it is not known what the figure shows.
    """

    n: int = 0
    simulated: int = 0
    without_truth: int = 0

    def __str__(self) -> str:
        if not self.n:
            return "no votes yet"
        counted = "1 vote" if self.n == 1 else f"{self.n:,} votes"
        return f"{counted} of {self.who}{self.note}"

    def __bool__(self) -> bool:
        return self.n > 0

    @property
    def who(self) -> str:
        """The kind of annotators, in words for a plot or a sentence."""
        if not self.n:
            return "nobody"
        if not self.simulated:
            return "clinicians"
        return (
            "simulated clinicians" if self._all(self.simulated) else "clinicians (some simulated)"
        )

    @property
    def note(self) -> str:
        """The text that follows `who`, with a leading comma; empty if there is nothing to add."""
        parts = []
        if self.simulated and not self._all(self.simulated):
            parts.append(f"{self.simulated:,} of {self.n:,} votes simulated")
        if self.without_truth:
            some = (
                "all" if self._all(self.without_truth) else f"{self.without_truth:,} of {self.n:,}"
            )
            parts.append(f"{some} judged without truth")
        return "".join(f", {part}" for part in parts)

    @property
    def kind(self) -> str:
        """The kind of votes, in short for a table cell."""
        if not self.n:
            return "none"
        if self.simulated and not self._all(self.simulated):
            return f"people{self.note}"
        return ("simulated" if self.simulated else "people") + self.note

    def _all(self, count: int) -> bool:
        return count == self.n

    def metrics(self, stage: str) -> dict[str, int]:
        """Return ``<stage>.votes``, ``_simulated`` and ``_without_truth`` for metrics.json."""
        counts = {"": self.n, "_simulated": self.simulated, "_without_truth": self.without_truth}
        return {f"{stage}.votes{end}": count for end, count in counts.items()}

    @classmethod
    def recorded(cls, metrics: Mapping[str, Any], stage: str) -> Self | None:
        """Return the votes behind a stage as recorded in `metrics`; None if not recorded."""
        counts = [metrics.get(name) for name in cls().metrics(stage)]
        return None if counts[0] is None else cls(*(int(count or 0) for count in counts))


def votes_behind(metrics: Mapping[str, Any], name: str) -> Votes | None:
    """Return the votes behind metric `name`; None if it rests on none or none are recorded.

    The judge's agreement with held-out votes uses the selector's votes where they are recorded,
    because it is measured again together with the selector's.
    """
    if not rests_on_votes(name):
        return None
    stage = name.split(".")[0]
    again = stage == "judge" and name.startswith("judge.agreement")
    found = Votes.recorded(metrics, "selector") if again else None
    return found or Votes.recorded(metrics, stage)


def rests_on_votes(name: str) -> bool:
    """Whether metric `name` is measured on votes, or counts votes."""
    stage, _, what = name.partition(".")
    starts = (*_RESTS.get(stage, ()), *(("votes",) if stage in _RESTS else ()))
    return what.startswith(starts) and name not in _OWN


def only_says_whose(name: str) -> bool:
    """Whether metric `name` only repeats a part of what `kind_of` states for other metrics."""
    return name.endswith((".votes_simulated", ".votes_without_truth"))


def kind_of(metrics: Mapping[str, Any], name: str) -> str:
    """Return the kind of votes behind metric `name`, for a table cell; empty if none."""
    votes = votes_behind(metrics, name)
    return votes.kind if votes is not None else "not recorded" if rests_on_votes(name) else ""


def who(votes: Votes | None) -> str:
    """Return the kind of annotators in words, also if no votes are recorded."""
    return _NOT_RECORDED if votes is None else votes.who


def beside(votes: Votes | None) -> str:
    """Return the note on `votes` in brackets, with a leading blank; empty if there is none."""
    return f" ({votes.note[2:]})" if votes and votes.note else ""

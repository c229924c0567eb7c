"""Whose votes they are: people's, or those of the clinic's programs that stand in for people.

What rests on votes is recorded with how many there were and how many of them were simulated, so
that every plot, table row and report line can say so, whoever made the figures. This module knows
nothing of logs, figures or models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import pandas as pd

ALLOWED = ("clinic", "people")
"""What `annotators` may be in a notebook: with "people", simulated votes count nowhere."""

_MARK = "(simulated)"
_EARLIER = ("strict", "moderate", "lenient")  # as they signed at first
_NOT_RECORDED = "annotators (simulated or not: not recorded)"

_RESTS = {
    "preferences": ("",),
    "candidates": ("accepted_share_",),
    "arms": ("",),
    "judge": ("",),
    "selector": ("",),
    "selection": ("accepted_share_",),
    "evaluation": ("win_rate_clinicians",),
}
"""By stage, how the names of those metrics begin that rest on votes."""
_OWN = ("judge.ratings", "judge.nulls", "selector.judge_pairs", "selector.rated")
"""Those among them that are of the judge alone."""


def signed(name: str) -> str:
    """The name by which a simulated clinician signs, in the log and wherever it goes."""
    return f"{name} {_MARK}"


def is_simulated(annotator: str) -> bool:
    """Whether `annotator` is one of the clinic's programs."""
    return annotator.endswith(_MARK) or annotator in _EARLIER


def check_person(annotator: str) -> None:
    """Refuse that a person signs as a simulated clinician does.

    Raises:
        ValueError: so it is.
    """
    if is_simulated(annotator):
        raise ValueError(
            f"annotator {annotator!r} is the name of a simulated clinician: sign with your own"
        )


def votes_of(rows: pd.DataFrame, annotators: str) -> pd.DataFrame:
    """Those of `rows` that may count: all with "clinic", those of people alone with "people".

    Args:
        rows: column annotator, or annotators (lists); of a list one person is enough, and what
            names nobody, such as a published demonstration, is kept.
        annotators: one of `ALLOWED`, as the notebook was told.

    Raises:
        ValueError: `annotators` is neither.
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
    """How many votes something rests on, and whose they are.

    Attributes:
        n: all of them.
        simulated: those of simulated clinicians.
        without_truth: those of them that were judged from caption and mentions alone, since
            nobody knows what the figure truly shows.
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
        """Whose votes, as a plot or a sentence names them."""
        if not self.n:
            return "nobody"
        if not self.simulated:
            return "clinicians"
        return (
            "simulated clinicians" if self._all(self.simulated) else "clinicians (some simulated)"
        )

    @property
    def note(self) -> str:
        """What is to be said beside `who`, a comma first; empty where there is nothing."""
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
        """Whose votes, in the few words of a table's cell."""
        if not self.n:
            return "none"
        if self.simulated and not self._all(self.simulated):
            return f"people{self.note}"
        return ("simulated" if self.simulated else "people") + self.note

    def _all(self, count: int) -> bool:
        return count == self.n

    def metrics(self, stage: str) -> dict[str, int]:
        """``<stage>.votes``, ``_simulated`` and ``_without_truth`` for metrics.json."""
        counts = {"": self.n, "_simulated": self.simulated, "_without_truth": self.without_truth}
        return {f"{stage}.votes{end}": count for end, count in counts.items()}

    @classmethod
    def recorded(cls, metrics: Mapping[str, Any], stage: str) -> Self | None:
        """What `metrics` say of the votes behind a stage; None where they say nothing."""
        counts = [metrics.get(name) for name in cls().metrics(stage)]
        return None if counts[0] is None else cls(*(int(count or 0) for count in counts))


def votes_behind(metrics: Mapping[str, Any], name: str) -> Votes | None:
    """The votes that metric `name` rests on; None where it rests on none, or none are recorded.

    The judge's agreement with held-out votes is measured again with the selector's, by the same
    votes.
    """
    if not rests_on_votes(name):
        return None
    stage = name.split(".")[0]
    again = stage == "judge" and name.startswith("judge.agreement")
    found = Votes.recorded(metrics, "selector") if again else None
    return found or Votes.recorded(metrics, stage)


def rests_on_votes(name: str) -> bool:
    """Whether a metric of that name is measured on votes, or counts them."""
    stage, _, what = name.partition(".")
    starts = (*_RESTS.get(stage, ()), *(("votes",) if stage in _RESTS else ()))
    return what.startswith(starts) and name not in _OWN


def only_says_whose(name: str) -> bool:
    """Whether a metric of that name is but a part of what `kind_of` says of the others."""
    return name.endswith((".votes_simulated", ".votes_without_truth"))


def kind_of(metrics: Mapping[str, Any], name: str) -> str:
    """Whose votes metric `name` rests on, for a table's cell; empty where it rests on none."""
    votes = votes_behind(metrics, name)
    return votes.kind if votes is not None else "not recorded" if rests_on_votes(name) else ""


def who(votes: Votes | None) -> str:
    """Whose votes, also where nothing is recorded of them."""
    return _NOT_RECORDED if votes is None else votes.who


def beside(votes: Votes | None) -> str:
    """What is to be said beside `who`, in brackets and with a blank before; mostly nothing."""
    return f" ({votes.note[2:]})" if votes and votes.note else ""

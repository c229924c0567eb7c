"""What can be exported of a table's rows, and why the others are held back.

A ``Conversation`` or ``Pair`` has texts without placeholders and control tokens. ``HeldBack`` is
raised for one row and collected, so that a bad row never stops a good one beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from vital_lib.exports.texts import holds_tokens, plain
from vital_lib.figures import clearance_of
from vital_lib.licences import ANY, STATED, allowed, wanted_names
from vital_lib.tables import check_table, refuse_missing, refuse_twice

NOT_CLEARED = "not cleared"
NO_LICENCE, UNUSABLE = "without a stated licence", "with an unusable image"
IN_BENCHMARK, OTHER_LICENCE = "with an image of a benchmark", "under another licence"
NO_TEXT, NOT_GIVEN = "without text", "of candidates that are not given"
TIE, TWO_QUESTIONS, SAME_TEXT = "tied", "about two questions", "with two equal responses"

ATTRIBUTION = ("group_id", "source", "licence", "credit")
"""Facts of a figure that a data set states with each row."""

BETTER = " > "
"""Stands between the better and the worse candidate in the name of a pair."""

Round = tuple[str, str]


class HeldBack(Exception):
    """A row that is not exported: its `reason`, one of few, and the `detail`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Conversation:
    """A conversation: its rounds (instruction, response), and facts of it and its figure."""

    name: str
    figure_id: str
    rounds: Sequence[Round]
    facts: Mapping[str, Any]
    lost_rounds: int = 0
    cleaned: bool = False

    @property
    def figures(self) -> tuple[str, ...]:
        """The figures that it is about."""
        return (self.figure_id,)


@dataclass(frozen=True)
class Pair:
    """A better and a worse round, each about its figure, and facts such as the annotator."""

    name: str
    figure_id: str
    other_figure_id: str
    better: Round
    worse: Round
    facts: Mapping[str, Any]
    lost_rounds: int = 0
    cleaned: bool = False

    @property
    def figures(self) -> tuple[str, ...]:
        """The figures that it is about."""
        return tuple(dict.fromkeys((self.figure_id, self.other_figure_id)))


Found = tuple[str, str, Conversation | Pair | HeldBack]
"""A row's name, its figure, and what became of it."""


class Gate:
    """Says which figures may leave: cleared, licensed, and of the wanted split.

    Args:
        figures: columns figure_id, image, sha256, cleared, cleared_reason; licence, split,
            group_id, source and credit where they are known.
        split: the split to export, or None for all.
        licences: "stated", "any" (a missing licence holds nothing back), or names of the licences
            to export. Figures that are not cleared (`figures.clearance_of`) are always held back.

    Raises:
        ValueError: `figures` is another table, an id is no text or occurs twice, or one of
            `licences` is not known.
    """

    def __init__(
        self, figures: pd.DataFrame, split: str | None, licences: Sequence[str] | str
    ) -> None:
        every = licences in (STATED, ANY)
        self._licences = None if every else wanted_names(licences)
        check_table(figures, "figures", "figure_id", "image")
        _refuse_no_text(figures["figure_id"])
        refuse_twice(figures["figure_id"], "figures")
        self._refusals = refusals_of(figures)
        columns = ["split", *ATTRIBUTION]
        known = figures.set_index("figure_id").reindex(columns=columns).astype(object)
        for name in ATTRIBUTION:
            known[name] = known[name].map(str, na_action="ignore")
        known = known.astype(object).where(known.notna(), None)
        self._facts = {row.Index: row for row in known.itertuples(name="Figure")}
        self._split, self._unlicensed = split, licences == ANY
        self._in_benchmark: Mapping[str, str] = {}

    def hold_back(self, in_benchmark: Mapping[str, str]) -> None:
        """Hold figures back that show a benchmark's image; each has the evaluation item."""
        self._in_benchmark = in_benchmark

    @property
    def figures(self) -> Set[str]:
        """The figures that are known."""
        return self._facts.keys()

    def attribution(self, figure_id: str) -> dict[str, Any]:
        """Return the figure's `ATTRIBUTION`, null where it is not known."""
        return {name: getattr(self._facts[figure_id], name) for name in ATTRIBUTION}

    def check(self, figure_id: str) -> None:
        """Raise HeldBack if the figure may not leave."""
        figure = self._facts[figure_id]
        if figure_id in self._refusals:
            raise HeldBack(NOT_CLEARED, self._refusals[figure_id])
        if self._split is not None and figure.split not in (self._split, None):
            raise HeldBack(f"not of the {self._split} split", str(figure.split))
        if figure_id in self._in_benchmark:
            raise HeldBack(IN_BENCHMARK, self._in_benchmark[figure_id])
        if self._licences is not None and not allowed(figure.licence, self._licences):
            raise HeldBack(OTHER_LICENCE, figure.licence or "none stated")
        if self._unlicensed:
            return
        if not any(map(str.isalpha, figure.licence or "")):  # such as a dash, or zero width
            raise HeldBack(NO_LICENCE)


def refusals_of(figures: pd.DataFrame) -> dict[str, str]:
    """Return the reason why a figure may not leave, by figure_id, for those that may not."""
    names = ("figure_id", "sha256", "cleared", "cleared_reason")
    found = {}
    for row in figures[figures.columns.intersection(names)].to_dict("records"):
        clearance = clearance_of(row)
        if not clearance.cleared:
            found[row["figure_id"]] = clearance.reason
        elif not isinstance(row.get("sha256"), str):
            found[row["figure_id"]] = "no hash of its file is known"
    return found


def conversations(rows: pd.DataFrame, gate: Gate) -> Iterator[Found]:
    """Yield each conversation of table `selected`, or why it is held back.

    Raises:
        ValueError: `rows` is another table; a name that is no text; a conversation twice, or one
            about a figure that is not given.
    """
    check_table(rows, "conversations", "conversation_id", "figure_id", "turns")
    _refuse_no_text(rows["conversation_id"])
    refuse_twice(rows["conversation_id"], "conversations")
    problem = "conversations are about figures that are not given"
    refuse_missing(rows["figure_id"], gate.figures, problem, "give their figures")
    names = [name for name in ("score", "rank") if name in rows]
    facts = [_known(pd.to_numeric(rows[name])) for name in names]
    columns = [*(rows[name] for name in ("conversation_id", "figure_id", "turns")), *facts]
    for name, figure_id, turns, *values in zip(*columns, strict=True):
        try:
            gate.check(figure_id)
            rounds, lost, cleaned = _rounds(turns)
            facts = dict(zip(names, values, strict=True)) | gate.attribution(figure_id)
            yield name, figure_id, Conversation(name, figure_id, rounds, facts, lost, cleaned)
        except HeldBack as held:
            yield name, figure_id, held


def pairs(
    rows: pd.DataFrame, candidates: pd.DataFrame, gate: Gate, *, one_question: bool
) -> Iterator[Found]:
    """Yield each pair of table `pairs`, or why it is held back.

    Args:
        candidates: columns candidate_id, figure_id, instruction, response.
        one_question: whether both responses must answer one question about one figure.

    Raises:
        ValueError: another table is given; a name that is no text; a candidate twice, or one about
            a figure that is not given.
    """
    check_table(rows, "pairs", "left_id", "right_id", "preferred")
    check_table(candidates, "candidates", "candidate_id", "figure_id", "instruction", "response")
    for name in ("left_id", "right_id"):
        _refuse_no_text(rows[name])
    used = candidates[candidates["candidate_id"].isin({*rows["left_id"], *rows["right_id"]})]
    refuse_twice(used["candidate_id"], "candidates")
    problem = "candidates are about figures that are not given"
    refuse_missing(used["figure_id"], gate.figures, problem, "give their figures")
    values = used[["figure_id", "instruction", "response"]].itertuples(index=False, name=None)
    known = dict(zip(used["candidate_id"], values, strict=True))
    names = [name for name in ("source", "annotator") if name in rows]
    columns = [_known(rows[name]) for name in ("left_id", "right_id", "preferred", *names)]
    for left, right, preferred, *facts in zip(*columns, strict=True):
        better, worse = (left, right) if preferred == 1 else (right, left)
        name, about = f"{better}{BETTER}{worse}", dict(zip(names, facts, strict=True))
        try:
            for candidate in (left, right):
                if candidate not in known:
                    raise HeldBack(NOT_GIVEN, candidate)
            if preferred not in (0, 1):
                raise HeldBack(TIE, str(preferred))
            pair = _pair(name, known[better], known[worse], gate, one_question)
            yield name, pair.figure_id, replace(pair, facts=about)
        except HeldBack as held:
            yield name, known.get(better, [""])[0], held


def _known(values: pd.Series) -> pd.Series:
    """Return the values, None for each that is not known."""
    return values.astype(object).where(values.notna(), None)


def _refuse_no_text(names: pd.Series) -> None:
    other = [name for name in names if not isinstance(name, str)]
    if other:
        raise ValueError(
            f"{len(other)} of {len(names)} values of {names.name} are no text, first {other[0]!r}"
        )


def _rounds(turns: Any) -> tuple[list[Round], int, bool]:
    """Return the rounds that have both texts, how many have not, and whether tokens were lost."""
    given = list(turns) if isinstance(turns, list | tuple | np.ndarray) else []
    texts = [
        (turn.get("instruction"), turn.get("response")) if isinstance(turn, Mapping) else ("", "")
        for turn in given
    ]
    rounds = [(plain(question), plain(answer)) for question, answer in texts]
    kept = [one for one in rounds if all(one)]
    if not kept:
        raise HeldBack(NO_TEXT, f"{len(given)} rounds")
    return kept, len(given) - len(kept), any(map(holds_tokens, chain.from_iterable(texts)))


def _pair(
    name: str, better: tuple[str, ...], worse: tuple[str, ...], gate: Gate, one_question: bool
) -> Pair:
    (figure_id, *first), (other_id, *second) = better, worse
    gate.check(figure_id)
    gate.check(other_id)
    if one_question and (figure_id, first[0]) != (other_id, second[0]):
        raise HeldBack(TWO_QUESTIONS)
    texts = [*first, *second]
    chosen, rejected = [(plain(question), plain(answer)) for question, answer in (first, second)]
    if not all((*chosen, *rejected)):
        raise HeldBack(NO_TEXT)
    if (figure_id, chosen) == (other_id, rejected):
        raise HeldBack(SAME_TEXT)
    cleaned = any(map(holds_tokens, texts))
    return Pair(name, figure_id, other_id, chosen, rejected, {}, 0, cleaned)

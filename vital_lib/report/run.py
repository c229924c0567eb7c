"""What the report reads from a run: its tables, each once, and what follows from them.

It computes no metric.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, cached_property
from typing import Any

import pandas as pd

from vital_lib.annotators import Votes, is_simulated
from vital_lib.claims import claims
from vital_lib.figures import is_cleared
from vital_lib.tables import STAGES, Workspace, metrics_in_words

SECOND_JUDGE = "second judge"


class RunTables:
    """A run as the report reads it; each table and derived value is read once."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.read = cache(workspace.read)

    def has(self, name: str) -> bool:
        return self.workspace.has(name)

    @cached_property
    def metrics(self) -> dict[str, float]:
        return self.workspace.metrics

    @cached_property
    def state(self) -> pd.DataFrame:
        return self.workspace.state()

    @cached_property
    def origins(self) -> pd.DataFrame:
        return self.workspace.metric_origins()

    @cached_property
    def simulated(self) -> list[str]:
        return _simulated(self)

    @cached_property
    def stale(self) -> pd.DataFrame:
        return _stale(self)

    @cached_property
    def claims(self) -> pd.DataFrame:
        old = dict(self.origins[["metric", "stale"]].itertuples(index=False))
        return claims(self.metrics, simulated=SECOND_JUDGE in self.simulated, stale=old)

    @property
    def stages(self) -> dict[str, str]:
        """The stages and their titles; stages that this release does not know come last."""
        return STAGES | {stage: stage for stage in _stages_of(self.metrics) if stage not in STAGES}


def simulated_parts(workspace: Workspace) -> list[str]:
    """Return the parts of a run that the clinic simulated, by its tables and metrics.

    Possible parts: "figures", "generator", "judge", "second judge" and "clinicians".
    """
    return RunTables(workspace).simulated


def has_simulated_judge(workspace: Workspace) -> bool:
    """Whether the second judge, which compares answers, is the clinic's."""
    return SECOND_JUDGE in simulated_parts(workspace)


def stale(workspace: Workspace) -> pd.DataFrame:
    """Return what is out of date in the run: columns stale (the reason and the notebook), what, n.

    One row per reason. `what` names the affected tables and the stages of the affected metrics, and
    `n` is the number of these metrics.
    """
    return RunTables(workspace).stale


def sections(run: RunTables) -> list[dict[str, Any]]:
    """Return one section per stage: its title, the rows of its metrics, and these by topic.

    A row is marked as stale if the others of its stage are not stale for the same reason.
    """
    frame = metrics_in_words(run.metrics, run.origins)
    sections = []
    for stage, title in run.stages.items():
        own = frame[frame["stage"] == title]
        own = own.assign(marked=(own["stale"] != "") & (own["stale"].nunique() > 1))
        topics = [
            {"name": name, "folded": rows["folded"].all(), "rows": rows.to_dict("records")}
            for name, rows in own.groupby("topic", sort=False)
        ]
        stale = [reason for reason in own["stale"].unique() if reason]
        if topics:
            rows = own.to_dict("records")
            sections.append(
                {"stage": stage, "title": title, "topics": topics, "rows": rows, "stale": stale}
            )
    return sections


def stale_tables(run: RunTables) -> dict[str, str]:
    """Return every table with the reason why it is stale; empty text if it is up to date."""
    return dict(run.state[["table", "stale"]].itertuples(index=False))


def without_truth(run: RunTables) -> list[str]:
    """The stages in which simulated clinicians judged without truth, with the number of votes."""
    counted = {title: Votes.recorded(run.metrics, stage) for stage, title in STAGES.items()}
    return [
        f"{title}: {votes.without_truth:,} of {votes.n:,}"
        for title, votes in counted.items()
        if votes and votes.without_truth
    ]


def _simulated(run: RunTables) -> list[str]:
    parameters = run.workspace.origin("figures")["parameters"] if run.has("figures") else {}
    made_by = (
        ("generator", ("drafts", "candidates"), "generator"),
        ("judge", ("ratings",), "judge"),
        (SECOND_JUDGE, ("chat_scores", "verdicts"), "judge"),
    )
    parts = ["figures"] if parameters.get("figures") == "clinic" else []
    for part, tables, column in made_by:
        names = {name for table in tables for name in _values(run, table, column)}
        if any(name.startswith("clinic") and not is_simulated(name) for name in names):
            parts.append(part)
    voted = _values(run, "preferences", "annotator") | _values(run, "verdicts", "judge")
    counted = [Votes.recorded(run.metrics, stage) for stage in STAGES]
    if any(map(is_simulated, voted)) or any(votes and votes.simulated for votes in counted):
        parts.append("clinicians")
    return parts


def _values(run: RunTables, table: str, column: str) -> set[str]:
    return set(run.read(table)[column]) if run.has(table) else set()


def _stages_of(names: Iterable[str]) -> dict[str, None]:
    """The stages of metrics, in order of first appearance."""
    return dict.fromkeys(name.split(".")[0] for name in names)


def _stale(run: RunTables) -> pd.DataFrame:
    state, metrics = run.state, run.origins
    stages = metrics["metric"].str.split(".").str[0]
    old = pd.concat(
        [
            pd.DataFrame({"what": "table " + state["table"], "stale": state["stale"], "n": 0}),
            pd.DataFrame({"what": "metrics of " + stages, "stale": metrics["stale"], "n": 1}),
        ]
    )
    by = old[old["stale"] != ""].groupby("stale", sort=False)
    found = by.agg(what=("what", lambda names: ", ".join(dict.fromkeys(names))), n=("n", "sum"))
    return found.reset_index()


def held_back(run: RunTables) -> list[str]:
    """Return how much the report does not show because it is not cleared; no ids or reasons."""
    counts = {
        name: (~is_cleared(run.read(name))).sum()
        for name in ("figures", "questions")
        if run.has(name)
    }
    told = [f"{n:,} of {len(run.read(name)):,} {name}" for name, n in counts.items() if n]
    if run.has("selected") and run.has("figures"):
        ids = run.read("selected")["figure_id"]
        if lost := (~ids.isin(run.read("figures")["figure_id"])).sum():
            told.append(f"{lost:,} of {len(ids):,} conversations, of figures that the run lacks")
    return told

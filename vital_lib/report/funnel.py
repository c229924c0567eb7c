"""From the figures read to the answers scored: how many each step kept, and where the rest went."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pandas as pd

from vital_lib.generation import arm_to_select
from vital_lib.report.run import RunTables
from vital_lib.tables import not_to_learn

COLUMNS = ["step", "kept", "of", "rest"]
Step = tuple[str, int, int, dict[str, int]]
"""What is counted, kept, out of how many, and reason -> number for the rest."""


def funnel(run: RunTables) -> pd.DataFrame:
    """Return one row per step of the method that the run has taken: step, kept, of, rest (text).

    The unit changes from step to step: figures, questions, rounds of conversations, answers.
    """
    rows = []
    for step, kept, of, reasons in _steps(run):
        other = of - kept - sum(reasons.values())
        counted = {name: n for name, n in {**reasons, "for other reasons": other}.items() if n > 0}
        rows.append((step, kept, of, ", ".join(f"{n:,} {name}" for name, n in counted.items())))
    return pd.DataFrame(rows, columns=COLUMNS)


def _steps(run: RunTables) -> Iterator[Step]:
    if run.has("figures"):
        yield from _of_figures(run)
    if run.has("preferences") and run.has("drafts"):
        questions = set(run.read("drafts")["instruction_id"])
        labelled = len(questions & set(run.read("preferences")["item_id"]))
        rest = {"not labelled": len(questions) - labelled}
        yield "questions on drafts labelled", labelled, len(questions), rest
    if run.has("ratings"):
        ratings = run.read("ratings")
        asked, read = (
            rows["candidate_id"].nunique() for rows in (ratings, ratings.dropna(subset="overall"))
        )
        yield "responses rated", read, asked, {"with no readable rating": asked - read}
    if run.has("candidates") and run.has("selected"):
        yield from _of_rounds(run)
    if run.has("answers") and run.has("questions"):
        yield from _of_answers(run)


def _of_figures(run: RunTables) -> Iterator[Step]:
    figures = run.read("figures")
    rejected = run.read("figures_rejected") if run.has("figures_rejected") else pd.DataFrame()
    # The field alone: a reason quotes the record and names its file.
    counts = rejected["field"].value_counts().to_dict() if len(rejected) else {}
    reasons = {f"with an unusable {field}": n for field, n in counts.items()}
    yield "figures read", len(figures), len(figures) + len(rejected), reasons
    for name, step in (("drafts", "figures with drafts"), ("candidates", "figures written about")):
        if run.has(name):
            kept = run.read(name)["figure_id"].nunique()
            unread = int(run.metrics.get(f"{name}.unread", 0))
            rest = {"with no readable reply": unread, "not chosen": len(figures) - kept - unread}
            yield step, kept, len(figures), rest


def _of_rounds(run: RunTables) -> Iterator[Step]:
    candidates = run.read("candidates")
    own = candidates["arm"] == arm_to_select(candidates)
    pool = candidates[own & (candidates["split"] == "train")]
    kept = int(run.read("selected")["turns"].str.len().sum())
    reasons = not_to_learn(pool).value_counts().to_dict()
    twice = int(run.metrics.get("selection.near_duplicates", 0))
    leaked = int(run.metrics.get("selection.in_benchmark", 0))
    others = int(run.metrics.get("selection.other_licence", 0))
    reasons |= {"near-duplicates": twice, "in a benchmark": leaked, "under other licences": others}
    reasons["below the cut"] = len(pool) - kept - sum(reasons.values())
    yield "rounds selected", kept, len(pool), reasons
    if run.has("models/selected"):
        tuned = json.loads((run.workspace.model("selected") / "metrics.json").read_text())
        rounds, dropped = (int(tuned.get(name, 0)) for name in ("rounds", "rounds_dropped"))
        yield "rounds tuned on", rounds, rounds + dropped, {"too long for the model": dropped}


def _of_answers(run: RunTables) -> Iterator[Step]:
    questions, answers = run.read("questions"), run.read("answers")
    without = int(run.metrics.get("evaluation.questions_without_image", 0))
    asked = len(questions) + without
    yield "benchmark questions asked", len(questions), asked, {"without an image": without}
    own = answers[(answers["model"] == "selected") & (answers["control"] == "none")]
    given = own.dropna(subset="answer")["question_id"].nunique()
    rest = {"with no readable image": len(questions) - given}
    yield "questions that the tuned model answered", given, len(questions), rest

"""Examples for the report: the best conversations, and answers that won and lost, with images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from vital_lib.evaluation import win_values
from vital_lib.figures import clearance_of, is_cleared
from vital_lib.report.pictures import data_uri, opened
from vital_lib.report.run import RunTables
from vital_lib.tables import MODELS

SHOWN = 3
"""Examples of a kind."""
_OTHERS = ("random", "unaligned", "base")


def best_conversations(run: RunTables) -> list[dict[str, Any]]:
    """Return the conversations of the selected set with the highest scores.

    Those of figures that are not cleared, or no longer in the run, are left out.
    """
    if not (run.has("selected") and run.has("figures")):
        return []
    figures_of = {row["figure_id"]: row for row in run.read("figures").to_dict("records")}
    cleared = [name for name, row in figures_of.items() if clearance_of(row).cleared]
    selected = run.read("selected")
    best = selected[selected["figure_id"].isin(cleared)].nsmallest(SHOWN, "rank")
    examples = []
    for row in best.itertuples():
        figure = figures_of[row.figure_id]
        example = {"figure_id": row.figure_id, "caption": figure["caption"], "turns": row.turns}
        examples.append({**example, "image": _picture(figure)})
    return examples


def won_and_lost(run: RunTables) -> list[dict[str, Any]]:
    """Return answers of the model tuned on the selected set that won, and that lost.

    They are compared with the first other model of `_OTHERS`, by people if they compared answers,
    else by simulated clinicians, else by the judge. The examples are spread evenly over all answers
    that won or lost in both orders, so nobody picked them; those about questions that are not
    cleared are left out.

    Returns:
        outcome ("won" or "lost"), n (such answers in all), of (comparisons), judge, other, and
        examples (question, reference, answer, other_answer, image).
    """
    if not all(map(run.has, ("questions", "answers", "verdicts"))):
        return []
    questions, verdicts = run.read("questions"), run.read("verdicts")
    verdicts = verdicts[verdicts["model_a"] == "selected"]
    other = next((name for name in _OTHERS if name in set(verdicts["model_b"])), None)
    if other is None:
        return []
    verdicts = verdicts[verdicts["model_b"] == other]
    on_cards = verdicts["order"] == "both"  # people, who see both answers at once
    judged = verdicts[on_cards] if on_cards.any() else verdicts
    values = win_values(questions, judged[judged["judge"] == judged["judge"].iloc[0]])
    return [
        {
            "outcome": outcome,
            "n": int((values["value"] == value).sum()),
            "of": len(values),
            "judge": judged["judge"].iloc[0],
            "other": MODELS.get(other, other),
            "examples": _examples(run, values[values["value"] == value], other),
        }
        for outcome, value in (("won", 1.0), ("lost", 0.0))
    ]


def _examples(run: RunTables, values: pd.DataFrame, other: str) -> list[dict[str, Any]]:
    questions = run.read("questions").set_index("question_id", drop=False)
    values = values[values["question_id"].isin(questions.index[is_cleared(questions)])]
    answers = run.read("answers").query("control == 'none'")
    said = answers.set_index(["model", "question_id", "draw"])["answer"]
    places = np.unique(np.linspace(0, len(values) - 1, SHOWN).round().astype(int))
    rows = []
    for row in values.iloc[places].itertuples() if len(values) else ():
        asked = questions.loc[row.question_id]
        rows.append(
            {
                "question": asked["question"],
                "reference": asked["reference"],
                "answer": said.get(("selected", row.question_id, row.draw)),
                "other_answer": said.get((other, row.question_id, row.draw)),
                "image": _picture(asked),
            }
        )
    return rows


def _picture(row: Mapping[str, Any]) -> str | None:
    """Return the image of a row as data for the page; None if unreadable or not cleared."""
    found = opened(row) if "image" in row else None
    return None if found is None else data_uri(found.jpeg(360), "image/jpeg")

"""Comparisons of two models' answers by a person: the items to judge, and the verdicts read back.

A comparison is an event of the label log like any other judgement: the better answer is accepted
and the other one rejected, a tie accepts both, and "both bad" rejects both. Its ids state question,
draw and model, with a hash of the answer, so a verdict never counts for another text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable

import pandas as pd

from vital_lib.labels.order import number
from vital_lib.tables import frame_of, refuse_missing

ARM = "comparison"
"""The arm of these judgements in the log; they are not votes."""
_ITEM = [
    "item_id",
    "left_id",
    "right_id",
    "drawn_by",
    "question_id",
    "image",
    "question",
    "reference",
]
_WINNERS = {"neither": "tie", "both": "tie", "skip": None}


def comparison_rows(
    questions: pd.DataFrame,
    answers: pd.DataFrame,
    model: str,
    others: Iterable[str],
    annotator: str,
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the comparisons of `model` with every other model, in the annotator's random order.

    All pairs of one question follow one another. Order and sides are drawn by hash, so that the
    questions judged at any time are a random sample of all. Equal answers are shown too: without
    them, the sample would hold too few ties.

    Args:
        questions: columns of table `questions`.
        answers: columns of table `answers`; the first draw without a control is compared.

    Returns:
        item_id, left_id, right_id, drawn_by, question_id, image, question, reference, left, right
        (the answers).

    Raises:
        ValueError: a question has no answer of a model.
    """
    texts, others = _first_answers(answers), list(others)
    for one in (model, *others):
        answered = {name for name, of in texts if of == one}
        lacking = f"questions have no answer of model {one!r}"
        refuse_missing(questions["question_id"], answered, lacking, "let it answer them first")
    rows = []
    for question in sorted(
        questions.to_dict("records"), key=lambda row: number(seed, annotator, row["question_id"])
    ):
        name = question["question_id"]
        for other in others:
            keys = [(name, model), (name, other)]
            sides = keys if number(seed, annotator, name, other) % 2 else keys[::-1]
            ids = [_answer_id(*key, texts[key]) for key in sides]
            shown = [name, question["image"], question["question"], question["reference"]]
            both = [texts[key] for key in sides]
            rows.append((json.dumps([name, 0, model, other]), *ids, ARM, *shown, *both))
    return pd.DataFrame(rows, columns=[*_ITEM, "left", "right"])


def verdicts_of(
    comparisons: pd.DataFrame, answers: pd.DataFrame, judges: Collection[str] = ()
) -> tuple[pd.DataFrame, int]:
    """Return what people said in comparisons as rows of table `verdicts`.

    `judge` is the person's name, with " (person)" if a judge has it too; `order` is both, and the
    winner is a, b or tie; null if the person could not judge. "Both bad" is a tie too, and its
    rationale says so.

    Args:
        comparisons: `LabelLog.comparisons()`.
        answers: columns of table `answers`, those compared now.
        judges: the names of the judge models whose verdicts stand in the same table.

    Returns:
        The verdicts, and the number of comparisons left out because one of their answers has
        changed or is missing.
    """
    texts = _first_answers(answers)
    now = {_answer_id(*key, text) for key, text in texts.items()}
    rows, old = [], 0
    for row in comparisons.to_dict("records"):
        if row["left_id"] not in now or row["right_id"] not in now:
            old += 1
            continue
        name, draw, model, other = json.loads(row["item_id"])
        left_is_a = row["left_id"] == _answer_id(name, model, texts[name, model])
        choice = str(row["choice"])
        winner = _WINNERS.get(choice, "a" if (choice == "left") == left_is_a else "b")
        why = {"neither": "both bad", "skip": "could not be judged"}.get(choice, "")
        who = row["annotator"] + (" (person)" if row["annotator"] in judges else "")
        rows.append((name, model, other, draw, who, "both", winner, why, None))
    return frame_of("verdicts", rows), old


def _first_answers(answers: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Return (question_id, model) -> answer, of the first draw without a control; no nulls."""
    own = answers[(answers["control"] == "none") & (answers["draw"] == 0)]
    own = own[own["answer"].notna()]
    keys = zip(own["question_id"], own["model"], strict=True)
    return dict(zip(keys, own["answer"], strict=True))


def _answer_id(question: str, model: str, answer: str) -> str:
    mark = hashlib.sha256(answer.encode(errors="replace")).hexdigest()[:8]
    return json.dumps([question, model, mark])

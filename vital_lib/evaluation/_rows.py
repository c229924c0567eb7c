"""Match rows to questions by question_id, and add their groups."""

from __future__ import annotations

import pandas as pd

from vital_lib.statistics import Interval
from vital_lib.tables import refuse_strays, refuse_twice

ONE_AT_A_TIME = "give one model, control and judge at a time"


def pair_values(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Pair two frames of values by question: columns question_id, group_id, a, b."""
    keys = ["question_id", "group_id"]
    both = a[[*keys, "value"]].merge(
        b[[*keys, "value"]], on=keys, suffixes=("_a", "_b"), validate="one_to_one"
    )
    return both.rename(columns={"value_a": "a", "value_b": "b"})


def with_groups(questions: pd.DataFrame, rows: pd.DataFrame, *, what: str) -> pd.DataFrame:
    """Return `rows` with the group_id of each row's question.

    Raises:
        ValueError: two questions share an id, or rows (called `what`) belong to no question here.
    """
    refuse_twice(questions["question_id"], "questions")
    groups = questions.set_index("question_id")["group_id"]
    refuse_strays(rows, "question_id", groups.index, what=what, to="questions")
    return rows.assign(group_id=rows["question_id"].map(groups)).reset_index(drop=True)


def percent(interval: Interval, stem: str, other: str, usual: str) -> dict[str, float]:
    """Return ``evaluation.<stem>_<other>_percent`` with its interval; omit `other` if `usual`."""
    against = "" if other == usual else f"_{other}"
    return interval.metrics(f"evaluation.{stem}{against}_percent")

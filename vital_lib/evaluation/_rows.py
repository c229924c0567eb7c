"""Rows about questions: matched by question_id, each with its group, none of them twice."""

from __future__ import annotations

import pandas as pd

from vital_lib.statistics import Interval
from vital_lib.tables import refuse_strays


def pair_values(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Two frames of values side by side, by question: question_id, group_id, a, b."""
    keys = ["question_id", "group_id"]
    both = a[[*keys, "value"]].merge(
        b[[*keys, "value"]], on=keys, suffixes=("_a", "_b"), validate="one_to_one"
    )
    return both.rename(columns={"value_a": "a", "value_b": "b"})


def with_groups(questions: pd.DataFrame, rows: pd.DataFrame, *, what: str) -> pd.DataFrame:
    """`rows` about these questions, with their group_id.

    Raises:
        ValueError: rows (`what` they are called) that are about none of these questions.
    """
    refuse_twice(questions, ["question_id"])
    groups = questions.set_index("question_id")["group_id"]
    refuse_strays(rows, "question_id", groups.index, what=what, to="questions")
    return rows.assign(group_id=rows["question_id"].map(groups)).reset_index(drop=True)


def refuse_twice(rows: pd.DataFrame, key: list[str]) -> None:
    """Raise ValueError where two rows have the same `key`."""
    twice = rows[rows.duplicated(key)]
    if len(twice):
        first = twice[key].to_dict("records")[0]
        named = ", ".join(f"{name} {value!r}" for name, value in first.items())
        raise ValueError(f"{named} stands twice: give one model, control and judge at a time")


def percent(interval: Interval, stem: str, other: str, usual: str) -> dict[str, float]:
    """``evaluation.<stem>_<other>_percent`` with its interval; `usual` as other is not named."""
    against = "" if other == usual else f"_{other}"
    return interval.metrics(f"evaluation.{stem}{against}_percent")

"""Questions and answers for tests of evaluation. Knows nothing of what any test claims."""

from __future__ import annotations

import pandas as pd

from vital_lib.tables import TABLES


def question_rows(*rows: tuple[str, str, str]) -> pd.DataFrame:
    """Rows of (kind, question, reference); two questions share an image and a group."""
    return pd.DataFrame(
        [
            {
                "question_id": f"q{k}",
                "benchmark": "drawn",
                "image": f"i{k // 2}.png",
                "group_id": f"g{k // 2}",
                "modality": "ct_scan",
                "kind": kind,
                "question_type": None,
                "question": question,
                "reference": reference,
                **dict.fromkeys(("sha256", "cleared", "cleared_reason")),
            }
            for k, (kind, question, reference) in enumerate(rows)
        ]
    )


def answer_rows(
    said: dict, model: str = "selected", control: str = "none", draw: int = 0
) -> pd.DataFrame:
    """One model's answers from question_id -> answer."""
    unknown = (None,) * len(TABLES["answers"].later)  # no receipts
    rows = [(name, model, control, draw, answer, *unknown) for name, answer in said.items()]
    return pd.DataFrame(rows, columns=TABLES["answers"].columns)


OPEN = question_rows(*[("open", "What is it?", "a nodule")] * 6)
"""Six open questions about three images."""

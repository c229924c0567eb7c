"""The blind arena: which of two models' answers to one question is better?

The preference card with other buttons: the question and its image, two answers without their
models' names on sides drawn at random, and one verdict. A verdict goes to the label log as a
judgement of its own arm (``vital_lib.labels.comparisons``), with history, undo and revision as on
the card.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from vital_lib.labels import SIDES, FixedQueue
from vital_lib.labels.comparisons import ARM
from vital_lib.panels.preference_card import PreferenceCard
from vital_lib.panels.preference_card.judgement import Kind

VERDICTS = {
    "Left is better": {"left_accepted": True, "right_accepted": False},
    "Right is better": {"left_accepted": False, "right_accepted": True},
    "Tie": {"left_accepted": True, "right_accepted": True},
    "Both bad": {"left_accepted": False, "right_accepted": False},
    "Cannot judge": {"left_accepted": None, "right_accepted": None, "cannot_judge": True},
}
"""The buttons, with keys 1 to 5: label -> fields of the judgement."""
GUIDELINE = """# Which answer is better?

You see a question about an image, the benchmark's reference answer, and the answers of two models.
Say which answer would serve a clinician better. You do not see which model wrote which answer.

- Look at the image first, then read the question.
- A wrong statement about the image weighs more than any fault of style. Length is no merit.
- **Tie**: both answers are as good, and of use.
- **Both bad**: neither is of use. It counts as a tie between the models.
- **Cannot judge**: the image does not settle the question, or it is outside your field. Then
  nothing is counted.
"""


def verdict_in_words(judgement: Mapping[str, Any]) -> str:
    """Return a verdict as the button that gives it, in lower case."""
    if judgement.get("cannot_judge"):
        return "cannot judge"
    ticks = [bool(judgement.get(f"{side}_accepted")) for side in SIDES]
    return next(name for name, choice in VERDICTS.items() if [*choice.values()] == ticks).lower()


class Arena(PreferenceCard):
    """Two models' answers beside their question and image, for one person.

    Args:
        rows: of `labels.comparison_rows`; those that the person has judged are left out.
        annotator: the person's name, as in the label log.
        image_of: the image's path -> its FigureImage, or JPEG bytes.
        log: the `LabelLog` that records the verdicts, or a `labels.practice_log`.
        practice: whether it is a practice log; the page then says so.

    Raises:
        ValueError: the annotator's name is reserved for simulated annotators.
    """

    _kind = Kind(
        ARM,
        "Blind comparison",
        VERDICTS,
        False,
        {
            "instruction": "Question",
            "response": "answer",
            "context": "Reference answer",
            "caption": "Reference answer",
            "where": "in a running notebook",
        },
        verdict_in_words,
    )

    def __init__(
        self,
        rows: pd.DataFrame,
        annotator: str,
        image_of: Callable[[str], Any],
        log: Any,
        *,
        guideline: str = GUIDELINE,
        practice: bool = False,
    ) -> None:
        names = ["candidate_id", "figure_id", "instruction", "response"]
        sides = [
            rows[[f"{side}_id", "question_id", "question", side]].set_axis(names, axis=1)
            for side in SIDES
        ]
        asked = rows.drop_duplicates("question_id")
        context = {"figure_id": asked["question_id"], "caption": asked["reference"], "mentions": ""}
        images = dict(zip(asked["question_id"], asked["image"], strict=True))
        super().__init__(
            FixedQueue(rows[["item_id", "left_id", "right_id", "drawn_by"]], annotator, log),
            pd.concat(sides).drop_duplicates("candidate_id"),
            pd.DataFrame(context),
            lambda name: image_of(images[name]),
            log,
            guideline=guideline,
            reasons=(),
            practice=practice,
        )

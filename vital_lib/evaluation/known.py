"""The questions that a run is or will be evaluated by, so that nothing of them is trained on."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pandas as pd

from vital_lib.evaluation.benchmarks import OtherFigures, read_questions
from vital_lib.tables import Workspace, empty_frame

LOG = logging.getLogger(__name__)
_COMPARED = "contaminated"


def known_questions(
    workspace: Workspace, benchmarks: Sequence[str], *, follow_links: bool = False
) -> pd.DataFrame:
    """Return the questions of `benchmarks`, and those that the run was evaluated by before.

    Args:
        benchmarks: sources as in `read_questions`. "clinic" counts only in a run on the clinic's
            figures. With no source at all, the table is empty.
        follow_links: as in `read_questions`.

    Returns:
        Rows of table `questions`.

    Raises:
        FileNotFoundError, BadQuestion: as in `read_questions`.
    """
    parts = []
    for source in dict.fromkeys(benchmarks):
        try:
            parts.append(read_questions(source, run=workspace.path, follow_links=follow_links))
        except OtherFigures:
            LOG.warning("the run has figures of its own and is not compared with the clinic's")
    if benchmarks and workspace.has("questions"):
        parts.append(workspace.read("questions"))
    questions = pd.concat(parts) if parts else empty_frame("questions")
    questions.attrs = {}
    return questions.drop_duplicates(["benchmark", "question_id", "image"], ignore_index=True)


def not_compared(workspace: Workspace, questions: pd.DataFrame) -> str:
    """Return a line on benchmarks that the selected figures were not compared with; else "".

    Args:
        questions: table `questions`, of the benchmarks that the models will answer.
    """
    if not workspace.has("selected"):
        return ""
    known = workspace.origin(_COMPARED)["parameters"] if workspace.has(_COMPARED) else {}
    missing = sorted({*questions["benchmark"].unique()} - {*known.get("benchmarks", ())})
    if not missing:
        return ""
    names = ", ".join(missing)
    return (
        f"The selected figures were not compared with {names}: a model may have been tuned on its "
        "images. Name it in benchmarks of notebook 07, and run 07 and 08 again.\n"
    )

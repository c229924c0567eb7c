"""Answers that a run already has, so that no model has to answer the same questions twice."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import pandas as pd

from vital_lib.evaluation.controls import picture_under
from vital_lib.figures import UnreadableImage
from vital_lib.receipts import pixel_hash
from vital_lib.tables import UnsupportedFormat, Workspace

_TEXT = ["question_id", "kind", "question", "reference"]
_SETTINGS = ("base_model", "draws", "seed", "temperature")


def kept_answers(
    workspace: Workspace, calls: Mapping[str, Mapping[str, Any]]
) -> dict[str, pd.DataFrame]:
    """Return the answers of an earlier run of the notebook that are still valid, by call.

    They are valid if the model, its settings and the questions are the same, and if the receipt of
    every answer names the image that the model would be shown now.

    Args:
        calls: as `model_calls` returns them.
    """
    if not (workspace.has("answers") and workspace.has("questions")):
        return {}
    try:
        answers, questions = workspace.read("answers"), workspace.read("questions")
    except UnsupportedFormat:
        return {}
    origin = workspace.origin("answers")
    kept = {}
    for called, call in calls.items():
        asked = answers["question_id"].isin(call["questions"]["question_id"])
        own = answers["model"].eq(call["name"]) & answers["control"].eq(call["control"])
        own = answers[own & asked]
        same = _same_model(workspace, origin, call) and _same_questions(questions, call, own)
        nothing = own.empty and call["control"] != "no_image"  # some models need an image
        if same and not nothing:
            kept[called] = own.reset_index(drop=True)
    return kept


def _same_model(workspace: Workspace, origin: Mapping[str, Any], call: Mapping[str, Any]) -> bool:
    asked = {"temperature": 0.7, **call}
    if any(str(origin["parameters"].get(name)) != str(asked[name]) for name in _SETTINGS):
        return False
    model = f"models/{call['name']}"
    return call["folder"] is None or (
        workspace.has(model) and origin["made_from"].get(model) == workspace.fingerprint(model)
    )


def _same_questions(stored: pd.DataFrame, call: Mapping[str, Any], answers: pd.DataFrame) -> bool:
    """Return whether `answers` are to exactly the questions of the call, with their images."""
    asked = call["questions"]
    now, then = (rows[_TEXT].set_index("question_id").sort_index() for rows in (asked, stored))
    if not now.index.isin(then.index).all() or not now.equals(then.loc[now.index]):
        return False
    # As in `answer_questions`: mirrored images come from the questions about a side, and so on.
    picture = lru_cache(64)(picture_under(call["control"], asked, call["seed"]))
    sent = answers.drop_duplicates("question_id").set_index("question_id")["image_sha256"]
    for row in asked.itertuples():
        try:
            image = picture(row.image)
        except UnreadableImage:
            continue
        if answers.empty:
            continue
        if row.question_id not in sent.index:
            return False
        expected = None if image is None else pixel_hash([image])
        if (None if pd.isna(sent[row.question_id]) else sent[row.question_id]) != expected:
            return False
    return True

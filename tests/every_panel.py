"""One panel of every kind, over small rows with hostile texts, for the tests of all panels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from panel_rows import (
    CANDIDATES,
    DRAFTS,
    FIGURES,
    HOSTILE,
    PEOPLE,
    PREFERENCES,
    RATINGS,
    REWARDED,
    SCORES,
    picture_of,
    rating_prompt,
)

from vital_lib.client.job import Job
from vital_lib.labels import FixedQueue, LabelLog, comparison_rows, practice_log
from vital_lib.panels import (
    Arena,
    CandidateExplorer,
    ClearancePanel,
    ClusterMap,
    FigureBrowser,
    JudgePanel,
    ModelChat,
    PreferenceCard,
    PromptViewer,
    RewardPanel,
    RunList,
    RunMonitor,
    ScoreExplorer,
    TuningMonitor,
)
from vital_lib.tables import Workspace, empty_frame

POOL = pd.DataFrame(
    {
        "demonstration_id": ["d1"],
        "figure_id": ["f1"],
        "caption": ["A radiograph."],
        "mentions": [[]],
        "modalities": [["chest_xray"]],
        "turns": [[{"instruction": "What is it?", "response": HOSTILE}]],
        "annotators": [["ann"]],
        "origin": ["this run"],
    }
)


@pytest.fixture
def card_of_drafts(tmp_path) -> PreferenceCard:
    ids, items = list(DRAFTS.candidate_id), list(DRAFTS.instruction_id[::2])
    rows = pd.DataFrame({"item_id": items, "left_id": ids[::2], "right_id": ids[1::2]})
    log = LabelLog(f"sqlite:///{tmp_path / 'labels.sqlite'}")
    return PreferenceCard(FixedQueue(rows, "ann", log), DRAFTS, FIGURES, picture_of, log)


@pytest.fixture
def arena() -> Arena:
    question = {"question_id": "q1", "image": "f1", "question": HOSTILE, "reference": HOSTILE}
    answers = [("q1", model, "none", 0, f"{model[::-1]} {HOSTILE}") for model in ("mine", "other")]
    columns = ["question_id", "model", "control", "draw", "answer"]
    said = pd.DataFrame(answers, columns=columns)
    rows = comparison_rows(pd.DataFrame([question]), said, "mine", ["other"], "ann")
    return Arena(rows, "ann", picture_of, practice_log(), practice=True)


@pytest.fixture
def clearance(wide_image, tmp_path) -> ClearancePanel:
    held = FIGURES.assign(image=str(wide_image.path), sha256=wide_image.sha256, cleared=None)
    return ClearancePanel(
        held.assign(cleared_reason=HOSTILE), tmp_path, person="ann", look=lambda image: []
    )


@pytest.fixture
def every_panel(card_of_drafts, arena, clearance, wide_image, tmp_path) -> list:
    workspace = Workspace(tmp_path / "runs" / "mine")
    workspace.write("figures", empty_frame("figures"), parameters={"figures": HOSTILE})
    return [
        card_of_drafts,
        FigureBrowser(FIGURES, picture_of),
        PromptViewer(rating_prompt(wide_image)),
        CandidateExplorer(CANDIDATES, FIGURES, picture_of),
        JudgePanel(RATINGS, DRAFTS, PEOPLE, FIGURES, picture_of),
        ScoreExplorer(SCORES, CANDIDATES, FIGURES, picture_of),
        RewardPanel(REWARDED, DRAFTS, PREFERENCES, RATINGS, picture_of),
        RunMonitor(Job(lambda control: None, 3)),
        TuningMonitor({"selected": 30, HOSTILE: 30}),
        RunList(workspace.path.parent),
        ModelChat({"base": lambda image, question: HOSTILE}, {"f1": wide_image}),
        ClusterMap(np.eye(len(FIGURES), 2), FIGURES, POOL, picture_of).conversations,
        arena,
        clearance,
    ]

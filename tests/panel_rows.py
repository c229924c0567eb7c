"""Figures, drafts, candidates, ratings and a prompt for the tests of panels."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pandas as pd
import pytest
from PIL import Image
from pydantic import BaseModel

from vital_lib.figures import open_image
from vital_lib.rewards import ALL, JUDGE

HOSTILE = '<img src=x onerror="alert(1)"> $x^2$ & "quotes"'
FIGURES = pd.DataFrame(
    {
        "figure_id": ["f1", "f2", "f3"],
        "caption": ["A radiograph.", HOSTILE, "A slice."],
        "mentions": [["Seen in Fig 1.", "Again."], [], ["Fig 3."]],
        "modalities": [["chest_xray"], [], ["mri", "ct_scan"]],
        "group_id": ["g1", "g2", "g3"],
        "split": ["train", "test", "train"],
        "licence": ["CC0", None, float("nan")],
    }
)


def candidate_row(figure: str, stage: str, arm: str, number: int, letter: str = "a") -> dict:
    """A candidate of round `number` about `figure`."""
    conversation = f"{figure}-{stage}-{arm}"
    return {
        "candidate_id": f"{conversation}-r{number}-{letter}",
        "instruction_id": f"{conversation}-r{number}",
        "conversation_id": conversation,
        "figure_id": figure,
        "stage": stage,
        "arm": arm,
        "round": number,
        "instruction": f"Question {number} about {figure}?",
        "response": f"Answer {letter} of {arm}: {HOSTILE}",
        "question_type": "location",
        "demonstration_ids": [] if arm == "none" else ["d1", "d2"],
        "generator": "clinic",
        "prompt_version": "0123456789",
        "flags": ["wrong_side"] if letter == "b" else [],
    }


DRAFTS = pd.DataFrame(
    [candidate_row(f, "draft", "none", r, x) for f in ("f1", "f2") for r in (1, 2) for x in "ab"]
)
CANDIDATES = pd.DataFrame(
    [candidate_row("f1", "final", "clinician", r) for r in (1, 2)]
    + [candidate_row("f1", "final", "none", r) for r in (1, 2, 3)]
    + [candidate_row("f3", "final", "random", 1)]
)
SCORES = CANDIDATES[["candidate_id"]].assign(score=[0.5, 2.0, -1.0, 0.1, 0.1, 0.3])
CRITERIA = [{"criterion": "image_use", "rating": 3.0}]
RATINGS = pd.DataFrame(
    {
        "candidate_id": [DRAFTS.candidate_id[i] for i in (0, 0, 1, 2, 3)],
        "judge": "clinic",
        "repeat": [0, 1, 0, 0, 0],
        "overall": [9.0, 8.0, 2.0, None, 6.0],
        "criteria": [CRITERIA] * 5,
        "rationale": [HOSTILE, "second", "poor", None, "fair"],
    }
)
PEOPLE = pd.DataFrame(
    {"candidate_id": list(DRAFTS.candidate_id[:4]), "accepted": [0.0, 1.0, 1.0, 1.0]}
).assign(annotators=1)

PREFERENCES = pd.DataFrame(
    {"item_id": DRAFTS.instruction_id[::2], "annotator": "ann", "left_id": DRAFTS.candidate_id[::2]}
).assign(right_id=list(DRAFTS.candidate_id[1::2]), left_accepted=True, right_accepted=False)
REWARDED = pd.DataFrame(
    [
        (
            "flag_wrong_side",
            "flag: wrong side",
            "with it",
            ALL,
            ALL,
            -20.0,
            -30.0,
            -10.0,
            0.01,
            True,
        ),
        ("flag_wrong_side", "flag: wrong side", "with it", "j", JUDGE, 2.0, -3.0, 7.0, 0.4, False),
        ("words", "length", "per ten words", ALL, ALL, None, None, None, None, False),
    ],
    columns=["property", "label", "unit", "source", "kind", "effect", "low", "high", "p", "found"],
).assign(n=4, articles=2)


def picture_of(figure_id: str) -> bytes:
    """A small grey JPEG for any figure."""
    file = io.BytesIO()
    Image.new("RGB", (30, 20), "grey").save(file, format="JPEG")
    return file.getvalue()


class Reply(BaseModel):
    """The answer that the prompt asks for."""

    answer: str


def rating_prompt(image) -> SimpleNamespace:
    """A prompt with hostile text between two images."""
    messages = (
        {"role": "system", "content": ["a" * 40]},
        {"role": "user", "content": [image, HOSTILE, image]},
    )
    return SimpleNamespace(name="rating", version="v1", messages=messages, schema=Reply)


@pytest.fixture
def wide_image(tmp_path):
    """A grey image of 300 by 200 pixels."""
    Image.new("RGB", (300, 200), "grey").save(tmp_path / "one.png")
    return open_image(tmp_path / "one.png")

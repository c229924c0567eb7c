"""A run with a cleared figure and one that is not, for the tests of what may leave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from loopback import said
from PIL import Image, PngImagePlugin

from vital_lib.figures import open_image
from vital_lib.tables import TABLES, Workspace

SECRET = "Quillfeather"
"""Stands in every text, name and path of what is not cleared; it may leave on no road."""

HIDDEN = "Zephyrine"
"""Stands in the metadata of the cleared image; it may leave on no road either."""

REPLY = json.dumps(
    {
        "questions": [
            {"instruction": "Which side?", "response_a": "Left.", "response_b": "Right."}
            for _ in range(4)
        ],
        "rounds": [{"instruction": "Which side?", "response": "Left."} for _ in range(5)],
        **{"answer": "left", "rationale": "sound", "overall": 7, "first": 7, "second": 6},
        **{"winner": "first", "criteria": {}},
    }
)


def whatever(body: dict[str, Any], place: int) -> Any:
    """Answer any prompt."""
    return said(REPLY)


def write_run(folder: Path) -> Workspace:
    """A run with figures `open` (cleared, with metadata) and SECRET (not cleared), and all else."""
    workspace = Workspace(folder)
    places = {"open": folder / "open.png", SECRET: folder / f"{SECRET}_1931.png"}
    marks = PngImagePlugin.PngInfo()
    marks.add_text("Comment", HIDDEN)
    for shade, place in enumerate(places.values()):
        Image.new("RGB", (64, 48), (90 + 60 * shade, 120, 30)).save(place, pnginfo=marks)
    figures = [_figure(name, place) for name, place in places.items()]
    _write(workspace, "figures", figures)
    drafts = [_candidate(name, which, "draft") for name in places for which in "ab"]
    _write(workspace, "drafts", drafts)
    _write(workspace, "candidates", [_candidate(name, "a", "final") for name in places])
    turns = [{"instruction": "Which side?", "response": "Left."}]
    selected = [
        {
            "conversation_id": f"{name}-c",
            "figure_id": name,
            "turns": _said(name, turns),
            "score": 1.0,
        }
        for name in places
    ]
    _write(workspace, "selected", [row | {"rank": n} for n, row in enumerate(selected, 1)])
    pairs = [
        {"left_id": f"{n}-r1-a", "right_id": f"{n}-r1-b", "preferred": 1.0, "weight": 1.0}
        | {"source": "human", "annotator": "ann", "split": "train"}
        for n in places
    ]
    _write(workspace, "pairs", pairs)
    _write(workspace, "questions", [_question(row) for row in figures])
    return workspace


def _said(name: str, turns: list[dict]) -> list[dict]:
    return [{key: f"{text} {name}" for key, text in turn.items()} for turn in turns]


def _figure(name: str, place: Path) -> dict[str, Any]:
    clear = name == "open"
    return {
        **{"figure_id": name, "image": str(place), "caption": f"A film of {name}."},
        **{"mentions": [f"See {name}."], "modalities": ["chest_xray"], "group_id": name},
        **{"split": "train", "sha256": open_image(place).sha256, "phash": "0" * 16},
        **{"source": "ward", "licence": "CC BY 4.0", "credit": "Ada"},
        **{"cleared": clear or None, "cleared_reason": "checked" if clear else f"of {SECRET}"},
    }


def _candidate(name: str, which: str, stage: str) -> dict[str, Any]:
    return {
        **{"candidate_id": f"{name}-r1-{which}", "instruction_id": f"{name}-r1"},
        **{"conversation_id": f"{name}-c", "figure_id": name, "group_id": name, "split": "train"},
        **{"stage": stage, "arm": "none", "round": 1, "instruction": f"Which side of {name}?"},
        **{"response": f"Left, {name} {which}.", "question_type": "side", "demonstration_ids": []},
        **{"generator": "test", "prompt_version": "v1", "seed": 0, "reply_id": "r", "flags": []},
    }


def _question(figure: dict[str, Any]) -> dict[str, Any]:
    name = figure["figure_id"]
    return {
        **{"question_id": f"q-{name}", "benchmark": "ward", "group_id": name, "modality": None},
        **{"kind": "open", "question_type": "side", "question": f"Which side of {name}?"},
        "reference": f"Left, says {name}.",
        **{key: figure[key] for key in ("image", "sha256", "cleared", "cleared_reason")},
    }


def answers(questions: pd.DataFrame) -> pd.DataFrame:
    """An answer of models `mine` and `other` to each question."""
    rows = [
        {
            "question_id": name,
            "model": model,
            "control": "none",
            "draw": 0,
            "answer": f"left {name}",
        }
        for name in questions["question_id"]
        for model in ("mine", "other")
    ]
    return pd.DataFrame(rows).reindex(columns=TABLES["answers"].columns)


def demonstrations(figures: pd.DataFrame) -> pd.DataFrame:
    """A demonstration of each figure."""
    turns = [{"instruction": "Which side?", "response": "Left."}]
    rows = [
        {**row, "demonstration_id": f"{row['figure_id']}-d", "turns": turns, "annotators": ["ann"]}
        | {"origin": "this run"}
        for row in figures.to_dict("records")
    ]
    return pd.DataFrame(rows)[TABLES["demonstrations"].columns]


def _write(workspace: Workspace, name: str, rows: list[dict]) -> None:
    workspace.write(name, pd.DataFrame(rows).reindex(columns=TABLES[name].columns))

"""Rows written for other tools, and what the explorer exports."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from explorer_rows import IDS, ROWS, TABLES
from panel_rows import FIGURES, HOSTILE, picture_of

from vital_lib.panels import CandidateExplorer
from vital_lib.tables import write_rows

FRAME = pd.DataFrame(
    {"text": ['a "quoted"\nline, é', HOSTILE], "listed": [["x"], np.array(["y", "z"])],
     "number": [0.5, None], "whole": [1, 2]}
)  # fmt: skip


def test_json_lines_keep_lists_nulls_and_signs(tmp_path):
    assert write_rows(FRAME, tmp_path / "rows.jsonl") == 2
    lines = (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    first, second = map(json.loads, lines)
    assert first == {"text": 'a "quoted"\nline, é', "listed": ["x"], "number": 0.5, "whole": 1}
    assert second["listed"] == ["y", "z"] and second["number"] is None
    assert second["text"] == HOSTILE


def test_a_csv_file_has_lists_as_json_and_reads_back(tmp_path):
    write_rows(FRAME, str(tmp_path / "rows.csv"))
    found = pd.read_csv(tmp_path / "rows.csv")
    assert found["text"].tolist() == FRAME["text"].tolist()
    assert [json.loads(cell) for cell in found["listed"]] == [["x"], ["y", "z"]]
    assert found["number"].isna().tolist() == [False, True]


def test_another_ending_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"'rows.xlsx': give a name that ends in .jsonl or .csv"):
        write_rows(FRAME, tmp_path / "rows.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_the_explorer_exports_the_listed_rows_in_their_order(tmp_path):
    explorer = CandidateExplorer(
        ROWS, FIGURES, picture_of, **TABLES, export_to=tmp_path / "listed.jsonl"
    )
    explorer.filter(stage="draft")
    explorer.sort("score", descending=True)
    explorer._heard(explorer.widget, {"call": "export", "args": []}, [])
    lines = (tmp_path / "listed.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["candidate_id"] for line in lines] == IDS[7::-1]
    assert explorer.widget.state["said"].startswith("8 rows written to ")
    assert explorer.export(tmp_path / "again.csv") == 8
    with pytest.raises(ValueError, match="give a path to export to"):
        CandidateExplorer(ROWS, FIGURES, picture_of).export()

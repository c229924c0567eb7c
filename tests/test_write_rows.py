"""Rows written for other tools, and what the explorer exports."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from explorer_rows import IDS, ROWS, TABLES
from panel_rows import FIGURES, HOSTILE, picture_of

from vital_lib.panels import CandidateExplorer
from vital_lib.records import read_records
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


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_numbers_keep_all_their_digits(tmp_path, ending):
    numbers = [1e-12, 1 / 3, -2.5e-300, 0.1 + 0.2, 2.0**53 + 2]
    write_rows(pd.DataFrame({"number": numbers}), tmp_path / f"rows.{ending}")
    read = pd.read_csv if ending == "csv" else _read_lines
    assert read(tmp_path / f"rows.{ending}")["number"].tolist() == numbers


def test_json_lines_hold_what_a_table_can(tmp_path):
    frame = pd.DataFrame(
        {"count": pd.array([2**53 + 1, None], dtype="Int64"), "sure": [True, False],
         "scores": [np.array([0.1, np.nan]), None], "criteria": [{"tone": 1e-12}, {}]}
    )  # fmt: skip
    write_rows(frame, tmp_path / "rows.jsonl")
    first, second = _read_lines(tmp_path / "rows.jsonl").to_dict("records")
    assert first == {
        "count": 2**53 + 1, "sure": True, "scores": [0.1, None], "criteria": {"tone": 1e-12}
    }  # fmt: skip
    assert second == {"count": None, "sure": False, "scores": None, "criteria": {}}
    assert write_rows(frame[:0], tmp_path / "none.jsonl") == 0
    assert (tmp_path / "none.jsonl").read_text() == ""


def _read_lines(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    return pd.DataFrame(map(json.loads, lines), dtype=object)


def test_a_csv_file_has_lists_as_json_and_reads_back(tmp_path):
    write_rows(FRAME, str(tmp_path / "rows.csv"))
    found = pd.read_csv(tmp_path / "rows.csv")
    assert found["text"].tolist() == FRAME["text"].tolist()
    assert [json.loads(cell) for cell in found["listed"]] == [["x"], ["y", "z"]]
    assert found["number"].isna().tolist() == [False, True]


FORMULAS = [
    "=1+1",
    "+1",
    "-5 HU",
    "@SUM(A1)",
    "\t=1",
    "'=1",
    "''-x",
    "'quoted'",
    "plain - x",
    "a\n=1",
]


def test_no_cell_begins_a_formula_and_all_read_back(tmp_path):
    frame = pd.DataFrame(
        {"=text": FORMULAS, "n": -1.5, "some": pd.Series([-2, None] * 5, dtype=object)}
    )
    write_rows(frame, tmp_path / "rows.csv")
    plain = pd.read_csv(tmp_path / "rows.csv")
    assert plain.columns[0] == "'=text" and plain["n"].tolist() == [-1.5] * 10
    assert not plain.iloc[:, 0].str.match(r"[=+\-@\t\r\n]").any()
    found = [record for _, record in read_records(tmp_path / "rows.csv")]
    assert [record["=text"] for record in found] == FORMULAS


def test_every_csv_is_written_in_the_one_place_that_makes_it_harmless(root):
    writing = [path for path in (root / "vital_lib").rglob("*.py") if "to_csv(" in path.read_text()]
    assert [path.name for path in writing] == ["files.py"]


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

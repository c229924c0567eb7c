"""Tests of the report's parts: the funnel, answers that won and lost, costs, inputs, two runs."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys

import pandas as pd
import pytest
from client_acts import verdicts
from loopback import in_process, said, save_image

from vital_lib.client import ChatClient, Ledger
from vital_lib.figures import open_image
from vital_lib.report import write_report
from vital_lib.report.examples import won_and_lost
from vital_lib.report.funnel import funnel
from vital_lib.report.run import RunTables
from vital_lib.tables import TABLES, Workspace


def _write(workspace, name, *rows, **origin):
    columns = list(TABLES[name].columns)
    blank = {"flags": [], "turns": [], "modalities": [], "mentions": [], "demonstration_ids": []}
    full = [{column: blank.get(column) for column in columns} | row for row in rows]
    workspace.write(name, pd.DataFrame(full, columns=columns), **origin)


def _steps(workspace):
    rows = funnel(RunTables(workspace)).to_dict("records")
    return {row["step"]: (row["kept"], row["of"], row["rest"]) for row in rows}


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "run")


def test_a_new_run_has_an_empty_funnel_and_a_report(workspace):
    assert funnel(RunTables(workspace)).empty
    page = write_report(workspace).read_text()
    assert "What each step kept" not in page and "What the models cost" not in page


def test_the_funnel_says_where_the_rest_went(workspace):
    text = {"caption": "c", "group_id": "g", "split": "train", "source": "s", "sha256": "0"}
    text |= {"phash": "0", "licence": "", "credit": "", "cleared": True, "cleared_reason": ""}
    figures = [{"figure_id": f"f{n}", "image": f"f{n}.png", **text} for n in range(5)]
    _write(workspace, "figures", *figures)
    bad = {"source": "s", "place": "1", "field": "image"}
    _write(workspace, "figures_rejected", *[{**bad, "reason": "too small"}] * 2)
    row = {"arm": "clinician", "stage": "final", "question_type": "size", "generator": "g"}
    row |= {"prompt_version": "v", "reply_id": "r", "instruction": "i", "response": "r", "round": 1}
    row |= {"seed": 0, "group_id": "g", "split": "train"}
    flags = [["refuses"], [], [], [], []]
    made = [
        row | {"candidate_id": f"c{n}", "instruction_id": f"i{n}", "conversation_id": f"k{n}"}
        | {"figure_id": f"f{n % 3}", "flags": flags[n]}
        for n in range(5)
    ]  # fmt: skip
    _write(workspace, "candidates", *made)
    rating = {"judge": "j", "repeat": 0, "criteria": [], "prompt_version": "v", "reply_id": "r"}
    ratings = [{**rating, "candidate_id": f"c{n}", "overall": 5.0 if n else None} for n in range(4)]
    _write(workspace, "ratings", *ratings)
    turns = [{"instruction": "i", "response": "r"}]
    best = {"conversation_id": "k1", "figure_id": "f1", "turns": turns, "score": 1.0, "rank": 1}
    _write(workspace, "selected", best)
    workspace.record({"candidates.unread": 1, "selection.near_duplicates": 1})
    found = _steps(workspace)
    assert found["figures read"] == (5, 7, "2 with an unusable image")  # a reason quotes files
    assert found["figures written about"] == (3, 5, "1 with no readable reply, 1 not chosen")
    assert found["responses rated"] == (3, 4, "1 with no readable rating")
    assert found["rounds selected"] == (1, 5, "1 refuses, 1 near-duplicates, 2 below the cut")


@pytest.fixture
def compared(workspace, tmp_path):
    """A run with nine questions: the selected model wins the first four and loses the next three.

    A person judged; a judge, who decided the other way round, is not asked.
    """
    image = str(save_image(tmp_path / "x.png", seed=0))
    asked = {"benchmark": "b", "image": image, "modality": "mri", "kind": "open"}
    asked |= {"question_type": "size", "question": "How large? <b>", "reference": "Large"}
    asked |= {"sha256": open_image(image).sha256, "cleared": True, "cleared_reason": "made here"}
    ids = [f"q{n}" for n in range(9)]
    _write(workspace, "questions", *({**asked, "question_id": q, "group_id": q} for q in ids))
    said = {"selected": "mine", "random": "<script>theirs</script>"}
    _write(
        workspace,
        "answers",
        *(
            {
                "question_id": q,
                "model": model,
                "control": "none",
                "draw": 0,
                "answer": f"{text} {q}",
            }
            for model, text in said.items()
            for q in ids
        ),
    )
    pair = {"model_a": "selected", "model_b": "random", "draw": 0, "rationale": "", "reply_id": ""}
    person = ["a"] * 4 + ["b"] * 3 + ["tie", None]
    rows = [
        {**pair, "question_id": q, "judge": "ann", "order": "both", "winner": winner}
        for q, winner in zip(ids, person, strict=True)
    ]
    rows += [
        {**pair, "question_id": q, "judge": "gpt", "order": order, "winner": "b"}
        for q in ids
        for order in ("ab", "ba")
    ]
    _write(workspace, "verdicts", *rows)
    return workspace


def test_answers_that_won_and_lost_are_spread_over_all_and_judged_by_people_first(compared):
    won, lost = won_and_lost(RunTables(compared))
    assert (won["n"], won["of"], lost["n"], won["judge"]) == (4, 8, 3, "ann")
    assert [row["answer"] for row in won["examples"]] == ["mine q0", "mine q2", "mine q3"]
    assert [row["answer"] for row in lost["examples"]] == ["mine q4", "mine q5", "mine q6"]
    assert won["examples"][0]["image"].startswith("data:image/jpeg;base64,")


def test_text_of_models_is_no_markup_and_an_image_that_is_gone_leaves_a_note(compared, tmp_path):
    (tmp_path / "x.png").unlink()
    page = write_report(compared).read_text()
    assert "Won: 4 of 8 comparisons" in page and "Lost: 3 of 8 comparisons" in page
    assert "<script>" not in page and "&lt;script&gt;theirs" in page and "(no image)" in page


def test_costs_stand_by_model_and_prompt(workspace, image, tmp_path):
    transport = in_process(lambda body, place: said('{"rationale": "", "winner": "tie"}'))
    for model, number in (("judge", 3), ("other", 1)):
        own = {"local": True, "transport": transport, "base_url": "http://localhost/v1"}
        ChatClient(model, ledger=workspace.ledger, **own).ask(verdicts(image, number))
    bills = Ledger(workspace.ledger).bills()
    assert bills[["model", "prompt", "requests", "tokens_in"]].to_numpy().tolist() == [
        ["judge", "verdict", 3, 300],
        ["other", "verdict", 1, 100],
    ]
    assert "What the models cost" in write_report(workspace).read_text()


def _saved(page):
    links = re.findall(r'download="run-(\w+)\.csv" href="data:text/csv[^,]*,([^"]+)"', page)
    return {name: pd.read_csv(io.BytesIO(base64.b64decode(data))) for name, data in links}


def test_each_table_can_be_saved_and_says_what_each_metric_was_made_from(compared):
    origin = {"written_by": "09_evaluate_model", "made_from": ["answers"]}
    compared.record({"evaluation.questions": 9, "selection.n": 3}, **origin, parameters={"k": 1})
    saved = _saved(write_report(compared).read_text())
    assert {"funnel", "tables", "inputs", "metrics"} <= set(saved)
    fingerprint = compared.fingerprint("answers")[:12]
    assert saved["inputs"]["names"].tolist() == ["evaluation.questions", "selection.n"]
    assert set(saved["inputs"]["made_from"]) == {f"answers {fingerprint}"}
    assert set(saved["inputs"]["parameters"]) == {"k = 1"}


def test_two_runs_stand_side_by_side(workspace, tmp_path):
    other = Workspace(tmp_path / "older")
    for own, value, seed in ((workspace, 0.5, 1), (other, 0.25, 2)):
        _write(own, "preferences", parameters={"seed": seed})
        own.record({"selector.agreement": value})
    command = [sys.executable, "-m", "vital_lib.report", workspace.path, "--beside", other.path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    page = (workspace.path / "report.html").read_text()
    assert done.stdout.strip() == str(workspace.path / "report.html")
    saved = _saved(page)
    assert saved["settings"].iloc[0].tolist() == ["seed", 1, 2]
    assert saved["compared"]["difference"].tolist() == ["−25.0 points"]
    assert "Beside run “older”" in page


def test_the_command_names_a_folder_that_is_no_run(tmp_path):
    command = [sys.executable, "-m", "vital_lib.report", tmp_path / "none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "is not a run" in done.stderr
    assert not (tmp_path / "none").exists()

"""Claims about the report: what the run shows stands on top, in words computed from metrics."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from vital_lib.annotators import Votes, signed
from vital_lib.report import simulated_parts, write_report
from vital_lib.statistics import Interval
from vital_lib.tables import TABLES, Workspace, empty_frame, metrics_frame

RECALL = "evaluation.open_recall_selected_minus_random"


def test_the_claims_stand_before_every_stage(tmp_path):
    workspace = Workspace(tmp_path / "run")
    counts = {"evaluation.open_questions": 302, "evaluation.open_articles": 200}
    workspace.record({**Interval(0.05, 0.02, 0.08, 302).metrics(RECALL), **counts})
    page = write_report(workspace).read_text()
    said = "better than the model tuned on a random sample: +5.0 points [2.0, 8.0]"
    assert page.index("What this run shows") < page.index(said) < page.index("<h2>Evaluation")
    assert "302 open questions, 200 articles" in page


@pytest.mark.parametrize(
    ("stage", "title", "words", "value"),
    [
        ("choice", "Choice of figures", "figures close to a chosen one", "62.5 %"),
        ("another", "another", "another.covered", "0.625"),
    ],
)
def test_metrics_of_every_stage_are_shown_also_of_one_that_is_not_known(
    tmp_path, stage, title, words, value
):
    workspace = Workspace(tmp_path / "run")
    workspace.record({f"{stage}.covered": 0.625, "evaluation.draws": 1})
    page = write_report(workspace).read_text()
    assert f"<h2>{title}</h2>" in page and f"<td>{words}</td>" in page and value in page


def test_the_report_reads_each_table_once(tmp_path, monkeypatch):
    workspace = Workspace(tmp_path / "run")
    for name in TABLES:
        workspace.write(name, empty_frame(name))
    read, plain = [], Workspace.read
    monkeypatch.setattr(Workspace, "read", lambda own, name: read.append(name) or plain(own, name))
    write_report(workspace)
    assert {"verdicts", "drafts", "ratings"} <= set(read) and len(read) == len(set(read))


def test_a_run_without_claims_has_no_such_section(tmp_path):
    workspace = Workspace(tmp_path / "run")
    workspace.record({"figures.n": 3})
    page = write_report(workspace).read_text()
    assert "What this run shows" not in page and "Figures" in page


def test_an_interval_stands_beside_its_metric_and_stages_in_their_order():
    frame = metrics_frame(
        {"evaluation.a": 0.5, "figures.n": 3, **Interval(1, 0, 2, 9).metrics("x.y")}
    )
    assert frame["metric"].tolist() == ["figures.n", "evaluation.a", "x.y"]
    assert frame.loc[2, ["low", "high"]].tolist() == [0, 2]
    assert frame.loc[:1, "low"].isna().all()


SHARE = "selection.accepted_share_selected"


def _run_of(folder, figures, votes, annotator):
    """A run whose figures are `figures`, with one preference and one share of accepted ones."""
    workspace = Workspace(folder)
    workspace.write("figures", empty_frame("figures"), parameters={"figures": figures})
    row = ("i1", annotator, "a", "b", True, False, "left", "random")
    preferences = pd.DataFrame([row], columns=TABLES["preferences"].columns)
    workspace.write("preferences", preferences.astype({"left_accepted": "boolean"}))
    workspace.record(Interval(0.7, 0.6, 0.8, 9).metrics(SHARE) | votes.metrics("selection"))
    return workspace


def _text(page):
    return re.sub(r"\s+", " ", re.sub(r"\s*(<[^>]+>\s*)+", "|", page))


@pytest.mark.parametrize("figures", ["clinic", "/somewhere/figures"])
def test_simulated_clinicians_are_named_whoever_made_the_figures(tmp_path, figures):
    votes = Votes(9, simulated=9, without_truth=4)
    workspace = _run_of(tmp_path / "run", figures, votes, signed("strict"))
    text = _text(write_report(workspace).read_text())
    parts = ["figures, clinicians", "clinicians"][figures != "clinic"]
    assert f"Simulated (by the clinic) in this run:|{parts}|" in text
    assert "the selected set|70.0 %|[60.0, 80.0]|simulated, 4 of 9 judged without" in text
    assert "judged without truth, from caption and mentions alone: The selected set: 4 of 9" in text


def test_people_are_not_called_simulated_where_only_the_figures_are(tmp_path):
    workspace = _run_of(tmp_path / "run", "clinic", Votes(9), "ann")
    assert simulated_parts(workspace) == ["figures"]
    text = _text(write_report(workspace).read_text())
    assert "Simulated (by the clinic) in this run:|figures|" in text
    assert "[60.0, 80.0]|people|" in text


def test_a_run_of_real_things_alone_has_no_note_of_simulation(tmp_path):
    workspace = _run_of(tmp_path / "run", "/somewhere/figures", Votes(9), "ann")
    assert "simulat" not in write_report(workspace).read_text()


def test_models_of_the_clinic_are_named_whoever_labelled(tmp_path):
    workspace = _run_of(tmp_path / "run", "/somewhere/figures", Votes(9), "ann")
    columns = TABLES["verdicts"].columns
    verdict = ("q1", "a", "b", 0, "clinic-second", "ab", "a", None, None)
    workspace.write("verdicts", pd.DataFrame([verdict], columns=columns))
    assert simulated_parts(workspace) == ["second judge"]
    workspace.write("verdicts", pd.DataFrame([verdict], columns=columns).assign(judge="gpt-4o"))
    assert simulated_parts(workspace) == []


def test_a_table_of_metrics_says_whose_votes_and_has_no_such_column_without_votes():
    frame = metrics_frame({SHARE: 0.5, "figures.n": 3, **Votes(2, 2).metrics("selection")})
    assert dict(zip(frame["metric"], frame["votes"], strict=True))[SHARE] == "simulated"
    assert "votes" not in metrics_frame({"figures.n": 3})


def test_the_comparison_of_two_arms_stands_in_the_report(tmp_path):
    workspace = Workspace(tmp_path / "run")
    workspace.record({"arms.a_win_rate": 0.6, **Votes(2, 2).metrics("arms")})
    assert "win rate of side a (a tie counts half)|60.0 %|simulated" in _text(
        write_report(workspace).read_text()
    )

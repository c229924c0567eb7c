"""Claims about votes as inputs: newer ones make old what rests on them, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from label_rows import drafts as labelled
from label_rows import judged

from vital_lib import walkthrough
from vital_lib.annotators import signed, votes_of
from vital_lib.labels import LabelLog, votes_read
from vital_lib.report import stale, write_report
from vital_lib.tables import TABLES, Workspace

pytest_plugins = "postgres"

LABELLING, JUDGING = "03_label_preferences", "05_judge_candidates"
FILLED = {"string": "x", "int64": 1, "double": 1.0, "bool": True}
PAIRS = ["pair-1", "pair-2"]


def _write(workspace, name, *made_from, rows=None, **parameters):
    schema = TABLES[name].schema
    row = {field.name: FILLED.get(str(field.type), []) for field in schema}
    rows = pd.DataFrame([row]) if rows is None else pd.DataFrame([row] * len(rows)).assign(**rows)
    workspace.write(name, rows, made_from=made_from, parameters=parameters)


def _walk(workspace, log, annotators="clinic", label_log=None):
    """What notebooks 03 to 06 write that rests on votes."""
    said = votes_of(log.preferences(), annotators)
    on_drafts = said[said["item_id"].isin(workspace.read("drafts")["instruction_id"])]
    read = votes_read(on_drafts, annotators, label_log)
    workspace.write("preferences", on_drafts, made_from=["drafts", read])
    _write(workspace, "demonstrations", "drafts", "preferences")
    how = {"written_by": LABELLING, "made_from": ["preferences", "demonstrations"]}
    workspace.record({"preferences.n": len(on_drafts)}, **how)
    _write(workspace, "candidates", "drafts", "demonstrations")
    how = {"written_by": "04_generate_instructions", "made_from": ["candidates"]}
    workspace.record({"candidates.n": 1}, **how)
    _write(workspace, "ratings", "drafts")
    how = {"written_by": JUDGING, "made_from": ["ratings", "preferences"]}
    workspace.record({"judge.agreement": 0.8}, **how)
    how["made_from"] = ["candidates", votes_read(said, annotators, label_log, items=PAIRS)]
    workspace.record({"arms.votes": int(said["item_id"].isin(PAIRS).sum())}, **how)
    _write(workspace, "scores", "preferences", "ratings")
    how = {"written_by": "06_train_selector", "made_from": ["scores"]}
    workspace.record({"selector.agreement": 0.9}, **how)


@pytest.fixture
def workspace(tmp_path):
    workspace = Workspace(tmp_path / "run")
    _write(workspace, "figures", figures="clinic")
    _write(workspace, "drafts", "figures", rows=labelled(2))
    return workspace


@pytest.fixture
def own(workspace):
    """The run's own log, of a vote and a simulated one, walked."""
    log = LabelLog(workspace.label_url)
    log.record(**judged("F0-r1"))
    log.record(**judged("F0-r1", who=signed("strict")))
    log.record(**judged("pair-1"))
    _walk(workspace, log)
    yield log
    log.close()


def _old(workspace):
    """Table or metric -> why it is old."""
    state, origins = workspace.state(), workspace.metric_origins()
    told = dict(zip(state["table"], state["stale"], strict=True))
    told |= dict(zip(origins["metric"], origins["stale"], strict=True))
    return {name: why for name, why in told.items() if why}


WHY = f"older than votes on drafts: run {LABELLING}"
FOLLOWS = f"preferences is {WHY} and what follows"
RESTING = {
    "preferences": WHY,
    "demonstrations": f"preferences is {WHY}",
    "preferences.n": f"preferences is {WHY}",
    **dict.fromkeys(["candidates", "candidates.n", "arms.votes"], FOLLOWS),
    **dict.fromkeys(["judge.agreement", "scores", "selector.agreement"], FOLLOWS),
}


def test_what_was_just_read_is_not_old(workspace, own):
    assert not _old(workspace)
    assert "Not up to date" not in write_report(workspace).read_text()


def test_a_vote_added_makes_old_what_rests_on_votes_and_only_that(workspace, own):
    own.record(**judged("F1-r1"))
    assert _old(workspace) == RESTING
    _walk(workspace, own)
    assert not _old(workspace)


def test_a_vote_undone_or_revised_counts_too(workspace, own):
    before = own.undo("ann", arms=["random"])
    assert before and _old(workspace)["arms.votes"] == f"older than votes on pairs: run {JUDGING}"
    first = own.standing("ann")["event_id"].iloc[-1]
    own.record(**judged("F0-r1", (False, True)), corrects=first)
    assert _old(workspace)["preferences"] == WHY


def test_votes_on_pairs_are_no_votes_on_drafts(workspace, own):
    own.record(**judged("pair-2"))
    assert _old(workspace) == {"arms.votes": f"older than votes on pairs: run {JUDGING}"}


def test_the_first_vote_on_pairs_makes_old_that_there_were_none(workspace):
    log = LabelLog(workspace.label_url)
    _walk(workspace, log, "people")
    assert workspace.metrics["arms.votes"] == 0 and not _old(workspace)
    log.record(**judged("pair-1"))
    assert set(_old(workspace)) == {"arms.votes"}


@pytest.mark.parametrize(
    "vote",
    [
        judged("F1-r1", drawn_by="calibration"),
        judged("F1-r1", drawn_by="adjudication"),
        judged("F9-r1"),
        judged("pair-of-another-run"),
    ],
    ids=["calibration", "adjudication", "another draft", "another run's pair"],
)
def test_what_does_not_concern_the_table_makes_nothing_old(workspace, own, vote):
    own.record(**vote)
    assert not _old(workspace)


def test_a_hidden_repeat_makes_nothing_old(workspace, own):
    first = own.standing("ann", "F0-r1")["event_id"].iloc[0]
    own.record(**judged("F0-r1"), repeat_of=first)
    assert not _old(workspace)


def test_with_people_simulated_votes_make_nothing_old(workspace, own):
    _walk(workspace, own, "people")
    own.record(**judged("F1-r1", who=signed("lenient")))
    assert not _old(workspace)
    own.record(**judged("F1-r1", who="bob"))
    assert _old(workspace) == RESTING


def test_votes_added_between_reading_and_writing_are_newer(workspace, own):
    said = own.preferences().query("item_id == 'F0-r1'")
    own.record(**judged("F1-r1"))
    read = votes_read(said, "clinic")
    workspace.write("preferences", said, made_from=["drafts", read])
    assert _old(workspace)["preferences"] == WHY


def test_a_log_that_is_gone_holds_no_votes_and_is_not_made_by_looking(workspace, own):
    own.close()
    for file in workspace.path.glob("labels.sqlite*"):
        file.unlink()
    assert _old(workspace)["preferences"] == WHY
    assert not list(workspace.path.glob("labels.sqlite*"))


def test_an_outside_log_is_looked_into_wherever_it_lies(workspace, url, tmp_path, monkeypatch):
    if url.startswith("sqlite"):  # as a notebook may name it: by the folder it runs in
        (tmp_path / "notebooks").mkdir()
        monkeypatch.chdir(tmp_path / "notebooks")
        url = "sqlite:///../team.sqlite"
    log = LabelLog(url)
    log.record(**judged("F0-r1"))
    _walk(workspace, log, "people", url)
    monkeypatch.chdir(tmp_path)
    assert not _old(workspace)
    log.record(**judged("F1-r1"))
    assert _old(workspace) == RESTING
    log.close()


def test_no_password_is_kept_and_a_log_that_cannot_be_opened_is_said(workspace):
    url = "postgresql+psycopg://ann:s3cret@127.0.0.1:1/none?sslpassword=hush"
    read = votes_read(pd.DataFrame(columns=TABLES["preferences"].columns), "people", url)
    kept = json.dumps(read.how)
    assert "s3cret" not in kept and "hush" not in kept and "ann@127.0.0.1:1/none" in kept
    _write(workspace, "preferences", "drafts", read)
    why = _old(workspace)["preferences"]
    told = "older than votes on drafts, which cannot be checked: the label log cannot be opened"
    assert why.startswith(told)
    assert "PGPASSWORD" in why and why.endswith(f": run {LABELLING}")


def test_a_damaged_label_log_is_not_taken_for_one_that_needs_a_password(workspace, own):
    own.close()
    for file in workspace.path.glob("labels.sqlite*"):
        file.unlink()
    (workspace.path / "labels.sqlite").write_text("no database at all" * 99)
    why = _old(workspace)["preferences"]
    assert "labels.sqlite is not a label log, or is damaged" in why and "PGPASSWORD" not in why


def test_in_one_kernel_newer_votes_replace_what_was_measured_on_older_ones(workspace, own):
    how = {"written_by": JUDGING}
    for votes in (1, 2):
        read = votes_read(own.preferences(), "clinic", items=PAIRS)
        workspace.record({"arms.votes": votes}, **how, made_from=["candidates", read])
        own.record(**judged("pair-2", who=f"bob{votes}"))
    read = votes_read(own.preferences(), "clinic", items=PAIRS)
    workspace.record({"arms.pairs": 3}, **how, made_from=["candidates", read])
    assert "arms.votes" not in workspace.metrics and not _old(workspace)


def test_summary_and_report_say_it(workspace, own):
    own.record(**judged("F1-r1"))
    assert WHY in set(stale(workspace)["stale"])
    page = write_report(workspace).read_text()
    assert "Not up to date" in page and WHY in page
    told = walkthrough.summary(workspace.metrics, workspace.metric_origins())
    assert f"stale, 1 of the measures above: preferences is {WHY}\n" in f"{told}\n"


def test_the_report_reads_the_votes_of_a_log_once(workspace, own, monkeypatch):
    read, plain = [], LabelLog.preferences
    monkeypatch.setattr(LabelLog, "preferences", lambda log: read.append(1) or plain(log))
    own.record(**judged("F1-r1"))
    write_report(workspace)
    write_report(workspace)
    assert len(read) == 1
    own.record(**judged("F1-r2"))
    write_report(workspace)
    assert len(read) == 2


@pytest.mark.parametrize(
    ("book", "read_from"),
    [(LABELLING, "preferences"), (JUDGING, "pair_votes"), ("07", "on_card")],
)
def test_the_notebooks_that_read_votes_keep_what_they_read(book, read_from):
    path = next((Path(__file__).parents[1] / "notebooks").glob(f"{book}*.ipynb"))
    code = "\n".join(
        cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"
    )
    assert f"labels.votes_read({read_from}, annotators, label_log" in code

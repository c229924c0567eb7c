"""Tests of the replay of a run: what is the same, what differs, and what is never sent."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import nbformat
import pytest
from client_acts import echo
from loopback import Loopback, fault, save_image
from privacy_rows import SECRET, write_run
from small_notebooks import small_notebooks_in

from vital_lib import privacy, replay, walkthrough
from vital_lib.figures import is_cleared, open_figure
from vital_lib.tables import Workspace, empty_frame

TESTS = Path(__file__).parent

PARAMETERS = "run = None\nseed = 0\nbase_url = None\nimage = None\nlocal = False\nshift = 0"
ASK = f"""
import sys
sys.path.append({str(TESTS)!r})
import pandas as pd
from client_acts import verdicts
from vital_lib.client import ChatClient
from vital_lib.figures import open_image
from vital_lib.tables import TABLES, Workspace, write_text

workspace = Workspace(run)
write_text(workspace.model("tuned") / "README.md", f"The card of {{run}}.")
model = ChatClient("judge", base_url=base_url, ledger=workspace.ledger, local=local)
replies = model.ask(verdicts(open_image(image), 4), seed=seed)
read = [int(reply.value.rationale) for reply in replies if reply.value]
rows = pd.DataFrame(columns=list(TABLES["figures_rejected"].columns))
made = {{"parameters": {{"shift": shift}}}}
workspace.write("figures_rejected", rows, **made)
metrics = {{"figures.n": len(read), "figures.rejected": sum(read) + shift}}
metrics |= {{"demo.seconds": 5 + shift}}
workspace.record(metrics, written_by="01_explore_figures", made_from=["figures_rejected"])
"""
TRAIN = "Workspace(run).record({'tuning.steps': 7}, written_by='08_tune_model')"


def _answer(body, place):
    """Reply with the question's number; the reply to number 2 is a permanent fault."""
    status, headers, content = echo(body)
    return fault(400, "too bad") if b'\\"2\\"' in content else (status, headers, content)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a finished run in ``run``, its notebooks and image; its server is gone."""
    folder = tmp_path_factory.mktemp("replay")
    image = save_image(folder / "figure.png", seed=0)
    with pytest.MonkeyPatch.context() as patch, Loopback(_answer) as server:
        write = small_notebooks_in(folder / "notebooks", patch)
        write("00_start_here", PARAMETERS, "run")
        write("01_explore_figures", PARAMETERS, ASK)
        write("08_tune_model", PARAMETERS, "from vital_lib.tables import Workspace", TRAIN)
        settings = {"base_url": server.base_url, "image": str(image), "local": True}
        list(walkthrough.run_notebooks(folder / "run", settings={**settings, "shift": 3}))
    return folder


@pytest.fixture
def finished(whole, tmp_path, monkeypatch):
    """A copy of the finished run."""
    monkeypatch.setattr(walkthrough, "NOTEBOOKS", whole / "notebooks")
    return Path(shutil.copytree(whole / "run", tmp_path / "run"))


def _digests(folder):
    files = [path for path in folder.rglob("*") if path.is_file() and ".sqlite-" not in path.name]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _outcomes(found):
    return found.set_index("metric")["outcome"].to_dict()


def test_a_replay_finds_the_same_metrics_without_a_server_and_leaves_the_run_alone(finished):
    before = _digests(finished)
    found = replay.replay(finished)
    assert _outcomes(found) == {
        "figures.n": "same",
        "figures.rejected": "same",
        "demo.seconds": "not recomputed",
        "tuning.steps": "not recomputed",
    }
    rejected = found.set_index("metric").loc["figures.rejected"]
    assert rejected["run"] == rejected["replayed"] == 0 + 1 + 3 + 3  # a failure stays a failure
    assert "README.md" in before and _digests(finished) == before


def test_a_changed_metric_differs_and_is_named(finished, capsys):
    file = finished / "metrics.json"
    metrics = json.loads(file.read_text()) | {"figures.rejected": 8, "figures.articles": 1}
    file.write_text(json.dumps(metrics))
    assert replay.main([str(finished)]) == 1
    said = capsys.readouterr().out
    assert "5 metrics: " in said and "1 differs" in said and "1 missing" in said
    assert "figures.rejected" in said and "figures.n " not in said


@pytest.mark.slow
def test_a_difference_within_the_tolerance_is_none(finished):
    file = finished / "metrics.json"
    metrics = json.loads(file.read_text())
    file.write_text(json.dumps(metrics | {"figures.rejected": 7 * (1 + 1e-4)}))
    assert _outcomes(replay.replay(finished))["figures.rejected"] == "differs"
    assert _outcomes(replay.replay(finished, tolerance=1e-3))["figures.rejected"] == "same"


def test_a_reply_that_is_not_in_the_ledger_stops_the_replay_and_is_not_sent(finished, capsys):
    (finished / "ledger.sqlite").unlink()
    assert replay.main([str(finished)]) == 1
    assert "no stored reply to this verdict prompt" in capsys.readouterr().err


def test_the_parameters_of_a_table_win_over_the_executed_copy(finished):
    workspace = Workspace(finished)
    [(notebook, own)] = replay.settings_of(workspace).items()
    assert notebook == "01_explore_figures" and own["shift"] == 3 and own["local"] is True
    assert "run" not in own
    rows = workspace.read("figures_rejected")
    workspace.write("figures_rejected", rows, parameters={"shift": 4, "no_parameter": 1})
    [(_, own)] = replay.settings_of(workspace).items()
    assert own["shift"] == 4 and "no_parameter" not in own


@pytest.mark.slow
def test_a_parameter_that_was_not_recorded_can_be_given(finished, whole):
    (finished / "executed" / "01_explore_figures.ipynb").unlink()
    with pytest.raises(walkthrough.NotebookFailed):  # it has no image
        replay.replay(finished)
    given = {"image": str(whole / "figure.png"), "local": True, "steps": 5}
    with pytest.raises(walkthrough.NotebookFailed, match="no stored reply"):
        replay.replay(finished, settings=given)  # of another server


def test_a_folder_without_metrics_is_no_run(tmp_path, capsys):
    assert replay.main([str(tmp_path / "none")]) == 1
    assert "run its notebooks first" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_the_logs_of_a_read_only_disk_are_brought_with_their_newest_entries(tmp_path, read_only):
    run = tmp_path / "run"
    Workspace(run)
    with closing(sqlite3.connect(tmp_path / "open.sqlite")) as log:
        log.execute("PRAGMA journal_mode=WAL")
        log.execute("CREATE TABLE said (word)")
        log.execute("INSERT INTO said VALUES ('newest')")
        log.commit()  # not yet in the file itself
        for end in ("", "-wal"):
            shutil.copyfile(tmp_path / f"open.sqlite{end}", run / f"ledger.sqlite{end}")
    replay._bring_inputs(Workspace(read_only(run)), Workspace(tmp_path / "again"))
    with closing(sqlite3.connect(tmp_path / "again" / "ledger.sqlite")) as log:
        assert log.execute("SELECT word FROM said").fetchall() == [("newest",)]


def test_what_people_decided_about_figures_holds_in_a_replay_too(tmp_path):
    run, again = write_run(tmp_path / "run"), Workspace(tmp_path / "again")
    rows = run.read("figures").set_index("figure_id", drop=False)
    open_row, held = rows.loc["open"].to_dict(), rows.loc[SECRET].to_dict()
    how = {"person": "Ada", "reason": "looked at"}
    privacy.reject(run.path, open_row, open_figure(open_row), **how)
    privacy.clear(run.path, held, open_figure(held), **how, boxes=[(0, 0, 5, 5)])
    replay._bring_inputs(run, again)
    decided = privacy.with_decisions(rows.reset_index(drop=True), again.path)
    assert is_cleared(decided).tolist() == [False, True]
    image = open_figure(decided.iloc[1].to_dict())
    assert image.clearance.cleared and image.path.is_relative_to(again.path)


def test_the_names_of_benchmarks_in_a_table_are_not_taken_for_their_folders(tmp_path):
    run = Workspace(tmp_path)
    parameters = {"benchmarks": ["VQA-RAD"], "share": 0.3}
    run.write("contaminated", empty_frame("contaminated"), parameters=parameters)
    copy = nbformat.v4.new_notebook()
    copy.metadata["papermill"] = {"parameters": {"benchmarks": ["/data/vqa_rad"], "share": 0.4}}
    (tmp_path / "executed").mkdir()
    nbformat.write(copy, tmp_path / "executed" / "07_select_instructions.ipynb")
    found = replay.settings_of(run)["07_select_instructions"]
    assert found == {"benchmarks": ["/data/vqa_rad"], "share": 0.3}

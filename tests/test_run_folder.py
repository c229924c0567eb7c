"""Claims about the folder of runs: listed, compared, deleted, and their labels backed up."""

from __future__ import annotations

import os
import sqlite3
import threading
import time

import pandas as pd
import pytest

from vital_lib import runs
from vital_lib.annotators import signed
from vital_lib.labels import LabelLog, votes_read
from vital_lib.panels import RunList
from vital_lib.runs import (
    BACKUPS,
    NoBackup,
    NotARun,
    RunInUse,
    back_up_labels,
    compare_runs,
    delete_run,
    label_events,
    list_runs,
)
from vital_lib.statistics import Interval
from vital_lib.tables import Workspace, empty_frame

SHARE = "selection.accepted_share_selected"


def _run(folder, name, *, seed=0, metrics=None) -> Workspace:
    workspace = Workspace(folder / name)
    workspace.write(
        "figures", empty_frame("figures"), parameters={"figures": "clinic", "seed": seed}
    )
    parameters = {"generator": "gpt-x", "seed": seed}
    workspace.write("drafts", empty_frame("drafts"), made_from=["figures"], parameters=parameters)
    workspace.record(metrics or {"figures.n": 3})
    return workspace


def _label(workspace, annotator, n=1, start=0) -> None:
    log = LabelLog(workspace.label_url)
    for i in range(start, start + n):
        item = {"item_id": f"i{i}", "left_id": f"i{i}-a", "right_id": f"i{i}-b"}
        log.record(annotator=annotator, left_accepted=True, right_accepted=False, **item)
    log.close()


def _quiet(workspace) -> None:
    """Make the run look as if it had been written an hour ago."""
    before = time.time() - 3600
    for path in workspace.path.rglob("*"):
        os.utime(path, (before, before), follow_symlinks=False)


# --- the list


def test_a_run_is_listed_with_its_size_seed_parts_and_steps(tmp_path):
    workspace = _run(tmp_path, "mine", seed=7)
    _label(workspace, "ann", 2)
    _label(workspace, signed("strict"))
    [row] = list_runs(tmp_path).to_dict("records")
    assert (row["run"], row["seed"], row["figures"]) == ("mine", "7", "simulated")
    assert (row["generator"], row["judge"]) == ("gpt-x", "")
    assert (row["written"], row["stale"], row["people"], row["problem"]) == (1, 0, 2, "")
    assert row["bytes"] >= sum(p.stat().st_size for p in workspace.path.glob("*.parquet")) > 0
    assert abs(row["changed"].timestamp() - time.time()) < 600


def test_the_runs_of_a_read_only_disk_are_listed_with_their_labels(tmp_path, read_only):
    workspace = _run(tmp_path / "runs", "mine")
    _label(workspace, "ann", 2)
    [row] = list_runs(read_only(tmp_path / "runs")).to_dict("records")
    assert (row["people"], row["problem"]) == (2, "")


def test_the_newest_run_comes_first_and_a_stale_step_is_counted(tmp_path):
    _quiet(_run(tmp_path, "old"))
    new = _run(tmp_path, "new")
    new.write("figures", empty_frame("figures"), parameters={"seed": 3})
    assert list_runs(tmp_path)[["run", "stale"]].to_numpy().tolist() == [["new", 1], ["old", 0]]


def test_other_folders_files_and_links_are_no_runs(tmp_path):
    outside = _run(tmp_path / "outside", "there")
    runs = tmp_path / "runs"
    _run(runs, "mine")
    (runs / "notes").mkdir()
    (runs / "file.txt").write_text("text")
    (runs / "link").symlink_to(outside.path, target_is_directory=True)
    (runs / "broken").symlink_to(runs / "nowhere")
    assert list_runs(runs)["run"].tolist() == ["mine"]


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("run.json", '{"format_version": 99}', "99"),
        ("run.json", "not json", "run.json is damaged (Expecting value"),
        ("figures.parquet", "not a table", "figures.parquet is damaged (Parquet"),
        ("labels.sqlite", "not a database, but long enough to be read", "database"),
    ],
)
def test_a_run_that_cannot_be_read_says_why_and_the_others_stay(tmp_path, file, content, words):
    _run(tmp_path, "good")
    bad = _run(tmp_path, "bad")
    (bad.path / file).write_text(content)
    rows = list_runs(tmp_path).set_index("run")
    assert words in rows.loc["bad", "problem"] and pd.isna(rows.loc["bad", "written"])
    assert rows.loc["good", "problem"] == "" and rows.loc["good", "written"] == 1
    assert RunList(tmp_path).widget.state["runs"][0]["name"] in {"good", "bad"}


# --- two compared


def test_two_runs_are_compared_by_what_differs_and_what_both_have(tmp_path):
    one = Interval(0.7, 0.6, 0.8, 9).metrics(SHARE) | {"figures.n": 1000, "tuning.seconds": 3}
    _run(tmp_path, "one", seed=1, metrics=one)
    _run(tmp_path, "two", seed=2, metrics={SHARE: 0.65, "figures.n": 1012, "mine.k": 2})
    settings, metrics = compare_runs(tmp_path, "one", "two")
    assert settings.to_numpy().tolist() == [["seed", "1", "2"]]
    rows = metrics.set_index("metric")[["one", "other", "difference"]].to_numpy().tolist()
    assert rows == [["1,000", "1,012", "+12"], ["70.0 %", "65.0 %", "−5.0 points"]]
    assert metrics["what"].tolist() == ["figures", "the selected set"]


def test_a_difference_of_nothing_has_no_sign(tmp_path):
    for name in ("one", "two"):
        _run(tmp_path, name, metrics={SHARE: 0.7})
    settings, metrics = compare_runs(tmp_path, "one", "two")
    assert settings.empty and metrics["difference"].tolist() == ["0.0 points"]


# --- one deleted


def test_a_deleted_run_is_gone_and_the_targets_of_its_links_stay(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.txt").write_text("kept")
    runs = tmp_path / "runs"
    run, other = _run(runs, "gone"), _run(runs, "other")
    (run.path / "link").symlink_to(outside, target_is_directory=True)
    (run.path / "file").symlink_to(outside / "kept.txt")
    _quiet(run)
    delete_run(runs, "gone")
    assert sorted(path.name for path in runs.iterdir()) == ["other"]
    assert (outside / "kept.txt").read_text() == "kept" and other.has("figures")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../runs/mine", "/etc", "notes", "nothing"])
def test_what_is_no_run_of_the_folder_is_not_deleted(tmp_path, name):
    runs = tmp_path / "runs"
    _quiet(_run(runs, "mine"))
    (runs / "notes").mkdir()
    (runs / "notes" / "mine.txt").write_text("mine")
    with pytest.raises(NotARun):
        delete_run(runs, name)
    assert (runs / "notes" / "mine.txt").exists() and (runs / "mine" / "run.json").exists()


def test_a_link_to_a_run_is_not_deleted(tmp_path):
    there = _run(tmp_path / "elsewhere", "there")
    _quiet(there)
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "link").symlink_to(there.path, target_is_directory=True)
    with pytest.raises(NotARun, match="is a link"):
        delete_run(runs, "link")
    assert there.has("figures")


def test_a_run_that_is_being_written_is_not_deleted(tmp_path):
    workspace = _run(tmp_path, "busy")
    with pytest.raises(RunInUse, match="was written \\d+ s ago"):
        delete_run(tmp_path, "busy")
    _quiet(workspace)
    _label(workspace, "ann")
    _quiet(workspace)  # the label's own time counts, not the time of its file
    with pytest.raises(RunInUse):
        delete_run(tmp_path, "busy")
    assert workspace.has("figures")


# --- labels backed up


def test_a_backup_holds_every_event_is_one_file_and_opens_as_a_log(tmp_path):
    workspace = _run(tmp_path, "mine")
    _label(workspace, "ann", 3)
    found = back_up_labels(tmp_path, "mine")
    assert found.events == 3 and found.path.parent == tmp_path / BACKUPS
    assert [path.name for path in found.path.parent.iterdir()] == [found.path.name]
    copy = LabelLog(f"sqlite:///{found.path}")
    pd.testing.assert_frame_equal(copy.history(), LabelLog(workspace.label_url).history())
    assert back_up_labels(tmp_path, "mine").path != found.path


def test_a_backup_restored_into_the_run_goes_on(tmp_path):
    workspace = _run(tmp_path, "mine")
    _label(workspace, "ann", 2)
    found = back_up_labels(tmp_path, "mine")
    for path in workspace.path.glob("labels.sqlite*"):
        path.unlink()
    found.path.rename(workspace.path / "labels.sqlite")
    _label(workspace, "ann", 1, start=2)
    assert label_events(workspace.path) == {"ann": 3}


def test_a_backup_while_others_label_holds_whole_events_from_before_its_end(tmp_path):
    workspace = _run(tmp_path, "mine")
    _label(workspace, "ann", 20)
    stop, started = threading.Event(), threading.Event()

    def write() -> None:
        n = 20
        while not stop.is_set():
            _label(workspace, "bob", 1, start=n)
            n += 1
            started.set()

    writer = threading.Thread(target=write)
    writer.start()
    started.wait()
    found = [back_up_labels(tmp_path, "mine") for _ in range(5)]
    stop.set()
    writer.join()
    events = [one.events for one in found]
    assert events[0] >= 21 and events == sorted(events)
    whole = LabelLog(workspace.label_url).history()
    for one in found:
        copy = LabelLog(f"sqlite:///{one.path}").history()
        pd.testing.assert_frame_equal(copy, whole.head(one.events))


def test_a_run_without_labels_or_with_a_broken_log_says_so(tmp_path):
    workspace = _run(tmp_path, "mine")
    with pytest.raises(NoBackup, match="no labels yet"):
        back_up_labels(tmp_path, "mine")
    (workspace.path / "labels.sqlite").write_text("not a database, but long enough to be read")
    with pytest.raises(NoBackup, match="cannot be read"):
        back_up_labels(tmp_path, "mine")
    assert not list((tmp_path / BACKUPS).iterdir())


def _votes_from(workspace, url) -> None:
    """Let the run's preferences be read from the label log at `url`."""
    empty = LabelLog(workspace.label_url).preferences()
    read = votes_read(empty, "people", url, items=["i0"])
    workspace.write("preferences", empty_frame("preferences"), made_from=["drafts", read])


def test_a_log_on_postgresql_says_how_to_back_it_up(tmp_path):
    workspace = _run(tmp_path, "mine")
    _votes_from(workspace, "postgresql+psycopg://ann@db.example:5433/labels")
    with pytest.raises(NoBackup, match="pg_dump .*postgresql://ann@db.example:5433/labels'$"):
        back_up_labels(tmp_path, "mine")


def test_the_log_that_the_votes_came_from_is_backed_up(tmp_path):
    workspace, other = _run(tmp_path, "mine"), _run(tmp_path / "elsewhere", "other")
    _label(other, "ann", 4)
    _votes_from(workspace, other.label_url)
    assert back_up_labels(tmp_path, "mine").events == 4


def test_a_log_that_was_only_read_keeps_its_content(tmp_path):
    workspace = _run(tmp_path, "mine")
    _label(workspace, "ann")
    with sqlite3.connect(workspace.path / "labels.sqlite") as log:
        before = log.execute("SELECT * FROM label_events").fetchall()
    list_runs(tmp_path)
    back_up_labels(tmp_path, "mine")
    with sqlite3.connect(workspace.path / "labels.sqlite") as log:
        assert log.execute("SELECT * FROM label_events").fetchall() == before


# --- the panel


def test_the_panel_deletes_in_two_steps_and_says_what_would_be_lost(tmp_path):
    workspace = _run(tmp_path, "mine")
    _label(workspace, "ann", 2)
    _run(tmp_path, "other")
    panel = RunList(tmp_path, current="mine")
    panel.delete()
    assert len(panel.widget.state["runs"]) == 2  # nothing was asked
    panel.ask("mine")
    assert panel.widget.state["asking"] == "mine"
    [mine] = [run for run in panel.widget.state["runs"] if run["name"] == "mine"]
    assert mine["people"] == 2 and mine["current"]
    panel.keep()
    assert panel.widget.state["asking"] is None
    panel.ask("mine")
    panel.delete()
    assert "was written" in panel.widget.state["note"] and workspace.has("figures")
    panel.ask("other")
    _quiet(Workspace(tmp_path / "other"))
    panel.delete()
    assert [run["name"] for run in panel.widget.state["runs"]] == ["mine"]
    assert panel.widget.state["note"] == "run other is deleted"


def test_the_panel_compares_the_two_runs_chosen_last(tmp_path):
    for seed, name in enumerate(("one", "two", "three")):
        _run(tmp_path, name, seed=seed)
    panel = RunList(tmp_path)
    panel.compare("one")
    assert panel.widget.state["difference"] is None
    panel.compare("two")
    assert panel.widget.state["difference"]["settings"] == [["seed", "0", "1"]]
    panel.compare("three")
    assert panel.compared == ["two", "three"]
    [[stage, topic, rows]] = panel.widget.state["difference"]["topics"]
    assert (stage, topic, rows) == ("Figures", "Figures", [["figures", "3", "3", "0"]])
    panel.compare("two")
    assert panel.widget.state["difference"] is None
    panel.compare("../one")
    assert "not done" in panel.widget.state["note"] and panel.compared == ["three"]


def test_the_panel_says_where_the_labels_are_copied_to(tmp_path):
    _label(_run(tmp_path, "mine"), "ann", 2)
    panel = RunList(tmp_path)
    panel.back_up("mine")
    note = panel.widget.state["note"]
    assert note.startswith(f"label log of run mine copied, 2 events: {BACKUPS}/mine-")
    panel.back_up("nothing")
    assert "not done: 'nothing'" in panel.widget.state["note"]


# --- runs that are broken, vanish, or have odd names


def _overwrite(name, content):
    def break_it(folder):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)

    return break_it


def _foreign_table(folder):
    pd.DataFrame({"a": [1]}).to_parquet(folder / "figures.parquet")


def _odd_times(folder):
    with sqlite3.connect(folder / "labels.sqlite") as log:
        log.execute("CREATE TABLE label_events (annotator, at)")
        log.execute("INSERT INTO label_events VALUES (NULL, NULL), ('ann', 'a time')")
    log.close()


def _far_future(folder):
    (folder / "metrics.json").write_text("[]")
    os.utime(folder / "metrics.json", (1e12, 1e12))


BROKEN = {
    "a time that no calendar has": _far_future,
    "format": _overwrite("run.json", b"[]"),
    "metrics as a list": _overwrite("metrics.json", b"[1]"),
    "metrics as text": _overwrite("metrics.json", b'{"figures.n": "three"}'),
    "origins": _overwrite("metrics_origin.json", b'{"origins": {"a": 1}}'),
    "origins of metrics": _overwrite("metrics_origin.json", b'{"origins": [{"metrics": []}]}'),
    "a table of others": _foreign_table,
    "times of labels": _odd_times,
    "label log": _overwrite("labels.sqlite", b"no database"),
}


@pytest.mark.parametrize("break_it", BROKEN.values(), ids=BROKEN)
def test_a_broken_run_is_told_and_leaves_the_others_listed_compared_and_deleted(tmp_path, break_it):
    for name in ("fine", "other"):
        _quiet(_run(tmp_path, name))
    broken = _run(tmp_path, "broken")
    break_it(broken.path)
    panel = RunList(tmp_path)
    found = list_runs(tmp_path).set_index("run")["problem"]
    assert found["broken"] and found["fine"] == found["other"] == ""
    panel.compare("fine")
    panel.compare("broken")
    panel.refresh()
    panel.compare("other")
    assert "other" in panel.compared
    _quiet(broken)
    panel.ask("broken")
    panel.delete()
    assert panel.widget.state["note"] == "run broken is deleted"
    assert not broken.path.exists()


def test_a_run_that_vanishes_while_the_list_is_made_is_not_made_again(tmp_path, monkeypatch):
    for name in ("a", "b"):
        _quiet(_run(tmp_path, name))
    row, gone = runs._row, []

    def another_page_deletes(path):
        if not gone:
            gone.append(delete_run(tmp_path, "b"))
        return row(path)

    monkeypatch.setattr(runs, "_row", another_page_deletes)
    assert list_runs(tmp_path)["run"].tolist() == ["a"]
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("name", ["a 'b' \"c\"\n<i>?#%20", "n" * 250, "ü" * 120, ".hidden"])
def test_a_run_of_any_name_is_backed_up_and_deleted(tmp_path, name):
    workspace = _run(tmp_path, name)
    _label(workspace, "ann")
    panel = RunList(tmp_path, current=name)
    panel.back_up(name)
    assert ", 1 event: " in panel.widget.state["note"]
    (workspace.path / "labels.sqlite").unlink()  # labelled just now
    _quiet(workspace)
    delete_run(tmp_path, name)
    assert [path.name for path in tmp_path.iterdir()] == [BACKUPS]


def test_a_name_that_is_no_text_does_not_hide_the_other_runs_from_the_page(tmp_path):
    _quiet(_run(tmp_path, "fine"))
    (tmp_path / os.fsdecode(b"bad\xff")).mkdir()
    (tmp_path / os.fsdecode(b"bad\xff") / "run.json").write_text('{"format_version": 0}')
    names = [run["name"] for run in RunList(tmp_path).widget.state["runs"]]
    assert sorted(names) == ["bad?", "fine"]


def test_files_dated_in_the_future_do_not_keep_a_run_forever(tmp_path):
    workspace = _run(tmp_path, "mine")
    os.utime(workspace.path / "run.json", (4e9, 4e9))
    delete_run(tmp_path, "mine")
    assert not workspace.path.exists()


def test_the_second_of_two_pages_that_delete_a_run_is_told(tmp_path):
    _quiet(_run(tmp_path, "mine"))
    one, two = RunList(tmp_path), RunList(tmp_path)
    for panel in (one, two):
        panel.ask("mine")
    one.delete()
    two.delete()
    assert two.widget.state["note"].startswith("not done: 'mine'")
    assert two.widget.state["runs"] == []


def test_a_list_whose_folder_vanished_says_so(tmp_path):
    _quiet(_run(tmp_path / "runs", "mine"))
    panel = RunList(tmp_path / "runs")
    (tmp_path / "runs").rename(tmp_path / "elsewhere")
    panel.refresh()
    assert panel.widget.state["note"].startswith("not done: ")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without permission")
def test_a_run_that_may_not_be_read_leaves_the_others_listed(tmp_path):
    _quiet(_run(tmp_path, "fine"))
    _run(tmp_path, "closed").path.chmod(0)
    half = _run(tmp_path, "half").path
    (half / "metrics.json").chmod(0)
    for folder in (tmp_path, *tmp_path.parents):
        folder.chmod(folder.stat().st_mode | 0o055) if "pytest" in str(folder) else None
    os.seteuid(65534)
    try:
        found = list_runs(tmp_path).set_index("run")["problem"]
        panel = RunList(tmp_path)
        panel.ask("fine")
        panel.delete()
    finally:
        os.seteuid(0)
    assert found["fine"] == "" and "ermission denied" in found["half"]
    assert "ermission denied" in panel.widget.state["note"]
    assert (tmp_path / "fine" / "run.json").exists()

"""The label log: acknowledged labels are kept and never changed."""

from __future__ import annotations

import gc
import signal
import statistics
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from label_rows import judged

from vital_lib.labels import (
    DRAWN_BY,
    KINDS,
    STRATEGIES,
    VOTES,
    LabelLog,
    LabelsNotSaved,
    practice_log,
)
from vital_lib.labels.database import label_events
from vital_lib.labels.events import event_row
from vital_lib.tables import TABLES, UnsupportedFormat, Workspace

pytest_plugins = "postgres"


@pytest.fixture
def log(url):
    log = LabelLog(url)
    yield log
    log.close()


def choices(log: LabelLog) -> dict[tuple[str, str], str]:
    rows = log.preferences()
    return dict(
        zip(zip(rows["item_id"], rows["annotator"], strict=True), rows["choice"], strict=True)
    )


def test_a_judgement_reads_back_as_recorded(log):
    event = log.record(
        **judged(unsafe=True, reasons=["wrong_side"], note="é", seconds=2.5, drawn_by="cluster")
    )
    row = log.history().iloc[0]
    assert list(log.history().columns) == [
        *["event_id", "kind", "item_id", "annotator", "left_id", "right_id", "left_accepted"],
        *["right_accepted", "cannot_judge", "unsafe", "reasons", "note", "drawn_by", "repeat_of"],
        *["corrects", "seconds", "at"],
    ]
    assert row["event_id"] == event
    assert (row["left_accepted"], row["right_accepted"], row["unsafe"]) == (True, False, True)
    assert (row["reasons"], row["note"], row["seconds"]) == (["wrong_side"], "é", 2.5)
    assert row["drawn_by"] == "cluster"
    assert pd.Timestamp(row["at"]).tzinfo is not None


def test_ticks_map_to_left_right_both_or_neither_and_a_skip_has_none(log):
    for item, ticks in enumerate([(True, False), (False, True), (True, True), (False, False)]):
        log.record(**judged(f"i{item}", ticks))
    log.record(**judged("i4", (None, None), cannot_judge=True))
    assert list(log.preferences()["choice"]) == ["left", "right", "both", "neither", "skip"]
    assert log.preferences()["left_accepted"].isna().tolist() == [False] * 4 + [True]


def test_preferences_match_the_runs_table(tmp_path):
    workspace = Workspace(tmp_path)
    log = LabelLog(workspace.label_url)
    assert list(log.preferences().columns) == TABLES["preferences"].columns
    log.record(**judged())
    log.record(**judged("i2", (None, None), cannot_judge=True))
    workspace.write("preferences", log.preferences())
    pd.testing.assert_frame_equal(workspace.read("preferences"), log.preferences())


def test_votes_of_two_annotators_are_kept_apart(log):
    log.record(**judged(who="ann"))
    log.record(**judged(who="ben", ticks=(False, True)))
    assert choices(log) == {("i1", "ann"): "left", ("i1", "ben"): "right"}


def test_an_event_id_recorded_twice_is_stored_once(log):
    assert log.record(**judged(event_id="e1")) == "e1"
    assert log.record(**judged(event_id="e1", seconds=9.0)) == "e1"
    assert log.record_many([judged(event_id="e1"), judged("i2", event_id="e2")] * 2) == [
        *["e1", "e2"],
        *["e1", "e2"],
    ]
    assert list(log.history()["event_id"]) == ["e1", "e2"]


def test_an_event_id_used_for_another_judgement_is_refused(log):
    log.record(**judged(event_id="e1"))
    skip = {"ticks": (None, None), "cannot_judge": True}
    log.record(**judged(event_id="e2", **skip))
    for other in (judged("i2", event_id="e1"), judged(event_id="e1", unsafe=True)):
        with pytest.raises(ValueError, match="'e1' is already used for another judgement"):
            log.record(**other)
    log.undo("ann")
    undo = log.history()["event_id"].iloc[-1]
    with pytest.raises(ValueError, match="is already used for another judgement"):
        log.record(**judged(event_id=undo, **skip))  # an undo has no ticks either
    assert len(log.history()) == 3


def test_undo_appends_an_event_and_removes_the_judgement_from_the_votes(log):
    log.record(**judged("i1"))
    second = log.record(**judged("i2"))
    assert log.undo("ann") == second
    assert choices(log) == {("i1", "ann"): "left"}
    history = log.history()
    assert len(history) == 3 and history["corrects"].iloc[2] == second


def test_undo_goes_back_one_by_one_to_the_first_judgement(log):
    first, second = log.record(**judged("i1")), log.record(**judged("i2"))
    assert [log.undo("ann") for _ in range(3)] == [second, first, None]
    assert log.preferences().empty


def test_undo_affects_only_the_annotators_own_judgement(log):
    log.record(**judged(who="ann"))
    log.record(**judged(who="ben"))
    log.undo("ann")
    assert choices(log) == {("i1", "ben"): "left"}
    assert log.undo("cleo") is None


def test_undo_and_standing_are_limited_to_the_given_arms(log):
    vote, checked = (log.record(**judged("i1", drawn_by=arm)) for arm in ("cluster", "calibration"))
    latest = log.record(**judged("i2"))
    assert list(log.standing("ann", arms=VOTES)["event_id"]) == [vote, latest]
    assert list(log.standing("ann", arms=["calibration"])["event_id"]) == [checked]
    assert log.undo("ann", arms=["adjudication"]) is None
    assert log.undo("ann", ["calibration"]) == checked
    assert log.undo("ann", ["calibration"]) is None
    assert list(log.standing("ann")["event_id"]) == [vote, latest]
    assert log.undo("ann") == latest


def test_standing_returns_the_latest_judgements_up_to_its_limit_in_order(log):
    ids = log.record_many(judged(f"i{n}", drawn_by=VOTES[n % 2]) for n in range(6))
    log.undo("ann")
    assert list(log.standing("ann", limit=2)["event_id"]) == ids[3:5]
    assert list(log.standing("ann", limit=2, arms=VOTES[:1])["event_id"]) == [ids[2], ids[4]]
    assert list(log.standing("ann", item_id="i1", limit=2)["event_id"]) == [ids[1]]
    assert list(log.standing("ann", limit=9)["event_id"]) == ids[:5]
    assert log.standing("ann", limit=0).empty and list(log.standing("ann").index) == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_the_latest_of_20000_judgements_are_read_without_the_others(tmp_path):
    log = LabelLog(f"sqlite:///{tmp_path / 'labels.sqlite'}")
    log.record_many(judged(f"i{n}") for n in range(20_000))

    def seconds(act) -> float:
        starts = [(time.perf_counter(), act(), time.perf_counter()) for _ in range(9)]
        return statistics.median(end - start for start, _, end in starts)

    everything = seconds(lambda: log.standing("ann"))
    for act in (
        lambda: log.undo("ann"),
        lambda: log.undo("ann", VOTES),
        lambda: log.standing("ann", limit=20),
        lambda: log.standing("ann", item_id="i7"),
    ):
        assert seconds(act) < everything / 8
    log.close()


def test_a_skip_can_be_undone(log):
    log.record(**judged(ticks=(None, None), cannot_judge=True))
    log.undo("ann")
    assert log.preferences().empty


def test_a_revision_replaces_a_judgement_and_its_undo_restores_it(log):
    first = log.record(**judged())
    revision = log.record(**judged(ticks=(False, True), corrects=first))
    assert choices(log) == {("i1", "ann"): "right"}
    assert log.undo("ann") == revision
    assert choices(log) == {("i1", "ann"): "left"}
    assert log.undo("ann") == first
    assert log.preferences().empty


def test_the_later_of_two_standing_judgements_of_an_item_counts(log):
    log.record(**judged(ticks=(True, False)))
    log.record(**judged(ticks=(False, False)))
    assert choices(log) == {("i1", "ann"): "neither"}


@pytest.mark.parametrize("older", ["09:59:59.9Z", "10:59:59+01:00"])
def test_an_older_judgement_stored_later_does_not_replace_a_newer_one(log, older):
    rows = [event_row(judged(ticks=ticks)) for ticks in ((True, False), (False, True))]
    times = ("2020-11-22T10:00:00.000+00:00", f"2020-11-22T{older}")
    other = event_row(judged("i2")) | {"at": "2020-11-22T10:30:00+01:00"}
    with log.database.writing() as connection:
        merged = [row | {"at": at} for row, at in zip(rows, times, strict=True)]
        connection.execute(sa.insert(label_events), [*merged, other])
    assert choices(log) == {("i1", "ann"): "left", ("i2", "ann"): "left"}
    assert list(log.preferences()["item_id"]) == ["i1", "i2"]
    log.record(**judged(ticks=(False, False)))
    assert choices(log)["i1", "ann"] == "neither"


def test_a_hidden_repeat_is_kept_and_is_not_the_preference(log):
    first = log.record(**judged())
    log.record(**judged(ticks=(False, True), repeat_of=first))
    assert choices(log) == {("i1", "ann"): "left"}
    assert log.history()["repeat_of"].isna().tolist() == [True, False]
    assert log.history()["repeat_of"].iloc[1] == first
    log.undo("ann")
    assert choices(log) == {("i1", "ann"): "left"}


def test_a_revision_keeps_the_arm_and_the_repeat_it_corrects(log):
    first = log.record(**judged(drawn_by="cluster"))
    again = log.record(**judged(drawn_by="cluster", repeat_of=first))
    for kept in ({"drawn_by": "random"}, {"drawn_by": "cluster"}):
        with pytest.raises(ValueError, match="a revision keeps the drawn_by 'cluster'"):
            log.record(**judged(corrects=again, **kept))
    log.record(**judged(ticks=(False, True), drawn_by="cluster", corrects=first))
    assert choices(log) == {("i1", "ann"): "right"}


def test_calibrations_and_adjudications_are_separate_from_votes(log):
    for number, arm in enumerate(DRAWN_BY):
        log.record(**judged(f"i{number}", drawn_by=arm))
    assert set(log.preferences()["drawn_by"]) == set(VOTES) == {*STRATEGIES, "requested"}
    assert DRAWN_BY[4:] == ("calibration", "adjudication", "comparison")
    assert list(log.calibrations()["item_id"]) == ["i4"]
    assert list(log.adjudications()["item_id"]) == ["i5"]
    assert list(log.adjudications().columns) == TABLES["preferences"].columns


def test_standing_judgements_are_ordered_by_their_latest_event(log):
    first, second = log.record(**judged("i1")), log.record(**judged("i2", note="see"))
    log.record(**judged("i1", who="ben"))
    log.record(**judged("i3"))
    log.undo("ann")
    revision = log.record(**judged("i1", ticks=(False, True), corrects=first))
    standing = log.standing("ann")
    assert list(standing["event_id"]) == [second, revision]
    assert list(standing["note"]) == ["see", ""]
    assert list(standing.columns) == list(log.history().columns)


@pytest.mark.parametrize("name", ["corrects", "repeat_of"])
def test_a_reference_must_name_the_annotators_own_judgement_of_the_item(log, name):
    other = log.record(**judged(who="ben"))
    mine = log.record(**judged("i2"))
    log.undo("ann")
    undo = log.history()["event_id"].iloc[-1]
    for wrong, item in ((other, "i1"), (mine, "i1"), ("nothing", "i1"), (undo, "i2")):
        with pytest.raises(ValueError, match=f"{name} '{wrong}' is not the event_id"):
            log.record(**judged(item, **{name: wrong}))
    assert len(log.history()) == 3


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"annotator": ""}, "annotator must be a non-empty string, not ''"),
        ({"annotator": "  "}, "annotator must be"),
        ({"event_id": ""}, "event_id must be a non-empty string, not ''"),
        ({"event_id": " "}, "event_id must be"),
        ({"item_id": None}, "item_id must be a non-empty string, not None"),
        ({"right_id": "i1-a"}, "left_id and right_id are both 'i1-a': give two"),
        ({"left_accepted": None}, r"ticks \[None, False\]"),
        ({"left_accepted": 1}, r"ticks \[1, False\]"),
        ({"cannot_judge": True}, r"ticks \[True, False\] with cannot_judge=True: give None"),
        ({"reasons": "vague"}, "reasons 'vague': give a list"),
        ({"reasons": 5}, "reasons 5: give a list"),
        ({"reasons": [1, 2]}, r"reasons \[1, 2\]: give a list of strings"),
        ({"note": 5}, "note must be of type str, not 5"),
        ({"seconds": "12"}, "seconds must be of type int or float, not '12'"),
        ({"seconds": True}, "seconds must be of type int or float, not True"),
        ({"seconds": -5}, "seconds -5 is out of range: give 0 or more"),
        ({"seconds": float("inf")}, "seconds inf is out of range"),
        ({"seconds": float("nan")}, "seconds nan is out of range"),
        ({"unsafe": "no"}, "unsafe must be of type bool, not 'no'"),
        ({"cannot_judge": 1}, "cannot_judge must be of type bool, not 1"),
        ({"corrects": float("nan")}, "corrects must be of type str, not nan"),
        ({"repeat_of": 7}, "repeat_of must be of type str, not 7"),
        ({"drawn_by": "border"}, "drawn_by 'border': give one of random, cluster, uncertainty"),
    ],
)
def test_an_invalid_judgement_is_refused_with_the_value(log, changed, message):
    with pytest.raises(ValueError, match=message):
        log.record(**{**judged(), **changed})
    assert log.history().empty
    with pytest.raises(ValueError, match="annotator must be"):
        log.undo("")


def test_record_many_stores_all_events_or_none(log):
    for name in ("colour", "at"):
        with pytest.raises(ValueError, match=f"no field called {name}"):
            log.record_many([judged("i1"), judged("i2", **{name: "red"})])
    with pytest.raises(ValueError, match="corrects 'nothing'"):
        log.record_many([judged("i1"), judged("i2", corrects="nothing")])
    assert log.history().empty
    log.record_many([judged("i1", event_id="e1"), judged(ticks=(False, True), corrects="e1")])
    assert choices(log) == {("i1", "ann"): "right"}


def test_numpy_scalars_are_accepted(log):
    log.record(**judged(ticks=(np.True_, np.False_), seconds=np.float64(1.5), unsafe=np.False_))
    assert choices(log) == {("i1", "ann"): "left"}
    assert log.history()["seconds"].tolist() == [1.5]


def test_record_many_stores_three_thousand_labels(log):
    events = [judged(f"i{n}", who=f"p{n % 3}") for n in range(3000)]
    log.record_many(events)
    assert len(log.preferences()) == 3000


def test_eight_threads_lose_no_label(log):
    acknowledged: list[str] = []

    def work(who: str) -> None:
        for n in range(200):
            acknowledged.append(log.record(**judged(f"i{n}", who=who)))
            if n % 20 == 19:
                log.preferences()

    threads = [threading.Thread(target=work, args=(f"p{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(acknowledged) == 1600
    assert sorted(log.history()["event_id"]) == sorted(acknowledged)
    assert len(log.preferences()) == 1600


def test_concurrent_undos_undo_different_judgements(log):
    ids = {log.record(**judged(f"i{n}")) for n in range(8)}
    undone: list[str] = []
    threads = [threading.Thread(target=lambda: undone.append(log.undo("ann"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(undone) == ids and len(undone) == 8


WRITER = """
    import sys
    from vital_lib.labels import LabelLog
    log, who = LabelLog(sys.argv[1]), sys.argv[2]
    for n in range(int(sys.argv[3])):
        print(log.record(item_id=f"i{n}", left_id=f"i{n}-a", right_id=f"i{n}-b",
              left_accepted=True, right_accepted=False, annotator=who), flush=True)
"""


def writer(url: str, who: str, events: int) -> subprocess.Popen:
    code = textwrap.dedent(WRITER)
    command = [sys.executable, "-c", code, url, who, str(events)]
    here = Path(__file__).parents[1]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, **pipes, text=True, cwd=here)


def test_a_killed_process_loses_no_acknowledged_label(url):
    process = writer(url, "ann", 100_000)
    acknowledged = [process.stdout.readline().strip() for _ in range(150)]
    process.send_signal(signal.SIGKILL)
    acknowledged += process.stdout.read().split("\n")[:-1]  # whole lines still in the pipe
    assert process.wait() == -signal.SIGKILL
    log = LabelLog(url)
    kept = set(log.history()["event_id"])
    assert len(acknowledged) >= 150
    assert set(acknowledged) <= kept
    assert len(kept) <= len(acknowledged) + 1  # a label may be stored before its line is printed
    log.record(**judged("after"))
    log.close()


def test_two_processes_can_write_to_a_new_log_at_once(url):
    processes = [writer(url, f"p{n}", 100) for n in range(2)]
    outputs, errors = zip(*(process.communicate() for process in processes), strict=True)
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    log = LabelLog(url)
    assert sorted(log.history()["event_id"]) == sorted("".join(outputs).split())
    log.close()


def test_labels_persist_after_reopening(url):
    log = LabelLog(url)
    log.record(**judged())
    log.close()
    again = LabelLog(url)
    assert choices(again) == {("i1", "ann"): "left"}
    again.close()


def test_a_log_has_one_identity_across_openings(url, tmp_path):
    found: list[str] = []

    def look() -> None:
        log = LabelLog(url)
        found.append(log.identity)
        log.close()

    threads = [threading.Thread(target=look) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    look()
    assert len(found) == 25 and len(set(found)) == 1 and len(found[0]) == 32
    assert LabelLog(f"sqlite:///{tmp_path / 'another.sqlite'}").identity != found[0]


def test_each_event_has_its_kind(log):
    first = log.record(**judged())
    log.record(**judged(repeat_of=first))
    log.record(**judged("i2", drawn_by="calibration"))
    settled = log.record(**judged("i3", drawn_by="adjudication"))
    log.record(**judged("i3", drawn_by="adjudication", corrects=settled))
    log.undo("ann")
    log.record(**judged("i4", drawn_by="cluster"))
    log.record(**judged("i5", drawn_by="comparison"))
    kinds = ["label", "repeat", "calibration", "adjudication", "revision", "undo", "label"]
    kinds += ["comparison"]
    assert log.history()["kind"].tolist() == kinds and set(kinds) == set(KINDS)


def test_sqlite_uses_a_write_ahead_log_and_flushes_at_every_commit(tmp_path):
    log = LabelLog(f"sqlite:///{tmp_path / 'labels.sqlite'}")
    with log.database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


@pytest.mark.parametrize("act", ["UPDATE label_events SET note = 'x'", "DELETE FROM label_events"])
def test_the_log_refuses_updates_and_deletions(tmp_path, act):
    log = LabelLog(f"sqlite:///{tmp_path / 'labels.sqlite'}")
    log.record(**judged())
    with (
        pytest.raises(sa.exc.IntegrityError, match="only grows"),
        log.database.writing() as connection,
    ):
        connection.exec_driver_sql(act)
    assert log.history()["note"].tolist() == [""]


def test_a_log_of_a_newer_format_is_refused(url):
    log = LabelLog(url)
    with log.database.writing() as connection:
        connection.exec_driver_sql("UPDATE label_format SET version = 99")
    log.close()
    with pytest.raises(UnsupportedFormat, match="format version 99, this release reads 3"):
        LabelLog(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [("/data/labels.sqlite", "'/data/labels.sqlite', which is no"), ("me:key@host", "an address,")],
)
def test_an_invalid_log_address_is_refused_without_showing_its_password(url, shown):
    with pytest.raises(ValueError, match=f"label log at {shown}.*give sqlite:///"):
        LabelLog(url)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_log_in_memory_is_refused(url):
    with pytest.raises(ValueError, match="would be lost when the process ends"):
        LabelLog(url)


def test_the_log_never_shows_its_password(tmp_path):
    shown = repr(LabelLog(f"sqlite:///{tmp_path / 'labels.sqlite'}"))
    assert "labels.sqlite" in shown
    with pytest.raises(LabelsNotSaved) as raised:
        LabelLog("postgresql+psycopg://ann:s3cret@127.0.0.1:1/none")
    assert "s3cret" not in str(raised.value) + str(raised.value.__cause__)


@pytest.mark.parametrize("kind", ["nfs4", "lustre", "gpfs", "fuse.ceph", "fuse.glusterfs"])
def test_a_network_share_raises_a_warning(tmp_path, monkeypatch, kind):
    share = tmp_path / "a b"
    written = str(share).replace(" ", r"\040")
    mounts = f"server:/x {written} {kind} rw 0 0\n/dev/sda / ext4 rw 0 0\n"
    real = Path.read_text

    def read_text(path: Path, *more, **named) -> str:
        return mounts if str(path) == "/proc/mounts" else real(path, *more, **named)

    monkeypatch.setattr(Path, "read_text", read_text)
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/proc/mounts" or exists(path))
    with pytest.warns(UserWarning, match=rf"network share \({kind}\)"):
        LabelLog(f"sqlite:///{share / 'labels.sqlite'}")


def test_importing_the_log_imports_no_heavy_package():
    code = (
        "import sys, vital_lib.labels, vital_lib.statistics;"
        "print([m for m in ('torch', 'transformers', 'scipy', 'sklearn') if m in sys.modules])"
    )
    here = Path(__file__).parents[1]
    result = subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def test_a_practice_log_is_its_own_and_leaves_nothing_behind(log):
    practice = practice_log()
    practice.record(**judged())
    assert len(practice.preferences()) == 1 and log.preferences().empty
    assert practice_log().preferences().empty and practice.identity != log.identity
    place = Path(practice.database._path).parent
    assert place.is_dir()
    del practice
    gc.collect()
    assert not place.exists()

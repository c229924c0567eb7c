"""Label log under faults: acknowledged labels are kept exactly once, and failures are reported.

The tests use real processes, disks, permissions and servers.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from label_rows import judged

from vital_lib.labels import LabelLog, LabelsNotSaved, Queue
from vital_lib.tables import UnsupportedFormat

pytest_plugins = "postgres"

ROOT = Path(__file__).parents[1]
NOBODY = 65534


def start(code: str, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def opened(path: Path) -> LabelLog:
    return LabelLog(f"sqlite:///{path}")


# A process that has imported everything forks a writer and kills it at a random moment, during
# opening, during writing or between. Each new writer first resends the label whose acknowledgement
# its predecessor did not record.
KILLED = """
    import os, random, signal, sys, time
    import psycopg
    from vital_lib.labels import LabelLog
    url, acknowledged, kills = sys.argv[1], sys.argv[2], int(sys.argv[3])
    longest = 0.4 if url.startswith("postgresql") else 0.2  # seconds; opening takes longer there
    random.seed(0)

    def write():
        log = LabelLog(url)
        notes = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        with open(acknowledged) as file:
            number = len(file.readlines())
        while True:
            log.record(event_id=f"e{number}", item_id=f"i{number}", left_id="a", right_id="b",
                       left_accepted=True, right_accepted=False, annotator="ann")
            os.write(notes, f"e{number}\\n".encode())
            number += 1

    for kill in range(kills):
        child = os.fork()
        if not child:
            write()
        time.sleep(random.uniform(0.0, longest))
        os.kill(child, 9)
        if os.waitpid(child, 0)[1] != 9:
            sys.exit("the writer ended by itself")
    print("killed", kills)
"""


@pytest.mark.slow
def test_each_acknowledged_label_is_kept_once_when_its_writer_is_killed_100_times(url, tmp_path):
    notes = tmp_path / "acknowledged"
    output, _ = start(KILLED, url, str(notes), "100").communicate()
    assert output == "killed 100\n"
    acknowledged = notes.read_text().split()
    log = LabelLog(url)
    kept = Counter(log.history()["event_id"])
    log.close()
    assert len(acknowledged) > 200 and set(kept.values()) == {1}
    assert set(acknowledged) <= set(kept)
    # Only the last writer's acknowledgement may be missing: every other label was resent.
    assert len(set(kept) - set(acknowledged)) <= 1
    print(f"{len(acknowledged)} acknowledged, {len(kept)} kept")


MANY = """
    import sys
    from vital_lib.labels import LabelLog
    log, who = LabelLog(sys.argv[1]), sys.argv[2]
    for n in range(500):
        print(log.record(item_id=f"i{n}", left_id="a", right_id="b", left_accepted=True,
                         right_accepted=False, annotator=who))
"""


@pytest.mark.slow
def test_8_processes_with_500_labels_each_lose_or_duplicate_none(url):
    processes = [start(MANY, url, f"p{n}") for n in range(8)]
    outputs = [process.communicate()[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * 8
    log = LabelLog(url)
    kept = Counter(log.history()["event_id"])
    assert kept == Counter(sum(outputs, [])) and set(kept.values()) == {1}
    assert len(kept) == len(log.preferences()) == 4_000
    log.close()


TAKER = """
    import sys
    import pandas as pd
    from vital_lib.labels import LabelLog, Queue
    log, who = LabelLog(sys.argv[1]), sys.argv[2]
    drafts = pd.DataFrame([{"figure_id": f"F{n}", "instruction_id": f"F{n}-r1",
        "candidate_id": f"F{n}-r1-{side}"} for n in range(150) for side in "ab"])
    queue = Queue(log, drafts, who, wanted=2, strategy="random", repeats=0.1)
    while rows := queue.take(3):
        for row in rows:
            row.pop("figure_id")
            log.record(**row, left_accepted=True, right_accepted=False, annotator=who)
            if not row["repeat_of"]:
                print(row["item_id"])
"""


@pytest.mark.slow
def test_8_processes_complete_every_item_with_exactly_two_annotators(url):
    processes = [start(TAKER, url, f"p{n}") for n in range(8)]
    handed = sum((process.communicate()[0].split() for process in processes), [])
    assert [process.returncode for process in processes] == [0] * 8
    assert set(Counter(handed).values()) == {2} and len(handed) == 300
    log = LabelLog(url)
    votes = log.preferences()
    log.close()
    assert votes.groupby("item_id")["annotator"].nunique().eq(2).all() and len(votes) == 300


def fill(log: LabelLog) -> list[str]:
    """Record labels until a save fails; return the acknowledged event_ids."""
    acknowledged = []
    with pytest.raises(
        LabelsNotSaved, match="cannot be reached or written at the moment.*full.*space"
    ):
        for n in range(100_000):
            log.record(**judged(f"i{n}", note="x" * 500, event_id=f"e{n}"))
            acknowledged.append(f"e{n}")
    return acknowledged


def test_a_full_disk_is_reported_and_the_same_event_is_saved_once_there_is_space(small_disk):
    (small_disk / "other").write_bytes(bytes(400_000))
    log = opened(small_disk / "labels.sqlite")
    acknowledged = fill(log)
    assert acknowledged and list(log.history()["event_id"]) == acknowledged
    (small_disk / "other").unlink()
    n = len(acknowledged)
    for _ in range(2):
        assert log.record(**judged(f"i{n}", event_id=f"e{n}")) == f"e{n}"
    assert list(log.history()["event_id"]) == [*acknowledged, f"e{n}"]
    log.close()


def test_a_full_database_is_reported_and_keeps_acknowledged_labels(tmp_path):
    log = opened(tmp_path / "labels.sqlite")
    with log.database.reading() as connection:  # the pool reuses this connection
        connection.exec_driver_sql("PRAGMA max_page_count = 60")
    acknowledged = fill(log)
    assert acknowledged and list(log.history()["event_id"]) == acknowledged
    with log.database.reading() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 600")
    log.record(**judged("after", event_id=f"e{len(acknowledged)}"))
    assert len(log.history()) == len(acknowledged) + 1
    log.close()


@contextmanager
def without_privileges():
    """Run as a user without root's privileges, which bypass file permissions."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def shared_folder():
    """A folder that any user may enter; pytest's temporary folder is closed to other users."""
    with tempfile.TemporaryDirectory(prefix="vital-labels-") as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


def test_a_read_only_folder_is_reported_and_the_log_opens_once_it_is_writable(shared_folder):
    folder = shared_folder / "run"
    with without_privileges():
        log = opened(folder / "labels.sqlite")
        log.record(**judged("i1"))
        log.close()
        (folder / "labels.sqlite").chmod(0o444)
        folder.chmod(0o555)
        for path in (folder / "labels.sqlite", folder / "new.sqlite", folder / "in" / "new.sqlite"):
            with pytest.raises(LabelsNotSaved, match="its folder is writable"):
                opened(path).record(**judged("i2", event_id="e2"))
        with pytest.raises(LabelsNotSaved, match="its folder is writable"):
            log.record(**judged("i2", event_id="e2"))  # opens a new connection
        folder.chmod(0o755)
        (folder / "labels.sqlite").chmod(0o644)
        log.record(**judged("i2", event_id="e2"))
        assert list(log.history()["item_id"]) == ["i1", "i2"]
        log.close()


def test_a_locked_log_is_reported_and_saves_once_it_is_unlocked(tmp_path, monkeypatch):
    log = opened(tmp_path / "labels.sqlite")
    other = sa.create_engine(f"sqlite:///{tmp_path / 'labels.sqlite'}")
    with log.database.reading() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 50")  # milliseconds, not a minute
    with other.connect() as holder:
        holder.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(LabelsNotSaved, match="locked"):
            log.record(**judged("i1", event_id="e1"))
        assert log.history().empty
        holder.rollback()
    log.record(**judged("i1", event_id="e1"))
    assert len(log.history()) == 1
    log.close()


def held_open(folder: Path) -> list[str]:
    """The files in `folder` that this process holds open; empty on systems without /proc."""
    files = Path("/proc/self/fd")
    targets = [os.path.realpath(link) for link in (files.iterdir() if files.exists() else ())]
    return [target for target in targets if target.startswith(str(folder))]


def test_a_missing_file_is_reported_until_it_is_back(tmp_path):
    folder, aside = tmp_path / "run", tmp_path / "aside"
    path = folder / "labels.sqlite"
    drafts = pd.DataFrame(
        [{"figure_id": "F", "instruction_id": "F-r1", "candidate_id": name} for name in "ab"]
    )
    log = opened(path)
    log.record(**judged("i1", event_id="e1"))
    queue = Queue(log, drafts, "ann")
    for taken, back in ((folder, aside), (path, path.with_name("other.sqlite"))):
        taken.rename(back)
        acts = (lambda: log.undo("ann"), log.history, queue.take, lambda: queue.progress)
        for act in (lambda: log.record(**judged("i2", event_id="e2")), *acts):
            with pytest.raises(
                LabelsNotSaved, match="was removed, renamed or replaced.*put it bac"
            ):
                act()
        assert not taken.exists()  # no empty log replaces it
        assert not held_open(tmp_path)
        back.rename(taken)
        assert log.record(**judged("i2", event_id="e2")) == "e2"
        assert list(log.history()["event_id"]) == ["e1", "e2"]
    log.close()
    assert list(opened(path).history()["event_id"]) == ["e1", "e2"]


def test_labels_are_not_written_into_a_replacement_of_their_file(tmp_path):
    log, other = opened(tmp_path / "labels.sqlite"), opened(tmp_path / "other.sqlite")
    log.record(**judged("i1"))
    other.record(**judged("i9"))
    other.close()
    (tmp_path / "other.sqlite").replace(tmp_path / "labels.sqlite")
    with pytest.raises(LabelsNotSaved, match="reopen the label log to continue with what is"):
        log.record(**judged("i2"))


def test_the_log_keeps_its_place_when_the_working_directory_changes(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    log = LabelLog("sqlite:///labels.sqlite")
    monkeypatch.chdir(tmp_path / "elsewhere")
    log.record(**judged("i1"))
    log.close()
    assert list(opened(tmp_path / "labels.sqlite").history()["item_id"]) == ["i1"]


def test_a_stopped_postgresql_is_reported_and_the_event_is_saved_after_its_restart(own_server):
    drafts = pd.DataFrame(
        [{"figure_id": "F", "instruction_id": "F-r1", "candidate_id": name} for name in "ab"]
    )
    url = own_server.new_database()
    log = LabelLog(url)
    log.record(**judged("i1", event_id="e1"))
    queue = Queue(log, drafts, "ann", wanted=1)
    own_server.stop()
    try:
        for _ in range(3):
            with pytest.raises(LabelsNotSaved, match="check that it is running"):
                log.record(**judged("i2", event_id="e2"))
            with pytest.raises(LabelsNotSaved):
                queue.take()
        for act in (log.history, log.preferences, lambda: log.undo("ann"), queue.release):
            with pytest.raises(LabelsNotSaved):
                act()
        with pytest.raises(LabelsNotSaved):
            LabelLog(url)
    finally:
        own_server.start()
    for _ in range(2):
        assert log.record(**judged("i2", event_id="e2")) == "e2"
    assert [row["item_id"] for row in queue.take()] == ["F-r1"]
    assert list(log.history()["event_id"]) == ["e1", "e2"]
    log.close()


def test_a_connection_terminated_by_the_server_is_reported(server):
    log = LabelLog(server.new_database())
    with pytest.raises(LabelsNotSaved), log.database.writing() as connection:
        connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
    log.record(**judged("i1"))
    assert len(log.history()) == 1
    log.close()


def contents(folder: Path) -> dict[str, bytes]:
    """The files that hold labels, without -shm: SQLite's index, which every reader creates."""
    files = [path for path in folder.iterdir() if path.suffix != ".sqlite-shm"]
    return {path.name: path.read_bytes() for path in files if path.stat().st_size}


def whole_log(path: Path) -> bytes:
    log = opened(path)
    log.record_many(judged(f"i{n}", note="x" * 100) for n in range(300))
    log.close()
    return path.read_bytes()


def execute(path: Path, *statements: str) -> None:
    """Run SQL on the database at `path`; create it if it is missing."""
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def expect_refused(path: Path, message: str) -> None:
    """Check that the log at `path` does not open and that its folder stays unchanged."""
    before = contents(path.parent)
    with pytest.raises(UnsupportedFormat, match=message):
        opened(path)
    assert contents(path.parent) == before


@pytest.mark.parametrize("kept", [50, 1_000, 4_096, 20_000, -4_096, -1])
def test_a_truncated_log_is_refused_and_unchanged(tmp_path, kept):
    path = tmp_path / "labels.sqlite"
    path.write_bytes(whole_log(path)[:kept])
    expect_refused(path, "truncated.*restore a copy")


def test_an_overwritten_page_is_found_on_opening(tmp_path):
    path = tmp_path / "labels.sqlite"
    whole = whole_log(path)
    path.write_bytes(whole[:24_000] + bytes(9_000) + whole[33_000:])
    expect_refused(path, "damaged")


def test_an_empty_file_next_to_a_wal_with_labels_is_refused(tmp_path):
    code = """
        import os, sys
        from vital_lib.labels import LabelLog
        log = LabelLog(sys.argv[1])
        log.record(item_id="i", left_id="a", right_id="b", left_accepted=True,
                   right_accepted=True, annotator="ann")
        os.kill(os.getpid(), 9)
    """
    path = tmp_path / "labels.sqlite"
    assert start(code, f"sqlite:///{path}").wait() == -signal.SIGKILL
    path.write_bytes(b"")
    assert "labels.sqlite-wal" in contents(tmp_path)
    expect_refused(path, "it is empty, but labels.sqlite-wal holds labels")


@pytest.mark.parametrize("text", [b"item,left,right\n", b"\x00" * 5_000, b"{}"])
def test_a_file_that_is_not_a_database_is_refused_and_unchanged(tmp_path, text):
    path = tmp_path / "labels.sqlite"
    path.write_bytes(text)
    with pytest.raises(UnsupportedFormat, match="is not a label log.*Give another path"):
        opened(path)
    assert contents(tmp_path) == {"labels.sqlite": text}


def test_a_database_of_something_else_is_refused_and_unchanged(tmp_path):
    path = tmp_path / "ledger.sqlite"
    execute(path, "CREATE TABLE replies (text)")
    expect_refused(path, "holds something other than labels: give the log another")


def test_a_log_of_a_newer_format_is_refused_and_unchanged(tmp_path):
    path = tmp_path / "labels.sqlite"
    whole_log(path)
    execute(path, "UPDATE label_format SET version = 99", "DROP TABLE label_leases")
    expect_refused(path, "format version 99, this release reads 3: open it with")

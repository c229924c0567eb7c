"""Label logs and ledgers of older releases: refused with the way out, and converted without loss.

The folder `older_logs` holds small logs as SQL, each written by the release whose commit names it,
and what that release said of them, as JSON.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from vital_lib.client import Ledger
from vital_lib.labels import KINDS, LabelLog
from vital_lib.labels.__main__ import main
from vital_lib.labels.events import with_kind
from vital_lib.labels.exchange import import_jsonl
from vital_lib.tables import UnsupportedFormat

pytest_plugins = "postgres"

OLDER = Path(__file__).with_name("older_logs")
COMMITS = ["0ff7728", "2581d9c"]


def said_by(commit: str) -> dict:
    return json.loads((OLDER / f"{commit}.json").read_text(encoding="utf-8"))


def log_of(name: str, path: Path) -> Path:
    with closing(sqlite3.connect(path)) as file:
        file.executescript((OLDER / f"{name}.sql").read_text(encoding="utf-8"))
        file.execute("PRAGMA journal_mode=WAL")
    return path


def on_postgresql(url: str) -> None:
    """Write the log of the first commit to a PostgreSQL database, as that commit lays it out."""
    said = said_by(COMMITS[0])
    LabelLog(url).close()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in (
            "ALTER TABLE label_events DROP COLUMN kind",
            "ALTER TABLE label_events RENAME COLUMN drawn_by TO queue_arm",
            "ALTER TABLE label_leases RENAME TO label_claims",
            f"UPDATE label_format SET version = 1, identity = '{said['identity']}'",
        ):
            connection.exec_driver_sql(statement)
        table = sa.Table("label_events", sa.MetaData(), autoload_with=connection)
        rows = [{**row, "queue_arm": row["drawn_by"]} for row in said["history"]]
        names = {column.name for column in table.columns}
        connection.execute(
            sa.insert(table), [{name: row[name] for name in names & row.keys()} for row in rows]
        )
    engine.dispose()


def plain(frame: pd.DataFrame) -> list[dict]:
    frame = frame.astype(object)
    return frame.where(frame.notna(), None).to_dict("records")


def check_converted(url: str, commit: str) -> None:
    log, said = LabelLog(url), said_by(commit)
    history = log.history()
    assert plain(history.drop(columns="kind")) == said["history"]
    assert set(history["kind"]) == set(KINDS) - {"comparison"}  # there was no arena
    assert history["kind"].value_counts()["undo"] == 2
    assert plain(log.preferences()) == said["preferences"]
    assert plain(log.calibrations()) == said["calibrations"]
    assert plain(log.adjudications()) == said["adjudications"]
    for annotator, standing in said["standing"].items():
        assert list(log.standing(annotator)["event_id"]) == standing
    assert log.identity == said["identity"]
    assert log.undo("ann") == said["standing"]["ann"][-1]
    log.close()


@pytest.mark.parametrize("commit", COMMITS)
def test_an_older_log_is_refused_and_the_command_named_converts_it(commit, tmp_path, capsys):
    old, new = log_of(commit, tmp_path / "old.sqlite"), tmp_path / "new.sqlite"
    before = old.read_bytes()
    with pytest.raises(UnsupportedFormat, match="has format version ., this release") as refused:
        LabelLog(f"sqlite:///{old}")
    command = f"python -m vital_lib.labels convert {old} NEW"
    assert command in str(refused.value)
    assert main(["convert", str(old), str(new)]) == 0
    assert f"18 events copied. {old} is unchanged." in capsys.readouterr().out
    assert old.read_bytes() == before
    check_converted(f"sqlite:///{new}", commit)


def test_an_older_log_in_postgresql_is_converted(server, tmp_path):
    old = server.new_database()
    on_postgresql(old)
    with pytest.raises(UnsupportedFormat, match="vital_lib.labels convert postgresql"):
        LabelLog(old)
    for new in (server.new_database(), f"sqlite:///{tmp_path / 'new.sqlite'}"):
        assert main(["convert", old, new]) == 0
        check_converted(new, COMMITS[0])


def test_a_log_is_not_converted_into_one_with_events(tmp_path, capsys):
    old, new = log_of(COMMITS[0], tmp_path / "old.sqlite"), tmp_path / "new.sqlite"
    assert main(["convert", str(old), str(new)]) == 0
    assert main(["convert", str(old), str(new)]) == 2
    assert "new.sqlite holds 18 events: give a new log" in capsys.readouterr().err
    check_converted(f"sqlite:///{new}", COMMITS[0])


@pytest.mark.parametrize("given", ["missing", "empty", "new", "other", "damaged"])
def test_what_is_no_older_log_is_refused_and_nothing_is_written(given, tmp_path, capsys):
    old, new = tmp_path / "old.sqlite", tmp_path / "new.sqlite"
    if given == "empty":
        old.touch()
    if given == "new":
        LabelLog(f"sqlite:///{old}").close()
    if given == "other":
        with closing(sqlite3.connect(old)) as file:
            file.execute("CREATE TABLE notes (text)")
    if given == "damaged":
        old.write_bytes(log_of(COMMITS[0], tmp_path / "whole.sqlite").read_bytes()[:-5_000])
    assert main(["convert", str(old), str(new)]) == 2
    assert f"cannot convert {old}: " in capsys.readouterr().err
    assert not new.exists()


@pytest.mark.parametrize("version", [1, 2])
def test_exports_of_older_versions_are_imported_with_their_kinds(version, tmp_path):
    said = said_by(COMMITS[0])
    name = "queue_arm" if version == 1 else "drawn_by"
    rows = [
        {name if key == "drawn_by" else key: value for key, value in row.items()}
        for row in said["history"]
    ]
    header = {"format": "vital label events", "version": version, "events": len(rows)}
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [header, *rows]))
    log = LabelLog(f"sqlite:///{tmp_path / 'labels.sqlite'}")
    assert import_jsonl(path, log).stored == len(rows) == 18
    assert plain(log.preferences()) == said["preferences"]
    assert log.history()["kind"].tolist() == [with_kind(row)["kind"] for row in rows]
    log.close()


def test_an_older_ledger_opens_as_it_is(tmp_path):
    said = said_by("ledger_0ff7728")
    ledger = Ledger(log_of("ledger_0ff7728", tmp_path / "ledger.sqlite"))
    history = ledger.history()
    assert history["receipts"].isna().all()  # none were kept
    assert plain(history.drop(columns="receipts")) == said["history"] and len(history) == 4
    for reply_id, trace in said["traces"].items():
        assert json.loads(json.dumps(ledger.trace(reply_id))) == trace | {"receipts": None}
    key = said["history"][0]["key"]
    assert ledger.find(key).text == said["history"][0]["text"]

"""Export and import of labels as JSON lines, and by both ways: no loss, no duplicates."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from exchange_rows import DRAFTS, FIGURES, HOSTILE, choices, judge

from vital_lib.labels import LabelLog
from vital_lib.labels.exchange import export_jsonl, import_jsonl
from vital_lib.labels.label_studio import export_label_studio
from vital_lib.labels.label_studio_import import import_label_studio
from vital_lib.tables import UnsupportedFormat

pytest_plugins = ["postgres", "exchange_rows"]

ARMS = ("random", "cluster", "uncertainty", "calibration", "adjudication")


def random_history(log: LabelLog, seed: int, acts: int = 150) -> pd.DataFrame:
    """Judgements, skips, repeats, revisions and undos by three people, with hostile texts."""
    rng = np.random.default_rng(seed)
    people = ("ann", "ben@clinic.example", HOSTILE[0])
    for _ in range(acts):
        who, n = people[rng.integers(3)], int(rng.integers(8))
        mine = log.standing(who)
        act = rng.random()
        about = {"item_id": f"i{n}", "drawn_by": ARMS[rng.integers(5)]}
        if act < 0.15:
            log.undo(who)
            continue
        if act < 0.5 and len(mine):
            other = mine.iloc[int(rng.integers(len(mine)))]
            about = {name: other[name] for name in ("item_id", "drawn_by", "repeat_of")}
            about["repeat_of"] = None if pd.isna(about["repeat_of"]) else about["repeat_of"]
            name = "corrects" if act < 0.3 else "repeat_of"
            about[name] = other["event_id"]
        left, right = ("a", "b") if rng.random() < 0.5 else ("b", "a")
        skip = bool(rng.random() < 0.15)
        ticks = [None if skip else bool(rng.random() < 0.5) for _ in range(2)]
        log.record(
            **about,
            **{"left_id": f"{about['item_id']}-{left}", "right_id": f"{about['item_id']}-{right}"},
            **{"left_accepted": ticks[0], "right_accepted": ticks[1], "cannot_judge": skip},
            unsafe=bool(rng.random() < 0.2),
            reasons=[str(text) for text in rng.choice(HOSTILE, int(rng.integers(3)))],
            note=str(rng.choice(["", *HOSTILE])),
            seconds=None if rng.random() < 0.2 else float(rng.exponential(8)),
            annotator=who,
        )
    return log.history()


def send(way: str, events: pd.DataFrame, path) -> None:
    if way == "jsonl":
        export_jsonl(events, path)
    else:
        export_label_studio(events, DRAFTS, FIGURES, path)


def receive(way: str, path, log: LabelLog):
    return (import_jsonl if way == "jsonl" else import_label_studio)(path, log)


WAYS = pytest.mark.parametrize("way", ["jsonl", "label studio"])


@WAYS
@pytest.mark.parametrize("seed", range(3))
def test_export_and_import_preserve_a_random_history(way, seed, open_log, tmp_path):
    events = random_history(open_log("from"), seed)
    assert events["corrects"].notna().sum() > 20 and events["repeat_of"].notna().sum() > 10
    send(way, events, tmp_path / "labels.json")
    into = open_log("to")
    found = receive(way, tmp_path / "labels.json", into)
    pd.testing.assert_frame_equal(into.history(), events)
    assert (found.read, found.total, found.stored) == (len(events),) * 3
    assert found.rejected.empty


@WAYS
def test_importing_a_file_twice_stores_its_events_once(way, open_log, tmp_path):
    log = open_log()
    events = random_history(log, 7)
    send(way, events, tmp_path / "labels.json")
    for name in ("labels", "to", "to"):
        into = open_log(name)
        receive(way, tmp_path / "labels.json", into)
        pd.testing.assert_frame_equal(into.history(), events)
    assert receive(way, tmp_path / "labels.json", log).stored == 0


@WAYS
def test_an_empty_log_can_be_exported_and_imported(way, open_log, tmp_path):
    send(way, open_log("from").history(), tmp_path / "labels.json")
    assert str(receive(way, tmp_path / "labels.json", open_log("to"))) == (
        "0 of 0 events read, 0 of them new"
    )


def test_a_jsonl_file_states_its_format_and_has_every_column(open_log, tmp_path):
    log, path = open_log(), tmp_path / "labels.jsonl"
    judge(log)
    assert export_jsonl(log.history(), path) == 1
    header, event = map(json.loads, path.read_text().splitlines())
    assert header == {"format": "vital label events", "version": 3, "events": 1}
    assert list(event) == list(log.history().columns)


@pytest.mark.parametrize(
    "first", ["", "not JSON", "[]", '{"format": "vital label events", "version": 99}', "\ufeff{}"]
)
def test_a_jsonl_file_of_another_format_or_version_is_refused(first, open_log, tmp_path):
    (tmp_path / "labels.jsonl").write_text(first + "\n{}\n")
    with pytest.raises(UnsupportedFormat, match="give a file written by export_jsonl"):
        import_jsonl(tmp_path / "labels.jsonl", open_log())


WRONG = {
    "not JSON": "{",
    "expected an event, received '3'": "3",
    "item_id is missing": {"item_id": ...},
    "item_id must be a non-empty string": {"item_id": " "},
    "ticks [1, False]: each response needs": {"left_accepted": 1},
    "cannot_judge must be of type bool, not 'no'": {"cannot_judge": "no"},
    "each response needs True or False": {"left_accepted": None},
    "reasons 'depth': give a list of strings": {"reasons": "depth"},
    "reasons [1]: give a list of strings": {"reasons": [1]},
    "note is missing": {"note": None},
    "seconds must be of type int or float, not True": {"seconds": True},
    "seconds -1": {"seconds": -(10**10)},
    "seconds 1000": {"seconds": 10**400},
    "drawn_by 'best': give one of": {"drawn_by": "best"},
    "corrects 'nothing' is not the event_id": {"corrects": "nothing", "kind": "revision"},
    "kind 'label': by its columns the event is a revision": {"corrects": "nothing"},
    "of an undo: give None, and the event_id it corrects": {"kind": "undo"},
    "left_id and right_id are both": {"right_id": "i1-a"},
    "Invalid isoformat string: 'today'": {"at": "today"},
    "has no time zone": {"at": "2026-01-01T00:00:00"},
    "surrogates not allowed": {"note": "\ud800"},
    "is already used for another judgement": {"event_id": "first"},
}


@pytest.mark.parametrize("reason", WRONG)
def test_an_unreadable_line_is_reported_and_the_others_are_imported(reason, open_log, tmp_path):
    log, path = open_log("from"), tmp_path / "labels.jsonl"
    for n in range(3):
        judge(log, n, event_id="first" if n == 0 else None)
    export_jsonl(log.history(), path)
    lines = path.read_text().splitlines()
    wrong = WRONG[reason]
    if isinstance(wrong, dict):
        event = {**json.loads(lines[2]), **wrong}
        wrong = json.dumps({name: value for name, value in event.items() if value is not ...})
    path.write_text("\n".join([*lines[:2], wrong, lines[3], ""]))
    into = open_log("to")
    found = import_jsonl(path, into)
    assert [found.read, found.total, found.stored] == [2, 3, 2]
    assert found.rejected["place"].tolist() == ["line 3"]
    assert reason in found.rejected["reason"][0] and "1 rejected, first line 3" in str(found)
    assert set(choices(into)) == {("i0", "ann"), ("i2", "ann")}


def test_an_event_the_database_cannot_store_is_reported_and_the_others_are_imported(
    open_log, server, tmp_path
):
    log, path = open_log("from"), tmp_path / "labels.jsonl"
    for n, note in enumerate(HOSTILE[:6]):
        judge(log, n, note=note)
    export_jsonl(log.history(), path)
    into = LabelLog(server.new_database())
    found = import_jsonl(path, into)
    assert found.rejected["place"].tolist() == ["line 5"]
    assert "NUL" in found.rejected["reason"][0]
    kept = log.history().drop(index=3).reset_index(drop=True)
    pd.testing.assert_frame_equal(into.history(), kept)
    into.close()


def test_a_truncated_file_reports_the_number_of_missing_events(open_log, tmp_path):
    log, path = open_log("from"), tmp_path / "labels.jsonl"
    for n in range(5):
        judge(log, n)
    export_jsonl(log.history(), path)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[:3], lines[3][:40]]))
    found = import_jsonl(path, open_log("to"))
    assert (found.read, found.total) == (2, 5)
    assert found.rejected["place"].tolist() == ["line 4", "end of file"]
    assert found.rejected["reason"][1] == "2 events are missing"


def test_an_event_that_refers_to_an_unreadable_line_is_also_rejected(open_log, tmp_path):
    log, path = open_log("from"), tmp_path / "labels.jsonl"
    judge(log, event_id="e1")
    judge(log, event_id="e2", corrects="e1")
    judge(log, 1)
    export_jsonl(log.history(), path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "{}", *lines[2:]]))
    found = import_jsonl(path, open_log("to"))
    assert found.read == 1
    assert found.rejected["place"].tolist() == ["line 2", "line 3"]


@pytest.mark.parametrize("read", [import_jsonl, import_label_studio])
def test_an_empty_labels_file_is_refused(read, open_log, tmp_path):
    (tmp_path / "labels.json").write_bytes(b"")
    with pytest.raises((UnsupportedFormat, ValueError), match=r"labels\.json is empty"):
        read(tmp_path / "labels.json", open_log())

"""Export and import of labels, as JSON lines and for Label Studio, without loss or duplicates."""

from __future__ import annotations

import ast
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vital_lib.labels import LabelLog
from vital_lib.labels.exchange import export_jsonl, import_jsonl
from vital_lib.labels.label_studio import export_label_studio, label_studio_config
from vital_lib.labels.label_studio_import import import_label_studio
from vital_lib.labels.names import LabelStudioUsers, check_names
from vital_lib.tables import UnsupportedFormat

pytest_plugins = "postgres"

HOSTILE = [
    "<script>alert(1)</script>",
    '"quoted", & <img src=x onerror="alert(1)">',
    "lines\nand\r\nmore\u2028and\u0085more\ttab",
    "nul\x00 and \x07 bell",
    "\u202eright to left\u202c مرحبا",
    "{{ template }} $left %s \\ ' -- ;",
    "😀 e\u0301 ﬁ",
    " spaces ",
    "x" * 20_000,
]
ARMS = ("random", "cluster", "uncertainty", "calibration", "adjudication")
DRAFTS = pd.DataFrame(
    [
        {
            **{"figure_id": f"F{n}", "instruction_id": f"i{n}", "candidate_id": f"i{n}-{side}"},
            **{"instruction": f"where? {HOSTILE[n]}", "response": f"{side} {HOSTILE[n]}"},
        }
        for n in range(8)
        for side in "ab"
    ]
)
FIGURES = pd.DataFrame(
    {
        "figure_id": [f"F{n}" for n in range(8)],
        "image": [f"images/F{n}.png" for n in range(8)],
        "caption": HOSTILE[:8],
        "mentions": [[text, "plain"] for text in HOSTILE[:8]],
    }
)


@pytest.fixture
def open_log(tmp_path):
    logs = []

    def opened(name: str = "labels") -> LabelLog:
        logs.append(LabelLog(f"sqlite:///{tmp_path / name}.sqlite"))
        return logs[-1]

    yield opened
    for log in logs:
        log.close()


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


def judge(log: LabelLog, n: int = 0, ticks: tuple = (True, False), who: str = "ann", **more) -> str:
    return log.record(
        **{"item_id": f"i{n}", "left_id": f"i{n}-a", "right_id": f"i{n}-b", "annotator": who},
        **{"left_accepted": ticks[0], "right_accepted": ticks[1], "cannot_judge": ticks[0] is None},
        **more,
    )


def choices(log: LabelLog) -> dict:
    rows = log.preferences()
    return dict(
        zip(zip(rows["item_id"], rows["annotator"], strict=True), rows["choice"], strict=True)
    )


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


@pytest.fixture
def exported(open_log, tmp_path):
    """A log of a few judgements, its export file for Label Studio, and the tasks in the file."""
    log = open_log("from")
    judge(log, 0, (True, False), event_id="e0", seconds=4.5, reasons=["depth"], note="right <b>")
    judge(log, 0, (True, True), who="ben@clinic.example")
    judge(log, 1, (None, None), unsafe=True)
    judge(log, 2, (False, False), event_id="e3")
    judge(log, 2, (False, True), event_id="e4", repeat_of="e3")
    judge(log, 3, (True, True))
    log.undo("ann")
    path = tmp_path / "tasks.json"
    export_label_studio(
        log.history(), DRAFTS, FIGURES, path, lambda image: f"/data/local-files/?d={image}"
    )
    return log, path, json.loads(path.read_text())


MEMBERS = {1: "admin@clinic.example", 2: "ben@clinic.example", 4: "eve@clinic.example"}


def through_label_studio(tasks: list[dict]) -> list[dict]:
    """The tasks as Label Studio 1.23 exports them after an import."""
    numbers = {address: number for number, address in MEMBERS.items()}
    time = "2026-02-01T08:00:00.000000Z"
    back = []
    for n, task in enumerate(tasks):
        annotations = [
            {
                **{"id": 7001 + 10 * n + k, "import_id": one.get("id"), "task": 501 + n},
                "completed_by": numbers[one.get("completed_by", {}).get("email", MEMBERS[1])],
                **{name: one[name] for name in ("result", "was_cancelled", "ground_truth")},
                **{"lead_time": one["lead_time"], "created_at": time, "updated_at": time},
                **{"draft_created_at": None, "prediction": {}, "result_count": 0, "project": 3},
                **{"unique_id": f"u{n}-{k}", "updated_by": None, "last_action": None},
            }
            for k, one in enumerate(task["annotations"])
        ]
        back.append(
            {
                **{"id": 501 + n, "data": task["data"], "meta": task["meta"]},
                **{"annotations": annotations, "predictions": [], "drafts": [], "project": 3},
                **{"file_upload": "ab12-tasks.json", "inner_id": n + 1, "comment_count": 0},
            }
        )
    return back


def test_tasks_match_the_label_studio_configuration(exported):
    log, path, tasks = exported
    config = ET.parse(path.with_suffix(".xml"))
    objects = {
        tag.get("name"): tag.get("value")
        for tag in config.iter()
        if tag.get("value", "").startswith("$")
    }
    controls = {
        tag.get("name"): [choice.get("value") for choice in tag]
        for tag in config.iter()
        if tag.tag in ("Choices", "Pairwise", "TextArea")
    }
    assert {tag.get("toName") for tag in config.iter("Pairwise")} == {"left,right"}
    assert len(tasks) == 4 and sum(len(task["annotations"]) for task in tasks) == 5
    parts = [part for task in tasks for one in task["annotations"] for part in one["result"]]
    assert any(part["value"].get("choices") for part in parts)
    for task in tasks:
        assert all(isinstance(task["data"][value[1:]], str) for value in objects.values())
        assert isinstance(task["meta"], dict)
        for annotation in task["annotations"]:
            assert isinstance(annotation["id"], int) and annotation["ground_truth"] is False
            for part in annotation["result"]:
                assert part["from_name"] in controls
                assert part["to_name"] in {*objects, "pairwise"}
                chosen = part["value"].get("choices", [])
                assert set(chosen) <= set(controls[part["from_name"]])
    assert "\\u0000" not in json.dumps([task["data"] for task in tasks])


def test_an_annotation_has_the_judgements_content(exported):
    _, _, tasks = exported
    assert [len(task["annotations"]) for task in tasks] == [2, 1, 2, 0]  # no undone judgement
    first, second = tasks[0]["annotations"]
    values = {part["from_name"]: part["value"] for part in first["result"]}
    assert values == {
        "pairwise": {"selected": "left"},
        "left_tick": {"choices": ["accepted"]},
        "right_tick": {"choices": ["rejected"]},
        "reasons": {"choices": ["depth"]},
        "note": {"text": ["right <b>"]},
    }
    assert first["lead_time"] == 4.5 and "completed_by" not in first
    assert second["completed_by"] == {"email": "ben@clinic.example"}
    assert "pairwise" not in {part["type"] for part in second["result"]}
    skipped = tasks[1]["annotations"][0]
    assert skipped["was_cancelled"] and skipped["result"][0]["value"] == {"choices": ["unsafe"]}
    assert tasks[0]["data"]["image"] == "/data/local-files/?d=images/F0.png"


def test_unedited_tasks_import_as_the_same_history(exported, open_log):
    log, path, tasks = exported
    path.write_text(json.dumps(through_label_studio(tasks)))
    into = open_log("to")
    found = import_label_studio(path, into)
    pd.testing.assert_frame_equal(into.history(), log.history())
    assert found.rejected.empty
    assert import_label_studio(path, log).stored == 0


def test_an_edited_annotation_corrects_its_judgement(exported, open_log):
    log, path, tasks = exported
    back = through_label_studio(tasks)
    for part in back[0]["annotations"][0]["result"]:
        if part["from_name"] == "right_tick":
            part["value"] = {"choices": ["accepted"]}  # its pairwise choice still says left
    path.write_text(json.dumps(back))
    for _ in range(2):
        import_label_studio(path, log)
    event = log.history().iloc[-1]
    assert len(log.history()) == 8
    assert (event["corrects"], event["annotator"], event["note"]) == ("e0", "ann", "right <b>")
    assert event["at"].startswith("2026-02-01T08:00:00")
    assert choices(log)["i0", "ann"] == "both"


def test_an_edited_repeat_stays_a_repeat(exported):
    log, path, tasks = exported
    back = through_label_studio(tasks)
    for part in back[2]["annotations"][1]["result"]:
        if part["from_name"] == "left_tick":
            part["value"] = {"choices": ["accepted"]}
    path.write_text(json.dumps(back))
    assert import_label_studio(path, log).stored == 1
    event = log.history().iloc[-1]
    assert (event["corrects"], event["repeat_of"]) == ("e4", "e3")
    assert choices(log)["i2", "ann"] == "neither"


def test_events_of_tasks_omitted_by_label_studio_are_imported(exported, open_log):
    log, path, tasks = exported
    judge(log, 4, (True, False), event_id="e8")
    sides = {"item_id": "i4", "left_id": "i4-b", "right_id": "i4-a"}
    log.record(**sides, annotator="ann", left_accepted=True, right_accepted=True, corrects="e8")
    export_label_studio(log.history(), DRAFTS, FIGURES, path)
    back = through_label_studio(json.loads(path.read_text()))
    kept = [
        task for task in back if task["annotations"]
    ]  # Label Studio's export omits tasks without annotations
    assert len(back) - len(kept) == 2  # the undone judgement and the former order of the sides
    path.write_text(json.dumps(kept))
    into = open_log("to")
    assert import_label_studio(path, into).rejected.empty
    pd.testing.assert_frame_equal(into.history(), log.history())


def ticks_of_part(annotation: dict, left: str, right: str) -> None:
    """Replace the ticks of an annotation, as by mouse; its pairwise choice stays."""
    others = [part for part in annotation["result"] if "_tick" not in part["from_name"]]
    annotation["result"] = [*others, *ticked(left, right)]


@pytest.mark.parametrize("made_here", [True, False])
def test_a_second_edit_of_an_annotation_needs_another_export(exported, made_here):
    log, path, tasks = exported
    back = through_label_studio(tasks)
    if not made_here:
        back[0]["annotations"].append(made_there(ticked("accepted", "rejected")))
        path.write_text(json.dumps(back))
        assert import_label_studio(path, log).stored == 1
    annotation = back[0]["annotations"][0 if made_here else -1]
    who = "ann" if made_here else "eve@clinic.example"
    words = {"a": "accepted", "r": "rejected"}
    for left, right in ("rr", "aa", "ar"):  # the last is the first answer
        ticks_of_part(annotation, words[left], words[right])
        path.write_text(json.dumps(back))
        for _ in range(2):
            found = import_label_studio(path, log)
            reasons = found.rejected["reason"].tolist()
            assert [bool(reasons), len(reasons)] == (
                [False, 0] if left == right == "r" else [True, 1]
            )
            assert all("export the labels to Label Studio again" in reason for reason in reasons)
        assert choices(log)["i0", who] == "neither"
    export_label_studio(log.history(), DRAFTS, FIGURES, path)
    again = through_label_studio(json.loads(path.read_text()))
    edited = next(
        one
        for task in again
        for one in task["annotations"]
        if one["import_id"] == len(log.history())
    )
    edited["completed_by"] = {"email": who} if "@" in who else edited["completed_by"]
    ticks_of_part(edited, "accepted", "accepted")
    path.write_text(json.dumps(again))
    assert import_label_studio(path, log).rejected.empty
    assert choices(log)["i0", who] == "both"


def test_the_pairwise_choice_counts_only_if_it_alone_was_edited(exported, open_log):
    log, path, tasks = exported
    back = through_label_studio(tasks)
    chosen = {"type": "pairwise", "from_name": "pairwise", "value": {"selected": "right"}}
    for part in back[0]["annotations"][0]["result"]:
        if part["type"] == "pairwise":
            part["value"] = chosen["value"]
    result = [chosen, *ticked("accepted", "rejected")]
    back[1]["annotations"].append(made_there(result))
    path.write_text(json.dumps(back))
    found = import_label_studio(path, log)
    assert choices(log)["i0", "ann"] == "right"
    assert "the pairwise choice is right, but only the other" in found.rejected["reason"].item()


def test_an_edit_by_another_person_is_rejected_with_the_reason(exported):
    log, path, tasks = exported
    back = through_label_studio(tasks)
    annotation = back[0]["annotations"][1]
    assert annotation["completed_by"] == 2
    ticks_of_part(annotation, "rejected", "rejected")
    annotation["updated_by"] = 1
    path.write_text(json.dumps(back))
    found = import_label_studio(path, log, people=MEMBERS)
    reason = "edited by user 'admin@clinic.example', not by the annotator 'ben@clinic.example'"
    assert found.rejected["reason"].tolist() == [reason]
    annotation["updated_by"] = 2
    path.write_text(json.dumps(back))
    assert import_label_studio(path, log).stored == 1
    assert choices(log)["i0", "ben@clinic.example"] == "neither"


@pytest.mark.parametrize("undone", [True, False])
def test_an_edit_of_a_judgement_since_revised_or_undone_is_rejected(exported, undone):
    log, path, tasks = exported
    back = through_label_studio(tasks)
    if undone:
        log.undo("ben@clinic.example")
    else:
        (former,) = log.standing("ben@clinic.example")["event_id"]
        judge(log, 0, (False, True), who="ben@clinic.example", corrects=former)
    before = log.preferences()
    ticks_of_part(back[0]["annotations"][1], "rejected", "rejected")
    path.write_text(json.dumps(back))
    found = import_label_studio(path, log)
    assert (
        "revised or undone in the log since: the log's version is kept"
        in found.rejected["reason"].item()
    )
    pd.testing.assert_frame_equal(log.preferences(), before)


def test_each_task_of_a_json_min_export_is_rejected(open_log, tmp_path):
    task = {"item_id": "i0", "left_tick": "accepted", "id": 1, "annotator": 4}
    (tmp_path / "min.json").write_text(json.dumps([task, task]))
    found = import_label_studio(tmp_path / "min.json", open_log())
    assert len(found.rejected) == 2 and "JSON-MIN" in found.rejected["reason"][0]


def made_there(result: object, **more) -> dict:
    person = {"id": 4, "email": "eve@clinic.example", "first_name": "", "last_name": ""}
    return {
        **{"id": 9001, "import_id": None, "completed_by": person, "result": result},
        **{
            "was_cancelled": False,
            "lead_time": 12.25,
            "created_at": "2026-02-02T09:00:00Z",
            **more,
        },
    }


def ticked(left: str, right: str) -> list[dict]:
    return [
        {
            "from_name": f"{side}_tick",
            "to_name": side,
            "type": "choices",
            "value": {"choices": [tick]},
        }
        for side, tick in (("left", left), ("right", right))
    ]


def test_an_annotation_made_in_label_studio_is_a_new_judgement(exported, open_log):
    log, path, tasks = exported
    back = through_label_studio(tasks)
    region = {"type": "rectanglelabels", "value": {"x": 1}, "from_name": "box", "id": "r"}
    back[0]["annotations"].append(made_there([region, *ticked("rejected", "accepted")]))
    back[1]["annotations"].append(made_there([], id=9002, was_cancelled=True))
    path.write_text(json.dumps(back))
    for _ in range(2):
        found = import_label_studio(path, log, drawn_by="uncertainty")
    assert found.rejected.empty and len(log.history()) == 9
    mine = log.standing("eve@clinic.example")
    assert mine["drawn_by"].tolist() == ["uncertainty"] * 2
    assert mine["seconds"].tolist() == [12.25] * 2
    assert choices(log)["i0", "eve@clinic.example"] == "right"
    assert choices(log)["i1", "eve@clinic.example"] == "skip"


def test_tasks_without_meta_are_read_from_their_data(exported, open_log):
    _, path, tasks = exported
    back = through_label_studio(tasks)
    for task in back:
        task["meta"] = {}
    path.write_text(json.dumps(back))
    into = open_log("to")
    found = import_label_studio(path, into, people=MEMBERS)
    assert (found.read, found.total) == (5, 5)
    assert choices(into)["i0", "ben@clinic.example"] == "both"


def test_a_pairwise_choice_alone_accepts_one_response_and_rejects_the_other(open_log, tmp_path):
    pairwise = {
        "from_name": "pw",
        "to_name": "pw",
        "type": "pairwise",
        "value": {"selected": "right"},
    }
    data = {"item_id": "i0", "left_id": "i0-a", "right_id": "i0-b"}
    annotation = made_there([pairwise], completed_by=4)
    tasks = [{"id": 1, "data": data, "annotations": [annotation]}]
    (tmp_path / "tasks.json").write_text(json.dumps(tasks))
    log = open_log()
    found = import_label_studio(tmp_path / "tasks.json", log)
    assert "unknown user 4: give the annotator by people={4: ...}" in found.rejected["reason"][0]
    import_label_studio(tmp_path / "tasks.json", log, people={4: "eve"})
    assert choices(log) == {("i0", "eve"): "right"}


def test_unreadable_annotations_are_reported_and_the_others_are_imported(exported, open_log):
    log, path, tasks = exported
    back = through_label_studio(tasks)
    back[0]["annotations"] += [
        made_there(ticked("accepted", "perhaps")),
        made_there([{"type": "choices", "from_name": "left_tick"}]),
        made_there(ticked("accepted", "rejected"), completed_by=None),
        made_there("[]"),
        None,
    ]
    back[1]["meta"]["version"] = 99
    foreign = {
        "id": 1,
        "data": {"text": "?"},
        "annotations": [made_there(ticked("accepted", "rejected"))],
    }
    path.write_text(json.dumps([*back, 3, foreign, {"annotations": 3}]))
    into = open_log("to")
    found = import_label_studio(path, into)
    assert set(found.rejected["place"]) == {
        *("task 2", "task 5", "task 7", "task 6, annotation 1"),
        *(f"task 1, annotation {k}" for k in (3, 4, 5, 6, 7)),
    }
    assert (found.read, found.total, found.stored) == (6, 15, 6)
    assert any("neither accepted nor rejected" in reason for reason in found.rejected["reason"])


@pytest.mark.parametrize("text", ["", "{", '{"data": {}}'])
def test_a_file_without_a_list_of_tasks_is_refused(text, open_log, tmp_path):
    (tmp_path / "tasks.json").write_text(text)
    with pytest.raises(ValueError, match="not a JSON list of tasks"):
        import_label_studio(tmp_path / "tasks.json", open_log())


def test_the_configuration_offers_reasons_with_any_text():
    config = ET.fromstring(label_studio_config(HOSTILE[:7]))
    offered = [
        choice.get("value")
        for tag in config.iter("Choices")
        if tag.get("name") == "reasons"
        for choice in tag
    ]
    assert len(offered) == 7 and offered[0] == HOSTILE[0]
    assert "reasons" not in label_studio_config()


def corrupted(value, rng):
    """`value` with one random part replaced by an invalid value."""
    junk = [None, 0, -1.5, True, "", "x", [], {}, [None], {"a": []}, "\ud800", 1e400]
    inner = value if isinstance(value, list) else list(value) if isinstance(value, dict) else []
    if not inner or rng.random() < 0.2:
        return junk[rng.integers(len(junk))]
    if isinstance(value, list):
        place = int(rng.integers(len(value)))
        return [corrupted(one, rng) if n == place else one for n, one in enumerate(value)]
    key = inner[rng.integers(len(inner))]
    return {**value, key: corrupted(value[key], rng)}


def test_corrupted_tasks_are_reported_and_never_stop_an_import(exported, open_log):
    log, path, tasks = exported
    back = through_label_studio(tasks)
    back[0]["annotations"].append(made_there(ticked("accepted", "rejected")))
    rng = np.random.default_rng(0)
    into = open_log("to")
    for _ in range(150):
        task = corrupted(back[0], rng)
        path.write_text(json.dumps([task, *back[1:]]))
        found = import_label_studio(path, into)
        assert found.read + len(found.rejected) == found.total
        assert found.total >= len(log.history()) - len(json.loads(tasks[0]["meta"]["events"]))


# Names of Label Studio users


def users(*, known=("Ben@Clinic.example", "Ann"), people=None, seen=()) -> LabelStudioUsers:
    return LabelStudioUsers(people or {}, known, seen)


@pytest.mark.parametrize(
    ("user", "name"),
    [
        ({"id": 4, "email": "ben@clinic.example"}, "Ben@Clinic.example"),
        ("ben@clinic.example", "Ben@Clinic.example"),
        (7, "Ben@Clinic.example"),
        ("7", "Ben@Clinic.example"),
        ({"user_id": 7}, "Ben@Clinic.example"),
        ([{"user_id": 7}], "Ben@Clinic.example"),
        (2, "Ann"),
        ({"id": 2}, "Ann"),
        ("EVE@clinic.example", "Eve"),
        ({"id": 9}, None),
        ({}, None),
        (None, None),
        (True, None),
    ],
)
def test_a_user_is_found_by_number_record_or_address_in_any_case(user, name):
    """A record elsewhere in the file names user 7; `people` names user 2 and Eve."""
    found = users(
        people={"2": "Ann", "eve@Clinic.example": "Eve"},
        seen=[{"id": 7, "email": "ben@clinic.example"}],
    )
    assert found.name(user) == name


@pytest.mark.parametrize(
    "editor",
    [4, "4", {"id": 4}, [{"user_id": 4}], "BEN@clinic.example", {"email": "ben@clinic.example"}],
)
@pytest.mark.parametrize("maker", [4, {"id": 4, "email": "ben@clinic.example"}])
def test_an_editor_given_as_number_record_or_address_can_be_the_maker(
    tmp_path, open_log, editor, maker
):
    log, path = open_log(), tmp_path / "tasks.json"
    judge(log, 0, (True, False), who="Ben@Clinic.example")
    export_label_studio(log.history(), DRAFTS, FIGURES, path)
    back = through_label_studio(json.loads(path.read_text()))
    annotation = back[0]["annotations"][0]
    ticks_of_part(annotation, "accepted", "accepted")
    annotation |= {"completed_by": maker, "updated_by": editor}
    path.write_text(json.dumps(back))
    found = import_label_studio(path, log, people={4: "Ben@Clinic.example"})
    assert found.rejected.empty and choices(log) == {("i0", "Ben@Clinic.example"): "both"}


def test_an_address_returned_in_lower_case_is_the_same_person(exported, open_log):
    _, path, tasks = exported
    log = open_log("mixed case")
    judge(log, 0, who="Ben@Clinic.example")
    back = through_label_studio(tasks)
    person = {"id": 4, "email": "ben@clinic.example"}
    one = made_there(ticked("rejected", "accepted"), completed_by=person)
    back = [{**back[1], "meta": {}, "annotations": [one]}]
    path.write_text(json.dumps(back))
    assert import_label_studio(path, log).rejected.empty
    assert set(log.preferences()["annotator"]) == {"Ben@Clinic.example"}


def test_two_spellings_of_a_new_address_are_one_person(exported, open_log):
    _, path, tasks = exported
    result = ticked("rejected", "accepted")
    people = ("zoe@clinic.example", "ZOE@clinic.example")
    made = [made_there(result, id=n, completed_by=name) for n, name in enumerate(people, 9001)]
    back = through_label_studio(tasks)[:2]
    path.write_text(json.dumps([{**back[n], "meta": {}, "annotations": [made[n]]} for n in (0, 1)]))
    log = open_log("empty")
    import_label_studio(path, log)
    assert set(log.history()["annotator"]) == {people[0]}


def test_a_new_annotation_edited_by_another_person_is_rejected(exported, open_log):
    _, path, tasks = exported
    other = {"id": 5, "email": "zoe@clinic.example"}
    one = made_there(ticked("rejected", "accepted"), updated_by=other)
    path.write_text(
        json.dumps([{**through_label_studio(tasks)[1], "meta": {}, "annotations": [one]}])
    )
    log = open_log("empty")
    found = import_label_studio(path, log)
    assert "edited by user 'zoe@clinic.example'" in found.rejected["reason"][0]
    assert log.history().empty


def test_names_that_differ_by_case_or_blanks_are_refused_before_anything_is_stored(
    exported, open_log
):
    log, path, tasks = exported
    back = through_label_studio(tasks)
    result = ticked("rejected", "accepted")
    back[0]["annotations"] += [
        made_there(result, id=n, completed_by=person)
        for n, person in enumerate((11, 11, 12, {"id": 13, "username": " ANN"}), 9001)
    ]
    path.write_text(json.dumps(back))
    people = {11: "Ann ", 12: "Zoe"}
    before = len(log.history())
    with pytest.raises(ValueError, match=r"2 names .*' ANN', log: 'ann'; 'Ann ', log: 'ann'"):
        import_label_studio(path, log, people=people)
    assert len(log.history()) == before
    people |= {11: "ann", 13: "A. Nother"}
    assert import_label_studio(path, log, people=people).rejected.empty
    assert {"A. Nother", "Zoe"} <= log.annotators() and "Ann " not in log.annotators()


def test_a_similar_name_mapped_to_itself_is_kept(exported, open_log):
    log, path, tasks = exported
    back = through_label_studio(tasks)
    back[0]["annotations"].append(made_there(ticked("rejected", "accepted"), completed_by=11))
    path.write_text(json.dumps(back))
    people = {11: "Ann", "Ann": "Ann"}
    assert import_label_studio(path, log, people=people).rejected.empty
    assert {"ann", "Ann"} <= log.annotators()


def made_by(exported, *makers) -> Path:
    """A file with one annotation, made in Label Studio, by each of `makers`."""
    _, path, tasks = exported
    back, result = through_label_studio(tasks), ticked("rejected", "accepted")
    made = [made_there(result, id=n, completed_by=maker) for n, maker in enumerate(makers, 9001)]
    written = [{**back[n % 2], "meta": {}, "annotations": [one]} for n, one in enumerate(made)]
    path.write_text(json.dumps(written))
    return path


@pytest.mark.parametrize(
    ("makers", "people", "message"),
    [
        ((11, 12), {11: "Zoe", 12: "zoe"}, "'zoe', file, too: 'Zoe'"),
        ((11, 12), {11: "Zoe", 12: " Zoe "}, "'Zoe', file, too: ' Zoe '"),
        (("Zoe  Doe", "zoe doe"), {}, "'zoe doe', file, too: 'Zoe  Doe'"),
        (({"id": 5, "username": "Zoe"}, 12), {12: "ZOE"}, "'Zoe', file, too: 'ZOE'"),
        (("Zoe", "zoe", "ZOE"), {"zoe": "zoe"}, "'Zoe', file, too: 'ZOE'"),
        (("Zoe", "zoe", "ZOE"), {}, "'Zoe', file, too: 'ZOE'; 'zoe', file, too: 'ZOE', 'Zoe'"),
    ],
)
def test_new_names_that_differ_by_case_or_blanks_are_refused_in_one_message(
    exported, open_log, makers, people, message
):
    path, log = made_by(exported, *makers), open_log("empty")
    with pytest.raises(
        ValueError, match=f"{re.escape(f'({message})')}: map each to its annotator"
    ) as refused:
        import_label_studio(path, log, people=people)
    assert log.history().empty
    one, another = re.findall(r"people=(\{.*?\})", str(refused.value))
    if "; " not in message:  # one answer is enough
        for answer, people_there in ((one, len(makers) - 1), (another, len(makers))):
            log = open_log(f"{people_there} people")
            import_label_studio(path, log, people=people | ast.literal_eval(answer))
            assert len(log.annotators()) == people_there


def test_two_spellings_of_an_address_mapped_to_themselves_are_two_people(exported, open_log):
    people = {name: name for name in ("Zoe@x", "zoe@x")}
    log = open_log("empty")
    import_label_studio(made_by(exported, *people), log, people=people)
    assert log.annotators() == set(people)
    path = made_by(exported, "zoe@x", " ZOE@x ")
    log = open_log("one")
    import_label_studio(path, log)
    assert log.annotators() == {"zoe@x"}


def test_new_annotators_names_are_compared_with_names_in_the_log():
    check_names(["ann", "Bob"], ["ann", "Ann"])
    for names in (["Ann "], ["x", "X"], ["anne", "  ANN"]):
        with pytest.raises(ValueError, match="differ only by case or blanks: use the spelling"):
            check_names(names, ["ann"])


def test_nan_seconds_are_missing_and_a_json_list_in_utf16_is_read(exported, open_log, tmp_path):
    log, _, _ = exported
    export_jsonl(log.history(), tmp_path / "labels.jsonl")
    lines = (tmp_path / "labels.jsonl").read_text().replace("4.5", "NaN").splitlines()
    (tmp_path / "as list.json").write_text(f"[{','.join(lines)}]", encoding="utf-16")
    into = open_log("to")
    assert import_jsonl(tmp_path / "as list.json", into).rejected.empty
    assert len(into.history()) == len(log.history()) and into.history()["seconds"].isna().all()


@pytest.mark.parametrize("read", [import_jsonl, import_label_studio])
def test_an_empty_labels_file_is_refused(read, open_log, tmp_path):
    (tmp_path / "labels.json").write_bytes(b"")
    with pytest.raises((UnsupportedFormat, ValueError), match=r"labels\.json is empty"):
        read(tmp_path / "labels.json", open_log())


def test_label_studios_tasks_name_images_relative_to_their_folder(exported, tmp_path):
    log, path, tasks = exported
    below = FIGURES.assign(image=[str(tmp_path / image) for image in FIGURES["image"]])
    export_label_studio(
        log.history(), DRAFTS, below, path, lambda image: f"/data/local-files/?d={image}"
    )
    assert json.loads(path.read_text()) == tasks

"""Labels as tasks for Label Studio and back: new and edited annotations, unreadable tasks."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from exchange_rows import (
    DRAFTS,
    FIGURES,
    HOSTILE,
    MEMBERS,
    choices,
    judge,
    made_there,
    through_label_studio,
    ticked,
    ticks_of_part,
)

from vital_lib.labels.exchange import export_jsonl, import_jsonl
from vital_lib.labels.label_studio import export_label_studio, label_studio_config
from vital_lib.labels.label_studio_import import import_label_studio

pytest_plugins = "exchange_rows"


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


def test_nan_seconds_are_missing_and_a_json_list_in_utf16_is_read(exported, open_log, tmp_path):
    log, _, _ = exported
    export_jsonl(log.history(), tmp_path / "labels.jsonl")
    lines = (tmp_path / "labels.jsonl").read_text().replace("4.5", "NaN").splitlines()
    (tmp_path / "as list.json").write_text(f"[{','.join(lines)}]", encoding="utf-16")
    into = open_log("to")
    assert import_jsonl(tmp_path / "as list.json", into).rejected.empty
    assert len(into.history()) == len(log.history()) and into.history()["seconds"].isna().all()


def test_label_studios_tasks_name_images_relative_to_their_folder(exported, tmp_path):
    log, path, tasks = exported
    below = FIGURES.assign(image=[str(tmp_path / image) for image in FIGURES["image"]])
    export_label_studio(
        log.history(), DRAFTS, below, path, lambda image: f"/data/local-files/?d={image}"
    )
    assert json.loads(path.read_text()) == tasks

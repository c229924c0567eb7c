"""The names of Label Studio's users: who made or edited an annotation, and similar names."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from exchange_rows import (
    DRAFTS,
    FIGURES,
    choices,
    judge,
    made_there,
    through_label_studio,
    ticked,
    ticks_of_part,
)

from vital_lib.labels.label_studio import export_label_studio
from vital_lib.labels.label_studio_import import import_label_studio
from vital_lib.labels.names import LabelStudioUsers, check_names

pytest_plugins = "exchange_rows"


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

"""Claims about the blind arena: what a person says of two answers becomes a verdict."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from panel_rows import HOSTILE, picture_of

from vital_lib.labels import (
    LabelLog,
    comparison_rows,
    export_jsonl,
    import_jsonl,
    log_of_run,
    practice_log,
    verdicts_of,
    votes_read,
)
from vital_lib.panels import Arena
from vital_lib.panels.arena import VERDICTS
from vital_lib.panels.preference_card.item_key import item_of
from vital_lib.tables import Workspace, empty_frame, frame_of

QUESTIONS = pd.DataFrame(
    {
        "question_id": ["q1", "q2", "q3"],
        "image": ["f1", "f1", "f2"],
        "question": ["What is shown?", HOSTILE, "Where is it?"],
        "reference": ["A mass.", "", "On the left."],
    }
)
MODELS = ("selected", "random", "base")


def answers_of(text="{model} on {question}", models=MODELS, draws=(0, 1)):
    rows = [
        (name, model, control, draw, text.format(model=model[::-1], question=name))
        for name in QUESTIONS["question_id"]
        for model in models
        for control in ("none", "blank")
        for draw in draws
    ]
    columns = ["question_id", "model", "control", "draw", "answer"]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture
def log(tmp_path) -> LabelLog:
    return LabelLog(f"sqlite:///{tmp_path / 'labels.sqlite'}")


def rows_of(annotator="ann", answers=None, others=("random", "base")):
    answers = answers_of() if answers is None else answers
    return comparison_rows(QUESTIONS, answers, "selected", others, annotator)


def arena_of(log, annotator="ann", **options):
    return Arena(rows_of(annotator), annotator, picture_of, log, **options)


def press(arena, label, event_id):
    """Press the button `label` for the item that the page shows."""
    key = shown(arena)["key"]
    arena.judge(key, event_id, **VERDICTS[label])
    return item_of(key)


def shown(arena):
    return arena._pairs.as_card(arena._held[0])


def test_a_person_compares_every_pair_once_and_in_an_order_of_their_own():
    mine, yours = rows_of("ann"), rows_of("bob")
    assert len(mine) == 6 and mine["item_id"].is_unique
    assert set(mine["item_id"]) == set(yours["item_id"])
    assert set(mine["drawn_by"]) == {"comparison"}
    by_question = mine["question_id"].ne(mine["question_id"].shift()).sum()
    assert by_question == 3  # the pairs of a question follow one another
    orders = {tuple(rows_of(name)["question_id"]) for name in "abcdefgh"}
    sides = {tuple(rows_of(name)["left"]) for name in "abcdefgh"}
    assert len(orders) > 2 and len(sides) > 4


def test_sides_are_balanced_over_many_questions():
    many = pd.concat([QUESTIONS.assign(question_id=f"{n}") for n in range(200)])
    many = many.drop_duplicates("question_id")
    answers = pd.concat(
        [
            answers_of()[lambda rows: rows["question_id"] == "q1"].assign(question_id=f"{n}")
            for n in range(200)
        ]
    )
    rows = comparison_rows(many, answers, "selected", ["base"], "ann")
    assert 75 < rows["left_id"].str.contains("selected").sum() < 125


@pytest.mark.parametrize(
    ("label", "choice"),
    [("Left is better", "left"), ("Right is better", "right"), ("Tie", "tie"), ("Both bad", "tie")],
)
def test_a_verdict_is_read_back_as_the_person_gave_it(log, label, choice):
    arena = arena_of(log)
    item = press(arena, label, "e1")
    verdicts, old = verdicts_of(log.comparisons(), answers_of())
    row = verdicts.iloc[0]
    left_is_a = json.loads(item["left_id"])[1] == "selected"
    winner = {"left": "ab"[not left_is_a], "right": "ab"[left_is_a], "tie": "tie"}[choice]
    assert (len(verdicts), old) == (1, 0)
    assert (row["winner"], row["order"], row["judge"]) == (winner, "both", "ann")
    assert row["rationale"] == ("both bad" if label == "Both bad" else "")
    assert [row["question_id"], row["draw"], row["model_a"], row["model_b"]] == [
        *json.loads(item["item_id"])[:2],
        "selected",
        json.loads(item["item_id"])[3],
    ]
    assert frame_of("verdicts", verdicts).equals(verdicts)


def test_a_person_who_cannot_judge_gives_no_verdict(log):
    press(arena_of(log), "Cannot judge", "e1")
    verdicts, _ = verdicts_of(log.comparisons(), answers_of())
    assert verdicts["winner"].isna().all() and len(verdicts) == 1


def test_the_page_never_learns_which_model_answered(log):
    arena = arena_of(log)
    card = {name: value for name, value in shown(arena).items() if name != "key"}
    seen = json.dumps([card, arena._state()])
    assert not any(f'"{model}"' in seen or f"{model} on" in seen for model in MODELS)
    assert {card["left"], card["right"]} <= set(answers_of()["answer"])


def test_a_comparison_is_no_vote_and_no_vote_is_a_comparison(log):
    press(arena_of(log), "Tie", "e1")
    votes = {"left_id": "d1-a", "right_id": "d1-b", "annotator": "ann"}
    log.record(item_id="d1", left_accepted=True, right_accepted=False, **votes)
    assert log.preferences()["item_id"].tolist() == ["d1"]
    assert len(log.comparisons()) == 1 and len(log.history()) == 2
    assert log.history()["kind"].tolist() == ["comparison", "label"]


def test_a_verdict_does_not_count_for_another_answer(log):
    arena = arena_of(log)
    press(arena, "Tie", "e1")
    changed = answers_of("{model} said of {question}")
    verdicts, old = verdicts_of(log.comparisons(), changed)
    assert verdicts.empty and old == 1
    other_models = answers_of(models=("tuned", "random"))
    assert verdicts_of(log.comparisons(), other_models)[1] == 1


def test_undo_revision_and_history_work_as_on_the_card(log):
    arena = arena_of(log)
    first = press(arena, "Left is better", "e1")
    assert arena.history()[0]["said"] == "left is better"
    assert arena.undo() == "e1" and arena.item_id == first["item_id"]
    assert log.comparisons().empty
    press(arena, "Both bad", "e2")
    arena.revise("e2")
    press(arena, "Right is better", "e3")
    assert log.comparisons()["choice"].tolist() == ["right"]
    assert [row["said"] for row in arena.history()] == ["right is better"]


def test_a_reload_goes_on_behind_the_judged_ones(log):
    press(arena_of(log), "Tie", "e1")
    again = arena_of(log)
    assert again.item_id == rows_of()["item_id"][1]
    assert again._queue.progress == (1, 6)
    assert arena_of(log, "bob")._queue.progress == (0, 6)


def test_practice_leaves_the_log_of_the_run_alone(log):
    practice = practice_log()
    arena = arena_of(practice, practice=True)
    press(arena, "Tie", "e1")
    assert len(practice.comparisons()) == 1 and log.history().empty
    assert "practice" in arena._state()["title"]


def test_verdicts_travel_with_the_labels_in_an_exported_file(log, tmp_path):
    arena = arena_of(log)
    press(arena, "Tie", "e1")
    arena.undo()
    press(arena, "Both bad", "e2")
    export_jsonl(log.history(), tmp_path / "labels.jsonl")
    other = LabelLog(f"sqlite:///{tmp_path / 'other.sqlite'}")
    import_jsonl(tmp_path / "labels.jsonl", other)
    assert other.comparisons()["choice"].tolist() == ["neither"]
    verdicts, _ = verdicts_of(other.comparisons(), answers_of())
    assert verdicts.equals(verdicts_of(log.comparisons(), answers_of())[0])


def test_the_log_is_the_one_that_the_run_has_read(tmp_path):
    workspace = Workspace(tmp_path / "run")
    assert (
        log_of_run(workspace).database.identity == LabelLog(workspace.label_url).database.identity
    )
    elsewhere = f"sqlite:///{tmp_path / 'other.sqlite'}"
    other = LabelLog(elsewhere)
    votes = other.preferences()
    workspace.write("drafts", empty_frame("drafts"))
    read = votes_read(votes, "people", elsewhere)
    workspace.write("preferences", votes, made_from=["drafts", read])
    assert log_of_run(workspace).database.identity == other.database.identity


def test_without_questions_the_arena_is_finished(log):
    arena = Arena(rows_of().head(0), "ann", picture_of, log)
    assert arena.finished and arena._state()["title"] == "Blind comparison"


def test_a_simulated_name_is_refused(log):
    with pytest.raises(ValueError, match="is the name of a simulated clinician"):
        arena_of(log, "strict (simulated)")


def test_a_missing_answer_is_named():
    with pytest.raises(ValueError, match="no answer of model 'oracle'"):
        rows_of(others=["oracle"])


def test_without_a_kernel_the_page_shows_the_next_pair_and_no_model(log):
    form = arena_of(log)._form()
    said = f"{form.summary} {''.join(form.parts)}"
    assert "Left answer" in said and "Reference answer" in said
    assert "Items are judged in a running notebook." in said
    assert not any(f"{model} on" in said for model in MODELS)


@pytest.mark.parametrize("null", [None, float("nan"), pd.NA])
def test_a_null_answer_is_no_answer(null, log):
    """A verdict on what it was before counts no more; the others do."""
    arena = arena_of(log)
    for number in range(6):
        press(arena, "Left is better", f"e{number}")
    answers = answers_of()
    answers["answer"] = answers["answer"].astype(object)
    lost = answers["question_id"].eq("q1") & answers["model"].eq("base")
    answers.loc[lost, "answer"] = null
    with pytest.raises(ValueError, match="1 of 3 questions have no answer of model 'base'"):
        rows_of(answers=answers)
    verdicts, old = verdicts_of(log.comparisons(), answers)
    assert (len(verdicts), old) == (5, 1)

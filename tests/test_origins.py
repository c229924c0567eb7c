"""Claims about what tables, models and metrics come from, and when they are older than that."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from vital_lib import study, walkthrough
from vital_lib.report import stale, write_report
from vital_lib.statistics import Interval
from vital_lib.tables import TABLES, MissingTable, Workspace, metrics_frame, without_folders

JUDGING, TRAINING, EVALUATING = "05_judge_candidates", "06_train_selector", "09_evaluate_model"
RECALL = "evaluation.open_recall_selected_minus_random"
FILLED = {"string": "x", "int64": 1, "double": 1.0, "bool": True}


def _rows(name, n=1):
    """`n` rows of table `name` that mean nothing."""
    schema = TABLES[name].schema
    row = {field.name: FILLED.get(str(field.type), []) for field in schema}
    rows = pd.DataFrame([row] * n)
    return rows.assign(**{schema.names[0]: [f"x{place}" for place in range(n)]})


def _write(workspace, name, *made_from, n=1, **parameters):
    workspace.write(name, _rows(name, n), made_from=made_from, parameters=parameters)
    Image.new("RGB", (8, 8)).save(workspace.path / "x", "PNG")


def _questions(workspace, benchmark, n=1):
    _write(workspace, "questions", n=n, benchmark=benchmark)


def _model(workspace, name, weights=b"w", **config):
    workspace.model(name).mkdir(parents=True, exist_ok=True)
    (workspace.model(name) / "config.json").write_text(json.dumps(config))
    (workspace.model(name) / "language.safetensors").write_bytes(weights)
    (workspace.model(name) / "metrics.json").write_text("{}")


def _stale_tables(workspace):
    state = workspace.state().set_index("table")["stale"]
    return state[state != ""].to_dict()


def _stale_metrics(workspace):
    origins = workspace.metric_origins().set_index("metric")["stale"]
    return origins[origins != ""].to_dict()


# What a notebook leaves when it runs again


def test_a_notebook_that_runs_again_leaves_none_of_its_older_metrics(tmp_path):
    first = Workspace(tmp_path)
    _questions(first, "clinic")
    how = {"written_by": EVALUATING, "made_from": ["questions"]}
    first.record({"evaluation.clinicians": 0.7, "evaluation.questions": 600}, **how)
    _questions(first, "/data/vqa_rad", n=2)
    again = Workspace(tmp_path)
    again.record({"evaluation.questions": 451}, **how)
    assert again.metrics == {"evaluation.questions": 451}
    assert set(json.loads((tmp_path / "metrics.json").read_text())) == {"evaluation.questions"}


def test_a_stage_that_two_notebooks_measure_loses_only_what_the_same_one_wrote(tmp_path):
    judging, training = Workspace(tmp_path), Workspace(tmp_path)
    judging.record({"judge.nulls": 3, "judge.bias": 0.1}, written_by=JUDGING)
    training.record({"judge.agreement": 0.8, "selector.agreement": 0.9}, written_by=TRAINING)
    Workspace(tmp_path).record({"judge.nulls": 0}, written_by=JUDGING)
    kept = {"judge.agreement": 0.8, "selector.agreement": 0.9}
    assert judging.metrics == {"judge.nulls": 0, **kept}
    Workspace(tmp_path).record({"selector.agreement": 0.6}, written_by=TRAINING)
    assert judging.metrics == {"judge.nulls": 0, "selector.agreement": 0.6}


def test_several_cells_of_one_notebook_may_record(tmp_path):
    workspace = Workspace(tmp_path)
    _questions(workspace, "clinic")
    workspace.record({"evaluation.a": 1}, written_by=EVALUATING, made_from=["questions"])
    workspace.record({"evaluation.b": 2}, written_by=EVALUATING)
    workspace.record({"evaluation.a": 3}, written_by=EVALUATING, made_from=["questions"])
    assert workspace.metrics == {"evaluation.a": 3, "evaluation.b": 2}


@pytest.mark.parametrize("change", ["parameter", "input", "setting"])
def test_another_setting_in_the_same_kernel_removes_what_was_measured_before(tmp_path, change):
    workspace = Workspace(tmp_path)
    _questions(workspace, "clinic")
    how = {"written_by": EVALUATING, "made_from": ["questions"]}
    workspace.record({"evaluation.old": 1}, **how, parameters={"draws": 1})
    if change == "parameter":
        workspace.record({"evaluation.new": 2}, written_by=EVALUATING, parameters={"draws": 3})
    elif change == "input":
        _questions(workspace, "clinic", n=2)
        workspace.record({"evaluation.new": 2}, **how)
    else:
        workspace.record(
            {"evaluation.new": 2}, written_by=EVALUATING, parameters={"benchmark": "slake"}
        )
    assert workspace.metrics == {"evaluation.new": 2}


def test_what_an_earlier_release_recorded_goes_when_its_stage_is_measured(tmp_path):
    workspace = Workspace(tmp_path)
    old = {"evaluation.old": 1, "evaluations.other": 2, "selector.agreement": 0.9}
    (tmp_path / "metrics.json").write_text(json.dumps(old))
    assert set(_stale_metrics(workspace)) == set(old)
    workspace.record({"evaluation.new": 3}, written_by=EVALUATING)
    assert workspace.metrics == {
        "evaluation.new": 3,
        "evaluations.other": 2,
        "selector.agreement": 0.9,
    }
    assert set(_stale_metrics(workspace)) == set(old) - {"evaluation.old"}


def test_a_metric_passes_to_the_notebook_that_wrote_it_last(tmp_path):
    Workspace(tmp_path).record({"judge.agreement": 0.8, "judge.n": 5}, written_by=JUDGING)
    Workspace(tmp_path).record({"judge.agreement": 0.7}, written_by=TRAINING)
    Workspace(tmp_path).record({"judge.n": 6}, written_by=JUDGING)
    assert Workspace(tmp_path).metrics == {"judge.agreement": 0.7, "judge.n": 6}


def test_a_path_among_the_parameters_is_kept_as_text(tmp_path):
    workspace = Workspace(tmp_path)
    how = {"written_by": EVALUATING, "parameters": {"benchmark": Path("/data/slake")}}
    workspace.record({"evaluation.a": 1}, **how)
    workspace.record({"evaluation.b": 2}, **how)
    assert workspace.metrics == {"evaluation.a": 1, "evaluation.b": 2}
    assert set(workspace.metric_origins()["measured_on"]) == {"benchmark slake"}


def test_the_metrics_file_stays_flat_and_of_numbers(tmp_path):
    workspace = Workspace(tmp_path)
    _questions(workspace, "clinic")
    workspace.record({"a.b": 1}, written_by=EVALUATING, made_from=["questions"])
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"a.b": 1}


def test_an_origin_holds_only_for_the_value_that_was_measured(tmp_path):
    """After a crash between the two files, or an edit of one of them."""
    workspace = Workspace(tmp_path)
    workspace.record({"evaluation.a": 1, "evaluation.b": 2}, written_by=EVALUATING)
    before = (tmp_path / "metrics.json").read_text()
    Workspace(tmp_path).record({"evaluation.a": 5}, written_by=EVALUATING)
    (tmp_path / "metrics.json").write_text(before)
    told = _stale_metrics(workspace)
    assert set(told) == {"evaluation.a", "evaluation.b"}
    assert all("not known" in why for why in told.values())
    Workspace(tmp_path).record({"evaluation.a": 5}, written_by=EVALUATING)
    assert workspace.metrics == {"evaluation.a": 5} and not _stale_metrics(workspace)


def test_a_metric_of_an_input_that_is_not_there_is_refused(tmp_path):
    workspace = Workspace(tmp_path)
    with pytest.raises(MissingTable, match="09_evaluate_model"):
        workspace.record({"a.b": 1}, written_by=EVALUATING, made_from=["answers"])
    with pytest.raises(MissingTable, match="no model in .*models/selected"):
        workspace.record({"a.b": 1}, written_by=EVALUATING, made_from=["models/selected"])
    assert workspace.metrics == {}


# Older than its inputs


@pytest.fixture
def run(tmp_path):
    """Figures, drafts, preferences, ratings; and what 05 and 06 measured on them."""
    workspace = Workspace(tmp_path / "run")
    _write(workspace, "figures", figures="clinic")
    _write(workspace, "drafts", "figures", generator="gpt-a")
    _write(workspace, "preferences", "drafts", annotators="clinic")
    _write(workspace, "ratings", "drafts", "preferences", judge="gpt-b")
    workspace.record({"judge.nulls": 0}, written_by=JUDGING, made_from=["ratings"])
    workspace.record({"judge.agreement": 0.8}, written_by=TRAINING, made_from=["ratings"])
    return workspace


def test_nothing_is_stale_in_a_run_that_was_made_in_order(run):
    assert not _stale_tables(run) and not _stale_metrics(run) and stale(run).empty
    assert "Not up to date" not in write_report(run).read_text()


def test_the_same_rows_written_again_make_nothing_stale(run):
    _write(run, "figures", figures="clinic")
    assert not _stale_tables(run)


def test_a_table_older_than_its_input_names_it_and_the_notebook(run):
    _write(run, "preferences", "drafts", n=2, annotators="people")
    why = "older than preferences: run 05_judge_candidates"
    assert _stale_tables(run) == {"ratings": why}
    why = "ratings is older than preferences: run 05_judge_candidates"
    assert _stale_metrics(run) == {
        "judge.nulls": why,
        "judge.agreement": f"{why} and what follows",
    }


def test_what_follows_a_stale_table_is_stale_too_and_begins_with_its_notebook(run):
    _write(run, "figures", figures="/data/mine")
    told = _stale_tables(run)
    assert told["drafts"] == "older than figures: run 02_draft_candidates"
    assert set(told) == {"drafts", "preferences", "ratings"}
    for name in ("preferences", "ratings"):
        assert "drafts is older than figures: run 02_draft_candidates and what" in told[name]
    assert set(_stale_metrics(run)) == {"judge.nulls", "judge.agreement"}


def test_figures_of_another_notebook_are_stale_when_the_judge_changes(run):
    _write(run, "ratings", "drafts", "preferences", judge="another")
    Workspace(run.path).record({"judge.nulls": 0}, written_by=JUDGING, made_from=["ratings"])
    assert _stale_metrics(run) == {
        "judge.agreement": "older than ratings: run 06_train_selector",
    }


def test_an_input_that_is_gone_is_said(run):
    (run.path / "drafts.parquet").unlink()
    assert "drafts, which is missing" in _stale_tables(run)["preferences"]


def test_what_was_asked_of_a_tuned_model_is_stale_once_its_training_set_is(tmp_path):
    workspace = Workspace(tmp_path)
    _write(workspace, "selected", share=0.4)
    _model(workspace, "selected", lr=1)
    how = {"written_by": "08_tune_model", "made_from": ["selected"]}
    workspace.keep_origin("selected", **how, parameters={"base_model": "llava"})
    _questions(workspace, "clinic")
    _write(workspace, "answers", "questions", "models/selected")
    assert not _stale_tables(workspace)
    _write(workspace, "selected", share=0.8)
    why = "models/selected is older than selected: run 08_tune_model and what follows"
    assert _stale_tables(workspace) == {"answers": why}
    _model(workspace, "selected", weights=b"other", lr=1)
    workspace.keep_origin("selected", **how)
    why = "older than models/selected: run 09_evaluate_model"
    assert _stale_tables(workspace) == {"answers": why}


def test_a_model_trained_again_does_not_keep_the_origin_of_the_one_before(tmp_path):
    workspace = Workspace(tmp_path)
    _write(workspace, "selected")
    _model(workspace, "selected", lr=1)
    workspace.keep_origin("selected", written_by="08_tune_model", made_from=["selected"])
    assert workspace.origin("models/selected")["written_by"] == "08_tune_model"
    _model(workspace, "selected", lr=2)
    assert workspace.origin("models/selected") == {}


@pytest.mark.parametrize("last", ["config.json", "metrics.json"])
def test_a_model_whose_save_was_interrupted_does_not_exist(tmp_path, last):
    workspace = Workspace(tmp_path)
    assert not workspace.has("models/selected")
    _model(workspace, "selected")
    assert workspace.has("models/selected")
    (workspace.model("selected") / last).unlink()
    assert not workspace.has("models/selected")
    with pytest.raises(MissingTable, match="no model in .*models/selected"):
        workspace.keep_origin("selected", written_by="08_tune_model")


def test_a_circle_of_origins_ends(tmp_path):
    workspace = Workspace(tmp_path)
    _write(workspace, "scores")
    _write(workspace, "pairs", "scores")
    _write(workspace, "scores", "pairs")
    assert set(_stale_tables(workspace)) == {"pairs", "scores"}


# What it was measured on


def test_each_metric_says_what_it_was_measured_on(run):
    told = run.metric_origins().set_index("metric")
    words = "figures clinic, annotators clinic, generator gpt-a, judge gpt-b"
    assert told["measured_on"].to_dict() == {"judge.nulls": words, "judge.agreement": words}
    assert told["written_by"].to_dict() == {"judge.nulls": JUDGING, "judge.agreement": TRAINING}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        *((path, "set") for path in ("/home/ann lee/set", "../ann/set/", "~/set", "./set")),
        *((path, "set") for path in ("ann/lee/set", "C:/ann/set")),
        *((path, "set") for path in (r"C:\ann\set", r"\\ward\ann\set")),
        ("s3://ward/ann/set?key=1", "set"),
        (Path("/home/ann/set"), "set"),
        (["/home/ann/a", "clinic"], ["a", "clinic"]),
        ({"ward": ("/home/ann/a", 3)}, {"ward": ["a", 3]}),
        *((name, name) for name in ("clinic", "org/model", "hf-hub:org/model", "", None, 0.5)),
    ],
)  # fmt: skip
def test_of_a_path_among_parameters_only_the_last_part_is_shown(given, shown):
    assert without_folders(given) == shown


def test_a_path_is_cut_to_its_end_and_two_settings_are_both_named(tmp_path):
    workspace = Workspace(tmp_path)
    _questions(workspace, "/home/somebody/data/vqa_rad")
    _write(workspace, "candidates", generator="a/b")
    _write(workspace, "drafts", generator="c")
    made_from = ["questions", "candidates", "drafts"]
    workspace.record({"evaluation.a": 1}, written_by=EVALUATING, made_from=made_from)
    told = workspace.metric_origins()["measured_on"]
    assert list(told) == ["generator a/b and c, benchmark vqa_rad"]


def test_a_metric_keeps_what_it_was_measured_on_when_its_input_is_written_again(run):
    _write(run, "ratings", "drafts", "preferences", judge="another")
    assert "judge gpt-b" in run.metric_origins()["measured_on"][0]


# Where it is shown


def test_the_report_is_written_where_the_figures_are_others_than_those_selected_from(run):
    turns = [{"instruction": "What is shown?", "response": "A nodule."}]
    selected = _rows("selected").assign(figure_id="lost", turns=[turns])
    run.write("selected", selected, made_from=["figures"])
    _write(run, "figures", n=2, figures="mine")
    (run.path / "x").unlink()
    page = write_report(run).read_text()
    assert "1 of 1 conversations, of figures that the run lacks" in page
    assert "A nodule." not in page  # the run does not say that it may leave
    assert "older than figures: run 07_select_instructions" in page


def test_the_report_marks_what_is_stale_and_says_what_it_was_measured_on(run):
    _write(run, "figures", figures="/secret/place/mine")
    page = write_report(run).read_text()
    assert "Not up to date" in page and page.count("drafts is older than figures") >= 2
    assert '<p class="stale">Stale: drafts is older than figures: run 02_draft_candidates' in page
    assert "<td>figures clinic, annotators clinic" in page  # below "on", beside each metric's name
    assert "secret" not in page and "place" not in page.replace("placeholder", "")


def test_a_stale_claim_is_marked_in_the_report_and_in_the_study(run):
    for place, path in enumerate((run.path, run.path.parent / "other")):
        workspace = Workspace(path)
        workspace.write("questions", _rows("questions").assign(group_id=f"article {place}"))
        metrics = Interval(0.05, 0.02, 0.08, 302).metrics(RECALL) | {"evaluation.open_articles": 99}
        workspace.record(metrics, written_by=EVALUATING, made_from=["questions"])
    paths = [run.path, run.path.parent / "other"]
    assert "stale" not in study.pool(paths).loc[0, "on"]
    workspace.write("questions", _rows("questions", 2).assign(group_id="another"))
    why = "older than questions: run 09_evaluate_model"
    assert f"99 articles; stale: {why}" in write_report(workspace).read_text()
    found = study.pool(paths).iloc[0]
    assert found["on"] == f"198 articles; stale: other: {why}"
    assert found["against"].endswith("(stale)")


def test_the_summary_marks_what_is_stale_and_says_what_was_measured_on(run):
    _write(run, "ratings", "drafts", "preferences", judge="another")
    Workspace(run.path).record({"judge.nulls": 0}, written_by=JUDGING, made_from=["ratings"])
    lines = walkthrough.summary(run.metrics, run.metric_origins()).splitlines()
    assert lines[0].split()[:3] == ["judge.agreement", "0.800", "stale"]
    assert lines[1].split() == ["judge.nulls", "0"]
    shared = "measured on figures clinic, annotators clinic, generator gpt-a, judge"
    assert f"{JUDGING}: {shared} another" in lines and f"{TRAINING}: {shared} gpt-b" in lines
    why = "older than ratings: run 06_train_selector"
    assert lines[-1] == f"stale, 1 of the measures above: {why}"


def test_the_start_page_shows_a_metric_with_its_origin(run):
    frame = metrics_frame(run.metrics, run.metric_origins()).set_index("metric")
    assert frame.loc["judge.nulls", "measured_on"].startswith("figures clinic")
    assert frame.loc["judge.nulls", "value"] == 0 and frame.loc["judge.nulls", "stale"] == ""

"""Claims about tables, the run folder and its metrics."""

import json
import sqlite3
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from vital_lib.figures import open_image, read_figures
from vital_lib.labels import LabelLog
from vital_lib.tables import (
    FORMAT_VERSION,
    TABLES,
    MissingTable,
    SchemaError,
    UnsupportedFormat,
    Workspace,
    document,
    empty_frame,
    frame_of,
    log_ahead,
    write_atomically,
)

ROOT = Path(__file__).parents[1]


def make_scores(n: int = 3) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "candidate_id": [f"c{i}" for i in range(n)],
            "selector": "mixed",
            "score": np.arange(n, dtype=float),
            "uncertainty": [None] * n,
        }
    )


def make_sampled(n: int = 2) -> pd.DataFrame:
    names = [f"{i}_F1" for i in range(n)]
    rest = {"cluster": range(n), "split": "train", "chosen_by": "cluster"}
    return pd.DataFrame({"figure_id": names, **rest})


def without_nulls(frame: pd.DataFrame) -> list[dict]:
    """Rows as plain Python values, every kind of null as None."""
    rows = frame.to_dict("records")
    null = lambda value: not isinstance(value, list) and pd.isna(value)  # noqa: E731
    return [{key: None if null(value) else value for key, value in row.items()} for row in rows]


# Reading and writing


def test_what_is_written_is_read_back(tmp_path):
    workspace = Workspace(tmp_path)
    frame = make_scores()
    assert workspace.write("scores", frame[frame.columns[::-1]]) == 3
    back = workspace.read("scores")
    assert back.columns.tolist() == TABLES["scores"].columns
    assert without_nulls(back) == without_nulls(frame)


def test_lists_and_nested_values_come_back_as_python_lists(tmp_path):
    turns = [[{"instruction": "What?", "response": "An MRI."}], []]
    row = {"conversation_id": ["a", "b"], "figure_id": "f", "turns": turns, "score": 0.5}
    workspace = Workspace(tmp_path)
    workspace.write("selected", pd.DataFrame({**row, "rank": [1, 2]}))
    assert workspace.read("selected")["turns"].tolist() == turns


def test_a_null_tick_stays_null_and_is_no_false(tmp_path):
    row = dict.fromkeys(TABLES["preferences"].columns, "x")
    skipped = {**row, "left_accepted": None, "right_accepted": False}
    workspace = Workspace(tmp_path)
    workspace.write("preferences", pd.DataFrame([skipped]))
    back = workspace.read("preferences")
    assert back["left_accepted"].isna().tolist() == [True]
    assert back["right_accepted"].tolist() == [False]


@pytest.mark.parametrize("name", list(TABLES))
def test_a_table_without_rows_keeps_its_columns(tmp_path, name):
    workspace = Workspace(tmp_path)
    assert workspace.write(name, empty_frame(name)) == 0
    assert workspace.read(name).columns.tolist() == TABLES[name].columns


def test_rows_become_a_frame_with_the_types_of_one_read_from_disk(tmp_path):
    rows = make_scores(2).to_dict("records")
    made = frame_of("scores", [{**row, "other": 1} for row in rows])
    workspace = Workspace(tmp_path)
    workspace.write("scores", made)
    pd.testing.assert_frame_equal(made, workspace.read("scores"))
    pd.testing.assert_frame_equal(frame_of("scores", make_scores(2)), made)
    pd.testing.assert_frame_equal(frame_of("scores", []), empty_frame("scores"))


def test_a_missing_table_names_the_first_notebook_to_run(tmp_path):
    workspace = Workspace(tmp_path)
    later = r"'ratings'.*notebooks/01_explore_figures\.ipynb first, then .* to 05_judge_candidates"
    for ask in ("read", "fingerprint", "origin"):
        with pytest.raises(MissingTable, match=later):
            getattr(workspace, ask)("ratings")
    for name in ("figures", "drafts", "preferences", "candidates"):  # of 01 to 04
        workspace.write(name, empty_frame(name))
    with pytest.raises(MissingTable, match=r"notebooks/05_judge_candidates\.ipynb first$"):
        workspace.read("ratings")
    with pytest.raises(MissingTable, match=r"notebooks/05_.* to 06_train_selector$"):
        workspace.read("scores")


def test_a_notebook_shows_a_missing_table_in_one_line(tmp_path):
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    shown = []
    shell._showtraceback = lambda kind, error, lines: shown.extend(lines)
    shell.run_cell(
        f"from vital_lib.tables import Workspace; Workspace({str(tmp_path)!r}).read('figures')"
    )
    [line] = shown
    assert line.startswith("MissingTable: no table 'figures' in ") and "\n" not in line


@pytest.mark.parametrize("ask", ["read", "has", "fingerprint"])
def test_an_unknown_table_shows_the_known_ones(tmp_path, ask):
    with pytest.raises(KeyError, match=r"'figure'.*figures_rejected"):
        getattr(Workspace(tmp_path), ask)("figure")


def test_state_counts_the_rows_of_what_is_written(tmp_path):
    workspace = Workspace(tmp_path)
    workspace.write("scores", make_scores(4))
    state = workspace.state().set_index("table")
    assert state.loc["scores", "rows"] == 4
    assert state["rows"].notna().sum() == 1
    assert state.loc["ratings", "written_by"] == "05_judge_candidates"


# Wrong frames


def test_missing_and_unknown_columns_are_named(tmp_path):
    frame = make_scores().rename(columns={"score": "scores"})
    with pytest.raises(SchemaError, match=r"'scores': missing columns \['score'\].*\['scores'\]"):
        Workspace(tmp_path).write("scores", frame)


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("score", "high", "'high' is not of type number"),
        ("candidate_id", 7, "7 is not of type text"),
        ("candidate_id", None, "the value is missing"),
        ("score", float("nan"), "the value is missing"),
        ("candidate_id", ["c"], r"\['c'\] is not of type text"),
    ],
)
def test_a_wrong_value_is_shown_with_column_and_row(tmp_path, column, value, shown):
    frame = make_scores().astype(object)
    frame.at[1, column] = value
    with pytest.raises(SchemaError, match=rf"'scores', column '{column}', row 1: {shown}"):
        Workspace(tmp_path).write("scores", frame)


def test_a_half_is_no_whole_number(tmp_path):
    frame = make_sampled().astype(object)
    frame.at[0, "cluster"] = 0.5
    with pytest.raises(
        SchemaError, match=r"column 'cluster', row 0: 0\.5 is not of type whole number"
    ):
        Workspace(tmp_path).write("figures_sampled", frame)


def test_a_yes_is_no_number(tmp_path):
    frame = make_scores().astype(object)
    frame.at[2, "score"] = True
    with pytest.raises(SchemaError, match="column 'score', row 2: True is not of type number"):
        Workspace(tmp_path).write("scores", frame)


def test_a_turn_with_another_key_is_refused_and_not_cut_down(tmp_path):
    wrong = [{"instruction": "What?", "answer": "An MRI."}]
    row = {"conversation_id": "a", "figure_id": "f", "turns": wrong, "score": 0.5, "rank": 1}
    with pytest.raises(SchemaError, match=r"column 'turns', row 0: .*'answer'"):
        Workspace(tmp_path).write("selected", pd.DataFrame([row]))


def test_a_wrong_frame_leaves_the_old_table(tmp_path):
    workspace = Workspace(tmp_path)
    workspace.write("scores", make_scores(3))
    with pytest.raises(SchemaError):
        workspace.write("scores", make_scores(5).assign(score="x"))
    assert len(workspace.read("scores")) == 3


# Whole or not at all


def test_a_table_without_a_column_of_today_names_it_and_its_notebook(tmp_path):
    workspace = Workspace(tmp_path)
    workspace.write("scores", make_scores())
    file = tmp_path / "scores.parquet"
    pq.write_table(pq.read_table(file).drop_columns("uncertainty"), file)
    with pytest.raises(
        UnsupportedFormat, match="without uncertainty: run notebooks/06_train_selector"
    ):
        workspace.read("scores")


def test_an_exception_while_writing_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def half(temporary: Path) -> None:
        temporary.write_text("ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, half)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_a_kill_while_writing_leaves_the_old_table(tmp_path):
    Workspace(tmp_path).write("scores", make_scores(3))
    code = f"""
        import os, signal, sys
        sys.path.insert(0, {str(ROOT / "tests")!r})
        from test_tables import make_scores
        import pyarrow.parquet as pq
        from vital_lib.tables import Workspace
        whole = pq.write_table
        def killed(rows, path, **options):
            whole(rows, path, **options)
            os.kill(os.getpid(), signal.SIGKILL)
        pq.write_table = killed
        Workspace({str(tmp_path)!r}).write("scores", make_scores(9))
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, check=False)
    assert ended.returncode == -9
    assert len(Workspace(tmp_path).read("scores")) == 3


def test_a_failed_rename_leaves_the_old_table(tmp_path, monkeypatch):
    workspace = Workspace(tmp_path)
    workspace.write("scores", make_scores(3))

    def refused(source, target):
        raise OSError("disk full")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"):
        patch.setattr("os.replace", refused)
        workspace.write("scores", make_scores(5))
    assert len(workspace.read("scores")) == 3
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith(".")]


def test_others_may_read_a_written_file(tmp_path):
    write_atomically(tmp_path / "a.txt", lambda path: path.write_text("x"))
    assert (tmp_path / "a.txt").stat().st_mode & 0o444 == 0o444


# Format version


@pytest.mark.parametrize("found", [0, FORMAT_VERSION + 1, None])
def test_another_format_version_says_how_to_go_on(tmp_path, found):
    (tmp_path / "run.json").write_text(json.dumps({"format_version": found}))
    way_out = (
        "`make demo` again.*new run folder.*notebook 01.*ledger.sqlite.*labels convert OLD NEW"
    )
    with pytest.raises(UnsupportedFormat, match=rf"format version {found}.*{way_out}"):
        Workspace(tmp_path)


def test_a_run_folder_is_made_and_opened_again(tmp_path):
    Workspace(tmp_path / "runs" / "first")
    again = Workspace(str(tmp_path / "runs" / "first"))
    stated = json.loads((again.path / "run.json").read_text())
    assert stated == {"format_version": FORMAT_VERSION}


# Where a table came from


def test_a_table_keeps_the_fingerprints_of_what_it_was_made_from(tmp_path):
    workspace = Workspace(tmp_path)
    workspace.write("figures_sampled", make_sampled())
    workspace.write(
        "scores", make_scores(), made_from=["figures_sampled"], parameters={"seed": 3, "w": [1, 2]}
    )
    origin = workspace.origin("scores")
    assert origin["made_from"] == {"figures_sampled": workspace.fingerprint("figures_sampled")}
    assert origin["parameters"] == {"seed": 3, "w": [1, 2]}
    assert origin["format_version"] == FORMAT_VERSION
    assert "pandas" in origin["versions"]


def test_a_changed_input_no_longer_has_the_kept_fingerprint(tmp_path):
    workspace = Workspace(tmp_path)
    workspace.write("figures_sampled", make_sampled(2))
    workspace.write("scores", make_scores(), made_from=["figures_sampled"])
    workspace.write("figures_sampled", make_sampled(3))
    kept = workspace.origin("scores")["made_from"]["figures_sampled"]
    assert kept != workspace.fingerprint("figures_sampled")


def test_the_same_rows_made_the_same_way_have_the_same_fingerprint(tmp_path):
    one, two = Workspace(tmp_path / "one"), Workspace(tmp_path / "two")
    for workspace in (one, two):
        workspace.write("scores", make_scores(), parameters={"seed": 1})
    assert one.fingerprint("scores") == two.fingerprint("scores")
    two.write("scores", make_scores(), parameters={"seed": 2})
    assert one.fingerprint("scores") != two.fingerprint("scores")


def test_a_table_cannot_be_made_from_one_that_is_not_written(tmp_path):
    with pytest.raises(MissingTable, match="01_explore_figures"):
        Workspace(tmp_path).write("scores", make_scores(), made_from=["figures"])
    assert not Workspace(tmp_path).has("scores")


def test_the_origin_lies_in_the_parquet_file_itself(tmp_path):
    Workspace(tmp_path).write("scores", make_scores(), parameters={"seed": 1})
    metadata = pq.read_schema(tmp_path / "scores.parquet").metadata
    assert json.loads(metadata[b"vital"])["table"] == "scores"


# Metrics


def test_metrics_are_added_to_those_recorded_before(tmp_path):
    workspace = Workspace(tmp_path)
    assert workspace.metrics == {}
    assert workspace.record({"judging.unread": 3, "judging.n": 9})["judging.unread"] == 3
    workspace.record({"selector.agreement": np.float64(0.75), "judging.unread": 4})
    wanted = {"judging.n": 9, "judging.unread": 4, "selector.agreement": 0.75}
    assert Workspace(tmp_path).metrics == wanted
    assert list(json.loads((tmp_path / "metrics.json").read_text())) == list(wanted)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("agreement", 0.5),
        ("a.b", float("nan")),
        ("a.b", float("inf")),
        ("a.b", "0.5"),
        ("a.b", True),
        ("a.b", None),
        ("a.b", [1]),
    ],
)
def test_a_metric_without_stage_or_number_is_refused_and_shown(tmp_path, name, value):
    workspace = Workspace(tmp_path)
    workspace.record({"a.kept": 1})
    with pytest.raises(ValueError, match="wanted 'stage.figure': number") as error:
        workspace.record({name: value})
    assert repr(name) in str(error.value) and repr(value) in str(error.value)
    assert workspace.metrics == {"a.kept": 1}


# Places and documentation


def make_questions(*images: str) -> pd.DataFrame:
    rows = empty_frame("questions").reindex(range(len(images))).assign(**NAMED)
    return rows.assign(image=list(images))


NAMED = dict.fromkeys(["question_id", "benchmark", "group_id", "question", "reference"], "x")
NAMED |= {"kind": "open"}


def stored_images(workspace: Workspace) -> list[str]:
    file = workspace.path / "questions.parquet"
    return pq.read_table(file, columns=["image"])["image"].to_pylist()


def test_images_in_the_run_are_stored_relative_to_it_and_read_as_absolute_paths(tmp_path):
    workspace, elsewhere = Workspace(tmp_path / "run"), str(tmp_path / "elsewhere" / "a.png")
    inside = str(workspace.path / "images" / "a.png")
    climbing = f"{workspace.path}/../elsewhere/a.png"
    workspace.write("questions", make_questions(inside, "images/b.png", elsewhere, climbing))
    assert stored_images(workspace) == ["images/a.png", "images/b.png", elsewhere, climbing]
    read = workspace.read("questions")
    other = str(workspace.path / "images" / "b.png")
    assert read["image"].tolist() == [inside, other, elsewhere, climbing]
    before = workspace.fingerprint("questions")
    workspace.write("questions", read)
    assert workspace.fingerprint("questions") == before


@pytest.mark.parametrize(("opened", "named"), [("run", "run"), ("link", "link"), ("link", "run")])
def test_a_run_folder_opened_through_a_link_stores_the_same_paths(
    tmp_path, monkeypatch, opened, named
):
    Workspace(tmp_path / "run")
    (tmp_path / "link").symlink_to(tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    Workspace(opened).write("questions", make_questions(str(tmp_path / named / "images" / "a.png")))
    assert stored_images(Workspace("run")) == ["images/a.png"]
    assert Workspace(opened).read("questions")["image"][0] == f"{tmp_path}/run/images/a.png"


def test_the_images_of_a_moved_run_folder_still_open(tmp_path):
    workspace = Workspace(tmp_path / "here")
    figures, _ = read_figures("clinic", run=workspace.path, articles=2)
    workspace.write("figures", figures)
    (tmp_path / "here").rename(tmp_path / "there")
    moved = Workspace(tmp_path / "there").read("figures")
    assert [open_image(image).sha256 for image in moved["image"]] == moved["sha256"].tolist()


def test_logs_and_models_lie_in_the_run_folder(tmp_path):
    workspace = Workspace(tmp_path)
    assert workspace.label_url == f"sqlite:///{tmp_path}/labels.sqlite"
    places = (workspace.ledger, workspace.features, workspace.model("selector"))
    assert all(place.is_relative_to(tmp_path) for place in places)


@pytest.mark.parametrize("name", ["a%20b", "q?1", "ü b", "x#y", "a+b"])
def test_the_label_log_lies_in_the_run_folder_whatever_it_is_called(tmp_path, name):
    LabelLog(Workspace(tmp_path / name).label_url).close()
    assert (tmp_path / name / "labels.sqlite").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_readme_of_the_tables_is_what_the_declarations_say():
    text = (ROOT / "data" / "README.md").read_text()
    assert text == document(), "run `python -m vital_lib.tables`"


def test_every_column_is_documented_with_its_type():
    text = document()
    for name, table in TABLES.items():
        section = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
        assert f"Written by `{table.written_by}`" in section
        for field in table.schema:
            line = next(x for x in section.splitlines() if x.startswith(f"| {field.name} | "))
            assert ("or null" in line) is field.nullable
            assert line.split(" | ")[-1].strip(" |")


def test_importing_tables_imports_nothing_heavy():
    heavy = "('torch', 'transformers', 'sklearn', 'scipy', 'matplotlib')"
    code = f"import sys, vital_lib.tables; assert not [m for m in {heavy} if m in sys.modules]"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_whoever_asks_for_a_write_ahead_log_waits_for_others(tmp_path):
    """SQLite itself refuses at once while another connection opens the new file."""
    holder = sqlite3.connect(tmp_path / "new.sqlite", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    other = sqlite3.connect(tmp_path / "new.sqlite", timeout=0, check_same_thread=False)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("PRAGMA journal_mode=WAL")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(log_ahead, other)
        holder.execute("COMMIT")
        assert waiting.result(timeout=60) == "wal"

"""Claims about runs: how far one has come, and what to open next."""

from __future__ import annotations

import pytest

from vital_lib import plots
from vital_lib.report import ProgressPage, write_report
from vital_lib.runs import STEPS, next_notebook, progress
from vital_lib.tables import TABLES, Workspace, empty_frame


def _run_to(folder, last: str) -> Workspace:
    """A run whose notebooks up to `last` have written empty tables and a metric each."""
    workspace = Workspace(folder)
    for notebook in (name for name in STEPS if name <= last):
        for name, table in TABLES.items():
            if table.written_by == notebook and not name.startswith("clinic_"):
                before = ["figures"] if name != "figures" else []
                workspace.write(name, empty_frame(name), made_from=before)
        workspace.record({f"demo.m{notebook[:2]}": 1}, written_by=notebook)
    return workspace


def test_a_new_run_begins_with_the_first_notebook(tmp_path):
    steps = progress(Workspace(tmp_path / "run"))
    assert steps["notebook"].tolist() == list(STEPS)
    assert set(steps["state"]) == {"missing"} and next_notebook(steps) == "01_explore_figures"


@pytest.mark.parametrize("last", list(STEPS))
def test_the_next_notebook_follows_the_last_that_wrote(tmp_path, last):
    steps = progress(_run_to(tmp_path / "run", last))
    expected = ["written" if name <= last else "missing" for name in STEPS]
    assert steps["state"].tolist() == expected
    following = [name for name in STEPS if name > last]
    assert next_notebook(steps) == (following[0] if following else None)


def test_a_step_with_a_newer_input_is_stale_and_is_the_next(tmp_path):
    workspace = _run_to(tmp_path / "run", "09_evaluate_model")
    workspace.write("figures", empty_frame("figures"), parameters={"seed": 1})
    steps = progress(workspace).set_index("notebook")
    assert steps.loc["01_explore_figures", "state"] == "stale"  # the sample is older
    assert steps.loc["02_draft_candidates", "state"] == "stale"
    assert "older than figures" in steps.loc["02_draft_candidates", "why"]
    assert next_notebook(steps.reset_index()) == "01_explore_figures"


def test_the_picture_shows_the_state_of_every_step():
    states = dict.fromkeys(STEPS.values(), "written") | {
        "Ratings": "stale",
        "Evaluation": "missing",
    }
    drawn = [text.get_text() for text in plots.pipeline_overview(states).axes[0].texts]
    assert (drawn.count("✓ written"), drawn.count("stale"), drawn.count("not yet")) == (7, 1, 1)
    bare = [text.get_text() for text in plots.pipeline_overview().axes[0].texts]
    assert not {"✓ written", "stale", "not yet"} & set(bare)


def test_the_start_page_links_the_notebooks_the_report_and_the_executed_copies(
    tmp_path, monkeypatch
):
    workspace = _run_to(tmp_path / "data" / "a run", "09_evaluate_model")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    page = ProgressPage(workspace)._repr_html_()
    assert 'href="01_explore_figures.ipynb"' in page and "<b>Finished.</b>" in page
    assert "report.html" not in page and "executed" not in page
    write_report(workspace)
    copy = workspace.path / "executed" / "05_judge_candidates.ipynb"
    copy.parent.mkdir()
    copy.write_text("{}")
    page = ProgressPage(workspace)._repr_html_()
    assert 'href="../data/a%20run/report.html"' in page
    assert 'href="../data/a%20run/executed/05_judge_candidates.ipynb"' in page
    assert page.count("executed copy") == 1


def test_the_start_page_says_in_words_what_is_stale_and_simulated(tmp_path):
    workspace = _run_to(tmp_path / "run", "02_draft_candidates")
    workspace.write("figures", empty_frame("figures"), parameters={"figures": "clinic"})
    page = ProgressPage(workspace)._repr_html_()
    assert "Drafts: stale; older than figures: run 02_draft_candidates" in page
    assert "Simulated by the clinic: figures." in page
    assert "stale" in repr(ProgressPage(workspace))

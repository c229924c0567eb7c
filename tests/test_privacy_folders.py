"""Claims about folders in paths: what is made for others names none, as it may name a patient."""

from __future__ import annotations

import json

import nbformat
import pytest
from beside import script_of_docs
from privacy_rows import SECRET, write_run

from vital_lib import privacy
from vital_lib.exports import export
from vital_lib.figures import is_cleared, open_figure
from vital_lib.labels import LabelLog
from vital_lib.labels.label_studio import export_label_studio
from vital_lib.report import write_report
from vital_lib.tables import Workspace

FOLDER = "Thistlewick"
PATH = f"/data/{FOLDER}/films"


@pytest.fixture
def run(tmp_path) -> Workspace:
    """A run with a figure that is cleared, made with paths of every kind among its parameters."""
    run = write_run(tmp_path / "run")
    figures = run.read("figures")
    given = {"figures": PATH, "cleared_sources": {PATH: f"see ../{FOLDER}/why"}, "seed": 1}
    run.write("figures", figures[is_cleared(figures)], parameters=given)
    selected = run.read("selected")
    given = {"encoder": f"../{FOLDER}/encoder", "benchmarks": [PATH, f"~/{FOLDER}/vqa"]}
    run.write(
        "selected", selected[selected["figure_id"] == "open"], made_from=["figures"],
        parameters=given,
    )  # fmt: skip
    candidates = run.read("candidates").assign(generator=f"/models/{FOLDER}/llava")
    run.write("candidates", candidates[candidates["figure_id"] == "open"])
    measured = {"selector.agreement": 0.5, "selection.n": 1}
    run.record(measured, written_by="07_select_instructions", made_from=["selected"])
    return run


def test_the_report_names_no_folder_also_beside_another_run(run, tmp_path):
    other = write_run(tmp_path / "other")
    other.write("figures", other.read("figures"), parameters={"figures": f"/{FOLDER}/other"})
    page = write_report(run, beside=other).read_text()
    assert FOLDER not in page and "films" in page and "encoder" in page
    assert "open" in page and SECRET not in page


@pytest.mark.parametrize("form", ["llava", "dataset"])
def test_the_card_of_an_export_names_no_folder(form, run, tmp_path):
    questions = run.read("questions")[:0]
    made = export(
        run.read("selected"), run.read("figures"), tmp_path / "out", form=form, split=None,
        workspace=run, questions=questions,
    )  # fmt: skip
    card = (made.folder / "README.md").read_text()
    assert FOLDER not in card and "films" in card and "llava" in card and "vqa" in card
    written = b"".join(path.read_bytes() for path in made.folder.rglob("*") if path.is_file())
    assert FOLDER.encode() not in written and str(tmp_path).encode() not in written


@pytest.mark.parametrize("address_of", [None, lambda image: f"/data/local-files/?d={image}"])
def test_label_studios_tasks_name_an_image_by_its_figure_unless_an_address_is_given(
    address_of, run, tmp_path
):
    log = LabelLog(run.label_url)
    log.record(
        item_id="open-r1", left_id="open-r1-a", right_id="open-r1-b", annotator="ann",
        left_accepted=True, right_accepted=False,
    )  # fmt: skip
    figures = run.read("figures").assign(image=f"/data/{FOLDER}/Ann_Lee.png")
    file = tmp_path / "tasks" / "tasks.json"
    file.parent.mkdir()
    drafts = run.read("drafts")
    assert export_label_studio(log.history(), drafts, figures, file, address_of) == 1
    log.close()
    shown = json.loads(file.read_text())[0]["data"]["image"]
    assert shown == ("open.png" if address_of is None else address_of(figures["image"].iloc[0]))
    assert (FOLDER in file.read_text()) is (address_of is not None)


def test_a_page_of_the_site_names_no_folder_of_a_parameter():
    given = {"run": f"/runs/{FOLDER}/mine", "figure_set": PATH, "benchmarks": [f"../{FOLDER}/vqa"]}
    given |= {"mix": f"C:\\{FOLDER}\\ä.json", "generator": "org/model", "columns": {"a": PATH}}
    lines = "\n".join(f"{name} = {value!r}" for name, value in given.items())
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(lines)])
    book.metadata["papermill"] = {"parameters": given}
    for text in (nbformat.writes(book), json.dumps(json.loads(nbformat.writes(book)))):
        page = script_of_docs("site")._readable(text)
        assert "films" in page and "../data/runs/mine" in page and "org/model" in page
        assert "/data/" not in page.replace("../data/runs", "")
        assert FOLDER not in page.replace(f"C:\\\\\\\\{FOLDER}", "")  # repr doubles backslashes


def test_the_site_shows_no_notebook_that_was_executed_before_a_decision(run):
    site = script_of_docs("site")
    row = run.read("figures").iloc[0].to_dict()
    run.write("questions", run.read("questions").iloc[:0])
    how = {"person": "Ada", "reason": "without the name"}
    privacy.clear(run.path, row, open_figure(row), **how, spans=[("caption", 0, 3)])
    run.write("figures", privacy.with_decisions(run.read("figures"), run.path))
    (run.path / "executed").mkdir()
    for start, shown in (("2020-01-01", False), (None, False), ("2999-01-01", True)):
        book = nbformat.v4.new_notebook()
        book.metadata["papermill"] = {"start_time": start and f"{start}T00:00:00.1+00:00"}
        nbformat.write(book, run.path / "executed" / "02_draft_candidates.ipynb")
        why = site._why_not_shown(run.path)
        assert ("02_draft_candidates.ipynb were executed before" not in why) is shown
    assert not why

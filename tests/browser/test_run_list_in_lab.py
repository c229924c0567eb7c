"""The list of runs in a real JupyterLab: compared and backed up by mouse, deleted by keys."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import IN_CHROMIUM, errors, run_notebook, write_notebook
from playwright.sync_api import Locator, expect
from waiting import until

from vital_lib.labels import LabelLog
from vital_lib.runs import BACKUPS
from vital_lib.tables import Workspace, empty_frame

pytestmark = IN_CHROMIUM

CELL = """
from vital_lib.panels import RunList
RunList("runs", current="demo").widget
"""


@pytest.fixture
def runs(lab) -> Iterator[Path]:
    """Two runs, written an hour ago; a person labelled in the second."""
    folder = lab.folder / "runs"
    for seed, name in enumerate(("demo", "mine")):
        workspace = Workspace(folder / name)
        workspace.write("figures", empty_frame("figures"), parameters={"seed": seed})
        workspace.record({"selection.accepted_share_selected": 0.7 + seed / 10})
    with_labels = LabelLog(workspace.label_url)
    with_labels.record(
        item_id="i", annotator="ann", left_id="a", right_id="b",
        left_accepted=True, right_accepted=False,
    )  # fmt: skip
    with_labels.close()
    before = time.time() - 3600
    for path in folder.rglob("*"):
        os.utime(path, (before, before))
    yield folder


def _button(panel: Locator, name: str) -> Locator:
    return panel.get_by_role("button", name=name, exact=True)


def test_runs_are_compared_backed_up_and_deleted_by_two_presses(runs, lab, page):
    write_notebook(lab.folder / "runs.ipynb", [CELL])
    run_notebook(page, lab, "runs.ipynb")
    assert errors(page) == []
    panel = page.locator(".vital")
    expect(panel.locator("tr")).to_have_count(3)

    _button(panel, "Compare demo").click()
    _button(panel, "Compare mine").click()
    expect(panel).to_contain_text("the difference is mine minus demo")
    row = panel.locator("tr", has_text="the selected set")
    expect(row).to_have_text("the selected set70.0 %80.0 %+10.0 points")
    expect(panel.locator("tr", has_text="seed").last).to_have_text("seed01")

    _button(panel, "Delete mine …").click()
    dialog = panel.get_by_role("alertdialog")
    expect(dialog).to_contain_text("Labels by people that would be lost: 1.")
    expect(dialog).not_to_contain_text("This notebook")
    _button(dialog, "Back up its labels first").click()
    expect(panel.get_by_role("status")).to_contain_text(
        "label log of run mine copied, 1 event: label-backups/mine-"
    )
    [copy] = (runs / BACKUPS).iterdir()
    assert len(LabelLog(f"sqlite:///{copy}").history()) == 1
    _button(dialog, "Delete").click()
    expect(panel.get_by_role("status")).to_contain_text("was written")  # the label, just now
    expect(dialog).to_have_count(0)
    assert (runs / "mine" / "run.json").exists()

    _button(panel, "Delete demo …").focus()
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("Delete run demo")
    expect(dialog).not_to_contain_text("by people")
    expect(dialog).to_contain_text("This notebook reads this run.")
    _button(dialog, "Keep").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(panel.get_by_role("status")).to_have_text("run demo is deleted")
    until(lambda: not (runs / "demo").exists())
    expect(panel.locator("tr", has_text="demo")).to_have_count(0)


def test_the_buttons_of_a_run_with_a_long_name_are_not_cut_off(lab, page):
    for name in ("demo", "a-run-whose-name-has-more-than-thirty-letters"):
        Workspace(lab.folder / "long" / name).write("figures", empty_frame("figures"))
    write_notebook(lab.folder / "long.ipynb", [CELL.replace('"runs"', '"long"')])
    page.set_viewport_size({"width": 1280, "height": 900})
    run_notebook(page, lab, "long.ipynb")
    expect(page.locator(".vital tr")).to_have_count(3)
    beyond = "(table) => table.scrollWidth - table.clientWidth"
    assert page.locator(".vital .across").evaluate(beyond) == 0

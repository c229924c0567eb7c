"""DICOM in the clearance panel in a real JupyterLab: views of greys, and boxes on all frames."""

from __future__ import annotations

import numpy as np
import pytest
from contrast import low_contrast
from dicom_rows import write
from lab import IN_CHROMIUM, errors, run_notebook, write_notebook
from playwright.sync_api import expect
from waiting import until

from vital_lib.figures import open_figure
from vital_lib.privacy import ClearanceLog, with_decisions
from vital_lib.tables import Workspace

pytestmark = [*IN_CHROMIUM, pytest.mark.parametrize("lab", ["light"], indirect=True)]

CELL = """
import pathlib
from vital_lib.dicom import DicomOptions
from vital_lib.figures import read_figures
from vital_lib.panels import ClearancePanel
from vital_lib.tables import Workspace

run = Workspace("run")
made = DicomOptions(frames="sheet", key=pathlib.Path("patients.key"))
figures, _ = read_figures("set", run=run.path, dicom=made)
run.write("figures", figures)
ClearancePanel(figures, run.path, person="Ada", look=lambda image: []).widget
"""
ROWS, COLUMNS = 60, 80


def cine() -> np.ndarray:
    """Five frames of a ramp; on each is a bar that the first window does not show."""
    ramp = np.linspace(2_000, 3_000, COLUMNS).astype(np.uint16) * np.ones((5, ROWS, 1), np.uint16)
    ramp[:, 5:15, 10:60] = 500
    ramp[:, 20:30] = 400
    return ramp


def test_a_box_on_one_frame_is_black_in_all_and_every_window_is_looked_at(lab, page):
    windows = {"WindowCenter": [2_500, 450], "WindowWidth": [1_000, 100]}
    write(lab.folder / "set" / "a.dcm", cine(), **windows, Modality="US")
    write_notebook(lab.folder / "clearance.ipynb", [CELL])
    run_notebook(page, lab, "clearance.ipynb")
    assert errors(page) == []
    panel = page.locator(".vital")
    image = panel.locator("svg.clearing image")
    expect(image).to_be_visible()
    expect(panel).to_contain_text("A box is black in all 5 frames.")
    first = image.get_attribute("href")
    panel.focus()
    page.keyboard.press("w")
    expect(panel).to_contain_text("2 of 4: window 2.")
    expect(image).to_be_visible()
    assert image.get_attribute("href") != first
    panel.get_by_role("button", name="Next view").click()
    expect(panel).to_contain_text("3 of 4: whole range.")
    expect(image).to_be_visible()
    assert low_contrast(page, ".vital") == []

    width, height = 3 * COLUMNS + 4, 2 * ROWS + 2
    area = panel.locator("svg.clearing").bounding_box()
    scale = min(area["width"] / width, area["height"] / height)
    left = area["x"] + (area["width"] - width * scale) / 2
    top = area["y"] + (area["height"] - height * scale) / 2
    corner = left + (COLUMNS + 2 + 8) * scale, top + 3 * scale  # on the second frame
    page.mouse.move(*corner)
    page.mouse.down()
    page.mouse.move(corner[0] + 54 * scale, corner[1] + 14 * scale, steps=4)
    page.mouse.up()
    expect(panel.locator("rect.removed")).to_have_count(1)
    expect(panel.locator("rect.everywhere")).to_have_count(5)
    panel.get_by_label("reason", exact=True).fill("the bar holds a name")
    panel.get_by_role("button", name="Clear without 1 marked").click()

    run = Workspace(lab.folder / "run")
    until(lambda: len(ClearanceLog(run.path).decisions()) == 1)
    (now,) = with_decisions(run.read("figures"), run.path).to_dict("records")
    stored, greys = open_figure(now).stored_greys()
    assert now["cleared"] and len(greys.windows) == 2
    values = greys.values(stored).round()
    assert not (values == 500).any() and (values >= 2_000).sum() > 5 * 35 * COLUMNS

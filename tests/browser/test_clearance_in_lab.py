"""The clearance panel in a real JupyterLab: boxes by mouse and by keys, decisions in the log."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from contrast import low_contrast
from lab import IN_CHROMIUM, errors, run_notebook, write_notebook
from PIL import Image
from playwright.sync_api import expect
from waiting import until

from vital_lib.figures import open_figure
from vital_lib.privacy import ClearanceLog, with_decisions
from vital_lib.tables import TABLES, Workspace

pytestmark = [*IN_CHROMIUM, pytest.mark.parametrize("lab", ["light", "dark"], indirect=True)]

HOSTILE = '<b id="markup">bold</b><img src=x onerror="window.attacked = true">'
CELL = """
from vital_lib.panels import ClearancePanel
from vital_lib.privacy import Box, BurntIn
from vital_lib.tables import Workspace

def look(image):
    return [BurntIn("QUILL", Box(10, 20, 100, 30))] if image.path.stem == "f0" else []

run = Workspace("run")
ClearancePanel(run.read("figures"), run.path, person="Ada", look=look).widget
"""


@pytest.fixture
def run(lab) -> Workspace:
    """A run of four figures that are not cleared, 300 x 200 pixels."""
    import pandas as pd

    workspace, rows = Workspace(lab.folder / "run"), []
    for n in range(4):
        place = lab.folder / "run" / f"f{n}.png"
        Image.new("RGB", (300, 200), (90, 60 + 40 * n, 120)).save(place)
        known = {"figure_id": f"f{n}", "image": str(place), "mentions": [f"See {HOSTILE}"]}
        known |= {"caption": f"CT of Mr. Albert Quill {HOSTILE}", "modalities": ["ct_scan"]}
        known |= {"group_id": "g", "split": "train", "phash": "0" * 16, "source": "ward"}
        opened = open_figure(known)
        rows.append({**known, "sha256": opened.sha256, "cleared_reason": f"pixels {HOSTILE}"})
    frame = pd.DataFrame(rows).reindex(columns=TABLES["figures"].columns)
    workspace.write("figures", frame)
    return workspace


def _decisions(run: Workspace, n: int) -> list[dict]:
    until(lambda: len(ClearanceLog(run.path).decisions()) == n)
    return ClearanceLog(run.path).decisions().to_dict("records")


def _pixels(path: str | Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


def test_figures_are_cleared_redacted_and_rejected_by_mouse_and_keys(run, lab, page):
    write_notebook(lab.folder / "clearance.ipynb", [CELL])
    run_notebook(page, lab, "clearance.ipynb")
    assert errors(page) == []
    panel = page.locator(".vital")
    expect(panel).to_contain_text("4 of 4 figures not cleared")
    expect(panel.locator("svg.clearing image")).to_be_visible()
    expect(panel.locator("rect.removed")).to_have_count(1)  # the text that was found
    assert low_contrast(page, ".vital") == []

    # A box by mouse, from a quarter to a half of the image.
    area = panel.locator("svg.clearing").bounding_box()
    scale = min(area["width"] / 300, area["height"] / 200)
    left = area["x"] + (area["width"] - 300 * scale) / 2
    top = area["y"] + (area["height"] - 200 * scale) / 2
    page.mouse.move(left + 150 * scale, top + 100 * scale)
    page.mouse.down()
    page.mouse.move(left + 200 * scale, top + 150 * scale, steps=4)
    page.mouse.up()
    expect(panel.locator("rect.removed")).to_have_count(2)

    # Without a reason nothing is decided, and the reason's field has the focus.
    panel.get_by_role("button", name="Clear without").click()
    reason = panel.get_by_label("reason", exact=True)
    expect(reason).to_be_focused()
    assert ClearanceLog(run.path).decisions().empty
    reason.fill("name and number removed")
    panel.get_by_role("button", name="Clear without 3 marked").click()
    (first,) = _decisions(run, 1)
    assert (first["person"], first["figure_id"], first["cleared"]) == ("Ada", "f0", True)
    found, drawn = first["boxes"]
    assert found == [10, 20, 100, 30]
    assert np.abs(np.array(drawn) - [150, 100, 50, 50]).max() <= 2
    assert [span[0] for span in first["spans"]] == ["caption"]

    # The next figure by keys: a box, moved and resized; the found name is kept by its button.
    expect(panel).to_contain_text("1 decided")
    expect(panel.locator("svg.clearing image")).to_be_visible()
    panel.get_by_role("button", name="remove name: Mr. Albert Quill").click()
    panel.focus()
    page.keyboard.press("b")
    expect(panel.locator("rect.removed")).to_have_count(1)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("c")
    second = _decisions(run, 2)[1]
    assert second["figure_id"] == "f1" and second["spans"] == []
    assert second["boxes"] == [[117, 80, 60, 42]]

    # A box taken back, then cleared as it is but for words that nobody found.
    expect(panel).to_contain_text("2 decided")
    panel.focus()
    page.keyboard.press("b")
    page.keyboard.press("Delete")
    expect(panel.locator("rect.removed")).to_have_count(0)
    panel.get_by_label("words to remove").fill("see")
    panel.get_by_role("button", name="Clear without 2 marked").click()
    third = _decisions(run, 3)[2]
    assert third["boxes"] == [] and third["redacted_sha256"] is None
    assert sorted(span[0] for span in third["spans"]) == ["caption", "mention 1"]

    panel.focus()
    expect(panel).to_contain_text("3 decided")
    page.keyboard.press("x")
    fourth = _decisions(run, 4)[3]
    assert (fourth["figure_id"], fourth["cleared"]) == ("f3", False)
    expect(panel).to_contain_text("Decided: rejected")

    assert page.locator("#markup").count() == 0 and not page.evaluate("window.attacked")
    now = with_decisions(run.read("figures"), run.path).set_index("figure_id")
    assert now["cleared"].tolist() == [True, True, True, False]
    assert _pixels(now["image"]["f0"])[20:50, 10:110].max() == 0
    assert _pixels(now["image"]["f1"])[80:122, 117:177].max() == 0
    assert "Quill" not in now["caption"]["f0"] and "Quill" in now["caption"]["f1"]

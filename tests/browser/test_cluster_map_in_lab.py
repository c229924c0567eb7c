"""The map of demonstrations in a real JupyterLab: a lasso by mouse, picks by mouse and keys."""

from __future__ import annotations

import pytest
from lab import IN_CHROMIUM, PICTURE, run_notebook, write_notebook
from playwright.sync_api import Page, expect

pytestmark = IN_CHROMIUM

# Two groups of figures, one in the map's upper left and one in its lower right, and one row that
# has no place on it. What `picked()` holds is written under the map, for the test to read.
CELLS = (
    PICTURE,
    """
import ipywidgets
import numpy as np

names = [f"{side}{i}" for side in ("upper", "lower") for i in range(4)]
upper = np.array([[-3 - i % 2, 3 + i // 2] for i in range(4)])
points = np.concatenate([upper, -upper, [[-9, 9], [9, -9]]])  # two more, in the map's corners
figures = pd.DataFrame({"figure_id": [*names, "first", "last"],
                        "modalities": [["mri"]] * 4 + [["ct_scan"]] * 4 + [[]] * 2})
pool = pd.DataFrame([
    {"demonstration_id": f"{f}-accepted", "figure_id": f, "caption": "", "mentions": [],
     "modalities": [m], "turns": [{"instruction": f"What is {f}?", "response": HOSTILE}],
     "annotators": ["ann"], "origin": "this run"}
    for f, m in (("upper0", "mri"), ("upper3", "mri"), ("lower1", "ct_scan"), (None, "gross"))])
""",
    """
from vital_lib.panels.cluster_map import ClusterMap

chooser = ClusterMap(points, figures, pool, picture)
said = ipywidgets.Label()
def say(_):
    said.value = " ".join(["picks:", *chooser.picked()["demonstration_id"]])
chooser.conversations.widget.observe(say, "state")
display(said)
chooser.widget
""",
)


@pytest.fixture
def page(page, lab) -> Page:
    """The page with the map on it, all its images there."""
    write_notebook(lab.folder / "map.ipynb", CELLS)
    run_notebook(page, lab, "map.ipynb")
    expect(page.locator(".vital img")).to_have_count(3)
    return page


def _button(page: Page, label: str):
    return page.locator(".vital button", has_text=label)


def _expect_picked(page: Page, *names: str) -> None:
    """These are the ids in `picked()`, and the page counts as many."""
    expect(page.locator(".widget-label")).to_have_text(" ".join(["picks:", *names]))
    expect(page.get_by_role("button", name="Picked", exact=False).first).to_have_text(
        f"Picked {len(names)}"
    )


def _draw_round_the_upper_left(page: Page) -> None:
    canvas = page.locator("canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    corners = [(0.12, 0.12), (0.5, 0.12), (0.5, 0.5), (0.12, 0.5), (0.12, 0.2)]
    path = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*path[0])
    page.mouse.down()
    for x, y in path[1:]:
        page.mouse.move(x, y, steps=15)
    page.mouse.up()


def test_a_lasso_lists_its_region_and_picking_changes_what_is_picked(page):
    _draw_round_the_upper_left(page)
    expect(_button(page, "Region:")).to_have_text("Region: 4 figures")
    expect(page.locator(".vital .case")).to_have_count(2)
    expect(page.locator(".vital .case").first).to_contain_text("What is upper0?")

    page.get_by_role("button", name="pick upper3-accepted").click()
    _expect_picked(page, "upper3-accepted")
    _button(page, "Pick all 1").click()
    _expect_picked(page, "upper0-accepted", "upper3-accepted")
    page.get_by_role("button", name="pick upper0-accepted").click()
    _expect_picked(page, "upper3-accepted")
    expect(_button(page, "Region:")).to_have_text("Region: 4 figures")  # a pick keeps the region

    _button(page, "Not on the map 1").click()
    expect(page.locator(".vital .case")).to_have_count(1)
    expect(page.locator(".vital .case")).to_contain_text("image not available")


def test_everything_but_the_lasso_is_done_by_keys_and_nothing_runs(page):
    cells = page.locator(".jp-Cell").count()
    _button(page, "CT").focus()
    page.keyboard.press("Enter")  # takes the modality's figures as the region
    expect(page.locator(".vital .case")).to_have_count(1)
    _button(page, "Pick all 1").focus()
    for key in ("Space", "a", "d", "d"):  # Lab would add and delete cells
        page.keyboard.press(key)
    _expect_picked(page, "lower1-accepted")
    assert page.locator(".jp-Cell").count() == cells
    assert page.locator(".vital #markup").count() == 0
    assert page.evaluate("window.attacked") is None
    width = page.evaluate("document.querySelector('.vital').getBoundingClientRect().right")
    assert width <= 1280

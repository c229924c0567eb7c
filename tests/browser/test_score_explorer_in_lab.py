"""The score explorer in a real JupyterLab: its cut dragged by mouse, moved by keys, and acting."""

from __future__ import annotations

import io
import re
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from lab import IN_CHROMIUM, PICTURE, errors, run_notebook, write_notebook
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from waiting import until

from vital_lib.tables import Workspace
from vital_lib.walkthrough import run_notebooks

pytestmark = [*IN_CHROMIUM, pytest.mark.parametrize("lab", ["light"], indirect=True)]

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "07_select_instructions.ipynb"
SMALL = {"articles": 60, "train_sample": 12, "validation_sample": 12, "test_sample": 16}
SMALL |= {"questions": 2, "rounds": 2, "judge_pairs": 100, "weights": [10], "sizes": []}

# 400 candidates to select from: the more a figure is an MRI, the lower it scores. What the panel
# holds in the kernel is written below it, for the test to read.
CELLS = (
    PICTURE,
    """
import ipywidgets
import numpy as np

rng = np.random.default_rng(0)
n = 600
figures = pd.DataFrame({
    "figure_id": [f"f{i}" for i in range(n)],
    "modalities": [["mri"] if i % 4 == 0 else ["ct_scan"] for i in range(n)],
    "split": ["train" if i < 400 else "test" for i in range(n)]})
rows = pd.DataFrame({
    "candidate_id": [f"f{i}-r1-a" for i in range(n)], "figure_id": figures["figure_id"],
    "instruction": HOSTILE, "response": [f"Answer {i}. {HOSTILE}" for i in range(n)],
    "question_type": rng.choice(["side", "size"], n), "stage": "final", "arm": "none",
    "cluster": [str(i % 4) for i in range(n)], "flags": [[] for _ in range(n)]})
scores = rows[["candidate_id"]].assign(
    score=rng.normal(size=n) - 2.5 * np.array([i % 4 == 0 for i in range(n)]))
people = rows[["candidate_id"]][400:].assign(accepted=rng.integers(0, 2, 200), annotators=1)
ratings = pd.Series(rng.integers(0, 11, n).astype(float), rows["candidate_id"])
ratings[scores["score"].to_numpy() < -2] = 10.0  # the judge likes what the selector likes least
other = pd.Series(rng.normal(size=n), rows["candidate_id"])
expected = pd.DataFrame({"ranked_by": ["selector"] * 20 + ["random"] * 20,
    "share": [i / 20 for i in range(1, 21)] * 2, "candidates": 200, "articles": 50,
    "accepted": [0.9 - i / 100 for i in range(20)] + [0.7] * 20})
expected = expected.assign(low=expected["accepted"] - 0.05, high=expected["accepted"] + 0.05)
""",
    """
from IPython.display import display
from vital_lib.panels import ScoreExplorer

panel = ScoreExplorer(scores, rows, figures, picture, pool=rows["candidate_id"][:400],
                      people=people, ratings=ratings, other=other, other_name="recipe",
                      expected=expected)
said, chosen = ipywidgets.Label(), ipywidgets.Label()
def say(_=None):
    said.value = f"{panel.share} {len(panel.kept)} {panel.within}"
    chosen.value = f"{len(panel.selected())} {panel.selected()['score'].max():.3f}"
panel.widget.observe(say, "state")
say()
display(said, chosen)
panel.widget
""",
)


@pytest.fixture
def page(page, lab) -> Page:
    """The page with the panel on it, its scores there."""
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    write_notebook(lab.folder / "scores.ipynb", CELLS)
    run_notebook(page, lab, "scores.ipynb")
    assert errors(page) == []
    expect(page.locator(".vital .chart")).to_be_visible(timeout=60_000)
    yield page
    assert page.faults == [] and page.evaluate("window.attacked") is None
    assert page.locator(".vital #markup").count() == 0


def _slider(page: Page) -> Locator:
    return page.get_by_role("slider", name="cut")


def _kept(page: Page) -> tuple[int, int, float]:
    """What the page says, which is what the kernel has: kept, of how many, and the share."""
    status = page.locator(".vital .head span[role=status]")
    expect(status).to_have_attribute("aria-busy", "false")
    text = status.inner_text().replace(",", "")
    kept, of, share = re.fullmatch(r"(\d+) of (\d+) candidates kept \(([\d.]+) %\)", text).groups()
    return int(kept), int(of), float(share) / 100


def _in_the_kernel(page: Page, share: float, kept: int, within: str = "None") -> None:
    expect(page.locator(".widget-label").first).to_have_text(f"{share} {kept} {within}")


def _drag(page: Page, by: float, steps: int = 12) -> None:
    """Drag the cut by a part of the histogram's width."""
    _slider(page).scroll_into_view_if_needed()
    grip = _slider(page).locator(".grip").bounding_box()
    width = page.locator(".vital .chart svg").bounding_box()["width"]
    x, y = grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by * width, y, steps=steps)
    page.mouse.up()


def test_the_cut_is_dragged_and_the_kernel_holds_the_share(page):
    _in_the_kernel(page, 0.4, 160)
    _drag(page, 0.1)
    expect(page.locator(".vital .head span[role=status]")).not_to_contain_text("(40.0 %)")
    kept, of, share = _kept(page)
    assert of == 400 and share < 0.35
    _in_the_kernel(page, round(share, 3), kept)
    assert kept == round(share * 400)
    _drag(page, -0.3, steps=1)  # in one move
    expect(page.locator(".vital .head span[role=status]")).not_to_contain_text(
        f"({100 * share:.1f} %)"
    )
    kept, _, more = _kept(page)
    assert more > 0.5
    _in_the_kernel(page, round(more, 3), kept)


def test_the_cut_is_moved_by_keys_which_run_nothing_else(page):
    cells = page.locator(".jp-Cell").count()
    for key in ("ArrowLeft", "ArrowLeft", "ArrowUp"):
        _slider(page).press(key)
    _in_the_kernel(page, 0.41, 164)
    page.keyboard.press("PageUp")
    _in_the_kernel(page, 0.31, 124)
    expect(_slider(page)).to_have_attribute("aria-valuetext", re.compile(r"31\.0 % kept, score"))
    page.keyboard.press("Home")
    _in_the_kernel(page, 1.0, 400)
    page.keyboard.press("End")
    _in_the_kernel(page, 0.001, 1)
    for key in ("a", "d", "d"):  # Lab would add and delete cells
        page.keyboard.press(key)
    assert page.locator(".jp-Cell").count() == cells
    grip = page.locator(".vital .cut .grip")
    assert grip.evaluate("(node) => getComputedStyle(node).strokeWidth") == "4px"  # has focus


@pytest.mark.parametrize("by", ["mouse", "key"])
def test_a_cell_run_after_the_cut_moved_finds_its_share_though_the_kernel_was_busy(page, lab, by):
    """Without subshells, as in other front ends, messages and cells wait for one another."""
    page.evaluate(_NO_SUBSHELLS)
    page.evaluate(_QUEUE, _BUSY)
    until((lab.folder / "busy").exists)
    if by == "mouse":
        _drag(page, 0.1)
        _drag(page, 0.1)
    else:
        for key in ("ArrowRight", "PageUp", "ArrowRight"):
            _slider(page).press(key)
    page.evaluate(_QUEUE, "print('share', panel.share)")
    assert page.locator(".vital .head span[role=status]").get_attribute("aria-busy") == "true"
    (lab.folder / "busy").unlink()
    kept, _, share = _kept(page)
    expect(page.locator(".jp-OutputArea-output", has_text=re.compile("^share")).last).to_have_text(
        f"share {round(share, 3)}\n"
    )
    assert share < 0.32
    _in_the_kernel(page, round(share, 3), kept)


def test_a_group_below_half_its_share_is_warned_of_while_the_cut_moves(page):
    warning = page.locator(".vital .quotas [role=status]")
    expect(warning).to_contain_text("modality MRI")  # one candidate in four, but scored far lower
    expect(warning).to_contain_text("cluster 0")
    row = page.locator(".vital .groups tr", has_text="MRI")
    expect(row).to_contain_text("⚠")
    _slider(page).press("Home")
    expect(warning).to_have_text("✓ Each modality and each cluster keeps at least half its share "
                                 "of the pool.")  # fmt: skip
    for key in ("End", *["PageDown"] * 4):
        _slider(page).press(key)
    expect(warning).to_contain_text("modality MRI")
    page.get_by_role("group", name="quota for each").get_by_role("button", name="modality").click()
    expect(warning).to_contain_text("✓")
    kept, _, share = _kept(page)
    _in_the_kernel(page, round(share, 3), kept, "modality")
    expect(row).to_contain_text("25 % → 25 %")


def test_sets_are_shown_apart_by_votes_with_values_on_hover_and_saved(page):
    expect(page.locator(".vital .choosing")).to_contain_text("400 of these are about training")
    page.get_by_role("button", name="held-out articles 200").click()
    page.get_by_role("group", name="by", exact=True).get_by_role("button", name="votes").click()
    rows = page.locator(".vital .groups tr")
    expect(rows).to_have_count(3)  # accepted, rejected; none is unjudged
    counts = [
        int(text) for text in page.locator(".vital .groups td:nth-child(2)").all_inner_texts()
    ]
    assert sum(counts) == 200
    chart = page.locator(".vital .chart svg").first
    box = chart.bounding_box()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"])
    expect(page.locator(".vital .readout").first).to_have_text(
        re.compile(r"score .+ to .+: \d+ \(.+ \d")
    )
    with page.expect_download() as taken:
        page.get_by_role("button", name="save the rows shown as CSV").click()
    table = pd.read_csv(io.BytesIO(Path(taken.value.path()).read_bytes()))
    assert taken.value.suggested_filename == "scores_held-out.csv" and len(table) == 200
    assert set(table["split"]) == {"test"}
    with page.expect_download() as taken:
        page.get_by_role("button", name="save the histogram as PNG").click()
    picture = Image.open(Path(taken.value.path()))
    assert picture.format == "PNG" and picture.width > 800
    assert len(picture.convert("RGB").getcolors(1 << 24)) > 5


# --- the views below


_QUEUE = """(source) => {
  const { commands, shell } = window.jupyterapp, notebook = shell.currentWidget.content;
  notebook.activeCellIndex = notebook.widgets.length - 1;
  return commands.execute("notebook:insert-cell-below").then(() => {
    notebook.activeCell.model.sharedModel.setSource(source);
    commands.execute("notebook:run-cell");
  });
}"""
"""Put a cell below all others and run it, without waiting for its end."""

_NO_SUBSHELLS = """() => {
  const { sessionContext } = window.jupyterapp.shell.currentWidget;
  sessionContext.session.kernel.commsOverSubshells = "disabled";
}"""

_BUSY = """
import pathlib, time
pathlib.Path("busy").touch()
while pathlib.Path("busy").exists():
    time.sleep(0.02)
"""


def _view(page: Page, name: str) -> None:
    page.locator(".vital").get_by_role("group", name="view").get_by_role(
        "button", name=name, exact=True
    ).click()


def _picked(page: Page) -> Locator:
    return page.locator(".inspect [role=status]").first


def test_a_lasso_selects_points_in_the_kernel_and_one_is_looked_at(page):
    _view(page, "score and rating")
    plot = page.locator(".inspect svg.lasso")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    corners = [(0.1, 0.07), (0.5, 0.07), (0.5, 0.2), (0.1, 0.2)]  # low scores, high ratings
    path = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*path[0])
    page.mouse.down()
    for corner in path[1:]:
        page.mouse.move(*corner, steps=8)
    page.mouse.up()
    expect(_picked(page)).to_have_text(re.compile(r"lasso: [1-9]\d* selected"))
    number = re.search(r"\d+", _picked(page).inner_text()).group()
    expect(page.locator(".widget-label").nth(1)).to_contain_text(f"{number} ")
    best = float(page.locator(".widget-label").nth(1).inner_text().split()[1])
    assert best < 1  # none of the right half
    item = page.locator(".inspect .picked button").first
    item.press("Enter")
    looked = page.get_by_role("region", name="candidate")
    expect(looked.locator("img")).to_be_visible()
    expect(looked).to_contain_text("of 10")
    expect(looked).to_contain_text('<b id="markup">bold</b>')  # as text
    expect(plot.locator("circle.looked")).to_have_count(1)


def test_disagreements_and_what_crosses_the_cut_are_one_key_away(page):
    _view(page, "score and rating")
    select = page.locator(".vital").get_by_role("group", name="select")
    chip = select.get_by_role("button", name="judge higher")
    number = re.search(r"\d+$", chip.inner_text()).group()
    assert int(number) > 20
    chip.press("Enter")
    expect(_picked(page)).to_contain_text(f"judge higher: {number} selected")
    expect(page.locator(".widget-label").nth(1)).to_contain_text(f"{number} ")
    _view(page, "selector and recipe")
    enter = select.get_by_role("button", name="enter the set")
    number = re.search(r"\d+$", enter.inner_text()).group()
    enter.press(" ")
    expect(_picked(page)).to_contain_text(f"enter the set: {number} selected")
    _slider(page).press("Home")  # everything is kept by both
    expect(enter).to_be_disabled()


def test_the_accepted_share_follows_the_cut(page):
    _view(page, "accepted share")
    told = page.locator(".inspect [role=status]")
    expect(told).to_have_text(
        "at a share of 40 %: selector 83.0 % [78.0, 88.0]; random 70.0 % [65.0, 75.0]"
    )
    _slider(page).press("PageUp")
    expect(told).to_contain_text("at a share of 30 %: selector 85.0 %")


# --- notebook 07 as committed


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Workspace:
    """A small run that has come as far as notebook 07 needs."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    for _ in run_notebooks(folder, settings=SMALL, first="01", last="06"):
        pass
    return Workspace(folder)


_RUN_FROM_THE_CELL_AFTER = """async () => {
  const { commands, shell } = window.jupyterapp, notebook = shell.currentWidget.content;
  notebook.activeCellIndex = notebook.widgets.findIndex(
    (cell) => cell.model.sharedModel.source.includes("= panel.share"));
  await commands.execute("notebook:run-all-below");
}"""


def test_notebook_07_selects_the_share_to_which_the_cut_is_dragged(run, lab, page):
    book = nbformat.read(NOTEBOOK, as_version=4)
    [cell] = [cell for cell in book.cells if "parameters" in cell.metadata.get("tags", [])]
    cell.source += f"\nrun = {str(run.path)!r}"
    nbformat.write(book, lab.folder / NOTEBOOK.name)
    run_notebook(page, lab, NOTEBOOK.name)
    assert errors(page) == []
    before = run.read("selected")
    kept, of, share = _kept(page)
    assert share == 0.4 and before["turns"].str.len().sum() == kept

    _drag(page, 0.15)
    expect(page.locator(".vital .head span[role=status]")).not_to_contain_text("(40.0 %)")
    kept, _, share = _kept(page)
    assert 0 < kept < 0.3 * of
    page.evaluate(_RUN_FROM_THE_CELL_AFTER)
    assert errors(page) == []
    selected = run.read("selected")
    assert selected["turns"].str.len().sum() == kept
    assert set(selected["conversation_id"]) < set(before["conversation_id"])
    assert run.metrics["selection.share"] == round(share, 3)

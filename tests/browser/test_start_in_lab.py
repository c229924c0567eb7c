"""Notebook 00 as committed, in a real JupyterLab: its first view, and where its links lead."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from lab import IN_CHROMIUM, errors, run_notebook
from playwright.sync_api import Locator, Page, expect

from vital_lib.figures import read_figures
from vital_lib.report import write_report
from vital_lib.tables import Workspace, empty_frame

pytestmark = [*IN_CHROMIUM, pytest.mark.parametrize("lab", ["light"], indirect=True)]

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
START = "notebooks/00_start_here.ipynb"


@pytest.fixture
def run(lab) -> Workspace:
    """A run with figures and nothing else, beside copies of the notebooks, and its report."""
    shutil.copytree(NOTEBOOKS, lab.folder / "notebooks", dirs_exist_ok=True)
    workspace = Workspace(lab.folder / "data" / "runs" / "demo")
    figures, rejected = read_figures("clinic", run=workspace.path, articles=6)
    workspace.write("figures", figures)
    workspace.write("figures_rejected", rejected)
    workspace.write("figures_sampled", empty_frame("figures_sampled"), made_from=["figures"])
    workspace.record({"figures.n": len(figures)}, written_by="01_explore_figures")
    write_report(workspace)
    return workspace


def _in_first_view(page: Page, part: Locator) -> bool:
    box = part.bounding_box()
    return box is not None and box["y"] >= 0 and box["y"] + box["height"] <= 800


def test_the_first_view_is_the_method_with_the_state_of_the_run_and_no_code(run, lab, page):
    page.set_viewport_size({"width": 1280, "height": 800})
    run_notebook(page, lab, START)
    assert errors(page) == []
    shown = page.locator(".vital-progress")
    picture = shown.get_by_role("img")
    assert "Figures: written; Drafts: missing" in picture.get_attribute("alt")
    page.locator(".jp-WindowedPanel-outer").evaluate("node => node.scrollTo(0, 0)")
    links = shown.locator("a").all()
    assert len(links) == 11  # nine steps, the next one, the report
    assert all(_in_first_view(page, part) for part in (picture, *links))
    above = page.locator(".jp-CodeCell .cm-content:visible").first
    assert above.inner_text().splitlines()[0].startswith("run =")  # the parameters


def test_next_opens_its_notebook_and_the_report_opens_in_a_tab(run, lab, page):
    run_notebook(page, lab, START)
    shown = page.locator(".vital-progress")
    shown.locator("p a", has_text="02_draft_candidates").click()
    expect(
        page.locator(".lm-TabBar-tabLabel", has_text="02_draft_candidates.ipynb")
    ).to_be_visible()
    page.locator(".lm-TabBar-tabLabel", has_text="00_start_here.ipynb").click()
    shown.locator("a", has_text="report.html").click()
    expect(page.locator(".lm-TabBar-tabLabel", has_text="report.html")).to_be_visible()
    report = page.frame_locator("iframe").get_by_role("heading", name="BioMed-VITAL, run")
    expect(report).to_be_visible()


def test_the_link_at_the_end_of_a_notebook_opens_the_next_one(run, lab, page):
    page.goto(lab.url("notebooks/03_label_preferences.ipynb"))
    link = page.locator(".jp-MarkdownOutput a", has_text="04_generate_instructions")
    link.click()
    expect(
        page.locator(".lm-TabBar-tabLabel", has_text="04_generate_instructions.ipynb")
    ).to_be_visible()

"""Panels in a real JupyterLab: live while their kernel runs, and in their static form without."""

from __future__ import annotations

import papermill
from lab import IN_CHROMIUM, PICTURE, START_SECONDS, Lab, run_notebook, write_notebook
from playwright.sync_api import Page, expect

pytestmark = IN_CHROMIUM

PANELS = """
from vital_lib.client.job import Job
from vital_lib.panels import FigureBrowser, RunMonitor
figures = pd.DataFrame([
    {"figure_id": f, "caption": f"Caption of {f}. {HOSTILE} $x^2$", "mentions": [],
     "modalities": ["mri"], "split": "train"} for f in ("f1", "f2")])
FigureBrowser(figures, picture).widget
"""
MONITOR = "job = Job(lambda control: None, 3)\nRunMonitor(job, 'Drafts').widget"
CELLS = [PICTURE, PANELS, MONITOR, "job.start().result()"]
FORM = ".mathjax_ignore"
SAVED = "window.jupyterapp.commands.execute('docmanager:save')"


def _open(page: Page, lab: Lab, name: str) -> None:
    page.goto(lab.url(name))
    page.wait_for_selector(".jp-Notebook", timeout=START_SECONDS * 1000)


def _shown_live(page: Page) -> None:
    panels = page.locator(".vital")
    expect(panels).to_have_count(2)
    expect(panels.first).to_contain_text("Caption of f1.")
    expect(panels.last).to_contain_text("✓ finished")
    expect(page.locator(FORM)).to_have_count(0)


def test_with_its_kernel_a_panel_is_shown_live_and_alone_also_after_a_reload(page, lab):
    write_notebook(lab.folder / "live.ipynb", CELLS)
    run_notebook(page, lab, "live.ipynb")
    _shown_live(page)
    page.evaluate(SAVED)
    _open(page, lab, "live.ipynb")
    _shown_live(page)


def test_an_executed_notebook_is_opened_with_its_panels_in_their_static_form(page, lab):
    """As made elsewhere: no kernel has the panels, and this Jupyter does not trust the outputs."""
    write_notebook(lab.folder / "executed.ipynb", CELLS)
    papermill.execute_notebook(
        str(lab.folder / "executed.ipynb"),
        str(lab.folder / "executed.ipynb"),
        progress_bar=False,
        store_widget_state=False,
    )
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    _open(page, lab, "executed.ipynb")
    forms = page.locator(FORM)
    expect(forms).to_have_count(2)
    expect(forms.first).to_contain_text("Caption of f1. <b")
    expect(forms.first).to_contain_text("$x^2$")
    expect(forms.last).to_contain_text("finished, 0 of 3 done")
    images = page.locator(f"{FORM} img")
    expect(images).to_have_count(2)
    assert images.first.evaluate("image => image.decode().then(() => image.naturalWidth)") == 224
    assert page.locator("#markup, .vital").count() == 0
    assert not page.evaluate("window.attacked") and not faults

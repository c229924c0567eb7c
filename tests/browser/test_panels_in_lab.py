"""The panels in a real JupyterLab, pressed by mouse and keys; the card has a file of its own."""

from __future__ import annotations

import re

from lab import IN_CHROMIUM, PICTURE, Lab, run_notebook, write_notebook
from playwright.sync_api import Page, expect

pytestmark = IN_CHROMIUM

ROWS = """
figures = pd.DataFrame([
    {"figure_id": f, "caption": f"Caption of {f}. {HOSTILE}", "mentions": [HOSTILE],
     "modalities": ["mri"], "split": "train"} for f in ("f1", "f2", "f3")])
drafts = pd.DataFrame([
    {"candidate_id": f"{f}-r{r}-{x}", "instruction_id": f"{f}-r{r}", "figure_id": f,
     "conversation_id": f, "stage": "draft", "arm": "none", "round": r, "generator": "clinic",
     "prompt_version": "0123456789",
     "instruction": f"Question {r} about {f}?", "response": f"Answer {x}. {HOSTILE}",
     "question_type": "side", "demonstration_ids": [], "flags": []}
    for f in ("f1", "f2", "f3") for r in (1, 2, 3) for x in "ab"])
"""
ALL_PANELS = """
from types import SimpleNamespace
from IPython.display import display
from pydantic import BaseModel
from vital_lib.panels import *

class Reply(BaseModel):
    answer: str

prompt = SimpleNamespace(name="rating", version="v1", schema=Reply,
                         messages=({"role": "user", "content": [HOSTILE]},))
ratings = drafts[["candidate_id"]].assign(
    overall=9.0, criteria=[[{"criterion": "scope", "rating": 4.0}]] * len(drafts),
    rationale=HOSTILE)
people = drafts[["candidate_id"]].assign(accepted=0.0, annotators=1)
scores = drafts[["candidate_id"]].assign(score=[i / 10 for i in range(len(drafts))])
cut = ScoreExplorer(scores, drafts, figures, picture)
chat = ModelChat({"base": lambda image, question: question + HOSTILE},
                 {"f1": Image.new("RGB", (64, 64))})
for panel in (FigureBrowser(figures, picture), PromptViewer(prompt),
              CandidateViewer(drafts, figures, picture),
              JudgePanel(ratings, drafts, people, figures, picture), cut, chat):
    display(panel.widget)
"""


_ONE = re.compile(r"^[\d.]+px$")  # column, where there is room for no more


def _open(page: Page, lab: Lab, name: str, *cells: str) -> None:
    write_notebook(lab.folder / name, cells)
    run_notebook(page, lab, name)
    page.wait_for_selector(".vital", timeout=30_000)


def _button(page: Page, label: str):
    return page.locator(".vital button", has_text=label)


def test_every_panel_is_drawn_and_its_texts_stay_texts(page, lab):
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    _open(page, lab, "panels.ipynb", PICTURE + ROWS, ALL_PANELS)
    expect(page.locator(".vital")).to_have_count(6)
    expect(page.locator(".vital .picture img").first).to_be_visible()
    assert page.evaluate("document.querySelector('#markup')") is None
    assert page.evaluate("window.attacked") is None
    assert page.locator(".vital").first.inner_text().count('<b id="markup">bold</b>') == 2

    _button(page, "Next ›").first.click()
    expect(page.locator(".vital input[type=number]").first).to_have_value("2")
    page.get_by_role("slider", name="cut").press("ArrowLeft")
    expect(page.locator(".vital [role=status]", has_text="41.0 %")).to_be_visible()
    page.locator(".vital input[name=question]").fill("Which side?")
    _button(page, "Ask").click()
    expect(page.locator(".vital .answers")).to_contain_text("Which side?<b id=")
    assert faults == []

    page.set_viewport_size({"width": 700, "height": 900})
    wide = "(panels) => panels.map((panel) => panel.scrollWidth - panel.clientWidth)"
    expect(page.locator(".vital .disagreement")).to_have_css("grid-template-columns", _ONE)
    assert page.locator(".vital").evaluate_all(wide) == [0] * 6

"""The panels in a real JupyterLab, pressed by mouse and keys; the card has a file of its own."""

from __future__ import annotations

import re

import pytest
from contrast import low_contrast
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
                 {"f1": Image.new("RGB", (64, 64))}, {"f1": [("Which lobe?", "upper")]})
for panel in (FigureBrowser(figures, picture), PromptViewer(prompt),
              CandidateExplorer(drafts, figures, picture),
              JudgePanel(ratings, drafts, people, figures, picture), cut, chat):
    display(panel.widget)
"""
REWARDS = """
from vital_lib import rewards
from vital_lib.panels import RewardPanel
rows = drafts.assign(group_id=drafts["figure_id"], response=[
    f"It may be a cyst. {HOSTILE}" if i % 2 else "It is a cyst." for i in range(len(drafts))])
preferences = pd.DataFrame({
    "item_id": rows["instruction_id"][::2], "annotator": "ann",
    "left_id": rows["candidate_id"][::2], "left_accepted": True, "right_accepted": False,
}).assign(right_id=list(rows["candidate_id"][1::2]))
panel = RewardPanel(rewards.rewards(rows, preferences), rows, preferences, None, picture)
panel.widget
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
    _button(page, "Which lobe?").click()
    expect(page.locator(".vital .chat")).to_contain_text("Reference: upper")
    expect(page.locator(".vital .answers").first).to_contain_text("check it against the image")
    assert faults == []

    page.set_viewport_size({"width": 700, "height": 900})
    wide = "(panels) => panels.map((panel) => panel.scrollWidth - panel.clientWidth)"
    expect(page.locator(".vital .disagreement")).to_have_css("grid-template-columns", _ONE)
    assert page.locator(".vital").evaluate_all(wide) == [0] * 6


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_every_text_of_every_panel_stands_out_from_its_ground(page, lab, theme):
    _open(page, lab, "contrast.ipynb", PICTURE + ROWS, ALL_PANELS, REWARDS)
    expect(page.locator(".vital")).to_have_count(7)
    change = "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })"
    page.evaluate(change, theme)
    light = str(theme.endswith("Light")).lower()
    expect(page.locator(f"body[data-jp-theme-light={light}]")).to_be_attached()
    page.emulate_media(reduced_motion="reduce")  # colours do not fade
    assert low_contrast(page, ".vital") == []


def test_a_property_is_chosen_and_its_pairs_are_paged_with_the_mouse_and_the_keys(page, lab):
    _open(page, lab, "rewards.ipynb", PICTURE + ROWS, REWARDS)
    pressed = page.locator('.vital .rewards button[aria-pressed="true"]')
    expect(pressed).to_contain_text("length")
    _button(page, "hedging words").click()
    expect(page.locator(".vital mark")).to_have_text("may be")
    expect(page.locator(".vital .rewards")).to_contain_text("accepted by 0 % · hedging words: 1")
    assert page.evaluate("document.querySelector('#markup') ?? window.attacked ?? null") is None
    page.keyboard.press("ArrowRight")
    expect(page.locator(".vital input[type=number]")).to_have_value("2")
    expect(page.locator(".vital strong")).to_have_text("Question 2 about f1?")
    _button(page, "has a side").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".vital .rewards")).to_contain_text("No pair of responses differs")
    page.set_viewport_size({"width": 700, "height": 900})
    expect(page.locator(".vital .rewards")).to_have_css("grid-template-columns", _ONE)

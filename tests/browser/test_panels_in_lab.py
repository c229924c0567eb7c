"""The panels in a real JupyterLab, pressed by mouse and keys; the log's rows are counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import CHROMIUM, Lab, chromium, jupyter_lab, run_notebook, write_notebook
from playwright.sync_api import Page, expect

from vital_lib.labels import LabelLog

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]

ROWS = """
import io
import pandas as pd
from PIL import Image

HOSTILE = '<b id="markup">bold</b><img src=x onerror="window.attacked = true">'

def picture(figure_id):
    file = io.BytesIO()
    Image.new("RGB", (224, 224), "teal").save(file, format="JPEG")
    return file.getvalue()

figures = pd.DataFrame([
    {"figure_id": f, "caption": f"Caption of {f}. {HOSTILE}", "mentions": [HOSTILE],
     "modalities": ["mri"], "split": "train"} for f in ("f1", "f2", "f3")])
drafts = pd.DataFrame([
    {"candidate_id": f"{f}-r{r}-{x}", "instruction_id": f"{f}-r{r}", "figure_id": f,
     "conversation_id": f, "stage": "draft", "arm": "none", "round": r, "generator": "clinic",
     "instruction": f"Question {r} about {f}?", "response": f"Answer {x}. {HOSTILE}",
     "question_type": "side", "demonstration_ids": [], "flags": []}
    for f in ("f1", "f2", "f3") for r in (1, 2, 3) for x in "ab"])
"""
CARD = """
from vital_lib.labels import LabelLog, queue
from vital_lib.panels import PreferenceCard
log = LabelLog("sqlite:///labels.sqlite")
card = PreferenceCard(
    queue(drafts, "ann"), drafts, figures, picture, log.record, "ann", undo=log.undo)
card.widget
"""
SLOW_CARD = """
import pathlib, time
from vital_lib.labels import queue
from vital_lib.panels import PreferenceCard

def record(**event):
    while not pathlib.Path("go").exists():
        time.sleep(0.05)
    if pathlib.Path("go").read_text() == "fail":
        raise OSError("the disk is full")
    return event["event_id"]

PreferenceCard(queue(drafts, "ann"), drafts, figures, picture, record, "ann").widget
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
people = drafts[["candidate_id"]].assign(accepted=False)
scores = drafts[["candidate_id"]].assign(score=[i / 10 for i in range(len(drafts))])
cut = CutPanel(scores, drafts, figures, picture)
chat = ModelChat({"base": lambda image, question: question + HOSTILE},
                 {"f1": Image.new("RGB", (64, 64))})
progress = ProgressView(4, "Rating " + HOSTILE)
progress.step(1, HOSTILE)
for panel in (FigureBrowser(figures, picture), PromptViewer(prompt),
              CandidateViewer(drafts, figures, picture),
              JudgePanel(ratings, drafts, people, figures, picture), cut, progress, chat):
    display(panel.widget)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("notebooks")


@pytest.fixture(scope="module")
def server(folder, tmp_path_factory) -> Iterator[Lab]:
    with jupyter_lab(folder, tmp_path_factory.mktemp("private"), theme="dark") as lab:
        yield lab


@pytest.fixture
def page() -> Iterator[Page]:
    with chromium() as page:
        yield page


def _open(page: Page, server: Lab, name: str, *cells: str) -> None:
    write_notebook(server.folder / name, cells)
    run_notebook(page, server, name)
    page.wait_for_selector(".vital", timeout=30_000)


def _button(page: Page, label: str):
    return page.locator(".vital button", has_text=label)


def _type(page: Page, key: str) -> None:
    """Press `key` once the card's figure is there: until then it takes no judgement."""
    expect(_button(page, "Both")).to_be_enabled()
    page.keyboard.press(key)


def test_labels_by_mouse_and_keys_are_all_in_the_log(page, server, folder):
    _open(page, server, "card.ipynb", ROWS, CARD)
    progress, status = page.locator(".vital .head .number"), page.locator(".vital [role=status]")
    expect(progress).to_have_text("item 1 of 9")

    _button(page, "Only left").click()
    expect(status).to_have_text("✓ Item 1 saved: left accepted, right rejected")
    expect(progress).to_have_text("item 2 of 9")

    _button(page, "Only right").dblclick()  # the second press must not fall on the next item
    expect(progress).to_have_text("item 3 of 9")

    for number, key, said in (
        (3, "3", "left accepted, right accepted"),
        (4, "4", "left rejected, right rejected"),
    ):
        _type(page, key)
        expect(status).to_have_text(f"✓ Item {number} saved: {said}")
    expect(progress).to_have_text("item 5 of 9")

    _type(page, "q")
    expect(_button(page, "accept").first).to_have_attribute("aria-pressed", "true")
    _type(page, "s")
    expect(progress).to_have_text("item 6 of 9")

    _type(page, "u")
    expect(progress).to_have_text("item 5 of 9")
    _type(page, "5")
    expect(status).to_have_text("✓ Item 5 saved: cannot be judged")
    _type(page, "6")
    expect(status).to_have_text("✓ Item 6 saved: flagged as unsafe")
    for number in (8, 9):
        _type(page, "1")
        expect(progress).to_have_text(f"item {number} of 9")
    _type(page, "1")
    expect(page.locator(".vital")).to_contain_text("This is the end of the queue")
    expect(progress).to_have_text("9 of 9 judged")

    log = LabelLog(f"sqlite:///{folder / 'labels.sqlite'}")
    choices = list(log.preferences().sort_values("item_id").choice)
    assert sorted(choices) == sorted(["left"] * 4 + ["right", "both", "neither"] + ["skip"] * 2)
    assert len(log.history()) == 11  # nine judgements, the one undone, and its undo


def test_jupyter_takes_no_key_that_is_pressed_on_a_panel(page, server):
    _open(page, server, "keys.ipynb", ROWS, CARD.replace("labels.sqlite", "keys.sqlite"))
    cells, undo = page.locator(".jp-Notebook .jp-Cell"), _button(page, "Undo")
    _button(page, "Both").click()
    expect(undo).to_be_enabled()
    # Jupyter adds, cuts and deletes cells by these, and turns them into headings by digits.
    for number, place in ((3, undo), (4, page.locator(".vital"))):
        place.focus()
        for key in "bxddm1":
            _type(page, key)
        expect(page.locator(".vital .head .number")).to_have_text(f"item {number} of 9")
    assert cells.count() == 2
    assert page.locator(".jp-Notebook .jp-CodeCell").count() == 2


def test_saved_is_not_shown_before_the_kernel_has_answered(page, server, folder):
    _open(page, server, "slow.ipynb", ROWS, SLOW_CARD)
    status = page.locator(".vital [role=status]")
    _button(page, "Both").click()
    expect(status).to_have_text("Saving …")
    expect(status).to_have_text("✗ Not saved yet: the kernel has not answered")
    (folder / "go").write_text("fail")
    expect(status).to_contain_text("✗ Not saved: the disk is full")
    expect(page.locator(".vital .head .number")).to_have_text("item 1 of 9")
    (folder / "go").write_text("well")
    _button(page, "Both").click()
    expect(status).to_have_text("✓ Item 1 saved: left accepted, right accepted")


def test_every_panel_is_drawn_and_its_texts_stay_texts(page, server):
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    _open(page, server, "panels.ipynb", ROWS, ALL_PANELS)
    expect(page.locator(".vital")).to_have_count(7)
    expect(page.locator(".vital .picture img").first).to_be_visible()
    assert page.evaluate("document.querySelector('#markup')") is None
    assert page.evaluate("window.attacked") is None
    assert page.locator(".vital").first.inner_text().count('<b id="markup">bold</b>') == 2

    _button(page, "Next ›").first.click()
    expect(page.locator(".vital input[type=number]").first).to_have_value("2")
    page.locator(".vital input[type=range]").press("ArrowRight")
    expect(page.locator(".vital strong", has_text="41 %")).to_be_visible()
    page.locator(".vital input[name=question]").fill("Which side?")
    _button(page, "Ask").click()
    expect(page.locator(".vital .answers")).to_contain_text("Which side?<b id=")
    assert faults == []


def test_a_panel_wears_the_dark_theme(page, server):
    _open(page, server, "dark.ipynb", ROWS, CARD.replace("labels.sqlite", "dark.sqlite"))
    colour = page.locator(".vital").first.evaluate("(panel) => getComputedStyle(panel).background")
    red, green, blue = (int(part) for part in colour.split("(")[1].split(")")[0].split(",")[:3])
    assert max(red, green, blue) < 80

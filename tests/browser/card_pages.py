"""The preference card as notebooks open it in JupyterLab, and how it is read and pressed.

This module knows what a card shows, and asserts nothing of it.
"""

from __future__ import annotations

from lab import Lab, run_notebook, write_notebook
from pace import breathe
from playwright.sync_api import Locator, Page, expect

from vital_lib.labels import LabelLog

ROWS = """
import io, os, pathlib
import pandas as pd
from PIL import Image
from vital_lib.labels import LabelLog, LabelsNotSaved, Queue, FixedQueue
from vital_lib.panels import PreferenceCard

HOSTILE = ('<b id="markup">bold</b><img src=x onerror="window.attacked = 1">'
           '<script>window.attacked = 2</' + 'script> **strong** $x^2$ \\u202ertl\\u202c \\0 end')

def picture(figure_id):
    if figure_id == "broken":
        raise ValueError("'broken.png' is not an image")
    return Image.new("RGB", (900, 700), "teal")

def make(figures, rounds=3, text="Answer {x} {r} of {f}."):
    ids = [(f, r, x) for f in figures for r in range(1, rounds + 1) for x in "ab"]
    return pd.DataFrame([
        {"candidate_id": f"{f}-r{r}-{x}", "instruction_id": f"{f}-r{r}", "figure_id": f,
         "instruction": f"Question {r} about {f}?", "response": text.format(f=f, r=r, x=x)}
        for f, r, x in ids])

names = [f"f{n}" for n in range(10)] + ["broken"]
figures = pd.DataFrame([
    {"figure_id": f, "caption": f"Caption of {f}. {HOSTILE}", "mentions": [HOSTILE]}
    for f in names])

def rows(drafts, **more):
    ids, items = list(drafts.candidate_id), list(drafts.instruction_id)[::2]
    return pd.DataFrame({"item_id": items, "left_id": ids[::2], "right_id": ids[1::2],
                         "drawn_by": "random", **more})
"""
"""The first cell: figures, a maker of drafts, and of rows for a fixed queue."""

CARD = """
log = LabelLog("URL")
drafts = make(names[:-1])
card = PreferenceCard(FixedQueue(rows(drafts), "ann", log), drafts, figures, picture, log,
                      guideline="# To know" + chr(10) + "Judge **each** alone.")
pathlib.Path("kernel").write_text(str(os.getpid()))
card.widget
"""
"""The card of ann over 30 items; it leaves the kernel's process id in a file `kernel`."""


def open_card(
    page: Page, lab: Lab, name: str, cell: str = CARD, url: str | None = None
) -> LabelLog:
    """Open notebook `name` of `ROWS` and `cell`, its URL the log's; the log, for the test to read.

    Args:
        url: of the log; without it an SQLite file of the notebook's name.
    """
    url = url or f"sqlite:///{lab.folder / name}.sqlite"
    write_notebook(lab.folder / f"{name}.ipynb", [ROWS, cell.replace("URL", url)])
    run_notebook(page, lab, f"{name}.ipynb")
    the_card(page).focus()
    return LabelLog(url)


def the_card(page: Page) -> Locator:
    """The card itself, which takes the keys."""
    return page.locator(".vital").last


def progress(page: Page) -> Locator:
    """Where it says which item of how many is shown."""
    return page.locator(".vital .going .number").last


def status(page: Page) -> Locator:
    """Where it says what became of the latest act."""
    return page.locator(".vital [role=status]").last


def button(page: Page, label: str) -> Locator:
    """The card's buttons with that label."""
    return page.locator(".vital button", has_text=label)


def press(page: Page, *keys: str) -> None:
    """Press keys at a human pace, each once the card's figure is there."""
    for key in keys:
        expect(button(page, "Both").last).not_to_have_attribute("aria-disabled", "true")
        breathe(page)
        page.keyboard.press(key)


def choices(log: LabelLog) -> dict[str, str]:
    """item_id -> what stands of it."""
    rows = log.preferences()
    return dict(zip(rows.item_id, rows.choice, strict=True))


def item(number: int) -> str:
    """The id of the item of that number in `CARD`, counted from 0."""
    return f"f{number // 3}-r{number % 3 + 1}"

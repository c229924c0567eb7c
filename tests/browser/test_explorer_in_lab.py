"""The candidate explorer in a real JupyterLab, by mouse and by keys alone."""

from __future__ import annotations

import json
import re

import pytest
from lab import IN_CHROMIUM, PICTURE, errors, run_notebook, write_notebook
from playwright.sync_api import Locator, Page, expect

from vital_lib.labels import LabelLog

pytestmark = IN_CHROMIUM

# 300 drafts: 50 figures, 3 questions each, two responses. What Python holds is written below.
CELLS = (
    PICTURE,
    """
from pathlib import Path
import ipywidgets
from vital_lib.client.entries import Entry, Request
from vital_lib.client.ledger import Ledger
from vital_lib.labels import LabelLog
from vital_lib.panels import CandidateExplorer

names = [f"F{n:02}" for n in range(50)]
figures = pd.DataFrame({
    "figure_id": names, "caption": [f"A mass in the left lung. {HOSTILE}"] * 50,
    "mentions": [[HOSTILE]] * 50, "modalities": [["mri"], ["gross"]] * 25})
ledger = Ledger(Path("ledger.sqlite"))
sent = Request("clinic", "draft", "v1", 1, ('{"role": "system", "content": ["The policy."]}',
    '{"role": "user", "content": ["Caption: ' + names[0] + '"]}'), "{}")
ledger.append([(sent, Entry(True, "reply", tokens_in=1200, tokens_out=30, usd=0.05))])
rows = pd.DataFrame([
    {"candidate_id": f"{f}-r{r}-{x}", "instruction_id": f"{f}-r{r}", "conversation_id": f,
     "figure_id": f, "split": "train" if n % 5 else "test", "stage": "draft",
     "arm": "none" if x == "a" else "random", "round": r, "question_type": "side",
     "instruction": f"Question {r} about {f}?", "response": f"Right {x}{n}. {HOSTILE}",
     "demonstration_ids": [], "generator": "gpt", "prompt_version": "v1",
     "reply_id": sent.reply_id, "flags": ["side_against_text"] if n < 4 else []}
    for n, f in enumerate(names) for r in (1, 2, 3) for x in "ab"])
scores = rows[["candidate_id"]].assign(score=range(300, 0, -1))
log = LabelLog("sqlite:///labels.sqlite")
""",
    """
explorer = CandidateExplorer(rows, figures, picture, scores=scores, ledger=ledger, log=log,
                             export_to="listed.jsonl")
explorer.highlight(["F01-r1-a"])
said = ipywidgets.Label()
def say(_):
    said.value = "selected: " + " ".join(explorer.selected()["candidate_id"])
explorer.widget.observe(say, "state")
display(said)
explorer.widget
""",
)


@pytest.fixture
def page(page, lab, request) -> Page:
    """The page with the explorer on it; every page error fails the test."""
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    name = f"{request.node.name[:40]}.ipynb"
    write_notebook(lab.folder / name, CELLS)
    run_notebook(page, lab, name)
    expect(page.locator(".vital .detail")).to_be_visible()
    assert errors(page) == []
    yield page
    assert faults == []
    assert page.evaluate("document.querySelector('#markup')") is None
    assert page.evaluate("window.attacked") is None


def _count(page: Page) -> Locator:
    return page.locator(".vital .head [role=status]")


def _selected(page: Page, *ids: str) -> None:
    expect(page.locator(".widget-label")).to_have_text(" ".join(["selected:", *ids]).strip())


def _shown(page: Page, candidate_id: str) -> None:
    expect(page.get_by_role("region", name=f"candidate {candidate_id}")).to_be_visible()


def _row(page: Page, text: str) -> Locator:
    return page.get_by_role("row").filter(has_text=text)


def test_filters_and_search_by_mouse_narrow_the_list_and_their_counts(page):
    expect(_count(page)).to_have_text("300 candidates")
    page.get_by_role("button", name="arm random demonstrations: 150").click()
    expect(_count(page)).to_have_text("150 of 300 candidates")
    page.get_by_role("button", name="flag side against text: 12").click()
    expect(_count(page)).to_have_text("12 of 300 candidates")
    page.get_by_role("searchbox").fill('"question 2" f03')
    expect(_count(page)).to_have_text("1 of 300 candidates")
    _shown(page, "F03-r2-b")
    expect(page.get_by_role("button", name="arm no demonstrations: 1")).to_be_visible()
    page.get_by_role("searchbox").fill("no such text")
    expect(page.get_by_role("grid")).to_contain_text("No candidate fits.")
    page.get_by_role("button", name="clear filters and search").click()
    expect(_count(page)).to_have_text("300 candidates")
    expect(page.get_by_role("searchbox")).to_have_value("")


def test_keys_alone_find_show_select_and_send(page, lab):
    page.locator(".vital").focus()
    page.keyboard.press("/")
    page.keyboard.type("f07")
    expect(_count(page)).to_have_text("6 of 300 candidates")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowDown")
    _shown(page, "F07-r1-b")
    page.keyboard.press("x")
    _selected(page, "F07-r1-b")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Shift+X")
    _selected(page, "F07-r1-b", "F07-r2-a", "F07-r2-b")
    page.keyboard.press("l")
    told = page.locator(".vital .foot [role=status]")
    expect(told).to_have_text("2 questions sent to the label queue")
    page.keyboard.press("j")
    expect(told).to_have_text("2 questions sent to adjudication")
    page.keyboard.press("e")
    expect(told).to_have_text("6 rows written to listed.jsonl")
    log = LabelLog(f"sqlite:///{lab.folder / 'labels.sqlite'}")
    assert {"F07-r1", "F07-r2"} <= set(log.requests()) & set(log.requests("adjudication"))
    log.close()
    lines = (lab.folder / "listed.jsonl").read_text().splitlines()
    assert [json.loads(line)["figure_id"] for line in lines] == ["F07"] * 6


def test_the_focus_is_seen_and_the_row_in_it_is_named(page):
    grid = page.get_by_role("grid", name="candidates")
    grid.focus()
    page.keyboard.press("End")
    _shown(page, "F49-r3-b")
    row = page.locator(".vital .line.current")
    expect(row).to_be_in_viewport()
    expect(row).to_have_attribute("aria-rowindex", "301")
    expect(grid).to_have_attribute("aria-activedescendant", row.get_attribute("id"))
    expect(grid).to_have_css("outline-style", "solid")
    page.keyboard.press("Home")
    _shown(page, "F00-r1-a")
    page.keyboard.press("PageDown")
    expect(page.locator(".vital .line.current")).to_be_in_viewport()
    expect(grid).to_be_focused()


def test_the_table_is_virtual_and_scrolls_to_any_row(page):
    grid, lines = page.get_by_role("grid"), page.locator(".vital .lines .line")
    expect(lines).to_have_count(60)
    height = grid.evaluate("(grid) => grid.scrollHeight")
    assert height >= 300 * 46
    grid.hover()
    page.mouse.wheel(0, 200 * 46)
    expect(_row(page, "Question 2 about F33?").first).to_be_in_viewport()
    expect(lines).to_have_count(60)
    _shown(page, "F00-r1-a")  # scrolling shows no other candidate


def test_the_mouse_selects_one_several_and_all_and_a_selection_is_named(page):
    _row(page, "Right a0.").nth(1).click()
    _shown(page, "F00-r2-a")
    _row(page, "Right b0.").first.locator("[role=gridcell]").first.click()
    _row(page, "Right b0.").nth(1).click(modifiers=["Shift"])
    _selected(page, "F00-r1-b", "F00-r2-a", "F00-r2-b")
    _row(page, "Right a0.").nth(1).click(modifiers=["Control"])
    _selected(page, "F00-r1-b", "F00-r2-b")
    page.get_by_label("name of the selection").fill("pairs")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="pairs (2)")).to_be_visible()
    page.get_by_role("button", name="Unselect").click()
    _selected(page)
    page.get_by_role("button", name="pairs (2)").click()
    _selected(page, "F00-r1-b", "F00-r2-b")
    page.get_by_role("button", name="marked highlighted: 1").click()
    page.get_by_role("button", name="Select all listed").click()
    _selected(page, "F00-r1-b", "F00-r2-b", "F01-r1-a")


def test_a_title_sorts_both_ways_and_the_list_of_columns_sorts_by_the_others(page):
    shown = page.get_by_label("sort by").evaluate("(list) => list.selectedOptions[0]?.text")
    assert shown == "order of the table"
    title = page.get_by_role("columnheader").filter(has_text="score")
    title.get_by_role("button").click()
    expect(title).to_have_attribute("aria-sort", "ascending")
    expect(page.locator(".vital .lines .line").first).to_contain_text("Right b49.")
    title.get_by_role("button").click()
    expect(title).to_have_attribute("aria-sort", "descending")
    page.get_by_label("sort by").select_option("figure_id")
    expect(page.locator(".vital .lines .line").first).to_contain_text("F00")
    expect(page.get_by_role("columnheader").filter(has_text="figure")).to_be_visible()


def test_the_image_zooms_and_pans_by_keys_and_the_rows_keep_their_arrows(page):
    image = page.locator(".vital .stage img")
    page.get_by_role("grid").focus()
    for _ in range(3):
        page.keyboard.press("+")
    expect(image).to_have_css("transform", re.compile(r"matrix\(1\.95"))
    page.keyboard.press("Shift+ArrowLeft")
    expect(image).to_have_attribute("style", re.compile(r"translate\(10%"))
    page.keyboard.press("c")
    expect(image).to_have_attribute("style", re.compile("contrast"))
    page.keyboard.press("ArrowDown")  # of the same figure: the view stays
    _shown(page, "F00-r1-b")
    expect(image).to_have_css("transform", re.compile(r"matrix\(1\.95"))
    page.keyboard.press("0")
    expect(image).to_have_css("transform", "none")


def test_marks_prompt_and_aligned_view_are_drawn(page):
    detail = page.locator(".vital .detail")
    expect(detail.locator("mark")).to_have_text(["left", "Right"])
    page.get_by_role("grid").focus()
    page.keyboard.press("p")
    expect(detail.locator(".message.system")).to_contain_text("The policy.")
    expect(detail.locator(".message.user")).to_contain_text("Caption: F00")
    expect(detail).to_contain_text("1,200 tokens in, 30 tokens out, 0.0500 USD")
    page.keyboard.press("v")
    expect(detail.locator(".rounds .box")).to_have_count(3)
    expect(detail.locator(".rounds .box").first).to_contain_text("Right b0.")
    beyond = "(grid) => grid.scrollWidth - grid.clientWidth"
    assert page.get_by_role("grid").evaluate(beyond) == 0
    page.get_by_role("button", name="One candidate").click()
    expect(detail.locator(".rounds")).to_have_count(0)

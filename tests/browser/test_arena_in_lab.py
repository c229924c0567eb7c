"""The blind arena in a real JupyterLab, by keys and mouse; the log's verdicts are counted."""

from __future__ import annotations

from card_pages import ROWS, button, progress, status, the_card
from lab import IN_CHROMIUM, run_notebook, write_notebook
from pace import breathe
from playwright.sync_api import expect

from vital_lib.labels import LabelLog

pytestmark = IN_CHROMIUM

ARENA = """
from vital_lib.labels import comparison_rows
from vital_lib.panels import Arena
questions = pd.DataFrame([
    {"question_id": f"q{n}", "image": f"f{n % 3}", "question": f"What does image {n} show?",
     "reference": f"Reference {n}. {HOSTILE}"} for n in range(8)])
answers = pd.DataFrame([
    {"question_id": f"q{n}", "model": model, "control": "none", "draw": 0,
     "answer": f"{words} on question {n}. {HOSTILE}"}
    for n in range(8) for model, words in (("selected", "One text"), ("random", "Another text"))])
rows = comparison_rows(questions, answers, "selected", ["random"], "ann")
Arena(rows, "ann", picture, LabelLog("URL")).widget
"""


def _open(page, lab, name) -> LabelLog:
    url = f"sqlite:///{lab.folder / name}.sqlite"
    write_notebook(lab.folder / f"{name}.ipynb", [ROWS, ARENA.replace("URL", url)])
    run_notebook(page, lab, f"{name}.ipynb")
    the_card(page).focus()
    return LabelLog(url)


def _press(page, *keys):
    for key in keys:
        expect(button(page, "Tie").last).not_to_have_attribute("aria-disabled", "true")
        breathe(page)
        page.keyboard.press(key)


def test_verdicts_by_keys_and_mouse_reach_the_log_and_can_be_revised(page, lab):
    log = _open(page, lab, "arena")
    expect(progress(page)).to_have_text("item 1 of 8")
    _press(page, "1", "2", "3", "4", "5")
    expect(status(page)).to_have_text("✓ Saved: cannot judge")
    expect(progress(page)).to_have_text("item 6 of 8")
    assert log.comparisons()["choice"].tolist() == ["left", "right", "both", "neither", "skip"]
    assert log.preferences().empty

    _press(page, "q", "a", "6")  # keys of the preference card, without a meaning here
    expect(progress(page)).to_have_text("item 6 of 8")
    _press(page, "u")
    expect(status(page)).to_have_text("Undone. Judge this item again.")
    breathe(page)
    button(page, "Both bad").last.click()
    expect(status(page)).to_have_text("✓ Saved: both bad")

    page.keyboard.press("h")
    expect(page.locator(".vital .history .item")).to_have_count(5)
    page.locator(".vital .history .item").last.click()
    expect(the_card(page)).to_contain_text("Your judgement: left is better.")
    _press(page, "3")
    expect(status(page)).to_have_text("✓ Saved: tie")
    said = ["both", "right", "both", "neither", "neither"]
    assert sorted(log.comparisons()["choice"]) == sorted(said)


def test_the_page_names_no_model_and_shows_texts_as_texts(page, lab):
    _open(page, lab, "blind")
    card = the_card(page)
    expect(card).to_contain_text("Reference answer")
    expect(card).to_contain_text("left answer")
    words = card.inner_text().lower()
    assert "selected" not in words and "random" not in words and "reasons" not in words
    assert page.evaluate("document.querySelector('#markup') ?? window.attacked ?? null") is None
    _press(page, "t")
    expect(card).not_to_contain_text("Reference 0.")
    page.keyboard.press("?")
    expect(card).to_contain_text("Which answer is better?")
    expect(card).to_contain_text("both bad")
    expect(card).not_to_contain_text("reject the left response")
    expect(card).not_to_contain_text("calibration")
    page.keyboard.press("Escape")
    expect(button(page, "Left is better").last).to_be_visible()

"""The card's tooltips, its note and its constant height, in a real JupyterLab."""

from __future__ import annotations

import pytest
from card_pages import button, open_card, press, progress, status, the_card
from lab import IN_CHROMIUM, chromium
from pace import breathe
from playwright.sync_api import Page, expect

pytestmark = IN_CHROMIUM

GUIDED = """
from vital_lib.labels import guideline
log = LabelLog("URL")
drafts = make(["f0"])
PreferenceCard(FixedQueue(rows(drafts), "ann", log), drafts, figures, picture, log,
               guideline=guideline()).widget
"""
FAILING = """
class Failing:
    "The log, which cannot save while the file `down` is there."
    def __init__(self, log):
        self.log = log
    def __getattr__(self, name):
        return getattr(self.log, name)
    def record(self, **event):
        if pathlib.Path("down").exists():
            raise LabelsNotSaved("the disk is full")
        return self.log.record(**event)

log = LabelLog("URL")
drafts = make(["f0", "f1"])
PreferenceCard(FixedQueue(rows(drafts), "ann", log), drafts, figures, picture, Failing(log)).widget
"""
LENGTHS = """
log = LabelLog("URL")
drafts = make(["f0", "f1", "f2"], 1)
drafts.loc[2, "response"] = "A long response. " * 200
drafts.loc[[2, 3], "instruction"] = "A long instruction? " * 40
drafts["flags"] = [[], [], ["said_twice"], [], [], ["refuses"]]
figures["caption"] = ["Short.", "A long caption. " * 100, ""] + list(figures.caption[3:])
figures["mentions"] = [[], ["A mention."] * 20, []] + list(figures.mentions[3:])
PreferenceCard(FixedQueue(rows(drafts), "ann", log), drafts, figures, picture, log).widget
"""
LAST = "Note on the item before"


def test_each_reason_says_what_it_means_by_mouse_by_key_and_to_screen_readers(page, lab):
    open_card(page, lab, "tips", GUIDED)
    chips = page.locator(".vital .reasons button")
    assert chips.count() == 9
    described = chips.evaluate_all(
        "(all) => all.map((it) => document.getElementById(it.getAttribute('aria-describedby'))"
        "?.textContent)"
    )
    assert described[3].startswith("what it says is true of this figure") and all(described)
    tip = page.locator(".vital [role=tooltip]:visible")
    expect(tip).to_have_count(0)
    chips.nth(5).hover()
    expect(tip).to_have_text("it needs the image and rests on what can be seen there.")
    (shown, card) = (tip.bounding_box(), the_card(page).bounding_box())
    assert card["x"] <= shown["x"] and shown["x"] + shown["width"] <= card["x"] + card["width"]
    page.mouse.move(0, 0)
    expect(tip).to_have_count(0)
    chips.nth(2).focus()
    page.keyboard.press("Tab")
    expect(tip).to_have_text(described[3])
    the_card(page).focus()
    press(page, "i")
    expect(page.locator(".vital .meanings dd")).to_have_text(described)
    press(page, "i")
    expect(page.locator(".vital .meanings")).to_have_count(0)


def _note(page: Page):
    return page.locator(".vital .noting")


def test_the_notes_state_is_said_from_the_draft_to_the_log(page, lab):
    log = open_card(page, lab, "note", FAILING)
    expect(_note(page)).to_have_attribute("aria-live", "polite")
    expect(_note(page)).to_have_text("")
    press(page, "n")
    page.keyboard.type("left is right")
    expect(_note(page)).to_have_text("Draft, kept in this browser. Saved with your judgement.")
    down = lab.folder / "down"
    down.touch()
    press(page, "Escape", "1")
    expect(progress(page)).to_have_text("item 2 of 6")
    expect(_note(page)).to_have_text(
        f"{LAST}: not saved yet (the disk is full). It is kept in this browser and retried. "
        "Keep this page open."
    )
    press(page, "n")
    page.keyboard.type("another")  # both are told: the draft, and what is not saved
    expect(_note(page)).to_contain_text("Draft, kept in this browser.")
    expect(_note(page)).to_contain_text("not saved yet")
    down.unlink()
    expect(status(page)).to_contain_text("✓ Saved", timeout=15_000)
    expect(_note(page)).to_have_text("Draft, kept in this browser. Saved with your judgement.")
    press(page, "Escape", "2")
    expect(_note(page)).to_have_text(f"{LAST}: saved.")
    assert log.history()["note"].tolist() == ["left is right", "another"]
    press(page, "3")
    expect(_note(page)).to_have_text("")


def test_a_note_changed_while_revising_is_kept_when_the_judgement_is(page, lab):
    log = open_card(page, lab, "kept", FAILING)
    press(page, "n")
    page.keyboard.type("first")
    press(page, "Escape", "1")
    expect(status(page)).to_contain_text("✓ Saved")

    def revise() -> None:
        press(page, "h")
        page.locator(".vital .history .item").click()
        expect(progress(page)).to_have_text("revising")

    revise()
    expect(_note(page)).to_have_text("Saved.")
    press(page, "n")
    page.keyboard.type(" second")
    expect(_note(page)).to_contain_text("Draft, kept in this browser.")
    press(page, "Escape", "k")
    expect(progress(page)).to_have_text("item 2 of 6")
    expect(status(page)).to_contain_text("The changed note is kept as a draft.")
    revise()
    expect(page.locator(".vital textarea")).to_have_value("first second")
    press(page, "1")
    expect(status(page)).to_contain_text("✓ Saved")
    assert log.standing("ann")["note"].tolist() == ["first second"]


def test_a_browser_that_refuses_storage_is_said_at_the_note(page, lab):
    open_card(page, lab, "storage", FAILING)
    page.evaluate("() => { Storage.prototype.setItem = () => { throw new Error('full'); }; }")
    press(page, "n")
    page.keyboard.type("x")
    expect(_note(page)).to_contain_text("Draft, not kept if you close this page")


@pytest.mark.parametrize("width", [1280, 1600])
def test_no_button_moves_when_texts_of_another_length_come(lab, width):
    with chromium(width=width) as page:
        open_card(page, lab, f"lengths{width}", LENGTHS)
        places = []
        for _ in range(3):
            expect(button(page, "Both")).not_to_have_attribute("aria-disabled", "true")
            boxes = page.locator(".vital, .vital button").evaluate_all(
                """(all) => all.map((it) => { const { x, y, width, height }
                = it.getBoundingClientRect(); return [x, y, width, height].map(Math.round); })"""
            )
            places.append(boxes)
            breathe(page)
            page.keyboard.press("3")
        assert len(places[0]) > 25
        assert places[0] == places[1] == places[2]

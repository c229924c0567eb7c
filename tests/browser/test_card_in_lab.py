"""The preference card in a real JupyterLab, by keys and mouse; the log's rows are counted."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from card_layout import check_narrow
from card_pages import (
    CARD,
    button,
    choices,
    item,
    open_card,
    press,
    progress,
    status,
    the_card,
)
from lab import IN_CHROMIUM, chromium, run_notebook
from pace import breathe
from playwright.sync_api import Page, expect

from vital_lib.labels import LabelLog, Queue

pytestmark = IN_CHROMIUM

SHARED = """
log = LabelLog("URL")
drafts = make(["f0"])
queue = Queue(log, drafts, "ann", wanted=1, repeats=0)
PreferenceCard(queue, drafts, figures, picture, log).widget
"""
SPECIAL = """
log = LabelLog("URL")
drafts = make(["f0", "broken", "f2"], 1, HOSTILE.replace("{", "").replace("}", ""))
drafts.loc[1, "response"] = "long " * 20_000
PreferenceCard(FixedQueue(rows(drafts), "ann", log), drafts, figures, picture, log).widget
"""
FLAGGED = """
log = LabelLog("URL")
drafts = make(["f0", "f1"], 1)
drafts["flags"] = [["refuses", "side_against_text"], ["<b>said</b>", "said_twice"], [], []]
PreferenceCard(FixedQueue(rows(drafts), "ann", log), drafts, figures, picture, log).widget
"""
CALIBRATION = """
log = LabelLog("URL")
drafts = make(["f0", "f1"], 1)
told = rows(drafts, drawn_by="calibration")
reference = {**dict.fromkeys(told.left_id, True), **dict.fromkeys(told.right_id, False)}
PreferenceCard(FixedQueue(told, "ann", log), drafts, figures, picture, log,
reference=reference).widget
"""


def test_twenty_items_by_keys_alone_then_undo_and_revise(page, lab):
    log = open_card(page, lab, "keys")
    expect(progress(page)).to_have_text("item 1 of 30")
    for round_ in range(2):
        press(page, "1", "2", "3", "4", "5", "6", "q", "w", "q", "s", "a", "s", "a", "w")
        expect(progress(page)).to_have_text(f"item {10 * round_ + 11} of 30")
    expect(status(page)).to_have_text("✓ Saved: left rejected, right accepted")
    said = ["left", "right", "both", "neither", "skip", "skip", "both", "left", "neither", "right"]
    assert choices(log) == {item(n): said[n % 10] for n in range(20)}
    assert len(log.history()) == 20

    press(page, "u")
    expect(status(page)).to_have_text("Undone. Judge this item again.")
    expect(progress(page)).to_have_text("item 20 of 30")
    press(page, "u")
    expect(progress(page)).to_have_text("item 19 of 30")
    press(page, "Shift+4", "n")
    page.keyboard.type("wrong side 1 2 3")
    press(page, "Escape", "3")
    expect(status(page)).to_have_text("✓ Saved: left accepted, right accepted")
    assert choices(log)[item(18)] == "both" and item(19) not in choices(log)
    event = log.history().iloc[-1]
    assert (event["reasons"], event["note"]) == (["accuracy"], "wrong side 1 2 3")

    page.keyboard.press("h")
    expect(page.locator(".vital .history .item")).to_have_count(19)
    page.keyboard.press("ArrowDown")  # the first of the list: the latest
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(progress(page)).to_have_text("revising")
    expect(the_card(page)).to_contain_text("Your judgement: left accepted, right rejected.")
    press(page, "4")
    expect(status(page)).to_have_text("✓ Saved: left rejected, right rejected")
    expect(progress(page)).to_have_text("item 20 of 30")
    assert choices(log)[item(17)] == "neither"
    assert log.history()["corrects"].iloc[-1] == log.history()["event_id"][17]

    press(page, "u")  # the revision is taken back, and what it replaced is to be kept or not
    expect(status(page)).to_contain_text("Your previous judgement is restored")
    expect(progress(page)).to_have_text("revising")
    expect(the_card(page)).to_contain_text("Your judgement: left accepted, right rejected.")
    press(page, "k")
    expect(progress(page)).to_have_text("item 20 of 30")
    assert choices(log)[item(17)] == "left"


def test_the_end_says_that_it_is_the_end(page, lab):
    log = open_card(page, lab, "end", CARD.replace("names[:-1]", "names[:1]"))
    press(page, "1", "2", "3")
    expect(the_card(page)).to_contain_text("This is the end of the queue")
    expect(the_card(page)).to_contain_text("All 3 items are judged and saved.")
    breathe(page)
    page.keyboard.press("u")
    expect(progress(page)).to_have_text("item 3 of 3")
    assert len(choices(log)) == 2


def test_a_double_press_is_one_press(page, lab):
    log = open_card(page, lab, "double")
    press(page, "1")
    breathe(page)
    for act in (
        lambda: (page.keyboard.press("3"), page.keyboard.press("3")),
        lambda: button(page, "Neither").dblclick(),
        lambda: (page.keyboard.press("1"), page.keyboard.press("2")),  # two keys under one finger
    ):
        act()
        breathe(page)
    expect(progress(page)).to_have_text("item 5 of 30")
    expect(status(page)).to_contain_text("✓ Saved")
    assert list(choices(log).values()) == ["left", "both", "neither", "left"]


def test_jupyters_own_shortcuts_do_not_fire(page, lab):
    open_card(page, lab, "shortcuts")
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    # Jupyter adds, cuts, deletes, merges and runs cells by these, in and out of command mode.
    keys = ["b", "x", "d", "d", "m", "a", "c", "v", "z", "Shift+m", "0", "0", "i", "i", "Shift+l"]
    undo, slider = button(page, "Undo"), page.locator(".vital .slider input").first
    for place, more in ((the_card(page), ["Enter"]), (slider, ["Enter"]), (undo, [])):
        place.focus()
        for key in [*keys, *more]:  # Enter on Undo would press it
            page.keyboard.press(key)
            assert page.locator(".jp-Notebook.jp-mod-editMode").count() == 0, key
    assert cells.count() == 2
    assert page.locator(".jp-Notebook .jp-MarkdownCell").count() == 0
    expect(the_card(page)).to_be_visible()


def test_the_focus_goes_round_in_order_and_is_seen(page, lab):
    open_card(page, lab, "focus")
    expect(page.locator(".vital .stage img")).to_be_visible()  # drawn to the end
    names, seen = [], []
    for _ in range(40):
        page.keyboard.press("Tab")
        found = page.evaluate(
            """() => { const it = document.activeElement;
            return it.closest(".vital") && [it.getAttribute("aria-label") || it.innerText,
              getComputedStyle(it).outlineStyle]; }"""
        )
        if not found:
            break
        names.append(found[0].replace("\n", " "))
        seen.append(found[1])
    order = ["History", "Guideline", "zoom out", "brightness", "reset the image", "accept the left"]
    order += ["reject the left", "accept the right", "Only left", "Unsafe", "scope", "note"]
    places = [next(n for n, name in enumerate(names) if name.startswith(o)) for o in order]
    assert places == sorted(places)
    assert names[-1] == "Undo"
    assert set(seen) == {"solid"}, dict(zip(names, seen, strict=True))
    controls = page.locator(".vital :is(button, input, textarea)")
    spoken = controls.evaluate_all("(all) => all.map((it) => it.getAttribute('aria-label'))")
    assert len(spoken) > 20 and all(spoken)


def test_the_help_key_shows_the_guideline_and_every_key(page, lab):
    open_card(page, lab, "help")
    page.keyboard.press("?")
    expect(the_card(page)).to_contain_text("Judge each alone.")
    help_text = the_card(page).inner_text()
    page.keyboard.press("Escape")
    expect(button(page, "Both")).to_be_visible()
    shown = page.locator(".vital kbd").all_inner_texts()
    assert len(shown) > 10
    assert [key for key in shown if key not in help_text and key[:1] != "⇧"] == []


def test_the_picture_is_zoomed_moved_and_lit_by_keys_wheel_and_drag(page, lab):
    open_card(page, lab, "picture")
    picture = page.locator(".vital .stage img")
    plain = picture.get_attribute("src")
    press(page, "+", "+", "ArrowLeft", "b", "Shift+c")
    style = picture.get_attribute("style")
    assert "scale(1.5625)" in style and "translate(10%" in style
    assert "brightness(1.18" in style and "contrast(0.84" in style
    expect(picture).not_to_have_attribute("src", plain)  # a larger one is fetched on zoom
    press(page, "0")
    expect(picture).to_have_attribute("style", "")
    picture.hover()
    page.mouse.wheel(0, -400)
    expect(picture).to_have_attribute("style", re.compile("scale"))
    before = picture.get_attribute("style")
    page.mouse.down()
    page.mouse.move(300, 400)
    page.mouse.up()
    assert picture.get_attribute("style") != before
    press(page, "t")
    expect(page.locator(".vital .context .scroll")).to_have_count(0)


def _scale_and_place(page: Page) -> list[float]:
    """Zoom, and where the picture's middle lies from the frame's, in shares of the frame."""
    style = page.locator(".vital .stage img").get_attribute("style")
    x, y, zoom = re.search(r"translate\((.*)%, ?(.*)%\) scale\((.*)\)", style).groups()
    return [float(zoom), float(x) / 100, float(y) / 100]


def test_two_fingers_zoom_about_their_middle_and_one_finger_moves(page, lab):
    open_card(page, lab, "fingers")
    expect(page.locator(".vital .stage img")).to_be_visible()
    box = page.locator(".vital .stage").bounding_box()
    fingers = page.context.new_cdp_session(page)

    def touch(kind: str, *shares: tuple[float, float]) -> None:
        points = [
            {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"], "id": n}
            for n, (x, y) in enumerate(shares)
        ]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", (0.5, 0.5), (0.7, 0.5))
    touch("touchMove", (0.4, 0.5), (0.8, 0.5))
    touch("touchEnd")
    # What lay in the middle of both, a tenth to the right, is there still, at twice the size.
    assert _scale_and_place(page) == pytest.approx([2, -0.1, 0], abs=0.02)
    touch("touchStart", (0.5, 0.5))
    touch("touchMove", (0.6, 0.7))
    touch("touchEnd")
    assert _scale_and_place(page) == pytest.approx([2, 0, 0.2], abs=0.02)
    touch("touchStart", (0.3, 0.5), (0.7, 0.5))
    touch("touchMove", (0.49, 0.5), (0.51, 0.5))
    touch("touchEnd")
    expect(page.locator(".vital .stage img")).to_have_attribute("style", "")  # never below whole


def test_hostile_text_is_shown_and_nothing_of_it_runs(page, lab):
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    log = open_card(page, lab, "special", SPECIAL)
    expect(page.locator(".vital .stage img")).to_be_visible()
    text = the_card(page).inner_text()
    for part in ('<b id="markup">bold</b>', "onerror=", "<script>", "**strong**", "$x^2$", "␀ end"):
        assert part in text
    assert len(page.locator(".vital .response .text").last.inner_text()) > 90_000
    press(page, "h")
    page.keyboard.press("Escape")
    press(page, "1")

    # An image that cannot be opened: which one, and a way on.
    expect(the_card(page)).to_contain_text("Figure broken: this image cannot be shown")
    expect(button(page, "Both")).to_have_attribute("aria-disabled", "true")
    page.keyboard.press("1")
    breathe(page)
    page.keyboard.press("5")
    expect(status(page)).to_have_text("✓ Saved: cannot be judged")
    assert choices(log) == {"f0-r1": "left", "broken-r1": "skip"}
    assert page.evaluate("[document.querySelector('#markup'), window.attacked ?? null]") == [
        None,
        None,
    ]
    assert faults == []


def test_what_is_no_answer_is_marked_in_words_beside_the_response(page, lab):
    open_card(page, lab, "flagged", FLAGGED)
    sides = page.locator(".vital .response")
    expect(sides.first.locator(".flags")).to_have_text("refuses")
    expect(sides.last.locator(".flags")).to_have_text("said twice")
    press(page, "1")
    expect(the_card(page)).to_contain_text("Question 1 about f1?")
    expect(page.locator(".vital .response .flags")).to_have_count(0)


def test_two_windows_of_one_person_leave_one_judgement_of_an_item(page, lab):
    log = open_card(page, lab, "windows")
    other = page.context.browser.new_page()
    # Another notebook, so another kernel, on the same log.
    open_card(other, lab, "other", url=str(log.database))
    for one, key in ((page, "1"), (other, "2"), (page, "3")):
        the_card(one).focus()
        press(one, key)
        expect(status(one)).to_contain_text("✓ Saved")
    assert choices(log) == {item(0): "right", item(1): "both"}
    assert len(log.history()) == 3
    standing = log.standing("ann")
    assert not standing["item_id"].duplicated().any()
    assert len(choices(log)) == len(standing)


def test_a_note_and_reasons_outlive_an_undo_another_item_and_a_reload(page, lab):
    log = open_card(page, lab, "drafts")
    press(page, "1", "Shift+4", "n")
    page.keyboard.type("half a thought")
    press(page, "Escape", "u")
    expect(progress(page)).to_have_text("item 1 of 30")
    expect(page.locator(".vital textarea")).to_have_value("")
    press(page, "2")
    expect(progress(page)).to_have_text("item 2 of 30")
    chip = page.locator(".vital .reasons [aria-pressed=true]")
    for _ in "before", "after":
        expect(page.locator(".vital textarea")).to_have_value("half a thought")
        expect(chip).to_have_text(re.compile("accuracy"))
        run_notebook(page, lab, "drafts.ipynb")
    the_card(page).focus()
    press(page, "3")
    expect(status(page)).to_contain_text("✓ Saved")
    assert log.history()["note"].tolist()[-1] == "half a thought"
    assert log.history()["reasons"].tolist()[-1] == ["accuracy"]
    run_notebook(page, lab, "drafts.ipynb")
    expect(progress(page)).to_have_text("item 3 of 30")
    assert page.evaluate("Object.keys(localStorage).join()").count("vital-draft/") == 0


WAKES = {
    "focus": "window.dispatchEvent(new Event('focus'))",
    "time": "const now = performance.now.bind(performance); performance.now = () => now() + 31000",
}


@pytest.mark.parametrize("wakes", WAKES)
def test_what_others_hold_is_no_end_and_is_asked_again(page, lab, wakes):
    drafts = pd.DataFrame({"candidate_id": [f"f0-r{n}-{x}" for n in "123" for x in "ab"]})
    drafts = drafts.assign(instruction_id=drafts["candidate_id"].str[:-2], figure_id="f0")
    log = LabelLog(f"sqlite:///{lab.folder / wakes}.sqlite")
    bob = Queue(log, drafts, "bob", wanted=1, repeats=0)
    (theirs,) = bob.take(1)
    open_card(page, lab, wakes, SHARED)
    press(page, "1", "2")
    expect(the_card(page)).to_contain_text("Other annotators have the remaining items")
    expect(the_card(page)).to_contain_text("2 of 3 are judged and saved")
    bob.release()
    page.evaluate(f"() => {{ {WAKES[wakes]} }}")  # one comes back to it, or half a minute passes
    expect(progress(page)).to_have_text("item 3 of 3")
    press(page, "3")
    expect(the_card(page)).to_contain_text("This is the end of the queue")
    assert choices(log)[theirs["item_id"]] == "both"


def test_an_item_adjudicated_meanwhile_is_no_longer_shown_as_a_vote(page, lab):
    log = open_card(page, lab, "seen", SHARED)

    def adjudicate() -> str:
        """Settle the item that the page shows, from elsewhere; its question."""
        expect(button(page, "Both")).not_to_have_attribute("aria-disabled", "true")
        question = page.locator(".vital .instruction").inner_text()
        name = f"f0-r{question.split()[1]}"
        sides = {"left_id": f"{name}-a", "right_id": f"{name}-b"}
        said = {"annotator": "ann", "left_accepted": True, "right_accepted": True}
        log.record(item_id=name, **sides, **said, drawn_by="adjudication")
        return question

    question = adjudicate()
    page.evaluate(WAKES["focus"])  # whoever comes back to the window is shown the next item
    expect(page.locator(".vital .instruction")).not_to_have_text(question)
    question = adjudicate()
    press(page, "1")  # whoever never left it is told
    expect(page.locator(".vital .refused .row")).to_contain_text("others' answers to this item")
    expect(page.locator(".vital .instruction")).not_to_have_text(question)
    assert choices(log) == {}
    press(page, "1")
    expect(the_card(page)).to_contain_text("This is the end of the queue")
    assert len(choices(log)) == 1


def test_each_item_is_counted_and_read_aloud_once(page, lab):
    open_card(page, lab, "spoken")
    press(page, "1")
    expect(status(page)).to_contain_text("✓ Saved")
    page.evaluate(
        """() => {
        window.heard = { number: [], spoken: [] };
        const number = [...document.querySelectorAll(".vital .going .number")].at(-1);
        const spoken = document.querySelector(".vital .spoken");
        const kinds = { childList: true, subtree: true, characterData: true };
        for (const [name, node] of Object.entries({ number, spoken }))
          new MutationObserver((all) => all.forEach(({ target }) => {
            if (target.textContent) heard[name].push(target.textContent);
          })).observe(node, kinds);
        }"""
    )
    press(page, "3")
    expect(status(page)).to_have_text("✓ Saved: left accepted, right accepted")
    page.wait_for_timeout(300)  # time itself: whatever is said a second time is said by now
    assert page.evaluate("heard") == {
        "number": ["item 3 of 30"],
        "spoken": ["Item 3: Question 3 about f0?", "Saved: left accepted, right accepted"],
    }


def test_the_pace_is_the_median_of_the_seconds_that_are_recorded(page, lab):
    log = open_card(page, lab, "pace")
    pace = page.locator(".vital .going .number").first
    for wait in (200, 900, 1500):
        expect(pace).to_have_text("")
        page.wait_for_timeout(wait)  # time itself: it is what the card measures
        press(page, "1")
    expect(progress(page)).to_have_text("item 4 of 30")
    expect(status(page)).to_contain_text("✓ Saved")
    seconds = log.history()["seconds"]
    assert seconds.iloc[0] < seconds.iloc[1] < seconds.iloc[2]
    expect(pace).to_have_text(f"{seconds.median():.1f} s per item · under a minute left")


def test_keys_go_by_their_place_on_keyboards_of_other_letters(page, lab):
    log = open_card(page, lab, "layouts")
    expect(button(page, "Both")).not_to_have_attribute("aria-disabled", "true")

    def type_(key: str, code: str, **more: bool) -> None:
        breathe(page)
        event = {"key": key, "code": code, "bubbles": True, "cancelable": True, **more}
        the_card(page).evaluate(
            "(it, of) => it.dispatchEvent(new KeyboardEvent('keydown', of))", event
        )

    type_("й", "KeyQ")  # Russian
    type_("ы", "KeyS")
    expect(progress(page)).to_have_text("item 2 of 30")
    type_("-", "Digit6")  # French: zoom out, and nothing is flagged
    type_("4", "Digit4", shiftKey=True)  # a reason by its place
    type_("é", "Digit2")
    expect(progress(page)).to_have_text("item 3 of 30")
    expect(status(page)).to_contain_text("✓ Saved")
    assert choices(log) == {item(0): "left", item(1): "right"}
    assert log.history()["reasons"].tolist() == [[], ["accuracy"]]
    assert not log.history()["unsafe"].any()


def test_arrows_scroll_a_long_response_and_leave_the_picture(page, lab):
    open_card(page, lab, "arrows", SPECIAL)
    press(page, "+", "+")
    picture = page.locator(".vital .stage img")
    before, text = picture.get_attribute("style"), page.locator(".vital .response .text").last
    text.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.wait_for_function("(it) => it.scrollTop > 0", arg=text.element_handle())
    assert picture.get_attribute("style") == before
    the_card(page).focus()
    page.keyboard.press("ArrowLeft")
    expect(picture).not_to_have_attribute("style", before)


def test_calibration_shows_the_reference_and_goes_on_by_key(page, lab):
    log = open_card(page, lab, "calibration", CALIBRATION)
    expect(page.locator(".vital h3")).to_have_text("Calibration")
    press(page, "3")
    expect(page.locator(".vital .compared").first).to_contain_text("✓ the same")
    expect(page.locator(".vital .compared").last).to_contain_text("✗ different")
    expect(progress(page)).to_have_text("item 1 of 2")
    breathe(page)
    page.keyboard.press("u")
    expect(status(page)).to_have_text("Calibration answers are final: the first answer counts.")
    expect(page.locator(".vital .compared").first).to_contain_text("✓ the same")
    page.keyboard.press("Enter")
    expect(the_card(page)).to_contain_text("Question 1 about f1?")
    assert len(log.calibrations()) == 1


@pytest.mark.parametrize("width", [1280, 768])
def test_nothing_is_cut_off_and_what_is_touched_is_large_enough(lab, width):
    with chromium(width=width) as page:
        open_card(page, lab, f"width{width}")
        card = the_card(page)
        assert card.evaluate("(card) => card.scrollWidth <= card.clientWidth")
        cut = """(all) => all.filter((it) => it.scrollWidth > it.clientWidth + 1)
          .map((it) => it.innerText)"""
        expect(button(page, "Both")).to_be_visible()
        assert page.locator(".vital button").evaluate_all(cut) == []
        if width == 1280:
            assert card.bounding_box()["height"] < 760
        else:
            check_narrow(page)


def test_the_card_wears_the_dark_theme(page, lab):
    open_card(page, lab, "dark")
    colour = the_card(page).evaluate("(panel) => getComputedStyle(panel).backgroundColor")
    assert max(int(part) for part in colour.split("(")[1].split(")")[0].split(",")[:3]) < 80

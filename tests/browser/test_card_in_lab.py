"""The preference card in a real JupyterLab, by keys and mouse; the log's rows are counted."""

from __future__ import annotations

import os
import re
import signal

import pandas as pd
import pytest
from card_layout import check_narrow
from lab import IN_CHROMIUM, Lab, chromium, run_again, run_notebook, write_notebook
from pace import breathe
from playwright.sync_api import Locator, Page, expect

from vital_lib.labels import LabelLog, Queue

pytestmark = IN_CHROMIUM

ROWS = """
import io, os, pathlib
import pandas as pd
from PIL import Image
from vital_lib.labels import LabelLog, LabelsNotSaved, Queue, fixed
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
                         "queue_arm": "random", **more})
"""
CARD = """
log = LabelLog("sqlite:///NAME.sqlite")
drafts = make(names[:-1])
card = PreferenceCard(fixed(rows(drafts), "ann", log), drafts, figures, picture, log,
                      guideline="# To know" + chr(10) + "Judge **each** alone.")
pathlib.Path("kernel").write_text(str(os.getpid()))
card.widget
"""
FAILING = """
class Failing:
    "The log, whose disk is full while the file `full` is there."
    def __init__(self, log):
        self.log = log
    def __getattr__(self, name):
        if pathlib.Path("full").exists():
            raise LabelsNotSaved("the disk is full")
        return getattr(self.log, name)

log = LabelLog("sqlite:///failing.sqlite")
drafts = make(names[:-1])
PreferenceCard(fixed(rows(drafts), "ann", log), drafts, figures, picture, Failing(log)).widget
"""
REFUSING = """
class Refusing:
    "The log, which takes no judgement while the file `refuse` is there."
    def __init__(self, log):
        self.log = log
    def __getattr__(self, name):
        return getattr(self.log, name)
    def record(self, **event):
        if pathlib.Path("refuse").exists():
            raise ValueError("too late")
        return self.log.record(**event)

log = LabelLog("sqlite:///refusing.sqlite")
drafts = make(names[:-1])
PreferenceCard(fixed(rows(drafts), "ann", log), drafts, figures, picture, Refusing(log)).widget
"""
SHARED = """
log = LabelLog("sqlite:///shared.sqlite")
drafts = make(["f0"])
queue = Queue(log, drafts, "ann", wanted=1, repeats=0)
PreferenceCard(queue, drafts, figures, picture, log).widget
"""
FLAKY = """
def flaky(figure_id):
    if figure_id == "f1" and pathlib.Path("unreachable").exists():
        raise RuntimeError("no archive")
    return picture(figure_id)

log = LabelLog("sqlite:///flaky.sqlite")
drafts = make(["f0", "f1"], 1)
PreferenceCard(fixed(rows(drafts), "ann", log), drafts, figures, flaky, log).widget
"""
SPECIAL = """
log = LabelLog("sqlite:///special.sqlite")
drafts = make(["f0", "broken", "f2"], 1, HOSTILE.replace("{", "").replace("}", ""))
drafts.loc[1, "response"] = "long " * 20_000
PreferenceCard(fixed(rows(drafts), "ann", log), drafts, figures, picture, log).widget
"""
CALIBRATION = """
log = LabelLog("sqlite:///calibration.sqlite")
drafts = make(["f0", "f1"], 1)
told = rows(drafts, queue_arm="calibration")
reference = {**dict.fromkeys(told.left_id, True), **dict.fromkeys(told.right_id, False)}
PreferenceCard(fixed(told, "ann", log), drafts, figures, picture, log, reference=reference).widget
"""


def _open(page: Page, lab: Lab, name: str, cell: str = CARD) -> LabelLog:
    write_notebook(lab.folder / f"{name}.ipynb", [ROWS, cell.replace("NAME", name)])
    run_notebook(page, lab, f"{name}.ipynb")
    _card(page).focus()
    return LabelLog(f"sqlite:///{lab.folder / f'{name}.sqlite'}")


def _card(page: Page) -> Locator:
    return page.locator(".vital").last


def _progress(page: Page) -> Locator:
    return page.locator(".vital .going .number").last


def _status(page: Page) -> Locator:
    return page.locator(".vital [role=status]").last


def _button(page: Page, label: str) -> Locator:
    return page.locator(".vital button", has_text=label)


def _press(page: Page, *keys: str) -> None:
    """Press keys at a human pace, each once the card's figure is there."""
    for key in keys:
        expect(_button(page, "Both").last).not_to_have_attribute("aria-disabled", "true")
        breathe(page)
        page.keyboard.press(key)


def _choices(log: LabelLog) -> dict[str, str]:
    rows = log.preferences()
    return dict(zip(rows.item_id, rows.choice, strict=True))


def _of(number: int) -> str:
    return f"f{number // 3}-r{number % 3 + 1}"


def test_twenty_items_by_keys_alone_then_undo_and_revise(page, lab):
    log = _open(page, lab, "keys")
    expect(_progress(page)).to_have_text("item 1 of 30")
    for round_ in range(2):
        _press(page, "1", "2", "3", "4", "5", "6", "q", "w", "q", "s", "a", "s", "a", "w")
        expect(_progress(page)).to_have_text(f"item {10 * round_ + 11} of 30")
    expect(_status(page)).to_have_text("✓ Saved: left rejected, right accepted")
    said = ["left", "right", "both", "neither", "skip", "skip", "both", "left", "neither", "right"]
    assert _choices(log) == {_of(n): said[n % 10] for n in range(20)}
    assert len(log.history()) == 20

    _press(page, "u")
    expect(_status(page)).to_have_text("Taken back. Judge this item again.")
    expect(_progress(page)).to_have_text("item 20 of 30")
    _press(page, "u")
    expect(_progress(page)).to_have_text("item 19 of 30")
    _press(page, "Shift+4", "n")
    page.keyboard.type("wrong side 1 2 3")
    _press(page, "Escape", "3")
    expect(_status(page)).to_have_text("✓ Saved: left accepted, right accepted")
    assert _choices(log)[_of(18)] == "both" and _of(19) not in _choices(log)
    event = log.history().iloc[-1]
    assert (event["reasons"], event["note"]) == (["accuracy"], "wrong side 1 2 3")

    page.keyboard.press("h")
    expect(page.locator(".vital .history .item")).to_have_count(19)
    page.keyboard.press("ArrowDown")  # the first of the list: the latest
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(_progress(page)).to_have_text("revising")
    expect(_card(page)).to_contain_text("You said: left accepted, right rejected.")
    _press(page, "4")
    expect(_status(page)).to_have_text("✓ Saved: left rejected, right rejected")
    expect(_progress(page)).to_have_text("item 20 of 30")
    assert _choices(log)[_of(17)] == "neither"
    assert log.history()["corrects"].iloc[-1] == log.history()["event_id"][17]

    _press(page, "u")  # the revision is taken back, and what it replaced is to be kept or not
    expect(_status(page)).to_contain_text("What you had said before stands again")
    expect(_progress(page)).to_have_text("revising")
    expect(_card(page)).to_contain_text("You said: left accepted, right rejected.")
    _press(page, "k")
    expect(_progress(page)).to_have_text("item 20 of 30")
    assert _choices(log)[_of(17)] == "left"


def test_the_end_says_that_it_is_the_end(page, lab):
    log = _open(page, lab, "end", CARD.replace("names[:-1]", "names[:1]"))
    _press(page, "1", "2", "3")
    expect(_card(page)).to_contain_text("This is the end of the queue")
    expect(_card(page)).to_contain_text("All 3 items are judged and saved.")
    breathe(page)
    page.keyboard.press("u")
    expect(_progress(page)).to_have_text("item 3 of 3")
    assert len(_choices(log)) == 2


def test_a_double_press_is_one_press(page, lab):
    log = _open(page, lab, "double")
    _press(page, "1")
    breathe(page)
    for act in (
        lambda: (page.keyboard.press("3"), page.keyboard.press("3")),
        lambda: _button(page, "Neither").dblclick(),
        lambda: (page.keyboard.press("1"), page.keyboard.press("2")),  # two keys under one finger
    ):
        act()
        breathe(page)
    expect(_progress(page)).to_have_text("item 5 of 30")
    expect(_status(page)).to_contain_text("✓ Saved")
    assert list(_choices(log).values()) == ["left", "both", "neither", "left"]


def test_jupyters_own_shortcuts_do_not_fire(page, lab):
    _open(page, lab, "shortcuts")
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    # Jupyter adds, cuts, deletes, merges and runs cells by these, in and out of command mode.
    keys = ["b", "x", "d", "d", "m", "a", "c", "v", "z", "Shift+m", "0", "0", "i", "i", "Shift+l"]
    undo, slider = _button(page, "Undo"), page.locator(".vital .slider input").first
    for place, more in ((_card(page), ["Enter"]), (slider, ["Enter"]), (undo, [])):
        place.focus()
        for key in [*keys, *more]:  # Enter on Undo would press it
            page.keyboard.press(key)
            assert page.locator(".jp-Notebook.jp-mod-editMode").count() == 0, key
    assert cells.count() == 2
    assert page.locator(".jp-Notebook .jp-MarkdownCell").count() == 0
    expect(_card(page)).to_be_visible()


def test_the_focus_goes_round_in_order_and_is_seen(page, lab):
    _open(page, lab, "focus")
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
    order = ["History", "Help", "zoom out", "brightness", "reset the picture", "accept the left"]
    order += ["reject the left", "accept the right", "Only left", "Unsafe", "scope", "note"]
    places = [next(n for n, name in enumerate(names) if name.startswith(o)) for o in order]
    assert places == sorted(places)
    assert names[-1] == "Undo"
    assert set(seen) == {"solid"}
    controls = page.locator(".vital :is(button, input, textarea)")
    spoken = controls.evaluate_all("(all) => all.map((it) => it.getAttribute('aria-label'))")
    assert len(spoken) > 20 and all(spoken)


def test_the_help_key_shows_the_guideline_and_every_key(page, lab):
    _open(page, lab, "help")
    page.keyboard.press("?")
    expect(_card(page)).to_contain_text("Judge each alone.")
    help_text = _card(page).inner_text()
    page.keyboard.press("Escape")
    expect(_button(page, "Both")).to_be_visible()
    shown = page.locator(".vital kbd").all_inner_texts()
    assert len(shown) > 10
    assert [key for key in shown if key not in help_text and key[:1] != "⇧"] == []


def test_the_picture_is_zoomed_moved_and_lit_by_keys_wheel_and_drag(page, lab):
    _open(page, lab, "picture")
    picture = page.locator(".vital .stage img")
    plain = picture.get_attribute("src")
    _press(page, "+", "+", "ArrowLeft", "b", "Shift+c")
    style = picture.get_attribute("style")
    assert "scale(1.5625)" in style and "translate(10%" in style
    assert "brightness(1.18" in style and "contrast(0.84" in style
    expect(picture).not_to_have_attribute("src", plain)  # a larger one is fetched on zoom
    _press(page, "0")
    expect(picture).to_have_attribute("style", "")
    picture.hover()
    page.mouse.wheel(0, -400)
    expect(picture).to_have_attribute("style", re.compile("scale"))
    before = picture.get_attribute("style")
    page.mouse.down()
    page.mouse.move(300, 400)
    page.mouse.up()
    assert picture.get_attribute("style") != before
    _press(page, "t")
    expect(page.locator(".vital .context .scroll")).to_have_count(0)


def test_hostile_text_is_shown_and_nothing_of_it_runs(page, lab):
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    log = _open(page, lab, "special", SPECIAL)
    expect(page.locator(".vital .stage img")).to_be_visible()
    text = _card(page).inner_text()
    for part in ('<b id="markup">bold</b>', "onerror=", "<script>", "**strong**", "$x^2$", "␀ end"):
        assert part in text
    assert len(page.locator(".vital .response .text").last.inner_text()) > 90_000
    _press(page, "h")
    page.keyboard.press("Escape")
    _press(page, "1")

    # An image that cannot be opened: which one, and a way on.
    expect(_card(page)).to_contain_text("Figure broken: this image cannot be shown")
    expect(_button(page, "Both")).to_have_attribute("aria-disabled", "true")
    page.keyboard.press("1")
    breathe(page)
    page.keyboard.press("5")
    expect(_status(page)).to_have_text("✓ Saved: cannot be judged")
    assert _choices(log) == {"f0-r1": "left", "broken-r1": "skip"}
    assert page.evaluate("[document.querySelector('#markup'), window.attacked ?? null]") == [
        None,
        None,
    ]
    assert faults == []


def test_a_failing_log_is_said_and_every_choice_is_saved_when_it_recovers(page, lab):
    log = _open(page, lab, "failing", FAILING)
    _press(page, "1")
    expect(_status(page)).to_contain_text("✓ Saved")
    (lab.folder / "full").touch()
    _press(page, "2", "3", "4")
    expect(_status(page)).to_contain_text("✗ Not saved: the disk is full. 3 are kept here")
    expect(page.locator(".vital .going")).to_contain_text("3 not saved yet")
    assert list(_choices(log).values()) == ["left"]
    (lab.folder / "full").unlink()
    expect(_status(page)).to_contain_text("✓ Saved", timeout=15_000)
    expect(page.locator(".vital .going")).not_to_contain_text("not saved")
    assert list(_choices(log).values()) == ["left", "right", "both", "neither"]
    assert len(log.history()) == 4


def test_two_windows_of_one_person_leave_one_judgement_of_an_item(page, lab):
    _open(page, lab, "windows")
    other = page.context.browser.new_page()
    # Another notebook, so another kernel, on the same log.
    write_notebook(lab.folder / "other.ipynb", [ROWS, CARD.replace("NAME", "windows")])
    run_notebook(other, lab, "other.ipynb")
    log = LabelLog(f"sqlite:///{lab.folder / 'windows.sqlite'}")
    for one, key in ((page, "1"), (other, "2"), (page, "3")):
        _card(one).focus()
        _press(one, key)
        expect(_status(one)).to_contain_text("✓ Saved")
    assert _choices(log) == {_of(0): "right", _of(1): "both"}
    assert len(log.history()) == 3
    standing = log.standing("ann")
    assert not standing["item_id"].duplicated().any()
    assert len(_choices(log)) == len(standing)


def test_a_killed_kernel_loses_no_acknowledged_label(page, lab):
    log, acknowledged = _open(page, lab, "killed"), 0
    for _ in range(3):
        for _ in range(3):
            _press(page, "1")
            acknowledged += 1
            expect(_progress(page)).to_have_text(f"item {acknowledged + 1} of 30")
            expect(_status(page)).to_contain_text("✓ Saved")
        kernel = int((lab.folder / "kernel").read_text())
        os.kill(kernel, signal.SIGSTOP)  # it is killed with a judgement before it, still unread
        _press(page, "3")
        acknowledged += 1
        expect(_status(page)).to_contain_text("not answered", timeout=10_000)
        expect(_status(page)).to_contain_text("kept here")
        os.kill(kernel, signal.SIGKILL)
        run_again(page)
        _card(page).focus()
        expect(_progress(page)).to_have_text(f"item {acknowledged + 1} of 30")
    standing = log.standing("ann")
    assert list(standing["item_id"]) == [_of(n) for n in range(acknowledged)]
    assert list(_choices(log).values()) == ["left", "left", "left", "both"] * 3
    assert not log.history()["event_id"].duplicated().any()


def _kept(page: Page) -> int:
    """How many judgements the browser keeps because they are not saved."""
    names = "Object.keys(localStorage).filter((name) => name.startsWith('vital-unsaved/'))"
    return page.evaluate(f"{names}.length")


def test_what_is_not_saved_outlives_a_card_that_cannot_place_it(page, lab):
    page.on("dialog", lambda dialog: dialog.accept())  # the page warns before it is left
    log = _open(page, lab, "kept")
    _press(page, "1")
    expect(_status(page)).to_contain_text("✓ Saved")
    kernel = int((lab.folder / "kernel").read_text())
    os.kill(kernel, signal.SIGSTOP)
    _press(page, "3")
    expect(_status(page)).to_contain_text("kept here", timeout=10_000)
    os.kill(kernel, signal.SIGKILL)

    # The same person and log, but other items: what it finds there it leaves alone.
    other = CARD.replace("names[:-1]", "names[7:8]").replace("NAME", "kept")
    _open(page, lab, "kept_other", other)
    _press(page, "2")
    expect(_status(page)).to_contain_text("✓ Saved")
    expect(page.locator(".vital .refused .row")).to_have_count(0)
    assert _kept(page) == 1
    _open(page, lab, "kept")
    expect(_progress(page)).to_have_text("item 4 of 30")
    expect(_status(page)).to_contain_text("✓ Saved")
    assert _kept(page) == 0
    assert _choices(log) == {_of(0): "left", _of(1): "both", "f7-r1": "right"}


def test_what_the_log_refuses_stays_listed_until_it_is_dismissed(page, lab):
    (lab.folder / "refuse").touch()
    log = _open(page, lab, "refusing", REFUSING)
    _press(page, "Shift+4", "n")
    page.keyboard.type("see left")
    _press(page, "Escape", "1")
    refused = page.locator(".vital .refused .row")
    expect(refused).to_have_text(re.compile("Not saved: too late.*left accepted.*see left"))
    (lab.folder / "refuse").unlink()
    expect(_progress(page)).to_have_text("item 1 of 30")  # it may be judged again, as it was
    expect(page.locator(".vital textarea")).to_have_value("see left")
    _press(page, "2")
    expect(_status(page)).to_contain_text("✓ Saved")
    expect(refused).to_have_count(1)
    assert _kept(page) == 1
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    refused.get_by_role("button", name="copy").click()
    expect(_status(page)).to_have_text("Copied.")
    assert '"note":"see left"' in page.evaluate("navigator.clipboard.readText()")
    refused.get_by_role("button", name="dismiss").click()
    expect(refused).to_have_count(0)
    assert _kept(page) == 0
    assert _choices(log) == {_of(0): "right"}
    assert log.history()["note"].tolist() == ["see left"]


def test_a_note_and_reasons_outlive_an_undo_another_item_and_a_reload(page, lab):
    log = _open(page, lab, "drafts")
    _press(page, "1", "Shift+4", "n")
    page.keyboard.type("half a thought")
    _press(page, "Escape", "u")
    expect(_progress(page)).to_have_text("item 1 of 30")
    expect(page.locator(".vital textarea")).to_have_value("")
    _press(page, "2")
    expect(_progress(page)).to_have_text("item 2 of 30")
    chip = page.locator(".vital .reasons [aria-pressed=true]")
    for _ in "before", "after":
        expect(page.locator(".vital textarea")).to_have_value("half a thought")
        expect(chip).to_have_text(re.compile("accuracy"))
        run_notebook(page, lab, "drafts.ipynb")
    _card(page).focus()
    _press(page, "3")
    expect(_status(page)).to_contain_text("✓ Saved")
    assert log.history()["note"].tolist()[-1] == "half a thought"
    assert log.history()["reasons"].tolist()[-1] == ["accuracy"]
    run_notebook(page, lab, "drafts.ipynb")
    expect(_progress(page)).to_have_text("item 3 of 30")
    assert page.evaluate("Object.keys(localStorage).join()").count("vital-draft/") == 0


def test_what_others_hold_is_no_end_and_is_asked_again(page, lab):
    drafts = pd.DataFrame({"candidate_id": [f"f0-r{n}-{x}" for n in "123" for x in "ab"]})
    drafts = drafts.assign(instruction_id=drafts["candidate_id"].str[:-2], figure_id="f0")
    log = LabelLog(f"sqlite:///{lab.folder / 'shared.sqlite'}")
    bob = Queue(log, drafts, "bob", wanted=1, repeats=0)
    (theirs,) = bob.take(1)
    _open(page, lab, "shared", SHARED)
    _press(page, "1", "2")
    expect(_card(page)).to_contain_text("The rest is with others for now")
    expect(_card(page)).to_contain_text("2 of 3 are judged and saved")
    bob.release()
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    expect(_progress(page)).to_have_text("item 3 of 3")
    _press(page, "3")
    expect(_card(page)).to_contain_text("This is the end of the queue")
    assert _choices(log)[theirs["item_id"]] == "both"


def test_each_item_is_counted_and_read_aloud_once(page, lab):
    _open(page, lab, "spoken")
    _press(page, "1")
    expect(_status(page)).to_contain_text("✓ Saved")
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
    _press(page, "3")
    expect(_status(page)).to_have_text("✓ Saved: left accepted, right accepted")
    page.wait_for_timeout(300)  # time itself: whatever is said a second time is said by now
    assert page.evaluate("heard") == {
        "number": ["item 3 of 30"],
        "spoken": ["Item 3: Question 3 about f0?", "Saved: left accepted, right accepted"],
    }


def test_the_pace_is_the_median_of_the_seconds_that_are_recorded(page, lab):
    log = _open(page, lab, "pace")
    pace = page.locator(".vital .going .number").first
    for wait in (200, 900, 1500):
        expect(pace).to_have_text("")
        page.wait_for_timeout(wait)  # time itself: it is what the card measures
        _press(page, "1")
    expect(_progress(page)).to_have_text("item 4 of 30")
    expect(_status(page)).to_contain_text("✓ Saved")
    seconds = log.history()["seconds"]
    assert seconds.iloc[0] < seconds.iloc[1] < seconds.iloc[2]
    expect(pace).to_have_text(f"{seconds.median():.1f} s an item · under a minute left")


def test_keys_go_by_their_place_on_keyboards_of_other_letters(page, lab):
    log = _open(page, lab, "layouts")
    expect(_button(page, "Both")).not_to_have_attribute("aria-disabled", "true")

    def type_(key: str, code: str, **more: bool) -> None:
        breathe(page)
        event = {"key": key, "code": code, "bubbles": True, "cancelable": True, **more}
        _card(page).evaluate(
            "(it, of) => it.dispatchEvent(new KeyboardEvent('keydown', of))", event
        )

    type_("й", "KeyQ")  # Russian
    type_("ы", "KeyS")
    expect(_progress(page)).to_have_text("item 2 of 30")
    type_("-", "Digit6")  # French: zoom out, and nothing is flagged
    type_("4", "Digit4", shiftKey=True)  # a reason by its place
    type_("é", "Digit2")
    expect(_progress(page)).to_have_text("item 3 of 30")
    expect(_status(page)).to_contain_text("✓ Saved")
    assert _choices(log) == {_of(0): "left", _of(1): "right"}
    assert log.history()["reasons"].tolist() == [[], ["accuracy"]]
    assert not log.history()["unsafe"].any()


def test_arrows_scroll_a_long_response_and_leave_the_picture(page, lab):
    _open(page, lab, "arrows", SPECIAL.replace("special", "arrows"))
    _press(page, "+", "+")
    picture = page.locator(".vital .stage img")
    before, text = picture.get_attribute("style"), page.locator(".vital .response .text").last
    text.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.wait_for_function("(it) => it.scrollTop > 0", arg=text.element_handle())
    assert picture.get_attribute("style") == before
    _card(page).focus()
    page.keyboard.press("ArrowLeft")
    expect(picture).not_to_have_attribute("style", before)


def test_an_image_that_could_not_be_had_is_asked_again_when_it_is_shown_again(page, lab):
    (lab.folder / "unreachable").touch()
    _open(page, lab, "flaky", FLAKY)
    _press(page, "1")
    expect(_card(page)).to_contain_text("Figure f1: this image cannot be shown: no archive")
    (lab.folder / "unreachable").unlink()
    breathe(page)
    page.keyboard.press("u")
    expect(_progress(page)).to_have_text("item 1 of 2")
    _press(page, "1")
    expect(page.locator(".vital .stage img")).to_have_attribute("alt", "Figure f1")
    expect(_button(page, "Both")).not_to_have_attribute("aria-disabled", "true")


def test_calibration_shows_the_reference_and_goes_on_by_key(page, lab):
    log = _open(page, lab, "calibration", CALIBRATION)
    expect(page.locator(".vital h3")).to_have_text("Calibration")
    _press(page, "3")
    expect(page.locator(".vital .compared").first).to_contain_text("✓ the same")
    expect(page.locator(".vital .compared").last).to_contain_text("✗ different")
    expect(_progress(page)).to_have_text("item 1 of 2")
    page.keyboard.press("Enter")
    expect(_card(page)).to_contain_text("Question 1 about f1?")
    assert len(log.calibrations()) == 1


@pytest.mark.parametrize("width", [1280, 768])
def test_nothing_is_cut_off_and_what_is_touched_is_large_enough(lab, width):
    with chromium(width=width) as page:
        _open(page, lab, f"width{width}")
        card = _card(page)
        assert card.evaluate("(card) => card.scrollWidth <= card.clientWidth")
        cut = """(all) => all.filter((it) => it.scrollWidth > it.clientWidth + 1)
          .map((it) => it.innerText)"""
        expect(_button(page, "Both")).to_be_visible()
        assert page.locator(".vital button").evaluate_all(cut) == []
        if width == 1280:
            assert card.bounding_box()["height"] < 760
        else:
            check_narrow(page)


def test_the_card_wears_the_dark_theme(page, lab):
    _open(page, lab, "dark")
    colour = _card(page).evaluate("(panel) => getComputedStyle(panel).backgroundColor")
    assert max(int(part) for part in colour.split("(")[1].split(")")[0].split(",")[:3]) < 80

"""The card in a real JupyterLab when things go wrong: nothing acknowledged is lost, all is said."""

from __future__ import annotations

import os
import re
import signal

import pytest
from card_pages import CARD, button, choices, item, open_card, press, progress, status, the_card
from lab import IN_CHROMIUM, run_again
from pace import breathe
from playwright.sync_api import Page, expect

from vital_lib.labels import LabelLog

pytestmark = IN_CHROMIUM
pytest_plugins = "postgres"

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

log = LabelLog("URL")
drafts = make(names[:-1])
PreferenceCard(FixedQueue(rows(drafts), "ann", log), drafts, figures, picture, Refusing(log)).widget
"""
FLAKY = """
def flaky(figure_id):
    if figure_id == "f1" and pathlib.Path("unreachable").exists():
        raise RuntimeError("no archive")
    return picture(figure_id)

log = LabelLog("URL")
drafts = make(["f0", "f1"], 1)
PreferenceCard(FixedQueue(rows(drafts), "ann", log), drafts, figures, flaky, log).widget
"""


def _kept(page: Page) -> int:
    """How many judgements the browser keeps because they are not saved."""
    names = "Object.keys(localStorage).filter((name) => name.startsWith('vital-unsaved/'))"
    return page.evaluate(f"{names}.length")


def _judge_three_that_are_kept(page: Page, why: str) -> None:
    """Judge three more while the log cannot save; the card says why, and that it keeps them."""
    press(page, "2", "3", "4")
    expect(status(page)).to_contain_text(re.compile(f"✗ Not saved: .*{why}"), timeout=15_000)
    expect(status(page)).to_contain_text("3 are kept in this browser and retried")
    expect(page.locator(".vital .going")).to_contain_text("3 not saved yet")
    assert _kept(page) == 3


def _expect_all_saved(page: Page, log: LabelLog, *later: str) -> None:
    """All that was said is saved, in the order in which it was said."""
    expect(status(page)).to_contain_text("✓ Saved", timeout=15_000)
    expect(page.locator(".vital .going")).not_to_contain_text("not saved")
    assert list(choices(log).values()) == ["left", "right", "both", "neither", *later]
    assert len(log.history()) == 4 + len(later) and _kept(page) == 0


def test_a_full_disk_is_said_and_every_choice_is_saved_once_there_is_room(page, lab, small_disk):
    log = open_card(page, lab, "full", url=f"sqlite:///{small_disk / 'labels.sqlite'}")
    press(page, "1")
    expect(status(page)).to_contain_text("✓ Saved")
    other = small_disk / "other"
    with other.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(4096))
    _judge_three_that_are_kept(page, "disk is full")
    assert list(choices(log).values()) == ["left"]
    other.unlink()
    press(page, "1")  # it waits for those before it
    _expect_all_saved(page, log, "left")


def test_a_database_gone_for_ten_seconds_costs_no_choice(page, lab, own_server):
    log = open_card(page, lab, "gone", url=own_server.new_database())
    press(page, "1")
    expect(status(page)).to_contain_text("✓ Saved")
    own_server.stop()
    try:
        _judge_three_that_are_kept(page, "check that it is running")
        page.wait_for_timeout(10_000)  # time itself: what is sent again meanwhile fails, too
        expect(page.locator(".vital .going")).to_contain_text("3 not saved yet")
    finally:
        own_server.start()
    _expect_all_saved(page, log)


def test_a_killed_kernel_loses_no_acknowledged_label(page, lab):
    log, acknowledged = open_card(page, lab, "killed"), 0
    for _ in range(3):
        for _ in range(3):
            press(page, "1")
            acknowledged += 1
            expect(progress(page)).to_have_text(f"item {acknowledged + 1} of 30")
            expect(status(page)).to_contain_text("✓ Saved")
        kernel = int((lab.folder / "kernel").read_text())
        os.kill(kernel, signal.SIGSTOP)  # it is killed with a judgement before it, still unread
        press(page, "3")
        acknowledged += 1
        expect(status(page)).to_contain_text("not answered", timeout=10_000)
        expect(status(page)).to_contain_text("kept in this browser")
        os.kill(kernel, signal.SIGKILL)
        run_again(page)
        the_card(page).focus()
        expect(progress(page)).to_have_text(f"item {acknowledged + 1} of 30")
    standing = log.standing("ann")
    assert list(standing["item_id"]) == [item(n) for n in range(acknowledged)]
    assert list(choices(log).values()) == ["left", "left", "left", "both"] * 3
    assert not log.history()["event_id"].duplicated().any()


def test_what_is_not_saved_outlives_a_card_that_cannot_place_it(page, lab):
    page.on("dialog", lambda dialog: dialog.accept())  # the page warns before it is left
    log = open_card(page, lab, "kept")
    press(page, "1")
    expect(status(page)).to_contain_text("✓ Saved")
    kernel = int((lab.folder / "kernel").read_text())
    os.kill(kernel, signal.SIGSTOP)
    # Ids that fall, so that the browser lists what it keeps in another order than it was said.
    page.evaluate("() => { let n = 255; crypto.getRandomValues = (given) => given.fill(n--); }")
    press(page, "3", "1", "4")
    expect(status(page)).to_contain_text("3 are kept in this browser", timeout=10_000)
    os.kill(kernel, signal.SIGKILL)

    # The same person and log, but other items: what it finds there it leaves alone, and says so.
    other = CARD.replace("names[:-1]", "names[7:8]")
    open_card(page, lab, "kept_other", other, url=str(log.database))
    press(page, "2")
    expect(status(page)).to_contain_text("✓ Saved")
    expect(page.locator(".vital .refused .row")).to_have_count(0)
    expect(page.locator(".vital .away")).to_have_text(re.compile("^3 judgements of other items"))
    expect(page.locator(".vital .going")).not_to_contain_text("not saved")
    expect(progress(page)).to_have_text("item 2 of 3")
    assert _kept(page) == 3
    fewer = CARD.replace("names[:-1]", "names[:9]")  # the items, and one figure less than before
    open_card(page, lab, "kept_fewer", fewer, url=str(log.database))
    expect(progress(page)).to_have_text("item 6 of 27")
    expect(status(page)).to_contain_text("✓ Saved")
    expect(page.locator(".vital .away")).to_have_count(0)
    assert _kept(page) == 0
    saved = log.history()  # in the order in which they were said, so that undo goes by it
    assert saved["item_id"].tolist() == [item(0), "f7-r1", item(1), item(2), item(3)]
    assert list(choices(log).values()) == ["left", "right", "both", "left", "neither"]


def test_what_the_log_refuses_stays_listed_until_it_is_dismissed(page, lab):
    (lab.folder / "refuse").touch()
    log = open_card(page, lab, "refusing", REFUSING)
    press(page, "Shift+4", "n")
    page.keyboard.type("see left")
    press(page, "Escape", "1")
    refused = page.locator(".vital .refused .row")
    text = re.compile("Not saved: too late. Your judgement: left accepted.*see left")
    expect(refused).to_have_text(text)
    (lab.folder / "refuse").unlink()
    expect(progress(page)).to_have_text("item 1 of 30")  # it may be judged again, as it was
    expect(page.locator(".vital textarea")).to_have_value("see left")
    press(page, "2")
    expect(status(page)).to_contain_text("✓ Saved")
    expect(refused).to_have_count(1)
    assert _kept(page) == 1
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    refused.get_by_role("button", name="copy").click()
    expect(status(page)).to_have_text("Copied.")
    assert '"note":"see left"' in page.evaluate("navigator.clipboard.readText()")
    refused.get_by_role("button", name="dismiss").click()
    expect(refused).to_have_count(0)
    assert _kept(page) == 0
    assert choices(log) == {item(0): "right"}
    assert log.history()["note"].tolist() == ["see left"]


def test_an_image_that_could_not_be_had_is_asked_again_when_it_is_shown_again(page, lab):
    (lab.folder / "unreachable").touch()
    open_card(page, lab, "flaky", FLAKY)
    press(page, "1")
    expect(the_card(page)).to_contain_text("Figure f1: this image cannot be shown: no archive")
    (lab.folder / "unreachable").unlink()
    breathe(page)
    page.keyboard.press("u")
    expect(progress(page)).to_have_text("item 1 of 2")
    press(page, "1")
    expect(page.locator(".vital .stage img")).to_have_attribute("alt", "Figure f1")
    expect(button(page, "Both")).not_to_have_attribute("aria-disabled", "true")

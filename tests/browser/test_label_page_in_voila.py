"""What a newcomer meets on the labelling page: the guideline, the round's reasons, a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import IN_CHROMIUM, chromium
from labelling_service import Labelling, labelling, write_run
from pace import breathe
from playwright.sync_api import Page, expect
from voila_pages import OPEN_SECONDS, named, open_page, phone, start
from waiting import until

from vital_lib.labels import LabelLog

pytestmark = IN_CHROMIUM

ROUND = ("f00-r1", "f01-r1")  # judged by two people
SIZES = [(390, 844), (360, 640), (844, 390)]  # upright, a small one, sideways


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    workspace = write_run(tmp_path_factory.mktemp("run"), items=8)
    figures, drafts = (workspace.read(name) for name in ("figures", "drafts"))
    workspace.write("figures", figures.assign(caption="A caption of many words. " * 20))
    drafts["response"] = [f"{text} {'Words of a long response. ' * 12}" for text in drafts.response]
    workspace.write("drafts", drafts)
    log = LabelLog(workspace.label_url)
    for item in ROUND:
        sides = {"left_id": f"{item}-a", "right_id": f"{item}-b"}
        ticks = {"item_id": item, **sides, "left_accepted": True, "right_accepted": True}
        log.record(annotator="bob", **ticks, reasons=["accuracy", "image_use"], note="a secret")
        log.record(annotator="kim", **ticks, reasons=["accuracy"])
    log.close()
    return workspace.path


@pytest.fixture(scope="module")
def service(run, tmp_path_factory) -> Iterator[Labelling]:
    people = ["ann", "cat", "dan", "low", *(f"phone{width}" for width, _ in SIZES)]
    with labelling(run, people, tmp_path_factory.mktemp("private")) as service:
        yield service


def _log(run: Path) -> LabelLog:
    return LabelLog(f"sqlite:///{run / 'labels.sqlite'}")


def _press(page: Page, key: str) -> None:
    breathe(page)
    page.keyboard.press(key)


def test_the_guideline_comes_first_and_again_once_its_text_has_changed(page, service, run):
    page.goto(service.links["ann"])
    expect(start(page)).to_be_visible(timeout=OPEN_SECONDS * 1000)
    expect(page.locator(".vital .guide")).to_contain_text("Judge each response by itself")
    _press(page, "1")  # judges nothing: the item is not shown yet
    expect(page.locator(".vital .stage")).to_have_count(0)
    _press(page, "Enter")
    expect(named(page, "Both")).to_be_enabled()
    question = page.locator(".vital .instruction").inner_text()
    place = page.locator(".vital .going .number").last.inner_text()
    page.locator(".vital textarea").fill("half a note")

    for opens, closes in ("?", "Escape"), ("?", "?"):
        page.locator(".vital").focus()
        _press(page, opens)
        expect(page.locator(".vital .guide")).to_contain_text("Accept a response that")
        _press(page, closes)
        assert page.locator(".vital .instruction").inner_text() == question
        assert page.locator(".vital .going .number").last.inner_text() == place
        expect(page.locator(".vital textarea")).to_have_value("half a note")
    breathe(page)
    named(page, "Guideline").click()
    breathe(page)
    named(page, "close the guideline").click()
    assert page.locator(".vital .instruction").inner_text() == question

    page.reload()  # it is read
    expect(named(page, "Both")).to_be_enabled(timeout=OPEN_SECONDS * 1000)
    expect(start(page)).to_have_count(0)
    stored = "Object.keys(localStorage).find((name) => name.startsWith('vital-read/'))"
    page.evaluate(f"localStorage.setItem({stored}, JSON.stringify({{ edition: 'an older text' }}))")
    page.reload()
    expect(page.locator(".vital h3").last).to_have_text(
        "The guideline has changed since you last read it", timeout=OPEN_SECONDS * 1000
    )
    named(page, "Continue").click()
    assert page.locator(".vital .instruction").inner_text() == question
    assert _log(run).standing("ann").empty


def test_the_round_says_why_and_is_reviewed_before_labelling(page, service, run):
    open_page(page, service.links["cat"])
    card = page.locator(".vital")
    questions = []
    for number, key in enumerate("32", start=1):
        questions.append(page.locator(".vital .instruction").inner_text())
        expect(named(page, "Both")).not_to_have_attribute("aria-disabled", "true")
        _press(page, key)
        expect(page.locator(".vital .grounds")).to_contain_text("accuracy · 2 of 2")
        expect(card).to_contain_text("what it says is true of this figure")
        expect(card).to_contain_text("image use · 1 of 2")
        expect(page.locator(".vital .compared").last).to_contain_text("accepted by 2 of 2")
        expect(page.locator(".vital .so-far")).to_contain_text(f"of 1 of {number} item")
        _press(page, "Enter")
    expect(page.locator(".vital .end")).to_contain_text(
        "You rejected 1 response that they accepted."
    )
    _press(page, "r")
    progress = page.locator(".vital .going .number").last
    expect(progress).to_have_text("review: 1 of 2")
    assert page.locator(".vital .instruction").inner_text() == questions[0]
    _press(page, "1")  # what is judged is final
    _press(page, "Enter")
    expect(progress).to_have_text("review: 2 of 2")
    assert page.locator(".vital .instruction").inner_text() == questions[1]
    expect(page.locator(".vital .compared").first).to_contain_text("✗ different")
    _press(page, "p")
    expect(progress).to_have_text("review: 1 of 2")
    assert not any(word in card.inner_text() for word in ("bob", "kim", "secret"))
    _press(page, "Escape")
    expect(page.locator(".vital .end")).to_be_visible()
    _press(page, "Enter")
    expect(page.locator(".vital h3").first).to_have_text("Preferences", timeout=30_000)
    assert len(_log(run).standing("cat")) == 2


def _small_targets(page: Page) -> list[str]:
    """The controls that are less than 44 pixels wide or high."""
    return page.locator(".vital :is(button, textarea, input)").evaluate_all(
        """(all) => all.filter((it) => { const { width, height } = it.getBoundingClientRect();
        return width < 43.5 || height < 43.5; }).map((it) => it.ariaLabel || it.innerText)"""
    )


def _expect_in_reach(page: Page, *names: str) -> None:
    """Buttons are wholly on the screen, at its bottom edge, whatever is scrolled above them."""
    height = page.viewport_size["height"]
    for name in names:
        box = named(page, name).bounding_box()
        assert box["y"] > height / 2 and box["y"] + box["height"] <= height, name
        middle = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
        on_top = "(it, [x, y]) => it.contains(document.elementFromPoint(x, y))"
        assert named(page, name).evaluate(on_top, middle), f"{name} is covered"


def _expect_nothing_cut_off(page: Page, *, touched: bool = True) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    cut = (
        "(all) => all.filter((it) => it.scrollWidth > it.clientWidth + 1).map((it) => it.innerText)"
    )
    assert (
        page.locator(
            ".vital, .vital :not(.spoken) > :is(button, p, dl, .box, .slider > span)"
        ).evaluate_all(cut)
        == []
    )
    assert not touched or _small_targets(page) == []


def _pinch(page: Page, x: float, y: float, before: float, after: float) -> None:
    """Move two fingers apart on a diagonal through a point, from one distance to another."""
    session = page.context.new_cdp_session(page)
    for kind, reach in (("touchStart", before), ("touchMove", after), ("touchEnd", 0)):
        points = [{"x": x + by, "y": y + by, "id": n} for n, by in enumerate((-reach, reach))]
        touches = {"type": kind, "touchPoints": points if reach else []}
        session.send("Input.dispatchTouchEvent", touches)


TICKS = [f"{act} the {side} response" for side in ("left", "right") for act in ("accept", "reject")]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_on_a_phone_the_buttons_stay_in_reach_while_the_texts_scroll(service, run, width, height):
    who = f"phone{width}"
    with phone(width, height, color_scheme="dark") as page:
        page.goto(service.links[who])
        expect(start(page)).to_be_visible(timeout=OPEN_SECONDS * 1000)
        _expect_in_reach(page, "Start")
        start(page).tap()
        picture = page.locator(".vital .stage img")
        expect(picture).to_be_visible()
        _expect_in_reach(page, *TICKS)
        _expect_nothing_cut_off(page)
        page.locator(".vital .response").first.scroll_into_view_if_needed()
        _expect_in_reach(page, *TICKS)

        named(page, "reset the image").scroll_into_view_if_needed()
        box = page.locator(".vital .stage").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        _pinch(page, x, y, 20, 45)
        assert "scale(2.25)" in picture.get_attribute("style")  # the picture, not the page
        assert page.evaluate("visualViewport.scale") == 1

        breathe(page)
        named(page, TICKS[0]).tap()
        breathe(page)
        named(page, TICKS[3]).tap()
        expect(page.locator(".vital .so-far")).to_contain_text("of 0 of 1 item")
        _expect_in_reach(page, "Next item")
        _expect_nothing_cut_off(page)
        breathe(page)
        named(page, "Next item").tap()
        expect(page.locator(".vital .going .number").last).to_have_text("item 2 of 2")
        expect(page.locator(".vital .stage")).to_be_in_viewport(ratio=0.9)  # scrolled up to it
        named(page, "what the reasons mean").tap()
        expect(page.locator(".vital .meanings")).to_contain_text("it is well worded and complete")
        _expect_nothing_cut_off(page)
    until(lambda: len(_log(run).standing(who)) == 1, what="the judgement stands")


def test_in_a_low_window_with_a_mouse_the_keys_fit_too_and_the_buttons_stay_in_reach(service):
    with chromium(width=844, height=390) as page:
        open_page(page, service.links["low"])
        expect(page.locator(".vital .slider kbd").first).to_be_visible()
        _expect_in_reach(page, *TICKS)
        _expect_nothing_cut_off(page, touched=False)


def test_a_finger_on_the_whole_picture_scrolls_the_page_and_on_a_zoomed_one_moves_it(service):
    with phone(390, 844) as page:
        open_page(page, service.links["dan"])
        session = page.context.new_cdp_session(page)
        box = page.locator(".vital .stage").bounding_box()
        middle = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        swipe = {**middle, "yDistance": -80, "gestureSourceType": "touch"}
        session.send("Input.synthesizeScrollGesture", swipe)
        scrolled = page.evaluate("scrollY")
        assert scrolled > 30
        named(page, "zoom in").tap()
        expect(page.locator(".vital .stage img")).to_have_attribute(
            "style", "transform:translate(0%,0%) scale(1.25);"
        )
        before = page.evaluate("scrollY")
        box = page.locator(".vital .stage").bounding_box()
        session.send("Input.synthesizeScrollGesture", {**swipe, "y": box["y"] + 150})
        assert page.evaluate("scrollY") == before
        assert "translate(0%,0%)" not in page.locator(".vital .stage img").get_attribute("style")

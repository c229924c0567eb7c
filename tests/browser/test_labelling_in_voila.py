"""The labelling service in a real browser: keys, reloads, several people, tabs, closed pages."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from card_layout import check_narrow
from lab import IN_CHROMIUM, chromium
from labelling_service import Labelling, labelling, write_run
from pace import breathe
from playwright.sync_api import Page, expect
from voila_pages import OPEN_SECONDS, open_page
from waiting import until

from vital_lib.labels import LabelLog

pytestmark = IN_CHROMIUM

PEOPLE = ["ann", "bob", "cat", "dan", "eve"]  # each test has people of its own: one queue each


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"), items=30).path


@pytest.fixture(scope="module")
def service(run, tmp_path_factory) -> Iterator[Labelling]:
    private = tmp_path_factory.mktemp("private")
    with labelling(run, PEOPLE, private, "--calibrate=0") as service:  # what one says is no round
        yield service


def _judge(page: Page, number: int, key: str) -> None:
    """Judge the item of that number, counted from 1, by `key`; wait until the next one is there."""
    _expect_number(page, number)
    expect(page.locator(".vital button", has_text="Both")).to_be_enabled()
    _press(page, key)
    _expect_number(page, number + 1)


def _press(page: Page, key: str) -> None:
    breathe(page)
    page.keyboard.press(key)


def _expect_number(page: Page, number: int) -> None:
    place = page.locator(".vital .head .number", has_text=f"item {number} of")
    expect(place).to_be_visible(timeout=OPEN_SECONDS * 1000)


def _saved(run: Path, annotator: str, wanted: int) -> pd.DataFrame:
    """The annotator's standing judgements, once the log holds as many as `wanted`."""
    log = LabelLog(f"sqlite:///{run / 'labels.sqlite'}")
    until(lambda: len(log.standing(annotator)) == wanted, what=f"{wanted} of {annotator}'s stand")
    return log.standing(annotator)


def test_twenty_items_by_keys_alone_over_a_reload_and_an_undo(page, service, run):
    asked: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    open_page(page, service.links["ann"])
    expect(page).to_have_title("Labelling · ann")
    for number, key in enumerate("1234123412", start=1):
        _judge(page, number, key)
    _saved(run, "ann", 10)
    question = page.locator(".vital .instruction").inner_text()

    page.reload()
    _expect_number(page, 11)
    assert page.locator(".vital .instruction").inner_text() == question
    for number, key in enumerate("3412341234", start=11):
        _judge(page, number, key)
    assert _saved(run, "ann", 20)["item_id"].is_unique

    _press(page, "u")
    _expect_number(page, 20)
    _saved(run, "ann", 19)
    _judge(page, 20, "1")
    choices = _saved(run, "ann", 20)[["left_accepted", "right_accepted"]].value_counts()
    assert sorted(choices) == [4, 5, 5, 6] and choices[True, False] == 6
    outside = [url for url in asked if not url.startswith((service.url("/"), "blob:", "data:"))]
    assert outside == [] and faults == []


def test_two_people_label_at_once_in_one_browser_each_in_her_own_name(page, service, run):
    open_page(page, service.links["bob"])
    other = page.context.new_page()
    open_page(other, f"{service.links['cat']}&annotator=bob")
    expect(other.locator("header")).to_contain_text("cat")
    for number, (first, second) in enumerate(zip("1112", "2221", strict=True), start=1):
        other.bring_to_front()
        _judge(other, number, second)
        page.bring_to_front()
        _judge(page, number, first)
    assert _saved(run, "bob", 4)["left_accepted"].tolist() == [True, True, True, False]
    assert _saved(run, "cat", 4)["left_accepted"].tolist() == [False, False, False, True]


def test_without_a_link_the_page_says_so_and_no_kernel_starts(page, service):
    before = service.kernels()
    for path in ("/", "/?token=wrong", "/?annotator=ann"):
        assert page.goto(service.url(path)).status == 403
        expect(page.locator("h1")).to_have_text("This page opens only with your own link")
    assert service.kernels() <= before


def test_of_two_tabs_the_last_one_opened_labels_and_the_other_says_so(page, service, run):
    open_page(page, service.links["dan"])
    _judge(page, 1, "1")
    other = page.context.new_page()
    open_page(other, service.links["dan"])
    _expect_number(other, 2)
    expect(page.locator("#note")).to_contain_text("opened in another tab")
    page.bring_to_front()
    page.locator(".vital").focus()
    _press(page, "1")  # no key reaches the card that was left
    other.bring_to_front()
    _judge(other, 2, "2")
    page.bring_to_front()
    page.get_by_role("button", name="Continue here").click()
    _expect_number(page, 3)
    expect(other.locator("#note")).to_contain_text("opened in another tab")
    _judge(page, 3, "3")
    rows = _saved(run, "dan", 3)
    assert rows["item_id"].is_unique
    assert rows["left_accepted"].tolist() == [True, False, True]
    assert rows["right_accepted"].tolist() == [False, True, True]


def test_a_page_whose_kernel_was_killed_says_so_and_goes_on_by_one_press(page, service, run):
    before = service.kernels()
    open_page(page, service.links["eve"])
    _judge(page, 1, "1")
    _saved(run, "eve", 1)
    (kernel,) = service.kernels() - before
    os.kill(kernel, signal.SIGKILL)
    expect(page.locator("#note")).to_contain_text("This session has ended", timeout=30_000)
    page.get_by_role("button", name="Continue here").click()
    _expect_number(page, 2)
    _judge(page, 2, "2")
    _saved(run, "eve", 2)


def test_a_closed_pages_kernel_is_ended_and_an_open_ones_is_not(page, run, tmp_path):
    with labelling(run, ["zoe", "yan"], tmp_path, "--idle=2", "--calibrate=0") as service:
        open_page(page, service.links["zoe"])
        (open_one,) = service.kernels()
        closed = page.context.new_page()
        open_page(closed, service.links["yan"])
        assert len(service.kernels()) == 2
        closed.close()
        until(lambda: len(service.kernels()) == 1, 30, "the closed page's kernel is ended")
        assert service.kernels() == {open_one}
        log = LabelLog(f"sqlite:///{run / 'labels.sqlite'}")
        claims = (
            "SELECT item_id, max(place), until FROM label_leases WHERE annotator = 'yan' GROUP BY 1"
        )
        with log.database.reading() as connection:
            held = connection.execute(sa.text(claims)).all()
        assert held and {until for *_, until in held} == {0.0}  # given back as the kernel ended
        _judge(page, 1, "1")
        _saved(run, "zoe", 1)  # while the service still runs


def test_a_newcomer_calibrates_by_keys_alone_and_goes_on_to_labelling(page, tmp_path):
    log = LabelLog(write_run(tmp_path, items=6).label_url)
    for name in ("f00-r1", "f01-r1"):
        for who in ("bob", "cat"):
            sides = {"left_id": f"{name}-a", "right_id": f"{name}-b"}
            ticks = {"left_accepted": True, "right_accepted": True}
            log.record(item_id=name, annotator=who, **sides, **ticks)
    with labelling(tmp_path, ["ann"], tmp_path) as service:
        open_page(page, service.links["ann"])
        expect(page.locator(".vital h3").first).to_have_text("Calibration")
        _press(page, "3")
        expect(page.locator(".vital .compared").first).to_contain_text("✓ the same")
        _press(page, "Enter")
        _expect_number(page, 2)
        expect(page.locator(".vital button", has_text="Both")).to_be_enabled()
        _press(page, "4")
        expect(page.locator(".vital .compared").first).to_contain_text("✗ different")
        page.reload()  # the round goes on where it stopped: at its end nothing is left of it
        expect(page.locator(".vital h3").first).to_have_text("Preferences", timeout=30_000)
        _judge(page, 1, "1")
        _saved(tmp_path, "ann", 3)
    assert len(log.calibrations()) == 2
    assert log.preferences().query("annotator == 'ann'")["choice"].tolist() == ["left"]


def test_the_end_of_the_round_says_how_it_went_and_enter_begins_labelling(page, tmp_path):
    log = LabelLog(write_run(tmp_path, items=6).label_url)
    sides = {"left_id": "f00-r1-a", "right_id": "f00-r1-b"}
    for who in ("bob", "cat"):
        log.record(
            item_id="f00-r1", annotator=who, **sides, left_accepted=True, right_accepted=True
        )
    with labelling(tmp_path, ["ann"], tmp_path) as service:
        open_page(page, service.links["ann"])
        _press(page, "3")
        _press(page, "Enter")
        expect(page.locator(".vital .end")).to_contain_text(
            "You agree with the others on both responses of 1 of 1 item."
        )
        _press(page, "Enter")
        expect(page.locator(".vital h3").first).to_have_text("Preferences")
        _judge(page, 1, "2")  # the keys are the new card's without a click
        _saved(tmp_path, "ann", 2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_tablet_held_upright_the_card_is_one_column_to_touch(service, scheme):
    with chromium(width=768, height=1024) as page:
        page.emulate_media(color_scheme=scheme)
        open_page(page, service.links["bob"])
        expect(page.locator(".vital .stage img")).to_be_visible()
        check_narrow(page)


def test_the_page_wears_the_systems_theme(page, service):
    page.emulate_media(color_scheme="dark")
    open_page(page, service.links["bob"])
    for scheme, lightness in (("dark", range(0, 80)), ("light", range(200, 256))):
        page.emulate_media(color_scheme=scheme)
        colour = page.locator(".vital").evaluate("(card) => getComputedStyle(card).background")
        assert int(re.search(r"rgba?\((\d+)", colour).group(1)) in lightness

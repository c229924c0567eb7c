"""The labelling page as annotators open it: the guideline first. Asserts nothing of the card."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lab import chromium
from playwright.sync_api import Locator, Page, expect

OPEN_SECONDS = 30


def named(page: Page, name: str) -> Locator:
    """The card's button of that accessible name."""
    return page.locator(".vital").get_by_role("button", name=name, exact=True)


def start(page: Page) -> Locator:
    """The button that ends the reading of the guideline."""
    return named(page, "Start")


def open_page(page: Page, address: str) -> None:
    """Open a link, read the guideline if it is shown, and wait for the first item."""
    page.goto(address)
    both = named(page, "Both")
    expect(start(page).or_(both)).to_be_visible(timeout=OPEN_SECONDS * 1000)
    if start(page).is_visible():
        start(page).press("Enter")
    expect(both).to_be_enabled(timeout=OPEN_SECONDS * 1000)


@contextmanager
def phone(width: int, height: int, **more: Any) -> Iterator[Page]:
    """A page of a phone with a touch screen, held upright."""
    with chromium() as page:
        size = {"width": width, "height": height}
        context = page.context.browser.new_context(
            viewport=size, is_mobile=True, has_touch=True, device_scale_factor=2, **more
        )
        yield context.new_page()

"""The pace of a person at the card's keys. Knows nothing of what the keys mean."""

from __future__ import annotations

from playwright.sync_api import Page

DOUBLE = 200  # milliseconds in which the card takes a second press for a slip of the finger


def breathe(page: Page) -> None:
    """Wait until a press counts again after another one, or after the card changed by itself.

    Time itself is meant: the card holds back nothing but the press, and so shows nothing.
    """
    page.wait_for_timeout(DOUBLE + 50)

"""What a card must look like on a narrow page, wherever it stands. Knows no server."""

from __future__ import annotations

from playwright.sync_api import Page

_BOXES = """(all) => all.map((it) => {
  const { left, right, top, bottom } = it.getBoundingClientRect();
  return { left, right, top, bottom };
})"""


def check_narrow(page: Page) -> None:
    """Assert one column, nothing cut off or overlapping, and buttons large enough to touch."""
    (card,) = _boxes(page, ".vital")
    (figure,), (judge,) = _boxes(page, ".vital .figure"), _boxes(page, ".vital .judge")
    assert judge["top"] >= figure["bottom"], "two columns"
    assert card["left"] >= 0 and card["right"] <= page.viewport_size["width"]
    assert page.locator(".vital").evaluate("(it) => it.scrollWidth <= it.clientWidth")
    buttons = _boxes(page, ".vital button")
    assert min(box["bottom"] - box["top"] for box in buttons) >= 43.5
    sliders = ".vital .slider > *"
    for parts in (buttons, [*_boxes(page, sliders), *_boxes(page, ".vital .looks button")]):
        crossing = [(a, b) for n, a in enumerate(parts) for b in parts[:n] if _overlap(a, b)]
        assert crossing == []
    cut = (
        "(all) => all.filter((it) => it.scrollWidth > it.clientWidth + 1).map((it) => it.innerText)"
    )
    assert page.locator(".vital .slider > span, .vital button").evaluate_all(cut) == []


def _boxes(page: Page, selector: str) -> list[dict[str, float]]:
    return page.locator(selector).evaluate_all(_BOXES)


def _overlap(a: dict[str, float], b: dict[str, float]) -> bool:
    beside = a["right"] <= b["left"] + 0.5 or b["right"] <= a["left"] + 0.5
    return not (beside or a["bottom"] <= b["top"] + 0.5 or b["bottom"] <= a["top"] + 0.5)

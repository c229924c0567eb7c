"""Texts of the open page that hardly stand out from their ground. Knows no panel."""

from __future__ import annotations

from playwright.sync_api import Page

LEAST = 4.5
"""The contrast ratio that WCAG 2 (level AA) asks of texts."""

_LOW = """(all, least) => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {  // the browser's own reading, of any notation
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, alpha / 255];
  };
  const over = (top, below, alpha) => below.map((part, n) => alpha * top[n] + (1 - alpha) * part);
  const luminance = (parts) => parts.map((part) => part / 255).map((part) =>
    part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, n) => sum + part * [0.2126, 0.7152, 0.0722][n], 0);
  const contrast = (one, two) => {
    const [dark, light] = [luminance(one), luminance(two)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const above = (it) => it ? [it, ...above(it.parentElement)] : [];
  const ground = (it) => above(it).reverse()
    .map((one) => rgba(getComputedStyle(one).backgroundColor))
    .reduce((below, colour) => over(colour, below, colour[3]), [255, 255, 255]);
  const found = [];
  for (const root of all) {
    const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const text = texts.currentNode.data.trim(), it = texts.currentNode.parentElement;
      const hidden = !text || !it.checkVisibility() || it.closest(".spoken, style");
      if (hidden || it.closest(":disabled, [aria-disabled=true]")) continue;
      const style = getComputedStyle(it), svg = it.closest("svg"), below = ground(svg ?? it);
      const colour = rgba(svg ? style.fill : style.color);
      const alpha = above(it).map((one) => getComputedStyle(one).opacity)
        .reduce((part, one) => part * one, colour[3]);
      const ratio = contrast(over(colour, below, alpha), below);
      if (ratio < least) found.push(`${ratio.toFixed(2)} ${it.tagName}.${it.className} ${text}`);
    }
  }
  return found;
}"""


def low_contrast(page: Page, selector: str) -> list[str]:
    """Texts inside `selector` below `LEAST`, with their contrast; not of disabled controls."""
    return page.locator(selector).evaluate_all(_LOW, LEAST)

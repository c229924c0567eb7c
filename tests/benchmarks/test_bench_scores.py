"""What a drag of the cut costs over 10,000 candidates: from the mouse to redrawn views."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from labelling_pages import median_and_p90
from playwright.sync_api import Page, expect

sys.path.append(str(Path(__file__).parents[1] / "browser"))
from lab import IN_CHROMIUM, chromium, jupyter_lab, run_notebook, write_notebook  # noqa: E402

pytestmark = IN_CHROMIUM

TARGET = 50  # milliseconds
MOVES = 60
CELL = """
import io
import ipywidgets
import numpy as np
import pandas as pd
from IPython.display import display
from PIL import Image
from vital_lib.panels import ScoreExplorer

n, rng = 10_000, np.random.default_rng(0)
kinds = np.array(["chest_xray", "ct_scan", "mri", "histology", "gross"])
figures = pd.DataFrame({"figure_id": [f"f{i}" for i in range(n // 5)], "split": "train",
                        "modalities": [[kinds[i % 5]] for i in range(n // 5)]})
rows = pd.DataFrame({
    "candidate_id": [f"c{i}" for i in range(n)], "figure_id": [f"f{i // 5}" for i in range(n)],
    "instruction": "Where is the lesion?", "response": "It lies in the left upper lobe.",
    "question_type": rng.choice(["side", "size", "finding", "level"], n), "stage": "final",
    "arm": "clinician", "cluster": [str(i % 12) for i in range(n)]})
scores = rows[["candidate_id"]].assign(score=rng.normal(size=n))
ratings = pd.Series(rng.integers(0, 11, n).astype(float), rows["candidate_id"])
picture = io.BytesIO()
Image.new("RGB", (64, 64)).save(picture, format="JPEG")
panel = ScoreExplorer(scores, rows, figures, lambda _: picture.getvalue(), ratings=ratings,
                      within=["question_type", "polarity"])
said = ipywidgets.Label()
panel.widget.observe(lambda _: setattr(said, "value", f"{panel.share:.3f}"), "state")
display(said)
panel.widget
"""

# Milliseconds from each move of the mouse to the frame in which the cut has followed, and to the
# share that the kernel writes back; the page drops moves that come before a frame is drawn.
RECORDER = """() => {
  const task = () => new Promise((done) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = done;
    channel.port2.postMessage(0);
  });
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  Object.assign(window, { painted: [], known: [] });
  let moved = null, asked = null;
  document.addEventListener("pointermove", (event) => {
    moved ??= event.timeStamp;
    asked ??= event.timeStamp;
  }, true);
  new MutationObserver(async () => {
    const since = moved;
    if (since === null) return;
    moved = null;
    await frame();
    await task();  // comes once that frame is drawn
    window.painted.push(performance.now() - since);
  }).observe(document.querySelector(".vital .cut"), { attributes: true });
  new MutationObserver(() => {
    if (asked === null) return;
    window.known.push(performance.now() - asked);
    asked = null;
  }).observe(document.querySelector(".widget-label"), { characterData: true, childList: true,
    subtree: true });
}"""


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Iterator[Page]:
    """The panel over 10,000 candidates, its scatter open below the histogram."""
    folder, private = (tmp_path_factory.mktemp(name) for name in ("notebooks", "private"))
    with jupyter_lab(folder, private) as lab, chromium(height=1200) as page:
        write_notebook(lab.folder / "scores.ipynb", [CELL])
        run_notebook(page, lab, "scores.ipynb")
        page.get_by_role("button", name="score and rating").click()
        expect(page.locator(".inspect canvas")).to_be_visible()
        yield page


def test_a_drag_redraws_the_views_sooner_than_the_kernel_answers(page, report, capsys):
    grip = page.locator(".vital .cut .grip")
    grip.scroll_into_view_if_needed()
    box = grip.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.evaluate(RECORDER)
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(MOVES):
        page.mouse.move(x + 100 * ((step % 20) / 20 - 0.5), y)
        page.wait_for_timeout(40)  # time itself: the pace of a hand
    page.mouse.up()
    page.wait_for_function("window.painted.length > 20 && window.known.length > 5")
    painted, known = (
        median_and_p90(page.evaluate(f"window.{name}")) for name in ("painted", "known")
    )
    report(
        "scores",
        drag_to_paint_ms_median=painted[0],
        drag_to_paint_ms_p90=painted[1],
        drag_to_kernel_ms_median=known[0],
        paint_over_kernel=painted[0] / known[0],
    )
    with capsys.disabled():
        met = "met" if painted[0] <= TARGET else "missed"
        print(f"target of {TARGET} ms for the median from drag to redrawn views: {met}")
    assert painted[0] < known[0]

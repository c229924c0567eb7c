"""Two labellers in a real JupyterLab, judged at a steady pace and timed by the page itself.

One is the preference card; the other, its yardstick, a labeller of the plain kind: a new Output for
every item, the image file displayed in it, buttons, and the labels in a list. Knows no bounds.
"""

from __future__ import annotations

import base64
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from PIL import Image
from playwright.sync_api import Page

from vital_lib.clinic.phantoms import draw, sample_truth

sys.path.append(str(Path(__file__).parents[1] / "browser"))
from lab import Lab, run_notebook, write_notebook  # noqa: E402

SIDE = 2000  # pixels
FILES = 100
READINGS, BETWEEN = 5, 10  # of the kernel's memory, and cards judged before each
_RECORDER = Path(__file__).with_name("painted.js").read_text(encoding="utf-8")

_GIVE_BACK = """() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel
  .requestExecute({ code: "gc.collect(); ctypes.CDLL(None).malloc_trim(0)", silent: true })
  .done.then(() => null)"""

CARD = """
import ctypes, gc, os
from pathlib import Path
import pandas as pd
from vital_lib.figures import image_opener
from vital_lib.labels import LabelLog, Queue
from vital_lib.panels import PreferenceCard

Path("kernel").write_text(str(os.getpid()))
files = sorted(Path("images").resolve().iterdir())
names = [f"F{n}" for n in range(ITEMS)]
figures = pd.DataFrame({
    "figure_id": names,
    "image": [str(files[n % len(files)]) for n in range(ITEMS)],
    "caption": [f"Axial CT of patient {n} after contrast: a lesion in the liver." for n in names],
    "mentions": [[f"The lesion of {n} measures two centimetres."] * 3 for n in names],
})
drafts = pd.DataFrame({
    "figure_id": [n for n in names for _ in "ab"],
    "instruction_id": [f"{n}-r1" for n in names for _ in "ab"],
    "candidate_id": [f"{n}-r1-{x}" for n in names for x in "ab"],
    "instruction": "Where is the lesion, and how large is it?",
    "response": [f"It lies in the liver of {n}, segment {x}. " * 6 for n in names for x in "ab"],
})
log = LabelLog("sqlite:///labels.sqlite")
queue = Queue(log, drafts, "ann", repeats=0)  # a repeat's image was seen before
card = PreferenceCard(queue, drafts, figures, image_opener(figures), log)
card.widget
"""

PLAIN = """
from pathlib import Path
import ipywidgets as widgets
from IPython.display import Image, display

files, labels = iter(sorted(Path("images").iterdir())), []
box, shown = widgets.VBox(), []

def show():
    output = widgets.Output()
    shown[:] = [next(files)]
    with output:
        display(Image(filename=shown[0]))
    box.children = [widgets.HBox(buttons), output]

def judge(button):
    labels.append((shown[0], button.description))
    show()

buttons = [widgets.Button(description=name) for name in ("left", "right", "both", "neither")]
for button in buttons:
    button.on_click(judge)
show()
box
"""


def draw_images(folder: Path) -> None:
    """Write `FILES` images of `SIDE` pixels a side: phantoms, enlarged, with a scanner's noise."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(FILES):
        large = draw(sample_truth(rng), rng).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        noise = rng.integers(-3, 4, (SIDE, SIDE, 1), dtype=np.int16)
        pixels = (np.asarray(large, dtype=np.int16) + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png", compress_level=1)


@dataclass
class Labeller:
    """An open page, how an item is judged on it, and what it has measured so far."""

    page: Page
    press: Callable[[int], None]
    late: int = 0
    frames: list[bytes] = field(default_factory=list)  # sent to the kernel

    def judge(self, n: int, pace: float) -> None:
        """Judge `n` items, one every `pace` seconds, or as soon as the next image is painted."""
        for number in range(n):
            before = len(self.milliseconds("painted"))
            self.press(number)
            # From when the press has arrived: two that come closer than meant are one to the card.
            due = time.monotonic() + pace
            # Time itself: the pace of a person, at which the images ahead are fetched.
            self.page.wait_for_timeout(max(0.0, due - time.monotonic()) * 1000)
            while len(self.milliseconds("painted")) == before:
                self.page.wait_for_timeout(5)  # between two looks; the page goes on meanwhile
                if time.monotonic() > due + 30:
                    raise TimeoutError(f"no new image within 30 s of act {number + 1} of {n}")
            self.late += time.monotonic() > due + 0.1

    def milliseconds(self, name: str) -> list[float]:
        """What the page has noted so far: "painted" or "saved"."""
        return self.page.evaluate(f"window.{name}")

    def forget(self) -> None:
        """Start anew, as after a warm-up."""
        self.page.evaluate("window.painted = []; window.saved = []")
        self.frames.clear()
        self.late = 0


def open_card(page: Page, lab: Lab, items: int) -> Labeller:
    """The preference card over a queue of `items`, its keys in reach."""
    _open(page, lab, "card", CARD.replace("ITEMS", str(items)))
    page.locator(".vital .stage img").wait_for()
    page.evaluate(_RECORDER, {"act": "keydown", "image": ".stage img", "status": "[role=status]"})
    page.locator(".vital").focus()
    labeller = Labeller(page, lambda number: page.keyboard.press("1234"[number % 4]))
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    network.on("Network.webSocketFrameSent", lambda event: labeller.frames.append(_bytes(event)))
    return labeller


def open_plain(page: Page, lab: Lab) -> Labeller:
    """The plain labeller over the same image files."""
    _open(page, lab, "plain", PLAIN)
    page.locator(".jp-OutputArea img").wait_for()
    page.evaluate(_RECORDER, {"act": "click", "image": ".jp-OutputArea img", "status": ""})
    return Labeller(page, lambda _: page.locator("button.jupyter-button").first.click())


def kernel_bytes(card: Labeller, lab: Lab) -> int:
    """What the card's kernel holds in memory: the lowest of `READINGS`, some cards in between.

    Each after a collection, with freed memory given back: what the allocator keeps of images of
    16 MB goes up and down by several of them, whatever the number of cards.
    """
    kernel, found = psutil.Process(int((lab.folder / "kernel").read_text())), []
    for _ in range(READINGS):
        card.judge(BETWEEN, 0.3)
        card.page.wait_for_timeout(1000)  # time itself: no more images ahead are asked for
        card.page.evaluate(_GIVE_BACK)
        found.append(kernel.memory_info().rss)
    return min(found)


def saved_bytes(page: Page, lab: Lab) -> int:
    """Size of the open card's notebook file, saved now."""
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save').then(() => null)")
    return (lab.folder / "card.ipynb").stat().st_size


def median_and_p90(values: list[float]) -> tuple[float, float]:
    return statistics.median(values), statistics.quantiles(values, n=10)[-1]


def _open(page: Page, lab: Lab, name: str, cell: str) -> None:
    write_notebook(lab.folder / f"{name}.ipynb", [cell])
    run_notebook(page, lab, f"{name}.ipynb")


def _bytes(event: dict) -> bytes:
    frame = event["response"]
    text = frame["payloadData"]
    return text.encode() if frame["opcode"] == 1 else base64.b64decode(text)

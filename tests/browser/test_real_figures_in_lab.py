"""Every real figure at hand goes through to the card: read, cleared, and compared on the page.

They are the DICOM files of pydicom and of pydicom-data, and the real figures beside the project.
"""

from __future__ import annotations

import base64
import io
import re
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
from beside import installed_beside
from card_pages import open_card
from lab import IN_CHROMIUM, errors
from pace import DOUBLE
from PIL import Image
from playwright.sync_api import Page, expect

from vital_lib.figures import FigureImage, image_opener, is_cleared
from vital_lib.tables import Workspace

pytestmark = IN_CHROMIUM

PYDICOM = Path(pydicom.__file__).parent / "data"
DECODERS = ("pyjpegls==1.5.1", "pylibjpeg==2.1.0", "pylibjpeg-libjpeg==2.5.0")
READ = {"realdata": 60, "own": 100, "data": 67}
REJECTED = {
    "holds no pixels": 74,
    "holds no DICOM tag that is read": 10,  # five are directories, which a folder leaves out
    "0 rows and 0 columns": 2,
    "cannot be decoded from Explicit VR Little Endian": 1,  # and one in a round of its own
    "cannot be decoded from JPEG 2000 Image Compression": 2,
    "cannot be decoded from JPEG Extended": 1,
}

CARD = """
import sys
sys.path.insert(0, DECODERS)  # before pydicom is imported
import shutil
from vital_lib import privacy
from vital_lib.dicom import DicomOptions, find_file
from vital_lib.figures import (
    NoUsableFigures, image_opener, is_cleared, open_figure, read_figures)
from vital_lib.tables import Workspace

def read(name, source):
    run = Workspace(name)
    options = DicomOptions(key=pathlib.Path("patients.key"))
    try:
        figures, rejected = read_figures(source, run=run.path, dicom=options)
    except NoUsableFigures as error:  # in the last round, a damaged copy is alone
        pathlib.Path(f"{name}.none").write_text(str(error))
        return pd.DataFrame(columns=["field", "place"])
    for row in figures[~is_cleared(figures)].to_dict("records"):
        privacy.clear(run.path, row, open_figure(row), person="Ada", reason="a test file")
    figures = privacy.with_decisions(figures, run.path)
    run.write("figures_rejected", rejected)
    run.write("figures", figures.assign(figure_id=figures.figure_id + f"-{name}"))
    return rejected

def read_in_rounds(name, source):
    '''Files of one SOPInstanceUID are one image: those that were left out are read next.'''
    for number in range(1, 20):
        rejected = read(f"{name}{number}", source)
        again = pathlib.Path(f"{name}{number}_again")
        again.mkdir()
        twice = rejected[rejected.field == "SOPInstanceUID"]
        for place in twice.place:
            file = find_file(source, place)
            shutil.copy(file, again / f"{len(list(again.iterdir()))}_{file.name}")
        if twice.empty:
            return
        source = f"dicom:{again}"

for name, source in SETS.items():
    read(name, source) if name == "realdata" else read_in_rounds(name, source)
runs = sorted(path.parent for path in pathlib.Path().glob("*/figures.parquet"))
figures = pd.concat([Workspace(run).read("figures") for run in runs], ignore_index=True)
log = LabelLog("URL")
def card(annotator, figures):
    drafts = make(list(figures.figure_id), 1)
    queue = FixedQueue(rows(drafts), annotator, log)
    return PreferenceCard(queue, drafts, figures, image_opener(figures), log)
cards = [card("ann", figures[::2]), card("bob", figures[1::2])]
display(*(one.widget for one in cards))
"""

PAINTED = """(node) => {
  const [width, height] = [node.naturalWidth ?? node.width, node.naturalHeight ?? node.height];
  const copy = document.createElement("canvas");
  Object.assign(copy, { width, height });
  copy.getContext("2d").drawImage(node, 0, 0);
  return [node.tagName, getComputedStyle(node).objectFit, copy.toDataURL()];
}"""


def shown(page: Page, figure_id: str) -> tuple[str, str, np.ndarray]:
    """The element that shows a figure, how it fits its frame, and its pixels (H, W, 3)."""
    node = page.get_by_role("img", name=f"Figure {figure_id}", exact=True)
    expect(node).to_be_visible(timeout=30_000)
    tag, fit, url = node.evaluate(PAINTED)
    with Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))) as image:
        return tag, fit, np.asarray(image.convert("RGB"))


def wanted(image: FigureImage, side: int) -> tuple[str, np.ndarray]:
    """The element that must show a figure, and its pixels with sides of up to `side`."""
    if found := image.stored_greys(side):
        stored, greys = found
        return "CANVAS", np.repeat(greys.shades()[stored][..., None], 3, axis=2)
    picture = image.pixels()
    picture.thumbnail((side, side), reducing_gap=2.0)
    return "IMG", np.asarray(picture)


def reduced(pixels: np.ndarray) -> np.ndarray:
    """Means of up to 4 x 4 pixels, over which a JPEG's noise is small."""
    by = min(4, *pixels.shape[:2])
    return np.asarray(Image.fromarray(pixels).reduce(by)).astype(float)


def faults(found: tuple[str, str, np.ndarray], image: FigureImage) -> list[str]:
    """What is wrong with a figure on the page."""
    tag, fit, pixels = found
    whole = np.asarray(image.pixels())
    kind, reference = wanted(image, max(pixels.shape[:2]))
    if (tag, fit) != (kind, "contain") or pixels.shape != reference.shape:
        return [f"{tag} {fit} {pixels.shape} instead of {kind} contain {reference.shape}"]
    apart = np.abs(pixels.astype(int) - reference)
    wrong = []
    if kind == "CANVAS" and apart.any():
        wrong.append(f"{(apart > 0).mean():.1%} of the shades differ")
    if kind == "CANVAS" and pixels.shape == whole.shape and (pixels != whole).any():
        wrong.append("not as models see it")
    if kind == "IMG" and (far := np.abs(reduced(pixels) - reduced(reference)).mean()) > 2:
        wrong.append(f"colours differ by {far:.1f} on average")  # of a JPEG
    if np.ptp(pixels) == 0:
        wrong.append("one shade alone")
    return wrong


def test_every_real_figure_is_read_cleared_and_shown_as_it_is(page, lab, realdata):
    others = installed_beside("pydicom-data-1.0.0", ["pydicom-data==1.0.0"])
    decoders = installed_beside("dicom-decoders", DECODERS)
    sets = {"realdata": str(realdata / "figures"), "own": f"dicom:{PYDICOM}"}
    sets |= {"data": f"dicom:{others / 'data_store'}"}
    cell = CARD.replace("SETS", repr(sets)).replace("DECODERS", repr(str(decoders)))
    open_card(page, lab, "real", cell)
    assert errors(page) == []

    runs = [Workspace(path.parent) for path in sorted(lab.folder.glob("*/figures.parquet"))]
    figures = pd.concat([run.read("figures") for run in runs], ignore_index=True)
    image_of, wrong = image_opener(figures), {}
    cards, pressed = page.locator(".vital"), [0.0, 0.0]
    for number, figure_id in enumerate(figures["figure_id"]):
        if found := faults(shown(page, figure_id), image_of(figure_id)):
            wrong[figure_id] = found
        since = 1000 * (time.monotonic() - pressed[number % 2])
        page.wait_for_timeout(max(0, DOUBLE + 50 - since))
        cards.nth(number % 2).press("5")
        pressed[number % 2] = time.monotonic()
    assert wrong == {}
    for place, count in enumerate((-(-len(figures) // 2), len(figures) // 2)):
        expect(cards.nth(place)).to_contain_text(f"All {count} items are judged and saved.")

    assert is_cleared(figures).all()
    of_set = Counter(re.sub(r".*-([a-z]+)\d*$", r"\1", name) for name in figures["figure_id"])
    assert of_set == READ
    rejected = pd.concat([run.read("figures_rejected") for run in runs])
    rejected = rejected[rejected["field"] != "SOPInstanceUID"]  # read in the next round
    reasons = Counter(re.split(r"[:;(]", reason)[0].strip() for reason in rejected["reason"])
    assert reasons == REJECTED
    [alone] = [path.read_text() for path in lab.folder.glob("*.none")]
    assert "cannot be decoded from Explicit VR Little Endian" in alone

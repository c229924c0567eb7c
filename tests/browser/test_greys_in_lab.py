"""The card's window and level over the full depth of a CT, compared with numpy, in JupyterLab."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from card_pages import button, open_card, press, progress, the_card
from dicom_rows import write
from lab import IN_CHROMIUM
from pace import breathe
from playwright.sync_api import Page, expect
from pydicom.data import get_testdata_file

pytestmark = IN_CHROMIUM

CT = """
from vital_lib.dicom import DicomOptions
from vital_lib.figures import image_opener, read_figures
figures, _ = read_figures("ct", run=pathlib.Path("run"),
                          dicom=DicomOptions(key=pathlib.Path("patients.key")))
names = list(figures.figure_id)
log = LabelLog("URL")
drafts = make(names)
PreferenceCard(FixedQueue(rows(drafts), "ann", log), drafts, figures, image_opener(figures),
               log).widget
"""
ROWS, COLUMNS = 300, 400
SLOPE, INTERCEPT = 0.5, -1024


def stored() -> np.ndarray:
    """A body of soft tissue with bone and lung, and a ramp over the whole range of 16 bits."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    hounsfield = np.where(np.hypot(x - 200, y - 150) < 120, 40 + 0.3 * x, -1000.0)
    hounsfield[np.hypot(x - 150, y - 130) < 40] = -700
    hounsfield[np.hypot(x - 260, y - 170) < 25] = 900
    found = (hounsfield - INTERCEPT) / SLOPE
    found[-20:] = np.linspace(0, 65_535, COLUMNS)
    return found.round().astype(np.uint16)


def write_ct(folder, **tags) -> None:
    windows = {"WindowCenter": [40, -600, 300], "WindowWidth": [400, 1500, 900]}
    windows |= {"WindowCenterWidthExplanation": ["SOFT TISSUE", "LUNG", "Dr Smith"]}
    windows |= {"RescaleSlope": SLOPE, "RescaleIntercept": INTERCEPT}
    write(folder / "ct" / "a.dcm", stored(), **{**windows, **tags})


def painted(page: Page) -> np.ndarray:
    """The shades on the canvas (rows, columns); it is grey and opaque."""
    rows = page.locator(".vital .stage canvas").evaluate(
        """(canvas) => { const { width, height } = canvas;
        const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
        return JSON.stringify([width, height, ...data]); }"""
    )
    width, height, *values = json.loads(rows)
    pixels = np.array(values, np.uint8).reshape(height, width, 4)
    assert (pixels[..., 3] == 255).all() and (pixels[..., :3] == pixels[..., :1]).all()
    return pixels[..., 0]


def wanted(centre: float, width: float, *, inverted: bool = False) -> np.ndarray:
    """PS3.3 C.11.2.1.2.1, straight from the rescaled values."""
    values = stored() * SLOPE + INTERCEPT
    share = np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)
    return np.floor(255 * (1 - share if inverted else share) + 0.5)


def reading(page: Page) -> list[float]:
    """The level and the width that the card states."""
    texts = page.locator(".vital .slider output").all_inner_texts()
    return [float(text.split()[0]) for text in texts]


def exactly(page: Page) -> list[float]:
    """The level and the width that the page holds."""
    name = page.locator(".vital .stage canvas").get_attribute("data-painted")
    return json.loads(name)[3:5]


def test_the_window_works_on_16_bits_by_keys_button_and_drag(page, lab):
    write_ct(lab.folder)
    open_card(page, lab, "greys", CT)
    expect(page.locator(".vital .stage canvas")).to_be_visible(timeout=60_000)
    assert np.array_equal(painted(page), wanted(40, 400))
    assert reading(page) == [40, 400]

    press(page, "x")
    expect(page.locator(".vital .windows")).to_contain_text("LUNG")
    assert np.array_equal(painted(page), wanted(-600, 1500))
    breathe(page)
    page.locator(".vital .windows").click()
    expect(page.locator(".vital .windows")).to_contain_text("window 3")
    assert np.array_equal(painted(page), wanted(300, 900))

    the_card(page).focus()
    press(page, "c", "c", "b")  # narrower and brighter: no detail of 16 bits is lost
    level, width = exactly(page)
    assert (level, width) == (pytest.approx(300 - 0.05 * 576), pytest.approx(576))
    assert np.array_equal(painted(page), wanted(level, width))
    assert len(np.unique(painted(page))) > 30

    box = page.locator(".vital .stage").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down(button="right")
    page.mouse.move(middle[0] - 80, middle[1] + 40)
    page.mouse.up(button="right")
    level, width = exactly(page)
    assert width < 500 and level > 300
    assert np.array_equal(painted(page), wanted(level, width))

    slider = page.get_by_label("level", exact=True)
    slider.fill("900")
    level, width = exactly(page)
    assert level == pytest.approx(900, abs=40)
    assert np.array_equal(painted(page), wanted(level, width))

    press(page, "0")
    assert np.array_equal(painted(page), wanted(40, 400))
    expect(button(page, "Both")).not_to_have_attribute("aria-disabled", "true")


@pytest.mark.parametrize(("name", "tags"), [
    ("inverted", {"PhotometricInterpretation": "MONOCHROME1", "Modality": "CR"}),
])  # fmt: skip
def test_low_values_are_white_in_monochrome1(page, lab, name, tags):
    write_ct(lab.folder / name, **tags)
    open_card(page, lab, name, CT.replace('"ct"', f'"{name}/ct"').replace('"run"', f'"{name}/run"'))
    expect(page.locator(".vital .stage canvas")).to_be_visible(timeout=60_000)
    assert np.array_equal(painted(page), wanted(40, 400, inverted=True))
    before = painted(page).mean()
    the_card(page).focus()
    press(page, "b")
    assert painted(page).mean() > before


def test_a_zoomed_figure_keeps_its_window(page, lab):
    write_ct(lab.folder / "zoomed")
    open_card(page, lab, "zoomed", CT.replace('"ct"', '"zoomed/ct"').replace('"run"', '"z/run"'))
    expect(page.locator(".vital .stage canvas")).to_be_visible(timeout=60_000)
    press(page, "x", "+", "+", "+")
    style = page.locator(".vital .stage canvas").get_attribute("style")
    assert "scale(1.95" in style
    assert np.array_equal(painted(page), wanted(-600, 1500))


OF_PYDICOM = ("693_J2KI.dcm", "CT_small.dcm", "MR_small_RLE.dcm", "examples_overlay.dcm",
              "J2K_pixelrep_mismatch.dcm", "rtdose_1frame.dcm", "image_dfl.dcm",
              "examples_palette.dcm", "examples_ybr_color.dcm", "SC_rgb_rle.dcm")  # fmt: skip


def test_pydicoms_own_files_come_through_to_the_card(page, lab):
    """Seven are greys, on a canvas; three are colours, in a picture."""
    (lab.folder / "own").mkdir()
    for name in OF_PYDICOM:
        shutil.copy(get_testdata_file(name, download=False), lab.folder / "own" / name)
    cell = CT.replace('"ct"', '"own"').replace('"run"', '"own_run"')
    log = open_card(page, lab, "own", cell.replace("make(names)", "make(names, 1)"))
    stage = page.locator(".vital .stage")
    kinds = []
    for number in range(1, len(OF_PYDICOM) + 1):
        expect(progress(page)).to_have_text(f"item {number} of {len(OF_PYDICOM)}", timeout=30_000)
        shown = stage.locator("canvas, img")
        expect(shown).to_be_visible(timeout=30_000)
        kinds.append(shown.evaluate("(node) => node.tagName"))
        if kinds[-1] == "CANVAS":
            assert len(np.unique(painted(page))) > 1
        breathe(page)
        press(page, "1")
    saved = f"All {len(OF_PYDICOM)} items are judged and saved."
    expect(page.locator(".vital .end")).to_contain_text(saved, timeout=30_000)
    assert sorted(kinds) == ["CANVAS"] * 7 + ["IMG"] * 3
    assert len(log.history()) == len(OF_PYDICOM)

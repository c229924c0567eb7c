"""Claims about DICOM figures that a person redacts: they keep their depth, and every frame is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from beside import OCR, installed_beside
from dicom_rows import RAMP, item, options, write
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from vital_lib import privacy
from vital_lib.dicom import Tiles, tiles_beside
from vital_lib.figures import is_cleared, open_figure, open_image, read_figures
from vital_lib.privacy import ClearanceLog

CT = {"RescaleSlope": 2, "RescaleIntercept": -1000, "WindowCenter": [0, 600]}
CT |= {"WindowWidth": [600, 300]}
GREYS = RAMP.repeat(5, 0).repeat(4, 1) + np.uint16(40)  # 40 rows of 32


def one_figure(tmp_path: Path, pixels: np.ndarray, frames: str = "middle", **tags) -> pd.DataFrame:
    """The figure of one DICOM file, in the run `tmp_path / "run"`."""
    write(tmp_path / "set" / "a.dcm", pixels, **tags)
    figures, _ = read_figures(
        str(tmp_path / "set"), run=tmp_path / "run", dicom=options(tmp_path, frames=frames)
    )
    return figures


def redacted(tmp_path: Path, figures: pd.DataFrame, *boxes: tuple[int, ...]) -> pd.DataFrame:
    """The same table after a person has cleared its first figure without `boxes`."""
    row = figures.iloc[0].to_dict()
    how = {"person": "Ada", "reason": "no name", "boxes": boxes}
    privacy.clear(tmp_path / "run", row, open_figure(row), **how)
    now = privacy.with_decisions(figures, tmp_path / "run")
    assert is_cleared(now)[0] and now["sha256"][0] != row["sha256"]
    return now


TABLE = item(LUTDescriptor=[1024, 0, 12], LUTData=list(range(4095, 4095 - 1024, -1)))
TABLE["LUTDescriptor"].VR, TABLE["LUTData"].VR = "US", "US"


@pytest.mark.parametrize(("kind", "tags"), [
    (np.uint16, CT),
    (np.uint16, CT | {"PhotometricInterpretation": "MONOCHROME1", "Modality": "CR"}),
    (np.int16, CT | {"RescaleSlope": -2, "RescaleIntercept": 1000}),
    (np.int16, {"VOILUTFunction": "SIGMOID"} | CT),
    (np.uint16, {"VOILUTSequence": [TABLE]}),
    (np.uint8, {}),
    (np.int16, {}),
])  # fmt: skip
def test_a_redacted_grey_keeps_its_depth_and_its_windows(tmp_path, kind, tags):
    figures = one_figure(tmp_path, (GREYS // (5 if kind is np.uint8 else 1)).astype(kind), **tags)
    before = open_figure(figures.iloc[0].to_dict())
    stored, greys = before.stored_greys()
    assert stored.dtype == np.uint16 and len(np.unique(stored)) > 20
    now = redacted(tmp_path, figures, (4, 6, 9, 10))
    after = open_figure(now.iloc[0].to_dict())
    kept, windows = after.stored_greys()
    assert windows == greys and len(greys.windows) == len(tags.get("WindowCenter", [0]))
    box = np.zeros(stored.shape, bool)
    box[6:16, 4:13] = True
    assert np.array_equal(kept[~box], stored[~box])
    assert len(np.unique(kept[box])) == 1  # nothing of what was there remains, in no window
    shown = np.asarray(after.pixels())[..., 0]
    darkest = min(greys.shades().min(), np.asarray(before.pixels()).min())
    assert shown[box].max() == darkest
    assert np.array_equal(shown[~box], np.asarray(before.pixels())[..., 0][~box])


def test_what_is_black_widens_the_range_of_greys_no_more_than_needed(tmp_path):
    figures = one_figure(tmp_path, GREYS, **CT)
    before, _ = open_figure(figures.iloc[0].to_dict()).stored_greys()
    now = redacted(tmp_path, figures, (4, 6, 9, 10))
    after, _ = open_figure(now.iloc[0].to_dict()).stored_greys()
    assert (after.min(), after.max()) == (before.min(), before.max())


CINE = np.stack([np.full((12, 20), 500 + 40 * n, np.uint16) for n in range(5)])
CINE[:, 2:4, 3:15] = 4_000  # a name, on each frame


@pytest.mark.parametrize("colour", [False, True])
def test_a_box_on_a_contact_sheet_is_black_in_every_frame(tmp_path, colour):
    pixels = np.repeat((CINE // 16).astype(np.uint8)[..., None], 3, axis=3) if colour else CINE
    figures = one_figure(tmp_path, pixels, frames="sheet")
    image = open_figure(figures.iloc[0].to_dict())
    tiles = tiles_beside(image.path, image.sha256)
    assert (tiles.width, tiles.height, tiles.count) == (20, 12, 5)
    assert (np.asarray(image.pixels()) > 230).sum() == 5 * 24 * 3
    now = redacted(tmp_path, figures, (25, 2, 12, 2))  # on the second frame
    after = open_figure(now.iloc[0].to_dict())
    shades = np.asarray(after.pixels())[..., 0]
    assert shades.max() < 230 and (shades > 0).sum() > 400
    for left, top in tiles.corners():
        assert (shades[top + 2 : top + 4, left + 3 : left + 15] == 0).all()
    assert colour == (after.stored_greys() is None)
    assert tiles_beside(after.path, after.sha256) == tiles  # so that a second box is on all, too
    (event,) = ClearanceLog(tmp_path / "run").decisions().to_dict("records")
    assert event["boxes"][0] == [25, 2, 12, 2] and len(event["boxes"]) == 5


def test_a_series_sheet_knows_its_frames(tmp_path):
    for n in range(3):
        place = {"ImagePositionPatient": [0, 0, n], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
        write(tmp_path / "set" / f"{n}.dcm", GREYS, **place, **CT)
    figures, _ = read_figures(
        str(tmp_path / "set"), run=tmp_path / "run", dicom=options(tmp_path, series="sheet")
    )
    image = open_figure(figures.iloc[0].to_dict())
    assert tiles_beside(image.path, image.sha256).count == 3


boxes = st.tuples(*[st.integers(0, 30)] * 2, *[st.integers(1, 40)] * 2)


@settings(max_examples=200)
@given(
    tiles=st.builds(
        Tiles, *[st.integers(1, 12)] * 2, gap=st.integers(0, 3), across=st.integers(1, 4),
        count=st.integers(1, 9),
    ),
    drawn=st.lists(boxes, max_size=3),
)  # fmt: skip
def test_what_is_covered_of_one_frame_is_covered_of_all(tiles, drawn):
    sheet = np.zeros((150, 150), bool)
    for x, y, width, height in drawn:
        sheet[y : y + height, x : x + width] = True
    frames = [sheet[t : t + tiles.height, e : e + tiles.width] for e, t in tiles.corners()]
    wanted = np.logical_or.reduce(frames)
    for x, y, width, height in tiles.on_all(drawn):
        sheet[y : y + height, x : x + width] = True
    for left, top in tiles.corners():
        assert np.array_equal(sheet[top : top + tiles.height, left : left + tiles.width], wanted)


# --- what is seen in another window only

NAME = "WOLVERTON 1931"
SIDE = 256
TWO = {"RescaleSlope": 1, "RescaleIntercept": -1024}
TWO |= {"WindowCenter": [40, -600], "WindowWidth": [400, 1500]}


def with_name(above: int) -> tuple[np.ndarray, np.ndarray]:
    """A round body in air, its noise below 5 HU, with NAME in the air; and where it stands."""
    y, x = np.mgrid[:SIDE, :SIDE]
    noise = np.random.default_rng(0).integers(0, 5, (SIDE, SIDE))
    values = np.where(np.hypot(x - 128, y - 150) < 90, 1064 + noise, 24)
    ink = Image.new("1", (SIDE, SIDE))
    ImageDraw.Draw(ink).text((30, 14), NAME, fill=1, font=ImageFont.load_default(size=24))
    written = np.asarray(ink)
    return (values + above * written).astype(np.uint16), written


@pytest.mark.parametrize("above", [1, 60])
def test_a_name_outside_the_first_window_is_seen_in_another_view(tmp_path, above):
    pixels, written = with_name(above)
    figures = one_figure(tmp_path, pixels, **TWO)
    views = privacy.views_of(open_figure(figures.iloc[0].to_dict()))
    assert [view.name for view in views] == ["window 1", "window 2", "whole range", "shades spread"]
    around = np.zeros_like(written)
    around[:48] = True
    far = [
        abs(float(shades[written].mean()) - float(shades[around & ~written].mean()))
        for shades in (np.asarray(view.picture())[..., 0] for view in views)
    ]
    assert far[0] == 0 and far[-1] > 60
    assert np.array_equal(np.asarray(views[0].picture()), open_figure(figures.iloc[0]).pixels())


def test_a_view_that_shows_the_same_is_left_out(tmp_path):
    figures = one_figure(tmp_path, (GREYS // 5).astype(np.uint8))
    views = privacy.views_of(open_figure(figures.iloc[0].to_dict()))
    assert [view.name for view in views] == ["all", "whole range"]
    Image.new("RGB", (9, 9), "red").save(tmp_path / "red.png")
    [colour] = privacy.views_of(open_image(tmp_path / "red.png"))
    assert colour.name == "as shown"


@pytest.mark.slow
def test_ocr_finds_what_the_first_window_does_not_show(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(installed_beside("ocr-1.4.4", OCR)))
    for above in (1, 60):
        figures = one_figure(tmp_path / str(above), with_name(above)[0], **TWO)
        [found] = privacy.find_burnt_in(open_figure(figures.iloc[0].to_dict()))
        assert "".join(found.text.split()) == NAME.replace(" ", "")
        x, y, width, height = found.box
        assert x < 34 and y < 20 and x + width > 200 and y + height > 34


@pytest.mark.slow
@pytest.mark.parametrize(("name", "texts"), [
    ("US1_UNCR.dcm", {"BAPTIST MED CTR", "LYMPH", "+2:09:04"}),
    ("OBXXXX1A.dcm", {"5/25/2011", "11-05-25-142825", "2:56:22 PM"}),
    ("gdcm-US-ALOKA-16.dcm", {"24-MAY-02", "*WESTWAY_MEDICAL*"}),
])  # fmt: skip
def test_ocr_finds_places_and_dates_of_real_ultrasounds(tmp_path, monkeypatch, name, texts):
    monkeypatch.syspath_prepend(str(installed_beside("ocr-1.4.4", OCR)))
    others = installed_beside("pydicom-data-1.0.0", ["pydicom-data==1.0.0"])
    [file] = others.rglob(name)
    figures, _ = read_figures(str(file), run=tmp_path / "run", dicom=options(tmp_path))
    found = privacy.find_burnt_in(open_figure(figures.iloc[0].to_dict()))
    assert texts <= {one.text for one in found}


@pytest.mark.parametrize("wrong", [{"width": 0}, {"count": 10**9}, {"gap": -1}, {"across": 0}])
def test_a_sheet_without_frames_is_none(wrong):
    with pytest.raises(ValueError, match="no such contact sheet"):
        Tiles(**{"width": 1, "height": 1, "gap": 1, "across": 1, "count": 1} | wrong)

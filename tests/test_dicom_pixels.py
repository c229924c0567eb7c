"""Claims about the pixels of DICOM: rescaled before a window, as people see them."""

from __future__ import annotations

import numpy as np
import pytest
from dicom_rows import RAMP, dataset, item, picture_file, read, write
from PIL import Image
from pydicom.pixels import apply_windowing
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from vital_lib.dicom import Picture, write_picture
from vital_lib.dicom.windows import Greys, Window, greys_beside, greys_file
from vital_lib.figures import open_image


def shown(tmp_path, pixels=RAMP, **tags) -> np.ndarray:
    """The image that people see of one file: (rows, columns), or colours."""
    [record], _ = read(write(tmp_path / "a.dcm", pixels, **tags), tmp_path)
    colours = np.asarray(open_image(picture_file(tmp_path, record)).pixels())
    grey = (colours == colours[..., :1]).all()
    return colours[..., 0] if grey else colours


def greys_of(tmp_path, pixels=RAMP, **tags) -> tuple[np.ndarray, Greys]:
    """The stored greys of one file, and how they are shown."""
    [record], _ = read(write(tmp_path / "a.dcm", pixels, **tags), tmp_path)
    return open_image(picture_file(tmp_path, record)).stored_greys()


CT = {"RescaleSlope": 2, "RescaleIntercept": -1000, "WindowCenter": 0, "WindowWidth": 600}


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("kind", [np.uint16, np.int16])
def test_greys_are_rescaled_before_the_window_as_pydicom_does(tmp_path, function, kind):
    pixels = RAMP.astype(kind) - (300 if kind is np.int16 else 0)
    found = shown(tmp_path, pixels.astype(kind), VOILUTFunction=function, **CT)
    ds = dataset(pixels.astype(kind), VOILUTFunction=function, **CT)
    wanted = apply_windowing(pixels * 2.0 - 1000, ds)
    low, high = (end * 2 - 1000 for end in ((0, 65_535), (-32_768, 32_767))[kind is np.int16])
    assert np.abs(found - 255 * (wanted - low) / (high - low)).max() <= 0.5 + 1e-6
    raw = apply_windowing(pixels.astype(float), ds)  # the mistake: a window on stored values
    assert np.abs(255 * (raw - low) / (high - low) - found).max() > 30


def test_a_window_of_width_1_is_a_threshold():
    window = Window("edge", 40, 1)
    assert window.shares(np.array([39, 39.5, 40, 41])).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint16])
def test_the_full_depth_is_kept(tmp_path, kind):
    about = np.iinfo(kind)
    pixels = np.linspace(about.min, about.max, 64).astype(kind).reshape(8, 8)
    stored, greys = greys_of(tmp_path, pixels, RescaleSlope="0.5", RescaleIntercept="-3")
    assert stored.dtype == np.uint16
    assert np.array_equal(greys.values(stored), pixels * 0.5 - 3)
    assert greys.unit == "HU"


def test_32_bits_and_floats_are_rounded_to_16(tmp_path):
    wide = np.linspace(0, 4e9, 64).astype(np.uint32).reshape(8, 8)
    stored, greys = greys_of(tmp_path, wide)
    assert np.abs(greys.values(stored) - wide).max() <= 4e9 / 65_535
    narrow = np.uint32(4_000_000_000) + RAMP  # few levels far from zero: exact
    stored, greys = greys_of(tmp_path, narrow.astype(np.uint32))
    assert np.array_equal(greys.values(stored), narrow)


def test_several_windows_are_kept_and_the_first_is_shown(tmp_path):
    _, greys = greys_of(
        tmp_path,
        WindowCenter=[40, -600, 5],
        WindowWidth=[400, 1500, 0],
        WindowCenterWidthExplanation=["SOFT TISSUE", "Dr Smith", "LUNG"],
    )
    kept = [(window.name, window.centre, window.width) for window in greys.windows]
    assert kept == [("SOFT TISSUE", 40, 400), ("window 2", -600, 1500)]  # a width of 0: none


def test_a_table_of_the_voi_is_looked_up(tmp_path):
    lut = [0, 4095, 1000, 2000]
    voi = item(LUTDescriptor=[4, 100, 12], LUTData=lut)
    voi["LUTDescriptor"].VR, voi["LUTData"].VR = "US", "US"
    pixels = np.uint16([[0, 100, 101], [102, 103, 999]])
    found = shown(tmp_path, pixels, VOILUTSequence=[voi], WindowCenter=9, WindowWidth=99)
    assert found.tolist() == [[0, 0, 255], [62, 125, 125]]
    _, greys = greys_of(tmp_path, pixels, VOILUTSequence=[voi], WindowCenter=9, WindowWidth=99)
    assert [window.function for window in greys.windows] == ["TABLE", "LINEAR"]


def test_a_modality_table_comes_before_the_window(tmp_path):
    lut = item(LUTDescriptor=[4, 0, 16], LUTData=[500, 100, 900, 300], ModalityLUTType="US")
    lut["LUTDescriptor"].VR, lut["LUTData"].VR = "US", "US"
    stored, greys = greys_of(
        tmp_path, np.uint16([[0, 1], [2, 3]]), ModalityLUTSequence=[lut],
        WindowCenter=500, WindowWidth=800,
    )  # fmt: skip
    assert greys.values(stored).tolist() == [[500, 100], [900, 300]]
    assert greys.unit == ""


def test_in_monochrome1_low_values_are_white(tmp_path):
    tags = {"WindowCenter": 500, "WindowWidth": 900, "Modality": "CR"}
    other = shown(tmp_path, PhotometricInterpretation="MONOCHROME1", **tags).astype(int)
    assert np.abs(255 - other - shown(tmp_path, **tags)).max() <= 1
    inverse = shown(tmp_path, PresentationLUTShape="INVERSE", **tags)
    assert np.array_equal(inverse, other)


def test_without_a_window_the_values_are_stretched_and_padding_is_none_of_them(tmp_path):
    pixels = RAMP.astype(np.int16)
    pixels[0] = -2000
    found = shown(tmp_path, pixels, PixelPaddingValue=-2000)
    assert (found[0] == 0).all() and found[1, 0] == 0 and found[7, 7] == 255
    assert len(np.unique(found)) > 50
    assert shown(tmp_path, pixels)[1, 0] > 150  # with the padding, the others are too alike


def test_8_bits_without_a_window_are_shown_as_they_are(tmp_path):
    pixels = np.uint8(RAMP // 8)
    assert np.array_equal(shown(tmp_path, pixels), pixels)


def test_a_window_that_would_show_one_shade_is_left_out(tmp_path):
    found = shown(tmp_path, RAMP, WindowCenter=9000, WindowWidth=10)
    assert len(np.unique(found)) > 50
    _, greys = greys_of(tmp_path, RAMP, WindowCenter=[9000, 500], WindowWidth=[10, 900])
    assert [window.centre for window in greys.windows] == [500]


def test_a_window_that_shows_nearly_all_as_white_comes_after_a_computed_one(tmp_path):
    pixels = RAMP.astype(np.uint16).repeat(16, 1) + np.uint16(500)
    pixels[0, 0] = 0
    brain = {"WindowCenter": 40, "WindowWidth": 80}
    _, greys = greys_of(tmp_path, pixels, **brain)
    assert [window.name for window in greys.windows] == ["computed", "window 1"]
    hot = 20_000 - pixels  # the same in black: a hot spot before noise stays as it is
    hot[0, 0] = 65_000
    _, greys = greys_of(tmp_path, hot, WindowCenter=45_000, WindowWidth=40_000)
    assert [window.name for window in greys.windows] == ["window 1"]
    _, greys = greys_of(tmp_path, hot, PhotometricInterpretation="MONOCHROME1",
                        WindowCenter=45_000, WindowWidth=40_000)  # fmt: skip
    assert [window.name for window in greys.windows] == ["computed", "window 1"]


# --- colours

COLOURS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def test_rgb_is_kept_and_16_bits_become_8(tmp_path):
    assert np.array_equal(shown(tmp_path, COLOURS), COLOURS)
    assert np.array_equal(shown(tmp_path, COLOURS.astype(np.uint16) * 256 + 7), COLOURS)


def test_ybr_is_converted(tmp_path):
    ybr = np.asarray(Image.fromarray(COLOURS).convert("YCbCr"))
    found = shown(tmp_path, ybr, PhotometricInterpretation="YBR_FULL")
    assert np.abs(found.astype(int) - COLOURS).max() <= 4


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_palette_is_looked_up_whatever_the_order_of_bytes(tmp_path, syntax):
    """pydicom 3.0 reads the tables of a big-endian file in the wrong order."""
    order = ">u2" if syntax == ExplicitVRBigEndian else "<u2"
    tags = {"PhotometricInterpretation": "PALETTE COLOR", "TransferSyntaxUID": syntax}
    for shade, name in enumerate(("Red", "Green", "Blue")):
        entries = (np.arange(4) * 20 + 10 * shade).astype(np.uint16) * 256 + 251
        tags |= {f"{name}PaletteColorLookupTableDescriptor": [4, 0, 16]}
        tags |= {f"{name}PaletteColorLookupTableData": entries.astype(order).tobytes()}
    found = shown(tmp_path, np.uint8([[0, 1], [2, 3]]), **tags)
    assert found[1, 1].tolist() == [60, 70, 80] and found[0, 0].tolist() == [0, 10, 20]


# --- frames

CUBE = np.stack([np.full((6, 8), 100 * n, np.uint16) for n in range(5)])
CUBE[:, 0, 0] = 900


def frames(tmp_path, wanted, **tags) -> list[tuple[str, np.ndarray]]:
    records, wrong = read(write(tmp_path / "a.dcm", CUBE, **tags), tmp_path, frames=wanted)
    files = [picture_file(tmp_path, record) for record in records]
    assert not wrong
    return [
        (record["fig_caption"], open_image(file).stored_greys())
        for record, file in zip(records, files, strict=True)
    ]


@pytest.mark.parametrize(("wanted", "levels"), [("middle", [200]), (1, [0]), (5, [400]),
                                                ("all", [0, 100, 200, 300, 400])])  # fmt: skip
def test_one_frame_is_chosen_or_all(tmp_path, wanted, levels):
    found = frames(tmp_path, wanted)
    assert [greys.values(stored)[3, 3] for _, (stored, greys) in found] == levels
    assert f"frame {levels[0] // 100 + 1} of 5" in found[0][0]


def test_a_contact_sheet_shows_frames_row_by_row_on_one_scale(tmp_path):
    [(caption, (stored, greys))] = frames(tmp_path, "sheet")
    values = greys.values(stored)
    assert "contact sheet of 5 of 5 frames" in caption
    assert stored.shape == (2 * 6 + 2, 3 * 8 + 2 * 2)
    assert values[[3, 3, 3, 11, 11], [3, 13, 23, 3, 13]].round().tolist() == [0, 100, 200, 300, 400]


def test_a_frame_has_its_own_rescale_and_window(tmp_path):
    groups = [
        item(
            PixelValueTransformationSequence=[item(RescaleSlope=n + 1, RescaleIntercept=-n)],
            FrameVOILUTSequence=[item(WindowCenter=300 + n, WindowWidth=9000)],
        )
        for n in range(5)
    ]
    found = frames(tmp_path, "all", PerFrameFunctionalGroupsSequence=groups)
    for n, (_, (stored, greys)) in enumerate(found):
        assert greys.values(stored)[3, 3] == 100 * n * (n + 1) - n
        assert greys.windows[0].centre == 300 + n


def test_pixels_that_are_no_squares_are_made_square(tmp_path):
    assert shown(tmp_path, RAMP, PixelAspectRatio=[2, 1]).shape == (16, 8)
    assert shown(tmp_path, RAMP, PixelSpacing=[0.5, 0.75]).shape == (8, 12)
    assert shown(tmp_path, RAMP, PixelSpacing=[0.5, 0]).shape == (8, 8)


# --- the file beside the PNG


def test_the_png_holds_pixels_alone(tmp_path):
    [record], _ = read(write(tmp_path / "a.dcm"), tmp_path)
    content = picture_file(tmp_path, record).read_bytes()
    place, kinds = 8, []
    while place < len(content):
        length = int.from_bytes(content[place : place + 4])
        kinds.append(content[place + 4 : place + 8])
        place += 12 + length
    assert set(kinds) == {b"IHDR", b"IDAT", b"IEND"}


def test_windows_hold_only_for_the_png_that_they_name(tmp_path):
    [record], _ = read(write(tmp_path / "a.dcm", **CT), tmp_path)
    file = picture_file(tmp_path, record)
    as_read = open_image(file)
    assert any("centre 0, width 600 HU" in note for note in as_read.notes)
    assert as_read.shown_as != as_read.sha256
    Image.fromarray(RAMP + np.uint16(1)).save(file)
    assert open_image(file).stored_greys() is None
    assert "stretched" in open_image(file).notes[0]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"sha256": 1}', "[" * 100_000, '{"sha256":"%s","greys":null}',
             '{"sha256":"%s","greys":{"slope":NaN,"intercept":0,"inverted":false,"unit":"",'
             '"windows":[]}}', '{"sha256":"%s","greys":{"windows":[{}]}}'],
)  # fmt: skip
def test_a_damaged_file_beside_a_png_is_as_none(tmp_path, text):
    Image.fromarray(RAMP).save(tmp_path / "a.png")
    sha256 = open_image(tmp_path / "a.png").sha256
    greys_file(tmp_path / "a.png").write_text(text.replace("%s", sha256))
    assert greys_beside(tmp_path / "a.png", sha256) is None
    assert open_image(tmp_path / "a.png").stored_greys() is None


def test_a_changed_copy_keeps_depth_and_windows(tmp_path):
    stored, greys = greys_of(tmp_path, **CT)
    changed = stored.copy()
    changed[:2, :2] = 0  # such as a redaction
    write_picture(Picture(changed, greys), {"modality": "CT"}, lambda _: tmp_path / "b.png")
    again, windows = open_image(tmp_path / "b.png").stored_greys()
    assert np.array_equal(again, changed) and windows == greys


def test_stored_greys_are_scaled_down_before_the_window(tmp_path):
    stored, greys = greys_of(tmp_path, np.repeat(RAMP, 8, 1), **CT)
    [record], _ = read(tmp_path / "a.dcm", tmp_path)
    small, _ = open_image(picture_file(tmp_path, record)).stored_greys(max_side=8)
    assert small.shape == (1, 8) and stored.shape == (8, 64)
    assert greys.values(small)[0, 0] == pytest.approx(greys.values(stored)[:, :8].mean(), abs=2)

"""Claims about greys of more than 8 bits, and about DICOM, which is no image here."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from figure_rows import record, write_set
from PIL import Image

from vital_lib.figures import UnreadableImage, image_notes, open_image, read_figures

RAMP = np.linspace(1000, 3000, 4096).astype(np.uint16).reshape(64, 64)


def shades(path: Path) -> np.ndarray:
    """The greys of an image as shown, (H, W)."""
    return np.asarray(open_image(path).pixels())[..., 0].astype(int)


def tiff(values: np.ndarray, photometric: int, order: str = "<", kind: int = 1) -> bytes:
    """A TIFF of one strip; `kind` is its sample format: 1 unsigned, 2 signed, 3 floating point."""
    bits = values.dtype.itemsize * 8
    data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    tags = [(256, 3, values.shape[1]), (257, 3, values.shape[0]), (258, 3, bits), (259, 3, 1),
            (262, 3, photometric), (273, 4, 8), (277, 3, 1), (278, 3, values.shape[0]),
            (279, 4, len(data)), (339, 3, kind)]  # fmt: skip
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(data))
    entries = b""
    for tag, form, value in tags:
        packed = (order + "HH", value, 0) if form == 3 else (order + "I", value)
        entries += struct.pack(order + "HHI", tag, form, 1) + struct.pack(*packed)
    return head + data + struct.pack(order + "H", len(tags)) + entries + b"\0" * 4


def png16(values: np.ndarray, colour: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of 16-bit samples (H, W, channels)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        ends = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + ends

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    size = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour, 0, 0, 0)
    body = b"".join(chunk(*one) for one in chunks) + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("hot", [65535, 0])
def test_one_hot_or_dead_pixel_leaves_the_others_their_contrast(tmp_path, hot):
    values = RAMP.copy()
    values[10, 10] = hot
    Image.fromarray(values).save(tmp_path / "a.png")
    shown = np.delete(shades(tmp_path / "a.png").ravel(), 650)
    assert shown.min() == 0 and shown.max() == 255 and len(set(shown)) > 200


def test_an_image_without_outliers_runs_from_its_least_to_its_greatest(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "a.png")
    shown = shades(tmp_path / "a.png").ravel()
    assert (shown[0], shown[-1]) == (0, 255) and (shown == 0).sum() < 20
    assert np.all(np.diff(shown) >= 0)


def test_stretching_is_said_with_its_window(tmp_path):
    values = RAMP.copy()
    values[10, 10] = 65535
    Image.fromarray(values).save(tmp_path / "a.png")
    (note,) = open_image(tmp_path / "a.png").notes
    assert "1000 to 65535" in note and "99th percentile" in note
    Image.fromarray(np.uint8(RAMP // 16)).save(tmp_path / "b.png")
    assert open_image(tmp_path / "b.png").notes == ()


def test_a_set_tells_which_of_its_images_were_stretched(tmp_path):
    folder = write_set(tmp_path / "set", [record("1_F1"), record("2_F1")])
    Image.fromarray(RAMP).save(folder / "images" / "2_F1.png")
    frame, _ = read_figures(str(folder), run=tmp_path)
    notes = image_notes(frame)
    assert notes["figure_id"].tolist() == ["2_F1"] and "stretched" in notes["note"][0]


@pytest.mark.parametrize("share", [0.9, 0.99, 0.999])
def test_what_little_differs_from_one_value_is_seen_in_full(tmp_path, share):
    values = np.zeros((200, 200), np.uint16)
    count = int(values.size * (1 - share))
    values.ravel()[:count] = np.linspace(1000, 3000, count)
    values[199, 199] = 65535
    Image.fromarray(values).save(tmp_path / "a.png")
    shown = shades(tmp_path / "a.png").ravel()
    assert shown[count + 1] == 0 and shown[:count].max() == 255
    assert len(set(shown[:count])) >= min(count, 100) * 0.9


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [1, 2, 3])
@pytest.mark.parametrize("photometric", [0, 1])
def test_a_tiff_whose_white_is_zero_is_not_its_negative(tmp_path, order, kind, photometric):
    values = RAMP.astype({1: np.uint16, 2: np.int16, 3: np.float32}[kind]) - (kind == 2) * 2000
    (tmp_path / "a.tif").write_bytes(tiff(values, photometric, order, kind))
    shown = shades(tmp_path / "a.tif").ravel()
    ends = (0, 255) if photometric == 1 else (255, 0)
    assert (shown[0], shown[-1]) == ends
    assert abs(int(shown[2048]) - 128) <= 2


def test_the_8_bit_form_of_the_same_picture_looks_alike(tmp_path):
    for bits, values in ((8, np.uint8(RAMP // 16)), (16, RAMP)):
        (tmp_path / f"{bits}.tif").write_bytes(tiff(values, 0))
    dark = shades(tmp_path / "8.tif"), shades(tmp_path / "16.tif")
    assert np.corrcoef(dark[0].ravel(), dark[1].ravel())[0, 1] > 0.99


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_float_image_is_shown_around_what_is_no_number(tmp_path, bad):
    values = (RAMP / 5000).astype(np.float32)
    values[0, :8] = bad
    (tmp_path / "a.tif").write_bytes(tiff(values, 1, kind=3))
    shown = shades(tmp_path / "a.tif").ravel()
    assert shown[-1] == 255 and len(set(shown)) > 200
    assert set(shown[:8]) == {255 if bad == np.inf else 0}


def test_a_float_image_without_a_number_is_refused(tmp_path):
    values = np.full((4, 4), np.nan, np.float32)
    (tmp_path / "a.tif").write_bytes(tiff(values, 1, kind=3))
    with pytest.raises(UnreadableImage, match="none of its values is a finite number"):
        open_image(tmp_path / "a.tif")


def test_16_bit_greys_with_alpha_keep_their_lower_bits_and_lie_on_white(tmp_path):
    values = np.stack([RAMP // 16, np.full_like(RAMP, 65535)], axis=2)
    values[:, :8, 1] = 0
    (tmp_path / "a.png").write_bytes(png16(values, 4))
    shown = shades(tmp_path / "a.png")
    assert (shown[:, :8] == 255).all()
    assert shown[0, 8] <= 2 and shown[-1, -1] == 255 and len(set(shown[:, 8:].ravel())) > 100


def test_a_transparent_16_bit_value_lies_on_white(tmp_path):
    values = RAMP.copy()
    values[0] = 7
    content = png16(values[..., None], 0, (b"tRNS", struct.pack(">H", 7)))
    (tmp_path / "a.png").write_bytes(content)
    shown = shades(tmp_path / "a.png")
    assert (shown[0] == 255).all() and shown[1, 0] <= 1


@pytest.mark.parametrize("alpha", [False, True])
def test_12_bit_colours_in_16_bits_are_not_shown_as_black(tmp_path, alpha):
    values = np.stack([RAMP, RAMP[::-1], RAMP.T], axis=2)
    values[10, 10] = 65535
    if alpha:
        values = np.dstack([values, np.full_like(RAMP, 65535)])
        values[0, :, 3] = 0
    (tmp_path / "a.png").write_bytes(png16(values, 6 if alpha else 2))
    image = open_image(tmp_path / "a.png")
    shown = np.asarray(image.pixels()).astype(int)
    assert "99th percentile" in image.notes[0]
    assert (shown[1, 0, 0] < 10 and shown[-1, -1, 0] == 255) and len(set(shown[..., 0].flat)) > 200
    assert shown[1, 0, 1] > 240 and shown[-1, -1, 1] < 10
    assert not alpha or (shown[0] == 255).all()


def test_16_bit_colours_say_that_they_are_cut(tmp_path):
    values = np.repeat((RAMP * 16)[..., None], 3, axis=2)
    (tmp_path / "a.png").write_bytes(png16(values, 2))
    image = open_image(tmp_path / "a.png")
    assert image.notes == ("16-bit colours: only the upper 8 bits are shown",)


def test_what_was_kept_of_a_stretched_image_goes_by_its_window(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "a.png")
    Image.fromarray(np.uint8(RAMP // 16)).save(tmp_path / "b.png")
    stretched, plain = (open_image(tmp_path / name) for name in ("a.png", "b.png"))
    assert plain.shown_as == plain.sha256 and stretched.shown_as != stretched.sha256
    assert stretched.shown_as == open_image(tmp_path / "a.png").shown_as


def test_the_first_of_several_frames_is_shown_and_said(tmp_path):
    frames = [Image.fromarray(np.full((8, 8), level, np.uint8)) for level in (40, 80, 120)]
    for name in ("a.tif", "a.gif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        image = open_image(tmp_path / name)
        assert image.notes == ("only the first of 3 frames is shown",)
        assert set(np.asarray(image.pixels()).ravel()) == {40}


def test_greys_are_turned_upright_too(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RAMP[:32]).save(tmp_path / "a.png", exif=exif)
    image = open_image(tmp_path / "a.png")
    assert (image.width, image.height) == (32, 64)
    assert shades(tmp_path / "a.png")[0, -1] == 0


# DICOM


def dicom(preamble: bytes = b"") -> bytes:
    return preamble.ljust(128, b"\0") + b"DICM" + b"\x02\0\0\0UL\x04\0\xb0\0\0\0" + b"\0" * 200


@pytest.mark.parametrize("preamble", [b"", b"II*\0\x08\0\0\0", b"MM\0*", b"\xff\xd8\xff\xe0",
                                      b"\x89PNG\r\n\x1a\n", b"GIF89a", b"anything"])  # fmt: skip
@pytest.mark.parametrize("name", ["a.dcm", "a.png", "a"])
def test_dicom_is_refused_by_its_name_with_the_way_out(tmp_path, preamble, name):
    (tmp_path / name).write_bytes(dicom(preamble))
    with pytest.raises(UnreadableImage, match=r"is a DICOM file.*figure set.*PNG"):
        open_image(tmp_path / name)


def test_a_dicom_file_that_is_a_tiff_as_well_is_refused(tmp_path):
    """Such files exist for slides: the preamble is a TIFF's header."""
    whole = bytearray(tiff(RAMP, 1))
    whole[128:132] = b"DICM"
    Image.open(io.BytesIO(bytes(whole))).load()  # Pillow would show it
    (tmp_path / "a.tif").write_bytes(bytes(whole))
    with pytest.raises(UnreadableImage, match="is a DICOM file"):
        open_image(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.dcm", b"\x08\0\x05\0\x0a\0\0\0ISO_IR 100"), ("a", b"\x08\0\x05\0CS\x0a\0ISO_IR 100"),
     ("a.IMA", b"whatever"), ("a.png", b"\x08\0\0\0\x04\0\0\0\xa2\0\0\0")],
)  # fmt: skip
def test_dicom_without_its_mark_is_named_as_well(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableImage, match="DICOM file.*lacks the DICM mark"):
        open_image(tmp_path / name)


def test_an_image_called_dcm_is_an_image(tmp_path):
    Image.fromarray(np.uint8(RAMP // 16)).save(tmp_path / "a.dcm", "PNG")
    assert open_image(tmp_path / "a.dcm").width == 64


def test_a_dicom_file_is_one_rejected_row(tmp_path):
    folder = write_set(tmp_path / "set", [record("1_F1"), record("2_F1")])
    (folder / "images" / "2_F1.png").write_bytes(dicom(b"II*\0"))
    frame, rejected = read_figures(str(folder), run=tmp_path)
    assert len(frame) == 1 and "DICOM" in rejected["reason"][0]


def test_pydicoms_own_example_is_refused(tmp_path):
    examples = pytest.importorskip("pydicom.examples")
    with pytest.raises(UnreadableImage, match="DICOM"):
        open_image(examples.get_path("ct"))


@pytest.mark.parametrize("hot", [65535, 0])
def test_a_hot_or_dead_first_pixel_is_one_like_others(tmp_path, hot):
    values = RAMP.copy()
    values[0, 0] = hot
    Image.fromarray(values).save(tmp_path / "a.png")
    shown = shades(tmp_path / "a.png").ravel()[1:]
    assert shown.max() == 255 and len(set(shown)) > 200

"""Claims about damaged and hostile DICOM: each file is a picture or rejected, never a crash."""

from __future__ import annotations

import io
import itertools
import tempfile
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from dicom_rows import RAMP, dataset, item, options, read, write
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.uid import (
    JPEG2000,
    AllTransferSyntaxes,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from vital_lib.dicom import dicom_records, files, pixels
from vital_lib.figures import open_image, read_figures
from vital_lib.records import InvalidRecord

_OF_PYDICOM = ("examples_palette.dcm", "SC_rgb_rle_2frame.dcm", "JPEG2000.dcm", "MR_small_RLE.dcm",
               "SC_rgb_small_odd_jpeg.dcm", "image_dfl.dcm", "rtdose.dcm", "liver_1frame.dcm",
               "SC_rgb_jpeg_dcmtk.dcm", "emri_small_jpeg_2k_lossless.dcm")  # fmt: skip
_TAGS = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
         "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "PlanarConfiguration",
         "RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "PixelSpacing",
         "PixelAspectRatio", "PixelPaddingValue", "Modality", "SOPInstanceUID", "PatientID",
         "ImagePositionPatient", "InstanceNumber", "VOILUTFunction")  # fmt: skip
_VALUES = (0, 1, 2, 7, 8, 16, 32, 255, 65_535, "", "-1", "1e400", "nan", "0\\0", "x", "RGB",
           "YBR_FULL_422", "MONOCHROME1", "PALETTE COLOR", "1\\2\\3")  # fmt: skip
_NUMBERS = itertools.count()


@cache
def bases() -> list[bytes]:
    """Whole files to damage: greys, colours, frames, tables, compressed ones."""
    voi = item(LUTDescriptor=[4, 0, 12], LUTData=[0, 5, 9, 4000])
    voi["LUTDescriptor"].VR, voi["LUTData"].VR = "US", "US"
    window = {"WindowCenter": [40, 500], "WindowWidth": [400, 900], "PixelPaddingValue": 0}
    made = [
        {"pixels": RAMP, "RescaleSlope": 2, "RescaleIntercept": -9, **window},
        {"pixels": RAMP.astype(np.int16), "TransferSyntaxUID": ImplicitVRLittleEndian, **window},
        {"pixels": np.stack([RAMP, RAMP]), "VOILUTSequence": [voi]},
        {"pixels": np.zeros((4, 4, 3), np.uint8), "TransferSyntaxUID": ExplicitVRBigEndian},
    ]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for tags in made:
            found.append(write(Path(folder, "a.dcm"), **tags).read_bytes())
    paths = [get_testdata_file(name, download=False) for name in _OF_PYDICOM]
    small = (Path(path).read_bytes() for path in paths if path)
    return [*found, *(content for content in small if len(content) < 200_000)]


def _with_tag(content: bytes, keyword: str, value: object) -> bytes:
    """A file with another value in a tag, whatever the tag's kind of value."""
    import warnings

    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ds = pydicom.dcmread(io.BytesIO(content), force=True)
            if value is None:
                delattr(ds, keyword)
            else:
                ds.add_new(keyword, "UT" if isinstance(value, str) else "US", value)
            buffer = io.BytesIO()
            ds.save_as(buffer)
            return buffer.getvalue()
        except Exception:  # noqa: BLE001 - pydicom cannot write it: leave it as it was
            return content


@st.composite
def damaged(draw) -> bytes:
    """The bytes of a file that was cut, flipped, mixed or contradicted in one to three ways."""
    content = draw(st.sampled_from(bases()))
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(("cut", "flip", "flip", "insert", "syntax", "tag", "tag")))
        place = draw(st.integers(0, max(0, len(content) - 1)))
        if draw(st.booleans()):
            place = min(place, 600)  # where most of the header is
        if kind == "cut":
            content = content[:place]
        elif kind == "flip":
            some = draw(st.binary(min_size=1, max_size=4))
            content = content[:place] + some + content[place + len(some) :]
        elif kind == "insert":
            content = content[:place] + draw(st.binary(max_size=20)) + content[place:]
        elif kind == "syntax":
            syntax = draw(st.sampled_from(AllTransferSyntaxes)).encode().ljust(22, b"\0")
            at = content.find(b"1.2.840.10008.1.2")
            content = content[:at] + syntax + content[at + 22 :] if at > 0 else content
        else:
            value = draw(st.one_of(st.none(), st.sampled_from(_VALUES)))
            content = _with_tag(content, draw(st.sampled_from(_TAGS)), value)
    return content


def check(content: bytes, folder: Path) -> None:
    """Read a file: all that may come of it is records with pictures, or rejected ones."""
    file = folder / f"{next(_NUMBERS)}.dcm"
    file.write_bytes(content)
    choice = ("middle", "all", "sheet", 2)[len(content) % 4]
    found = [*dicom_records(file, folder / "run", options(folder, frames=choice))]
    assert found
    for place, record in found:
        assert place.startswith("file 1 of 1")
        if isinstance(record, InvalidRecord):
            assert record.field and record.reason
        else:
            picture = folder / "run" / "dicom" / record["image"]
            assert open_image(picture).pixels().mode == "RGB"
            picture.unlink()
    file.unlink()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("damaged")


@given(content=damaged())
@settings(max_examples=200)
def test_200_damaged_files_are_pictures_or_rejected(folder, content):
    check(content, folder)


@pytest.mark.slow
@given(content=damaged())
@settings(max_examples=2_000)
def test_2000_damaged_files_are_pictures_or_rejected(folder, content):
    check(content, folder)


# --- by hand


def saved(**tags) -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    ds = dataset(**tags)
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def why(tmp_path, content: bytes) -> str:
    """The field and the reason for which a file is rejected."""
    (tmp_path / "a.dcm").write_bytes(content)
    records, [(_, error)] = read(tmp_path / "a.dcm", tmp_path)
    assert not records
    return f"{error.field}: {error.reason}"


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Rows": 65_535, "Columns": 65_535}, "Rows: 65,535 x 65,535 pixels, over 100,000,000"),
        ({"Rows": 0}, "Rows: 0 rows and 8 columns: there is no image"),
        ({"Columns": None}, "Rows: 8 rows and 0 columns: there is no image"),
        ({"Rows": 9}, "PixelData: cannot be decoded from Explicit VR Little Endian (ValueError)"),
        ({"PhotometricInterpretation": "HSV"}, "PhotometricInterpretation: is not one of MONO"),
        ({"BitsAllocated": 12}, "PixelData: cannot be decoded"),
        ({"SamplesPerPixel": 3}, "PixelData: cannot be decoded"),
        ({"NumberOfFrames": 2_000_000_000}, "NumberOfFrames: says 2,000,000,000 frames"),
        ({"PixelRepresentation": None}, "PixelData: cannot be decoded"),
    ],
)
def test_a_contradiction_is_rejected_with_its_field(tmp_path, tags, reason):
    assert why(tmp_path, saved(**tags)).startswith(reason)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000, "1.2.3"])
def test_a_wrong_transfer_syntax_is_rejected(tmp_path, syntax):
    named = syntax.encode().ljust(20, b"\0")[:20]
    reason = why(tmp_path, saved().replace(b"1.2.840.10008.1.2.1\0", named, 1))
    assert "cannot be" in reason or "holds no" in reason


@pytest.mark.parametrize(("content", "reason"), [
    (b"", "header: holds no DICOM tag that is read"),
    (b"\0" * 128 + b"DICM", "header: holds no DICOM tag that is read"),
    (b"\xff" * 400, "header: holds no DICOM tag that is read"),
])  # fmt: skip
def test_what_is_no_dicom_is_rejected(tmp_path, content, reason):
    assert why(tmp_path, content).startswith(reason)


def test_a_file_cut_anywhere_is_rejected_or_read(tmp_path):
    whole = saved()
    for end in range(0, len(whole), 23):
        check(whole[:end], tmp_path)


def test_sequences_nested_a_thousand_times_are_rejected_or_skipped(tmp_path):
    begin = b"\x08\0\x15\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff"
    end = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    whole = saved()
    place = whole.index(b"\x08\0\x60\0CS")  # before Modality
    for depth in (3, 1_000, 5_000):
        nested = begin * depth + end * depth
        check(whole[:place] + nested + whole[place:], tmp_path)
        check(whole[:place] + begin * depth, tmp_path)
        functional = nested.replace(b"\x08\0\x15\x11", b"\x00\x52\x30\x92")  # one that is read
        check(whole[:place] + functional + whole[place:], tmp_path)


@pytest.mark.parametrize("frames", ["middle", "all", "sheet"])
def test_frames_that_the_pixels_cannot_hold_are_one_rejected_row(tmp_path, frames):
    write(tmp_path / "set" / "a.dcm", NumberOfFrames=10**9)
    [], [(_, error)] = read(tmp_path / "set", tmp_path, frames=frames)
    assert error.field == "NumberOfFrames" and "hold 1 at most" in error.reason


def test_a_deflated_bomb_is_not_inflated(tmp_path, monkeypatch):
    whole = saved(TransferSyntaxUID=DeflatedExplicitVRLittleEndian)
    assert read(_file(tmp_path, whole), tmp_path)[0]
    monkeypatch.setattr(files, "MAX_BYTES", 3_000_000)
    start = 144 + int.from_bytes(whole[140:144], "little")
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = deflate.compress(b"\0" * 30_000_000) + deflate.flush()
    assert len(bomb) < 50_000
    assert why(tmp_path, whole[:start] + bomb) == "file: inflates to over 3,000,000 bytes"
    assert "over 3,000,000" in why(tmp_path, saved(pixels=np.zeros((2_000, 1_000), np.uint16)))
    assert "where that begins" in why(tmp_path, whole[:132] + whole[144:])


@pytest.mark.parametrize("zeros", [b"\0" * 900_000, b"\x08\0\x15\x11SQ\0\0\xff\xff\xff\xff" + (
    b"\xfe\xff\0\xe0\xff\xff\xff\xff" + b"\0" * 900_000)])  # fmt: skip
def test_a_file_of_nothing_but_empty_tags_is_given_up(tmp_path, monkeypatch, zeros):
    """At the true limit it takes seconds; pydicom alone would take an hour for 500 MB."""
    monkeypatch.setattr(files, "MOST_READS", 10_000)
    reason = why(tmp_path, b"\0" * 128 + b"DICM" + zeros)
    assert reason == "header: has over 10,000 tags"


def test_a_sequence_beyond_the_bound_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_HEADER", 2_000)
    groups = [item(FrameVOILUTSequence=[item(WindowCenter=n, WindowWidth=9)]) for n in range(99)]
    content = saved(PerFrameFunctionalGroupsSequence=groups)
    assert why(tmp_path, content) == "header: has over 2,000 bytes"


def _file(tmp_path: Path, content: bytes) -> Path:
    (tmp_path / "a.dcm").write_bytes(content)
    return tmp_path / "a.dcm"


def test_one_frame_of_many_is_decoded_alone(tmp_path, monkeypatch):
    decoded = []
    true = pixels.picture_of
    monkeypatch.setattr(
        "vital_lib.dicom.records.picture_of", lambda ds, n: decoded.append(n) or true(ds, n)
    )
    file = _file(tmp_path, saved(pixels=np.repeat(RAMP[None], 200, 0)))
    read(file, tmp_path)
    assert decoded == [100]
    read(file, tmp_path, frames="sheet")
    assert len(decoded) == 1 + 25


def test_a_bomb_of_pixels_in_a_jpeg_is_refused(tmp_path):
    """The header of the file says 8 x 8; the JPEG inside says more."""
    from pydicom.encaps import encapsulate

    buffer = io.BytesIO()
    Image.new("L", (4_000, 3_000)).save(buffer, "JPEG")
    ds = dataset(pixels=np.uint8(RAMP // 8))
    content = saved(pixels=np.uint8(RAMP // 8))
    del ds
    place = content.index(b"\xe0\x7f\x10\0")
    framed = encapsulate([buffer.getvalue()])
    tail = b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff" + framed + b"\xfe\xff\xdd\xe0\0\0\0\0"
    header = content[:place].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.4.50", 1)
    header = header.replace(b"\x10\0UI\x14\0", b"\x10\0UI\x16\0", 1)
    length = int.from_bytes(header[140:144], "little") + 2
    header = header[:140] + length.to_bytes(4, "little") + header[144:]
    assert why(tmp_path, header + tail).startswith("PixelData: ")


def test_a_damaged_file_does_not_stop_the_good_ones_beside_it(tmp_path):
    for n in range(3):
        write(tmp_path / "set" / f"{n}.dcm", RAMP + np.uint16(n))
    file = tmp_path / "set" / "1.dcm"
    file.write_bytes(file.read_bytes()[:-1])
    figures, wrong = read_figures(
        str(tmp_path / "set"), run=tmp_path / "run", dicom=options(tmp_path)
    )
    assert len(figures) == 2
    assert wrong[["place", "field"]].to_numpy().tolist() == [["file 2 of 3", "PixelData"]]

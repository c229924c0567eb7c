"""Claims about what does not come along: identifiers planted everywhere in headers and names."""

from __future__ import annotations

import contextlib
import io
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from dicom_rows import RAMP, dataset, item, options, write
from PIL import Image
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset

from vital_lib.dicom import header
from vital_lib.figures import image_opener, read_figures
from vital_lib.tables import Workspace

SECRET, LATER = "Zqxjane", "Wvkroe"
DAY, UID, NUMBER = "19230417", "1.2.826.0.1.7788665544", "83.4917"
PLANTED = (SECRET, LATER, DAY, "1923-04-17", UID, NUMBER)
_LIMITS = {"AE": 16, "CS": 16, "SH": 16, "AS": 4, "PN": 64, "LO": 64, "LT": 99, "ST": 99,
           "UT": 99, "UC": 99, "UR": 99}  # fmt: skip
_NUMBERS = {"DS": NUMBER, "IS": "834917"}


def _planted(vr: str, number: int) -> str | None:
    """An identifier of a kind of value; None for kinds that hold no text."""
    if vr in _LIMITS:
        return f"{(SECRET, LATER)[number % 2]} {number}"[: _LIMITS[vr]]
    return {"DA": DAY, "DT": f"{DAY}101112", "TM": "101112", "UI": f"{UID}.{number}"}.get(vr)


def planted(kind: int, pixels: np.ndarray = RAMP) -> Dataset:
    """A dataset with identifiers in every text of the dictionary that is not needed to decode it.

    Odd kinds also fill the terms and names that are read: they are dropped as unknown.
    """
    ds = dataset(pixels, WindowCenter=500, WindowWidth=900)
    needed = {element.keyword for element in ds} | {"SpecificCharacterSet"}
    needed -= {"PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"}
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        value = _planted(vr, tag)
        if tag < 0x00080000 or not keyword or keyword in needed or value is None:
            continue
        if kind % 2 == 0 and keyword in header.READ and vr in ("CS", "DS", "IS"):
            continue
        with contextlib.suppress(ValueError):
            ds.add_new(tag, vr, value)
    for vr, number in _NUMBERS.items():
        ds.add_new(0x00101030 if vr == "DS" else 0x00101050, vr, number)
    inner = item(PatientName=SECRET, PatientID=LATER, TextValue=f"of {SECRET}", StudyDate=DAY)
    ds.RequestAttributesSequence = [item(RequestAttributesSequence=[inner], PatientName=SECRET)]
    ds.IconImageSequence = [dataset(np.uint8(RAMP // 8), PatientName=SECRET, PatientComments=LATER)]
    ds.WindowCenterWidthExplanation = [f"{SECRET} window"]
    private = ds.private_block(0x0011, f"{SECRET} private", create=True)
    private.add_new(1, "LO", LATER)
    private.add_new(2, "UN", SECRET.encode())
    private.add_new(3, "SQ", [inner])
    ds.add_new(0x60003000, "OW", (SECRET * 4).encode())  # an overlay
    ds.add_new(0x60000022, "LO", SECRET)
    ds.DataSetTrailingPadding = (SECRET * 2).encode()
    ds.preamble = SECRET.encode().ljust(128, b"\0")
    return ds


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder of readable and of damaged files, all with identifiers, and in their names too."""
    folder = tmp_path_factory.mktemp("set")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fill(folder)
    return folder


def fill(folder: Path) -> None:
    """Write the files."""
    inside = folder / f"{SECRET}^{LATER}" / DAY
    inside.mkdir(parents=True)
    syntax = b"1.2.840.10008.1.2.1\0"
    others = (b"1.2.840.10008.1.2\0\0\0", b"1.2.826.0.1.7788665\0")
    damage = {
        LATER: lambda whole, kind: whole,
        f"cut {SECRET}": lambda whole, kind: whole[: -60 * (kind + 1)],
        f"early {SECRET}": lambda whole, kind: whole[: 3000 + 7 * kind],
        f"odd {SECRET}": lambda whole, kind: whole.replace(b"MONOCHROME2", b"ZqxjaneWvkr"),
        f"wrong {SECRET}": lambda whole, kind: whole.replace(syntax, others[kind % 2]),
    }
    for kind in range(4):
        for number, (name, change) in enumerate(damage.items()):
            ds = planted(kind, RAMP if kind < 2 else np.stack([RAMP, RAMP]))
            ds.SOPInstanceUID = f"{UID}.{kind}.{number}"
            ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
            ds.file_meta.SourceApplicationEntityTitle = SECRET
            path = inside / f"{name}_{kind}.dcm"
            ds.save_as(path, enforce_file_format=True)
            path.write_bytes(change(path.read_bytes(), kind))
    write(inside / f"{SECRET}.dcm", Rows=0, PatientName=SECRET)
    (inside / f"{SECRET}.txt").write_text(SECRET)
    (inside / f"empty {LATER}.dcm").write_bytes(b"")


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The name and the bytes of every file, also of what is compressed in it."""
    for path in folder.rglob("*"):
        yield path.name, path.name.encode()
        if path.is_file():
            data = path.read_bytes()
            yield path.name, data
            if path.suffix == ".png":
                yield path.name, Image.open(io.BytesIO(data)).tobytes()
                yield path.name, zlib.decompress(_compressed(data))


def _compressed(png: bytes) -> bytes:
    place, found = 8, b""
    while place < len(png):
        length = int.from_bytes(png[place : place + 4])
        if png[place + 4 : place + 8] == b"IDAT":
            found += png[place + 8 : place + 8 + length]
        place += 12 + length
    return found


def assert_nothing_of(text: bytes, where: str) -> None:
    lower = text.lower()
    for word in PLANTED:
        for form in (word.encode(), word.encode("utf-16-le")):
            assert form.lower() not in lower, f"{word} in {where}"


@pytest.mark.parametrize("changes", [{}, {"frames": "sheet", "series": "sheet"}, {"dates": True},
                                     {"frames": "all", "series": 2}])  # fmt: skip
def test_no_planted_identifier_appears_in_the_run_or_on_the_screen(
    folder, tmp_path, caplog, capfd, recwarn, changes
):
    workspace = Workspace(tmp_path / "run")
    figures, rejected = read_figures(
        str(folder), run=workspace.path, dicom=options(tmp_path, **changes)
    )
    assert len(figures) >= 2 and len(rejected) >= 9, rejected[["place", "reason"]].to_string()
    workspace.write("figures", figures)
    workspace.write("figures_rejected", rejected)
    for figure_id in figures["figure_id"]:
        assert_nothing_of(image_opener(figures)(figure_id).jpeg(), "a JPEG")
    seen = [*contents(workspace.path), ("log", caplog.text.encode())]
    for table in (figures, rejected):
        seen.append(("table", table.to_json().encode()))
        seen.append(("attrs", repr(table.attrs).encode()))
    seen.append(("screen", "".join(capfd.readouterr()).encode()))
    seen.append(("warnings", "".join(str(one.message) for one in recwarn).encode()))
    assert len(seen) > 20
    for where, data in seen:
        assert_nothing_of(data, where)


def test_the_test_would_find_them(folder):
    with pytest.raises(AssertionError, match=f"{SECRET} in"):
        for where, data in contents(folder):
            assert_nothing_of(data, where)


def test_every_tag_that_is_read_is_a_known_one():
    from pydicom.datadict import tag_for_keyword

    read = header.tags_read(dates=True, texts=True)
    assert len(read) == len(set(read)) and None not in map(tag_for_keyword, read)
    assert len(header.READ) < 80

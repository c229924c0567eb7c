"""Claims about the DICOM files that come with pydicom and pydicom-data: which open, and why not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pydicom
import pytest
from beside import installed_beside
from dicom_rows import read
from packaging.requirements import Requirement

from vital_lib.figures import open_image

ROOT = Path(__file__).parents[1]
PYDICOM = Path(pydicom.__file__).parent / "data"
NO_IMAGE = {
    "holds no pixels": 74,
    "holds no DICOM tag that is read": 4,
    "0 rows and 0 columns": 2,
    "the DICOMDIR refers to no file": 1,
}
DAMAGED = {
    "cannot be decoded from Explicit VR Little Endian": 2,
    "cannot be decoded from JPEG Extended": 2,
    "cannot be decoded from JPEG 2000 Image Compression": 2,
}
EXTRA = ("pyjpegls==1.5.1", "pylibjpeg==2.1.0", "pylibjpeg-libjpeg==2.5.0")


@pytest.fixture(scope="module")
def others() -> Path:
    """The 68 files of pydicom-data."""
    return installed_beside("pydicom-data-1.0.0", ["pydicom-data==1.0.0"])


def outcomes(tmp_path: Path, others: Path, decoders: list[Path]) -> dict[str, int]:
    """How many of all files open, and how many do not for which reason."""
    (tmp_path / "run").mkdir()
    script = [sys.executable, str(ROOT / "tests" / "dicom_outcomes.py"), str(tmp_path)]
    paths = os.pathsep.join(map(str, (ROOT, *decoders)))
    command = [*script, str(PYDICOM), str(others)]
    env = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    return json.loads(done.stdout)


@pytest.mark.slow
def test_most_files_with_pixels_open_without_an_extra(tmp_path, others):
    found = outcomes(tmp_path, others, [])
    needs_extra = {name: found.pop(name) for name in list(found) if name.startswith("compressed")}
    assert sum(needs_extra.values()) == 10
    assert found == {"open": 161, **NO_IMAGE, **DAMAGED}


@pytest.mark.slow
def test_with_the_extra_all_but_damaged_files_open(tmp_path, others):
    extra = installed_beside("dicom-decoders", EXTRA)
    damaged = DAMAGED | {"cannot be decoded from JPEG Extended": 1}
    assert outcomes(tmp_path, others, [extra]) == {"open": 172, **NO_IMAGE, **damaged}


def test_the_extra_names_what_the_tests_install():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [Requirement(one) for one in project["optional-dependencies"]["dicom"]]
    pinned = dict(one.split("==") for one in EXTRA)
    assert {one.name for one in wanted} == pinned.keys()
    assert all(one.specifier.contains(pinned[one.name]) for one in wanted)


def test_a_decoder_that_ends_the_process_is_never_asked(tmp_path, monkeypatch):
    """GDCM aborts on damaged JPEG; pydicom would ask it first."""
    from pydicom.pixels.decoders import JPEGBaseline8BitDecoder

    first = {"gdcm": lambda *_: sys.exit("asked"), **JPEGBaseline8BitDecoder._available}
    monkeypatch.setattr(JPEGBaseline8BitDecoder, "_available", first)
    assert shade(tmp_path, "SC_rgb_jpeg_dcmtk.dcm", (50, 5))[0] > 240


def shade(tmp_path: Path, name: str, place: tuple[int, int]) -> tuple[int, ...]:
    """The colour that people see at (x, y) of one of pydicom's files."""
    [record], _ = read(PYDICOM / "test_files" / name, tmp_path)
    return open_image(tmp_path / "run" / "dicom" / record["image"]).pixels().getpixel(place)


@pytest.mark.parametrize(
    "name", ["rle.dcm", "rle_16bit.dcm", "rle_32bit.dcm", "gdcm_KY.dcm", "jpeg_dcmtk.dcm",
             "dcmtk_+eb+cr.dcm", "dcmtk_+eb+cy+n1.dcm", "dcmtk_+eb+cy+np.dcm",
             "dcmtk_+eb+cy+s2.dcm", "dcmtk_+eb+cy+s4.dcm"],
)  # fmt: skip
def test_the_same_bars_have_the_same_colours_in_every_coding(tmp_path, name):
    wanted = {5: (255, 0, 0), 25: (0, 255, 0), 45: (0, 0, 255), 65: (0, 0, 0), 95: (255, 255, 255)}
    for y, colour in wanted.items():
        found = shade(tmp_path, f"SC_rgb_{name}", (50, y))
        assert max(abs(a - b) for a, b in zip(found, colour, strict=True)) <= 8, (y, found)

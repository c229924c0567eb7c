"""What reading DICOM costs beside pydicom and numpy alone, and how much memory a gigabyte needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_rows import options, write
from measuring import median_seconds
from PIL import Image

from vital_lib.dicom import dicom_records

pytestmark = pytest.mark.slow

SIDE = 512
GIGABYTE = 1_000_000_000
_READ = """
import sys
from pathlib import Path
sys.path.append(sys.argv[2])
from measuring import peak_bytes
from vital_lib.dicom import DicomOptions, dicom_records
work = Path(sys.argv[1])
found = 0
for place, record in dicom_records(work / "set", work / "run", DicomOptions(key=work / "key")):
    found += "pair_id" in record
    (work / "run" / "dicom" / record["image"]).unlink()
print(found, peak_bytes())
"""


def _write_series(folder: Path, number: int) -> Path:
    """A series of `number` CT slices: a noisy body in air."""
    y, x = np.mgrid[:SIDE, :SIDE]
    noise = np.random.default_rng(0).normal(0, 12, (SIDE, SIDE))
    body = np.where(np.hypot(x - 256, y - 256) < 200, 1064 + 60 * np.sin(x / 20), 24) + noise
    tags = {"RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": 40, "WindowWidth": 400}
    uid = "1.2.826.0.1.3680043.99.10000"
    first = write(folder / "00000.dcm", body.astype(np.int16), SOPInstanceUID=uid, **tags)
    content = first.read_bytes()
    for n in range(1, number):
        other = uid[:-5].encode() + f"{10_000 + n}".encode()
        (folder / f"{n:05}.dcm").write_bytes(content.replace(uid.encode(), other))
    return folder


def _bare(folder: Path, out: Path) -> None:
    """Decode, rescale, window and write each file, and nothing else."""
    for file in sorted(folder.iterdir()):
        ds = pydicom.dcmread(file)
        stored = ds.pixel_array
        values = stored * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
        centre, width = float(ds.WindowCenter), float(ds.WindowWidth)
        shown = np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1) * 255
        assert shown.shape == (SIDE, SIDE)
        greys = (stored.astype(np.int32) + 32_768).astype(np.uint16)
        Image.fromarray(greys).save(out / f"{file.stem}.png", compress_level=1)


def test_reading_is_nearly_as_fast_as_a_bare_loop(tmp_path, report):
    number = 60
    folder = _write_series(tmp_path / "set", number)
    (tmp_path / "out").mkdir()

    def read() -> None:
        found = dicom_records(folder, tmp_path / "run", options(tmp_path))
        assert sum("pair_id" in record for _, record in found) == number

    ours, bare = median_seconds(read, lambda: _bare(folder, tmp_path / "out"))
    report("dicom", files_per_second=number / ours, rate_over_bare_loop=bare / ours)
    assert bare / ours > 0.8


def test_a_gigabyte_is_read_in_the_memory_of_a_few_files(tmp_path, report):
    number = GIGABYTE // (2 * SIDE * SIDE) + 1
    _write_series(tmp_path / "set", number)
    command = [sys.executable, "-c", _READ, str(tmp_path), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found, peak = map(int, done.stdout.split())
    report("dicom", gigabyte_peak_mb=peak / 1e6)
    assert found == number
    assert peak < GIGABYTE

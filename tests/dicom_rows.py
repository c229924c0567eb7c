"""DICOM files on disk for the tests that read them, and a key of the test's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

from vital_lib.dicom import DicomOptions, dicom_records
from vital_lib.records import InvalidRecord

RAMP = np.arange(64, dtype=np.uint16).reshape(8, 8) * 16


def dataset(pixels: np.ndarray = RAMP, **tags: Any) -> Dataset:
    """A CT of `pixels`, (rows, columns), (frames, rows, columns) or colours with 3 at the end."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    syntax = tags.pop("TransferSyntaxUID", ExplicitVRLittleEndian)
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    colour = pixels.ndim > 2 and pixels.shape[-1] == 3
    frames = pixels.shape[0] if pixels.ndim > 2 + colour else 0
    rows, columns = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    bits = 8 * pixels.dtype.itemsize
    ds.update(
        {
            **{"SOPClassUID": CTImageStorage, "SOPInstanceUID": generate_uid(), "Modality": "CT"},
            **{"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4", "PatientID": "P1"},
            **{"Rows": rows, "Columns": columns, "SamplesPerPixel": 3 if colour else 1},
            **{"PhotometricInterpretation": "RGB" if colour else "MONOCHROME2"},
            **{"BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1},
            **{"PixelRepresentation": int(pixels.dtype.kind == "i")},
        }
    )
    if colour:
        ds.PlanarConfiguration = 0
    if frames:
        ds.NumberOfFrames = frames
    for name, value in tags.items():
        if value is None:
            delattr(ds, name)
        else:
            setattr(ds, name, value)
    content = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    ds.PixelData = content + b"\0" * (len(content) % 2)
    ds["PixelData"].VR = "OW" if bits > 8 else "OB"
    return ds


def item(**tags: Any) -> Dataset:
    """An item of a sequence."""
    ds = Dataset()
    for name, value in tags.items():
        setattr(ds, name, value)
    return ds


def write(path: Path, pixels: np.ndarray = RAMP, **tags: Any) -> Path:
    """Write a DICOM file, and its folder if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ds = dataset(pixels, **tags)
    ds.file_meta.MediaStorageSOPClassUID = ds.get("SOPClassUID") or CTImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.get("SOPInstanceUID") or generate_uid()
    ds.save_as(path, enforce_file_format=True)
    return path


def options(tmp_path: Path, **changes: Any) -> DicomOptions:
    """Options with a key beside the run."""
    return DicomOptions(key=tmp_path / "patients.key", **changes)


def read(source: Path, tmp_path: Path, **changes: Any) -> tuple[list[dict], list[tuple[str, Any]]]:
    """Read a source into the run `tmp_path / "run"`: the records, and the rejected with places."""
    (tmp_path / "run").mkdir(exist_ok=True)
    found = list(dicom_records(source, tmp_path / "run", options(tmp_path, **changes)))
    wrong = [pair for pair in found if isinstance(pair[1], InvalidRecord)]
    return [record for _, record in found if not isinstance(record, InvalidRecord)], wrong


def picture_file(tmp_path: Path, record: dict) -> Path:
    """The PNG of a record."""
    return tmp_path / "run" / "dicom" / record["image"]

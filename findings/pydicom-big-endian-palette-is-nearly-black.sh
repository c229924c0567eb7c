#!/bin/sh
# pydicom 3.0.2 shows a palette image of a big-endian file nearly black.
#
# Expected: apply_color_lut gives the colours that the file's tables state, in any transfer syntax.
# Seen: the pixels are swapped to the machine's order, the tables of 16 bits are read as little
# endian. 0x5900 becomes 0x0059: colours of up to 65,280 are at most 255 of 65,535, without a warning.
# pydicom-data's own OBXXXX1A.dcm (little endian) and OBXXXX1A_expb.dcm are the same ultrasound.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  pydicom==3.0.2 numpy==2.4.6
PYTHONPATH="$work/lib" "${PYTHON:-python3}" - "$work/a.dcm" <<'PY'
import sys

import numpy
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, SecondaryCaptureImageStorage


def shown(syntax, order):
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = "1.2.3"
    ds.Rows = ds.Columns = 2
    ds.SamplesPerPixel, ds.PixelRepresentation = 1, 0
    ds.PhotometricInterpretation = "PALETTE COLOR"
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    for name in ("Red", "Green", "Blue"):
        entries = numpy.array([0, 0x4000, 0x8000, 0xFF00], order)
        setattr(ds, f"{name}PaletteColorLookupTableDescriptor", [4, 0, 16])
        setattr(ds, f"{name}PaletteColorLookupTableData", entries.tobytes())
    ds.PixelData = bytes([0, 1, 2, 3])
    ds["PixelData"].VR = "OB"
    ds.save_as(sys.argv[1], enforce_file_format=True)
    again = pydicom.dcmread(sys.argv[1])
    return apply_color_lut(again.pixel_array, again)[..., 0].ravel().tolist()


little, big = shown(ExplicitVRLittleEndian, "<u2"), shown(ExplicitVRBigEndian, ">u2")
print("pydicom", pydicom.__version__, "reds of the same palette, little endian:", little, "big:", big)
assert little == [0, 0x4000, 0x8000, 0xFF00] and big == [0, 0x40, 0x80, 0xFF], "changed"
PY

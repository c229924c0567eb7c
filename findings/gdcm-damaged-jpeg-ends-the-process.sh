#!/bin/sh
# python-gdcm 3.2.6: one changed byte in a JPEG inside a DICOM file ends the whole Python process.
#
# Expected: pixel_array raises an exception, as it does with Pillow's and pylibjpeg's decoders.
# Seen: after the start of image, a 0 in place of the next marker's FF: SIGABRT. In JPEG-LS, a number
# of components of 0: SIGSEGV or SIGABRT. No except clause helps, and a notebook loses its kernel.
# pydicom 3.0.2 asks GDCM before its other decoders, wherever it is installed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  pydicom==3.0.2 numpy==2.4.6 pillow==13.0.0 python-gdcm==3.2.6
PYTHONPATH="$work/lib" "${PYTHON:-python3}" - <<'PY'
import io
import os
from importlib.metadata import version

import pydicom
from pydicom.data import get_testdata_file
from pydicom.pixels import pixel_array


def ended_by(name, offset, value, plugin):
    """The signal that ends a child which decodes the file with one byte changed; 0 for none."""
    content = bytearray(open(get_testdata_file(name, download=False), "rb").read())
    content[content.index(b"\xff\xd8\xff") + offset] = value
    child = os.fork()
    if child == 0:
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        try:
            pixel_array(pydicom.dcmread(io.BytesIO(content)), decoding_plugin=plugin)
        except Exception:
            pass
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


print("pydicom", pydicom.__version__, "python-gdcm", version("python-gdcm"))
jpeg = [ended_by("SC_rgb_small_odd_jpeg.dcm", 2, 0, plugin) for plugin in ("gdcm", "pillow")]
lossless = ended_by("MR_small_jpeg_ls_lossless.dcm", 10, 0, "gdcm")
print(f"signals: JPEG in GDCM {jpeg[0]}, in Pillow {jpeg[1]}; JPEG-LS in GDCM {lossless}")
assert jpeg == [6, 0] and lossless in (6, 11), "changed"
PY

#!/bin/sh
# SimpleITK 2.5.7 keeps the pixel type in arithmetic with a number, also with a float, and wraps.
#
# Expected: uint8 pixels times 2.0 become floats, as in numpy, or stop at 255; a cast of 300.0 to
# uint8 gives 255, as saving such an image would suggest.
# Seen: 250 * 2.0 is 244, 250 + 10 is 4, and sitk.Cast makes 44 of 300.0 and 255 of -1.0. There is
# no warning: a brightened X-ray has dark spots where it was brightest.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  SimpleITK==2.5.7 numpy==2.3.5
PYTHONPATH="$work/lib" "${PYTHON:-python3}" -W error - <<'PY'
import numpy as np
import SimpleITK as sitk

pixels = sitk.GetImageFromArray(np.array([[250, 10]], np.uint8))
floats = sitk.GetImageFromArray(np.array([[300.0, -1.0]]))
seen = {
    "250 * 2.0": sitk.GetArrayFromImage(pixels * 2.0)[0, 0],
    "250 + 10": sitk.GetArrayFromImage(pixels + 10)[0, 0],
    "Cast of 300.0": sitk.GetArrayFromImage(sitk.Cast(floats, sitk.sitkUInt8))[0, 0],
    "Cast of -1.0": sitk.GetArrayFromImage(sitk.Cast(floats, sitk.sitkUInt8))[0, 1],
}
print("SimpleITK", sitk.Version_VersionString())
for what, value in seen.items():
    print(f"{what} = {value} ({value.dtype})")
assert [int(value) for value in seen.values()] == [244, 4, 44, 255], "changed"
assert all(value.dtype == np.uint8 for value in seen.values()), "changed"
PY

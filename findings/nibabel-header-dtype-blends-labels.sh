#!/bin/sh
# nibabel 5.4.2 stores a label map in the data type of the header it is given, by a scale factor.
#
# Expected: an int16 label map, saved with the header of a uint8 image, is stored as int16, or
# refused because 700 does not fit uint8.
# Seen: it is saved without a warning as uint8 with a slope. The labels 0, 100, ..., 700 are read back
# as 0.0, 98.8, 200.4, 299.2, ...: only one of eight labels is still equal.
# `image == label` then finds nothing, and a region of a segmentation vanishes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  nibabel==5.4.2 numpy==2.3.5 packaging==25.0 importlib-resources==6.5.2 typing-extensions==4.15.0
PYTHONPATH="$work/lib" "${PYTHON:-python3}" -W error - "$work/labels.nii" <<'PY'
import sys

import nibabel
import numpy as np

labels = (100 * np.arange(8, dtype=np.int16)).reshape(2, 2, 2)
header = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)).header
nibabel.save(nibabel.Nifti1Image(labels, np.eye(4), header), sys.argv[1])
again = nibabel.load(sys.argv[1])
read = again.get_fdata()
print("nibabel", nibabel.__version__, "stored as", again.get_data_dtype())
print("written", labels.ravel().tolist())
print("read   ", read.ravel().round(1).tolist())
same = int((read == labels).sum())
print(f"{same} of {labels.size} labels are equal")
assert again.get_data_dtype() == np.uint8 and same < labels.size / 2, "changed"
PY

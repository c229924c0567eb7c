#!/bin/sh
# pycocotools 2.0.11: in a mask with more than one value above 0, encode() turns every second value along
# a column into background.
#
# Expected: whatever is not 0 is the object, as for bool; or values other than 0 and 1 are refused, as
# other types than uint8 are.
# Seen: each change of the value starts a new run, and runs are background and object in turn. A tumour
# (1) with a necrotic core (2) loses the core: 32 of 36 pixels are left. A mask with a soft edge (128,
# 255), as after resizing, keeps the edges and loses its inside: 12 of 36.
# So areas and IoU are wrong, and nothing says so. Encode mask > 0.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  pycocotools==2.0.11 numpy==2.4.6
PYTHONPATH="$work/lib" "${PYTHON:-python3}" -W ignore::DeprecationWarning - <<'PY'
from importlib.metadata import version

import numpy as np
from pycocotools import mask as masks

core = np.zeros((10, 10), dtype=np.uint8)
core[2:8, 2:8], core[4:6, 4:6] = 1, 2
soft = np.zeros((10, 10), dtype=np.uint8)
soft[2:8, 2:8], soft[3:7, 2:8] = 128, 255
print("pycocotools", version("pycocotools"))
for name, mask, left in (("core", core, 32), ("soft edge", soft, 12)):
    found, whole = (masks.encode(np.asfortranarray(each)) for each in (mask, (mask > 0).astype(np.uint8)))
    print(f"{name}: {masks.area(found)} of {masks.area(whole)} pixels, IoU with the whole "
          f"{masks.iou([found], [whole], [0])[0, 0]:.2f}")
    print(masks.decode(found)[2:8, 2:8])
    assert masks.area(whole) == 36 and masks.area(found) == left, "changed"
PY

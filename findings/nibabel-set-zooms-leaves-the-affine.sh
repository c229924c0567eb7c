#!/bin/sh
# nibabel 5.4.2: header.set_zooms() changes the voxel size in the header and not in the affine; the
# file that is saved holds both.
#
# Expected: after set_zooms((2, 2, 2)) the voxels are 2 mm wide, by header and by affine, or saving
# tells that the two differ.
# Seen: the saved file has zooms of 2 and an affine of 1, without a warning, also once it is loaded
# again. A lesion of 64 voxels has 512 mm3 by header.get_zooms() and 64 mm3 by the affine, which is
# what viewers and registration go by.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  nibabel==5.4.2 numpy==2.4.6
PYTHONPATH="$work/lib" "${PYTHON:-python3}" -W error - "$work/lesion.nii.gz" <<'PY'
import sys

import nibabel
import numpy as np

image = nibabel.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4))
image.header.set_zooms((2, 2, 2))
nibabel.save(image, sys.argv[1])
saved = nibabel.load(sys.argv[1])
voxels = int(np.asanyarray(saved.dataobj).sum())
by_header = voxels * float(np.prod(saved.header.get_zooms()))
by_affine = voxels * float(abs(np.linalg.det(saved.affine[:3, :3])))
print("nibabel", nibabel.__version__)
print(f"zooms {[float(zoom) for zoom in saved.header.get_zooms()]}, affine {np.diag(saved.affine).tolist()}")
print(f"{voxels} voxels: {by_header} mm3 by header, {by_affine} mm3 by affine")
assert (by_header, by_affine) == (512.0, 64.0), "changed"
PY

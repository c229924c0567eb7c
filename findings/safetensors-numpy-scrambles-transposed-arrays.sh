#!/bin/sh
# safetensors 0.8.0: a transposed or strided numpy array is saved with its numbers in the
# wrong places.
#
# Expected: save and load give the same array, or save refuses it as the half for torch refuses
# tensors that are not contiguous.
# Seen: the shape is right and the bytes are those of the memory below, in its own order. There is no
# warning. A slice array[:, ::2] even holds numbers that are not part of it.
# So features that were transposed or cut before saving load as other features; ascontiguousarray
# helps.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  safetensors==0.8.0 numpy==2.4.6
PYTHONPATH="$work/lib" "${PYTHON:-python3}" -W error - <<'PY'
from importlib.metadata import version

import numpy as np
from safetensors.numpy import load, save

table = np.arange(12, dtype=np.float32).reshape(3, 4)
print("safetensors", version("safetensors"), "numpy", np.__version__)
for name, array, wrong in (
    ("the table", table, False),
    ("its transpose", table.T, True),
    ("every other column", table[:, ::2], True),
    ("column order", np.asfortranarray(table), True),
    ("a contiguous copy of the transpose", np.ascontiguousarray(table.T), False),
):
    found = load(save({"table": array}))["table"]
    print(f"{name}: saved {array[0].tolist()} ..., loaded {found[0].tolist()} ...")
    assert found.shape == array.shape and found.dtype == array.dtype, "changed"
    assert np.array_equal(found, array) != wrong, "changed"
PY

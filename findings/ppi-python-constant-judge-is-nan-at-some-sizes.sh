#!/bin/sh
# ppi-python 0.2.3: for a judge that gives every item the same rating, ppi_mean_ci is NaN for some
# numbers of labels and right for others.
#
# Expected: such a judge adds nothing, so that the interval is that of the labels alone.
# Seen: that is so for most numbers of labels from 10 to 60. For about one in three, 12 and 16 among
# them, both ends are NaN, by rounding: the judge's variance is exactly 0 and is divided by.
# So a study with a judge that always says yes gives an interval, and with one label more none.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  ppi-python==0.2.3 numba==0.68.1 numpy==2.4.6 pandas==3.1.1 scipy==1.17.1 statsmodels==0.15.0
PYTHONPATH="$work/lib" "${PYTHON:-python3}" -W ignore - <<'PY'
from importlib.metadata import version

import numpy as np
import ppi_py
from ppi_py.baselines import classical_mean_ci

nan, as_labels = [], []
for number in range(10, 61):
    labels = (np.arange(number) % 3 == 0).astype(float)
    found = np.array(ppi_py.ppi_mean_ci(labels, np.ones(number), np.ones(400))).ravel()
    if np.isnan(found).all():
        nan.append(number)
    else:
        as_labels.append(np.allclose(found, np.ravel(classical_mean_ci(labels)), atol=1e-6))
print("ppi-python", version("ppi-python"))
print(f"a judge that always says 1: the interval of the labels at {sum(as_labels)} sizes, NaN at {nan}")
assert all(as_labels) and 5 <= len(nan) <= 45, "changed"
PY

#!/bin/sh
# pydicom 3.0.1: generate_uid(entropy_srcs=[...]) gives the same UID for different lists whose texts are
# the same when they are written one after the other.
#
# Expected: ["1", "12"] and ["11", "2"] are different sources and give different UIDs.
# Seen: the texts are joined without a separator: patient 1, series 12 and patient 11, series 2 get the
# same UID. Of 400 series of 20 patients, numbered from 1, 18 share a UID with another patient's.
# So series of different patients are one series for each archive and viewer that goes by the UID.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  pydicom==3.0.1
PYTHONPATH="$work/lib" "${PYTHON:-python3}" -W error - <<'PY'
from collections import Counter

import pydicom
from pydicom.uid import generate_uid

uids = Counter(
    generate_uid(entropy_srcs=[str(patient), str(series)])
    for patient in range(1, 21) for series in range(1, 21)
)
shared = sum(count for count in uids.values() if count > 1)
same = generate_uid(entropy_srcs=["1", "12"]) == generate_uid(entropy_srcs=["11", "2"])
other = generate_uid(entropy_srcs=["1", "13"]) == generate_uid(entropy_srcs=["11", "2"])
print("pydicom", pydicom.__version__)
print(f"patient 1, series 12 and patient 11, series 2: the same UID: {same}")
print(f"400 series: {len(uids)} UIDs, {shared} series share theirs")
assert same and not other and (len(uids), shared) == (391, 18), "changed"
PY

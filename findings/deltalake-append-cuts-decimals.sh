#!/bin/sh
# deltalake 1.6.6: decimal numbers that are appended to a column of whole numbers lose their decimals,
# without an error.
#
# Expected: another type is refused, as a text that is no number and a number that does not fit are;
# or the column becomes one of decimals.
# Seen: 7.9 is stored as 7 and -0.5 as 0; True is stored as 1. merge() does the same.
# A first batch of ratings is often whole, and pandas stores it as int64. All later half points are
# then rounded towards zero.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  deltalake==1.6.6 pyarrow==26.0.1
PYTHONPATH="$work/lib" "${PYTHON:-python3}" -W error - "$work" <<'PY'
import sys

import deltalake
import pyarrow as pa
from pyarrow import fs

path = f"{sys.argv[1]}/ratings"
print("deltalake", deltalake.__version__)
deltalake.write_deltalake(path, pa.table({"item": [1, 2], "rating": [7, 8]}))
deltalake.write_deltalake(path, pa.table({"item": [3, 4], "rating": [7.9, -0.5]}), mode="append")
deltalake.write_deltalake(path, pa.table({"item": [5], "rating": [True]}), mode="append")
table = deltalake.DeltaTable(path)
merged = table.merge(pa.table({"item": [6], "rating": [8.5]}), "old.item = new.item", "new", "old")
merged.when_not_matched_insert_all().execute()
for given in ("7.9", 1e300):
    try:
        deltalake.write_deltalake(path, pa.table({"item": [7], "rating": [given]}), mode="append")
    except Exception as error:
        print(f"{given!r} is refused: {str(error)[:60]}")
    else:
        raise AssertionError(f"changed: {given!r} is taken")
files = fs.SubTreeFileSystem(path, fs.LocalFileSystem())  # with its own, Python sometimes aborts at exit
found = deltalake.DeltaTable(path).to_pyarrow_table(filesystem=files).sort_by("item")["rating"]
print("7, 8, then 7.9, -0.5, True and, merged, 8.5 are read back as", found.to_pylist())
assert found.to_pylist() == [7, 8, 7, 0, 1, 8] and found.type == pa.int64(), "changed"
PY

#!/bin/sh
# pylance 14.0.2: a column's name in double quotes is a text in a filter, so that
# delete("\"Label\" != 'benign'") deletes all rows.
#
# Expected: double quotes mark a name, as in SQL (DuckDB, PostgreSQL and deltalake read it so), or the
# filter is refused.
# Seen: the text Label is compared with the text benign. == finds no row, != all of them; delete then
# empties the table and reports no error. Without quotes, or in backticks, the column is meant.
# So a condition that was tried in DuckDB keeps nothing of the same table in Lance.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  pylance==14.0.2 pyarrow==26.0.1 numpy==2.4.6 duckdb==2.0.0
PYTHONPATH="$work/lib" "${PYTHON:-python3}" -W error - "$work" <<'PY'
import sys

import duckdb
import lance
import pyarrow as pa

rows = pa.table({"Label": ["benign", "benign", "malignant"], "figure": [1, 2, 3]})
data = lance.write_dataset(rows, f"{sys.argv[1]}/figures.lance")
print("pylance", lance.__version__, "duckdb", duckdb.__version__)
for name, expected in (("Label", 2), ("`Label`", 2), ('"Label"', 0)):
    count = data.count_rows(filter=f"{name} = 'benign'")
    print(f"{name} = 'benign': {count} rows in Lance")
    assert count == expected, "changed"
count = duckdb.sql("SELECT count(*) FROM rows WHERE \"Label\" = 'benign'").fetchall()[0][0]
print(f"\"Label\" = 'benign': {count} rows in DuckDB")
data.delete("\"Label\" != 'benign'")
print(f"after delete(\"Label\" != 'benign'): {data.count_rows()} of 3 rows are left, 2 are benign")
assert (count, data.count_rows()) == (2, 0), "changed"
PY

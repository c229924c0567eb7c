#!/bin/sh
# pyarrow 26.0.1: rows that are written to an Arrow or Parquet file opened for appending are lost, or
# the earlier rows are read in their place, without an error.
#
# Expected: a writer refuses a file that is not empty, or the reader gives all six rows or an error.
# Seen: only Parquet through pa.OSFile(path, "ab") is refused. Else the reader gives three rows: of two
# IPC files through pa.OSFile the second three, of two streams the first three. IPC and Parquet files
# through open(path, "ab") give 1, 2, 3 too, found by the directory that was written for 4, 5, 6.
# So a cache of features that grows by appending gives the wrong rows. Write one file for each part.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  pyarrow==26.0.1
PYTHONPATH="$work/lib" "${PYTHON:-python3}" -W error - "$work" <<'PY'
import sys

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

tables = [pa.table({"row": numbers}) for numbers in ([1, 2, 3], [4, 5, 6])]
writers = {
    "stream": pa.ipc.new_stream,
    "IPC file": pa.ipc.new_file,
    "Parquet": pa.parquet.ParquetWriter,
}
readers = {
    "stream": lambda source: pa.ipc.open_stream(source).read_all(),
    "IPC file": lambda source: pa.ipc.open_file(source).read_all(),
    "Parquet": pa.parquet.read_table,
}
openers = {"open": lambda path: open(path, "ab"), "pa.OSFile": lambda path: pa.OSFile(path, "ab")}
expected = {("IPC file", "pa.OSFile"): [4, 5, 6], ("Parquet", "pa.OSFile"): "refused"}
print("pyarrow", pa.__version__)
for form, writer in writers.items():
    for opener, opened in openers.items():
        path = f"{sys.argv[1]}/{form}-{opener}"
        try:
            for table in tables:
                with opened(path) as sink, writer(sink, table.schema) as out:
                    out.write_table(table)
        except OSError:
            rows = "refused"
        else:
            with pa.OSFile(path) as source:
                rows = readers[form](source)["row"].to_pylist()
        print(f"{form}, written through {opener}: {rows}")
        assert rows == expected.get((form, opener), [1, 2, 3]), "changed"
PY

#!/bin/sh
# ray 2.60.0: read_json(lines=True) turns texts that look like numbers into numbers, if all of a column
# do; read_json() of the same file leaves them, and turns dates into timestamps instead.
#
# Expected: what is in quotes is a text, and both ways to read JSON lines give the same rows.
# Seen: with lines=True the id "007" is 7, "1.10" is 1.1, "1e5" is 100000.0, and "2026-01-05" is a text.
# Without it the first three are texts and the date is a datetime. One id with a letter in the file,
# and all ids of the file stay texts.
# So labels and images that are joined by id no longer find each other, file by file.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  "ray[data]==2.60.0" aiohttp==3.14.5 numpy==2.4.6 pandas==3.1.1 pyarrow==26.0.1
PYTHONPATH="$work/lib" RAY_USAGE_STATS_ENABLED=0 "${PYTHON:-python3}" - "$work" 2>"$work/log" <<'PY' || { cat "$work/log"; exit 1; }
import datetime
import json
import sys

import ray

ray.init(num_cpus=2, object_store_memory=200 * 2**20, include_dashboard=False, log_to_driver=False)
ray.data.DataContext.get_current().enable_progress_bars = False


def read(name, rows, **settings):
    path = f"{sys.argv[1]}/{name}.jsonl"
    with open(path, "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return ray.data.read_json(path, **settings).take_all()


rows = [
    {"patient": "007", "version": "1.10", "code": "1e5", "day": "2026-01-05"},
    {"patient": "012", "version": "1.20", "code": "2e3", "day": "2026-01-06"},
]
letter = [{"patient": "007"}, {"patient": "A12"}]
print("ray", ray.__version__)
plain, lines = read("plain", rows), read("lines", rows, lines=True)
mixed = read("mixed", letter, lines=True)
print(f"in the file {rows[0]}\nread_json() {plain[0]}\nlines=True  {lines[0]}\nwith a letter in the column {mixed}")
dated = rows[0] | {"day": datetime.datetime(2026, 1, 5)}
assert plain[0] == dated and mixed == letter, "changed"
assert lines[0] == {"patient": 7, "version": 1.1, "code": 100000.0, "day": "2026-01-05"}, "changed"
PY

#!/bin/sh
# wfdb 4.3.1: a note of more than 255 characters in an ECG annotation is read back as annotations that
# nobody made, and moves all that follow in time.
#
# Expected: wrann refuses a note that its format cannot hold, as it refuses a channel over 255; or it
# splits or cuts the note.
# Seen: the length is stored in one byte, so that 300 is written as 44. rdann takes the other 256
# characters for annotations: three become 131, and the beat at sample 5,000 is at 20,360.
# There is no error and no warning. So one long comment moves all beats after it.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  wfdb==4.3.1 numpy==2.4.6 pandas==3.1.1 scipy==1.17.1 matplotlib==3.11.2
PYTHONPATH="$work/lib" "${PYTHON:-python3}" -W ignore::FutureWarning -W ignore::DeprecationWarning - "$work" <<'PY'
import sys
import warnings

import numpy as np
import wfdb

made = [30, 5_000, 9_000]
print("wfdb", wfdb.__version__)
for length, expected in ((255, made), (300, None)):
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        notes = ["x" * length, "", ""]
        wfdb.wrann("ecg", "atr", np.array(made), symbol=['"', "N", "V"], aux_note=notes, write_dir=sys.argv[1])
        read = wfdb.rdann(f"{sys.argv[1]}/ecg", "atr")
    about_notes = [str(each.message) for each in warned if "pandas" not in str(each.message)]
    at = read.sample.tolist()
    print(f"a note of {length}: {len(at)} annotations, the first note has {len(read.aux_note[0])}, the beats are "
          f"at {at[-2:]}, warnings {about_notes}")
    wanted = (3, 255, made[1:]) if expected else (131, 44, [20_360, 24_360])
    assert (len(at), len(read.aux_note[0]), at[-2:]) == wanted and not about_notes, "changed"
PY

#!/bin/sh
# pyEDFlib 0.1.42: of an EDF+ recording's annotations, as many are kept as it has seconds; the others
# are lost, without an error.
#
# Expected: every annotation that writeAnnotation accepts is in the file, or the call says that it has
# no room.
# Seen: a data record, one second long by default, holds one annotation. Of ten notes in three seconds
# the first three are read back. writeAnnotation returned 0, which is success, for all, and close()
# is silent. A note is cut after 40 bytes, too.
# set_number_of_annotation_signals(4), whose own page alone says so, makes room for four a second; it
# has to be called before the first sample.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  pyEDFlib==0.1.42 numpy==2.4.6
PYTHONPATH="$work/lib" "${PYTHON:-python3}" -W error - "$work" <<'PY'
import sys

import numpy as np
import pyedflib

path = f"{sys.argv[1]}/eeg.edf"
signal = {"label": "EEG", "dimension": "uV", "sample_frequency": 100, "physical_max": 100, "physical_min": -100,
          "digital_max": 32767, "digital_min": -32768, "transducer": "", "prefilter": ""}  # fmt: skip


def read_back(notes, room=None):
    with pyedflib.EdfWriter(path, 1, file_type=pyedflib.FILETYPE_EDFPLUS) as writer:
        writer.setSignalHeaders([signal])
        if room:
            writer.set_number_of_annotation_signals(room)
        writer.writeSamples([np.zeros(300)])
        told = {writer.writeAnnotation(0.2 * place, -1, note) for place, note in enumerate(notes)}
    with pyedflib.EdfReader(path) as reader:
        return reader.readAnnotations()[2].tolist(), told


ten = [f"spike {number}" for number in range(10)]
print("pyEDFlib", pyedflib.__version__)
for room in (None, 4):
    found, told = read_back(ten, room)
    print(f"room for {room or 'one, by default,'} a second: {len(found)} of 10 notes, all calls returned {told}: {found}")
    assert found == (ten if room else ten[:3]) and told == {0}, "changed"
long = "No epileptiform discharge in this part. Artefacts only."
found, told = read_back([long])
print(repr(long), "is read back as", repr(found[0]))
assert found == [long[:40]] and told == {0}, "changed"
PY

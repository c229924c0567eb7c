#!/bin/sh
# webdataset 1.0.2 reads samples that it wrote with DICOM UIDs as keys as one single sample.
#
# Expected: TarWriter refuses a key that WebDataset cannot read, or the keys come back as they were.
# Seen: the writer takes any key; the reader ends a key at the first dot. 500 images with UIDs of one
# root are one sample with the key "1" and 1,000 fields, without a warning; an epoch has one step.
# A key with a dot elsewhere, as "PMC100_g1.v2", comes back shorter, and "txt" is then "v2.txt".
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  webdataset==1.0.2 numpy==2.4.6
PYTHONPATH="$work/lib" "${PYTHON:-python3}" -W error::UserWarning - "$work/set.tar" <<'PY'
import sys
from importlib.metadata import version

import webdataset


def read_back(keys):
    with webdataset.TarWriter(sys.argv[1]) as writer:
        for number, key in enumerate(keys):
            writer.write({"__key__": key, "txt": f"Caption {number}.", "cls": number})
    samples = list(webdataset.WebDataset(sys.argv[1], shardshuffle=False))
    fields = [sum(not name.startswith("__") for name in sample) for sample in samples]
    return [sample["__key__"] for sample in samples], fields, sorted(samples[0])


print("webdataset", version("webdataset"))
root = "1.2.826.0.1.3680043.8.498"
plain = read_back([f"image-{number}" for number in range(500)])
uids = read_back([f"{root}.{number}" for number in range(500)])
dotted = read_back(["PMC100_g1.v2"])
print(f"500 plain keys: {len(plain[0])} samples; 500 UIDs: {len(uids[0])}, key {uids[0]}, {uids[1]} fields")
print(f"PMC100_g1.v2: key {dotted[0]}, {dotted[2]}")
assert plain[0] == [f"image-{number}" for number in range(500)] and set(plain[1]) == {2}, "changed"
assert uids[:2] == (["1"], [1000]), "changed"
assert dotted[0] == ["PMC100_g1"] and {"v2.txt", "v2.cls"} <= set(dotted[2]), "changed"
PY

#!/bin/sh
# ImageHash 4.3.2 with Pillow 13.0.0 gives all 12-bit and 16-bit greyscale images the same hash.
#
# Expected: X-rays that differ have different hashes, as in 8 bits, or an error says that the mode
# cannot be hashed.
# Seen: the image is made 8-bit by cutting at 255, which leaves white. Six unrelated
# images share one average, difference, perceptual and wavelet hash; in 8 bits they have six each.
# So a search for near-duplicates keeps one X-ray of a whole collection.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  ImageHash==4.3.2 pillow==13.0.0 numpy==2.4.6
PYTHONPATH="$work/lib" "${PYTHON:-python3}" -W error::UserWarning - "$work" <<'PY'
import sys
from importlib.metadata import version

import imagehash
import numpy as np
from PIL import Image

random = np.random.default_rng(0)
pictures = [random.integers(300, 4096, (8, 8), dtype=np.uint16).repeat(16, 0).repeat(16, 1) for _ in range(6)]
print("ImageHash", version("ImageHash"), "Pillow", version("pillow"))
for name in ("average_hash", "dhash", "phash", "whash"):
    count = {}
    for bits, shift in ((16, 0), (8, 4)):
        hashes = set()
        for number, pixels in enumerate(pictures):
            shifted = pixels >> shift
            path = f"{sys.argv[1]}/{number}.png"
            Image.fromarray(shifted if bits == 16 else shifted.astype(np.uint8)).save(path)
            with Image.open(path) as image:
                assert image.mode == {16: "I;16", 8: "L"}[bits]
                hashes.add(str(getattr(imagehash, name)(image)))
        count[bits] = len(hashes)
    print(f"{name}: {count[16]} hash of {len(pictures)} images in 16 bits, {count[8]} in 8 bits")
    assert count == {16: 1, 8: 6}, "changed"
PY

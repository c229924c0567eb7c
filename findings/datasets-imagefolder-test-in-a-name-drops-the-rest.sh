#!/bin/sh
# datasets 5.2.0: one picture called skin-test.png, or one folder called "stress test", makes
# load_dataset("imagefolder") leave out all other pictures, without a warning.
#
# Expected: every picture of the folder is a row, as long as no split has been asked for by name.
# Seen: words like test, eval, dev, val or valid between separators are read as the name of a split,
# and pictures that name no split belong to none. metadata.jsonl is left out with them, so that the
# captions are gone too. split="train" then says that there is no train split.
# So a folder of figures loses all but its "patch-test" and "mitral_valid" pictures.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  datasets==5.2.0 pillow==13.0.0 numpy==2.4.6 pyarrow==26.0.1 pandas==3.1.1
PYTHONPATH="$work/lib" HF_HUB_OFFLINE=1 HF_HOME="$work/home" \
  "${PYTHON:-python3}" -W error::UserWarning - "$work" <<'PY'
import json
import sys
from pathlib import Path

import datasets
from PIL import Image

datasets.disable_progress_bars()


def loaded(case, names):
    folder = Path(sys.argv[1], "figures", str(case))
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(folder / name)
    lines = [json.dumps({"file_name": name, "caption": name}) for name in names]
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    splits = datasets.load_dataset("imagefolder", data_dir=str(folder))
    return {name: (len(split), sorted(split.features)) for name, split in splits.items()}


print("datasets", datasets.__version__)
both = ["caption", "image"]
for case, (names, expected) in enumerate((
    (["ct-1.png", "ct-2.png", "skin.png"], {"train": (3, both)}),
    (["ct-1.png", "ct-2.png", "skintest.png"], {"train": (3, both)}),
    (["ct-1.png", "ct-2.png", "skin-test.png"], {"test": (1, ["image"])}),
    (["ct-1.png", "ct-2.png", "mitral_valid.png"], {"validation": (1, ["image"])}),
    (["mri/1.png", "mri/2.png", "stress test/1.png"], {"test": (1, ["image"])}),
)):
    found = loaded(case, names)
    print(f"{names}: {found}")
    assert found == expected, "changed"
PY

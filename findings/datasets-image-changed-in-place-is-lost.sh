#!/bin/sh
# datasets 5.2.0: an image that was opened from a file and then changed in memory is stored as the
# file it came from, without the change and without a warning.
#
# Expected: Dataset.from_dict and the function given to Dataset.map store the pixels they were given.
# Seen: a PIL image that still knows its file's name is stored as that name. A black box drawn over a
# burned-in name, a thumbnail and the third page of a TIFF are gone; a copy() of each is stored as is.
# So a set whose images were covered by ImageDraw in a map() still shows the names.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# called site-packages, since datasets pickles (by dill) the modules of packages that lie elsewhere
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/site-packages" \
  datasets==5.2.0 pillow==13.0.0 numpy==2.4.6 pyarrow==26.0.1 pandas==3.1.1
PYTHONPATH="$work/site-packages" HF_HUB_OFFLINE=1 HF_HOME="$work/home" \
  "${PYTHON:-python3}" -W error::UserWarning - "$work" <<'PY'
import sys

import datasets
from PIL import Image, ImageDraw

datasets.disable_progress_bars()
image_column = datasets.Features({"image": datasets.Image()})
pages = [Image.new("L", (20, 10), grey) for grey in (200, 150, 100)]
pages[0].save(sys.argv[1] + "/scan.tif", save_all=True, append_images=pages[1:])


def covered(image):
    ImageDraw.Draw(image).rectangle((0, 0, 9, 9), fill=0)
    return image


def smaller(image):
    image.thumbnail((10, 10))
    return image


def third_page(image):
    image.seek(2)
    return image


def stored(image):
    row = datasets.Dataset.from_dict({"image": [image]}, features=image_column)[0]
    return row["image"].size, row["image"].getpixel((2, 2))


def mapped(change):
    table = datasets.Dataset.from_dict({"image": [sys.argv[1] + "/scan.tif"]}, features=image_column)
    image = table.map(lambda row: {"image": change(row["image"])}, load_from_cache_file=False)[0]["image"]
    return image.size, image.getpixel((2, 2))


print("datasets", datasets.__version__, "the file:", ((20, 10), 200))
for change in (covered, smaller, third_page):
    image = change(Image.open(sys.argv[1] + "/scan.tif"))
    given = image.size, image.getpixel((2, 2))
    found = stored(image), mapped(change)
    copies = stored(image.copy()), mapped(lambda opened: change(opened).copy())
    print(f"{change.__name__}: given {given}, stored {found}, stored from a copy {copies}")
    assert given != found[0] and found == (((20, 10), 200),) * 2 and copies == (given, given), "changed"
PY

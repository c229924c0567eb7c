#!/bin/sh
# supervision 0.31.2 writes a mask of two parts, or with a hole, to COCO as a crowd, and pycocotools
# 2.0.11 then leaves that object out of the measurement.
#
# Expected: one lesion in two parts, or with a hole, is one object with iscrowd 0, which COCO allows
# for polygons and for run lengths.
# Seen: as_coco sets iscrowd to 1. To COCOeval that means: many objects that nobody counted, ignore it.
# A missed lesion of two parts costs nothing: the recall is 1.0, and 0.5 once iscrowd is set to 0.
# So a model is measured on the simply shaped lesions only.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  supervision==0.31.2 pycocotools==2.0.11 opencv-python-headless==5.0.0.93 numpy==2.4.6
PYTHONPATH="$work/lib" "${PYTHON:-python3}" - "$work" 2>"$work/log" <<'PY'
import contextlib
import copy
import io
import json
import sys

import cv2
import numpy as np
import supervision as sv
from pycocotools import mask as masks
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

whole, parts = np.zeros((2, 60, 60), dtype=bool)
whole[5:25, 5:25] = True
parts[35:55, 5:25] = parts[35:55, 35:55] = True
image, path = f"{sys.argv[1]}/image.png", f"{sys.argv[1]}/coco.json"
cv2.imwrite(image, np.zeros((60, 60, 3), dtype=np.uint8))
lesions = sv.Detections(
    xyxy=np.array([[5, 5, 25, 25], [5, 35, 55, 55]], dtype=float),
    mask=np.stack([whole, parts]), class_id=np.array([0, 0]),
)  # fmt: skip
sv.DetectionDataset(["lesion"], [image], {image: lesions}).as_coco(annotations_path=path)
with open(path) as file:
    written = json.load(file)
crowds = [row["iscrowd"] for row in written["annotations"]]


def recall(dataset):
    """The share of lesions that are found; the whole one alone is."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = copy.deepcopy(dataset)
        truth.createIndex()
        found = {"image_id": dataset["images"][0]["id"], "category_id": dataset["categories"][0]["id"], "score": 0.9,
                 "segmentation": masks.encode(np.asfortranarray(whole.astype(np.uint8)))}  # fmt: skip
        measured = COCOeval(truth, truth.loadRes([found]), "segm")
        measured.evaluate()
        measured.accumulate()
    return float(measured.eval["recall"][0, 0, 0, -1])  # at an IoU of 0.5


as_written = recall(written)
for row in written["annotations"]:
    row["iscrowd"] = 0
print("supervision", sv.__version__)
print(f"iscrowd of a whole lesion and one of two parts: {crowds}")
print(f"recall where the second is missed: {as_written}; with iscrowd 0: {recall(written)}")
assert crowds == [0, 1] and (as_written, recall(written)) == (1.0, 0.5), "changed"
PY

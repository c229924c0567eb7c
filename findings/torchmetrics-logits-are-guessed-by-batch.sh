#!/bin/sh
# torchmetrics 1.9.0: with logits, AUROC, average precision and accuracy depend on the size of the batches.
#
# Expected: these metrics count the same predictions alike, in whatever batches update() gets them.
# Seen: whether a batch holds logits or probabilities is guessed from its own values. A batch whose
# logits all happen to be between 0 and 1 stays as it is, beside others that went through a sigmoid: a
# logit of 0.3 counts as unlikely in one batch and as 0.57 in the next. There is no warning. Of the same
# 400 logits the AUROC is 0.879 in one batch, and 0.830 one by one.
# Applying the sigmoid before update() gives 0.879 for all.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  torchmetrics==1.9.0 torch==2.13.0 numpy==2.4.6
PYTHONPATH="$work/lib" "${PYTHON:-python3}" -W error - <<'PY'
import torch
import torchmetrics
from torchmetrics.classification import BinaryAccuracy, BinaryAUROC, BinaryAveragePrecision

random = torch.Generator().manual_seed(0)
truth = torch.randint(0, 2, (400,), generator=random)
logits = (truth * 2 - 1) * 0.8 + torch.randn(400, generator=random)


def measured(scores, size):
    found = []
    for metric in (BinaryAUROC(), BinaryAveragePrecision(), BinaryAccuracy()):
        for start in range(0, len(scores), size):
            metric.update(scores[start : start + size], truth[start : start + size])
        found.append(round(metric.compute().item(), 3))
    return found


print("torchmetrics", torchmetrics.__version__)
for size in (400, 2, 1):
    of_logits, of_chances = measured(logits, size), measured(logits.sigmoid(), size)
    print(f"batches of {size}: AUROC, average precision, accuracy of logits {of_logits}, of probabilities {of_chances}")
    expected = {400: [0.879, 0.879, 0.812], 2: [0.872, 0.867, 0.808], 1: [0.83, 0.834, 0.772]}
    assert of_logits == expected[size] and of_chances == expected[400], "changed"
PY

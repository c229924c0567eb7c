#!/bin/sh
# torchmetrics 1.9.0: SQuAD's exact match takes "5.0 mg" for "50 mg".
#
# Expected: an exact match forgives case, articles and a final full stop, but no other number.
# Seen: all punctuation is deleted, inside numbers too, without a space in its place. A tenfold dose, the
# other sign and "1/2" for "12" have an exact match and F1 of 100; "2-3 cm" is "23 cm". The article is
# deleted as well: "vitamin A" is "vitamin".
# So an answer with a dangerous dose counts as right, as in each score that follows SQuAD's script.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  torchmetrics==1.9.0 torch==2.13.0 numpy==2.4.6
PYTHONPATH="$work/lib" "${PYTHON:-python3}" -W error - <<'PY'
import torchmetrics
from torchmetrics.text import SQuAD

print("torchmetrics", torchmetrics.__version__)
for answer, reference, expected in (
    ("5.0 mg", "50 mg", 100),
    ("-5 HU", "5 HU", 100),
    ("1/2", "12", 100),
    ("2-3 cm", "23 cm", 100),
    ("vitamin A", "vitamin", 100),
    ("5 mg", "50 mg", 0),
    ("vitamin B", "vitamin", 0),
):
    score = SQuAD()([{"prediction_text": answer, "id": "1"}],
                    [{"answers": {"text": [reference], "answer_start": [0]}, "id": "1"}])  # fmt: skip
    exact = score["exact_match"].item()
    print(f"{answer!r} for {reference!r}: exact match {exact:.0f}, F1 {score['f1'].item():.0f}")
    assert exact == expected, "changed"
    assert not exact or score["f1"].item() == 100, "changed"
PY

#!/bin/sh
# rouge-score 0.1.2 compares ASCII letters and digits only.
#
# Expected: two findings that contradict each other by a sign or a Greek letter share fewer words
# than two equal findings, and a text equals itself.
# Seen: "lesion ≥ 5 mm" and "lesion < 5 mm" have ROUGE-1 and ROUGE-L of 1.0, as do "ST +2 mm" and
# "ST −2 mm", "β-lactam" and "α-lactam", "5 µm" and "5 m". A Greek word scores 0.0 against itself.
# "0.5 mg" and "5.0 mg" have a ROUGE-1 of 1.0: a decimal number is two words.
# So a generated radiology finding of the opposite meaning can have a perfect score.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  rouge-score==0.1.2 absl-py==2.3.1 nltk==3.9.2 numpy==2.3.5 six==1.17.0
PYTHONPATH="$work/lib" "${PYTHON:-python3}" - <<'PY'
from importlib.metadata import version

from rouge_score.rouge_scorer import RougeScorer

scorer = RougeScorer(["rouge1", "rougeL"])
pairs = {
    ("lesion ≥ 5 mm", "lesion < 5 mm"): (1.0, 1.0),
    ("ST +2 mm", "ST −2 mm"): (1.0, 1.0),
    ("β-lactam", "α-lactam"): (1.0, 1.0),
    ("5 µm", "5 m"): (1.0, 1.0),
    ("0.5 mg", "5.0 mg"): (1.0, 0.667),
    ("κλινική", "κλινική"): (0.0, 0.0),
}
print("rouge-score", version("rouge-score"))
for (one, other), wanted in pairs.items():
    scores = scorer.score(one, other)
    found = tuple(round(scores[name].fmeasure, 3) for name in ("rouge1", "rougeL"))
    print(f"{one!r} against {other!r}: ROUGE-1 {found[0]}, ROUGE-L {found[1]}")
    assert found == wanted, f"changed: {wanted} was seen"
PY

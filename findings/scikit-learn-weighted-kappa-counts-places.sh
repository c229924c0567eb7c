#!/bin/sh
# scikit-learn 1.9.1: cohen_kappa_score(weights="quadratic") weighs a disagreement by the places of the
# two ratings among the ratings that were given, and not by their values.
#
# Expected: on a scale from 0 to 10, 0 against 1 is a small disagreement, whatever else was rated.
# Seen: if only 0, 1 and 10 were given, 1 is half-way to 10. Two raters with 0 against 1 in a third of
# the items get 0.75; with labels=range(11) it is 0.99, the value by the definition. One item more that
# both rate 5 changes all weights. Krippendorff's alpha for intervals gives 0.99.
# So the agreement of two judges depends on which ratings neither used. Give labels for the whole scale.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  scikit-learn==1.9.1 scipy==1.17.1 numpy==2.4.6 krippendorff==0.9.0
PYTHONPATH="$work/lib" "${PYTHON:-python3}" -W error - <<'PY'
import krippendorff
import numpy as np
import sklearn
from sklearn.metrics import cohen_kappa_score

one, other = np.array([0, 1, 10, 0, 1, 10]), np.array([1, 0, 10, 0, 1, 10])


def by_definition(a, b):
    by_chance = np.subtract.outer(a, b) ** 2
    return 1 - np.mean((a - b) ** 2) / by_chance.mean()


print("scikit-learn", sklearn.__version__)
given = cohen_kappa_score(one, other, weights="quadratic")
scale = cohen_kappa_score(one, other, weights="quadratic", labels=range(11))
alpha = krippendorff.alpha([one, other], level_of_measurement="interval")
more = cohen_kappa_score([*one, 5], [*other, 5], weights="quadratic")
print(f"0 against 1 in two of six items: kappa {given:.3f}; with labels=range(11) {scale:.3f}; "
      f"by the definition {by_definition(one, other):.3f}; alpha {alpha:.3f}")
print(f"and one item more, rated 5 by both: kappa {more:.3f}; by the definition "
      f"{by_definition(np.append(one, 5), np.append(other, 5)):.3f}")
assert round(given, 2) == 0.75 and round(scale, 2) == round(alpha, 2) == 0.99, "changed"
assert abs(scale - by_definition(one, other)) < 1e-9 and round(more, 2) == 0.9, "changed"
PY

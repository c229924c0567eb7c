#!/bin/sh
# statsmodels 0.15.0: in aggregate_raters a missing rating is a rating of its own category, so that two
# raters who skip the same item agree on it.
#
# Expected: NaN means that there is no rating: such items raise, or are left out of the counts.
# Seen: NaN gets a column of its own, and fleiss_kappa takes it for a third answer. Three raters whose
# answers agree no better than by chance have a kappa of 0.60 if they leave the same items out.
# There is no warning, where Krippendorff's alpha leaves missing ratings out.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  statsmodels==0.15.0 krippendorff==0.9.0 numpy==2.4.6 pandas==3.1.1 scipy==1.17.1
PYTHONPATH="$work/lib" "${PYTHON:-python3}" -W error - <<'PY'
from importlib.metadata import version

import krippendorff
import numpy as np
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

answers = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 0], [0, 0, 0], [1, 1, 1], [0, 1, 0], [1, 0, 0]])
skipped = np.full((8, 3), np.nan)  # (items, raters)
print("statsmodels", version("statsmodels"))
found = {}
for name, ratings in (("answered", answers), ("answered and skipped", np.vstack([answers, skipped]))):
    counts, categories = aggregate_raters(ratings)
    alpha = krippendorff.alpha(ratings.T, level_of_measurement="nominal")
    found[name] = fleiss_kappa(counts), alpha
    print(f"{len(ratings)} items {name}: categories {categories}, Fleiss' kappa {found[name][0]:.2f}, "
          f"Krippendorff's alpha {alpha:.2f}")
assert abs(found["answered"][0]) < 0.05 and found["answered and skipped"][0] > 0.55, "changed"
assert found["answered"][1] == found["answered and skipped"][1], "changed"
PY

#!/bin/sh
# statsmodels 0.15.0: a binomial GLM or GEE by formula turns the sign of all its coefficients if the
# outcome is True or False and not 1 or 0.
#
# Expected: True is 1, as in numpy and pandas; or the outcome is refused, as logit() refuses it.
# Seen: the formula makes two columns of the outcome, False first, and a binomial model reads two
# columns as successes and failures: it models how probable False is. The same rows with 0 and 1 give
# the same numbers with the other sign. There is no warning; texts, "no" and "yes", are treated alike.
# So longer answers look less accepted where clinicians accepted them more.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  statsmodels==0.15.0 numpy==2.4.6 pandas==3.1.1 scipy==1.17.1
PYTHONPATH="$work/lib" "${PYTHON:-python3}" -W error - <<'PY'
from importlib.metadata import version

import numpy as np
import pandas as pd
import statsmodels.api as sm
import statsmodels.formula.api as smf

random = np.random.default_rng(0)
length = random.normal(size=500)
accepted = random.random(500) < 1 / (1 + np.exp(-2 * length))  # longer is accepted more
rows = pd.DataFrame({"length": length, "article": np.arange(500) // 5, "as_bool": accepted})
rows["as_number"] = accepted.astype(int)
rows["as_text"] = np.where(accepted, "yes", "no")
binomial = sm.families.Binomial()
slopes = {}
print("statsmodels", version("statsmodels"))
for name in ("as_number", "as_bool", "as_text"):
    glm = smf.glm(f"{name} ~ length", rows, family=binomial).fit()
    gee = smf.gee(f"{name} ~ length", "article", rows, family=binomial).fit()
    slopes[name] = np.array([glm.params["length"], gee.params["length"]])
    print(f"{name}: GLM {slopes[name][0]:+.2f}, GEE {slopes[name][1]:+.2f}, outcome {glm.model.endog_names}")
assert (slopes["as_number"] > 1).all(), "changed"
assert np.allclose(slopes["as_bool"], -slopes["as_number"]), "changed"
assert np.allclose(slopes["as_text"], -slopes["as_number"]), "changed"
try:
    smf.logit("as_bool ~ length", rows)
except ValueError as error:
    print("logit:", str(error).partition("(")[0])
else:
    raise AssertionError("changed: logit takes True and False")
PY

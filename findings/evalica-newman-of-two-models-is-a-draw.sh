#!/bin/sh
# evalica 0.4.2: newman() of two models without draws gives both the same score, whoever won.
#
# Expected: 50 wins to 20 give the first model 2.5 times the score of the second, as bradley_terry()
# does; the two methods differ in ties only.
# Seen: the scores jump between two states and never settle. At the default limit of 100 iterations
# both are 1.0; at 101 iterations their ratio is 6.25. There is no warning.
# So a comparison of a tuned model and its base looks like a draw.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  evalica==0.4.2 numpy==2.4.6 pandas==3.1.1
PYTHONPATH="$work/lib" "${PYTHON:-python3}" -W error - <<'PY'
import evalica

winners = [evalica.Winner.X] * 50 + [evalica.Winner.Y] * 20
rows = ["tuned"] * 70, ["base"] * 70, winners
print("evalica", evalica.__version__)
ratio = {}
for name, method, settings in (
    ("bradley_terry", evalica.bradley_terry, {}),
    ("newman", evalica.newman, {}),
    ("newman, limit=101", evalica.newman, {"limit": 101}),
    ("newman, limit=1000", evalica.newman, {"limit": 1000}),
):
    scores = method(*rows, **settings).scores
    ratio[name] = round(scores["tuned"] / scores["base"], 3)
    print(f"{name}: tuned {scores['tuned']:.3f}, base {scores['base']:.3f}, ratio {ratio[name]}")
assert list(ratio.values()) == [2.5, 1.0, 6.25, 1.0], "changed"
PY

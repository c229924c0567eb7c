#!/bin/sh
# evalica 0.4.2: one model that has never lost, or never won, gives every model the same Bradley-Terry
# score.
#
# Expected: the unbeaten model has the highest score, however large, and the others keep their order;
# or the scores that do not exist raise.
# Seen: bradley_terry() ends at its limit of iterations and returns 0.000001 for all, also for the four
# models whose 400 comparisons alone give clear scores. 10,000 iterations change nothing; no warning.
# So a leaderboard is all ties as soon as a perfect newcomer, or a broken one, has a few comparisons.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  evalica==0.4.2 numpy==2.4.6 pandas==3.1.1
PYTHONPATH="$work/lib" "${PYTHON:-python3}" -W error - <<'PY'
import itertools
import random

import evalica

random.seed(0)
strength = {"a": 4, "b": 2, "c": 1, "d": 0.5}
compared = []
for one, other in itertools.islice(itertools.cycle(itertools.combinations(strength, 2)), 400):
    won = random.random() < strength[one] / (strength[one] + strength[other])
    compared.append((one, other, evalica.Winner.X if won else evalica.Winner.Y))


def scores(rows, **settings):
    result = evalica.bradley_terry(*(list(column) for column in zip(*rows)), **settings)
    return result.scores.sort_index().to_dict()


unbeaten = compared + [("new", name, evalica.Winner.X) for name in strength]
beaten = compared + [("new", name, evalica.Winner.Y) for name in strength]
print("evalica", evalica.__version__)
alone = scores(compared)
print("400 comparisons of four models:", alone)
assert alone["a"] > alone["b"] > alone["c"] > alone["d"] > 0, "changed"
for name, rows in (("wins", unbeaten), ("loses", beaten)):
    found = scores(rows)
    print(f"and a fifth that {name} all of its 4: {found}")
    assert set(found.values()) == set(scores(rows, limit=10_000).values()) == {1e-06}, "changed"
PY

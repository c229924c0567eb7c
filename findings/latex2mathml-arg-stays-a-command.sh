#!/bin/sh
# latex2mathml 3.81.1 does not know \arg and prints it as it is written, without an error.
#
# Expected: \arg, an operator that LaTeX itself defines beside \max, becomes an operator; a command
# that the package does not know raises, as a missing brace does.
# Seen: \arg\max, the way in which most papers write it, becomes <mi>\arg</mi><mo>max</mo>, so readers
# see a backslash. \argmax, which LaTeX does not define, is known. Unknown commands never raise.
# A build of a documentation site has to search its own output for backslashes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  latex2mathml==3.81.1
PYTHONPATH="$work/lib" "${PYTHON:-python3}" - <<'PY'
from importlib.metadata import version

from latex2mathml.converter import convert

made = {text: convert(text) for text in (r"\arg\max_i s_i", r"\argmax_i s_i", r"\unknowncommand")}
print("latex2mathml", version("latex2mathml"))
for text, mathml in made.items():
    print(text, "becomes", mathml[mathml.index("<mrow>") :])
assert r"<mi>\arg</mi>" in made[r"\arg\max_i s_i"], "changed"
assert "\\" not in made[r"\argmax_i s_i"], "changed"
assert r"\unknowncommand" in made[r"\unknowncommand"], "changed"
PY

#!/bin/sh
# negspacy 1.1.0: "We cannot rule out pneumonia" is read as "no pneumonia".
#
# Expected: a double negation leaves the finding possible, as in "does not rule out pneumonia", which is
# read so with the default terms, the clinical ones.
# Seen: "cannot" is a term of its own that negates what follows, and wins over the term "not rule out".
# "cannot exclude" and, behind the finding, "was not ruled out" negate it, too. So does "was not" in
# "The mass was not biopsied", while "A fracture is not seen" leaves the fracture present.
# So labels from reports say that a finding is absent where the radiologist warned of it.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m pip install -q --disable-pip-version-check --target "$work/lib" \
  negspacy==1.1.0 spacy==3.8.18
PYTHONPATH="$work/lib" "${PYTHON:-python3}" -W ignore::DeprecationWarning - <<'PY'
from importlib.metadata import version

import spacy
from negspacy.negation import Negex  # noqa: F401 - adds "negex" to spaCy

nlp = spacy.blank("en")
nlp.add_pipe("sentencizer")
findings = nlp.add_pipe("entity_ruler")
findings.add_patterns([{"label": "FINDING", "pattern": word} for word in ("pneumonia", "mass", "fracture")])
nlp.add_pipe("negex")
print("negspacy", version("negspacy"), "spaCy", spacy.__version__)
for sentence, expected in (
    ("There is no pneumonia.", True),
    ("This does not rule out pneumonia.", False),
    ("We cannot rule out pneumonia.", True),
    ("We cannot exclude pneumonia.", True),
    ("A pneumonia was not ruled out.", True),
    ("The mass was not biopsied.", True),
    ("A fracture is not seen.", False),
):
    (finding,) = nlp(sentence).ents
    print(f"{sentence} {finding.text}: {'absent' if finding._.negex else 'present'}")
    assert finding._.negex == expected, "changed"
PY

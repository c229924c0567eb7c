"""The one-page guideline for clinicians, ``guideline.md``, which the preference card shows."""

from __future__ import annotations

import re
from importlib import resources

_DEFINITION = re.compile(r"^- \*\*(.+?)\*\*: (.+(?:\n[ \t]+\S.*)*)", re.MULTILINE)


def guideline() -> str:
    """Return the one-page guideline for clinicians as Markdown text."""
    return resources.files("vital_lib.labels").joinpath("guideline.md").read_text("utf-8")


def definitions(text: str) -> dict[str, str]:
    """Return term -> sentence for every list item "- **term**: sentence" of a guideline.

    Terms are in lower case, as the guideline's criteria are on the card. A term that is defined
    twice has its first sentence.
    """
    found = reversed(_DEFINITION.findall(text))
    return {term.lower(): " ".join(sentence.split()) for term, sentence in found}

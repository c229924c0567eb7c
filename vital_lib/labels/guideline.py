"""The one-page guideline for clinicians, ``guideline.md``, which the preference card shows."""

from __future__ import annotations

import re
from pathlib import Path

from vital_lib.records import read_text

_GUIDELINE = Path(__file__).with_name("guideline.md")
_DEFINITION = re.compile(r"^- \*\*(.+?)\*\*: (.+(?:\n[ \t]+\S.*)*)", re.MULTILINE)


def guideline() -> str:
    """Return the one-page guideline for clinicians as Markdown text.

    Raises:
        UnreadableFile: the file was saved in another encoding than Unicode's.
    """
    return read_text(_GUIDELINE)


def definitions(text: str) -> dict[str, str]:
    """Return term -> sentence for every list item "- **term**: sentence" of a guideline.

    Terms are in lower case, as the guideline's criteria are on the card. A term that is defined
    twice has its first sentence.
    """
    found = reversed(_DEFINITION.findall(text))
    return {term.lower(): " ".join(sentence.split()) for term, sentence in found}

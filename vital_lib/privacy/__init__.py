"""Privacy: what may identify a patient is found, a person decides, and the decision is logged.

The rule that every way out of the workbench applies is ``figures.clearance``; this package is how
a figure comes to be cleared by a person. Its modules:

- ``identifiers``: finds names, dates and numbers in captions and mentions
- ``burnt_in``: finds text in images by OCR, with its place
- ``views``: the pictures in which a grey of 16 bits may be seen
- ``log``: the append-only log of decisions, in the run's folder
- ``deciding``: clears, redacts or rejects a figure, and applies the log to table `figures`
"""

from vital_lib.privacy.burnt_in import Box, BurntIn, find_burnt_in
from vital_lib.privacy.deciding import (
    REMOVED,
    OtherFigure,
    clear,
    has_removed_parts,
    reject,
    with_decisions,
)
from vital_lib.privacy.identifiers import (
    RULES,
    Identifier,
    find_identifiers,
    find_in_texts,
    texts_of,
)
from vital_lib.privacy.log import ClearanceLog, DamagedLog
from vital_lib.privacy.views import View, views_of

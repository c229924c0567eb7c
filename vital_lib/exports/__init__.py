"""Exports: conversations and preference pairs in the forms of other tools.

`export` is the one function. ``forms`` declares the forms, ``rows`` says what is held back and why,
``pictures`` places the images, ``parquet`` writes files that `datasets` opens, ``folders`` puts a
whole folder in its place, ``card`` writes its README.md.
"""

from vital_lib.exports.exporting import Export, NothingToExport, export
from vital_lib.exports.forms import FORMS

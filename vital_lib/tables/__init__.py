"""The tables of a run: columns (``columns``), checked frames (``frames``), folder (``workspace``),
metrics (``measured``), what each was made from (``origins``), rows joined by id (``matching``),
flags and their words (``flags``).

A table is one Parquet file, written whole, that remembers what it was made from. The package knows
nothing of figures, models or labels.
"""

from vital_lib.tables.columns import FORMAT_VERSION, TABLES, Table, document
from vital_lib.tables.files import log_ahead, write_atomically
from vital_lib.tables.flags import NO_ANSWER, NOT_TO_LEARN, flags_in_words, not_to_learn
from vital_lib.tables.frames import SchemaError, empty_frame
from vital_lib.tables.matching import belonging, refuse_strays
from vital_lib.tables.origins import NotReadable, VotesRead
from vital_lib.tables.workspace import MissingTable, UnsupportedFormat, Workspace

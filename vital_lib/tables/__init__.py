"""The tables of a run: columns (``columns``), frame checks (``frames``), folder (``workspace``),
metrics (``measured``) and their words (``words``, ``units``), origins (``origins``), matching by id
(``matching``), flags (``flags``).

A table is one Parquet file, written atomically, that records what it was made from. The package
does not depend on figures, models or labels.
"""

from vital_lib.tables.columns import FORMAT_VERSION, TABLES, Table, document
from vital_lib.tables.files import (
    FolderInUse,
    alone_in,
    csv_text,
    log_ahead,
    unwritable,
    write_atomically,
    write_rows,
    write_text,
)
from vital_lib.tables.flags import NO_ANSWER, NOT_TO_LEARN, flags_in_words, not_to_learn
from vital_lib.tables.frames import SchemaError, empty_frame, frame_of
from vital_lib.tables.matching import (
    belonging,
    check_table,
    column_of,
    refuse_judges,
    refuse_missing,
    refuse_strays,
    refuse_twice,
)
from vital_lib.tables.measured import STAGES, metrics_frame, read_origins
from vital_lib.tables.origins import NotReadable, VotesRead, is_path, without_folders
from vital_lib.tables.refused import DECISIONS
from vital_lib.tables.units import decimals
from vital_lib.tables.words import ARMS, MODELS, Words, metrics_in_words, words_of
from vital_lib.tables.workspace import MissingTable, UnsupportedFormat, Workspace

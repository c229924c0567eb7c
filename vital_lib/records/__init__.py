"""Files of records: one reader for every stage (``reading``), one check of a record (``check``).

Figures, benchmarks, demonstrations and labels are read from JSON, JSON Lines, CSV and Parquet by
``read_records``; ``checked`` makes a pydantic model of a record, or says which field is wrong. The
package knows nothing of what the records are about.
"""

from vital_lib.records.check import (
    InvalidRecord,
    Record,
    Text,
    checked,
    of_cell,
    rejected_rows,
    rounds_of,
    shown,
    without_image_tag,
)
from vital_lib.records.reading import UnreadableFile, read_records

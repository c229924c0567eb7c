"""Files of records: one reader for every stage (``reading``), one check of a record (``check``).

``read_records`` reads figures, benchmarks, demonstrations and labels from JSON, JSON Lines, CSV and
Parquet; ``read_text`` reads a whole text. ``checked`` validates a record with a pydantic model, or
names the wrong field. The package does not depend on the content of the records.
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
from vital_lib.records.reading import UnreadableFile, read_records, read_text

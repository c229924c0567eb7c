"""Labels: what people said (``log``), who judges what next (``queue``), and what it amounts to.

``views`` counts votes, ``reading`` keeps what was read of them, ``agreement`` says how far people
agree, ``calibration`` is the round before labelling, ``exchange`` and ``label_studio`` are files
for other tools.

The package knows nothing of widgets, images or models.
"""

from vital_lib.labels.agreement import adjudication_rows, agreement, disagreements
from vital_lib.labels.calibration import (
    calibration_reference,
    calibration_result,
    calibration_rows,
    guideline,
)
from vital_lib.labels.database import FORMAT_VERSION, LabelsNotSaved
from vital_lib.labels.exchange import Imported, export_jsonl, import_jsonl
from vital_lib.labels.fixed_rows import Fixed, fixed
from vital_lib.labels.hollow_pairs import left_out
from vital_lib.labels.label_studio import export_label_studio, label_studio_config
from vital_lib.labels.label_studio_import import import_label_studio
from vital_lib.labels.log import ARMS, VOTES, LabelLog
from vital_lib.labels.names import check_names
from vital_lib.labels.queue import Queue
from vital_lib.labels.reading import votes_read
from vital_lib.labels.views import (
    accepted_share,
    check_same_texts,
    decided_items,
    groups_of,
    majority_ticks,
    ticks_of,
)

__all__ = [
    "ARMS",
    "FORMAT_VERSION",
    "VOTES",
    "Fixed",
    "LabelLog",
    "LabelsNotSaved",
    "Queue",
    "accepted_share",
    "check_names",
    "check_same_texts",
    "decided_items",
    "fixed",
    "groups_of",
    "majority_ticks",
    "ticks_of",
    "votes_read",
    "adjudication_rows",
    "agreement",
    "disagreements",
    "calibration_reference",
    "calibration_result",
    "calibration_rows",
    "guideline",
    "Imported",
    "export_jsonl",
    "import_jsonl",
    "export_label_studio",
    "import_label_studio",
    "left_out",
    "label_studio_config",
]

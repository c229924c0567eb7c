"""Labels: the log of judgements (``log``) and the queue of items to judge (``queue``).

``events`` checks the log's rows and says which judgements stand; ``convert`` copies an older log.
``votes`` counts votes, ``reading`` fingerprints the votes that a stage has read, ``agreement``
measures agreement between annotators, and ``calibration`` is the round before labelling.
``comparisons`` turns comparisons of two models' answers into verdicts. ``exchange`` and
``label_studio`` write files for other tools and read them back.

The package does not depend on widgets, images or models.
"""

from vital_lib.labels.agreement import adjudication_rows, agreement, disagreements
from vital_lib.labels.arms import accepted_by_arm, compare_arms, ticks_of_pairs
from vital_lib.labels.calibration import (
    calibration_feedback,
    calibration_in_words,
    calibration_now,
    calibration_reference,
    calibration_rows,
)
from vital_lib.labels.comparisons import comparison_rows, verdicts_of
from vital_lib.labels.database import FORMAT_VERSION, LabelsNotSaved
from vital_lib.labels.events import DRAWN_BY, KINDS, SIDES, STRATEGIES, VOTES
from vital_lib.labels.exchange import Imported, export_jsonl, import_jsonl
from vital_lib.labels.fixed_queue import FixedQueue
from vital_lib.labels.guideline import definitions, guideline
from vital_lib.labels.hollow_pairs import left_out
from vital_lib.labels.label_studio import export_label_studio, label_studio_config
from vital_lib.labels.label_studio_import import import_label_studio
from vital_lib.labels.log import LabelLog, practice_log
from vital_lib.labels.names import check_names
from vital_lib.labels.queue import Queue
from vital_lib.labels.reading import log_of_run, votes_read
from vital_lib.labels.votes import (
    accepted_share,
    check_same_texts,
    decided_items,
    majority_ticks,
    votes_long,
)

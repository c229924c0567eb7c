"""Judges: what they are asked, and how far they can be believed.

Ratings, scores and verdicts (``asking``), answers with an error put in (``probes``), and the judge
measured beside people (``measures``). The package knows nothing of the selector.
"""

from vital_lib.judging.asking import (
    NULL_COLUMNS,
    RESPONSES,
    compare_answers,
    compare_drafts,
    nulls,
    rate_candidates,
    score_answers,
)
from vital_lib.judging.measures import (
    blank_drop_rate,
    calibration,
    consistency,
    length_bias,
    measured,
    metrics_of,
    null_rate,
    position_bias,
    probe_drop_rate,
)
from vital_lib.judging.probes import KINDS, blanked, corrupt_answers

"""Judges: their ratings, scores and verdicts, and how reliable they are.

``asking`` requests ratings, scores and verdicts. ``probes`` puts errors into answers and blanks
images, and ``seeing`` tests whether images reach a judge. ``measures`` compares a judge with
annotators. The package does not depend on the selector.
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
from vital_lib.judging.seeing import probe_images

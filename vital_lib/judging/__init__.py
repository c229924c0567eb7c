"""Judges: what they are asked, and how far they can be believed.

Ratings, scores and verdicts (``asking``), answers with planted errors (``probes``), and the judge
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
    blank_falls,
    calibration,
    consistency,
    length_bias,
    measured,
    metrics_of,
    null_rate,
    position_bias,
    probe_falls,
)
from vital_lib.judging.probes import KINDS, blanked, planted

__all__ = [
    "KINDS",
    "NULL_COLUMNS",
    "RESPONSES",
    "blank_falls",
    "blanked",
    "calibration",
    "compare_answers",
    "compare_drafts",
    "consistency",
    "length_bias",
    "measured",
    "metrics_of",
    "null_rate",
    "nulls",
    "planted",
    "position_bias",
    "probe_falls",
    "rate_candidates",
    "score_answers",
]

"""Statistics for every stage that reports a number; only numbers and their groups come in.

``intervals`` resamples groups (articles or patients), and ``words`` states a difference in a
sentence. ``comparisons`` adjusts for the number of comparisons and tells the sample that a
difference needs. ``agreement`` compares raters, and ``correction`` corrects a judge's values by a
few labels. The package is independent of figures, models and notebooks.
"""

from vital_lib.statistics.agreement import agreement_interval, alpha_of_counts
from vital_lib.statistics.comparisons import POWER, adjusted_p_values, p_value, times_needed
from vital_lib.statistics.correction import LEAST_LABELLED, corrected_interval
from vital_lib.statistics.intervals import (
    FLIPS,
    RESAMPLES,
    Interval,
    check_groups,
    difference_interval,
    interval_of,
    mean_interval,
    ratio_interval,
    share_difference_interval,
    sign_flip_test,
    sums_interval,
    sums_intervals,
)
from vital_lib.statistics.words import LEAST_GROUPS, claim_difference

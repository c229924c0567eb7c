"""Selection: turn scores into a selected set by a cut within groups.

Method, stage 2, item 11. The package also finds near-duplicates and draws controls. It
accepts scores from any source.
"""

from vital_lib.selection.controls import (
    chance_scores,
    length_scores,
    random_candidates,
    rating_scores,
    select_all,
    select_random,
    similarity_scores,
    typical_scores,
)
from vital_lib.selection.cut import (
    OUTCOMES,
    Grouping,
    add_groups,
    answer_polarity,
    conversations,
    coverage,
    cut,
    quotas,
    top_candidates,
)
from vital_lib.selection.duplicates import near_duplicates
from vital_lib.selection.measures import accepted_by_share, accepted_shares

"""Figures: safely opened images (``images``) and checked figure sets (``records``).

``clearance`` says whether a figure may leave the workbench, ``articles`` finds the article of a
figure, ``groups`` keeps each article on one side of a split, and ``folders`` confines the paths in
records. The package does not depend on candidates, models or people.
"""

from vital_lib.figures.articles import article_id, article_ids, article_of
from vital_lib.figures.clearance import (
    CLINIC,
    Clearance,
    NotCleared,
    clearance_of,
    held_back_in_words,
    is_cleared,
    refusal_of,
)
from vital_lib.figures.copies import picture_hashes
from vital_lib.figures.coverage import choice_metrics
from vital_lib.figures.folders import ImageFolder, UnreadableImage
from vital_lib.figures.groups import (
    combine,
    group_sizes,
    group_warnings,
    join_twins,
    joined_groups,
    near_identical,
    split_of,
)
from vital_lib.figures.images import (
    CLEARANCE,
    FigureImage,
    InvalidRecord,
    blank,
    open_figure,
    open_image,
)
from vital_lib.figures.openers import cleared_opener, image_notes, image_opener
from vital_lib.figures.records import NoUsableFigures, read_counts, read_figures
from vital_lib.figures.sampling import (
    choose_figures,
    cluster_figures,
    joined_features,
    random_sample,
)
from vital_lib.figures.twins import DRAWN, find_copies, find_twins

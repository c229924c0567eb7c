"""Figures: safely opened images (``images``) and checked figure sets (``records``).

``articles`` finds the article of a figure, ``groups`` keeps each article on one side of a split,
and ``folders`` confines the paths in records. The package does not depend on candidates, models or
people.
"""

from vital_lib.figures.articles import article_id, article_ids, article_of
from vital_lib.figures.coverage import choice_metrics
from vital_lib.figures.folders import ImageFolder, UnreadableImage
from vital_lib.figures.groups import (
    find_twins,
    group_sizes,
    group_warnings,
    join_twins,
    joined_groups,
    near_identical,
    split_of,
)
from vital_lib.figures.images import FigureImage, InvalidRecord, blank, open_image
from vital_lib.figures.records import NoUsableFigures, image_notes, image_opener, read_figures
from vital_lib.figures.sampling import (
    choose_figures,
    cluster_figures,
    joined_features,
    random_sample,
)

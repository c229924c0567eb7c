"""Figures: safely opened images (``images``) and checked figure sets (``records``).

Which article a figure belongs to is read in ``articles``; ``groups`` keeps an article on one side
of a split; ``folders`` says where a record's path may lead. The package knows nothing of
candidates, models or people.
"""

from vital_lib.figures.articles import article_id, article_ids, article_of
from vital_lib.figures.folders import ImageFolder, UnreadableImage, find_first
from vital_lib.figures.groups import (
    find_twins,
    group_sizes,
    group_warnings,
    join_twins,
    joined_groups,
    near_identical,
    split_of,
)
from vital_lib.figures.images import MAX_PIXELS, FigureImage, InvalidRecord, blank, open_image
from vital_lib.figures.records import (
    NoUsableFigures,
    image_notes,
    image_opener,
    read_figures,
)

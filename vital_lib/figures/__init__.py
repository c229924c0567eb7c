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
from vital_lib.figures.images import MAX_PIXELS, FigureImage, Rejected, blank, open_image
from vital_lib.figures.records import (
    MODALITIES,
    NoUsableFigures,
    image_notes,
    image_opener,
    read_figures,
)

__all__ = [
    "MAX_PIXELS",
    "MODALITIES",
    "FigureImage",
    "ImageFolder",
    "NoUsableFigures",
    "Rejected",
    "UnreadableImage",
    "article_id",
    "article_ids",
    "article_of",
    "blank",
    "find_first",
    "find_twins",
    "group_sizes",
    "group_warnings",
    "image_notes",
    "image_opener",
    "join_twins",
    "joined_groups",
    "near_identical",
    "open_image",
    "read_figures",
    "split_of",
]

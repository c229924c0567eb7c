"""Figures: safely opened images (``images``) and checked figure sets (``records``).

The package knows nothing of candidates, models or people.
"""

from vital_lib.figures.images import (
    MAX_PIXELS,
    FigureImage,
    Rejected,
    UnreadableImage,
    blank,
    open_image,
)
from vital_lib.figures.records import (
    MODALITIES,
    NoUsableFigures,
    image_opener,
    read_figures,
    split_of,
)

__all__ = [
    "MAX_PIXELS",
    "MODALITIES",
    "FigureImage",
    "NoUsableFigures",
    "Rejected",
    "UnreadableImage",
    "blank",
    "image_opener",
    "open_image",
    "read_figures",
    "split_of",
]

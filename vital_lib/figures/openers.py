"""Opens the images of a table's rows, each with the clearance of its row."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd

from vital_lib.figures.clearance import NotCleared, is_cleared
from vital_lib.figures.images import FigureImage, open_figure


def image_opener(figures: pd.DataFrame, by: str = "figure_id") -> Callable[[str], FigureImage]:
    """Return a function from a figure_id to its opened image; each image is checked once.

    Args:
        figures: columns figure_id, image; sha256, cleared and cleared_reason, without which no
            image may leave (`open_figure`).
        by: the column to open them by. Of several rows, one that is not cleared decides.

    Raises (by the returned function):
        KeyError: the figure is not in `figures`.
        UnreadableImage: the image cannot be opened.
    """
    names = ("figure_id", "question_id", "image", "sha256", "cleared", "cleared_reason")
    found = figures[figures.columns.intersection(names)]
    found = found.iloc[np.argsort(~is_cleared(found), kind="stable")]
    rows = {row[by]: row for row in found.to_dict("records")}
    return cache(lambda name: open_figure(rows[name]))


def cleared_opener(figures: pd.DataFrame) -> Callable[[str], FigureImage]:
    """Return `image_opener`, for a page that others see: it opens cleared images only.

    Raises (by the returned function):
        NotCleared: the figure, or the file as it is now, is not cleared.
    """
    image_of = image_opener(figures)

    def opened(figure_id: str) -> FigureImage:
        image = image_of(figure_id)
        if refusal := image.clearance.refusal:
            raise NotCleared(refusal)
        return image

    return opened


def image_notes(figures: pd.DataFrame) -> pd.DataFrame:
    """List the changes made to show the images of `read_figures`: columns figure_id, note.

    Examples are the range of a stretched 16-bit grey, and that only the first of several frames is
    shown. Most images have no note.
    """
    return pd.DataFrame(figures.attrs.get("image_notes", []), columns=["figure_id", "note"])

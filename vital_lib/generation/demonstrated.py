"""The images of demonstrations, and which demonstrations a model may be shown."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pandas as pd

from vital_lib.client import ChatClient
from vital_lib.figures import Clearance, FigureImage, UnreadableImage, open_image, refusal_of
from vital_lib.prompts import demonstration_clearance

LOG = logging.getLogger(__name__)

_GONE = "its figure or image file is no longer in the run: run notebook 03 again"

ImageOf = Callable[[str], FigureImage] | Mapping[str, str] | pd.Series
"""Opens a figure's image by its figure_id, or maps it to the path of the image."""


def opener(image_of: ImageOf) -> Callable[[Any], FigureImage | None]:
    """Return a function that opens the image of a demonstration, or returns None."""

    @cache
    def opened(figure_id: Any) -> FigureImage | None:
        try:
            if isinstance(image_of, Mapping | pd.Series):
                path = image_of.get(figure_id)  # a null figure_id has no image
                return None if path is None else open_image(path)
            return image_of(figure_id)
        except (KeyError, UnreadableImage):
            return None

    return opened


def shown_to(client: ChatClient, demonstrations: pd.DataFrame, image_of: ImageOf) -> pd.DataFrame:
    """Return the demonstrations that may be shown to a model; the log counts the others."""
    if not client.sends_out:
        return demonstrations
    opened = opener(image_of)
    rows = demonstrations.to_dict("records")
    refusals = [_refusal(row, opened(row["figure_id"])) for row in rows]
    held = [why for why in refusals if why]
    if held:
        counts = len(held), len(rows)
        LOG.warning("%d of %d demonstrations are held back, such as %s", *counts, held[0])
    return demonstrations[[why is None for why in refusals]]


def _refusal(row: Mapping[str, Any], image: FigureImage | None) -> str | None:
    """Return why the texts or the image of a demonstration may not leave, or None.

    The demonstration states what was decided when it was written, its image what holds now.
    """
    stated, figure_id = demonstration_clearance(row), row["figure_id"]
    if isinstance(figure_id, str) and image is None:
        return refusal_of([stated, Clearance(figure_id, False, _GONE)])
    return refusal_of([stated] if image is None else [stated, image.clearance])

"""Image controls: what a model is shown in place of a question's image.

blank: the image as mean grey. shuffled: another question's image. mirrored: the image flipped left
to right, for questions whose answer is a side. no_image: the text alone. Independent of models,
answers and metrics.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import partial

import pandas as pd
from PIL import Image, ImageOps

from vital_lib.english import OTHER_SIDE
from vital_lib.figures import FigureImage, blank, image_opener

CONTROLS = ("none", "blank", "shuffled", "mirrored", "no_image")
"""none is the image itself."""

_SIDE = re.compile(rf"\b(?:{'|'.join(OTHER_SIDE)})\b", re.I)


def side_questions(questions: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `questions` (as table ``questions``) whose answer names a side.

    Such a question is open or closed, its reference names one side, and the question names both
    sides ("left or right?") or none. In other questions, mirroring the image changes more than the
    answer, or nothing.
    """
    asked, named = (questions[name].map(sides) for name in ("question", "reference"))
    lateral = (asked.map(len) != 1) & (named.map(len) == 1) & (questions["kind"] != "chat")
    return questions[lateral.astype(bool)]


def sides(text: str) -> set[str]:
    """Return which of left and right a text names."""
    return {found.lower() for found in _SIDE.findall(text)}


def mirrored(questions: pd.DataFrame) -> pd.DataFrame:
    """Return `questions` with the references of the mirrored images: left for right, and back."""
    return questions.assign(reference=questions["reference"].map(_flipped))


def _flipped(text: str) -> str:
    return _SIDE.sub(lambda found: _cased(found[0], OTHER_SIDE[found[0].lower()]), text)


def _cased(like: str, word: str) -> str:
    return word.capitalize() if like[0].isupper() else word


def picture_under(
    control: str, questions: pd.DataFrame, seed: int
) -> Callable[[str], Image.Image | None]:
    """Return a function from a question's image (its path) to what the control shows.

    Args:
        control: one of `CONTROLS`.
        questions: all questions, as table ``questions``; seed: of the shuffling.

    Raises:
        ValueError: an unknown control, or a shuffled control where all questions share an image.
        UnreadableImage: by the function, if the image cannot be opened.
    """
    if control not in CONTROLS:
        raise ValueError(f"control {control!r}: give one of {', '.join(CONTROLS)}")
    shown = _swapped(questions["image"], seed) if control == "shuffled" else {}
    return partial(_picture, control, shown, image_opener(questions, by="image"))


def _picture(
    control: str, shown: dict[str, str], image_of: Callable[[str], FigureImage], image: str
) -> Image.Image | None:
    opened = image_of(shown.get(image, image))
    if control == "blank":
        return blank(opened)
    if control == "no_image":
        return None
    return ImageOps.mirror(opened.pixels()) if control == "mirrored" else opened.pixels()


def _swapped(images: pd.Series, seed: int) -> dict[str, str]:
    """Return another image for each image, each used once."""
    order = sorted(set(images))
    if len(order) == 1:
        raise ValueError(f"all {len(images)} questions share one image: 'shuffled' needs two")
    random.Random(seed).shuffle(order)
    return dict(zip(order, order[1:] + order[:1], strict=True))

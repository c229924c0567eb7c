"""Questions and images that two environments give to the same processors."""

from __future__ import annotations

import numpy as np
from PIL import Image

QUESTIONS = ["Which modality?", "On which side does the nodule lie?"]


def pictures() -> list[Image.Image]:
    """Return an image of noise for each question."""
    rng = np.random.default_rng(0)
    sizes = ((60, 48), (120, 200))
    return [Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]

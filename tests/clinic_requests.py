"""Requests to the clinic's models as the client really sends them, for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vital_lib.client.images import Images
from vital_lib.client.prices import nothing
from vital_lib.client.wire import make_body, make_request
from vital_lib.clinic.captions import write_caption, write_mentions
from vital_lib.clinic.lexicon import facts_in
from vital_lib.clinic.phantoms import sample_truth
from vital_lib.figures import FigureImage, open_image
from vital_lib.prompts import Prompt


def sent(prompt: Prompt, *, model: str = "clinic", seed: int = 0) -> dict[str, Any]:
    """The JSON body that the client sends for `prompt`, read back from its bytes."""
    images = Images(nothing(model).images)
    request = make_request(model, prompt, images.rule, seed=seed)
    return json.loads(json.dumps(make_body(request, prompt, images)))


def any_image(folder: Path) -> FigureImage:
    """A small grey image; the simulated models do not look at it."""
    path = folder / "image.png"
    Image.new("RGB", (32, 32), (90, 90, 90)).save(path)
    return open_image(path)


def phantom_figures(number: int, seed: int = 0) -> list[dict[str, Any]]:
    """Text of `number` phantoms: caption, mentions, modalities."""
    rng = np.random.default_rng(seed)
    figures = []
    for _ in range(number):
        truth = sample_truth(rng)
        caption = write_caption(truth, rng)
        mentions = write_mentions(truth, set(facts_in([caption])), rng)
        figures.append({"caption": caption, "mentions": mentions, "modalities": [truth.modality]})
    return figures

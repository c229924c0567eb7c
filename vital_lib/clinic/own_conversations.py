"""Conversations like the base model's training data, to mix into the tuning of that model.

They are about phantoms that no run draws. Independent of runs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from vital_lib.clinic.figure_set import RESERVED_SEED
from vital_lib.clinic.phantoms import draw, sample_truth

_STREAM = 50  # of the reserved seeds; training of the base models uses other streams


def base_conversations(
    folder: str | Path, n: int, seed: int = 0, rounds: int = 4
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw `n` phantoms into `folder` and write a base-model training conversation about each.

    A larger `n` with the same seed begins with the same conversations. Each is cut after `rounds`
    rounds: at about the length of the clinic's generated conversations, it adds no padding to a
    batch.

    Returns:
        conversations (conversation_id, figure_id, turns) and figures (figure_id, image: absolute
        path of a PNG).

    Raises:
        ValueError: `n` or `rounds` is below 1, or `seed` is negative.
    """
    from vital_lib.clinic.base_models.talk import write_conversation  # imports torch

    if n < 1 or seed < 0 or rounds < 1:
        raise ValueError(f"n={n}, seed={seed}, rounds={rounds}: wanted at least 1, 0 and 1")
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    conversations, figures = [], []
    for number in range(n):
        rng = np.random.default_rng((RESERVED_SEED + _STREAM, seed, number))
        figure_id = f"base-{seed}-{number:05d}"
        truth = sample_truth(rng)
        image = folder / f"{figure_id}.png"
        draw(truth, rng).save(image, compress_level=1)
        turns = [
            {"instruction": question, "response": answer}
            for question, answer in write_conversation(truth, rng)[:rounds]
        ]
        conversations.append((f"{figure_id}-c", figure_id, turns))
        figures.append((figure_id, str(image)))
    return (
        pd.DataFrame(conversations, columns=["conversation_id", "figure_id", "turns"]),
        pd.DataFrame(figures, columns=["figure_id", "image"]),
    )

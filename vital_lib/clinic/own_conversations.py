"""What the clinic's tiny vision-language model was made from, to be mixed in when it is tuned.

Conversations as it learned to talk by, about phantoms that no run draws. Knows nothing of runs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from vital_lib.clinic.figure_set import RESERVED_SEED
from vital_lib.clinic.phantoms import draw, sample_truth

_STREAM = 50  # of the reserved seeds; the base models' own training takes others


def base_conversations(
    folder: str | Path, n: int, seed: int = 0, rounds: int = 4
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw `n` phantoms of `seed` into `folder` and talk about each as the base model's data does.

    More of one seed begin with the same ones. A conversation's rounds, about any attribute in any
    form, are cut after `rounds`: about as long as the clinic's generated ones, they pad no batch.

    Returns:
        conversations (conversation_id, figure_id, turns) and figures (figure_id, image: the
        absolute path of a PNG).

    Raises:
        ValueError: `n` or `rounds` below 1, or a negative seed.
    """
    from vital_lib.clinic.base_models.talk import write_conversation  # brings torch

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

"""Test, before a judge is paid for thousands of ratings, whether images reach it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from vital_lib.client import ChatClient, check_images, sent_images
from vital_lib.judging.asking import rate_candidates
from vital_lib.judging.probes import blanked
from vital_lib.receipts import Answer, Receipt, check_probe


def probe_images(
    candidates: pd.DataFrame,
    figures: pd.DataFrame,
    client: ChatClient,
    folder: Path,
    *,
    n: int = 8,
    **options: Any,
) -> str:
    """Have a judge rate a few candidates with their images and with blanked ones.

    The ratings with images are the same requests as those of `rate_candidates`, and are not paid
    for twice. A rating differs if its numbers or its rationale do.

    Args:
        candidates, figures, client, options: as in `rate_candidates`.
        folder: for the blanked images.
        n: the number of candidates, spread evenly over `candidates`.

    Returns:
        What was found, in a sentence; it is a warning if no rating differs although image tokens
        were counted.

    Raises:
        ImageNotSeen: no rating differs and no image token was counted, or a request did not carry
            its own image.
    """
    some = candidates.iloc[:: max(1, len(candidates) // n)].head(n)
    own = figures[figures["figure_id"].isin(some["figure_id"])]
    real, grey = (
        rate_candidates(some, shown, client, **options) for shown in (own, blanked(own, folder))
    )
    image = own.set_index("figure_id")["image"]
    sent = sent_images(client, real["reply_id"], some["figure_id"].map(image), compared=n)
    carried = check_images(sent)
    both = (real["overall"].notna() & grey["overall"].notna()).to_numpy()
    told = [_answers(rows[both], sent["image_tokens"][both]) for rows in (real, grey)]
    warning = check_probe(*told) if both.any() else f"no reply was read in the probe of {n} ratings"
    if warning:
        return f"{warning}; {carried}"
    changed = sum(a.text != b.text for a, b in zip(*told, strict=True))
    return f"{changed} of {both.sum()} ratings differ if the image is blanked; {carried}"


def _answers(ratings: pd.DataFrame, tokens: pd.Series) -> list[Answer]:
    found = []
    for row, count in zip(ratings.itertuples(), tokens, strict=True):
        counted = Receipt(image_tokens=None if pd.isna(count) else int(count))
        found.append(Answer(f"{row.overall} {row.criteria} {row.rationale}", counted))
    return found

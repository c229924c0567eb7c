"""Near-duplicates in a pool: rounds that say again what a better-scored round says.

Two kinds: the same words about one figure, and a figure whose picture is nearly another's. It
knows nothing of encoders: features come in as rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

NEAR_IDENTICAL_BITS = 4
"""Perceptual hashes that differ in at most so many of 64 bits may be of one picture."""

ALIKE_COSINE = 0.995
"""... and are where the pictures' features have at least this cosine, too."""

_COLUMNS = ["candidate_id", "figure_id", "reason", "repeats", "bits", "cosine"]


def near_duplicates(
    candidates: pd.DataFrame,
    scores: Mapping[str, float] | pd.Series,
    figures: pd.DataFrame,
    features: Mapping[str, np.ndarray],
) -> pd.DataFrame:
    """The candidates to leave out as near-duplicates, and of what; the better score stays.

    "same picture": the figure's perceptual hash differs in at most `NEAR_IDENTICAL_BITS` bits from
    that of a figure whose candidates score better on average, and the features of both pictures
    have a cosine of `ALIKE_COSINE` or more; a hash alone takes different X-rays for one. All
    rounds about it go. "same words": instruction and response, but for case and spaces, are those
    of a better-scored candidate about the same figure. Equal scores go by id; null is lowest.

    Args:
        candidates: columns candidate_id, figure_id, instruction, response.
        scores: candidate_id -> score.
        figures: columns figure_id, phash (hexadecimal, or null: then never near-identical).
        features: figure_id -> its image's features (d,).

    Returns:
        candidate_id, figure_id, reason, repeats (the figure or candidate that stays), bits and
        cosine (null for "same words"); for `cut`.

    Raises:
        ValueError: candidates about figures that `figures` or `features` lack, or features that
            are no numbers.
    """
    if candidates.empty:
        return pd.DataFrame(columns=_COLUMNS)
    rows = candidates[["candidate_id", "figure_id"]].copy()
    rows["score"] = rows["candidate_id"].map(pd.Series(scores, dtype=float)).fillna(-np.inf)
    texts = candidates["instruction"] + "\n" + candidates["response"]
    rows["words"] = texts.str.lower().str.split().str.join(" ")
    pictures = _same_pictures(rows, figures, features)
    left = rows.sort_values(["score", "candidate_id"], ascending=[False, True])
    left = left[~left["figure_id"].isin(pictures["figure_id"])]
    first = left.groupby(["figure_id", "words"])["candidate_id"].transform("first")
    again = left.assign(reason="same words", repeats=first)[left["candidate_id"] != first]
    return pd.concat([rows.merge(pictures, on="figure_id"), again]).reindex(columns=_COLUMNS)


def _same_pictures(
    rows: pd.DataFrame, figures: pd.DataFrame, features: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """Per repeated figure: figure_id, reason, repeats, bits, cosine."""
    best_first = (
        rows.groupby("figure_id")["score"].mean().sort_values(ascending=False, kind="stable").index
    )
    known = dict(zip(figures["figure_id"], figures["phash"], strict=True))
    lost = [name for name in best_first if name not in known or name not in features]
    if lost:
        raise ValueError(
            f"{len(lost)} of {len(best_first)} figures of the candidates have no row in figures or "
            f"no features, first {lost[0]!r}"
        )
    names = [name for name in best_first if pd.notna(known[name])]
    codes = np.array([int(known[name], 16) for name in names], dtype=np.uint64)
    unit = _unit(np.stack([features[name] for name in names])) if names else np.zeros((0, 1))
    stays, found = np.ones(len(names), dtype=bool), []
    for i, name in enumerate(names):
        bits = np.bitwise_count(codes[:i] ^ codes[i])
        near = np.flatnonzero(stays[:i] & (bits <= NEAR_IDENTICAL_BITS))
        cosines = unit[near] @ unit[i]
        if len(near) and cosines.max() >= ALIKE_COSINE:
            stays[i], best = False, int(np.argmax(cosines))
            same = ("same picture", names[near[best]], int(bits[near[best]]), cosines[best])
            found.append((name, *same))
    return pd.DataFrame(found, columns=["figure_id", "reason", "repeats", "bits", "cosine"])


def _unit(features: np.ndarray) -> np.ndarray:
    rows = np.asarray(features, dtype=np.float32)
    if not np.isfinite(rows).all():
        raise ValueError("features of pictures hold NaN or infinite numbers")
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)

"""Near-duplicates in a pool: rounds that repeat a better-scored round.

There are two kinds: the same words about one figure, and figures whose images are nearly identical.
Features of images come in as arrays, from any encoder.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from vital_lib.figures import near_identical
from vital_lib.tables import not_to_learn, refuse_missing

_COLUMNS = ["candidate_id", "figure_id", "reason", "repeats", "bits", "cosine"]


def near_duplicates(
    candidates: pd.DataFrame,
    scores: Mapping[str, float] | pd.Series,
    figures: pd.DataFrame,
    features: Mapping[str, np.ndarray],
    *,
    flagged: bool = False,
) -> pd.DataFrame:
    """Return the near-duplicates to leave out, and what they repeat; the better score stays.

    "same picture": the figure's image is nearly identical to that of a figure whose candidates
    score better on average (`figures.near_identical`). All its rounds are left out. "same words":
    instruction and response match those of a better-scored candidate about the same figure, up to
    case and whitespace. Equal scores are ordered by id; null is lowest. A response that refuses
    or echoes the request is skipped: `cut` does not keep it, so it cannot displace another.

    Args:
        candidates: columns candidate_id, figure_id, instruction, response; optionally flags.
        scores: candidate_id -> score.
        figures: columns figure_id, phash (hexadecimal; with null, never near-identical).
        features: figure_id -> its image's features (d,).
        flagged: whether to include refusals and echoes; give the same value to `cut`.

    Returns:
        candidate_id, figure_id, reason, repeats (the figure or candidate that stays), bits and
        cosine (null for "same words"); an argument of `cut`.

    Raises:
        ValueError: candidates about figures that are missing from `figures` or `features`, or
            features that are not finite.
    """
    if not flagged:
        candidates = candidates[not_to_learn(candidates).isna()]
    if candidates.empty:
        return pd.DataFrame(columns=_COLUMNS)
    rows = candidates[["candidate_id", "figure_id"]].copy()
    rows["score"] = rows["candidate_id"].map(pd.Series(scores, dtype=float)).fillna(-np.inf)
    texts = candidates["instruction"] + "\n" + candidates["response"]
    rows["words"] = [
        " ".join(text.split()) if isinstance(text, str) else text
        for text in texts.str.lower().to_numpy(object)
    ]
    pictures = _same_pictures(rows, figures, features)
    left = rows.sort_values(["score", "candidate_id"], ascending=[False, True])
    left = left[~left["figure_id"].isin(pictures["figure_id"])]
    twice = left.loc[left.duplicated(["figure_id", "words"]), "figure_id"]
    left = left[left["figure_id"].isin(twice)]  # few, and grouping is slow
    first = left.groupby(["figure_id", "words"])["candidate_id"].transform("first")
    again = left.assign(reason="same words", repeats=first)[left["candidate_id"] != first]
    return pd.concat([rows.merge(pictures, on="figure_id"), again]).reindex(columns=_COLUMNS)


def _same_pictures(
    rows: pd.DataFrame, figures: pd.DataFrame, features: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """Return a row per repeated figure: figure_id, reason, repeats, bits, cosine."""
    best_first = (
        rows.groupby("figure_id")["score"].mean().sort_values(ascending=False, kind="stable").index
    )
    names = best_first.to_numpy(object)
    columns = (figures[name].to_numpy(object) for name in ("figure_id", "phash"))
    known = dict(zip(*columns, strict=True))
    problem = "figures of the candidates have no row in figures or no features"
    refuse_missing(best_first, known.keys() & features.keys(), problem, "give both for each")
    pictures = [features[name] for name in names]
    hashes = [known[name] for name in names]
    found: dict[str, tuple] = {}
    for row, places, bits, cosines in near_identical(hashes, pictures):
        staying = [k for k, place in enumerate(places) if names[place] not in found]
        if staying:
            best = max(staying, key=cosines.__getitem__)
            same = ("same picture", names[places[best]], int(bits[best]), cosines[best])
            found[names[row]] = same
    rows = [(name, *same) for name, same in found.items()]
    return pd.DataFrame(rows, columns=["figure_id", "reason", "repeats", "bits", "cosine"])

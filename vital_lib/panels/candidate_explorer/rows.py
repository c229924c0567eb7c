"""Joins candidates to what is known of them by id: one row per candidate, plain columns."""

from __future__ import annotations

import numpy as np
import pandas as pd

from vital_lib.modalities import modality_of
from vital_lib.tables import refuse_twice

TITLES = {
    "candidate_id": "candidate",
    "stage": "stage",
    "arm": "arm",
    "split": "split",
    "modality": "modality",
    "question_type": "question type",
    "rating": "rating",
    "accepted": "accepted share",
    "score": "score",
    "outcome": "outcome of the cut",
    "flags": "number of flags",
    "round": "round",
    "instruction": "instruction",
    "response": "response",
    "figure_id": "figure",
    "generator": "generator",
    "prompt_version": "prompt version",
}
"""The columns that the table can be sorted by, with their titles, as far as they are given."""


def joined_rows(
    candidates: pd.DataFrame,
    figures: pd.DataFrame,
    *,
    ratings: pd.DataFrame | None = None,
    ticks: pd.DataFrame | None = None,
    scores: pd.DataFrame | None = None,
    outcome: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return `candidates` with modality and, of the tables given, one value per candidate.

    Added columns: modality (key of `MODALITY_LABELS`), rating (mean of the judge's readable
    ratings, 0 to 10), accepted (share of annotators, 0 to 1), annotators (their number), score,
    outcome. A candidate that a table does not name has a null there. The index is 0, 1, ...

    Args:
        candidates: columns candidate_id, figure_id; others are kept.
        figures: columns figure_id, modalities (lists).
        ratings: columns candidate_id, overall.
        ticks: columns candidate_id, annotator, accepted (null counts as no tick).
        scores: columns candidate_id, score, of one selector.
        outcome: columns candidate_id, outcome, from `selection.cut`.

    Raises:
        ValueError: a candidate comes twice, or has two scores or outcomes.
    """
    refuse_twice(candidates["candidate_id"], "candidates")
    names = {name: modality_of(own) for name, own in _modalities(figures)}
    rows = candidates.reset_index(drop=True)
    ids = rows["candidate_id"]
    rows["modality"] = rows["figure_id"].map(names).astype(object).fillna("not_stated")
    if ratings is not None:
        rows["rating"], _ = _means(ids, ratings, "overall")
    if ticks is not None:
        rows["accepted"], rows["annotators"] = _means(ids, ticks, "accepted")
    for name, table in (("score", scores), ("outcome", outcome)):
        if table is not None:
            way_out = f"give the {name} of one {'selector' if name == 'score' else 'cut'}"
            refuse_twice(table["candidate_id"], f"rows with a {name}", way_out)
            places = pd.Index(table["candidate_id"]).get_indexer(ids)
            rows[name] = table[name].reset_index(drop=True).reindex(places).to_numpy()
    return rows


def _means(ids: pd.Series, table: pd.DataFrame, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the number of the values that `table` has for each of `ids`."""
    given = table.dropna(subset=name)
    places = pd.Index(ids).get_indexer(given["candidate_id"])
    known, values = places >= 0, given[name].to_numpy(dtype=float)
    counts = np.bincount(places[known], minlength=len(ids))
    sums = np.bincount(places[known], weights=values[known], minlength=len(ids))
    return np.divide(sums, counts, out=np.full(len(ids), np.nan), where=counts > 0), counts


def _modalities(figures: pd.DataFrame) -> zip:
    empty = [()] * len(figures)
    return zip(figures["figure_id"], figures.get("modalities", empty), strict=True)

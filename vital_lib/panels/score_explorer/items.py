"""One row per scored candidate, and the facets by which the panel can group these rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from vital_lib.annotators import Votes, who
from vital_lib.modalities import MODALITY_LABELS
from vital_lib.panels._panel import candidate_texts
from vital_lib.plots import MODALITY_COLOURS
from vital_lib.plots._colours import BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY
from vital_lib.selection import add_groups
from vital_lib.tables import ARMS, not_to_learn, refuse_twice

_COLOURS = (BLUE, ORANGE, GREEN, PINK, RED, SKY)  # of the largest groups; the others are grey
_STAGES = {"draft": "drafts", "final": "candidates"}
_LABELS = {
    "modality": "modality",
    "question_type": "question type",
    "cluster": "cluster",
    "stage": "source",
    "arm": "arm",
    "split": "split",
    "polarity": "polarity",
    "votes": "votes",
}


@dataclass(frozen=True)
class Facet:
    """A grouping of the rows: its label, the groups' names and colours, and each row's group."""

    label: str
    names: list[str]
    colours: list[str]
    codes: np.ndarray


def scored_items(
    scores: pd.DataFrame,
    candidates: pd.DataFrame,
    figures: pd.DataFrame,
    *,
    ratings: pd.Series | None = None,
    people: pd.DataFrame | None = None,
    other: pd.Series | None = None,
    flagged: bool = False,
) -> tuple[pd.DataFrame, int]:
    """Join the tables into one row per scored candidate, best first.

    Args:
        scores: columns candidate_id, score.
        candidates: columns candidate_id, figure_id, instruction, response, question_type, stage,
            arm, optionally split and cluster.
        figures: columns figure_id, modalities, split.
        ratings: candidate_id -> the judge's rating.
        people: columns candidate_id, accepted (share of annotators), annotators.
        other: candidate_id -> the score of another selector.
        flagged: whether responses that refuse or echo the request are among the rows.

    Returns:
        The rows, with score, rating, other, accepted, annotators, modality, polarity and split
        added; and the number of responses left out because they refuse or echo the request.

    Raises:
        ValueError: no candidate has a score, or a candidate occurs twice.
    """
    refuse_twice(candidates["candidate_id"], "candidates")
    answers = candidates[flagged | not_to_learn(candidates).isna()]
    rows = add_groups(answers, figures)
    if "split" not in rows:
        rows["split"] = rows["figure_id"].map(figures.set_index("figure_id")["split"])
    ids = rows["candidate_id"]
    rows["score"] = ids.map(scores.set_index("candidate_id")["score"]).astype(float)
    for name, given in {"rating": ratings, "other": other}.items():
        rows[name] = np.nan if given is None else ids.map(given).astype(float)
    for name in ("accepted", "annotators"):
        known = None if people is None else people.set_index("candidate_id")[name]
        rows[name] = np.nan if known is None else ids.map(known).astype(float)
    rows = rows[np.isfinite(rows["score"])]
    if candidates.size and answers.empty:
        raise ValueError(
            f"all {len(candidates):,} responses are flagged as a refusal or an echo of the "
            "request: give flagged=True to see their scores"
        )
    if rows.empty:
        raise ValueError("no candidate has a score: run notebooks/06_train_selector.ipynb first")
    best_first = rows.sort_values(["score", "candidate_id"], ascending=[False, True])
    return best_first.reset_index(drop=True), len(candidates) - len(answers)


def facets_of(items: pd.DataFrame, votes: Votes | None) -> dict[str, Facet]:
    """Return the facets of `items` (of `scored_items`) by name, those of a single group included.

    `votes` names the annotators in the facet of accepted and rejected responses, which is there
    only if a response was judged.
    """
    found = {name: _facet(name, items[name]) for name in _LABELS if name in items}
    if items["accepted"].notna().any():
        names = [f"accepted by {who(votes)}", f"rejected by {who(votes)}", "not judged"]
        codes = np.select([items["accepted"] >= 0.5, items["accepted"] < 0.5], [0, 1], 2)
        found["votes"] = Facet("votes", names, [BLUE, ORANGE, GREY], codes.astype(np.uint16))
    return found


def brief(row: pd.Series) -> dict[str, Any]:
    """Return a row's id, figure, texts and score as plain values."""
    return {**candidate_texts(row), "score": float(row["score"])}


def _facet(name: str, values: pd.Series) -> Facet:
    texts = values.astype(object).fillna("not stated").astype(str)
    if name == "modality":
        own = list(texts.unique())
        names = [key for key in MODALITY_LABELS if key in own]
        names += sorted(set(own).difference(names))  # of figures from elsewhere
        colours = [MODALITY_COLOURS.get(key, GREY) for key in names]
        labels = [MODALITY_LABELS.get(key, key) for key in names]
    else:
        names = list(texts.value_counts(sort=True).index)
        colours = [*_COLOURS, *[GREY] * len(names)][: len(names)]
        labels = [_STAGES.get(key, key) if name == "stage" else key for key in names]
        labels = [ARMS.get(key, key) if name == "arm" else key for key in labels]
    codes = pd.Categorical(texts, categories=names).codes
    return Facet(_LABELS[name], labels, colours, np.asarray(codes, dtype=np.uint16))

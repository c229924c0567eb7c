"""Krippendorff's alpha of the annotators' votes, with its bootstrap interval over groups."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from vital_lib.labels.votes import votes_long
from vital_lib.statistics import RESAMPLES, Interval, alpha_of_counts, check_groups
from vital_lib.tables import refuse_twice


def alpha_interval(
    preferences: pd.DataFrame, groups: Iterable, *, seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """Krippendorff's alpha (nominal) of the annotators' ticks and crosses.

    A unit is one response (the candidate, on either side), the annotators are its coders, and a
    skip is a missing value. `n` is the number of responses that two or more annotators judged.
    Alpha is NaN if all ticks are the same.

    Args:
        preferences: item_id, annotator, left_id, right_id, left_accepted, right_accepted.
        groups: the group of each row of `preferences`.

    Raises:
        ValueError: no rows, a missing group, a response judged twice by one annotator, or no
            response judged by two annotators.
    """
    ticks = _ticks(preferences, groups)
    units = ticks.groupby(["group", "item_id", "candidate_id"], sort=False)["accepted"]
    units = units.agg(["sum", "size"]).reset_index()
    units = units[units["size"] > 1]  # a response judged once has no agreement
    if units.empty:
        raise ValueError(
            f"agreement needs responses that two annotators judged: {len(ticks)} ticks by "
            f"{ticks['annotator'].nunique()} annotators share none"
        )
    ticked = units["sum"].to_numpy(float)
    crossed = units["size"].to_numpy(float) - ticked
    counts = np.stack([ticked, crossed], axis=1)
    return alpha_of_counts(counts, units["group"], seed=seed, resamples=resamples)


def _ticks(preferences: pd.DataFrame, groups: Iterable) -> pd.DataFrame:
    """One row per tick or cross: group, item_id, annotator, candidate_id, accepted (0 or 1)."""
    if not len(preferences):
        raise ValueError("no preferences: label some in notebooks/03_label_preferences.ipynb")
    group_of = dict(
        zip(preferences["item_id"], check_groups(groups, len(preferences)), strict=True)
    )
    ticks = votes_long(preferences)
    ticks["group"] = ticks["item_id"].map(group_of)
    way_out = "give the log's preferences(), not its history()"
    refuse_twice(ticks[["item_id", "candidate_id", "annotator"]], "judgements", way_out)
    return ticks.assign(accepted=ticks["accepted"].astype(float))

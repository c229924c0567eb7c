"""Effects of a response's properties on acceptance by annotators and on a judge's rating.

Responses are compared only with the other response to the same instruction, so a difficult figure
or question confounds nothing. The outcome is in points of 100: for annotators the share who accept,
for a judge ten times its rating. An effect is an association: annotators may reject what comes with
a property, not the property.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from vital_lib.labels import VOTES, votes_long
from vital_lib.labels.events import latest_votes, standing
from vital_lib.rewards.properties import Property, properties_of
from vital_lib.rewards.slopes import FALSE_DISCOVERIES, NUMBERS, corrected, slopes
from vital_lib.tables import column_of

ALL, EACH, JUDGE = "all annotators", "annotator", "judge"
"""The kinds of `source`: the mean of all annotators, one annotator, a judge."""

_ABOUT = ("property", "label", "unit", "source", "kind")
COLUMNS = (*_ABOUT, *NUMBERS[:7], "q", "found", *NUMBERS[7:])
"""Columns of `rewards` and `reasons_given`."""

_LENGTH = "words"


class _Source(NamedTuple):
    name: str
    kind: str
    rows: pd.DataFrame  # instruction, candidate_id, outcome (0 to 100)


def rewards(
    candidates: pd.DataFrame,
    preferences: pd.DataFrame,
    ratings: pd.DataFrame | None = None,
    **chance: int,
) -> pd.DataFrame:
    """Measure the effect of each property on acceptance, and on the ratings of each judge.

    Args:
        candidates: columns candidate_id, instruction_id, group_id, response, and flags (optional).
        preferences: columns of table `preferences`; skips are left out.
        ratings: columns candidate_id, judge, overall; repeats are averaged, and ratings of other
            candidates are left out. None if there is no judge.
        chance: seed, flips and resamples, as in `slopes`.

    Returns:
        One row per property and source, of `COLUMNS`. `effect` is in points of 100 per `unit`, with
        a 95 % interval. `same_length` is the effect at equal length (null for the length itself).
        `p` is of a sign-flip test over articles. `q` is `p` corrected for the number of tests:
        those of all annotators together, and those of all judges. `found` is q <=
        `FALSE_DISCOVERIES`. `n` and `articles` count the instructions whose responses differ in the
        property, and their articles; with fewer than ``LEAST_GROUPS`` articles nothing is tested,
        and the numbers are null.

    Raises:
        ValueError: an annotator judged a response that is not in `candidates`.
    """
    measured, properties = properties_of(candidates)
    found = []
    for source in _sources(candidates, preferences, ratings):
        ids = source.rows["candidate_id"]
        of = {"what": "judged responses", "to": "candidates"}
        articles = column_of(ids, "group_id", candidates, "candidate_id", **of).to_numpy()
        outcome, strata = (source.rows[name].to_numpy() for name in ("outcome", "instruction"))
        own = slopes(measured.loc[ids], outcome, strata, articles, length=_LENGTH, **chance)
        found.append(own.assign(source=source.name, kind=source.kind))
    return _tested(found, properties)


def reasons_given(events: pd.DataFrame, candidates: pd.DataFrame, **chance: int) -> pd.DataFrame:
    """Measure how the criteria that annotators tick as reasons go with their acceptance.

    A reason belongs to a whole judgement. So annotators of the same instruction are compared, those
    who ticked the reason with those who did not. The outcome is the share of the two responses that
    the annotator accepted, in points of 100. A reason is stated after the decision: the effect says
    what the reason stands for, not what it causes.

    Args:
        events: `LabelLog.history()`; only votes count.
        candidates: columns instruction_id, group_id.
        chance: seed, flips and resamples, as in `slopes`.

    Returns:
        Rows of `COLUMNS`, one per reason, of source `ALL`. `n` counts the instructions on which
        annotators differ in the reason. `same_length` is null.
    """
    votes = latest_votes(standing(events))
    votes = votes[votes["drawn_by"].isin(VOTES) & votes["left_accepted"].notna()]
    articles = candidates.drop_duplicates("instruction_id").set_index("instruction_id")["group_id"]
    votes = votes[votes["item_id"].isin(articles.index)]
    reasons = sorted({reason for own in votes["reasons"] for reason in own})
    properties = [_reason(name) for name in reasons]
    if not reasons:
        return _tested([], properties)
    ticked = {f"reason_{name}": [name in own for own in votes["reasons"]] for name in reasons}
    accepted = sum(50 * votes[f"{side}_accepted"].astype(float) for side in ("left", "right"))
    items = votes["item_id"].to_numpy()
    rows = (pd.DataFrame(ticked), accepted, items, articles.loc[items].to_numpy())
    found = slopes(*rows, length=None, **chance)
    return _tested([found.assign(source=ALL, kind=ALL)], properties)


def _reason(name: str) -> Property:
    words = name.replace("_", " ")
    return Property(f"reason_{name}", f"reason: {words}", f"where “{words}” is ticked")


def _tested(found: list[pd.DataFrame], properties: list[Property]) -> pd.DataFrame:
    """Return the rows with their labels, and with `q` and `found`."""
    if not found:
        return pd.DataFrame(columns=list(COLUMNS))
    rows = pd.concat(found, ignore_index=True)
    known = {one.name: one for one in properties}
    rows["label"] = [known[name].label for name in rows["property"]]
    rows["unit"] = [known[name].unit for name in rows["property"]]
    rows["q"] = rows.groupby(rows["kind"] == JUDGE)["p"].transform(corrected)
    rows["found"] = rows["q"] <= FALSE_DISCOVERIES
    return rows[list(COLUMNS)]


def _sources(
    candidates: pd.DataFrame, preferences: pd.DataFrame, ratings: pd.DataFrame | None
) -> Iterator[_Source]:
    """Yield all annotators, each annotator if there are several, and each judge."""
    ticks = votes_long(preferences).rename(columns={"item_id": "instruction"})
    ticks = ticks.assign(outcome=100 * ticks["accepted"])
    if len(ticks):
        by = ticks.groupby(["instruction", "candidate_id"], as_index=False)
        yield _Source(ALL, ALL, by["outcome"].mean())
    each = ticks.groupby("annotator")
    for name, own in each if each.ngroups > 1 else ():
        yield _Source(str(name), EACH, own)
    if ratings is None:
        return
    own = ratings.dropna(subset="overall")
    own = own.groupby(["judge", "candidate_id"], as_index=False)["overall"].mean()
    own = own.merge(candidates[["candidate_id", "instruction_id"]], on="candidate_id")
    own = own.rename(columns={"instruction_id": "instruction"})
    for name, rated in own.assign(outcome=10 * own["overall"]).groupby("judge"):
        yield _Source(str(name), JUDGE, rated)

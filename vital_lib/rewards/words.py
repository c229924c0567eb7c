"""The effects in sentences, as metrics, and the responses behind them."""

from __future__ import annotations

import pandas as pd

from vital_lib.annotators import Votes
from vital_lib.labels import accepted_share
from vital_lib.rewards.effects import ALL, FALSE_DISCOVERIES, JUDGE
from vital_lib.rewards.properties import properties_of
from vital_lib.tables import decimals

_SHOWN = 5  # effects that a sentence states, the most certain first


def effect_in_words(row: pd.Series) -> str:
    """Return one effect of `rewards` in words: "−21.0 points per absolute word [−25.0, −17.1]"."""
    low, high = (decimals(row[end], 1) for end in ("low", "high"))
    return f"{decimals(row['effect'], 1, '+')} points {row['unit']} [{low}, {high}]"


def conclusion(found: pd.DataFrame, votes: Votes) -> str:
    """State in sentences what goes with acceptance and with the ratings, and where they part.

    Args:
        found: the rows of `rewards`.
        votes: the votes behind it.
    """
    people = found[found["kind"] == ALL]
    if not people["p"].notna().any():
        return f"{votes}: too few to tell which properties of a response matter"
    parts = [_stated(people, f"acceptance by {votes.who}")]
    for judge, own in found[found["kind"] == JUDGE].groupby("source"):
        parts.append(_stated(own, f"the rating by judge {judge} (10 is 100 points)"))
        both = people[people["found"]].merge(own[own["found"]], on="property")
        apart = both[both["effect_x"] * both["effect_y"] < 0]
        if len(apart):
            parts.append(f"In opposite directions: {', '.join(apart['label_x'])}")
    return ". ".join(parts) + "."


def _stated(rows: pd.DataFrame, what: str) -> str:
    tested, own = rows["p"].notna().sum(), rows[rows["found"]]
    most = f"{tested} properties tested, false discovery rate {100 * FALSE_DISCOVERIES:.0f} %"
    if own.empty:
        return f"No property clearly goes with {what} ({most})"
    certain = (own["effect"].abs() / (own["high"] - own["low"])).sort_values(ascending=False)
    listed = [effect_in_words(row) for _, row in own.loc[certain.index].head(_SHOWN).iterrows()]
    more = f"; and {len(own) - _SHOWN} more" if len(own) > _SHOWN else ""
    verb = "property goes" if len(own) == 1 else "properties go"
    return f"{len(own)} {verb} with {what}: {'; '.join(listed)}{more} ({most})"


def metrics_of(found: pd.DataFrame) -> dict[str, float]:
    """Flatten the effects on all annotators and on one judge for metrics.json.

    ``rewards.accepted_<property>`` and ``rewards.rated_<property>`` in points of 100 per unit of
    the property, with intervals, and the numbers of effects tested and found. Of several judges,
    the first by name is recorded.
    """
    flat: dict[str, float] = {}
    for kind, name in ((ALL, "accepted"), (JUDGE, "rated")):
        own = found[found["kind"] == kind]
        own = own[(own["source"] == own["source"].min()) & own["p"].notna()]
        if own.empty:
            continue
        flat[f"rewards.{name}_found"] = int(own["found"].sum())
        flat[f"rewards.{name}_tested"] = len(own)
        for row in own.itertuples():
            ends = {"": row.effect, "_low": row.low, "_high": row.high}
            flat |= {f"rewards.{name}_{row.property}{end}": value for end, value in ends.items()}
    return flat


def examples(
    name: str,
    candidates: pd.DataFrame,
    preferences: pd.DataFrame,
    ratings: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return the judged instructions whose two responses differ in property `name`.

    Args:
        name: a value of column `property` of `rewards`.
        candidates, preferences, ratings: as for `rewards`; candidates also with figure_id and
            instruction.

    Returns:
        One row per instruction, largest difference first: instruction_id, figure_id, instruction,
        then candidate_id_more, value_more, response_more, accepted_more (share of the annotators)
        and rating_more (mean; null without one) of the response with more of the property, and the
        same with _less of the other. The order does not depend on votes or ratings.

    Raises:
        ValueError: there is no property `name`.
    """
    shares = accepted_share(preferences).set_index("candidate_id")["accepted"]
    judged = candidates[candidates["candidate_id"].isin(shares.index)]
    measured, known = properties_of(judged)
    if name not in measured:
        raise ValueError(f"no property {name!r}: give one of {', '.join(p.name for p in known)}")
    rated = pd.Series(dtype=float)
    if ratings is not None:
        rated = ratings.groupby("candidate_id")["overall"].mean()
    about = ["instruction_id", "figure_id", "instruction"]
    rows = judged[["candidate_id", *about, "response"]].assign(
        value=measured[name].to_numpy(),
        accepted=judged["candidate_id"].map(shares).to_numpy(float),
        rating=judged["candidate_id"].map(rated).to_numpy(float),
    )
    rows = rows.sort_values(["value", "candidate_id"], ascending=[False, True])
    first, last = (rows.groupby("instruction_id").nth(place) for place in (0, -1))
    both = first.merge(
        last.drop(columns=about[1:]), on="instruction_id", suffixes=("_more", "_less")
    )
    gap = both["value_more"] - both["value_less"]
    both = both.assign(gap=gap)[gap > 0].sort_values(
        ["gap", "instruction_id"], ascending=[False, True]
    )
    values = ("candidate_id", "value", "response", "accepted", "rating")
    ends = [f"{value}_{end}" for end in ("more", "less") for value in values]
    return both[[*about, *ends]].reset_index(drop=True)

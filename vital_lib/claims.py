"""The results of a run as computed sentences, read from ``metrics.json`` alone.

A claim is a difference with its interval over articles. The position of the interval decides
between "better", "worse" and "no clear difference", and each claim states its sample size. A clear
difference is tested again with Holm's correction for the number of comparisons; beside an unclear
one stands the sample that a difference of `POINTS` points needs. It opens no table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from vital_lib.annotators import beside, votes_behind, who
from vital_lib.statistics import (
    LEAST_GROUPS,
    POWER,
    Interval,
    adjusted_p_values,
    claim_difference,
    interval_of,
    p_value,
    times_needed,
)
from vital_lib.tables import ARMS, MODELS

POINTS = 3
"""The difference, in points, for which an unclear claim tells the sample needed."""

TUNED = {name: f"the {words}" for name, words in MODELS.items() if name != "selected"}
"""The models that are compared with the one tuned on the selected set, by their table names."""


@dataclass(frozen=True)
class Claim:
    """One difference that a run may have measured.

    Attributes:
        metric: name of the metric; `_low` and `_high` name its interval.
        measured: what is compared; {who} becomes the annotators behind the metric and {judge} the
            second judge. Both are called simulated if they are.
        against: what it is compared with.
        counts: the metrics that state the sample size.
        unit_points: points per unit of the metric.
        middle: the value of the metric without a difference.
    """

    metric: str
    measured: str
    against: str
    counts: tuple[str, ...] = ()
    unit_points: float = 100
    middle: float = 0


def _of_models(name: str, measured: str, kind: str) -> list[Claim]:
    counts = (f"evaluation.{kind}_questions", f"evaluation.{kind}_articles")
    return [
        Claim(f"evaluation.{name}_selected_minus_{other}", measured, words, counts)
        for other, words in TUNED.items()
    ]


def _of_wins(judge: str, measured: str, *more: str) -> list[Claim]:
    counts = ("evaluation.open_questions", "evaluation.open_articles", *more)
    claims = []
    for other, words in TUNED.items():
        against = "" if other == "random" else f"_{other}"  # as `win_rate_metrics` names them
        metric = f"evaluation.win_rate{judge}{against}_percent"
        claims.append(Claim(metric, measured, words, counts, unit_points=1, middle=50))
    return claims


_AGREEMENT = "The selector's agreement with {who} on held-out pairs"
_TUNED_ON_SELECTED = "of the model tuned on the selected set"
_HELD_OUT = ("selector.held_out_pairs", "selector.held_out_articles")
_ACCEPTED = "Share of the selected set accepted by {who}"
_WRITTEN = "Share accepted by {who} of candidates written with accepted demonstrations"
CLAIMS = (
    *(
        Claim(f"candidates.accepted_share_clinician_minus_{arm}", _WRITTEN, ARMS[arm])
        for arm in ("none", "random")
    ),
    *(
        Claim(f"selector.agreement_minus_{name}", _AGREEMENT, words, _HELD_OUT)
        for name, words in (
            ("judge_mean_of_5", "the mean of five judge ratings"),
            ("judge", "a single judge rating"),
            ("judge_only", "a selector trained on ratings alone"),
            ("human_only", "a selector trained on people's votes alone"),
        )
    ),
    *(
        Claim(
            f"selection.accepted_share_selected_minus_{name}",
            _ACCEPTED,
            words,
            ("selection.judged", "selection.articles"),
        )
        for name, words in (
            ("judge_top", "the judge's top-rated set"),
            ("cluster_typical", "the cluster-typical set"),
            ("random", "a random sample"),
        )
    ),
    *_of_models("open_recall", f"Open recall {_TUNED_ON_SELECTED}", "open"),
    *_of_models("closed_accuracy", f"Closed accuracy {_TUNED_ON_SELECTED}", "closed"),
    *_of_wins("_clinicians", f"Win rate minus 50 %, {_TUNED_ON_SELECTED}, by {{who}}"),
    *_of_wins("", f"Win rate minus 50 %, {_TUNED_ON_SELECTED}, by the {{judge}}"),
    *_of_wins(
        "_corrected",
        "Win rate minus 50 %, by the {judge}, corrected by {who}",
        "evaluation.compared_by_people",
    ),
)
_COUNTED = {
    "selector.held_out_pairs": "pairs",
    "selector.held_out_articles": "articles",
    "selection.judged": "candidates from test articles",
    "selection.articles": "articles",
    "evaluation.open_questions": "open questions",
    "evaluation.closed_questions": "closed questions",
    "evaluation.open_articles": "articles",
    "evaluation.closed_articles": "articles",
    "evaluation.compared_by_people": "verdicts of annotators",
}


_UP_TO_DATE: Mapping[str, str] = {}


def claims(
    metrics: Mapping[str, float],
    *,
    simulated: bool,
    stage: str = "",
    stale: Mapping[str, str] | pd.Series = _UP_TO_DATE,
) -> pd.DataFrame:
    """Return every claim that `metrics` support.

    Args:
        metrics: as `Workspace.metrics`.
        simulated: whether the second judge is the clinic's. The metrics themselves state whether
            the annotators are simulated.
        stage: return only the claims of this stage, such as "evaluation".
        stale: metric -> why it is out of date; claims on it are marked.

    Returns:
        metric, measured, against, claim (the sentence), on (the sample), estimate, low, high
        (points; low and high are null without an interval). All claims that `metrics` support
        count as comparisons, those of other stages too.
    """
    measured = {claim: found for claim in CLAIMS if (found := difference_of(metrics, claim))}
    adjusted = _adjusted(measured)
    rows = []
    for claim, found in measured.items():
        if claim.metric.startswith(stage):
            ends = (claim.unit_points * end for end in (found.estimate, found.low, found.high))
            sentence = claim_difference(claim.against, found, scale=claim.unit_points)
            sentence += _after(metrics, claim, found, adjusted)
            votes = votes_behind(metrics, claim.metric)
            judge = "simulated second judge" if simulated else "second judge"
            what = claim.measured.format(who=who(votes), judge=judge) + beside(votes)
            on, against = _measured_on(metrics, claim), claim.against
            if reason := stale.get(claim.metric):
                against, on = f"{against} (stale)", f"{on}; stale: {reason}".removeprefix("; ")
            rows.append((claim.metric, what, against, sentence, on, *ends))
    columns = ["metric", "measured", "against", "claim", "on", "estimate", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _adjusted(measured: Mapping[Claim, Interval]) -> dict[Claim, float]:
    """Return the p-value of every comparison, adjusted for their number by Holm's method."""
    compared = {
        claim: p_value(found)
        for claim, found in measured.items()
        if found.groups is None or found.groups >= LEAST_GROUPS
    }
    compared = {claim: p for claim, p in compared.items() if not math.isnan(p)}
    return dict(zip(compared, map(float, adjusted_p_values(compared.values())), strict=True))


def _after(
    metrics: Mapping[str, float], claim: Claim, found: Interval, adjusted: Mapping[Claim, float]
) -> str:
    """Return what follows a claim: its verdict by Holm, or the sample that it needs."""
    if claim not in adjusted:
        return ""
    if found.low <= 0 <= found.high:
        return _needed(metrics, claim, found)
    if len(adjusted) == 1:
        return ""
    p, clear = adjusted[claim], "clear" if adjusted[claim] < 0.05 else "not clear"
    number = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    return f"; {clear} among {len(adjusted)} comparisons, Holm ({number})"


def _needed(metrics: Mapping[str, float], claim: Claim, found: Interval) -> str:
    times = times_needed(found, POINTS / claim.unit_points)
    sample = ", ".join(
        f"{_two_digits(times * metrics[name]):,} {_COUNTED[name]}"
        for name in claim.counts
        if name in metrics
    )
    return f"; {POINTS} points need about {sample} (power {100 * POWER:.0f} %)" if sample else ""


def _two_digits(value: float) -> int:
    """Round up to two significant digits: a planned sample is no more exact than that."""
    step = 10 ** max(0, len(str(math.ceil(value))) - 2)
    return math.ceil(value / step) * step


def difference_of(metrics: Mapping[str, float], claim: Claim) -> Interval | None:
    """Return the claim's difference in the metric's unit, or None if it was not measured."""
    found = interval_of(metrics, claim.metric)
    if found is None:
        return None
    articles = next((name for name in claim.counts if name.endswith("articles")), "")
    ends = {name: getattr(found, name) - claim.middle for name in ("estimate", "low", "high")}
    return replace(found, **ends, groups=metrics.get(articles))


def _measured_on(metrics: Mapping[str, float], claim: Claim) -> str:
    return ", ".join(
        f"{metrics[name]:,.0f} {_COUNTED[name]}" for name in claim.counts if name in metrics
    )

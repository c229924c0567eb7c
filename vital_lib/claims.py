"""The results of a run as computed sentences, read from ``metrics.json`` alone.

A claim is a difference with its interval over articles. The position of the interval decides
between "better", "worse" and "no clear difference", and each claim states its sample size.
It opens no table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from vital_lib.annotators import beside, votes_behind, who
from vital_lib.statistics import Interval, claim_difference, interval_of
from vital_lib.tables import MODELS

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
    counts = (f"evaluation.{kind}_questions", "evaluation.articles")
    return [
        Claim(f"evaluation.{name}_selected_minus_{other}", measured, words, counts)
        for other, words in TUNED.items()
    ]


def _of_wins(judge: str, measured: str) -> list[Claim]:
    counts = ("evaluation.open_questions", "evaluation.articles")
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
CLAIMS = (
    *(
        Claim(f"selector.agreement_minus_{name}", _AGREEMENT, words, _HELD_OUT)
        for name, words in (
            ("judge_mean_of_5", "the mean of five judge ratings"),
            ("judge", "a single judge rating"),
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
            ("random", "a random sample"),
        )
    ),
    *_of_models("open_recall", f"Open recall {_TUNED_ON_SELECTED}", "open"),
    *_of_models("closed_accuracy", f"Closed accuracy {_TUNED_ON_SELECTED}", "closed"),
    *_of_wins("_clinicians", f"Win rate minus 50 %, {_TUNED_ON_SELECTED}, by simulated clinicians"),
    *_of_wins("", f"Win rate minus 50 %, {_TUNED_ON_SELECTED}, by the {{judge}}"),
)
_COUNTED = {
    "selector.held_out_pairs": "pairs",
    "selector.held_out_articles": "articles",
    "selection.judged": "candidates from test articles",
    "selection.articles": "articles",
    "evaluation.open_questions": "open questions",
    "evaluation.closed_questions": "closed questions",
    "evaluation.articles": "articles",
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
        (points; low and high are null without an interval).
    """
    rows = []
    for claim in CLAIMS:
        found = difference_of(metrics, claim)
        if found is not None and claim.metric.startswith(stage):
            ends = (claim.unit_points * end for end in (found.estimate, found.low, found.high))
            sentence = claim_difference(claim.against, found, scale=claim.unit_points)
            votes = votes_behind(metrics, claim.metric)
            judge = "simulated second judge" if simulated else "second judge"
            measured = claim.measured.format(who=who(votes), judge=judge) + beside(votes)
            on, against = _measured_on(metrics, claim), claim.against
            if reason := stale.get(claim.metric):
                against, on = f"{against} (stale)", f"{on}; stale: {reason}".removeprefix("; ")
            rows.append((claim.metric, measured, against, sentence, on, *ends))
    columns = ["metric", "measured", "against", "claim", "on", "estimate", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


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

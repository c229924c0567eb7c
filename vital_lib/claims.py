"""What a run shows, as computed sentences: each claim is read from ``metrics.json`` alone.

A claim is a difference with its interval over articles. It says "better", "worse" or "not told
apart" by where the interval lies, and how much it was measured on. Knows nothing of tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from vital_lib.annotators import beside, votes_behind, who
from vital_lib.statistics import Interval, claim_difference, interval_of

TUNED = {
    "unaligned": "the model tuned on unaligned data",
    "random": "the model tuned on a random sample",
    "judge_top": "the model tuned on the judge's top",
    "base": "the base model",
    "oracle": "the model tuned on candidates without an error",
}
"""What the model tuned on the selected set is compared with, by its name in the tables."""


@dataclass(frozen=True)
class Claim:
    """One difference that a run may have measured.

    Attributes:
        metric: its name; with `_low` and `_high` it has its interval.
        measured: what is compared; {who} are the annotators behind the metric, {judge} the second
            judge: both are called simulated where they are.
        against: what it is compared with.
        counts: the metrics that say how much it was measured on.
        unit_points: how many points 1 of the metric is.
        middle: the value of the metric at which neither is better.
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
            ("judge_mean_of_5", "the judge's mean of five"),
            ("judge", "the judge's one rating"),
        )
    ),
    *(
        Claim(
            f"selection.accepted_share_selected_minus_{name}",
            _ACCEPTED,
            words,
            ("selection.judged", "selection.articles"),
        )
        for name, words in (("judge_top", "the judge's top"), ("random", "a random sample"))
    ),
    *_of_models("open_recall", f"Open recall {_TUNED_ON_SELECTED}", "open"),
    *_of_models("closed_accuracy", f"Closed accuracy {_TUNED_ON_SELECTED}", "closed"),
    *_of_wins("_clinicians", f"Win rate, less 50 %, {_TUNED_ON_SELECTED}, by simulated clinicians"),
    *_of_wins("", f"Win rate, less 50 %, {_TUNED_ON_SELECTED}, by the {{judge}}"),
)
_COUNTED = {
    "selector.held_out_pairs": "pairs",
    "selector.held_out_articles": "articles",
    "selection.judged": "candidates of test articles",
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
    """Every claim that `metrics` can make.

    Args:
        metrics: as `Workspace.metrics`.
        simulated: whether the second judge is the clinic's. Whether the annotators are, the
            metrics say.
        stage: only the claims of this one, such as "evaluation".
        stale: why a metric is no longer up to date, by its name; such claims are marked.

    Returns:
        metric, measured, against, claim (the sentence), on (what it was measured on), estimate,
        low, high (points; null without an interval).
    """
    rows = []
    for claim in CLAIMS:
        found = difference_of(metrics, claim)
        if found is not None and claim.metric.startswith(stage):
            ends = (claim.unit_points * end for end in (found.estimate, found.low, found.high))
            said = claim_difference(claim.against, found, scale=claim.unit_points)
            votes = votes_behind(metrics, claim.metric)
            judge = "simulated second judge" if simulated else "second judge"
            measured = claim.measured.format(who=who(votes), judge=judge) + beside(votes)
            on, against = _measured_on(metrics, claim), claim.against
            if old := stale.get(claim.metric):
                against, on = f"{against} (stale)", f"{on}; stale: {old}".removeprefix("; ")
            rows.append((claim.metric, measured, against, said, on, *ends))
    columns = ["metric", "measured", "against", "claim", "on", "estimate", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def difference_of(metrics: Mapping[str, float], claim: Claim) -> Interval | None:
    """The claim's difference, in the metric's own unit; None where it was not measured."""
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

"""Metrics and win rates of the tuned models, and the claims of one or several runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from vital_lib.annotators import votes_behind, who
from vital_lib.plots._canvas import BESIDE, DASHED, canvas, legend_below_title, styled, value_of
from vital_lib.plots._colours import (
    BLUE,
    GREEN,
    GREY,
    INK,
    OCHRE,
    ORANGE,
    PALE,
    PINK,
    RED,
    SKY,
)
from vital_lib.plots._rows import bar_figure, bars, forest_row, name_rows
from vital_lib.plots._types import Figure

MODELS = {
    "base": ("base model, untuned", PALE),
    "unaligned": ("tuned, unaligned", GREY),
    "random": ("tuned, random sample", ORANGE),
    "judge_top": ("tuned, judge's top-rated", PINK),
    "cluster_typical": ("tuned, cluster-typical", SKY),
    "all": ("tuned, all aligned candidates", OCHRE),
    "oracle": ("tuned, no errors (oracle)", GREEN),
    "selected": ("tuned, selected set", BLUE),
}
"""Names and colours of the compared models."""

_OVER = {"base": "base model", "oracle": "oracle", "judge_top": "judge's top-rated"}
_OVER |= {"cluster_typical": "cluster-typical", "all": "all aligned candidates"}
_OVER |= {"unaligned": "unaligned", "random": "random sample"}


@styled
def evaluation_bars(metrics: Mapping[str, float]) -> Figure:
    """Closed accuracy and open recall of the models, with the blank-image control.

    If the benchmark has no questions of a kind, its panel is empty and says so.
    """
    counts = {
        metric: sum(f"evaluation.{metric}_{model}" in metrics for model in MODELS)
        for metric in ("closed_accuracy", "open_recall")
    }
    models = max(counts.values())
    measured = models or any(name.startswith("evaluation.unanswered") for name in metrics)
    missing = [metric for metric, count in counts.items() if not count and measured]
    figure, (closed, opened) = canvas(11.6, 1.4 + 0.38 * models, 1, 2)
    for axes, metric, title, label in (
        (closed, "closed_accuracy", "Closed questions", "accuracy"),
        (opened, "open_recall", "Open questions", "reference words found"),
    ):
        named = {f"evaluation.{metric}_{model}": bar for model, bar in MODELS.items()}
        if metric in missing:
            axes.set_axis_off()
            axes.set_title(f"{title}: none in the benchmark", pad=25)
            continue
        bars(axes, metrics, named, title, label)
        axes.set_title(title, pad=25)
    blank = 100 * value_of(metrics, "evaluation.blank_closed_accuracy_selected")
    if not math.isnan(blank):
        closed.axvline(blank, label=f"selected set, image blanked: {blank:.1f} %", **DASHED)
        legend_below_title(closed)
    return figure


@styled
def win_rate_bars(metrics: Mapping[str, float], *, simulated: bool = False) -> Figure:
    """Win rates of the model tuned on the selected set, by judge; each order counts half.

    Args:
        metrics: the flat metrics of a run.
        simulated: whether the second judge is the clinic's. The metrics themselves state whether
            the clinicians are simulated.
    """
    named = {}
    people = who(votes_behind(metrics, "evaluation.win_rate_clinicians_percent"))
    second = "simulated second judge" if simulated else "second judge"
    for judge, judge_name, colour in (
        ("_clinicians", people, SKY),
        ("_corrected", f"{second}, corrected", GREEN),
        ("", second, BLUE),
    ):
        for model, words in _OVER.items():
            against = "" if model == "random" else f"_{model}"
            name = f"evaluation.win_rate{judge}{against}_percent"
            named[name] = (f"{judge_name}, over {words}", colour)
    title = "Win rate of the model tuned on the selected set"
    return bar_figure(metrics, named, title, "win rate", line=(50, "parity"), unit=1)


@styled
def claims_forest(claims: pd.DataFrame, seeds: Sequence[str] = ()) -> Figure:
    """Every claim's difference with its interval; colour marks intervals that exclude 0.

    Args:
        claims: measured, against, estimate, low, high (points), as from `vital_lib.claims.claims`.
        seeds: columns with the estimates of single runs, drawn as pale marks on the claim's line.
    """
    titles = claims["measured"].ne(claims["measured"].shift())
    places = [k + 0.9 * above for k, above in enumerate(titles.cumsum() - 1)]
    figure, axes = canvas(9.6, 0.9 + 0.3 * (places[-1] + 1))
    axes.axvline(0, color=INK, linewidth=0.8)
    for place, title, row in zip(places, titles, claims.to_dict("records"), strict=True):
        colour = BLUE if row["low"] > 0 else RED if row["high"] < 0 else GREY
        text = f"{row['estimate']:+.1f}  ({row['low']:.1f} to {row['high']:.1f})"
        interval = (row["estimate"], row["low"], row["high"])
        forest_row(axes, place, interval, colour, text, [row[seed] for seed in seeds])
        if title:
            above = (0.01, place - 0.85)  # over the names of the rows, too: it may be long
            axes.annotate(row["measured"], above, (0, 0), xycoords=("figure fraction", "data"),
                          **BESIDE, weight="bold")  # fmt: skip
    name_rows(axes, places, [f"over {name}" for name in claims["against"]])
    axes.set_ylim(places[-1] + 0.6, -1.4)
    axes.spines["left"].set_visible(False)  # it would cross the titles
    axes.set_title("Model, selected set and selector, compared with baselines")
    marks = " (pale marks: single runs)" if len(seeds) else ""
    axes.set_xlabel(f"difference in points, with 95 % interval over articles{marks}")
    return figure

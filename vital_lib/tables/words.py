"""The metrics of a run in words: what each one measures, its topic and its unit.

`metrics.csv` states the words of each metric, or of a family of metrics whose varying parts are in
braces. Its order is the order in which the metrics of a stage are shown.
"""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from vital_lib.modalities import MODALITY_LABELS
from vital_lib.tables.measured import STAGES, metrics_frame
from vital_lib.tables.units import UNITS, Unit

MODELS = {
    "selected": "model tuned on the selected set",
    "unaligned": "model tuned on unaligned data",
    "random": "model tuned on a random sample",
    "judge_top": "model tuned on the judge's top-rated set",
    "cluster_typical": "model tuned on the cluster-typical set",
    "all": "model tuned on all aligned candidates",
    "base": "base model",
    "oracle": "model tuned on candidates without errors",
}
"""The compared models, by their table names."""

ARMS = {
    "none": "no demonstrations",
    "random": "random demonstrations",
    "clinician": "accepted demonstrations",
}
"""The arms of generation in words, in the order in which they are listed and drawn."""

_OTHER = "Other metrics"
_NUMBERS = ["metric", "value", "low", "high"]
_PARTS: dict[str, Mapping[str, str]] = {
    "model": MODELS,
    "against": {"": MODELS["random"], **{f"_{name}": words for name, words in MODELS.items()}},
    "by": {
        "": "the second judge",
        "_clinicians": "clinicians",
        "_corrected": "the second judge, corrected by clinicians",
    },
    "arm": dict(reversed(ARMS.items())),  # the most important first
    "sample": {
        "selected": "the selected set",
        "judge_mean_of_5_top": "the judge's top-rated set (mean of five)",
        "judge_top": "the judge's top-rated set",
        "random": "a random sample",
        "cluster_typical": "the cluster-typical set",
        "similarity": "the set most like its images",
        "length": "the set of the longest responses",
    },
    "error": {name: f"error in the {name}" for name in ("side", "modality", "count", "negation")},
    "control": {
        "blank": "image blanked",
        "shuffled": "image of another question",
        "mirrored": "image mirrored",
        "no_image": "no image",
    },
    "scored": {
        "closed_accuracy": "closed accuracy",
        "open_recall": "open recall",
        "side_accuracy": "side accuracy",
    },
    "source": {
        "accepted": "acceptance by annotators",
        "rated": "the judge's rating (10 is 100 points)",
    },
    "property": {
        "words": "per ten words of length",
        "sentences": "per sentence",
        "hedges": "per hedging word",
        "absolutes": "per absolute word",
        "terms": "per technical term",
        "number": "with a number",
        "side": "with a side",
        "yes_or_no": "with a yes or no at the start",
    },
}
"""The words of the varying parts. A part that is not here may have any name."""


@dataclass(frozen=True)
class Words:
    """A metric in words.

    Attributes:
        topic: the heading of the metrics that belong together.
        what: what is measured.
        unit: the unit of its value.
        folded: whether the topic is a detail, which a page folds away.
        place: sorts the metrics of a stage, the most important first.
    """

    topic: str
    what: str
    unit: Unit
    folded: bool
    place: tuple[object, ...]


def words_of(metric: str) -> Words | None:
    """Return a metric in words; None if `metrics.csv` has none for it."""
    for row, (pattern, family) in enumerate(_families()):
        if found := pattern.fullmatch(metric):
            parts = {name: _part(name, value) for name, value in found.groupdict().items()}
            named = {name: words for name, (_, words) in parts.items()}
            topic, what = (family[column].format(**named) for column in ("topic", "words"))
            place = (row, *parts.values())
            return Words(topic, what, UNITS[family["unit"]], bool(family["folded"]), place)
    return None


def metrics_in_words(
    metrics: Mapping[str, float], origins: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return the metrics as text, by stage and topic, the most important first.

    Args:
        metrics, origins: as for `metrics_frame`.

    Returns:
        stage (its title), topic, what (the metric in words), value (with its unit), interval (95 %;
        empty without one), unit (its `Unit`), folded (whether the topic is a detail), votes (whose
        votes it is based on; empty without votes), metric (its name), and the columns of `origins`.
        A metric without words keeps its name as `what`, below the others of its stage.
    """
    frame = metrics_frame(metrics, origins)
    found = [_shown(*row) for row in frame[_NUMBERS].itertuples(index=False)]
    columns = ["stage", "topic", "what", "value", "interval", "unit", "folded", "place"]
    texts = pd.DataFrame(found, columns=columns, index=frame.index)
    votes = frame.get("votes", "")
    rest = frame.drop(columns=["value", "low", "high"]).assign(votes=votes)
    ordered = texts.join(rest).sort_values("place")
    together = ordered.groupby(["stage", "topic"], sort=False).ngroup()
    ordered = ordered.loc[together.sort_values(kind="stable").index].reset_index(drop=True)
    return ordered[[*columns[:-1], "votes", *(name for name in rest if name != "votes")]]


def _shown(metric: str, value: float, low: float, high: float) -> tuple[object, ...]:
    """Return a row of `metrics_in_words`, with the place that sorts it."""
    stage = metric.split(".")[0]
    known = list(STAGES)
    first = known.index(stage) if stage in known else len(known)
    words = words_of(metric)
    if words is None:
        unit = UNITS["count" if float(value).is_integer() and pd.isna(low) else "number"]
        words = Words(_OTHER, metric, unit, False, (len(_families()),))
    unit, place = words.unit, (first, stage, words.place, metric)
    texts = words.topic, words.what, unit.text(value), unit.interval(low, high)
    return STAGES.get(stage, stage), *texts, unit, words.folded, place


@functools.cache
def _families() -> list[tuple[re.Pattern[str], dict[str, str]]]:
    """Return the rows of `metrics.csv`, each with a pattern for its names."""
    with open(Path(__file__).with_name("metrics.csv"), encoding="utf-8", newline="") as file:
        return [(_pattern(row["metric"]), row) for row in csv.DictReader(file)]


def _pattern(template: str) -> re.Pattern[str]:
    pieces = re.split(r"\{(\w+)\}", template)
    for at in range(1, len(pieces), 2):
        name = pieces[at]
        any_of = "|".join(map(re.escape, _PARTS[name])) if name in _PARTS else "[a-z0-9_]+"
        pieces[at] = f"(?P<{name}>{any_of})"
    pieces[::2] = map(re.escape, pieces[::2])
    return re.compile("".join(pieces))


def _part(name: str, value: str) -> tuple[int, str]:
    """Return the place and the words of the varying part `name`."""
    words = _PARTS.get(name, MODALITY_LABELS)
    place = list(words).index(value) if value in words else len(words)
    return place, words.get(value, value.replace("_", " "))

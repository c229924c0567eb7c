"""The metrics of a run (`metrics.json`) and their origins (`metrics_origin.json`).

`metrics_origin.json` lists origins, each with its metrics, and is written first. An origin is valid
only for metrics that have the same value in `metrics.json`. A crash between the two writes, or a
manual edit, therefore never gives a metric a wrong origin.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any

import pandas as pd

from vital_lib.annotators import kind_of, only_says_whose
from vital_lib.tables.files import write_text
from vital_lib.tables.origins import contradicts

METRICS, ORIGINS = "metrics.json", "metrics_origin.json"

STAGES = {
    "figures": "Figures",
    "drafts": "Drafts",
    "preferences": "Preferences",
    "demonstrations": "Demonstrations",
    "choice": "Choice of figures",
    "candidates": "Generated candidates",
    "arms": "Blind comparison of two arms",
    "judge": "The judge",
    "rewards": "What annotators and the judge reward",
    "selector": "The selector",
    "selection": "The selected set",
    "tuning": "Tuning",
    "evaluation": "Evaluation",
    "demo": "The run",
}
"""The stages of metrics, in order, and their titles."""


def checked(metrics: Mapping[str, float]) -> dict[str, float | int]:
    """Return `metrics` as JSON numbers.

    Raises:
        ValueError: a name has no stage, or a value is not a finite number.
    """
    for name, value in metrics.items():
        number = isinstance(value, Real) and not isinstance(value, bool)
        if "." not in name or not number or not math.isfinite(value):
            raise ValueError(f"metric {name!r}: {value!r}; wanted 'stage.figure': number")
    return {name: _json_number(value) for name, value in metrics.items()}


def read_metrics(folder: Path) -> dict[str, float]:
    """Return the flat metrics of a run without nulls; empty before the first is recorded.

    Raises:
        ValueError: the file is damaged or, after a manual edit, holds something else than numbers.
    """
    path = folder / METRICS
    found = _read_json(path, {})
    if not isinstance(found, dict):
        raise ValueError(f"{path} is not a JSON object of 'stage.figure': number")
    wrong = [name for name, value in found.items() if not isinstance(value, Real | None)]
    if wrong:
        raise ValueError(
            f"{path}: {len(wrong)} of {len(found)} metrics are no numbers, such as {wrong[0]!r}: "
            "delete these lines, and run the notebooks that measure them again"
        )
    return {name: value for name, value in found.items() if value is not None}


def _read_json(path: Path, otherwise: Any) -> Any:
    """Return what `path` holds, or `otherwise` without a file."""
    try:
        return json.loads(path.read_text("utf-8")) if path.exists() else otherwise
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged ({error}): restore it from a copy, or delete it and run the "
            "notebooks that measure its metrics again; tables and replies are not affected"
        ) from error


def read_origins(folder: Path) -> list[dict[str, Any]]:
    """Return the origins of a run's metrics, each with its current `metrics` (name -> value).

    Raises:
        ValueError: as `read_metrics`, for either file.
    """
    path = folder / ORIGINS
    current, stored = read_metrics(folder), _read_json(path, {"origins": []})
    origins = stored.get("origins") if isinstance(stored, dict) else None
    if not isinstance(origins, list) or not all(map(_is_origin, origins)):
        raise ValueError(
            f"{path} holds no list of origins: delete it, and run the notebooks again for a metric "
            "whose origin you need; metrics, tables and replies are not affected"
        )
    return [
        {**origin, "metrics": {k: v for k, v in origin["metrics"].items() if current.get(k) == v}}
        for origin in origins
    ]


def _is_origin(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("metrics"), dict)


def add_metrics(
    folder: Path, added: Mapping[str, float], origin: Mapping[str, Any], *, first: bool
) -> None:
    """Write the metrics `added` with their `origin`, and delete those that they replace.

    They replace earlier metrics of the same notebook: all of them if `first`, else those measured
    under another setting. They also replace metrics without origin in the stages of `added`, which
    an earlier release or a manual edit left. An `origin` without a notebook replaces nothing and is
    not stored.

    Args:
        first: whether the notebook has just started.
    """
    metrics, origins = read_metrics(folder), read_origins(folder)
    notebook, gone, lost = origin["written_by"], [], set()
    if notebook:
        own = [old for old in origins if old["written_by"] == notebook]
        gone = [old for old in own if first or contradicts(old, origin)]
        stages = {name.split(".")[0] for name in added}
        unknown = set(metrics).difference(*(old["metrics"] for old in origins))
        lost = {name for old in gone for name in old["metrics"]}
        lost |= {name for name in unknown if name.split(".")[0] in stages}
    kept = [
        {**old, "metrics": {k: v for k, v in old["metrics"].items() if k not in added}}
        for old in origins
        if old not in gone
    ]
    kept += [{**origin, "metrics": dict(added)}] if notebook else []
    remaining = {name: value for name, value in metrics.items() if name not in lost}
    content = {"origins": [entry for entry in kept if entry["metrics"]]}
    for name, whole in ((ORIGINS, content), (METRICS, {**remaining, **added})):
        write_text(folder / name, json.dumps(whole, indent=1, sort_keys=True) + "\n")


def metrics_frame(
    metrics: Mapping[str, float], origins: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return the flat metrics as rows: metric, value, low, high (null without an interval), votes.

    `votes` states whose votes a metric is based on, such as "simulated"; it is empty for a metric
    without votes. The column is absent if no metric has votes.

    Args:
        metrics: as `Workspace.metrics`.
        origins: as `Workspace.metric_origins`; adds the columns written_by, measured_on, stale.
    """
    order = {stage: place for place, stage in enumerate(STAGES)}
    names = [
        name for name in metrics if not (name.endswith(("_low", "_high")) or only_says_whose(name))
    ]
    names.sort(key=lambda name: (order.get(name.split(".")[0], len(order)), name))
    numbers = {
        column: [metrics.get(f"{name}{end}") for name in names]
        for column, end in (("value", ""), ("low", "_low"), ("high", "_high"))
    }
    frame = pd.DataFrame({"metric": names, **numbers}).astype(
        {"metric": str, **dict.fromkeys(numbers, float)}
    )
    if any(votes := [kind_of(metrics, name) for name in names]):
        frame["votes"] = votes
    return frame if origins is None else frame.merge(origins, on="metric", how="left")


def _json_number(value: Any) -> float | int:
    return value.item() if hasattr(value, "item") else value

"""The metrics of a run: `metrics.json`, flat and for everyone, and beside it what they come from.

`metrics_origin.json` lists origins, each with the metrics that it holds for. It is written first.
An origin holds only for a metric that `metrics.json` states with the same value, so that neither a
crash between the two nor an edit by hand gives a metric an origin that is not its own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any

from vital_lib.tables.files import write_atomically
from vital_lib.tables.origins import contradicts

METRICS, ORIGINS = "metrics.json", "metrics_origin.json"


def checked(metrics: Mapping[str, float]) -> dict[str, float | int]:
    """`metrics` as JSON numbers.

    Raises:
        ValueError: a name without a stage, or a value that is not a finite number.
    """
    for name, value in metrics.items():
        number = isinstance(value, Real) and not isinstance(value, bool)
        if "." not in name or not number or not math.isfinite(value):
            raise ValueError(f"metric {name!r}: {value!r}; wanted 'stage.figure': number")
    return {name: _json_number(value) for name, value in metrics.items()}


def read_metrics(folder: Path) -> dict[str, float]:
    """The flat metrics of a run; empty before the first is recorded."""
    path = folder / METRICS
    return json.loads(path.read_text()) if path.exists() else {}


def read_origins(folder: Path) -> list[dict[str, Any]]:
    """The origins of a run's metrics, each with its `metrics` (name -> value) that still stand."""
    path = folder / ORIGINS
    origins = json.loads(path.read_text())["origins"] if path.exists() else []
    stand = read_metrics(folder)
    return [
        {**one, "metrics": {k: v for k, v in one["metrics"].items() if stand.get(k) == v}}
        for one in origins
    ]


def add_metrics(
    folder: Path, added: Mapping[str, float], origin: Mapping[str, Any], *, first: bool
) -> None:
    """Write `added`, measured under `origin`, without what they replace.

    Replaced is what the same notebook wrote before: all of it where `first` says that the notebook
    has begun again, else what was measured under another setting. So is what has no origin and
    belongs to a stage of `added`: an earlier release, or an edit, left it there. An `origin` that
    names no notebook replaces nothing, and is not kept.
    """
    metrics, origins = read_metrics(folder), read_origins(folder)
    notebook, gone, lost = origin["written_by"], [], set()
    if notebook:
        own = [one for one in origins if one["written_by"] == notebook]
        gone = [one for one in own if first or contradicts(one, origin)]
        stages = {name.split(".")[0] for name in added}
        unknown = set(metrics).difference(*(one["metrics"] for one in origins))
        lost = {name for one in gone for name in one["metrics"]}
        lost |= {name for name in unknown if name.split(".")[0] in stages}
    kept = [
        {**one, "metrics": {k: v for k, v in one["metrics"].items() if k not in added}}
        for one in origins
        if one not in gone
    ]
    kept += [{**origin, "metrics": dict(added)}] if notebook else []
    stand = {name: value for name, value in metrics.items() if name not in lost}
    content = {"origins": [one for one in kept if one["metrics"]]}
    for name, whole in ((ORIGINS, content), (METRICS, {**stand, **added})):
        text = json.dumps(whole, indent=1, sort_keys=True) + "\n"
        write_atomically(folder / name, lambda path, text=text: path.write_text(text))


def _json_number(value: float) -> float | int:
    return value.item() if hasattr(value, "item") else value

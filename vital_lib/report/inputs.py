"""What each table and each reported metric was made from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from vital_lib.report.run import RunTables, stale_tables
from vital_lib.tables import STAGES, TABLES, is_path, read_origins, without_folders

_TABLE = ["table", "fingerprint", "made_from", "parameters", "stale"]
_METRICS = ["stage", "metrics", "computed_by", "made_from", "parameters", "names"]


def inputs_of_tables(run: RunTables) -> pd.DataFrame:
    """Return one row per table: table, fingerprint, made_from, parameters, stale (all text)."""
    old, workspace, rows = stale_tables(run), run.workspace, []
    for name in filter(run.has, TABLES):
        origin = workspace.origin(name)
        fingerprint = workspace.fingerprint(name)[:12]
        rows.append((name, fingerprint, _made_from(origin), _parameters(origin), old[name]))
    return pd.DataFrame(rows, columns=_TABLE)


def inputs_of_metrics(run: RunTables) -> pd.DataFrame:
    """Return one row per stage and set of inputs.

    Returns:
        stage (its title), metrics (their number), computed_by (the notebook), made_from,
        parameters (text), names (of the metrics, separated by spaces).
    """
    rows = []
    for origin in read_origins(run.workspace.path):
        names = pd.Series(list(origin["metrics"]), dtype=str)
        for stage, own in names.groupby(names.str.split(".").str[0], sort=False):
            made = (origin["written_by"], _made_from(origin), _parameters(origin))
            rows.append((STAGES.get(str(stage), stage), len(own), *made, " ".join(own)))
    return pd.DataFrame(rows, columns=_METRICS)


def _made_from(origin: Mapping[str, Any]) -> str:
    return ", ".join(f"{source} {print_[:12]}" for source, print_ in origin["made_from"].items())


def _parameters(origin: Mapping[str, Any]) -> str:
    """Return the parameters as text, without paths, which may name a person or a machine."""
    shown = {k: without_folders(v) for k, v in origin["parameters"].items() if not is_path(v)}
    return ", ".join(f"{name} = {_in_words(value)}" for name, value in shown.items())


def _in_words(value: Any) -> str:
    if isinstance(value, list):
        return " and ".join(map(str, value))
    return "none" if value is None else str(value)

"""The steps of a run, and how far it has come: each step is one notebook."""

from __future__ import annotations

import pandas as pd

from vital_lib.tables import Workspace

STEPS = {
    "01_explore_figures": "Figures",
    "02_draft_candidates": "Drafts",
    "03_label_preferences": "Preferences",
    "04_generate_instructions": "Candidates",
    "05_judge_candidates": "Ratings",
    "06_train_selector": "Selector",
    "07_select_instructions": "Selected set",
    "08_tune_model": "Tuned model",
    "09_evaluate_model": "Evaluation",
}
"""The steps by their notebooks, in order."""

_SIMULATION = "clinic_"  # its tables do not exist in a run of your own figures


def progress(workspace: Workspace) -> pd.DataFrame:
    """Return how far a run has come, one row per step.

    A step is *written* if its tables exist, or its metrics for a step without tables. It is *stale*
    if one of them is older than its inputs.

    Returns:
        notebook, step, state ("written", "stale" or "missing"), why (the first reason of a stale
        step, with the notebook to run; else empty).
    """
    tables, metrics = workspace.state(), workspace.metric_origins()
    tables = tables[~tables["table"].str.startswith(_SIMULATION)]
    rows = []
    for notebook, step in STEPS.items():
        own, measured = (frame[frame["written_by"] == notebook] for frame in (tables, metrics))
        reasons = [reason for reason in (*own["stale"], *measured["stale"]) if reason]
        missing = own["rows"].isna().any() or (own.empty and measured.empty)
        state = "missing" if missing else "stale" if reasons else "written"
        why = reasons[0] if state == "stale" else ""
        rows.append((notebook, step, state, why))
    return pd.DataFrame(rows, columns=["notebook", "step", "state", "why"])


def next_notebook(steps: pd.DataFrame) -> str | None:
    """Return the notebook to run next by the rows of `progress`; None if the run is finished.

    That is the first one whose step is missing, or that a stale step names.
    """
    missing = steps.loc[steps["state"] == "missing", "notebook"]
    named = steps["why"].str.extract(r": run (\d\d_\w+)")[0].dropna()
    return min([*missing, *named], default=None)

"""The report itself: one self-contained HTML page, written into the run's folder."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from vital_lib.cards import credits_of
from vital_lib.client import Ledger
from vital_lib.figures import is_cleared
from vital_lib.report.examples import best_conversations, won_and_lost
from vital_lib.report.funnel import funnel
from vital_lib.report.inputs import inputs_of_metrics, inputs_of_tables
from vital_lib.report.pictures import data_uri, pictures, png
from vital_lib.report.run import RunTables, held_back, sections, stale_tables, without_truth
from vital_lib.report.templates import templates
from vital_lib.runs import compare_workspaces
from vital_lib.tables import Workspace, csv_text, metrics_in_words, write_atomically


def write_report(workspace: Workspace, *, beside: Workspace | None = None) -> Path:
    """Write `report.html` into the run folder from its tables and metrics; return its path.

    Args:
        beside: another run, whose settings and metrics are shown beside those of this run.
    """
    run = RunTables(workspace)
    shown = {
        "funnel": funnel(run),
        "costs": _costs(workspace),
        "credits": _credits(run),
        "claims": run.claims,
        "tables": inputs_of_tables(run),
        "inputs": inputs_of_metrics(run),
        "metrics": metrics_in_words(run.metrics, run.origins).drop(columns=["unit", "folded"]),
    }
    if beside is not None:
        shown["settings"], shown["compared"] = compare_workspaces(workspace, beside)
    page = (
        templates()
        .get_template("report_template.html")
        .render(
            run=workspace.path.name,
            other=beside and beside.path.name,
            tables={name: frame.to_dict("records") for name, frame in shown.items()},
            csv={name: _csv(frame) for name, frame in shown.items() if len(frame)},
            stale=run.stale,
            stale_tables=stale_tables(run),
            sections=sections(run),
            pictures={name: png(figure) for name, figure in pictures(run).items()},
            examples=best_conversations(run),
            compared_answers=won_and_lost(run),
            simulated=run.simulated,
            without_truth=without_truth(run),
            held_back=held_back(run),
        )
    )
    target = workspace.path / "report.html"
    write_atomically(target, lambda path: path.write_text(page, encoding="utf-8"))
    return target


def _costs(workspace: Workspace) -> pd.DataFrame:
    """Return what each model's replies cost, by kind of prompt; empty without a ledger."""
    if not workspace.ledger.is_file():
        return pd.DataFrame()
    return Ledger(workspace.ledger).bills()


def _credits(run: RunTables) -> pd.DataFrame:
    """Return the credits of the cleared figures in the selected set, or of all before it exists."""
    if not run.has("figures"):
        return pd.DataFrame()
    figures = run.read("figures")
    figures = figures[is_cleared(figures)]
    return credits_of(
        figures, run.read("selected" if run.has("selected") else "figures")["figure_id"]
    )


def _csv(frame: pd.DataFrame) -> str:
    """Return a table as a link that saves it as a CSV file."""
    return data_uri(csv_text(frame).encode(), "text/csv;charset=utf-8")

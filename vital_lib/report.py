"""The run's report: one self-contained HTML page with its figures, plots and measures.

It reads tables and ``metrics.json`` and computes nothing that a notebook has not measured. Text
from models and files is escaped by the template engine, and the page's policy forbids scripts.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, select_autoescape

from vital_lib import figures, plots
from vital_lib.claims import claims
from vital_lib.tables import TABLES, Workspace, write_whole

STAGES = {
    "figures": "Figures",
    "drafts": "Drafts",
    "preferences": "Clinicians' preferences",
    "demonstrations": "Demonstrations",
    "candidates": "Generated candidates",
    "judge": "The judge",
    "selector": "The selector",
    "selection": "The selected set",
    "tuning": "Tuning",
    "evaluation": "Evaluation",
    "demo": "The run",
}


def metrics_frame(metrics: Mapping[str, float]) -> pd.DataFrame:
    """The flat metrics as rows: columns metric, value, low, high (null without an interval)."""
    order = {stage: place for place, stage in enumerate(STAGES)}
    names = [name for name in metrics if not name.endswith(("_low", "_high"))]
    names.sort(key=lambda name: (order.get(name.split(".")[0], len(order)), name))
    rows = [
        (name, metrics[name], metrics.get(f"{name}_low"), metrics.get(f"{name}_high"))
        for name in names
    ]
    return pd.DataFrame(rows, columns=["metric", "value", "low", "high"]).astype(
        {"value": float, "low": float, "high": float}
    )


def write_report(workspace: Workspace) -> Path:
    """Write `report.html` into the run folder from whatever the run has so far; return its path."""
    folder = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(folder), autoescape=select_autoescape(default=True)
    )
    page = environment.get_template("report_template.html").render(
        run=workspace.path.name,
        claims=claims(workspace.metrics, simulated=is_simulated(workspace)).to_dict("records"),
        sections=_sections(workspace),
        pictures={name: _png(figure) for name, figure in _pictures(workspace).items()},
        examples=_examples(workspace),
        origins=_origins(workspace),
        simulated=is_simulated(workspace),
    )
    target = workspace.path / "report.html"
    write_whole(target, lambda path: path.write_text(page, encoding="utf-8"))
    return target


def is_simulated(workspace: Workspace) -> bool:
    """Whether the run's figures are the clinic's."""
    parameters = workspace.origin("figures")["parameters"] if workspace.has("figures") else {}
    return parameters.get("figures") == "clinic"


def _sections(workspace: Workspace) -> list[dict[str, Any]]:
    """One section per stage with its measures as (name, value, interval) text."""
    frame = metrics_frame(workspace.metrics)
    sections = []
    for stage, title in STAGES.items():
        rows = frame[frame["metric"].str.startswith(f"{stage}.")]
        if len(rows):
            texts = [_as_text(row) for row in rows.itertuples()]
            sections.append({"stage": stage, "title": title, "rows": texts})
    return sections


def _as_text(row: Any) -> tuple[str, str, str]:
    name = row.metric.split(".", 1)[1].replace("_", " ")
    interval = "" if pd.isna(row.low) else f"{row.low:.3f} to {row.high:.3f}"
    whole = float(row.value).is_integer() and not interval
    return name, f"{row.value:,.0f}" if whole else f"{row.value:.3f}", interval


def _pictures(workspace: Workspace) -> dict[str, Any]:
    """The matplotlib figures that the run's tables and measures allow, by stage."""
    metrics, made = workspace.metrics, {"overview": plots.pipeline_overview()}
    if workspace.has("figures"):
        made["figures"] = plots.modality_counts(workspace.read("figures"))
        made["gallery"] = _gallery(workspace)
    simulated = is_simulated(workspace)
    for stage, needed, draw in (
        ("candidates", "candidates.accepted_share_clinician", plots.accepted_share_by_arm),
        ("selector", "selector.agreement", partial(plots.agreement_bars, simulated=simulated)),
        ("selection", "selection.accepted_share_selected", plots.selection_bars),
        ("evaluation", "evaluation.closed_accuracy_base", plots.evaluation_bars),
        ("wins", "evaluation.win_rate_percent", partial(plots.win_rate_bars, simulated=simulated)),
    ):
        if needed in metrics:
            made[stage] = draw(metrics)
    shown = claims(metrics, simulated=simulated)
    if len(shown):
        made["claims"] = plots.claims_forest(shown)
    if workspace.has("ratings"):
        made["judge"] = plots.rating_distribution(workspace.read("ratings"))
    return made


def _gallery(workspace: Workspace) -> Any:
    frame = workspace.read("figures")
    shown = frame.groupby(frame["modalities"].str[0].fillna("none")).head(2).head(10)
    pixels = [figures.open_image(workspace.resolve(image)).pixels() for image in shown["image"]]
    return plots.figure_grid(pixels, list(shown["figure_id"]))


def _examples(workspace: Workspace) -> list[dict[str, Any]]:
    """The three best conversations of the selected set, each with its image."""
    if not (workspace.has("selected") and workspace.has("figures")):
        return []
    frame = workspace.read("figures").set_index("figure_id")
    best = workspace.read("selected").nsmallest(3, "rank")
    return [
        {
            "figure_id": row.figure_id,
            "caption": frame.loc[row.figure_id, "caption"],
            "image": _data_uri(
                figures.open_image(workspace.resolve(frame.loc[row.figure_id, "image"])).jpeg(360),
                "image/jpeg",
            ),
            "turns": row.turns,
        }
        for row in best.itertuples()
    ]


def _origins(workspace: Workspace) -> list[dict[str, Any]]:
    """What every table of the run was made from, for the page's last section."""
    rows = []
    for name in TABLES:
        if workspace.has(name):
            origin = workspace.origin(name)
            rows.append(
                {
                    "table": name,
                    "fingerprint": workspace.fingerprint(name)[:12],
                    "made_from": ", ".join(
                        f"{source} {print_[:12]}" for source, print_ in origin["made_from"].items()
                    ),
                    "parameters": ", ".join(
                        f"{key} = {value}"
                        for key, value in origin["parameters"].items()
                        if not str(value).startswith("/")
                    ),
                }
            )
    return rows


def _png(figure: Any) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, bbox_inches="tight")
    return _data_uri(buffer.getvalue(), "image/png")


def _data_uri(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"

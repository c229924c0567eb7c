"""The pictures of the report: plots and images as data in the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from functools import partial
from typing import Any

from vital_lib import figures, plots
from vital_lib.report.run import SECOND_JUDGE, RunTables


def pictures(run: RunTables) -> dict[str, Any]:
    """Draw the plots that the run's tables and metrics allow, by stage."""
    metrics, made = run.metrics, {"overview": plots.pipeline_overview()}
    if run.has("figures"):
        made["figures"] = plots.modality_counts(run.read("figures"))
        made |= _gallery(run)
    simulated = SECOND_JUDGE in run.simulated
    for stage, needed, draw in (
        ("candidates", "candidates.accepted_share_clinician", plots.accepted_share_by_arm),
        ("selector", "selector.agreement", plots.agreement_bars),
        ("selection", "selection.accepted_share_selected", plots.selection_bars),
        ("evaluation", "evaluation.closed_accuracy_base", plots.evaluation_bars),
        ("wins", "evaluation.win_rate_percent", partial(plots.win_rate_bars, simulated=simulated)),
    ):
        if needed in metrics:
            made[stage] = draw(metrics)
    if len(run.claims):
        made["claims"] = plots.claims_forest(run.claims)
    if run.has("ratings"):
        made["judge"] = plots.rating_distribution(run.read("ratings"))
    return made


def _gallery(run: RunTables) -> dict[str, Any]:
    frame = run.read("figures")
    kind = frame["modalities"].map(lambda flags: flags[0] if flags else "none")
    shown = frame[figures.is_cleared(frame)].groupby(kind).head(2).head(10)
    images = {row["figure_id"]: opened(row) for row in shown.to_dict("records")}
    pixels = {name: image.pixels() for name, image in images.items() if image is not None}
    return {"gallery": plots.figure_grid(list(pixels.values()), list(pixels))} if pixels else {}


def opened(row: Mapping[str, Any]) -> figures.FigureImage | None:
    """Return the image of a row of `figures` or `questions` if it can be read and may leave.

    Otherwise return None: the report continues without it.
    """
    try:
        found = figures.open_figure(row)
    except figures.UnreadableImage:
        return None
    return found if found.clearance.cleared else None


def png(figure: Any) -> str:
    """Return a matplotlib figure as a PNG in a data URI."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, bbox_inches="tight")
    return data_uri(buffer.getvalue(), "image/png")


def data_uri(data: bytes, media_type: str) -> str:
    """Return bytes as a data URI, which needs no other file."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"

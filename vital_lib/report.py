"""The run's report: one self-contained HTML page with its figures, plots and metrics.

It reads tables and ``metrics.json`` and computes no metric of its own. The template engine escapes
text from models and files, and the page's content policy forbids scripts.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterable
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, FileSystemLoader, select_autoescape

from vital_lib import figures, plots
from vital_lib.annotators import Votes, is_simulated
from vital_lib.claims import claims
from vital_lib.runs import next_notebook, progress
from vital_lib.tables import STAGES, TABLES, Workspace, metrics_in_words, write_atomically

_SECOND = "second judge"
_OVERVIEW = """{% from "metrics_template.html" import overview %}{{ overview(sections) }}"""


class _Run:
    """What the report reads from a run; each table and derived value is read once."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.read = cache(workspace.read)

    def has(self, name: str) -> bool:
        return self.workspace.has(name)

    @cached_property
    def metrics(self) -> dict[str, float]:
        return self.workspace.metrics

    @cached_property
    def state(self) -> pd.DataFrame:
        return self.workspace.state()

    @cached_property
    def origins(self) -> pd.DataFrame:
        return self.workspace.metric_origins()

    @cached_property
    def simulated(self) -> list[str]:
        return _simulated(self)

    @cached_property
    def claims(self) -> pd.DataFrame:
        old = dict(self.origins[["metric", "stale"]].itertuples(index=False))
        return claims(self.metrics, simulated=_SECOND in self.simulated, stale=old)

    @property
    def stages(self) -> dict[str, str]:
        """The stages and their titles; stages that this release does not know come last."""
        return STAGES | {stage: stage for stage in _stages_of(self.metrics) if stage not in STAGES}


@cache
def _templates() -> Environment:
    folder = Path(__file__).parent
    return Environment(loader=FileSystemLoader(folder), autoescape=select_autoescape(default=True))


class MetricsPage:
    """The metrics of a run in words, for a notebook: one line per stage, which opens its tables."""

    def __init__(self, workspace: Workspace) -> None:
        self._sections = _sections(_Run(workspace))

    def __repr__(self) -> str:
        return "\n".join(
            f"{row['topic']}, {row['what']}: {row['value']} {row['interval']}".strip()
            for section in self._sections
            for row in section["rows"]
        )

    def _repr_html_(self) -> str:
        return _templates().from_string(_OVERVIEW).render(sections=self._sections)


class ProgressPage:
    """The method with the state of a run, for a notebook: a picture, what is next, and links.

    The links are relative to the working folder, which is the notebook's.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._run, self._steps = _Run(workspace), progress(workspace)

    def __repr__(self) -> str:
        return self._steps.to_string(index=False)

    def _repr_html_(self) -> str:
        folder, steps = self._run.workspace.path, self._steps
        states = dict(zip(steps["step"], steps["state"], strict=True))
        copies = {name: folder / "executed" / f"{name}.ipynb" for name in steps["notebook"]}
        return (
            _templates()
            .get_template("progress_template.html")
            .render(
                picture=_png(plots.pipeline_overview(states)),
                alt="; ".join(f"{step}: {state}" for step, state in states.items()),
                next=next_notebook(steps),
                steps=steps.to_dict("records"),
                report=_link(folder / "report.html"),
                executed={name: link for name, path in copies.items() if (link := _link(path))},
                simulated=self._run.simulated,
            )
        )


def _link(path: Path) -> str:
    """Return a link to a file from the working folder; empty if it does not exist."""
    return quote(Path(os.path.relpath(path)).as_posix()) if path.is_file() else ""


def write_report(workspace: Workspace) -> Path:
    """Write `report.html` into the run folder from its tables and metrics; return its path."""
    run = _Run(workspace)
    page = (
        _templates()
        .get_template("report_template.html")
        .render(
            run=workspace.path.name,
            claims=run.claims.to_dict("records"),
            stale=_stale(run),
            stale_tables=_stale_tables(run),
            sections=_sections(run),
            pictures={name: _png(figure) for name, figure in _pictures(run).items()},
            examples=_examples(run),
            origins=_origins(run),
            simulated=run.simulated,
            without_truth=_without_truth(run),
        )
    )
    target = workspace.path / "report.html"
    write_atomically(target, lambda path: path.write_text(page, encoding="utf-8"))
    return target


def simulated_parts(workspace: Workspace) -> list[str]:
    """Return the parts of a run that the clinic simulated, by its tables and metrics.

    Possible parts: "figures", "generator", "judge", "second judge" and "clinicians".
    """
    return _Run(workspace).simulated


def has_simulated_judge(workspace: Workspace) -> bool:
    """Whether the second judge, which compares answers, is the clinic's."""
    return _SECOND in simulated_parts(workspace)


def stale(workspace: Workspace) -> pd.DataFrame:
    """Return what is out of date in the run: columns stale (the reason and the notebook), what, n.

    One row per reason. `what` names the affected tables and the stages of the affected metrics, and
    `n` is the number of these metrics.
    """
    return _stale(_Run(workspace))


def _simulated(run: _Run) -> list[str]:
    parameters = run.workspace.origin("figures")["parameters"] if run.has("figures") else {}
    made_by = (
        ("generator", ("drafts", "candidates"), "generator"),
        ("judge", ("ratings",), "judge"),
        (_SECOND, ("chat_scores", "verdicts"), "judge"),
    )
    parts = ["figures"] if parameters.get("figures") == "clinic" else []
    for part, tables, column in made_by:
        names = {name for table in tables for name in _values(run, table, column)}
        if any(name.startswith("clinic") and not is_simulated(name) for name in names):
            parts.append(part)
    voted = _values(run, "preferences", "annotator") | _values(run, "verdicts", "judge")
    counted = [Votes.recorded(run.metrics, stage) for stage in STAGES]
    if any(map(is_simulated, voted)) or any(votes and votes.simulated for votes in counted):
        parts.append("clinicians")
    return parts


def _values(run: _Run, table: str, column: str) -> set[str]:
    return set(run.read(table)[column]) if run.has(table) else set()


def _stages_of(names: Iterable[str]) -> dict[str, None]:
    """The stages of metrics, in order of first appearance."""
    return dict.fromkeys(name.split(".")[0] for name in names)


def _without_truth(run: _Run) -> list[str]:
    """The stages in which simulated clinicians judged without truth, with the number of votes."""
    counted = {title: Votes.recorded(run.metrics, stage) for stage, title in STAGES.items()}
    return [
        f"{title}: {votes.without_truth:,} of {votes.n:,}"
        for title, votes in counted.items()
        if votes and votes.without_truth
    ]


def _stale(run: _Run) -> pd.DataFrame:
    state, metrics = run.state, run.origins
    stages = metrics["metric"].str.split(".").str[0]
    old = pd.concat(
        [
            pd.DataFrame({"what": "table " + state["table"], "stale": state["stale"], "n": 0}),
            pd.DataFrame({"what": "metrics of " + stages, "stale": metrics["stale"], "n": 1}),
        ]
    )
    by = old[old["stale"] != ""].groupby("stale", sort=False)
    found = by.agg(what=("what", lambda names: ", ".join(dict.fromkeys(names))), n=("n", "sum"))
    return found.reset_index()


def _stale_tables(run: _Run) -> dict[str, str]:
    return dict(run.state[["table", "stale"]].itertuples(index=False))


def _sections(run: _Run) -> list[dict[str, Any]]:
    """Return one section per stage: its title, the rows of its metrics, and these by topic.

    A row is marked as stale if the others of its stage are not stale for the same reason.
    """
    frame = metrics_in_words(run.metrics, run.origins)
    sections = []
    for stage, title in run.stages.items():
        own = frame[frame["stage"] == title]
        own = own.assign(marked=(own["stale"] != "") & (own["stale"].nunique() > 1))
        topics = [
            {"name": name, "folded": rows["folded"].all(), "rows": rows.to_dict("records")}
            for name, rows in own.groupby("topic", sort=False)
        ]
        stale = [reason for reason in own["stale"].unique() if reason]
        if topics:
            rows = own.to_dict("records")
            sections.append(
                {"stage": stage, "title": title, "topics": topics, "rows": rows, "stale": stale}
            )
    return sections


def _pictures(run: _Run) -> dict[str, Any]:
    """Draw the plots that the run's tables and metrics allow, by stage."""
    metrics, made = run.metrics, {"overview": plots.pipeline_overview()}
    if run.has("figures"):
        made["figures"] = plots.modality_counts(run.read("figures"))
        made["gallery"] = _gallery(run)
    simulated = _SECOND in run.simulated
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


def _gallery(run: _Run) -> Any:
    frame = run.read("figures")
    kind = frame["modalities"].map(lambda flags: flags[0] if flags else "none")
    shown = frame.groupby(kind).head(2).head(10)
    opened = {row.figure_id: _opened(row.image) for row in shown.itertuples()}
    pixels = {name: image.pixels() for name, image in opened.items() if image is not None}
    return plots.figure_grid(list(pixels.values()), list(pixels))


def _examples(run: _Run) -> list[dict[str, Any]]:
    """Return the three best conversations of the selected set, with their images where readable.

    If a figure is no longer in the run, a note replaces its caption and there is no image.
    """
    if not (run.has("selected") and run.has("figures")):
        return []
    figures_of = run.read("figures").set_index("figure_id").to_dict("index")
    best = run.read("selected").nsmallest(3, "rank")
    examples = []
    for row in best.itertuples():
        figure = figures_of.get(
            row.figure_id, {"caption": f"figure {row.figure_id} is no longer in the run"}
        )
        image = _opened(figure["image"]) if "image" in figure else None
        picture = image and _data_uri(image.jpeg(360), "image/jpeg")
        example = {"figure_id": row.figure_id, "caption": figure["caption"], "turns": row.turns}
        examples.append({**example, "image": picture})
    return examples


def _opened(image: str) -> figures.FigureImage | None:
    """Return the image, or None if it cannot be read; the report continues without it."""
    try:
        return figures.open_image(image)
    except figures.UnreadableImage:
        return None


def _origins(run: _Run) -> list[dict[str, Any]]:
    """Return the inputs of every table of the run, for the last section of the page."""
    rows = []
    old, workspace = _stale_tables(run), run.workspace
    for name in TABLES:
        if workspace.has(name):
            origin = workspace.origin(name)
            rows.append(
                {
                    "table": name,
                    "stale": old[name],
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

"""The card of an export: README.md in its folder, as dataset hubs show it.

It is made from the exported rows, their figures and, if it is given, the run.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
from huggingface_hub import DatasetCardData

from vital_lib import cards
from vital_lib.annotators import is_simulated
from vital_lib.contamination import Overlap
from vital_lib.exports.forms import FORMS
from vital_lib.exports.rows import BETTER
from vital_lib.tables import Workspace, without_folders, write_text

if TYPE_CHECKING:
    from vital_lib.exports.exporting import Export

_USE = (
    "For research and teaching. **Not for clinical use**: the texts were written by a model, they "
    "can be wrong, and no clinician has checked each of them."
)
_SIMULATION = (
    "**Simulated**: {}. The clinic is the workbench's built-in simulation; it says nothing about "
    "patients, real clinicians or real models."
)
_SELECTOR = (
    *("selector.agreement", "selector.agreement_minus_judge", "selector.image_reliance_blank"),
    *("selector.image_reliance_shuffled", "selector.held_out_pairs", "judge.agreement"),
)
_SELECTION = (
    *("selection.accepted_share_selected", "selection.accepted_share_random"),
    *("selection.accepted_share_selected_minus_random", "selection.n", "selection.candidates"),
)
_LISTED = 20  # credits, and texts of benchmarks, in the card
CREDITS = "CREDITS.md"
"""The file that names the credit, licence and source of every exported figure."""


class Written(NamedTuple):
    """The names of the rows that were written, and the figures that they are about."""

    names: list[str]
    figures: set[str]


class Shared(NamedTuple):
    """What the rows and figures of an export share with the benchmarks' `questions`.

    `texts` are the rows of table `contaminated` for what was written.
    """

    images: Overlap
    questions: pd.DataFrame
    texts: pd.DataFrame


def write_card(
    folder: Path,
    made: Export,
    written: Written,
    figures: pd.DataFrame,
    candidates: pd.DataFrame | None,
    shared: Shared,
    workspace: Workspace | None,
) -> None:
    """Write README.md into `folder`, the export that is being made.

    Args:
        written: what is in the export.
        figures: as given to `export`.
        candidates: the candidates of pairs; without them, those of the run.
        shared: what the export shares with benchmarks.
        workspace: the run; without it, the card has no prompts, annotators or metrics.
    """
    shown = figures[figures["figure_id"].isin(written.figures)]
    texts, names = candidates, written.names
    if texts is not None:
        names = [side for name in names for side in name.split(BETTER)]
        texts = texts[texts["candidate_id"].isin(names)]
    elif workspace is not None and workspace.has("candidates"):
        texts = workspace.read("candidates")
        texts = texts[texts["conversation_id"].isin(names)]
    lines = [_head(made), *_opening(made), *_simulated(shown, texts, workspace)]
    lines += ["## Data", "", *cards.figures_used(figures, written.figures)]
    lines += _credits(folder, shown)
    if texts is not None and {"generator", "prompt_version", "arm"} <= set(texts):
        lines += cards.texts_written(texts, texts["conversation_id"])
    lines += _run(made, workspace) if workspace is not None else []
    lines += ["## Contamination", "", *_contamination(shown, shared), ""]
    write_text(folder / cards.CARD, "\n".join(lines))


def _head(made: Export) -> str:
    """The metadata that dataset hubs read; datasets opens the files that it names."""
    parquet = any(file.columns is not None for file in FORMS[made.form].files)
    files = [{"split": "train", "path": "data/*.parquet"}]
    more: dict[str, Any] = {"configs": [{"config_name": "default", "data_files": files}]}
    data = DatasetCardData(
        pretty_name=made.folder.name,
        task_categories=["visual-question-answering"],
        tags=["medical", "biomed-vital", "not-for-clinical-use"],
        **(more if parquet else {}),
    )
    return f"---\n{data.to_yaml()}\n---\n"


def _opening(made: Export) -> list[str]:
    form = FORMS[made.form]
    lines = [f"# {cards.as_text(made.folder.name)}: {form.rows} about biomedical figures", ""]
    lines += [_USE, "", f"{made.rows:,} of {made.given:,} {form.rows}, in the form of: "]
    lines[-1] += f"{form.reader}."
    command = form.command.format(folder=shlex.quote(made.folder.name))
    lines += ["", "In the folder above:", "", "```bash", command, "```", ""]
    if len(made.held_back):
        counts = made.held_back["reason"].value_counts().items()
        lines += ["Held back:", "", *cards.table(["reason", form.rows], counts), ""]
    if made.rounds_left_out:
        lines += [f"{made.rounds_left_out:,} rounds without a question or an answer are left out."]
        lines += [""]
    if made.texts_changed:
        lines += [f"In {made.texts_changed:,} {form.rows}, a space replaces control tokens.", ""]
    return lines


def _simulated(
    figures: pd.DataFrame, texts: pd.DataFrame | None, workspace: Workspace | None
) -> list[str]:
    """Which parts come from the clinic, the built-in simulation."""
    parts = []
    if "source" in figures and (figures["source"] == cards.SIMULATED).any():
        parts.append("figures")
    if texts is not None and "generator" in texts:
        parts += ["generator"] * bool((texts["generator"] == cards.SIMULATED).any())
    if workspace is not None and workspace.has("preferences"):
        people = workspace.read("preferences")["annotator"].dropna()
        parts += ["annotators"] * any(map(is_simulated, people.unique()))
    return [_SIMULATION.format(", ".join(parts)), ""] if parts else []


def _run(made: Export, workspace: Workspace) -> list[str]:
    """Annotators, judge, selector and cut of the run."""
    lines = ["## Annotators", "", *(cards.annotated(workspace) or ["No labels.", ""])]
    if workspace.has("ratings"):
        rows = workspace.read("ratings").groupby(["judge", "prompt_version"]).size()
        values = [(cards.model_name(who), version, n) for (who, version), n in rows.items()]
        lines += ["## Judge", "", *cards.table(["judge", "prompt version", "ratings"], values), ""]
    lines += ["## Selector", "", *_measured(workspace, _SELECTOR)]
    if FORMS[made.form].rows == "conversations" and workspace.has("selected"):
        settings = workspace.origin("selected").get("parameters", {})
        values = [(name, json.dumps(without_folders(own))) for name, own in settings.items()]
        lines += ["## Cut", "", *cards.table(["setting", "value"], values), ""]
        lines += _measured(workspace, _SELECTION)
    return lines


def _measured(workspace: Workspace, names: Sequence[str]) -> list[str]:
    return cards.metric_table(workspace, names) or ["Not measured when this card was written.", ""]


def _credits(folder: Path, figures: pd.DataFrame) -> list[str]:
    """Write all credits into `CREDITS`; return the card's lines, with the first of them."""
    credit = cards.credits_of(figures, figures["figure_id"])
    every = ["# Credits", "", *cards.credit_lines(credit)]
    write_text(folder / CREDITS, "\n".join(every))
    known = credit["name"].fillna("not known").value_counts().items()
    lines = ["Licences by their SPDX names:", "", *cards.table(["licence", "figures"], known), ""]
    lines += [
        f"Credits of the first {min(len(credit), _LISTED)} figures; all {len(credit):,} are in "
    ]
    lines[-1] += f"[{CREDITS}]({CREDITS})."
    return [*lines, "", *cards.credit_lines(credit.head(_LISTED))]


def _contamination(figures: pd.DataFrame, shared: Shared) -> list[str]:
    """Which splits the figures are of, and what is shared with benchmarks."""
    lines = []
    if "split" in figures:
        counts = figures["split"].value_counts()
        named = ", ".join(f"{n:,} of the {split} split" for split, n in counts.items())
        lines += [f"Figures: {named}. A split keeps all figures of an article together.", ""]
    images, questions, texts = shared
    if not images.benchmarks:
        return [*lines, "Not compared with a benchmark."]
    groups = figures["group_id"] if "group_id" in figures else pd.Series(dtype=object)
    articles = groups[groups.isin(questions["group_id"])].nunique()
    lines += [
        f"{cards.as_text(images)}. Figures that show one, also re-encoded, resized, bordered or "
        "slightly cropped, are held back; mirrored, turned and strongly cropped copies are not "
        f"found. {articles:,} articles of the exported figures are in a benchmark too. "
        f"{texts['conversation_id'].nunique():,} conversations contain a question and answer of "
        "a benchmark, or nearly; short ones can be equal by chance.",
        "",
    ]
    if len(texts):
        columns = ["conversation_id", "benchmark", "question_id", "item", "reason"]
        header = ["conversation", "benchmark", "question", "text", "found"]
        lines += [f"The first {min(len(texts), _LISTED)} of {len(texts):,}:", ""]
        lines += cards.table(header, texts[columns].head(_LISTED).values.tolist())
    return lines

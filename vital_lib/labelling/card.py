"""Opens one annotator's work on a run: what a page's kernel does, and all it does.

Who the annotator is, the kernel is told by the service that started it, never by the page. This
module knows nothing of links and servers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vital_lib import figures, labels
from vital_lib.annotators import votes_of
from vital_lib.tables import Workspace

if TYPE_CHECKING:
    import ipywidgets
    import pandas as pd

    from vital_lib.panels import PreferenceCard

ANNOTATOR = "VITAL_ANNOTATOR"
"""Environment variable of a page's kernel: the annotator to whom the page's link was given."""

CARD = "VITAL_CARD"
"""Environment variable of a page's kernel: JSON of the other arguments of `open_page`."""


def open_card(
    run: str | Path,
    annotator: str,
    *,
    label_log: str | None = None,
    wanted: int | None = None,
    strategy: str = "random",
    seed: int = 0,
    flagged: bool = False,
) -> PreferenceCard:
    """The preference card of `annotator` on the drafts of `run`, where she left off.

    Args:
        label_log: SQLAlchemy URL of the label log; without it the run's own.
        wanted: how many annotators each item is for; without it everyone.
        strategy: "random", "cluster" (of the sampled figures), or "uncertainty" (of the
            selector's scores).
        seed: of the queue's order and sides.
        flagged: whether pairs that are no choice by their flags are shown, too.

    Raises:
        MissingTable: the run has no figures or drafts yet, or none of what the strategy goes by;
            the message names the notebook.
        UnsupportedFormat: the run or its log was written by another release.
        ValueError: the strategy is unknown, or scores leave drafts out.
    """
    workspace = Workspace(run)
    queue, drafts, log = open_queue(
        workspace, annotator, label_log, wanted, strategy, seed, flagged
    )
    return _card(workspace, queue, drafts, log)


def open_queue(
    workspace: Workspace,
    annotator: str,
    label_log: str | None,
    wanted: int | None,
    strategy: str,
    seed: int,
    flagged: bool = False,
) -> tuple[labels.Queue, pd.DataFrame, labels.LabelLog]:
    """What `open_card` takes items from, the drafts, and the log; nothing is claimed yet.

    Raises:
        MissingTable, UnsupportedFormat, ValueError: as `open_card`.
    """
    drafts, log = _drafts(workspace, label_log)
    if strategy == "cluster":
        sampled = workspace.read("figures_sampled").drop_duplicates("figure_id")
        drafts = drafts.merge(sampled[["figure_id", "cluster"]], how="left")
    if strategy == "uncertainty":
        scores = workspace.read("scores")[["candidate_id", "uncertainty"]]
        drafts = drafts.merge(scores, how="left")
    settings = {"wanted": wanted, "strategy": strategy, "seed": seed, "flagged": flagged}
    queue = labels.Queue(log, drafts, annotator, **settings)
    return queue, drafts, log


def open_calibration(
    run: str | Path,
    annotator: str,
    *,
    label_log: str | None = None,
    n: int = 10,
    seed: int = 0,
    then: Callable[[], None] | None = None,
) -> PreferenceCard | None:
    """The calibration round of `annotator`: up to `n` items on which other people agreed.

    None where there is nothing to calibrate on or nothing left of it, and once she has voted: the
    round comes before labelling.

    Args:
        label_log, seed: as for `open_card`.
        then: called when she goes on from the round's end.

    Raises:
        MissingTable, UnsupportedFormat: as `open_card`.
    """
    workspace = Workspace(run)
    drafts, log = _drafts(workspace, label_log)
    votes = votes_of(log.preferences(), "people")  # no reference for a person are programs
    votes = votes[votes["item_id"].isin(drafts["instruction_id"])]
    if (votes["annotator"] == annotator).any():
        return None
    done = log.standing(annotator, arms=["calibration"])["item_id"]
    rows = labels.calibration_rows(votes, drafts, annotator, n, seed, calibrated=done)
    if rows["item_id"].isin(done).all():
        return None
    said = votes_of(log.history(), "people")
    reference = labels.calibration_reference(votes, said, annotator)
    queue = labels.FixedQueue(rows, annotator, log)
    return _card(workspace, queue, drafts, log, reference=reference, then=then)


def open_page(
    run: str | Path,
    annotator: str,
    *,
    calibrate: int = 10,
    label_log: str | None = None,
    seed: int = 0,
    **given: Any,
) -> ipywidgets.VBox:
    """All that `annotator` sees: the calibration round first, where there is one, then the card.

    Args:
        calibrate: at most so many items in the round; 0 for none.
        label_log, seed, given: the other arguments of `open_card`.

    Raises:
        MissingTable, UnsupportedFormat, ValueError: as `open_card`.
    """
    import ipywidgets

    page, shared = ipywidgets.VBox(), {"label_log": label_log, "seed": seed}

    def label() -> None:
        before = page.children
        page.children = [open_card(run, annotator, **shared, **given).widget]
        for widget in before:
            widget.close()

    first = calibrate and open_calibration(run, annotator, n=calibrate, then=label, **shared)
    if first:
        page.children = [first.widget]
    else:
        label()
    return page


def card_for_link(environment: Mapping[str, str] = os.environ) -> Any:
    """The widget to show on the page of a link: `card.ipynb` calls it and nothing else.

    Raises:
        RuntimeError: the kernel was not started by the labelling service.
    """
    if ANNOTATOR not in environment:
        raise RuntimeError(
            "card.ipynb is opened by a link of `make label`; in JupyterLab, label in "
            "notebooks/03_label_preferences.ipynb"
        )
    return open_page(annotator=environment[ANNOTATOR], **json.loads(environment[CARD]))


def _drafts(workspace: Workspace, label_log: str | None) -> tuple[pd.DataFrame, labels.LabelLog]:
    return workspace.read("drafts"), labels.LabelLog(label_log or workspace.label_url)


def _card(
    workspace: Workspace, queue: Any, drafts: pd.DataFrame, log: labels.LabelLog, **more: Any
) -> PreferenceCard:
    from vital_lib.panels import PreferenceCard

    frame = workspace.read("figures")
    image_of = figures.image_opener(frame, workspace.resolve)
    guideline = labels.guideline()
    return PreferenceCard(queue, drafts, frame, image_of, log, guideline=guideline, **more)

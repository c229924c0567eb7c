"""The page of one annotator on a run, as opened by the page's kernel.

The service that starts the kernel gives it the annotator's name; the page cannot. This module does
not depend on links or the server.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vital_lib import figures, labels
from vital_lib.annotators import votes_of
from vital_lib.tables import Workspace

LOG = logging.getLogger(__name__)

if TYPE_CHECKING:
    import ipywidgets
    import pandas as pd

    from vital_lib.panels import PreferenceCard

ANNOTATOR = "VITAL_ANNOTATOR"
"""Environment variable of a page's kernel: the annotator who owns the page's link."""

CARD = "VITAL_CARD"
"""Environment variable of a page's kernel: JSON of the other arguments of `open_page`."""


def open_card(run: str | Path, annotator: str, **given: Any) -> PreferenceCard:
    """Open the preference card of `annotator` on the drafts of `run`, where they left off.

    `given` and errors as in `open_queue`.
    """
    workspace = Workspace(run)
    return _card(workspace, *open_queue(workspace, annotator, **given))


def open_queue(
    workspace: Workspace,
    annotator: str,
    *,
    label_log: str | None = None,
    wanted: int | None = None,
    strategy: str = "random",
    seed: int = 0,
    flagged: bool = False,
) -> tuple[labels.Queue, pd.DataFrame, labels.LabelLog]:
    """Return the queue of `annotator`, the drafts and the log; no item is leased yet.

    Args:
        label_log: SQLAlchemy URL of the label log; default: the run's own.
        wanted: number of annotators per item; default: everyone.
        strategy: "random", "cluster" (of the sampled figures), or "uncertainty" (of the
            selector's scores).
        seed: seed of the queue's order and sides.
        flagged: whether to show the pairs that are otherwise left out for their flags.

    Raises:
        MissingTable: the run has no figures or drafts yet, or no table for the strategy; the
            message names the notebook that makes it.
        UnsupportedFormat: the run or its log was written by another release.
        ValueError: the strategy is unknown, or some drafts have no score.
    """
    drafts, log = _drafts(workspace, label_log)
    if strategy == "cluster":
        sampled = workspace.read("figures_sampled").drop_duplicates("figure_id")
        drafts = drafts.merge(sampled[["figure_id", "cluster"]], how="left")
    if strategy == "uncertainty":
        scores = workspace.read("scores")[["candidate_id", "uncertainty"]]
        drafts = drafts.merge(scores, how="left")
    queue = labels.Queue(
        log, drafts, annotator, wanted=wanted, strategy=strategy, seed=seed, flagged=flagged
    )
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
    """Open the calibration round of `annotator`: up to `n` items on which other people agreed.

    Return None if there are no such items, if the round is finished, or if the annotator has
    already voted, because the round comes before labelling.

    Args:
        label_log, seed: as for `open_card`.
        then: called when the annotator continues from the end of the round.

    Raises:
        MissingTable, UnsupportedFormat: as for `open_card`.
    """
    workspace = Workspace(run)
    drafts, log = _drafts(workspace, label_log)
    votes = votes_of(log.preferences(), "people")  # simulated votes are no reference for people
    votes = votes[votes["item_id"].isin(drafts["instruction_id"])]
    if (votes["annotator"] == annotator).any():
        return None
    done = log.standing(annotator, arms=["calibration"])["item_id"]
    rows = labels.calibration_rows(votes, drafts, annotator, n, seed, calibrated=done)
    if rows["item_id"].isin(done).all():
        return None
    known = partial(labels.calibration_now, log, "people", annotator, set(rows["item_id"]))
    queue = labels.FixedQueue(rows, annotator, log)
    return _card(workspace, queue, drafts, log, reference=known, then=then)


def open_page(
    run: str | Path,
    annotator: str,
    *,
    calibrate: int = 10,
    label_log: str | None = None,
    seed: int = 0,
    **given: Any,
) -> ipywidgets.VBox:
    """Open the page of `annotator`: first the calibration round, if there is one, then the card.

    Args:
        calibrate: largest number of items in the round; 0 for no round.
        label_log, seed, given: the other arguments of `open_card`.

    Raises:
        MissingTable, UnsupportedFormat, ValueError: as for `open_card`.
    """
    import ipywidgets

    page = ipywidgets.VBox()
    shared: dict[str, Any] = {"label_log": label_log, "seed": seed}

    def label() -> None:
        before = page.children
        page.children = [open_card(run, annotator, **shared, **given).widget]
        for widget in before:
            widget.close()

    first = None
    if calibrate:
        first = open_calibration(run, annotator, n=calibrate, then=label, **shared)
    if first:
        page.children = [first.widget]
    else:
        label()
    return page


def card_for_link(environment: Mapping[str, str] = os.environ) -> Any:
    """Return the widget for the page of a link, as called by `card.ipynb`.

    Raises:
        RuntimeError: the kernel was not started by the labelling service.
    """
    if ANNOTATOR not in environment:
        raise RuntimeError(
            "card.ipynb only opens from a link of `make label`; to label in JupyterLab, use "
            "notebooks/03_label_preferences.ipynb"
        )
    return open_page(annotator=environment[ANNOTATOR], **json.loads(environment[CARD]))


def _drafts(workspace: Workspace, label_log: str | None) -> tuple[pd.DataFrame, labels.LabelLog]:
    """Return the drafts about cleared figures, since the page is served to others; and the log."""
    drafts, shown = workspace.read("drafts"), workspace.read("figures")
    if told := figures.held_back_in_words(shown):
        LOG.warning("%s", told)
    shown = shown[figures.is_cleared(shown)]
    drafts = drafts[drafts["figure_id"].isin(shown["figure_id"])].reset_index(drop=True)
    return drafts, labels.LabelLog(label_log or workspace.label_url)


def _card(
    workspace: Workspace, queue: Any, drafts: pd.DataFrame, log: labels.LabelLog, **more: Any
) -> PreferenceCard:
    from vital_lib.panels import PreferenceCard

    frame = workspace.read("figures")
    frame = frame[figures.is_cleared(frame)]
    image_of = figures.cleared_opener(frame)
    read = labels.guideline()
    return PreferenceCard(
        queue, drafts, frame, image_of, log, guideline=read, guideline_first=True, **more
    )

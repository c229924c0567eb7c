"""Opens one annotator's preference card on a run: what a page's kernel does, and all it does.

Who the annotator is, the kernel is told by the service that started it, never by the page. This
module knows nothing of links and servers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vital_lib import figures, labels
from vital_lib.tables import Workspace

if TYPE_CHECKING:
    from vital_lib.panels import PreferenceCard

ANNOTATOR = "VITAL_ANNOTATOR"
"""Environment variable of a page's kernel: the annotator to whom the page's link was given."""

CARD = "VITAL_CARD"
"""Environment variable of a page's kernel: JSON of the other arguments of `open_card`."""


def open_card(
    run: str | Path,
    annotator: str,
    *,
    label_log: str | None = None,
    wanted: int | None = None,
    seed: int = 0,
) -> PreferenceCard:
    """The preference card of `annotator` on the drafts of `run`, where she left off.

    Args:
        label_log: SQLAlchemy URL of the label log; without it the run's own.
        wanted: how many annotators each item is for; without it everyone.
        seed: of the queue's order and sides.

    Raises:
        MissingTable: the run has no figures or drafts yet; the message names the notebook.
        OtherFormat: the run or its log was written by another release.
    """
    from vital_lib.labels.calibration import guideline
    from vital_lib.panels import PreferenceCard

    workspace = Workspace(run)
    frame, drafts = workspace.read("figures"), workspace.read("drafts")
    log = labels.LabelLog(label_log or workspace.label_url)
    return PreferenceCard(
        labels.Queue(log, drafts, annotator, wanted=wanted, seed=seed),
        drafts,
        frame,
        figures.image_opener(frame, workspace.resolve),
        log,
        guideline=guideline(),
    )


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
    given = json.loads(environment[CARD])
    return open_card(annotator=environment[ANNOTATOR], **given).widget

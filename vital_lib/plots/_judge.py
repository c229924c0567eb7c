"""Bar chart of the errors that a judge notices: how often a corrupted answer is rated lower."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vital_lib.annotators import votes_behind, who
from vital_lib.plots._canvas import BLUE, ORANGE, bars, below, canvas, styled, value_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ERRORS = {
    "judge.probe_drop_rate_modality": ("wrong modality", BLUE),
    "judge.probe_drop_rate_negation": ("flipped negation", BLUE),
    "judge.probe_drop_rate_count": ("wrong count", BLUE),
    "judge.probe_drop_rate_side": ("wrong side", BLUE),
    "judge.blank_drop_rate": ("blanked image", ORANGE),
}


@styled
def judge_probes(metrics: Mapping[str, float]) -> Figure:
    """Draw the share of accepted answers that are rated lower with one error put in.

    The dashed line is the share of unchanged answers that are rated lower when they are rated
    again. The bars of a judge that notices no errors end there.
    """
    rows = sum(name in metrics for name in _ERRORS)
    control = 100 * value_of(metrics, "judge.probe_drop_rate_control")
    line = None if control != control else (control, "unchanged answer rated again")
    votes = votes_behind(metrics, "judge.probe_drop_rate_control")
    note = f"\nof those accepted by {who(votes)}{below(votes)}"
    figure, axes = canvas(7.6, 1.6 + 0.38 * rows + 0.22 * bool(line))
    title, label = "Errors that the judge notices", "answers rated lower"
    bars(axes, metrics, _ERRORS, title, label, note=note, line=line)
    return figure

"""What the judge notices, drawn as bars: how often its rating falls when an answer is spoilt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vital_lib.annotators import votes_behind, who
from vital_lib.plots._canvas import BLUE, ORANGE, bars, below, canvas, styled, value_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SPOILT = {
    "judge.probe_drop_rate_modality": ("kind of image turned wrong", BLUE),
    "judge.probe_drop_rate_negation": ("negation turned", BLUE),
    "judge.probe_drop_rate_count": ("number turned wrong", BLUE),
    "judge.probe_drop_rate_side": ("side turned wrong", BLUE),
    "judge.blank_drop_rate": ("image blanked", ORANGE),
}


@styled
def judge_probes(metrics: Mapping[str, float]) -> Figure:
    """Share of accepted answers whose rating falls when one thing in them is turned wrong.

    The dashed line is the share that falls when the same answer is rated again: a judge that
    notices nothing stays there.
    """
    rows = sum(name in metrics for name in _SPOILT)
    control = 100 * value_of(metrics, "judge.probe_drop_rate_control")
    line = None if control != control else (control, "untouched, rated again")
    votes = votes_behind(metrics, "judge.probe_drop_rate_control")
    note = f"\nof answers accepted by {who(votes)}{below(votes)}"
    figure, axes = canvas(7.6, 1.6 + 0.38 * rows + 0.22 * bool(line))
    bars(
        axes, metrics, _SPOILT, "What the judge notices", "ratings that fall", note=note, line=line
    )
    return figure

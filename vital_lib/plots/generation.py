"""Plot of the accepted share of each arm of generation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vital_lib.annotators import votes_behind, who
from vital_lib.plots._canvas import BLUE, ORANGE, PALE, bar_figure, below, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def accepted_share_by_arm(metrics: Mapping[str, float]) -> Figure:
    """Share of candidates that annotators accept, by the demonstrations in the request."""
    named = {
        "candidates.accepted_share_none": ("no demonstrations", PALE),
        "candidates.accepted_share_random": ("random demonstrations", ORANGE),
        "candidates.accepted_share_clinician": ("accepted demonstrations", BLUE),
    }
    title = "Accepted candidates, by demonstrations shown"
    votes = votes_behind(metrics, "candidates.accepted_share_none")
    return bar_figure(metrics, named, title, f"accepted by {who(votes)}", note=below(votes))

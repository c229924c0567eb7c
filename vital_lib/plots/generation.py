"""Plot of the accepted share of each arm of generation."""

from __future__ import annotations

from collections.abc import Mapping

from vital_lib.plots._canvas import styled
from vital_lib.plots._colours import BLUE, ORANGE, PALE
from vital_lib.plots._rows import accepted_bars
from vital_lib.plots._types import Figure
from vital_lib.tables import ARMS


@styled
def accepted_share_by_arm(metrics: Mapping[str, float]) -> Figure:
    """Share of candidates that annotators accept, by the demonstrations in the request."""
    colours = {"none": PALE, "random": ORANGE, "clinician": BLUE}
    named = {
        f"candidates.accepted_share_{arm}": (words, colours[arm]) for arm, words in ARMS.items()
    }
    return accepted_bars(metrics, named, "Accepted candidates, by demonstrations shown")

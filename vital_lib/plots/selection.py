"""Plot of the accepted share of the selected set and its controls."""

from __future__ import annotations

from collections.abc import Mapping

from vital_lib.plots._canvas import styled
from vital_lib.plots._colours import BLUE, GREY, ORANGE, PALE
from vital_lib.plots._rows import accepted_bars
from vital_lib.plots._types import Figure


@styled
def selection_bars(metrics: Mapping[str, float]) -> Figure:
    """Accepted share of the selected sets, by selection method."""
    named = {
        "selection.accepted_share_random": ("random", ORANGE),
        "selection.accepted_share_length": ("longest", PALE),
        "selection.accepted_share_similarity": ("highest image-answer similarity", PALE),
        "selection.accepted_share_cluster_typical": ("most typical of the cluster", PALE),
        "selection.accepted_share_judge_top": ("highest judge rating", GREY),
        "selection.accepted_share_judge_mean_of_5_top": (
            "highest mean of five judge ratings",
            GREY,
        ),
        "selection.accepted_share_selected": ("highest selector score", BLUE),
    }
    return accepted_bars(metrics, named, "Sets of equal size, by selection method")

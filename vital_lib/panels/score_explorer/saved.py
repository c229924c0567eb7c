"""The static form of the score explorer: its histogram as a picture, and the cut in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from markupsafe import Markup

from vital_lib.panels._static import Form, note, paragraph, plot, table
from vital_lib.panels.score_explorer.items import Facet
from vital_lib.plots import score_histogram
from vital_lib.tables import decimals

_GROUPS = 7  # drawn; the smaller ones are left out


def saved_form(
    state: dict[str, Any],
    scores: np.ndarray,
    facet: Facet,
    shown: np.ndarray,
    picture: Callable[[str], Markup],
) -> Form:
    """Return the static form.

    Args:
        state: of the panel.
        scores: (n,) of all rows, with the groups of `facet`.
        shown: (n,) whether a row is in the set shown.
        picture: figure_id -> its image.
    """
    cut, words = state["cut"], {name: label for name, label, *_ in state["sets"]}
    summary = f"Scores of {int(shown.sum()):,} candidates: {words[state['set']]}"
    summary += f"; {_kept(cut)}" if cut else ""
    drawn = score_histogram(
        _groups(scores[shown], facet, facet.codes[shown]),
        cut=cut["line"] if cut and cut["within"] == "none" and state["set"] == "pool" else None,
    )
    grouped = f"By {facet.label}{state['note'] if facet.label == 'votes' else ''}"
    names = len(np.unique(facet.codes[shown]))
    grouped += f"; the {_GROUPS} largest of {names} groups" if names > _GROUPS else ""
    parts = [plot(drawn, summary), note(grouped)]
    for name in ("inside", "outside") if cut else ():
        parts.append(_cases(f"Just {name} the cut", cut[name][:2], picture))
    return Form(summary, parts)


def _kept(cut: dict[str, Any]) -> str:
    within = "" if cut["within"] == "none" else f", the same share within each {cut['within']}"
    return f"the cut keeps {100 * cut['share']:.0f} %: {cut['kept']:,} of {cut['of']:,}{within}"


def _groups(
    scores: np.ndarray, facet: Facet, codes: np.ndarray
) -> dict[str, tuple[str, np.ndarray]]:
    """Return the scores of the largest groups by label, each with its colour."""
    largest = np.argsort(-np.bincount(codes, minlength=len(facet.names)), kind="stable")[:_GROUPS]
    groups = {place: scores[codes == place] for place in sorted(largest)}
    return {
        facet.names[place]: (facet.colours[place], own) for place, own in groups.items() if len(own)
    }


def _cases(title: str, cases: list[dict[str, Any]], picture: Callable[[str], Markup]) -> Markup:
    rows = [
        [picture(case["figure"]), decimals(case["score"], 2), case["instruction"], case["response"]]
        for case in cases
    ]
    return paragraph(title, table(["figure", "score", "instruction", "response"], rows))

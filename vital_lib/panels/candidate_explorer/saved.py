"""The static form of the explorer: its first rows, the filters with their counts, one detail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from markupsafe import Markup

from vital_lib.panels._static import Form, joined, paragraph, side_by_side, table

_ROWS = 5
_VALUES = 8  # of one filter
_COLUMNS = {
    "arm": "arm",
    "instruction": "instruction",
    "response": "response",
    "rating": "rating",
    "accepted": "accepted",
    "score": "score",
    "flags": "flags",
}


def saved_form(state: dict[str, Any], picture: Callable[[str], Markup]) -> Form:
    """Return the static form of the explorer's `state`; `picture` draws a figure by its id."""
    rows = state["rows"][:_ROWS]
    summary = (
        f"Candidate explorer: {len(rows)} of {state['of']:,} listed candidates shown, of "
        f"{state['all']:,} in all"
    )
    summary += f"; {state['note']}" if state["note"] else ""
    lines = [[row[name] for name in _COLUMNS] for row in rows]
    parts = [table(list(_COLUMNS.values()), lines), _filters(state["facets"])]
    if state["shown"]:
        parts.insert(1, _detail(state["shown"], picture))
    return Form(summary, parts)


def _filters(facets: list[dict[str, Any]]) -> Markup:
    lines = []
    for facet in facets:
        values = [f"{label}: {count:,}" for _, label, count, _ in facet["values"] if count]
        if not values:
            continue
        more = [f"{len(values) - _VALUES} more"] if len(values) > _VALUES else []
        lines.append([facet["title"], " · ".join([*values[:_VALUES], *more])])
    return table(["filter", "listed candidates by value"], lines)


def _detail(shown: dict[str, Any], picture: Callable[[str], Markup]) -> Markup:
    facts = " · ".join(f"{name}: {value}" for name, value in shown["facts"])
    parts = [paragraph(shown["id"], facts), paragraph("Caption", _whole(shown["caption"]))]
    for number in shown["rounds"]:
        for response in (own for own in number["responses"] if own["shown"]):
            parts.append(paragraph(number["instruction"], _whole(response["text"])))
    if shown["flags"]:
        parts.append(paragraph("Flags", ", ".join(shown["flags"])))
    if shown["ticks"]:
        ticks = [f"{'✓' if accepted else '✗'} {by}" for by, accepted in shown["ticks"]]
        parts.append(paragraph("Judged by", ", ".join(ticks)))
    for line in shown["ratings"]["lines"][:1] if shown["ratings"] else ():
        parts.append(paragraph(f"Judge {line['judge']}: {line['overall']} of 10", line["reason"]))
    if shown["score"]:
        score = shown["score"]
        place = f"{score['score']}; {score['lower']:,} of {score['of']:,} score lower"
        parts.append(paragraph("Score", place))
    return side_by_side(picture(shown["figure"]), joined(*parts))


def _whole(pieces: list[tuple[str, bool]]) -> str:
    """Return a text that comes in pieces, some of them marked."""
    return "".join(piece for piece, _ in pieces)

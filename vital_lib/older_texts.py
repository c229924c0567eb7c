"""Finds texts that were written about a figure before parts of it were removed.

A model that saw the whole figure may have repeated what was then removed. So such a figure is not
cleared while a table of the run holds such a text. The ledger says what a model saw.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from vital_lib.client import Ledger
from vital_lib.figures import UnreadableImage, is_cleared, open_figure
from vital_lib.privacy import has_removed_parts
from vital_lib.prompts import figure_text
from vital_lib.tables import Workspace

_WRITTEN, _TAKEN = ("drafts", "candidates"), ("demonstrations", "selected")
Round = tuple[str, str]


def hold_older_texts(figures: pd.DataFrame, workspace: Workspace) -> pd.DataFrame:
    """Return table `figures`; one with removed parts is not cleared while older texts are there.

    Args:
        figures: table `figures` with the decisions (`privacy.with_decisions`).
        workspace: the run, whose drafts, candidates, demonstrations and selected conversations are
            looked through. A text counts as older unless its request in the ledger shows the
            figure as it is now.
    """
    rows = figures[is_cleared(figures)].to_dict("records")
    changed = {row["figure_id"]: row for row in rows if has_removed_parts(row)}
    tables = {name: _of(workspace, name, changed) for name in (*_WRITTEN, *_TAKEN)}
    if not changed or all(table.empty for table in tables.values()):
        return figures
    ledger = Ledger(workspace.ledger)
    older = {name: _older(row, tables, ledger) for name, row in changed.items()}
    reasons = {
        name: "parts of it were removed, but older texts about it are in "
        f"{' and '.join(found)}: run the notebooks that write these again, then 01"
        for name, found in older.items()
        if found
    }
    if not reasons:
        return figures
    held = figures["figure_id"].map(reasons)
    made = figures.assign(
        cleared=figures["cleared"].astype(object).where(held.isna(), None),
        cleared_reason=figures["cleared_reason"].where(held.isna(), held),
    )
    made.attrs = figures.attrs
    return made


def _of(workspace: Workspace, name: str, figures: Mapping[str, Any]) -> pd.DataFrame:
    """Return the rows of a table that are about `figures`; none before it is written."""
    if not figures or not workspace.has(name):
        return pd.DataFrame(columns=["figure_id"])
    rows = workspace.read(name)
    return rows[rows["figure_id"].isin(list(figures))]


def _older(row: Mapping[str, Any], tables: Mapping[str, pd.DataFrame], ledger: Ledger) -> list[str]:
    """Return the tables that hold a text written from another form of the figure."""
    own = {name: table[table["figure_id"] == row["figure_id"]] for name, table in tables.items()}
    known: set[Round] = set()
    found = []
    for name in _WRITTEN:
        new = [_shows(row, reply, ledger) for reply in own[name].get("reply_id", ())]
        found += [] if all(new) else [name]
        texts = own[name][new] if len(new) else own[name]
        known |= {(one["instruction"], one["response"]) for one in texts.to_dict("records")}
    for name in _TAKEN:
        taken = own[name].to_dict("records")
        found += [] if all(_is_new(one, row, known) for one in taken) else [name]
    return found


def _shows(row: Mapping[str, Any], reply_id: str, ledger: Ledger) -> bool:
    """Return whether the request of a reply shows the figure's image and texts as they are now."""
    try:
        parts = list(_parts(ledger.trace(reply_id)["messages"]))
        image = open_figure(row).shown_as
    except (KeyError, UnreadableImage):
        return False
    texts = [part for part in parts if isinstance(part, str)]
    images = [part.get("image") for part in parts if isinstance(part, Mapping)]
    return image in images and any(figure_text(row) in text for text in texts)


def _parts(messages: list[dict[str, Any]]) -> Iterator[Any]:
    for message in messages:
        content = message.get("content")
        yield from content if isinstance(content, list) else [content]


def _is_new(taken: Mapping[str, Any], row: Mapping[str, Any], known: set[Round]) -> bool:
    """Return whether a conversation has only known rounds, and the figure's texts of now."""
    rounds = {(turn["instruction"], turn["response"]) for turn in taken["turns"]}
    said = [taken.get("caption", row["caption"]), *taken.get("mentions", row["mentions"])]
    return rounds <= known and said == [row["caption"], *row["mentions"]]

"""The candidates of one figure in columns, one per conversation, aligned by their questions."""

from __future__ import annotations

from typing import Any

import pandas as pd

from vital_lib.english import counted
from vital_lib.panels._panel import listed, plain
from vital_lib.tables import ARMS, flags_in_words


def aligned(rows: pd.DataFrame) -> dict[str, Any]:
    """Return `rows` as columns and lines: drafts first, then by arm and prompt version.

    The rounds of a conversation stand in the line of the same question (its words, whatever their
    case); if no line has it, in a line with a question of the same type; otherwise in a new line.

    Returns:
        columns (lists of arm and how it was written) and lines (dicts of `same`, whether all
        questions of the line are the same, and `cells`, one per column: instruction, type, flags
        and responses, or null).

    Args:
        rows: candidates of one figure; columns of table `candidates`.
    """
    groups = [group for _, group in rows.groupby("conversation_id", sort=False)]
    groups.sort(key=_rank)
    lines: list[list[dict[str, Any] | None]] = []
    for place, group in enumerate(groups):
        rounds = [_cell(own) for _, own in group.groupby("round")]
        for match in (_question, _kind, None):
            rounds = [cell for cell in rounds if not _put(cell, place, lines, match)]
    cells = [[*line, *[None] * (len(groups) - len(line))] for line in lines]
    return {"columns": [_about(group) for group in groups], "lines": [_line(own) for own in cells]}


def _put(cell: dict[str, Any], place: int, lines: list, match: Any) -> bool:
    """Put `cell` into column `place` of the first line that matches, or (no `match`) a new one."""
    for line in lines if match else ():
        line.extend([None] * (place + 1 - len(line)))
        if line[place] is None and match(cell) in {match(other) for other in line if other}:
            line[place] = cell
            return True
    if match is None:
        lines.append([*[None] * place, cell])
    return match is None


def _question(cell: dict[str, Any]) -> str:
    return " ".join(cell["instruction"].casefold().split())


def _kind(cell: dict[str, Any]) -> str | tuple:
    return cell["type"] or (id(cell),)  # a question without a type is like no other


def _line(cells: list[dict[str, Any] | None]) -> dict[str, Any]:
    questions = {_question(cell) for cell in cells if cell}
    return {"same": len(questions) == 1 and sum(map(bool, cells)) > 1, "cells": cells}


def _rank(group: pd.DataFrame) -> tuple[bool, int, str]:
    first, arms = group.iloc[0], list(ARMS)
    arm = plain(first["arm"])
    order = arms.index(arm) if arm in arms else len(arms)
    return plain(first["stage"]) != "draft", order, plain(first["prompt_version"])


def _about(group: pd.DataFrame) -> list[str]:
    first = group.iloc[0]
    shown = counted(len(listed(first["demonstration_ids"])), "demonstration")
    parts = [first["stage"], first["generator"], f"prompt {plain(first['prompt_version'])[:6]}"]
    arm = plain(first["arm"])
    return [ARMS.get(arm, arm), " · ".join([*map(plain, parts), f"{shown} shown"])]


def _cell(own: pd.DataFrame) -> dict[str, Any]:
    flags = {plain(flag) for flags in own["flags"] for flag in listed(flags)}
    return {
        "instruction": plain(own["instruction"].iloc[0]),
        "type": plain(own["question_type"].iloc[0]),
        "responses": [plain(response) for response in own["response"]],
        "flags": flags_in_words(flags),
    }

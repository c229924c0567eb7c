"""Pairs the candidates of two prompts or arms for blind comparison.

The pairs are items for `labels.Queue` and the preference card, where an annotator accepts or
rejects each side. A key, hidden from the card, maps each side to its prompt or arm. This module has
no user interface or models; `labels.compare_arms` counts the preferences.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import pandas as pd

from vital_lib.generation.hollow import hollow_flags

ITEM_COLUMNS = ("figure_id", "instruction_id", "candidate_id", "instruction", "response", "flags")
"""Columns of the items: those of the table drafts that a queue and a card need. The flags are from
`HOLLOW`; said_twice marks a pair with the same instruction and response on both sides."""

KEY_COLUMNS = ("candidate_id", "instruction_id", "figure_id", "group_id", "side", "original_id")
"""Columns of the key: side is a or b, original_id is the source candidate."""

BOTH_QUESTIONS = "Each side is a question about this figure, and its answer."
"""The instruction of a pair with two different instructions; each is shown above its response."""


def paired_drafts(
    candidates_a: pd.DataFrame, candidates_b: pd.DataFrame, *, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pair the candidates of two prompts or arms by figure and round.

    Ids are hashes of the compared texts, and the order within a pair is random. Neither reveals
    which side is a, and labels of two comparisons never mix. Of an instruction with two responses
    (a draft) the first is used. A round that only one side has is left out; if one side has no
    candidates, the result is empty.

    Args:
        candidates_a, candidates_b: rows of the tables candidates or drafts.
        seed: seed of the ids and the order.

    Returns:
        (items with `ITEM_COLUMNS`, two rows per pair, for ``labels.Queue``, ``PreferenceCard`` and
        ``Clinicians.label``; key with `KEY_COLUMNS`, one row per item row).

    Raises:
        ValueError: both sides have candidates, but none for the same figure and round.
    """
    sides = {"a": _by_place(candidates_a), "b": _by_place(candidates_b)}
    shared = [place for place in sides["a"] if place in sides["b"]]
    if not shared and all(sides.values()):
        raise ValueError(
            f"{len(candidates_a)} and {len(candidates_b)} candidates share no figure and round: "
            "write both about the same figures"
        )
    items, key, originals = [], [], []
    for place in shared:
        pair = {side: rows[place] for side, rows in sides.items()}
        texts = [(row["candidate_id"], row["response"]) for row in pair.values()]
        item_id = f"pair-{_hash(seed, *place, *texts)}"
        same = pair["a"]["instruction"] == pair["b"]["instruction"]
        for side in sorted(pair, key=lambda side: _hash(seed, item_id, side)):
            row, candidate_id = pair[side], f"{item_id}-{_hash(seed, item_id, side)}"
            instruction, response = row["instruction"], row["response"]
            originals.append(
                (item_id if same else candidate_id, candidate_id, instruction, response)
            )
            if not same:
                response = f"Question: {instruction}\n\nAnswer: {response}"
                instruction = BOTH_QUESTIONS
            items.append((row["figure_id"], item_id, candidate_id, instruction, response))
            about = row["figure_id"], row["group_id"]
            key.append((candidate_id, item_id, *about, side, row["candidate_id"]))
    names = ["instruction_id", "conversation_id", "instruction", "response"]
    original = pd.DataFrame(originals, columns=names)  # without "Question:" and "Answer:"
    return (
        pd.DataFrame(items, columns=list(ITEM_COLUMNS[:-1])).assign(flags=hollow_flags(original)),
        pd.DataFrame(key, columns=list(KEY_COLUMNS)),
    )


def arm_to_select(candidates: pd.DataFrame) -> str:
    """Return the arm whose candidates are rated and selected: "clinician", or "none" without it.

    A run without accepted demonstrations has only the arm "none".

    Args:
        candidates: column arm.
    """
    return "clinician" if (candidates["arm"] == "clinician").any() else "none"


def _by_place(candidates: pd.DataFrame) -> dict[tuple[str, int], Mapping[str, Any]]:
    """Return the first candidate of each (figure_id, round)."""
    first = candidates.sort_values("candidate_id").drop_duplicates(["figure_id", "round"])
    rows = first.sort_values(["figure_id", "round"]).to_dict("records")
    return {(row["figure_id"], row["round"]): row for row in rows}


def _hash(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]

"""Pairs the candidates of two prompts or arms for blind comparison, and counts the preferences.

The pairs are items for `labels.Queue` and the preference card, where an annotator accepts or
rejects each side. A key, hidden from the card, maps each side to its prompt or arm. This module has
no user interface or models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import pandas as pd

from vital_lib.generation.hollow import hollow_flags
from vital_lib.statistics import difference_interval, mean_interval
from vital_lib.tables import refuse_strays

ITEM_COLUMNS = ("figure_id", "instruction_id", "candidate_id", "instruction", "response", "flags")
"""Columns of the items: those of the table drafts that a queue and a card need. The flags are from
`HOLLOW`; said_twice marks a pair with the same instruction and response on both sides."""

KEY_COLUMNS = ("candidate_id", "instruction_id", "figure_id", "side", "original_id")
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
            key.append((candidate_id, item_id, row["figure_id"], side, row["candidate_id"]))
    names = ["instruction_id", "conversation_id", "instruction", "response"]
    original = pd.DataFrame(originals, columns=names)  # without "Question:" and "Answer:"
    return (
        pd.DataFrame(items, columns=list(ITEM_COLUMNS[:-1])).assign(flags=hollow_flags(original)),
        pd.DataFrame(key, columns=list(KEY_COLUMNS)),
    )


def compare_arms(
    preferences: pd.DataFrame, key: pd.DataFrame, figures: pd.DataFrame, *, seed: int = 0
) -> dict[str, float]:
    """Compare sides a and b by the labels of the pairs of `paired_drafts`.

    A label is a win for the side that alone was accepted, and a tie if both or neither were.

    Args:
        preferences: columns of table `preferences`; items that are not in `key` and skips are
            left out.
        key: the key of `paired_drafts`.
        figures: columns figure_id, group_id.

    Returns:
        ``arms.a_win_rate``: (wins + half the ties) / labels; ``arms.a_minus_b_accepted``: the
        difference of the acceptance rates; both with 95 % intervals over articles. Counts:
        ``arms.a_wins``, ``arms.b_wins``, ``arms.ties``, ``arms.skips``, ``arms.pairs`` labelled.

    Raises:
        ValueError: no pair is labelled, or a labelled response is not in `key`.
    """
    own = preferences[preferences["item_id"].isin(key["instruction_id"])]
    judged = own.dropna(subset=["left_accepted", "right_accepted"])
    if judged.empty:
        raise ValueError(
            f"none of {len(preferences)} labels is for a pair in the key: give their key"
        )
    side_of = key.set_index("candidate_id")["side"]
    for side in ("left_id", "right_id"):  # labels may be older than the arms
        refuse_strays(judged, side, side_of.index, what="labels", to="pairs")
    left_is_a = (judged["left_id"].map(side_of) == "a").to_numpy()
    left, right = (judged[f"{side}_accepted"].to_numpy(float) for side in ("left", "right"))
    a, b = left.copy(), right.copy()
    a[~left_is_a], b[~left_is_a] = right[~left_is_a], left[~left_is_a]
    groups = _groups(judged["item_id"], key, figures)
    return {
        **mean_interval((1 + a - b) / 2, groups, seed=seed).metrics("arms.a_win_rate"),
        **difference_interval(a, b, groups, seed=seed).metrics("arms.a_minus_b_accepted"),
        "arms.a_wins": int((a > b).sum()),
        "arms.b_wins": int((a < b).sum()),
        "arms.ties": int((a == b).sum()),
        "arms.skips": len(own) - len(judged),
        "arms.pairs": int(judged["item_id"].nunique()),
    }


def ticks_of_pairs(preferences: pd.DataFrame, key: pd.DataFrame) -> pd.DataFrame:
    """Convert the labels of pairs to ticks and crosses of the original candidates.

    Args:
        preferences, key: as in `compare_arms`.

    Returns:
        Columns candidate_id, figure_id, annotator, accepted (True or False), as in
        ``Clinicians.ticks``. Skips and items that are not in `key` are left out.
    """
    sides = key.set_index("candidate_id")[["original_id", "figure_id"]]
    rows = [
        preferences[[f"{side}_id", "annotator", f"{side}_accepted"]].set_axis(
            ["candidate_id", "annotator", "accepted"], axis=1
        )
        for side in ("left", "right")
    ]
    marks = pd.concat(rows).dropna(subset="accepted").join(sides, on="candidate_id", how="inner")
    marks = marks.assign(candidate_id=marks["original_id"], accepted=marks["accepted"].astype(bool))
    return marks[["candidate_id", "figure_id", "annotator", "accepted"]].reset_index(drop=True)


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


def _groups(items: pd.Series, key: pd.DataFrame, figures: pd.DataFrame) -> list[str]:
    figure_of = dict(zip(key["instruction_id"], key["figure_id"], strict=True))
    group_of = dict(zip(figures["figure_id"], figures["group_id"], strict=True))
    return [group_of[figure_of[item]] for item in items]


def _hash(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]

"""Prompts and replies for tests of how replies are read. Knows nothing of what any test claims."""

from __future__ import annotations

import json
from typing import Any

from vital_lib.prompts import (
    RatingCriteria,
    chat_score_prompt,
    draft_prompt,
    generation_prompt,
    parse,
    rating_prompt,
    verdict_prompt,
)

FIGURE = {
    "caption": "CT of the head.",
    "mentions": ["A haematoma is seen (Fig. 2).", "It was evacuated."],
    "modalities": ["ct_scan"],
}
IMAGE = object()  # prompts only place images; what they are is client's to check
VERDICT = verdict_prompt("Which side?", IMAGE, "Left.", "Left.", "Right.")
RATING = rating_prompt(FIGURE, IMAGE, "Which side?", "Left.")
SCORES = chat_score_prompt("Which side?", IMAGE, "Left.", "Right.")
TURNS, DRAFTS = generation_prompt(FIGURE, IMAGE, []), draft_prompt(FIGURE, IMAGE)

CRITERIA = dict.fromkeys(RatingCriteria.model_fields, 7)


def rated(**changes: Any) -> str:
    """A rating of eight in JSON, with changes."""
    return json.dumps({"rationale": "sound", "criteria": CRITERIA, "overall": 8} | changes)


def with_criteria(**changes: Any) -> str:
    """A rating of eight in JSON, with changes of its criteria."""
    return rated(criteria=CRITERIA | changes)


EIGHT = rated()
FIRST = '{"rationale": "It names the side.", "winner": "first"}'


def read(prompt, text: str) -> Any:
    """What a reply says: a number, a winner, two numbers, or the texts of each round."""
    value = parse(prompt, text)
    if prompt is RATING:
        return value.overall
    if prompt is VERDICT:
        return value.winner
    if prompt is SCORES:
        return value.first, value.second
    if prompt is TURNS:
        return [(one.instruction, one.response, one.question_type) for one in value.rounds]
    return [(one.instruction, one.response_a, one.response_b) for one in value.questions]

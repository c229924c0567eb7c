"""A judgement as the card's page sends it: its form, its words, and what it answers.

This module knows no card, no queue and no log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vital_lib.labels import VOTES
from vital_lib.panels._panel import plain

SIDES = ("left", "right")


class Judgement(BaseModel):
    """One judgement as a message of the page: exactly these fields, each of its kind."""

    model_config = ConfigDict(extra="forbid", strict=True)

    key: str
    event_id: str = Field(pattern=r"\S")
    left_accepted: bool | None
    right_accepted: bool | None
    cannot_judge: bool = False
    unsafe: bool = False
    reasons: list[str] = []
    note: str = ""
    seconds: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    side: int = 0


def as_judgement(given: Any) -> dict[str, Any]:
    """The fields of `Judgement` in a message; a ValueError that names the first it has wrong."""
    try:
        return Judgement.model_validate(given).model_dump()
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(map(str, fault["loc"]))
        raise ValueError(f"{field} {fault['input']!r:.80}: {fault['msg']}") from None


def in_words(said: Mapping[str, Any]) -> str:
    """What was said of both responses, without naming them."""
    if said["cannot_judge"]:
        return "flagged as unsafe" if said["unsafe"] else "cannot be judged"
    return ", ".join(
        f"{side} {'accepted' if said[f'{side}_accepted'] else 'rejected'}" for side in SIDES
    )


def in_history(event: Mapping[str, Any], instruction: str) -> dict[str, Any]:
    """A judgement as a row of the card's history, its texts cut to 200 characters."""
    return {
        "event_id": event["event_id"],
        "instruction": instruction[:200],
        "said": in_words(event),
        "reasons": list(event["reasons"]),
        "note": plain(event["note"])[:200],
        "at": event["at"],
    }


def after_undo(undone: bool, known: bool, former: bool) -> str:
    """What the page says once something, or nothing, was taken back."""
    if not known:
        return "Not taken back: your latest judgement is of an item that is not on this card."
    if not undone:
        return "Nothing is left to take back."
    if former:
        return "Taken back. What you had said before stands again: keep it, or judge anew."
    return "Taken back. Judge this item again."


def arms_like(arm: str) -> tuple[str, ...]:
    """The arms whose judgements belong together: all votes, calibration, adjudication."""
    return VOTES if arm in VOTES else (arm,)


def same_asking(event: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    """Whether a judgement of the same item answers the same asking: calibration is no vote."""
    arms = [arms_like(row["queue_arm"]) for row in (event, item)]
    return arms[0] == arms[1] and plain(event["repeat_of"]) == plain(item["repeat_of"])

"""A judgement as the card's page sends it: its form, its words, and what it answers.

This module knows no card, no queue and no log.
"""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vital_lib.labels import VOTES
from vital_lib.panels._panel import plain

SIDES = ("left", "right")
CHOICES = {
    "left": (True, False),
    "right": (False, True),
    "both": (True, True),
    "neither": (False, False),
}
FIRST_COUNTS = "In a round the first answer counts."
_MOST_REASONS = 20


class NotHere(ValueError):
    """An item, or a kind of judging, that this card does not have and another may."""


class Plain(BaseModel):
    """A message of the page that says nothing more; others have exactly their fields."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Page(Plain):
    """Which part of the history is asked for."""

    start: int = Field(default=0, ge=0)


class Choice(Plain):
    """Which judgement is to be revised."""

    event_id: str


class Judgement(Plain):
    """One judgement."""

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


_FORMS = {"judge": Judgement, "history": Page, "revise": Choice}


def as_message(call: str, given: Any) -> dict[str, Any]:
    """What a message `call` is given; a ValueError that names the first field it has wrong."""
    try:
        return _FORMS.get(call, Plain).model_validate(given).model_dump()
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(map(str, fault["loc"]))
        raise ValueError(
            f"{field} {reprlib.repr(fault['input'])}: {fault['msg']}".lstrip()
        ) from None


def refusal(error: Exception, given: Any) -> dict[str, Any]:
    """What the page is answered where an act was not kept: by this card, for good, or for now."""
    event_id = given.get("event_id") if isinstance(given, dict) else None
    event_id = event_id if isinstance(event_id, str) else None
    if isinstance(error, NotHere):
        return {"not_here": event_id}
    return {"failed": event_id, "why": plain(error), "final": isinstance(error, ValueError)}


def check_reasons(given: Sequence[str], offered: Collection[str]) -> None:
    """Refuse reasons that are not offered, and more than 20, with a ValueError."""
    unknown = [reason for reason in given if reason not in offered]
    if unknown or len(given) > _MOST_REASONS:
        shown = reprlib.repr(unknown or list(given))
        raise ValueError(f"reasons {shown}: give at most {_MOST_REASONS} of {', '.join(offered)}")


def check_blind(item: Mapping[str, Any], mine: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a first vote on an item that its annotator judged knowing what others said.

    Args:
        mine: what stands of all that the annotator has said of the item.

    Raises:
        ValueError: so it is.
    """
    arms = {event["queue_arm"] for event in mine}
    if item["queue_arm"] in VOTES and arms and arms.isdisjoint(VOTES):
        known = ", ".join(sorted(arms))
        raise ValueError(f"you have seen what others said of this item ({known}): it takes no vote")


def former_of(
    item: Mapping[str, Any], mine: Sequence[dict[str, Any]], but: str
) -> dict[str, Any] | None:
    """The latest of `mine` that answers the same asking as `item`, other than event `but`."""
    same = [event for event in mine if event["event_id"] != but and _same_asking(event, item)]
    return same[-1] if same else None


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


def _same_asking(event: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    """Whether a judgement of the same item answers the same asking: calibration is no vote."""
    arms = [arms_like(row["queue_arm"]) for row in (event, item)]
    return arms[0] == arms[1] and plain(event["repeat_of"]) == plain(item["repeat_of"])

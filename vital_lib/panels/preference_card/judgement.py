"""Judgements as the preference card's page sends them: message schemas, checks and wording.

This module does not depend on the card, the queue or the log.
"""

from __future__ import annotations

import hashlib
import reprlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vital_lib.labels import SIDES, VOTES, definitions
from vital_lib.panels._panel import plain

_NEITHER_JUDGED = {"left_accepted": None, "right_accepted": None, "cannot_judge": True}
CHOICES = {
    "Only left": {"left_accepted": True, "right_accepted": False},
    "Only right": {"left_accepted": False, "right_accepted": True},
    "Both": {"left_accepted": True, "right_accepted": True},
    "Neither": {"left_accepted": False, "right_accepted": False},
    "Cannot judge": _NEITHER_JUDGED,
    "Unsafe": {**_NEITHER_JUDGED, "unsafe": True},
}
"""The page's buttons for both responses, with keys 1 to 6: label -> fields of `Judgement`."""
FIRST_COUNTS = "Calibration answers are final: the first answer counts."
_MOST_REASONS = 20


class NotHere(ValueError):
    """The item or its queue arm does not belong to this card; it may belong to another card."""


class Plain(BaseModel):
    """A message without fields. Subclasses accept exactly the fields they declare."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Page(Plain):
    """A request for one page of the history."""

    start: int = Field(default=0, ge=0)


class Choice(Plain):
    """A request to revise one judgement."""

    event_id: str


class Judgement(Plain):
    """One judgement of one item."""

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
    """Validate the arguments of message `call` and return them as a dict.

    Raises:
        ValueError: the arguments are not valid; the message names the first invalid field.
    """
    try:
        return _FORMS.get(call, Plain).model_validate(given).model_dump()
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(map(str, fault["loc"]))
        message = f"{field} {reprlib.repr(fault['input'])}: {fault['msg']}"
        raise ValueError(message.lstrip()) from None


def refusal(
    error: Exception, given: Any, words_of: Callable[[Mapping[str, Any]], str]
) -> dict[str, Any]:
    """Return the reply to the page for a message that failed; `words_of` says a judgement.

    `not_here` means that another card may accept it. `final` is true if a retry cannot succeed.
    """
    event_id = given.get("event_id") if isinstance(given, dict) else None
    event_id = event_id if isinstance(event_id, str) else None
    if isinstance(error, NotHere):
        return {"not_here": event_id}
    said = words_of(given) if event_id else ""
    final = isinstance(error, ValueError)
    return {"failed": event_id, "why": plain(error), "final": final, "said": said}


def reasons_offered(names: Sequence[str], guideline: str) -> list[list[str]]:
    """Return [name, label, meaning] of each reason; meanings are `definitions` of the guideline.

    The meaning of a reason that the guideline does not define is empty.
    """
    meanings = definitions(guideline)
    labels = [name.replace("_", " ") for name in names]
    return [
        [name, label, meanings.get(label.lower(), "")]
        for name, label in zip(names, labels, strict=True)
    ]


def edition_of(text: str) -> str:
    """Return a name for the content of a guideline, which differs if the text does; "" for ""."""
    return hashlib.sha256(text.encode()).hexdigest()[:16] if text else ""


def check_reasons(given: Sequence[str], offered: Collection[str]) -> None:
    """Check the reasons of a judgement.

    Raises:
        ValueError: a reason is not among those `offered`, or there are more than 20.
    """
    unknown = [reason for reason in given if reason not in offered]
    if unknown or len(given) > _MOST_REASONS:
        shown = reprlib.repr(unknown or list(given))
        raise ValueError(f"reasons {shown}: give at most {_MOST_REASONS} of {', '.join(offered)}")


def check_blind(item: Mapping[str, Any], standing: Sequence[Mapping[str, Any]]) -> None:
    """Check that the annotator has not seen others' answers to an item before voting on it.

    Args:
        standing: the annotator's current judgements of the item, in any arm.

    Raises:
        ValueError: `item` is for a vote, but the annotator has judged it only in arms that show
            others' answers (calibration, adjudication).
    """
    arms = {event["drawn_by"] for event in standing}
    if item["drawn_by"] in VOTES and arms and arms.isdisjoint(VOTES):
        known = ", ".join(sorted(arms))
        raise ValueError(
            f"you have seen others' answers to this item ({known}), so you cannot vote on it"
        )


def former_of(
    item: Mapping[str, Any], standing: Sequence[dict[str, Any]], but: str
) -> dict[str, Any] | None:
    """Return the judgement that a new judgement of `item` would replace, or None.

    It is the latest of `standing`, except event `but`, that has the same kind of arm and the same
    repeat_of as `item`.
    """
    same = [event for event in standing if event["event_id"] != but and _same_task(event, item)]
    return same[-1] if same else None


def in_words(judgement: Mapping[str, Any]) -> str:
    """Return a judgement of both responses as text; missing fields count as False."""
    if judgement.get("cannot_judge"):
        return "flagged as unsafe" if judgement.get("unsafe") else "cannot be judged"
    ticks = {side: judgement.get(f"{side}_accepted") for side in SIDES}
    return ", ".join(f"{side} {'accepted' if ticks[side] else 'rejected'}" for side in SIDES)


@dataclass(frozen=True)
class Kind:
    """What a card asks for, and its wording.

    Attributes:
        arm: the arm of its judgements where its queue is empty.
        choices: the buttons for both responses: label -> fields of `Judgement`.
        ticks: whether each response is also judged by itself.
        words: what the page calls the parts of an item.
        in_words: says a judgement.
    """

    arm: str
    title: str
    choices: Mapping[str, Mapping[str, Any]]
    ticks: bool
    words: Mapping[str, str]
    in_words: Callable[[Mapping[str, Any]], str]

    def state(self) -> dict[str, Any]:
        """Return what the page must know of it."""
        return {"choices": self.choices, "ticks": self.ticks, "words": self.words}


PREFERENCES = Kind(
    "random",
    "Preferences",
    CHOICES,
    True,
    {
        "instruction": "Instruction",
        "response": "response",
        "context": "Caption and mentions",
        "caption": "Caption",
        "where": "in a running notebook or on the labelling page",
    },
    in_words,
)


def in_history(event: Mapping[str, Any], instruction: str, said: str) -> dict[str, Any]:
    """Return a judgement as a row of the card's history, with texts cut to 200 characters."""
    return {
        "event_id": event["event_id"],
        "instruction": instruction[:200],
        "said": said,
        "reasons": list(event["reasons"]),
        "note": plain(event["note"])[:200],
        "at": event["at"],
    }


def after_undo(undone: bool, known: bool, former: bool) -> str:
    """Return the status text that the page shows after an undo."""
    if not known:
        return "Not undone: your latest judgement is of an item that is not on this card."
    if not undone:
        return "There is nothing to undo."
    if former:
        return "Undone. Your previous judgement is restored: keep it or judge again."
    return "Undone. Judge this item again."


def arms_like(arm: str) -> tuple[str, ...]:
    """Return the arms of the same kind as `arm`: all votes, calibration, or adjudication."""
    return VOTES if arm in VOTES else (arm,)


def _same_task(event: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    """Return whether both rows have the same kind of arm and the same repeat_of."""
    arms = [arms_like(row["drawn_by"]) for row in (event, item)]
    return arms[0] == arms[1] and plain(event["repeat_of"]) == plain(item["repeat_of"])

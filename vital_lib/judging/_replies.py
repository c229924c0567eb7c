"""From requests to rows: sends them, and makes a row of each reply as it comes.

A row says what the reply does, or why it says nothing. This module knows nothing of candidates,
questions, or of what a row is for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from vital_lib.client import UNSENT, ChatClient, Control, Reply
from vital_lib.figures import FigureImage, UnreadableImage, open_image
from vital_lib.prompts import VERSIONS, Prompt

Resolve = Callable[[str], Path]
Row = dict[str, Any]

NULL = {"overall": "candidate_id", "model_score": "question_id", "winner": "question_id"}
"""What a row says, null where the reply was unread, and what it says it of."""


class RatingTask(NamedTuple):
    """What a row begins with, an `image`, the prompt made with it, and the how-manieth asking."""

    row: Row
    image: str
    prompt_with: Callable[[FigureImage], Prompt]
    repeat: int = 0


def ask_rows(
    requests: list[RatingTask],
    client: ChatClient,
    resolve: Resolve,
    said: Callable[[Reply], Row],
    *,
    seed: int = 0,
    unread_again: bool = False,
    control: Control | None = None,
    **options: Any,
) -> list[Row]:
    """The requests' rows, each with its judge and with what is `said` in its reply.

    Args:
        unread_again: ask once more for what came back unread.
        options: further arguments of ``ChatClient.ask``.
    """
    unsent: dict[int, Row] = {}

    @lru_cache(maxsize=64)  # a figure's candidates follow one another
    def opened(image: str) -> FigureImage:
        return open_image(resolve(image))

    def prompts() -> Iterator[Prompt]:
        for place, (_, image, prompt_with, repeat) in enumerate(requests):
            if control is not None and control.state == "stopped":
                return
            try:
                prompt = prompt_with(opened(image))
            except UnreadableImage as error:
                unsent[place] = said(_unsent(f"not sent: {error}"))
            else:
                yield replace(prompt, seed=_seed(seed, repeat))

    told = iter(client.ask(prompts(), into=said, control=control, **options))
    after_stop = said(_unsent(UNSENT))
    made = [
        {**one.row, "judge": client.model, **(unsent.get(place) or next(told, after_stop))}
        for place, one in enumerate(requests)
    ]
    null = [n for n, row in enumerate(made) if any(row.get(name, "") is None for name in NULL)]
    if unread_again and null:
        anew = {**options, "seed": seed, "control": control, "again": True, "on_reply": None}
        some = ask_rows([requests[n] for n in null], client, resolve, said, **anew)
        made = [*{**dict(enumerate(made)), **dict(zip(null, some, strict=True))}.values()]
    return made


def _seed(seed: int, repeat: int) -> int:
    """The seed itself, and another one for every repeat."""
    told = f"{seed}/{repeat}".encode()
    return int(hashlib.sha256(told).hexdigest()[:8], 16) >> 1 if repeat else seed


def _unsent(why: str) -> Reply:
    return Reply("", None, "", why, 0, 0, 0.0)


def rating(reply: Reply) -> Row:
    """What the table ratings keeps of a reply."""
    value, criteria = reply.value, []
    if value is not None:
        named = value.criteria.model_dump().items()
        stated = [(name, rating) for name, rating in named if rating is not None]
        criteria = [{"criterion": name, "rating": rating} for name, rating in stated]
    return {
        "overall": None if value is None else value.overall,
        "criteria": criteria,
        "rationale": _words(reply),
        "prompt_version": VERSIONS["rating"],
        "reply_id": reply.reply_id,
    }


def scores(reply: Reply) -> Row:
    """What the table chat_scores keeps of a reply."""
    value = reply.value
    return {
        "reference_score": None if value is None else value.first,
        "model_score": None if value is None else value.second,
        "reply_id": reply.reply_id,
    }


def verdict(reply: Reply) -> Row:
    """What the table verdicts keeps of a reply, but with a place for a winner: first or second."""
    winner = None if reply.value is None else reply.value.winner
    return {"winner": winner, "rationale": _words(reply), "reply_id": reply.reply_id}


def _words(reply: Reply) -> str:
    """The judge's words; where they were not read, why, and the raw reply."""
    if reply.value is not None:
        return reply.value.rationale
    return f"[{reply.reason}] {reply.text}".strip()

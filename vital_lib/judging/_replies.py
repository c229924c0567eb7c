"""Send requests to a judge and make a row of each reply.

A row holds what the reply states, or the reason why it could not be read. This module does not
depend on candidates, on questions or on the use of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from vital_lib.client import UNSENT, ChatClient, Control, Reply
from vital_lib.figures import FigureImage, UnreadableImage, open_figure
from vital_lib.prompts import VERSIONS, Prompt
from vital_lib.seeds import hash31

Row = dict[str, Any]

NULL = {"overall": "candidate_id", "model_score": "question_id", "winner": "question_id"}
"""From the value column of a table, null for an unread reply, to its id column."""


class RatingTask(NamedTuple):
    """A row's first columns, what it is about, a function to its prompt, and its repeat number.

    `shown` is a row of table `figures` or `questions`, with the image and its clearance.
    """

    row: Row
    shown: Mapping[str, Any]
    prompt_with: Callable[[FigureImage], Prompt]
    repeat: int = 0


def ask_rows(
    requests: list[RatingTask],
    client: ChatClient | Sequence[ChatClient],
    columns_of: Callable[[Reply], Row],
    *,
    seed: int = 0,
    unread_again: bool = False,
    control: Control | None = None,
    **options: Any,
) -> list[Row]:
    """Return a row per request: its first columns, the judge and the columns of the reply.

    A request that may not be sent (`ChatClient.why_held`) has a row that says why.

    Args:
        client: the judge; or a panel of judges, each of which gets all requests.
        columns_of: returns the columns of a reply.
        unread_again: send requests with unread replies once more.
        options: further arguments of ``ChatClient.ask``.
    """
    if isinstance(client, Sequence):
        each: dict[str, Any] = {"unread_again": unread_again, "control": control, **options}
        each |= {"seed": seed}
        return [row for one in client for row in ask_rows(requests, one, columns_of, **each)]
    unsent: dict[int, Row] = {}

    def prompts() -> Iterator[Prompt]:
        opened, before = None, None  # consecutive candidates share a figure
        for place, (_, shown, prompt_with, repeat) in enumerate(requests):
            if control is not None and control.state == "stopped":
                return
            try:
                if opened is None or shown is not before:
                    opened, before = open_figure(shown), shown
                prompt = prompt_with(opened)
                why = client.why_held(prompt)
            except UnreadableImage as error:
                why, opened = str(error), None
            if why:
                unsent[place] = columns_of(_unsent(f"not sent: {why}"))
            else:
                yield replace(prompt, seed=_seed(seed, repeat))

    replies = iter(client.ask(prompts(), into=columns_of, control=control, **options))
    after_stop = columns_of(_unsent(UNSENT))
    rows = [
        {**task.row, "judge": client.model, **(unsent.get(place) or next(replies, after_stop))}
        for place, task in enumerate(requests)
    ]
    null = [n for n, row in enumerate(rows) if any(row.get(name, "") is None for name in NULL)]
    if unread_again and null:
        options |= {"seed": seed, "control": control, "again": True, "on_reply": None}
        retried = ask_rows([requests[n] for n in null], client, columns_of, **options)
        rows = [*{**dict(enumerate(rows)), **dict(zip(null, retried, strict=True))}.values()]
    return rows


def _seed(seed: int, repeat: int) -> int:
    """Return `seed` for repeat 0 and a derived seed for every other repeat."""
    return hash31(f"{seed}/{repeat}") if repeat else seed


def _unsent(why: str) -> Reply:
    return Reply("", None, "", why, 0, 0, 0.0)


def rating(reply: Reply) -> Row:
    """Return the columns of the table ratings that come from a reply."""
    value, criteria = reply.value, []
    if value is not None:
        named = value.criteria.model_dump().items()
        stated = [(name, rating) for name, rating in named if rating is not None]
        criteria = [{"criterion": name, "rating": rating} for name, rating in stated]
    return {
        "overall": None if value is None else value.overall,
        "criteria": criteria,
        "rationale": _rationale(reply),
        "prompt_version": VERSIONS["rating"],
        "reply_id": reply.reply_id,
    }


def scores(reply: Reply) -> Row:
    """Return the columns of the table chat_scores that come from a reply."""
    value = reply.value
    return {
        "reference_score": None if value is None else value.first,
        "model_score": None if value is None else value.second,
        "reply_id": reply.reply_id,
    }


def verdict(reply: Reply) -> Row:
    """Return the columns of the table verdicts that come from a reply; `winner` is a position."""
    winner = None if reply.value is None else reply.value.winner
    return {"winner": winner, "rationale": _rationale(reply), "reply_id": reply.reply_id}


def _rationale(reply: Reply) -> str:
    """Return the judge's rationale; for an unread reply, the reason and the raw reply."""
    if reply.value is not None:
        return reply.value.rationale
    return f"[{reply.reason}] {reply.text}".strip()

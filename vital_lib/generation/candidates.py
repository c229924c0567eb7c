"""Requests candidates from a model: drafts to label, and conversations after demonstrations.

BioMed-VITAL's first stage (paper section 3.1). Every arm runs through the same code and differs
only in its pool of demonstrations. This module does not depend on annotators, and uses models only
through the client.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd

from vital_lib.client import UNSENT, ChatClient, Control, Reply
from vital_lib.figures import FigureImage, UnreadableImage, open_figure
from vital_lib.generation.demonstrated import ImageOf, opener, shown_to
from vital_lib.generation.grounding import grounding_flags
from vital_lib.generation.hollow import hollow_flags
from vital_lib.modalities import MODALITIES
from vital_lib.prompts import VERSIONS, Drafts, Prompt, draft_prompt, generation_prompt
from vital_lib.seeds import hash31
from vital_lib.tables import ARMS, empty_frame, refuse_twice

UNREAD_COLUMNS = ("figure_id", "reply_id", "reason", "text", "sent")
"""Columns of the second frame: figures without candidates, and why. `sent` is false and `reply_id`
null if no request was sent: the figure is not cleared, the image is unreadable, or the run was
stopped."""

FEWER = "fewer_than_asked"
"""Flag of every candidate of a reply with fewer questions or rounds than requested."""

DROPPED = "round_dropped"
"""Flag of every candidate of a reply with a question or round that could not be read."""

_Sent = tuple[Prompt, list[str]]  # the prompt and the ids of its demonstrations
_PromptOf = Callable[[Mapping[str, Any], FigureImage, int], _Sent]


def draft_candidates(
    figures: pd.DataFrame,
    client: ChatClient,
    *,
    questions: int = 4,
    seed: int = 0,
    policy: str | None = None,
    **sending: Any,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draft instructions with two responses each, for labelling.

    Args:
        figures: rows of the table figures.
        questions: instructions per figure to request.
        seed: seed of the run; each request's seed is derived from it and the figure's id.
        policy: text to use in place of ``prompts.POLICIES["draft"]``. Its version is part of the
            ids, so that one table can hold drafts of several policies.
        sending: arguments of ``ChatClient.ask``: `again` (send again despite a reply in the
            ledger, for example for the unread figures), `batch`, `on_reply` and `control`.

    Returns:
        (rows of the table drafts, with `hollow_flags` and `grounding_flags`; frame of
        `UNREAD_COLUMNS`).

    Raises:
        ValueError: `figures` has a duplicate figure, or `policy` lacks $questions.
    """
    prompt_of = _without_demonstrations(questions, policy)
    read, unread = _ask(figures, client, prompt_of, seed, sending)
    return _frame(read, "drafts", "none", questions, client, figures), unread


def generate_candidates(
    figures: pd.DataFrame,
    demonstrations: pd.DataFrame,
    client: ChatClient,
    *,
    arm: str,
    image_of: ImageOf,
    rounds: int = 5,
    seed: int = 0,
    policy: str | None = None,
    **sending: Any,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Generate one conversation per figure, after one demonstration per modality.

    The demonstrations for a figure depend only on `seed`, the figure's id and the pool. They stay
    the same when other figures are added and when the request is sent again. A figure is never its
    own demonstration.

    Args:
        figures: rows of the table figures.
        demonstrations: rows of the table demonstrations; empty for arm "none". A demonstration
            without a modality is never drawn.
        arm: origin of the demonstrations: none, random or clinician.
        image_of: opens a demonstration's image by its figure_id, as `figures.image_opener` does; or
            maps it to the path, which clears no image. Without a readable image, the demonstration
            is shown as text only. A model that gets cleared figures only is shown cleared
            demonstrations only; the log counts the others.
        rounds: rounds to request; a shorter conversation is kept and flagged.
        seed: seed of the run. A figure's own seed, derived from it, draws its demonstrations and
            is sent with its request; its candidates record it.
        policy: text to use in place of ``prompts.POLICIES["generation"]``. Its version is part of
            the ids, so that one table can hold candidates of several policies.
        sending: as for `draft_candidates`.

    Returns:
        (rows of the table candidates, with flags as in `draft_candidates`; frame of
        `UNREAD_COLUMNS`).

    Raises:
        ValueError: `arm` is unknown or does not fit the demonstrations, `figures` has a duplicate
            figure, or `policy` lacks $rounds.
    """
    demonstrations = shown_to(client, demonstrations, image_of)
    _check_arm(arm, demonstrations)
    prompt_of = _after_demonstrations(demonstrations, image_of, rounds, policy)
    read, unread = _ask(figures, client, prompt_of, seed, sending)
    return _frame(read, "candidates", arm, rounds, client, figures), unread


def generate_arms(
    plan: Iterable[tuple], client: ChatClient, control: Control | None = None, **settings: Any
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run `generate_candidates` for several arms or policies in turn, under one `control`.

    With ``batch=True`` they run at the same time, since each waits for its batches.

    Args:
        plan: (arm, figures, demonstrations) of each arm, with an optional policy as a fourth item.
            The candidates of two policies differ in prompt_version and in their ids.
        settings: other arguments of `generate_candidates`, the same for all arms.

    Returns:
        The frames of `generate_candidates` for all arms together; the second also has column `arm`.
    """

    def one(arm: str, figures: pd.DataFrame, demonstrations: pd.DataFrame, *policy: str) -> tuple:
        own = {**settings, "policy": policy[0]} if policy else settings
        rows, failed = generate_candidates(
            figures, demonstrations, client, arm=arm, control=control, **own
        )
        return rows, failed.assign(arm=arm)

    if not settings.get("batch"):
        done = [one(*arm) for arm in plan]
    else:
        control = control or Control()
        arms = [list(arm) for arm in plan]
        with ThreadPoolExecutor(max(1, len(arms))) as threads:
            waiting = [threads.submit(one, *arm) for arm in arms]
            try:
                wait(waiting, return_when=FIRST_EXCEPTION)
            finally:
                if not all(arm.done() and arm.exception() is None for arm in waiting):
                    control.stop()  # the others need not wait for their batches
        done = [arm.result() for arm in waiting]
    made, unread = zip(*done, strict=True)
    return pd.concat(made, ignore_index=True), pd.concat(unread, ignore_index=True)


def draft_prompts(
    figures: pd.DataFrame, *, questions: int = 4, seed: int = 0, policy: str | None = None
) -> Iterator[Prompt]:
    """Yield the prompts that `draft_candidates` sends with these arguments."""
    return _only_prompts(figures, _without_demonstrations(questions, policy), seed)


def generation_prompts(
    figures: pd.DataFrame,
    demonstrations: pd.DataFrame,
    *,
    image_of: ImageOf,
    rounds: int = 5,
    seed: int = 0,
    policy: str | None = None,
) -> Iterator[Prompt]:
    """Yield the prompts that `generate_candidates` sends with these arguments, for inspection.

    There is one per figure, in order, except for figures with an unreadable image.
    """
    prompt_of = _after_demonstrations(demonstrations, image_of, rounds, policy)
    return _only_prompts(figures, prompt_of, seed)


class _Request(NamedTuple):
    """The columns of one figure's request; its image and messages are dropped to save memory."""

    figure_id: str
    seed: int
    prompt_version: str
    demonstration_ids: list[str]


class _Answer(NamedTuple):
    """The candidates in a reply, or the reason why it has none."""

    reply_id: str
    reason: str | None
    text: str  # empty if the reply was read
    rows: list[tuple[int, str, str, str | None, str]]  # columns as in `_COLUMNS`
    dropped: tuple[str, ...] = ()  # the reason for each round that could not be read


_Read = list[tuple[_Request, _Answer]]
_COLUMNS = ["round", "letter", "instruction", "question_type", "response"]


def _answer(reply: Reply) -> _Answer:
    value = reply.value
    if value is None:
        return _Answer(reply.reply_id, reply.reason, reply.text, [])
    drafted = isinstance(value, Drafts)
    rows = [
        (place, letter, turn.instruction, turn.question_type, response)
        for place, turn in enumerate(value.questions if drafted else value.rounds, start=1)
        for letter, response in (
            (("a", turn.response_a), ("b", turn.response_b)) if drafted else (("a", turn.response),)
        )
    ]
    return _Answer(reply.reply_id, None, "", rows, getattr(value, "dropped", ()))


def _without_demonstrations(questions: int, policy: str | None) -> _PromptOf:
    return lambda figure, image, _: (draft_prompt(figure, image, questions, policy), [])


def _after_demonstrations(
    demonstrations: pd.DataFrame, image_of: ImageOf, rounds: int, policy: str | None
) -> _PromptOf:
    pool, opened = demonstrations.to_dict("records"), opener(image_of)

    def prompt_of(figure: Mapping[str, Any], image: FigureImage, seed: int) -> _Sent:
        drawn = _draw(pool, figure["figure_id"], seed)
        shown = [(row, opened(row["figure_id"])) for row in drawn]
        ids = [row["demonstration_id"] for row in drawn]
        return generation_prompt(figure, image, shown, rounds, policy), ids

    return prompt_of


def _only_prompts(*arguments: Any) -> Iterator[Prompt]:
    return (prompt for _, prompt in _prompts(*arguments, unreadable={}))


def _prompts(
    figures: pd.DataFrame,
    prompt_of: _PromptOf,
    seed: int,
    unreadable: dict[str, str],
    control: Control | None = None,
    client: ChatClient | None = None,
) -> Iterator[tuple[_Request, Prompt]]:
    """Yield each figure's prompt until a stop; `unreadable` collects the errors by figure_id.

    With a `client`, prompts that may not be sent to it are errors, too.
    """
    for figure in figures.to_dict("records"):
        if control is not None and control.state == "stopped":
            return
        try:
            image = open_figure(figure)
        except UnreadableImage as error:
            unreadable[figure["figure_id"]] = str(error)
            continue
        own_seed = _number(seed, figure["figure_id"])
        prompt, demonstration_ids = prompt_of(figure, image, own_seed)
        if client is not None and (why := client.why_held(prompt)):
            unreadable[figure["figure_id"]] = why
            continue
        request = _Request(figure["figure_id"], own_seed, prompt.version, demonstration_ids)
        yield request, replace(prompt, seed=own_seed)


def _ask(
    figures: pd.DataFrame, client: ChatClient, prompt_of: _PromptOf, seed: int, sending: dict
) -> tuple[_Read, pd.DataFrame]:
    """Send a request for every figure; return those with candidates, and a frame of the others."""
    refuse_twice(figures["figure_id"], "figures")  # ids of candidates would clash
    sent: list[_Request] = []
    unreadable: dict[str, str] = {}

    def prompts() -> Iterator[Prompt]:
        control = sending.get("control")
        for request, prompt in _prompts(figures, prompt_of, seed, unreadable, control, client):
            sent.append(request)
            yield prompt

    answers = client.ask(prompts(), into=_answer, **sending)
    pairs = list(zip(sent, answers, strict=True))
    back = {request.figure_id: answer for request, answer in pairs if answer.reason != UNSENT}
    unread = [
        (name, back[name].reply_id, back[name].reason, back[name].text, True)
        if name in back
        else (name, None, unreadable.get(name, UNSENT), "", False)
        for name in figures["figure_id"]
        if name not in back or not back[name].rows
    ]
    frame = pd.DataFrame(unread, columns=list(UNREAD_COLUMNS)).astype({"sent": bool})
    return [(request, answer) for request, answer in pairs if answer.rows], frame


def _frame(
    read: _Read, table: str, arm: str, wanted: int, client: ChatClient, figures: pd.DataFrame
) -> pd.DataFrame:
    """Return the candidates as rows of `table`, with all flags."""
    stage, empty = "draft" if table == "drafts" else "final", empty_frame(table)
    rows = [(*request, answer.reply_id, *row) for request, answer in read for row in answer.rows]
    if not rows:
        return empty
    frame = pd.DataFrame(rows, columns=[*_Request._fields, "reply_id", *_COLUMNS])
    frame = frame.assign(stage=stage, arm=arm, generator=client.model)
    frame = frame.merge(figures[["figure_id", "group_id", "split"]], on="figure_id")
    frame["conversation_id"] = frame["figure_id"] + f"-{stage}-{arm}" + _policy_suffix(frame)
    frame["instruction_id"] = frame["conversation_id"] + "-r" + frame["round"].astype(str)
    frame["candidate_id"] = frame["instruction_id"] + "-" + frame["letter"]
    fewer = frame.groupby("figure_id")["round"].transform("max") < wanted
    cut = {request.figure_id for request, answer in read if answer.dropped}
    flags = fewer.map({True: [FEWER], False: []})
    flags += frame["figure_id"].isin(cut).map({True: [DROPPED], False: []}) + hollow_flags(frame)
    frame["flags"] = flags + grounding_flags(frame, figures)
    return frame[list(empty)]


def _policy_suffix(frame: pd.DataFrame) -> pd.Series:
    """Return the suffix of ids made under a policy other than the built-in ones."""
    versions = frame["prompt_version"]
    return ("-" + versions.str[:6]).where(~versions.isin(VERSIONS.values()), "")


def _draw(pool: list[dict[str, Any]], figure_id: str, seed: int) -> list[dict[str, Any]]:
    """Draw one demonstration per modality, without repeats and never of the figure itself.

    `seed` is the figure's own, which its candidates record. The demonstration with the smallest
    hash of seed, modality and id is drawn. The order of the pool therefore has no effect, and added
    demonstrations rarely change a draw.
    """
    drawn: dict[str, dict[str, Any]] = {}
    for modality in MODALITIES:
        fitting = {
            _number(seed, modality, row["demonstration_id"]): row
            for row in pool
            if modality in row["modalities"]
            and row["figure_id"] != figure_id
            and row["demonstration_id"] not in drawn
        }
        if fitting:
            row = fitting[min(fitting)]
            drawn[row["demonstration_id"]] = row
    return list(drawn.values())


def _check_arm(arm: str, demonstrations: pd.DataFrame) -> None:
    if arm not in ARMS:
        raise ValueError(f"arm={arm!r}: give one of {', '.join(ARMS)}")
    if (arm == "none") != demonstrations.empty:
        raise ValueError(
            f"arm {arm!r} received {len(demonstrations)} demonstrations, but only arm 'none' has "
            "none: choose some with notebooks/03_label_preferences.ipynb, or pass an empty frame"
        )


def _number(*parts: Any) -> int:
    return hash31(json.dumps(parts))

"""Asks for candidates: drafts to be labelled, and conversations after demonstrations.

BioMed-VITAL's first stage (paper section 3.1). Every arm runs through the same code and differs
only in the pool of demonstrations it is handed. This module knows nothing of who accepted a
demonstration, nor of any model beyond asking it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from vital_lib.client import UNSENT, ChatClient, Control, Reply
from vital_lib.figures import FigureImage, UnreadableImage, open_image
from vital_lib.generation.grounding import grounding_flags
from vital_lib.generation.hollow import hollow_flags
from vital_lib.modalities import MODALITIES
from vital_lib.prompts import VERSIONS, Drafts, Prompt, draft_prompt, generation_prompt
from vital_lib.tables import empty_frame

ARMS = ("none", "random", "clinician")
"""Whose demonstrations the generator was shown."""

UNREAD_COLUMNS = ("figure_id", "reply_id", "reason", "text", "sent")
"""Columns of the second frame: figures without candidates, and why. Where `sent` is false nothing
came back, since nothing was asked (reply_id is null): the image is unreadable, or a run stopped."""

FEWER = "fewer_than_asked"
"""Flag of every candidate of a reply with fewer questions or rounds than were asked for."""

DROPPED = "round_dropped"
"""Flag of every candidate of a reply whose other questions or rounds could not all be read."""

Resolve = Callable[[str], Path]
_Sent = tuple[Prompt, list[str]]  # and the ids of the demonstrations in it
_PromptOf = Callable[[Mapping[str, Any], FigureImage, int], _Sent]


def draft_candidates(
    figures: pd.DataFrame,
    client: ChatClient,
    *,
    resolve: Resolve,
    questions: int = 4,
    seed: int = 0,
    policy: str | None = None,
    **sending: Any,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draft instructions with two responses each, to be labelled.

    Args:
        figures: rows of the table figures.
        resolve: from an `image` to its file (``Workspace.resolve``).
        questions: instructions to ask for, per figure.
        seed: of the run; each figure's own request seed is derived from it and the figure's id.
        policy: another text in place of ``prompts.POLICIES["draft"]``; its version goes into the
            ids, so that drafts under several policies may stand together.
        sending: `again` (ask anew where the ledger holds an answer, as for the figures of
            `unread`), `on_reply` and `control`, as for ``ChatClient.ask``.

    Returns:
        (rows of the table drafts, with `hollow_flags` and `grounding_flags`; frame of
        `UNREAD_COLUMNS`).

    Raises:
        ValueError: a figure stands in `figures` twice, or `policy` does not name $questions.
    """
    prompt_of = _without_demonstrations(questions, policy)
    asked, unread = _ask(figures, client, prompt_of, resolve, seed, sending)
    return _frame(asked, "drafts", "none", questions, client, figures), unread


def generate_candidates(
    figures: pd.DataFrame,
    demonstrations: pd.DataFrame,
    client: ChatClient,
    *,
    arm: str,
    resolve: Resolve,
    image_of: Mapping[str, str],
    rounds: int = 5,
    seed: int = 0,
    policy: str | None = None,
    **sending: Any,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write one conversation about each figure, after one demonstration per modality.

    Which demonstrations a figure is shown depends on `seed`, its id and the pool alone, so that
    adding figures changes nothing for the others, and asking again shows the same. A figure is
    never its own demonstration.

    Args:
        figures: rows of the table figures.
        demonstrations: rows of the table demonstrations; empty for arm "none". A demonstration
            without a modality is never drawn.
        arm: none, random or clinician: whose demonstrations these are.
        resolve: from an `image` to its file (``Workspace.resolve``).
        image_of: from a demonstration's figure_id to its `image`; one that is not there, or
            cannot be read, is shown by its text alone.
        rounds: rounds to ask for; a conversation with fewer is kept and flagged.
        seed: of the run; each figure's own, which its candidates record, decides its draw and goes
            with its request.
        policy: another text in place of ``prompts.POLICIES["generation"]``; its version goes into
            the ids, so that candidates under several policies may stand together.
        sending: as for `draft_candidates`.

    Returns:
        (rows of the table candidates, with flags as `draft_candidates`; frame of
        `UNREAD_COLUMNS`).

    Raises:
        ValueError: an unknown arm, a pool that does not fit it, a figure that stands twice, or a
            `policy` that does not name $rounds.
    """
    _check_arm(arm, demonstrations)
    prompt_of = _after_demonstrations(_pool(demonstrations, image_of, resolve), rounds, policy)
    asked, unread = _ask(figures, client, prompt_of, resolve, seed, sending)
    return _frame(asked, "candidates", arm, rounds, client, figures), unread


def generate_arms(
    plan: Iterable[tuple], client: ChatClient, control: Control | None = None, **settings: Any
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`generate_candidates` for several arms or policies, one after another under one `control`.

    Args:
        plan: (arm, figures, demonstrations) of each arm; with a policy as a fourth where one is
            to be compared with another: their candidates differ in prompt_version and in ids.
        settings: further arguments of `generate_candidates`, the same for all.

    Returns:
        As `generate_candidates`, all arms together; the unread also with their `arm`.
    """
    made, unread = [], []
    for arm, figures, demonstrations, *policy in plan:
        own = {**settings, "policy": policy[0]} if policy else settings
        rows, failed = generate_candidates(
            figures, demonstrations, client, arm=arm, control=control, **own
        )
        made.append(rows)
        unread.append(failed.assign(arm=arm))
    return pd.concat(made, ignore_index=True), pd.concat(unread, ignore_index=True)


def draft_prompts(
    figures: pd.DataFrame,
    *,
    resolve: Resolve,
    questions: int = 4,
    seed: int = 0,
    policy: str | None = None,
) -> Iterator[Prompt]:
    """The prompts that `draft_candidates` sends with these arguments, as `generation_prompts`."""
    return _only_prompts(figures, _without_demonstrations(questions, policy), resolve, seed)


def generation_prompts(
    figures: pd.DataFrame,
    demonstrations: pd.DataFrame,
    *,
    resolve: Resolve,
    image_of: Mapping[str, str],
    rounds: int = 5,
    seed: int = 0,
    policy: str | None = None,
) -> Iterator[Prompt]:
    """The prompts that `generate_candidates` sends with these arguments, to look at or to count.

    One per figure, in order; a figure whose image cannot be read has none.
    """
    prompt_of = _after_demonstrations(_pool(demonstrations, image_of, resolve), rounds, policy)
    return _only_prompts(figures, prompt_of, resolve, seed)


class _Asked(NamedTuple):
    """One figure that was asked about, in columns; its image and messages are not held on to."""

    figure_id: str
    seed: int
    prompt_version: str
    demonstration_ids: list[str]


class _Answer(NamedTuple):
    """What is kept of a reply: what it says, in columns, or why it says nothing."""

    reply_id: str
    reason: str | None
    text: str  # empty where the reply was read
    said: list[tuple[int, str, str, str | None, str]]
    dropped: tuple[str, ...] = ()  # why, of each round that says nothing


_Read = list[tuple[_Asked, _Answer]]
_COLUMNS = ["round", "letter", "instruction", "question_type", "response"]  # of what is said


def _answer(reply: Reply) -> _Answer:
    value = reply.value
    if value is None:
        return _Answer(reply.reply_id, reply.reason, reply.text, [])
    drafted = isinstance(value, Drafts)
    said = [
        (place, letter, one.instruction, one.question_type, response)
        for place, one in enumerate(value.questions if drafted else value.rounds, start=1)
        for letter, response in (
            (("a", one.response_a), ("b", one.response_b)) if drafted else (("a", one.response),)
        )
    ]
    return _Answer(reply.reply_id, None, "", said, getattr(value, "dropped", ()))


def _without_demonstrations(questions: int, policy: str | None) -> _PromptOf:
    return lambda figure, image, _: (draft_prompt(figure, image, questions, policy), [])


def _after_demonstrations(pool: list[_Demonstration], rounds: int, policy: str | None) -> _PromptOf:
    def prompt_of(figure: Mapping[str, Any], image: FigureImage, seed: int) -> _Sent:
        drawn = _draw(pool, figure["figure_id"], seed)
        shown = [(one.row, one.image) for one in drawn]
        return generation_prompt(figure, image, shown, rounds, policy), [one.id for one in drawn]

    return prompt_of


def _only_prompts(*asking: Any) -> Iterator[Prompt]:
    return (prompt for _, prompt in _prompts(*asking, {}))


def _prompts(
    figures: pd.DataFrame,
    prompt_of: _PromptOf,
    resolve: Resolve,
    seed: int,
    unreadable: dict[str, str],
    control: Control | None = None,
) -> Iterator[tuple[_Asked, Prompt]]:
    """Each figure's prompt until a stop; why there is none goes into `unreadable`, by figure_id."""
    for figure in figures.to_dict("records"):
        if control is not None and control.state == "stopped":
            return
        try:
            image = open_image(resolve(figure["image"]))
        except UnreadableImage as error:
            unreadable[figure["figure_id"]] = str(error)
            continue
        own = _number(seed, figure["figure_id"])
        prompt, demonstration_ids = prompt_of(figure, image, own)
        asked = _Asked(figure["figure_id"], own, prompt.version, demonstration_ids)
        yield asked, replace(prompt, seed=own)


def _ask(
    figures: pd.DataFrame,
    client: ChatClient,
    prompt_of: _PromptOf,
    resolve: Resolve,
    seed: int,
    sending: dict,
) -> tuple[_Read, pd.DataFrame]:
    """Ask about every figure; (those whose reply was read, frame of the others)."""
    twice = figures["figure_id"][figures["figure_id"].duplicated()]
    if len(twice):
        raise ValueError(f"figure {twice.iloc[0]!r} stands twice: its candidates' ids would clash")
    sent: list[_Asked] = []
    unreadable: dict[str, str] = {}

    def prompts() -> Iterator[Prompt]:
        control = sending.get("control")
        for one, prompt in _prompts(figures, prompt_of, resolve, seed, unreadable, control):
            sent.append(one)
            yield prompt

    answers = client.ask(prompts(), into=_answer, **sending)
    asked = list(zip(sent, answers, strict=True))
    back = {one.figure_id: answer for one, answer in asked if answer.reason != UNSENT}
    unread = [
        (name, back[name].reply_id, back[name].reason, back[name].text, True)
        if name in back
        else (name, None, unreadable.get(name, UNSENT), "", False)
        for name in figures["figure_id"]
        if name not in back or not back[name].said
    ]
    frame = pd.DataFrame(unread, columns=list(UNREAD_COLUMNS)).astype({"sent": bool})
    return [(one, answer) for one, answer in asked if answer.said], frame


def _frame(
    asked: _Read, table: str, arm: str, wanted: int, client: ChatClient, figures: pd.DataFrame
) -> pd.DataFrame:
    """What was said as rows of `table`, with the flags of all that looks at it."""
    stage, empty = "draft" if table == "drafts" else "final", empty_frame(table)
    rows = [(*one, answer.reply_id, *said) for one, answer in asked for said in answer.said]
    if not rows:
        return empty
    frame = pd.DataFrame(rows, columns=[*_Asked._fields, "reply_id", *_COLUMNS])
    frame = frame.assign(stage=stage, arm=arm, generator=client.model)
    frame["conversation_id"] = frame["figure_id"] + f"-{stage}-{arm}" + _of_policy(frame)
    frame["instruction_id"] = frame["conversation_id"] + "-r" + frame["round"].astype(str)
    frame["candidate_id"] = frame["instruction_id"] + "-" + frame["letter"]
    few = frame.groupby("figure_id")["round"].transform("max") < wanted
    parts = {one.figure_id for one, answer in asked if answer.dropped}
    flags = few.map({True: [FEWER], False: []})
    flags += frame["figure_id"].isin(parts).map({True: [DROPPED], False: []}) + hollow_flags(frame)
    frame["flags"] = flags + grounding_flags(frame, figures)
    return frame[list(empty)]


def _of_policy(frame: pd.DataFrame) -> pd.Series:
    """What tells ids apart that were made under another policy than our own."""
    versions = frame["prompt_version"]
    return ("-" + versions.str[:6]).where(~versions.isin(VERSIONS.values()), "")


class _Demonstration:
    """A row of the table demonstrations; its image is opened when it is first drawn."""

    def __init__(self, row: Mapping[str, Any], path: Path | None) -> None:
        self.row, self.id = row, row["demonstration_id"]
        self._path = path

    @cached_property
    def image(self) -> FigureImage | None:
        try:
            return None if self._path is None else open_image(self._path)
        except UnreadableImage:
            return None


def _pool(
    demonstrations: pd.DataFrame, image_of: Mapping[str, str], resolve: Resolve
) -> list[_Demonstration]:
    rows = demonstrations.to_dict("records")
    images = [image_of.get(row["figure_id"]) for row in rows]  # a null figure_id finds nothing
    return [
        _Demonstration(row, None if image is None else resolve(image))
        for row, image in zip(rows, images, strict=True)
    ]


def _draw(pool: Iterable[_Demonstration], figure_id: str, seed: int) -> list[_Demonstration]:
    """One demonstration per modality that has any, each shown once, none of the figure itself.

    `seed` is the figure's own, as its candidates record it. The demonstration whose hash with it is
    smallest is drawn: neither the order nor, mostly, the size of the pool changes what is shown.
    """
    drawn: list[_Demonstration] = []
    for modality in MODALITIES:
        fitting = {
            _number(seed, modality, one.id): one
            for one in pool
            if modality in one.row["modalities"]
            and one.row["figure_id"] != figure_id
            and one not in drawn
        }
        if fitting:
            drawn.append(fitting[min(fitting)])
    return drawn


def _check_arm(arm: str, demonstrations: pd.DataFrame) -> None:
    if arm not in ARMS:
        raise ValueError(f"arm is {arm!r}; it must be one of {', '.join(ARMS)}")
    if (arm == "none") != demonstrations.empty:
        raise ValueError(
            f"arm {arm!r} was given {len(demonstrations)} demonstrations; only arm 'none' has "
            "none: run notebooks/03_label_preferences.ipynb to choose some, or pass an empty frame"
        )


def _number(*parts: Any) -> int:
    """A number of 31 bits that depends on the parts alone."""
    return int(hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8], 16) >> 1

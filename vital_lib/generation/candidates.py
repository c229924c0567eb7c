"""Asks for candidates: drafts to be labelled, and conversations after demonstrations.

BioMed-VITAL's first stage (paper section 3.1). Every arm runs through the same code and differs
only in the pool of demonstrations it is handed. This module knows nothing of who accepted a
demonstration, nor of any model beyond asking it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from vital_lib.figures import MODALITIES, FigureImage, UnreadableImage, open_image
from vital_lib.generation.grounding import grounding_flags
from vital_lib.prompts import Prompt, draft_prompt, generation_prompt
from vital_lib.tables import empty_frame
from vital_lib.vlm import VLM, Reply
from vital_lib.vlm.control import Control

ARMS = ("none", "random", "clinician")
"""Whose demonstrations the generator was shown."""

UNREAD_COLUMNS = ("figure_id", "reply_id", "reason", "text")
"""Columns of the second frame: figures without candidates, and why; reply_id null if not sent."""

FEWER = "fewer_than_asked"
"""Flag of every candidate of a reply with fewer questions or rounds than were asked for."""

Resolve = Callable[[str], Path]
OnReply = Callable[[int], None]
_Sent = tuple[Prompt, list[str]]  # and the ids of the demonstrations in it
_PromptOf = Callable[[Mapping[str, Any], FigureImage, int], _Sent]


def draft_candidates(
    figures: pd.DataFrame,
    vlm: VLM,
    *,
    resolve: Resolve,
    questions: int = 4,
    seed: int = 0,
    again: bool = False,
    on_reply: OnReply | None = None,
    control: Control | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draft instructions with two responses each, to be labelled.

    Args:
        figures: rows of the table figures.
        resolve: from an `image` to its file (``Workspace.resolve``).
        questions: instructions to ask for, per figure.
        seed: of the run; each figure's own request seed is derived from it and the figure's id.
        again: ask anew where the ledger holds an answer, as for the figures of `unread`.
        on_reply: called with the number of figures done (``VLM.ask``).
        control: pauses and stops the run (``VLM.ask``).

    Returns:
        (rows of the table drafts, with `grounding_flags`; frame of `UNREAD_COLUMNS`).

    Raises:
        ValueError: a figure stands in `figures` twice.
    """

    prompt_of = _without_demonstrations(questions)
    sending = {"again": again, "on_reply": on_reply, "control": control}
    asked, unread = _ask(figures, vlm, prompt_of, resolve, seed, sending)
    rows = [
        _row(one, vlm, "draft", "none", place, letter, question, response)
        | {"flags": [FEWER] if len(one.reply.value.questions) < questions else []}
        for one in asked
        for place, question in enumerate(one.reply.value.questions, start=1)
        for letter, response in (("a", question.response_a), ("b", question.response_b))
    ]
    return _flagged(rows, "drafts", figures), unread


def generate_candidates(
    figures: pd.DataFrame,
    demonstrations: pd.DataFrame,
    vlm: VLM,
    *,
    arm: str,
    resolve: Resolve,
    image_of: Mapping[str, str],
    rounds: int = 5,
    seed: int = 0,
    again: bool = False,
    on_reply: OnReply | None = None,
    control: Control | None = None,
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
        again: ask anew where the ledger holds an answer, as for the figures of `unread`.
        on_reply: called with the number of figures done (``VLM.ask``).
        control: pauses and stops the run (``VLM.ask``).

    Returns:
        (rows of the table candidates, with `grounding_flags`; frame of `UNREAD_COLUMNS`).

    Raises:
        ValueError: an unknown arm, a pool that does not fit it, or a figure that stands twice.
    """
    _check_arm(arm, demonstrations)
    prompt_of = _after_demonstrations(_pool(demonstrations, image_of, resolve), rounds)
    sending = {"again": again, "on_reply": on_reply, "control": control}
    asked, unread = _ask(figures, vlm, prompt_of, resolve, seed, sending)
    rows = [
        _row(one, vlm, "final", arm, place, "a", round, round.response)
        | {"flags": [FEWER] if len(one.reply.value.rounds) < rounds else []}
        for one in asked
        for place, round in enumerate(one.reply.value.rounds, start=1)
    ]
    return _flagged(rows, "candidates", figures), unread


def generate_arms(
    plan: Iterable[tuple[str, pd.DataFrame, pd.DataFrame]],
    vlm: VLM,
    control: Control | None = None,
    **settings: Any,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`generate_candidates` for several arms, one after another under one `control`.

    Args:
        plan: (arm, figures, demonstrations) of each arm.
        settings: further arguments of `generate_candidates`, the same for all.

    Returns:
        As `generate_candidates`, all arms together; the unread also with their `arm`.
    """
    made, unread = [], []
    for arm, figures, demonstrations in plan:
        rows, failed = generate_candidates(
            figures, demonstrations, vlm, arm=arm, control=control, **settings
        )
        made.append(rows)
        unread.append(failed.assign(arm=arm))
    return pd.concat(made, ignore_index=True), pd.concat(unread, ignore_index=True)


def draft_prompts(
    figures: pd.DataFrame, *, resolve: Resolve, questions: int = 4, seed: int = 0
) -> Iterator[Prompt]:
    """The prompts that `draft_candidates` sends with these arguments, as `generation_prompts`."""
    for _, prompt in _prompts(figures, _without_demonstrations(questions), resolve, seed, []):
        yield prompt


def generation_prompts(
    figures: pd.DataFrame,
    demonstrations: pd.DataFrame,
    *,
    resolve: Resolve,
    image_of: Mapping[str, str],
    rounds: int = 5,
    seed: int = 0,
) -> Iterator[Prompt]:
    """The prompts that `generate_candidates` sends with these arguments, to look at or to count.

    One per figure, in order; a figure whose image cannot be read has none.
    """
    prompt_of = _after_demonstrations(_pool(demonstrations, image_of, resolve), rounds)
    for _, prompt in _prompts(figures, prompt_of, resolve, seed, []):
        yield prompt


@dataclass(frozen=True)
class _Asked:
    """One figure that was asked about; its image and messages are not held on to."""

    figure_id: str
    seed: int
    prompt_version: str
    demonstration_ids: list[str]
    reply: Reply | None = None


def _without_demonstrations(questions: int) -> _PromptOf:
    def prompt_of(figure: Mapping[str, Any], image: FigureImage, _: int) -> _Sent:
        return draft_prompt(figure, image, questions), []

    return prompt_of


def _after_demonstrations(pool: list[_Demonstration], rounds: int) -> _PromptOf:
    def prompt_of(figure: Mapping[str, Any], image: FigureImage, seed: int) -> _Sent:
        drawn = _draw(pool, figure["figure_id"], seed)
        shown = [(one.row, one.image) for one in drawn]
        return generation_prompt(figure, image, shown, rounds), [one.id for one in drawn]

    return prompt_of


def _prompts(
    figures: pd.DataFrame, prompt_of: _PromptOf, resolve: Resolve, seed: int, unread: list[tuple]
) -> Iterator[tuple[_Asked, Prompt]]:
    """Each figure's prompt; a row is added to `unread` for one whose image cannot be read."""
    for figure in figures.to_dict("records"):
        try:
            image = open_image(resolve(figure["image"]))
        except UnreadableImage as error:
            unread.append((figure["figure_id"], None, str(error), ""))
            continue
        own = _number(seed, figure["figure_id"])
        prompt, demonstration_ids = prompt_of(figure, image, own)
        asked = _Asked(figure["figure_id"], own, prompt.version, demonstration_ids)
        yield asked, replace(prompt, seed=own)


def _ask(
    figures: pd.DataFrame,
    vlm: VLM,
    prompt_of: _PromptOf,
    resolve: Resolve,
    seed: int,
    sending: Mapping[str, Any],
) -> tuple[list[_Asked], pd.DataFrame]:
    """Ask about every figure; (those whose reply was read, frame of the others)."""
    twice = figures["figure_id"][figures["figure_id"].duplicated()]
    if len(twice):
        raise ValueError(f"figure {twice.iloc[0]!r} stands twice: its candidates' ids would clash")
    sent: list[_Asked] = []
    unread: list[tuple[str, str | None, str, str]] = []

    def prompts() -> Iterator[Prompt]:
        for one, prompt in _prompts(figures, prompt_of, resolve, seed, unread):
            sent.append(one)
            yield prompt

    replies = vlm.ask(prompts(), **sending)
    asked = [replace(one, reply=reply) for one, reply in zip(sent, replies, strict=True)]
    unread += [
        (one.figure_id, one.reply.reply_id, one.reply.reason, one.reply.text)
        for one in asked
        if one.reply.value is None
    ]
    answered = [one for one in asked if one.reply.value is not None]
    return answered, pd.DataFrame(unread, columns=list(UNREAD_COLUMNS))


def _row(
    one: _Asked, vlm: VLM, stage: str, arm: str, place: int, letter: str, said: Any, response: str
) -> dict[str, Any]:
    conversation_id = f"{one.figure_id}-{stage}-{arm}"
    instruction_id = f"{conversation_id}-r{place}"
    return {
        "candidate_id": f"{instruction_id}-{letter}",
        "instruction_id": instruction_id,
        "conversation_id": conversation_id,
        "figure_id": one.figure_id,
        "stage": stage,
        "arm": arm,
        "round": place,
        "instruction": said.instruction,
        "response": response,
        "question_type": said.question_type,
        "demonstration_ids": list(one.demonstration_ids),
        "generator": vlm.model,
        "prompt_version": one.prompt_version,
        "seed": one.seed,
        "reply_id": one.reply.reply_id,
    }


def _flagged(rows: list[dict[str, Any]], table: str, figures: pd.DataFrame) -> pd.DataFrame:
    """The rows as a frame of `table`; what `grounding_flags` finds comes after other flags."""
    empty = empty_frame(table)
    if not rows:
        return empty
    frame = pd.DataFrame(rows)[list(empty)]
    return frame.assign(flags=frame["flags"] + grounding_flags(frame, figures))


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

"""Conversations made into examples, and a list of those that cannot be used as given.

Bad conversations never stop good ones: an unreadable image, an empty response and a conversation
that is too long are listed with their numbers before the first step.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from vital_lib.figures import UnreadableImage
from vital_lib.models import VisionLanguageModel
from vital_lib.tuning.events import LeftOut
from vital_lib.tuning.sequences import (
    FigureTensors,
    NothingToTune,
    encode_conversations,
    encode_rounds,
)

LOG = logging.getLogger(__name__)

_COUNTED = ("conversations", "conversations_dropped", "rounds", "rounds_dropped", "tokens")


@dataclass(frozen=True)
class Examples:
    """Examples of `encode_conversations`, their counts, and what is left out."""

    rows: list[dict[str, Any]]
    counts: dict[str, int]
    left_out: tuple[LeftOut, ...]

    @property
    def lengths(self) -> list[int]:
        """The number of tokens of each example."""
        return [len(row["input_ids"]) for row in self.rows]


NONE = Examples([], dict.fromkeys(_COUNTED, 0), ())


def usable_examples(
    vlm: VisionLanguageModel,
    conversations: pd.DataFrame,
    figures: FigureTensors,
    limit: int,
    *,
    called: str = "conversations",
) -> Examples:
    """Encode every conversation that can be used; list the others, and log their number.

    Args:
        conversations: conversation_id, figure_id, turns.
        limit: longest sequence, in tokens; a longer conversation loses its last rounds.
        called: name of the conversations in messages.

    Raises:
        NothingToTune: no conversation can be used; the message has the first reason.
    """
    rows: list[dict[str, Any]] = []
    counts: Counter[str] = Counter(dict.fromkeys(_COUNTED, 0))
    left_out = []
    for place, row in enumerate(conversations.itertuples()):
        turns, reason = readable_rounds(row.turns)
        try:
            if not reason:
                one = conversations.iloc[[place]]
                found, measured = encode_conversations(vlm, one, figures, limit)
                rows += found
                counts.update(measured)
                if dropped := measured["rounds_dropped"]:
                    reason = f"the last {dropped} of {len(turns)} rounds: "
                    reason += _length(vlm, turns, row.figure_id, figures, limit)
        except UnreadableImage as error:
            reason = str(error)
        except NothingToTune as error:
            reason = _length(vlm, turns, row.figure_id, figures, limit, otherwise=str(error))
        if reason:
            left_out.append(LeftOut(str(row.conversation_id), reason))
    lost = len(conversations) - len(rows)
    counts["conversations_dropped"] = lost
    given = sum(len(readable_rounds(turns)[0]) for turns in conversations["turns"])
    counts["rounds_dropped"] = given - counts["rounds"]
    if not rows:
        raise NothingToTune(f"none of {lost} {called} can be used: {_listed(left_out)}")
    if left_out:
        count = (
            f"{lost} of {len(conversations)} {called} left out, {len(left_out) - lost} shortened"
        )
        LOG.warning("%s: %s", count, _listed(left_out))
    return Examples(rows, dict(counts), tuple(left_out))


def readable_rounds(turns: Any) -> tuple[list[tuple[Any, Any]], str]:
    """Return a conversation's rounds, and why they cannot be used, or nothing."""
    if not isinstance(turns, (list, tuple, np.ndarray)) or not len(turns):
        return [], "it has no round"
    if not all(isinstance(turn, Mapping) for turn in turns):
        return [], f"its rounds are no instructions with responses, but {turns[0]!r:.60}"
    rounds = [(turn.get("instruction"), turn.get("response")) for turn in turns]
    for number, turn in enumerate(rounds, start=1):
        for text, name in zip(turn, ("question", "response"), strict=True):
            where = f"round {number} of {len(rounds)} has"
            if text is not None and not isinstance(text, str):
                return rounds, f"{where} a {name} that is no text: {text!r:.60}"
            if not (text or "").strip():
                return rounds, f"{where} an empty {name}"
            if any("\ud800" <= letter <= "\udfff" for letter in text):
                return rounds, f"{where} a {name} that is no Unicode: {text!r:.60}"
    return rounds, ""


def _length(
    vlm: VisionLanguageModel,
    turns: Sequence[tuple[str, str]],
    figure_id: str,
    figures: FigureTensors,
    limit: int,
    otherwise: str = "",
) -> str:
    """Return how long the whole conversation is, or `otherwise` if it is not too long."""
    tokens, _ = encode_rounds(vlm, turns, figures.open(figure_id))
    length = len(tokens["input_ids"])
    return f"{length:,} tokens, the limit is {limit:,}" if length > limit else otherwise


def _listed(left_out: Sequence[LeftOut]) -> str:
    first = "; ".join(f"{one.conversation_id}: {one.reason}" for one in left_out[:3])
    return first + (f"; and {len(left_out) - 3} more" if len(left_out) > 3 else "")

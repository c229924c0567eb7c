"""Training texts of the clinic's vision-language model as tokens and batches.

This module knows nothing about models.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from vital_lib.clinic.base_models.data import IMAGE_TOKENS
from vital_lib.clinic.base_models.talk import (
    Round,
    write_conversation,
    write_lesson,
    write_round,
)
from vital_lib.clinic.base_models.texts import FIGURE_CAPTION_REQUEST
from vital_lib.clinic.captions import write_caption
from vital_lib.clinic.lexicon import Truth

CAPTIONS = 0.12
"""Share of conversations that are replaced by a caption."""
IGNORED = -100
"""The label of a token without a loss."""
IMAGE_TEXT = "<image>" * IMAGE_TOKENS + "\n"


@dataclass
class Spelt:
    """A text as tokens; every list has the length of the text.

    ``labels`` are -100 outside the answers. ``weights`` are the tokens' weights in the loss.
    ``rounds`` are 0 for tokens that all later tokens see, otherwise the number of an independent
    round.
    """

    ids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)

    def add(self, tokens: list[int], *, place: int, learnt: bool = False) -> None:
        """Append `tokens`; in a learnt answer the first weighs 1, the others 1 / sqrt(length)."""
        self.ids += tokens
        self.labels += tokens if learnt else [IGNORED] * len(tokens)
        self.weights += _weights(len(tokens)) if learnt else [0.0] * len(tokens)
        self.rounds += [place] * len(tokens)


def _weights(length: int) -> list[float]:
    return [1.0] + [length**-0.5] * (length - 1)


def conversation(
    truth: Truth, rng: np.random.Generator, tokenizer: PreTrainedTokenizerFast
) -> Spelt:
    """One conversation about a picture, or its caption."""
    if rng.random() < CAPTIONS:
        rounds = [(FIGURE_CAPTION_REQUEST, write_caption(truth, rng))]
    else:
        rounds = write_conversation(truth, rng)
    return spell(rounds, tokenizer, IMAGE_TEXT)


def quiz(
    truth: Truth, questions: int, rng: np.random.Generator, tokenizer: PreTrainedTokenizerFast
) -> Spelt:
    """`questions` rounds about a picture, each independent of the others."""
    rounds = [write_round(truth, rng) for _ in range(questions)]
    return spell(rounds, tokenizer, IMAGE_TEXT, alone=True)


def lesson(rng: np.random.Generator, tokenizer: PreTrainedTokenizerFast) -> Spelt:
    """One lesson from the textbook, without a picture."""
    return spell(write_lesson(rng), tokenizer)


def spell(
    rounds: list[Round], tokenizer: PreTrainedTokenizerFast, before: str = "", alone: bool = False
) -> Spelt:
    """Rounds as tokens, with `before` ahead of the first question.

    With `alone`, every round sees `before` and itself only.
    """
    text = Spelt()
    text.add(token_ids(tokenizer, f"USER: {before}"), place=0)
    for number, (question, answer) in enumerate(rounds):
        again = "" if number == 0 or alone else "USER: "
        place = number + 1 if alone else 0
        text.add(token_ids(tokenizer, f"{again}{question}\nASSISTANT:"), place=place)
        text.add(token_ids(tokenizer, f" {answer}</s>"), place=place, learnt=True)
    return text


def token_ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """Token ids of `text`, without special tokens."""
    return tokenizer.encode(text, add_special_tokens=False)


def collate(texts: list[Spelt]) -> dict[str, torch.Tensor]:
    """Texts as one batch, padded on the right with id 0.

    Returns ``ids``, ``labels``, ``weights`` and ``positions`` (n, longest), and the attention mask
    ``sees`` (n, 1, longest, longest): a token sees earlier tokens of its own round and of the
    shared beginning. The positions of an independent round continue those of the shared beginning.
    """
    longest = max(len(text.ids) for text in texts)
    padded = {
        name: torch.tensor([getattr(t, name) + [fill] * (longest - len(t.ids)) for t in texts])
        for name, fill in (("ids", 0), ("labels", IGNORED), ("weights", 0.0), ("rounds", -1))
    }
    rounds, places = padded.pop("rounds"), torch.arange(longest)
    same = rounds[:, :, None] == rounds[:, None, :]
    sees = (same | (rounds == 0)[:, None, :]) & (places[:, None] >= places[None, :])
    positions = sees.sum(-1) - 1
    return {**padded, "positions": positions, "sees": sees[:, None]}

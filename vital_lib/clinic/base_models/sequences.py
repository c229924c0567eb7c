"""What the clinic's vision-language model reads in training, as tokens and batches.

Knows nothing about models.
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
"""Share of conversations that are a caption instead."""
IGNORED = -100
"""The label of a token that is not learnt."""
IMAGE_TEXT = "<image>" * IMAGE_TOKENS + "\n"


@dataclass
class Spelt:
    """A text as tokens, each list as long as the text.

    ``labels`` are -100 outside the answers; ``weights`` say how much a token counts in the loss;
    ``rounds`` are 0 where all that follows may look, else the number of a round that stands alone.
    """

    ids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)

    def add(self, tokens: list[int], *, place: int, learnt: bool = False) -> None:
        """Append `tokens`; of a learnt answer the first counts 1, others 1 / sqrt(its length)."""
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
    """`questions` rounds about a picture, each as if it were the only one."""
    rounds = [write_round(truth, rng) for _ in range(questions)]
    return spell(rounds, tokenizer, IMAGE_TEXT, alone=True)


def lesson(rng: np.random.Generator, tokenizer: PreTrainedTokenizerFast) -> Spelt:
    """A lesson from the textbook, without a picture."""
    return spell(write_lesson(rng), tokenizer)


def spell(
    rounds: list[Round], tokenizer: PreTrainedTokenizerFast, before: str = "", alone: bool = False
) -> Spelt:
    """Rounds as tokens, `before` ahead of the first question.

    With `alone` every round follows `before` directly and sees no other round.
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
    """`text` as ids, nothing added."""
    return tokenizer.encode(text, add_special_tokens=False)


def collate(texts: list[Spelt]) -> dict[str, torch.Tensor]:
    """Texts padded on the right with id 0: ids, labels, positions (n, longest) and what sees what.

    ``sees`` (n, 1, longest, longest) is True where a token may look at another: backwards, at
    what comes before the first round, and within its own round. A round's positions go on from
    what comes before the first.
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

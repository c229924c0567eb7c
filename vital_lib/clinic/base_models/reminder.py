"""Auxiliary heads that teach a small language model to compare words with the picture.

The heads are discarded after training. This module uses only the model's hidden states.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from transformers import PreTrainedTokenizerFast

from vital_lib.clinic.base_models.data import SPECIAL
from vital_lib.clinic.base_models.sequences import IGNORED, token_ids
from vital_lib.clinic.base_models.texts import VALUES, value_names
from vital_lib.clinic.lexicon import ATTRIBUTES


class Reminder(nn.Module):
    """Linear heads on a question's tokens, with a loss on what the picture shows.

    The answer to "left?" needs both the word and the picture, and a model this small stays at
    chance for thousands of steps. So the heads teach two layers. After the first, every token of a
    question predicts what the picture shows. After the second, a token that names a value predicts
    whether the picture has that value.
    """

    def __init__(self, width: int, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(width, len(VALUES[name])) for name in ATTRIBUTES)
        self.truth = nn.Linear(width, 1)
        self.register_buffer("named", _named_values(tokenizer))

    def loss(
        self, layers: Sequence[torch.Tensor], ids: torch.Tensor, labels: torch.Tensor,
        codes: torch.Tensor,
    ) -> torch.Tensor:  # fmt: skip
        """Sum of the mean cross-entropies of both kinds of heads.

        `layers` (b, L, width) are the embedding and the hidden states after each layer; `ids` and
        `labels` (b, L) belong to the tokens, `codes` (b, 6) to the pictures.
        """
        of_question = (labels == IGNORED) & (ids > len(SPECIAL))
        wanted = codes[:, None, :].expand(*of_question.shape, -1)  # (b, L, 6)
        known = layers[1][of_question]
        knowing = [
            nn.functional.cross_entropy(head(known).float(), wanted[of_question][:, place])
            for place, head in enumerate(self.heads)
        ]
        named = self.named[ids]  # (b, L, 2): attribute and code
        names = of_question & (named[..., 0] >= 0)
        has = wanted.gather(2, named[..., :1].clamp(min=0))[..., 0] == named[..., 1]
        comparing = nn.functional.binary_cross_entropy_with_logits(
            self.truth(layers[2][names])[..., 0].float(), has[names].float()
        )
        return torch.stack(knowing).mean() + comparing


def _named_values(tokenizer: PreTrainedTokenizerFast) -> torch.Tensor:
    """Attribute and code of the value that each token names, else -1 and -1, (vocabulary, 2)."""
    named = torch.full((len(tokenizer), 2), -1)
    for name, value, word in value_names():
        place, code = ATTRIBUTES.index(name), VALUES[name].index(value)
        for form in {word, word[0].upper() + word[1:]}:
            for before in ("", " "):
                tokens = token_ids(tokenizer, before + form)
                if len(tokens) == 1:
                    named[tokens[0]] = torch.tensor([place, code])
    return named

"""Teaches a small language half to compare a question's words with what the picture shows.

Linear heads, thrown away after training. Knows nothing about the model beyond its hidden states.
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
    """Linear heads that teach a question's tokens to compare words with the picture; thrown away.

    Whether "left?" is true is a comparison, and neither word nor picture alone tells it: a model
    this small stays at chance for thousands of steps. So the first layer of the language half is
    taught that every token of a question knows what the picture shows, and the second that a token
    which names a value knows whether the picture has it.
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
        """Sum of both mean cross-entropies.

        `layers` (b, L, width) are hidden states after each layer, the embedding first; `ids` and
        `labels` (b, L) are of the tokens, `codes` (b, 6) of the pictures.
        """
        asked = (labels == IGNORED) & (ids > len(SPECIAL))
        wanted = codes[:, None, :].expand(*asked.shape, -1)  # (b, L, 6)
        known = layers[1][asked]
        knowing = [
            nn.functional.cross_entropy(head(known).float(), wanted[asked][:, place])
            for place, head in enumerate(self.heads)
        ]
        named = self.named[ids]  # (b, L, 2): attribute and code
        names = asked & (named[..., 0] >= 0)
        has = wanted.gather(2, named[..., :1].clamp(min=0))[..., 0] == named[..., 1]
        comparing = nn.functional.binary_cross_entropy_with_logits(
            self.truth(layers[2][names])[..., 0].float(), has[names].float()
        )
        return torch.stack(knowing).mean() + comparing


def _named_values(tokenizer: PreTrainedTokenizerFast) -> torch.Tensor:
    """Which value each token names: attribute and code, both -1 for most, (vocabulary, 2)."""
    named = torch.full((len(tokenizer), 2), -1)
    for name, value, word in value_names():
        place, code = ATTRIBUTES.index(name), VALUES[name].index(value)
        for form in {word, word[0].upper() + word[1:]}:
            for before in ("", " "):
                tokens = token_ids(tokenizer, before + form)
                if len(tokens) == 1:
                    named[tokens[0]] = torch.tensor([place, code])
    return named

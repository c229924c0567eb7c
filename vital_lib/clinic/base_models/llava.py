"""The clinic's vision-language model: a tiny LLaVA that answers plain questions about phantoms.

A toy version of Liu and others 2023, with the encoder's vision tower. It learns conversations about
pictures in a wording of its own, captions, and the English of a small textbook. It does not learn
the benchmark's questions or the clinicians' preferences, which tuning can then teach. This module
knows nothing about the benchmark, candidates or tuning.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import (
    CLIPModel,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from vital_lib.clinic.base_models.data import (
    IMAGE_TOKENS,
    PATCH_SIDE,
    Phantoms,
    check_vocabulary,
    image_processor,
)
from vital_lib.clinic.base_models.reminder import Reminder
from vital_lib.clinic.base_models.sequences import (
    IGNORED,
    Spelt,
    collate,
    conversation,
    lesson,
    quiz,
)
from vital_lib.clinic.base_models.vision import Descent, random_shift
from vital_lib.clinic.lexicon import Truth

LOG = logging.getLogger(__name__)
CONTEXT_TOKENS = 1024
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{{ 'ASSISTANT: ' }}"
    "{% elif message['role'] == 'user' %}{{ 'USER: ' }}{% endif %}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>\n' }}{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ '</s>' }}{% else %}{{ '\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
_SELECTED = "full"
"""Patches and class token; the encoder's training put every attribute into the class token."""


@dataclass(frozen=True)
class LlavaPlan:
    """Size and training of the vision-language model."""

    vocabulary: int = 2_400
    width: int = 128
    layers: int = 4
    heads: int = 4
    steps: int = 1400
    batch: int = 24
    questions: int = 8  # per picture, each independent of the others
    conversations: float = 0.25  # share of pictures with a conversation instead
    lessons: int = 4  # from the textbook, added to each batch
    reminding: float = 1.0  # weight of the reminder's loss; the answers' is 1
    learning_rate: float = 2e-3
    seed: int = 0

    def __post_init__(self) -> None:
        check_vocabulary(self.vocabulary)
        if self.width % (2 * self.heads):
            raise ValueError(f"width={self.width} is not a multiple of 2*heads={2 * self.heads}")
        if self.layers < 2:
            raise ValueError(f"layers={self.layers}: give 2 or more, the reminder teaches two")
        if self.steps < 1 or self.batch < 1:
            raise ValueError(f"steps={self.steps}, batch={self.batch}: give 1 or more")


def build_llava(
    plan: LlavaPlan, encoder: CLIPModel, tokenizer: PreTrainedTokenizerFast
) -> LlavaForConditionalGeneration:
    """A LLaVA with random language weights and the vision tower of `encoder`."""
    ids: dict[str, Any] = {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    config = LlavaConfig(
        vision_config=encoder.config.vision_config,
        text_config=_language_config(plan, len(tokenizer), ids),
        image_token_index=int(tokenizer.convert_tokens_to_ids("<image>")),
        image_seq_length=IMAGE_TOKENS,
        vision_feature_layer=-1,
        vision_feature_select_strategy=_SELECTED,
        tie_word_embeddings=True,
        **ids,
    )
    torch.manual_seed(plan.seed)
    model = LlavaForConditionalGeneration(config)
    tower = model.model.vision_tower
    tower = getattr(tower, "vision_model", tower)
    tower.load_state_dict(encoder.vision_model.state_dict())
    model.generation_config = GenerationConfig(max_new_tokens=48, do_sample=False, **ids)
    return model


def _language_config(plan: LlavaPlan, vocabulary: int, ids: dict[str, Any]) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=plan.width,
        intermediate_size=int(2.5 * plan.width),
        num_hidden_layers=plan.layers,
        num_attention_heads=plan.heads,
        num_key_value_heads=plan.heads,
        max_position_embeddings=CONTEXT_TOKENS,
        tie_word_embeddings=True,
        **ids,
    )


def make_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """A LLaVA processor: image processor, tokenizer and chat template."""
    return LlavaProcessor(
        image_processor(),
        tokenizer,
        patch_size=PATCH_SIDE,
        vision_feature_select_strategy=_SELECTED,
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def train_llava(
    plan: LlavaPlan, encoder: CLIPModel, phantoms: Phantoms, tokenizer: PreTrainedTokenizerFast
) -> LlavaForConditionalGeneration:
    """Train a LLaVA by cross-entropy over the answers; the vision tower stays frozen.

    Most pictures come with many questions, and each question sees only the picture and itself. That
    teaches the same as one conversation per question, for a fraction of the tokens.
    """
    model = build_llava(plan, encoder, tokenizer)
    model.model.vision_tower.requires_grad_(False)
    model.set_attn_implementation("eager")  # several times as fast with arbitrary masks
    reminder = Reminder(plan.width, tokenizer)
    descent = Descent([model, reminder], steps=plan.steps, learning_rate=plan.learning_rate)
    rng = np.random.default_rng(plan.seed)
    started = time.monotonic()
    model.train()
    for step in range(plan.steps):
        rows = rng.integers(len(phantoms.truths), size=plan.batch)
        read = [_about(phantoms.truths[k], plan, rng, tokenizer) for k in rows]
        read += [lesson(rng, tokenizer) for _ in range(plan.lessons)]
        pixels, words = phantoms.batch(rows, random_shift(rng)), collate(read)
        with torch.autocast("cpu", torch.bfloat16):
            answered, reminded = _losses(model, reminder, pixels, words, phantoms.codes[rows])
        descent.step(answered + plan.reminding * reminded)
        if step % 50 == 0 or step == plan.steps - 1:
            LOG.info(
                "llava step %d loss %.3f, reminder %.3f, %.0f s",
                step, answered.item(), reminded.item(), time.monotonic() - started,
            )  # fmt: skip
    return model.eval()


def _about(truth: Truth, plan: LlavaPlan, rng, tokenizer: PreTrainedTokenizerFast) -> Spelt:
    """The text for one picture: a conversation, a caption, or many independent questions."""
    if rng.random() < plan.conversations:
        return conversation(truth, rng, tokenizer)
    return quiz(truth, plan.questions, rng, tokenizer)


def _losses(
    model, reminder: Reminder, pixels: torch.Tensor, words: dict[str, torch.Tensor], codes
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy of the answers' tokens, weighted as in `Spelt`, and the reminder's loss."""
    layers, scores = teacher_forced(model, pixels, words)
    learnt = words["labels"][:, 1:] != IGNORED
    losses = nn.functional.cross_entropy(scores, words["labels"][:, 1:][learnt], reduction="none")
    weights = words["weights"][:, 1:][learnt]
    pictured = slice(len(codes))
    reminded = reminder.loss(
        [layer[pictured] for layer in layers], words["ids"][pictured], words["labels"][pictured],
        codes,
    )  # fmt: skip
    return (weights * losses).sum() / weights.sum(), reminded


def teacher_forced(
    model: LlavaForConditionalGeneration, pixels: torch.Tensor, words: dict[str, torch.Tensor]
) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
    """Return hidden states (n, L, width) of the language model by layer, and its answers' scores.

    The scores (t, vocabulary) are those of the t tokens with a label. `pixels` (b, 3, 96, 96) are
    those of the texts in `words` that have a picture, in order.
    """
    with torch.no_grad():
        seen = model.model.vision_tower(pixel_values=pixels, output_hidden_states=True)
    pictures = model.model.multi_modal_projector(seen.hidden_states[-1])  # (b, 65, width)
    embedded = model.get_input_embeddings()(words["ids"])
    places = (words["ids"] == model.config.image_token_index)[..., None]
    embedded = embedded.masked_scatter(places, pictures.to(embedded.dtype))
    out = model.model.language_model(
        inputs_embeds=embedded,
        attention_mask=_bias(words["sees"]),
        position_ids=words["positions"],
        output_hidden_states=True,
    )
    learnt = words["labels"][:, 1:] != IGNORED
    scores = model.lm_head(out.last_hidden_state[:, :-1][learnt]).float()
    return out.hidden_states, scores


def _bias(sees: torch.Tensor) -> torch.Tensor:
    """The attention bias of a mask: 0 where True, the least float32 elsewhere."""
    return torch.zeros(sees.shape).masked_fill(~sees, torch.finfo(torch.float32).min)


def save_llava(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, folder: Path
) -> None:
    """Write model, generation settings and processor with its chat template to `folder`."""
    model.save_pretrained(folder)
    make_processor(tokenizer).save_pretrained(folder)

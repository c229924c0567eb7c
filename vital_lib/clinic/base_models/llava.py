"""The clinic's vision-language model: a tiny LLaVA that answers plain questions about phantoms.

Its vision tower starts as the encoder's (Liu and others 2023, at the size of a toy). It learns to
talk about pictures in a wording of its own, to write captions, and the English of a small textbook:
it can see and speak, but has still to learn how the benchmark asks and what clinicians prefer.
Knows nothing about the benchmark, candidates or tuning.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
from vital_lib.clinic.base_models.talk import Round, write_conversation, write_lesson
from vital_lib.clinic.base_models.texts import (
    FIGURE_CAPTION_REQUEST,
    ask_for_caption,
    ask_plainly,
    ask_whether,
)
from vital_lib.clinic.base_models.vision import cosine_schedule, descend, random_shift
from vital_lib.clinic.captions import write_caption
from vital_lib.clinic.lexicon import ATTRIBUTES, Truth

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
CAPTIONS = 0.12
_IGNORED = -100


@dataclass(frozen=True)
class LlavaPlan:
    """Size and training of the vision-language model."""

    vocabulary: int = 2_000
    width: int = 112
    layers: int = 3
    heads: int = 4
    steps: int = 1000
    batch: int = 40
    lessons: int = 8  # from the textbook, beside each batch
    learning_rate: float = 2e-3
    seed: int = 0

    def __post_init__(self) -> None:
        check_vocabulary(self.vocabulary)
        if self.width % (2 * self.heads):
            raise ValueError(f"width={self.width} is not a multiple of 2*heads={2 * self.heads}")
        if self.steps < 1 or self.batch < 1:
            raise ValueError(f"steps={self.steps}, batch={self.batch}: wanted at least 1")


def build_llava(
    plan: LlavaPlan, encoder: CLIPModel, tokenizer: PreTrainedTokenizerFast
) -> LlavaForConditionalGeneration:
    """A LLaVA with fresh language weights and the vision tower of `encoder`."""
    ids = {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    config = LlavaConfig(
        vision_config=encoder.config.vision_config,
        text_config=_language_config(plan, len(tokenizer), ids),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=IMAGE_TOKENS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
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


def _language_config(plan: LlavaPlan, vocabulary: int, ids: dict[str, int]) -> LlamaConfig:
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
    """Image processor, tokenizer and chat template as one."""
    return LlavaProcessor(
        image_processor(),
        tokenizer,
        patch_size=PATCH_SIDE,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def train_llava(
    plan: LlavaPlan, encoder: CLIPModel, phantoms: Phantoms, tokenizer: PreTrainedTokenizerFast
) -> LlavaForConditionalGeneration:
    """A trained LLaVA: cross-entropy over the answers of plain conversations."""
    model = build_llava(plan, encoder, tokenizer)
    seeing, speaking = _parameters(model)
    optimizer = torch.optim.AdamW(
        [{"params": seeing, "lr": 0.3 * plan.learning_rate}, {"params": speaking}],
        lr=plan.learning_rate,
        weight_decay=0.01,
    )
    schedule = cosine_schedule(optimizer, plan.steps)
    rng = np.random.default_rng(plan.seed)
    started = time.monotonic()
    model.train()
    for step in range(plan.steps):
        rows = rng.integers(len(phantoms.truths), size=plan.batch)
        read = [conversation(phantoms.truths[k], rng, tokenizer) for k in rows]
        read += [lesson(rng, tokenizer) for _ in range(plan.lessons)]
        words = _collate(read)
        loss = model(pixel_values=phantoms.batch(rows, random_shift(rng)), **words).loss
        descend(loss, [*seeing, *speaking], optimizer, schedule)
        if step % 50 == 0 or step == plan.steps - 1:
            LOG.info(
                "llava step %d loss %.3f, %.0f s", step, loss.item(), time.monotonic() - started
            )
    return model.eval()


def _parameters(model: nn.Module) -> tuple[list, list]:
    """The vision tower's parameters, and all others."""
    parts: tuple[list, list] = ([], [])
    for name, parameter in model.named_parameters():
        parts["vision" not in name].append(parameter)
    return parts


def conversation(
    truth: Truth, rng: np.random.Generator, tokenizer: PreTrainedTokenizerFast
) -> tuple[list[int], list[int]]:
    """One conversation about a picture as ids and labels; only answers are learnt."""
    if rng.random() < CAPTIONS:
        rounds = [(FIGURE_CAPTION_REQUEST, write_caption(truth, rng))]
    else:
        rounds = write_conversation(truth, rng)
    return spell(rounds, tokenizer, "<image>" * IMAGE_TOKENS + "\n")


def lesson(
    rng: np.random.Generator, tokenizer: PreTrainedTokenizerFast
) -> tuple[list[int], list[int]]:
    """A lesson from the textbook as ids and labels, without a picture."""
    return spell(write_lesson(rng), tokenizer)


def spell(
    rounds: list[Round], tokenizer: PreTrainedTokenizerFast, before: str = ""
) -> tuple[list[int], list[int]]:
    """Rounds as ids and labels (-100 outside the answers), `before` ahead of the first question."""
    ids: list[int] = []
    labels: list[int] = []
    for place, (question, answer) in enumerate(rounds):
        asked = _ids(tokenizer, f"USER: {before if place == 0 else ''}{question}\nASSISTANT:")
        said = _ids(tokenizer, f" {answer}</s>")
        ids += asked + said
        labels += [_IGNORED] * len(asked) + said
    return ids, labels


def _ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)


def _collate(conversations: list[tuple[list[int], list[int]]]) -> dict[str, torch.Tensor]:
    """Conversations padded on the right (id 0), (n, longest); padding is not learnt."""
    longest = max(len(ids) for ids, _ in conversations)
    ids = torch.zeros(len(conversations), longest, dtype=torch.long)
    labels = torch.full_like(ids, _IGNORED)
    mask = torch.zeros_like(ids)
    for row, (tokens, answers) in enumerate(conversations):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        labels[row, : len(tokens)] = torch.tensor(answers)
        mask[row, : len(tokens)] = 1
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}


@torch.inference_mode()
def measure_llava(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, phantoms: Phantoms
) -> dict[str, float]:
    """Share of exactly right answers about held-out `phantoms`, by attribute.

    Keys ``open_<attribute>`` (pictures with a finding, and all for modality and finding),
    ``yes_no_<attribute>``, and ``caption``.
    """
    processor = make_processor(tokenizer)
    found = {}
    for subject, tests in _tests(phantoms):
        right = 0
        for start in range(0, len(tests), 64):
            part = tests[start : start + 64]
            said = _answers(model, processor, phantoms, [t[:2] for t in part])
            right += sum(text == answer for text, (_, _, answer) in zip(said, part, strict=True))
        found[subject] = round(right / len(tests), 4)
    return found


def _tests(phantoms: Phantoms) -> Iterator[tuple[str, list[tuple[int, str, str]]]]:
    """Each subject with its (row, question, answer)."""
    shown = [row for row, truth in enumerate(phantoms.truths) if truth.count]
    for name in ATTRIBUTES:
        rows = range(len(phantoms.truths)) if name in ("modality", "finding") else shown
        rngs = {row: np.random.default_rng((row, 7)) for row in rows}
        truths = phantoms.truths
        yield f"open_{name}", [(row, *ask_plainly(truths[row], name, rngs[row])) for row in rows]
        whether = [(row, *ask_whether(truths[row], name, rngs[row])[1:]) for row in shown]
        yield f"yes_no_{name}", whether
    captions = [
        (row, *ask_for_caption(truth, np.random.default_rng((row, 8))))
        for row, truth in enumerate(phantoms.truths)
    ]
    yield "caption", captions


def _answers(model, processor, phantoms, questions: list[tuple[int, str]]) -> list[str]:
    texts = [
        f"USER: {'<image>' * IMAGE_TOKENS}\n{question}\nASSISTANT:" for _, question in questions
    ]
    tokenizer = processor.tokenizer
    words = tokenizer(
        texts, padding=True, padding_side="left", return_tensors="pt", return_token_type_ids=False
    )
    pixels = phantoms.batch(np.array([row for row, _ in questions]))
    tokens = model.generate(**words, pixel_values=pixels, max_new_tokens=32)
    new = tokens[:, words["input_ids"].shape[1] :]
    return [text.strip() for text in tokenizer.batch_decode(new, skip_special_tokens=True)]


def save_llava(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, folder: Path
) -> None:
    """Write model, generation settings and processor with its chat template to `folder`."""
    model.save_pretrained(folder)
    make_processor(tokenizer).save_pretrained(folder)

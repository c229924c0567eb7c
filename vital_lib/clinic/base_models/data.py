"""Training data of both base models: phantoms that no run draws, corpora and tokenizers.

This module knows nothing about the models themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import CLIPImageProcessorPil, PreTrainedTokenizerFast

from vital_lib.clinic.base_models.talk import write_conversation, write_lesson, write_spoken
from vital_lib.clinic.base_models.texts import (
    PLAIN_WORDS,
    VALUES,
    Statement,
    plain_rounds,
    value_names,
    write_exchange,
    write_sentence,
)
from vital_lib.clinic.captions import write_caption, write_mentions
from vital_lib.clinic.figure_set import RESERVED_SEED
from vital_lib.clinic.lexicon import ATTRIBUTES, Truth, facts_in
from vital_lib.clinic.phantoms import Spot, draw_with_spots, sample_truth

IMAGE_SIDE = 96
PATCH_SIDE = 12
IMAGE_TOKENS = (IMAGE_SIDE // PATCH_SIDE) ** 2 + 1
"""Tokens that a picture takes up in a conversation: the class token and the patches after it."""
SPECIAL = ("<pad>", "<s>", "<image>", "</s>", "<unk>")
"""The first ids of the vocabulary. The end of a text must not be id 2: a CLIP text model then
assumes an old format, pools at the largest id, and ignores everything after that token."""
_MEAN, _SPREAD = 0.5, 0.5


@dataclass(frozen=True)
class Phantoms:
    """Phantoms: truths, spots, 8-bit pixels (n, 96, 96, 3) and the truths as codes (n, 6)."""

    truths: list[Truth]
    spots: list[tuple[Spot, ...]]
    pixels: np.ndarray
    codes: torch.Tensor

    def batch(self, rows: np.ndarray, shift: tuple[int, int] = (0, 0)) -> torch.Tensor:
        """Pixels of `rows` as the image processor returns them, (len(rows), 3, 96, 96).

        `shift` moves all pictures by a few pixels and repeats their borders, so that passes over
        the same picture differ.
        """
        pixels = self.pixels[rows]
        if any(shift):
            pad = max(abs(step) for step in shift)
            pixels = np.pad(pixels, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="edge")
            top, left = pad + shift[0], pad + shift[1]
            pixels = pixels[:, top : top + IMAGE_SIDE, left : left + IMAGE_SIDE]
        values = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)
        return (values.float() / 255.0 - _MEAN) / _SPREAD


def draw_phantoms(count: int, *, stream: int) -> Phantoms:
    """Draw `count` phantoms from a reserved `stream` of seeds, which no run uses."""
    truths, spots = [], []
    pixels = np.empty((count, IMAGE_SIDE, IMAGE_SIDE, 3), dtype=np.uint8)
    for number in range(count):
        rng = np.random.default_rng((RESERVED_SEED + stream, number))
        truths.append(sample_truth(rng))
        image, places = draw_with_spots(truths[-1], rng)
        spots.append(places)
        pixels[number] = image.resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.BICUBIC)
    return Phantoms(truths, spots, pixels, encode_truths(truths))


def encode_truths(truths: Iterable[Truth]) -> torch.Tensor:
    """Each truth as the indices of its values in ``VALUES``, (n, 6)."""
    rows = [
        [VALUES[name].index(value) for name, value in zip(ATTRIBUTES, astuple(truth), strict=True)]
        for truth in truths
    ]
    return torch.tensor(rows, dtype=torch.long)


def encode_allowed(statements: Iterable[Statement]) -> torch.Tensor:
    """Values that each text allows, bool (n, 6, 16); True for attributes it does not mention."""
    widest = max(len(values) for values in VALUES.values())
    rows = []
    for statement in statements:
        row = np.ones((len(ATTRIBUTES), widest), dtype=bool)
        for name, allowed in statement.allowed.items():
            place, values = ATTRIBUTES.index(name), VALUES[name]
            row[place] = [k < len(values) and values[k] in allowed for k in range(widest)]
        rows.append(row)
    return torch.from_numpy(np.stack(rows))


def caption_statement(truth: Truth, rng: np.random.Generator) -> Statement:
    """A caption, a caption with mentions, or one mention, with the facts it states."""
    caption = write_caption(truth, rng)
    kind = rng.random()
    if kind < 0.5:
        return read_facts(caption)
    stated = set(facts_in([caption]))
    mentions = write_mentions(truth, stated, rng)
    if kind < 0.7 and mentions:
        return read_facts(mentions[rng.integers(len(mentions))])
    return read_facts(" ".join([caption, *mentions]))


def read_facts(text: str) -> Statement:
    """`text` with the facts that the clinic's lexicon finds in it."""
    facts = facts_in([text])
    return Statement(text, {name: frozenset([value]) for name, value in facts.items()})


def image_processor() -> CLIPImageProcessorPil:
    """Image processor that resizes to 96 by 96 pixels; cropping could remove one side."""
    side = {"height": IMAGE_SIDE, "width": IMAGE_SIDE}
    return CLIPImageProcessorPil(
        size=side,
        crop_size=side,
        do_center_crop=False,
        resample=Image.Resampling.BICUBIC,
        image_mean=[_MEAN] * 3,
        image_std=[_SPREAD] * 3,
        do_convert_rgb=True,
    )


def check_vocabulary(vocabulary: int) -> None:
    """Check that a tokenizer of `vocabulary` entries can encode every text.

    Raises:
        ValueError: `vocabulary` is below 300.
    """
    if vocabulary < 300:
        raise ValueError(f"vocabulary={vocabulary}: give 300 or more, 261 are bytes and marks")


def train_tokenizer(vocabulary: int, texts: Iterable[str]) -> Tokenizer:
    """Train a byte-level BPE tokenizer of at most `vocabulary` entries; it encodes any text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def encoder_corpus() -> list[str]:
    """Texts for the encoder's tokenizer: the clinic's texts and a broad sample of plain words."""
    texts: list[str] = [" ".join(PLAIN_WORDS.split())] * 60
    for truth, rng in _spelling_truths():
        texts += [write_sentence(truth, rng).text, write_exchange(truth, rng).text]
        texts += [write_spoken(truth, rng).text]
        texts += [caption_statement(truth, rng).text]
        texts += _written(plain_rounds(truth, rng, 3))
    return texts


def language_corpus() -> list[str]:
    """Texts for the vision-language model's tokenizer: conversations, captions and lessons.

    Words that name values are repeated often enough to become single tokens, so that the model can
    compare them.
    """
    names = [name for _, _, word in value_names() for name in (word, word[0].upper() + word[1:])]
    texts = [f"{name}\n {name}" for name in names] * 200
    for truth, rng in _spelling_truths():
        texts += [write_caption(truth, rng)]
        texts += _written([*write_conversation(truth, rng), *write_lesson(rng)])
    return texts


def _spelling_truths() -> Iterator[tuple[Truth, np.random.Generator]]:
    for number in range(2000):
        rng = np.random.default_rng((RESERVED_SEED + 99, number))
        yield sample_truth(rng), rng


def _written(rounds: Iterable[tuple[str, str]]) -> list[str]:
    return [f"USER: {question}\nASSISTANT: {answer}" for question, answer in rounds]


def text_encoder_tokenizer(tokenizer: Tokenizer, longest: int) -> PreTrainedTokenizerFast:
    """`tokenizer` for the encoder: begin and end marked, cut at `longest`, padded right."""
    tokenizer = Tokenizer.from_str(tokenizer.to_str())
    begin, end = ("<s>", 1), ("</s>", 3)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[begin, end]
    )
    return _wrap(tokenizer, model_max_length=longest, padding_side="right")


def language_tokenizer(tokenizer: Tokenizer, longest: int) -> PreTrainedTokenizerFast:
    """`tokenizer` for the vision-language model: no tokens added, padded left to generate."""
    return _wrap(
        Tokenizer.from_str(tokenizer.to_str()),
        model_max_length=longest,
        padding_side="left",
        extra_special_tokens={"image_token": "<image>"},
    )


def _wrap(tokenizer: Tokenizer, **settings) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
        **settings,
    )

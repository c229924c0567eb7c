"""What both base models learn from: phantoms that no run draws, and one tokenizer for all texts.

Knows nothing about the models themselves.
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
"""What a picture takes of a conversation: its patches and the class token before them."""
SPECIAL = ("<pad>", "<s>", "<image>", "</s>", "<unk>")
"""The first ids of the vocabulary. The end of a text must not be id 2: a CLIP text model takes that
for an old format and then pools at the largest id, blind to whatever follows that token."""
_MEAN, _SPREAD = 0.5, 0.5


@dataclass(frozen=True)
class Phantoms:
    """Pictures (n, 96, 96, 3) of 8-bit values, what they show, the same as codes (n, 6), where."""

    truths: list[Truth]
    spots: list[tuple[Spot, ...]]
    pixels: np.ndarray
    codes: torch.Tensor

    def batch(self, rows: np.ndarray, shift: tuple[int, int] = (0, 0)) -> torch.Tensor:
        """Pixels of `rows` as the image processor gives them, (len(rows), 3, 96, 96).

        `shift` moves all pictures by a few pixels, repeating their borders: no two passes agree.
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
    """`count` phantoms of a reserved `stream` of seeds; streams share no phantom with any run."""
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
    """Each truth as the places of its values in ``VALUES``, (n, 6)."""
    rows = [
        [VALUES[name].index(value) for name, value in zip(ATTRIBUTES, astuple(truth), strict=True)]
        for truth in truths
    ]
    return torch.tensor(rows, dtype=torch.long)


def encode_allowed(statements: Iterable[Statement]) -> torch.Tensor:
    """Which values each text leaves possible: True or False, (n, 6, 16), True where unspoken."""
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
    """A caption, or a caption with mentions, or mentions alone, and what they claim."""
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
    """A text with the facts that the clinic's lexicon reads in it."""
    facts = facts_in([text])
    return Statement(text, {name: frozenset([value]) for name, value in facts.items()})


def image_processor() -> CLIPImageProcessorPil:
    """96 by 96 pixels whatever the picture's shape: cropping could cut one side away."""
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
    """Raise where a tokenizer of `vocabulary` entries could not spell every text."""
    if vocabulary < 300:
        raise ValueError(f"vocabulary={vocabulary}: bytes and marks alone take 261")


def train_tokenizer(vocabulary: int, texts: Iterable[str]) -> Tokenizer:
    """A byte-level BPE tokenizer of at most `vocabulary` entries; it can spell any text."""
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
    """Texts of the clinic and a broad sample of plain words, with and without a space before."""
    texts = [" ".join(PLAIN_WORDS.split())] * 60
    for truth, rng in _spelling_truths():
        texts += [write_sentence(truth, rng).text, write_exchange(truth, rng).text]
        texts += [write_spoken(truth, rng).text]
        texts += [caption_statement(truth, rng).text]
        texts += _written(plain_rounds(truth, rng, 3))
    return texts


def language_corpus() -> list[str]:
    """What the vision-language model hears: conversations, captions and lessons.

    The words that name values are spelt whole wherever they stand, so that they can be compared.
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
    """`tokenizer` as the encoder reads: begin and end marked, cut at `longest`, padded right."""
    tokenizer = Tokenizer.from_str(tokenizer.to_str())
    begin, end = ("<s>", 1), ("</s>", 3)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[begin, end]
    )
    return _wrap(tokenizer, model_max_length=longest, padding_side="right")


def language_tokenizer(tokenizer: Tokenizer, longest: int) -> PreTrainedTokenizerFast:
    """`tokenizer` as the vision-language model reads: nothing added, padded left to generate."""
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

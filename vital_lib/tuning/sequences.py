"""Token sequences of conversations: labels on the responses only, images kept separately.

A sequence never loses an image token. A sequence that is too long loses whole last rounds, which
are counted. The module does not depend on training. It depends on an architecture only through its
processor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from PIL import Image
from torch.nn.utils.rnn import pad_sequence

from vital_lib.figures import UnreadableImage, open_image
from vital_lib.models import Shown, VisionLanguageModel, as_list

IMAGE_CACHE_BYTES = 512 * 2**20
"""Memory for preprocessed images; images beyond it are preprocessed again for every batch."""

IGNORED = -100
"""Label of a token that the loss ignores."""


class NothingToTune(ValueError):
    """Raised if conversations or a model leave nothing to train; the message says why."""


class FigureTensors:
    """Preprocessed images of figures, cached in memory up to `room` bytes.

    Args:
        files: figure_id -> its image file, or several that are shown together.

    Attributes:
        hashes: figure_id -> hash of the image as shown, of each image that was opened.
    """

    def __init__(
        self,
        vlm: VisionLanguageModel,
        files: Mapping[str, Path | Sequence[Path]],
        room: int = IMAGE_CACHE_BYTES,
    ) -> None:
        self._vlm, self._files, self._room = vlm, files, room
        self._kept: dict[str, dict[str, torch.Tensor]] = {}
        self.hashes: dict[str, str] = {}

    def open(self, figure_id: str) -> list[Image.Image]:
        """Return the pixels of the figure's images, RGB; raises UnreadableImage."""
        images = [open_image(file) for file in listed_files(self._files[figure_id])]
        if not images:  # the model would answer, and learn, without having seen anything
            raise UnreadableImage("image", "no image file is given")
        self.hashes[figure_id] = " ".join(image.shown_as for image in images)
        return [image.pixels() for image in images]

    def keep(self, figure_id: str, tensors: dict[str, torch.Tensor]) -> None:
        """Cache the processor's tensors of the figure's image, if there is room."""
        size = sum(tensor.nbytes for tensor in tensors.values())
        if figure_id not in self._kept and size <= self._room:
            self._kept[figure_id] = tensors
            self._room -= size

    def __getitem__(self, figure_id: str) -> dict[str, torch.Tensor]:
        if figure_id not in self._kept:
            images = self.open(figure_id)
            text = self._vlm.chat([("", None)], len(images))
            return _split(self._vlm.tensors([text], [images]))[1]
        return self._kept[figure_id]


def listed_files(image: Any) -> list[Path]:
    """Return a cell of `image`, a file or several (an array, when read from Parquet), as a list.

    It is empty if the cell is, or if one of several files is null or an empty text.
    """
    several = pd.api.types.is_list_like(image) and not isinstance(image, Mapping)
    files = list(image) if several else [image]
    lacking = any(pd.isna(file) is True or str(file) == "" for file in files)
    return [] if lacking else [Path(str(file)) for file in files]


def token_limit(vlm: VisionLanguageModel) -> int:
    """Return the longest sequence that the model supports, in tokens, including image tokens."""
    positions = getattr(vlm.model.config.get_text_config(), "max_position_embeddings", None)
    stated = vlm.processor.tokenizer.model_max_length
    return min(positions or stated, stated)


def encode_conversations(
    vlm: VisionLanguageModel,
    conversations: pd.DataFrame,
    figures: FigureTensors,
    limit: int,
    *,
    called: str = "conversations",
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return token sequences with labels on the responses, and counts of what fits `limit` tokens.

    Args:
        conversations: columns figure_id and turns (list of instruction and response).
        called: name of the conversations in error messages.

    Returns:
        One mapping per conversation (figure_id, input_ids, labels, and the processor's other values
        per token), and the counts: conversations, conversations_dropped, rounds, rounds_dropped,
        tokens.

    Raises:
        NothingToTune: no conversation fits.
    """
    examples, rounds, kept = [], 0, 0
    for row in conversations.itertuples():
        turns = [(turn["instruction"], turn["response"]) for turn in row.turns]
        rounds += len(turns)
        example, used = _longest_that_fits(vlm, turns, row.figure_id, figures, limit)
        if example is not None:
            examples.append(example)
            kept += used
    if not examples:
        raise NothingToTune(
            f"none of {len(conversations)} {called} has a round that fits {limit} tokens"
        )
    return examples, {
        "conversations": len(examples),
        "conversations_dropped": len(conversations) - len(examples),
        "rounds": kept,
        "rounds_dropped": rounds - kept,
        "tokens": sum(len(example["input_ids"]) for example in examples),
    }


def encode_rounds(
    vlm: VisionLanguageModel, turns: Sequence[tuple[str, str]], shown: Shown
) -> tuple[dict[str, list[int]], dict[str, torch.Tensor]]:
    """Return one conversation's tokens with labels (each list L long), and its images' tensors.

    The labels are the tokens of each response and of its end-of-turn token; all others are
    `IGNORED`.
    """
    images = as_list(shown)
    text, spans = vlm.format.transcript(turns, len(images))
    batch = vlm.tensors([text], [images], return_offsets_mapping=True)
    offsets = batch.pop("offset_mapping")[0].tolist()  # (L, 2)
    tokens, picture = _split(batch)
    # The processor expands each image token into many tokens, all before the first response.
    # Positions counted from the end of the text therefore stay the same.
    grown = max(end for _, end in offsets) - len(text)
    responses = [(start + grown, end + grown) for start, end in spans]
    tokens["labels"] = [
        token if any(a < end and start < b for a, b in responses) else IGNORED
        for token, (start, end) in zip(tokens["input_ids"], offsets, strict=True)
    ]
    return tokens, picture


def collate(
    examples: Sequence[Mapping[str, Any]], pictures: Sequence[Mapping[str, torch.Tensor]], pad: int
) -> dict[str, torch.Tensor]:
    """Return one right-padded batch of token tensors (B, L) and image tensors.

    Image tensors are joined along their first axis. `pad` is the id that fills shorter sequences.
    Nothing is truncated.
    """
    fill = {"input_ids": pad, "labels": IGNORED}
    batch = {}
    for name in (name for name in examples[0] if name != "figure_id"):
        rows = [torch.tensor(example[name]) for example in examples]
        padded = {"batch_first": True, "padding_value": fill.get(name, 0)}
        batch[name] = pad_sequence(rows, **padded)  # (B, L)
    for name in pictures[0]:
        batch[name] = _joined([picture[name] for picture in pictures])
    return batch


def _longest_that_fits(
    vlm: VisionLanguageModel,
    turns: Sequence[tuple[str, str]],
    figure_id: str,
    figures: FigureTensors,
    limit: int,
) -> tuple[dict[str, Any] | None, int]:
    """Return the example of the most first rounds within `limit` tokens, and their number."""
    images = figures.open(figure_id)
    for rounds in range(len(turns), 0, -1):
        tokens, picture = encode_rounds(vlm, turns[:rounds], images)
        if len(tokens["input_ids"]) <= limit:
            figures.keep(figure_id, picture)
            return {"figure_id": figure_id, **tokens}, rounds
    return None, 0


def _split(
    batch: Mapping[str, torch.Tensor],
) -> tuple[dict[str, list[int]], dict[str, torch.Tensor]]:
    """Split a processor's batch of one example into lists per token and tensors of the image."""
    shape = batch["input_ids"].shape  # (1, L)
    tokens = {name: value[0].tolist() for name, value in batch.items() if value.shape == shape}
    return tokens, {name: value for name, value in batch.items() if name not in tokens}


def _joined(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Join tensors along their first axis; other axes are padded with zeros to the largest."""
    largest = [max(sizes) for sizes in zip(*(part.shape[1:] for part in parts), strict=True)]
    padded = []
    for part in parts:
        missing = [size - have for size, have in zip(largest, part.shape[1:], strict=True)]
        widths = [width for size in reversed(missing) for width in (0, size)]
        padded.append(torch.nn.functional.pad(part, widths) if any(missing) else part)
    return torch.cat(padded)

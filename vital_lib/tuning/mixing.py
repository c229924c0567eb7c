"""Mixing of other instruction data into training: reading, drawing, batching.

A model tuned only on a narrow set forgets what the set does not cover. Mixing in data the model was
made from prevents this (the paper's 150K and 210K sets contain LLaVA-Med's data).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import AliasChoices, BeforeValidator, Field

from vital_lib.records import (
    InvalidRecord,
    Record,
    Text,
    checked,
    read_records,
    rejected_rows,
    rounds_of,
)
from vital_lib.tuning.sequences import NothingToTune

LOG = logging.getLogger(__name__)

Mix = tuple[pd.DataFrame, pd.DataFrame]
"""Conversations (conversation_id, figure_id, turns) and their figures (figure_id, image)."""

_RECORD_FILES = (".json", ".jsonl", ".parquet")
_GROUPED = 50  # number of batches within which examples are sorted by length


def draw_mix(mix: pd.DataFrame, own: int, share: float, seed: int) -> pd.DataFrame:
    """Draw round(share x own) conversations of `mix`, without repeats, in an order set by `seed`.

    With the same seed, a smaller draw is the start of a larger draw.

    Raises:
        NothingToTune: an empty mix.
        ValueError: too few conversations in the mix for that share.
    """
    if not len(mix):
        raise NothingToTune("the mix holds no conversations: give some, or mix=None")
    wanted = max(1, round(share * own))
    if wanted > len(mix):
        raise ValueError(
            f"mix_share={share} of {own} conversations needs {wanted} mixed conversations, but the "
            f"mix has {len(mix)}: give more, or mix_share={np.floor(1000 * len(mix) / own) / 1000}"
        )
    order = np.random.default_rng(seed).permutation(len(mix))
    return mix.iloc[order[:wanted]].reset_index(drop=True)


def read_llava(path: str | Path, image_folder: str | Path | None = None) -> Mix:
    """Read conversations and figures from LLaVA training data, such as LLaVA-Med's.

    Records of {"id", "image", "conversations": [{"from": "human", "value"}, {"from": "gpt",
    "value"}, ...]}, in JSON, JSON Lines or Parquet; "image" may list several. Records without an
    image are left out.

    Args:
        path: a file, or a folder with one or more of them.
        image_folder: base of relative image paths; by default the file's folder, or `images` in it.

    Returns:
        conversations (conversation_id, figure_id, turns) and figures (figure_id, image: absolute,
        a list where a record has several). The conversations' ``.attrs``: ``records`` (number of
        records), ``without_image``, ``rejected`` (place, field, reason of each invalid record). The
        log counts them.

    Raises:
        ValueError: no record is a conversation about an image; the message says why.
        FileNotFoundError: no such file, or a folder without one.
    """
    path = Path(path)
    folder = (
        Path(image_folder) if image_folder is not None else path if path.is_dir() else path.parent
    )
    rows, rejected, without_image, number = [], [], 0, -1
    shown: dict[str, list[str]] = {}
    for number, (file, (place, record)) in enumerate(_records(path)):
        try:
            found = checked(_Conversation, record)
            if any("\0" in name for name in found.image or ()):
                raise InvalidRecord("image", f"{found.image!r} is not a usable path")
        except InvalidRecord as wrong:
            rejected.append((place, wrong))
            continue
        if found.image is None:
            without_image += 1
        else:
            figure_id = ", ".join(found.image)
            shown[figure_id] = found.image
            rows.append((f"{file.stem}-{number}", figure_id, found.conversations))
    if number < 0:
        raise ValueError(f"{path.name} holds no record: give LLaVA's training data, or mix=None")
    count = f"{len(rejected)} of {number + 1} records are not conversations"
    first = "; ".join(f"{place}: {wrong}" for place, wrong in rejected[:3])
    if not rows:
        raise ValueError(f"{path.name}: {count}, {without_image} have no image; {first}")
    if rejected or without_image:
        LOG.warning("%s: %s, %d have no image; %s", path.name, count, without_image, first)
    conversations = pd.DataFrame(rows, columns=["conversation_id", "figure_id", "turns"])
    conversations.attrs = {
        "records": number + 1,
        "without_image": without_image,
        "rejected": rejected_rows(rejected),
    }
    files = [[str(_image(folder, name).resolve()) for name in names] for names in shown.values()]
    images = [several if len(several) > 1 else several[0] for several in files]
    return conversations, pd.DataFrame({"figure_id": list(shown), "image": images})


def _records(path: Path) -> Iterator[tuple[Path, tuple[str, Any]]]:
    """Yield each record of a file, or of all files of records in a folder, with its file."""
    files = [path]
    if not path.exists():
        raise FileNotFoundError(f"no training file or folder {path}: give LLaVA's training data")
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if file.suffix in _RECORD_FILES]
        if not files:
            raise FileNotFoundError(f"no {', '.join(_RECORD_FILES)} file in folder {path}")
    for file in files:
        for record in read_records(file, fields=("conversations", "conversatons")):
            yield file, record


def _image(folder: Path, name: str) -> Path:
    """Return where image `name` is: in the folder, or in its folder of images."""
    inner = folder / "images" / name
    return inner if inner.is_file() and not (folder / name).is_file() else folder / name


def _as_list(image: Any) -> Any:
    return [image] if isinstance(image, str) else None if image == [] else image


class _Conversation(Record):
    """A record of a LLaVA training file."""

    image: Annotated[list[Text] | None, BeforeValidator(_as_list)] = None
    conversations: Annotated[list[dict[str, str]], BeforeValidator(rounds_of)] = Field(
        validation_alias=AliasChoices("conversations", "conversatons")
    )


class MixedBatches:
    """Batches of `size` own examples, each with a proportional part of the mixed examples.

    Every batch has the same mixing ratio. Examples of similar length share a batch, to reduce
    padding. An example is identified by its index: own examples first, then mixed examples. Each
    pass draws a new order.

    Args:
        own, mixed: lengths of the examples, in tokens.
    """

    def __init__(self, own: Sequence[int], mixed: Sequence[int], size: int, seed: int) -> None:
        self._lengths = np.array([*own, *mixed])
        self._own, self._mixed, self._size = len(own), len(mixed), size
        self._rng = np.random.default_rng(seed)

    def __len__(self) -> int:
        return -(-self._own // self._size)

    def __iter__(self) -> Iterator[list[int]]:
        own = self._rng.permutation(self._own)
        mixed = self._own + self._rng.permutation(self._mixed)
        batches, step = [], _GROUPED * self._size
        for start in range(0, self._own, step):
            end = min(start + step, self._own)
            part = mixed[self._mixed * start // self._own : self._mixed * end // self._own]
            batches += self._grouped(own[start:end], part)
        for place in self._rng.permutation(len(batches)):
            yield batches[place]

    def steps(self, passes: int, done: int = 0) -> Iterator[list[int]]:
        """Yield the batches of `passes` passes, without the first `done`."""
        return islice(chain.from_iterable(repeat(self, passes)), done, None)

    def _grouped(self, own: np.ndarray, mixed: np.ndarray) -> list[list[int]]:
        """Sort both by length, and cut each into one part per batch."""
        own, mixed = (part[np.argsort(self._lengths[part], kind="stable")] for part in (own, mixed))
        count = -(-len(own) // self._size)
        own_parts = [own[k * self._size : (k + 1) * self._size] for k in range(count)]
        mixed_parts = np.array_split(mixed, count)
        return [[*map(int, a), *map(int, b)] for a, b in zip(own_parts, mixed_parts, strict=True)]

"""Other instruction data beside one's own: read, drawn, and put into the same batches.

A model tuned on a narrow set alone forgets what the set does not ask; what it was made from, mixed
in, keeps it (the paper's 150K and 210K sets hold LLaVA-Med's data). Knows nothing of models.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch.utils.data import Sampler

from vital_lib.tuning.sequences import NothingToTune

Mix = tuple[pd.DataFrame, pd.DataFrame]
"""Conversations (conversation_id, figure_id, turns) and their figures (figure_id, image)."""

_GROUPED = 50  # batches' worth of conversations among which like lengths come together


def draw_mix(mix: pd.DataFrame, own: int, share: float, seed: int) -> pd.DataFrame:
    """round(share x own) conversations of `mix`, without repeats, in an order that `seed` draws.

    Training sets of different sizes get the same first ones.

    Raises:
        NothingToTune: an empty mix.
        ValueError: a mix of too few conversations for that share.
    """
    if not len(mix):
        raise NothingToTune("the mix holds no conversations: give some, or mix=None")
    wanted = max(1, round(share * own))
    if wanted > len(mix):
        raise ValueError(
            f"mix_share={share} beside {own} conversations wants {wanted} mixed ones, and there "
            f"are {len(mix)}: give more, or mix_share={np.floor(1000 * len(mix) / own) / 1000}"
        )
    order = np.random.default_rng(seed).permutation(len(mix))
    return mix.iloc[order[:wanted]].reset_index(drop=True)


def read_llava(path: str | Path, image_folder: str | Path | None = None) -> Mix:
    """Conversations and figures of a LLaVA training file, such as LLaVA-Med's.

    A list of {"id", "image", "conversations": [{"from": "human", "value"}, {"from": "gpt",
    "value"}, ...]}. Records without an image are left out.

    Args:
        image_folder: where relative image paths start; without it, beside the file.

    Returns:
        conversations (conversation_id, figure_id, turns) and figures (figure_id, image: absolute).

    Raises:
        ValueError: a record that is not like this; the message names it.
    """
    path = Path(path)
    folder = Path(image_folder) if image_folder is not None else path.parent
    records = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(records, list):
        raise ValueError(f"{path} holds a {type(records).__name__}: wanted a list of records")
    rows = []
    for number, record in enumerate(records):
        if not isinstance(record, dict):
            raise ValueError(f"{path}, record {number}: {record!r} is no object")
        if record.get("image"):
            where = f"{path}, record {number} ({record.get('id')!r})"
            turns = _turns(record.get("conversations"), where)
            rows.append((f"{path.stem}-{number}", str(record["image"]), turns))
    conversations = pd.DataFrame(rows, columns=["conversation_id", "figure_id", "turns"])
    names = conversations["figure_id"].unique()
    files = [str((folder / name).resolve()) for name in names]
    return conversations, pd.DataFrame({"figure_id": names, "image": files})


class MixedBatches(Sampler[list[int]]):
    """Batches of `size` own examples, each with its even part of the mixed ones beside them.

    Every batch has the same share of both, and examples of like length, to pad less. An example is
    named by its place: the own ones first, then the mixed ones. Each pass draws a new order.

    Args:
        own, mixed: the examples' lengths, in tokens.
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
            beside = mixed[self._mixed * start // self._own : self._mixed * end // self._own]
            batches += self._grouped(own[start:end], beside)
        for place in self._rng.permutation(len(batches)):
            yield batches[place]

    def _grouped(self, own: np.ndarray, mixed: np.ndarray) -> list[list[int]]:
        """Both from short to long, cut into as many parts as the own ones fill batches."""
        own, mixed = (part[np.argsort(self._lengths[part], kind="stable")] for part in (own, mixed))
        count = -(-len(own) // self._size)
        mine = [own[k * self._size : (k + 1) * self._size] for k in range(count)]
        beside = np.array_split(mixed, count)
        return [[*map(int, a), *map(int, b)] for a, b in zip(mine, beside, strict=True)]


def _turns(said: Any, where: str) -> list[dict[str, str]]:
    """LLaVA's list of who said what, as rounds."""
    if not isinstance(said, list) or not said or len(said) % 2:
        raise ValueError(f"{where}: conversations must be questions and answers by turns")
    turns = []
    for asked, answered in zip(said[::2], said[1::2], strict=True):
        instruction, response = _value(asked, "human", where), _value(answered, "gpt", where)
        instruction = instruction.replace("<image>", "").strip()
        turns.append({"instruction": instruction, "response": response})
    return turns


def _value(said: Mapping[str, Any], speaker: str, where: str) -> str:
    if not isinstance(said, dict) or said.get("from") != speaker:
        raise ValueError(f"{where}: {said!r} where {speaker!r} should speak")
    if not isinstance(said.get("value"), str):
        raise ValueError(f"{where}: the value {said.get('value')!r} is no text")
    return said["value"]

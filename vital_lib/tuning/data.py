"""What a tuning run trains on: conversations chosen, checked and encoded, and its batches.

The module does not depend on how the weights are trained.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from vital_lib.models import VisionLanguageModel, weights_fingerprint
from vital_lib.tables import check_table, refuse_missing
from vital_lib.tuning.events import LeftOut
from vital_lib.tuning.examples import NONE, readable_rounds, usable_examples
from vital_lib.tuning.loop import Batch
from vital_lib.tuning.mixing import Mix, MixedBatches, draw_mix
from vital_lib.tuning.sequences import (
    FigureTensors,
    NothingToTune,
    collate,
    listed_files,
    token_limit,
)
from vital_lib.tuning.settings import TuningConfig

MEMORY_ONLY = ("micro_batch_size", "activation_checkpointing")
"""Settings that change the memory needed, and no loss beyond rounding."""

_CONVERSATION, _FIGURE = ("conversation_id", "figure_id", "turns"), ("figure_id", "image")


@dataclass(frozen=True)
class Chosen:
    """The conversations of a run (mixed and held-out ones may be none), and their image files."""

    own: pd.DataFrame
    mixed: pd.DataFrame
    held_out: pd.DataFrame
    files: dict[str, list[Path]]


def choose(
    conversations: pd.DataFrame,
    figures: pd.DataFrame,
    mix: Mix | None,
    held_out: pd.DataFrame | None,
    config: TuningConfig,
) -> Chosen:
    """Draw the mixed conversations, and find every figure; no model is needed yet.

    Raises:
        NothingToTune: no conversations.
        ValueError: a table without its columns, a mix that is too small, figures that are not
            given, two images under one id, or held-out figures that are trained on.
    """
    if not len(conversations):
        raise NothingToTune("no conversations: select some in notebooks/07_select_instructions")
    check_table(conversations, "conversations", *_CONVERSATION)
    check_table(figures, "figures", *_FIGURE)
    files, mixed = _image_files(conversations, figures), conversations.iloc[:0]
    held_out = mixed if held_out is None else held_out
    check_table(held_out, "held_out", *_CONVERSATION)
    if mix is not None:
        if not isinstance(mix, list | tuple) or len(mix) != 2:
            raise ValueError(
                f"mix={mix!r:.100}: wanted two tables, as read_llava(path) returns them"
            )
        check_table(mix[0], "conversations of the mix", *_CONVERSATION)
        check_table(mix[1], "figures of the mix", *_FIGURE)
        mixed = draw_mix(mix[0], len(conversations), config.mix_share, config.seed)
        files = _joined_files(files, _image_files(mixed, mix[1]))
    if both := sorted(set(held_out["figure_id"]) & files.keys(), key=str):
        raise ValueError(
            f"{len(both)} figures of the held-out conversations are trained on, first "
            f"{both[0]!r}: hold out conversations about other figures"
        )
    files |= _image_files(held_out, figures)
    return Chosen(conversations, mixed, held_out, files)


class TuningData:
    """The examples of a run and the tensors of their images.

    Attributes:
        own, mixed, held_out: examples of the three kinds of conversations.
        limit: the longest sequence, in tokens.
    """

    def __init__(self, vlm: VisionLanguageModel, chosen: Chosen, config: TuningConfig) -> None:
        self.chosen, self.config = chosen, config
        self.limit = config.max_tokens or token_limit(vlm)
        self.tensors = FigureTensors(vlm, chosen.files)
        self._base, self._pad = vlm.model, vlm.processor.tokenizer.pad_token_id
        encode = partial(usable_examples, vlm, figures=self.tensors, limit=self.limit)
        self.own = encode(chosen.own)
        self.mixed = self.held_out = NONE
        if len(chosen.mixed):
            self.mixed = encode(chosen.mixed, called="mixed conversations")
        if len(chosen.held_out):
            self.held_out = encode(chosen.held_out, called="held-out conversations")
        self.made_from = self._made_from()

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """The conversations that are not used as given."""
        return self.own.left_out + self.mixed.left_out + self.held_out.left_out

    @property
    def counts(self) -> dict[str, int]:
        """Counts of own examples, and of mixed ones as mix_..."""
        return self.own.counts | {f"mix_{name}": n for name, n in self.mixed.counts.items()}

    @property
    def tokens(self) -> int:
        """Tokens of all training steps together."""
        return self.config.epochs * (sum(self.own.lengths) + sum(self.mixed.lengths))

    @property
    def steps(self) -> int:
        """Number of training steps."""
        return count_steps_of(len(self.own.rows), self.config)

    @property
    def watched(self) -> dict[str, str | None]:
        """What the held-out losses were measured on; it decides no training loss."""
        return {"held_out_fingerprint": fingerprint(self.chosen.held_out)}

    def batch_of(self, rows: Sequence[dict[str, Any]]) -> Batch:
        """Return one padded batch of examples."""
        return collate(rows, [self.tensors[row["figure_id"]] for row in rows], self._pad)

    def batches(self, done: int) -> Iterator[list[Batch]]:
        """Yield the batches of each step after the first `done`, cut into micro batches."""
        rows, config = [*self.own.rows, *self.mixed.rows], self.config
        lengths = [*self.own.lengths, *self.mixed.lengths]
        drawn = MixedBatches(
            self.own.lengths, self.mixed.lengths, size=config.batch_size, seed=config.seed
        )
        parts = config.batch_size // (config.micro_batch_size or config.batch_size)
        for chosen in drawn.steps(config.epochs, done):
            if parts > 1:  # examples of similar length share a part
                chosen = sorted(chosen, key=lengths.__getitem__)
            size = -(-len(chosen) // parts)
            cut = [chosen[start : start + size] for start in range(0, len(chosen), size)]
            yield [self.batch_of([rows[place] for place in part]) for part in cut]

    def _made_from(self) -> dict[str, Any]:
        """Return what decides the losses: a run goes on only if all of it is the same."""
        used = {row["figure_id"] for row in (*self.own.rows, *self.mixed.rows)}
        hashes = sorted((name, self.tensors.hashes[name]) for name in used)
        settings = asdict(self.config).items()
        return {name: value for name, value in settings if name not in MEMORY_ONLY} | {
            "base_fingerprint": weights_fingerprint(self._base),
            "conversations_fingerprint": fingerprint(self.chosen.own),
            "mix_fingerprint": fingerprint(self.chosen.mixed),
            "images_fingerprint": hashlib.sha256(json.dumps(hashes).encode()).hexdigest(),
            "token_limit": self.limit,
        }


def fingerprint(conversations: pd.DataFrame) -> str | None:
    """Return the SHA-256 of each row's conversation_id, figure_id and turns, in order.

    None stands for no conversations.
    """
    if not len(conversations):
        return None
    digest = hashlib.sha256()
    for row in conversations.itertuples():
        turns = [list(rounds) for rounds in readable_rounds(row.turns)[0]]
        parts = [row.conversation_id, row.figure_id, turns]
        digest.update(json.dumps(parts, default=str).encode() + b"\n")
    return digest.hexdigest()


def count_steps(conversations: pd.DataFrame, **settings: Any) -> int:
    """Return the number of steps that `tune` makes if every conversation can be used."""
    return count_steps_of(len(conversations), TuningConfig(**settings))


def count_steps_of(examples: int, config: TuningConfig) -> int:
    """Return the number of steps that `examples` own examples take."""
    return -(-examples // config.batch_size) * config.epochs


def _image_files(conversations: pd.DataFrame, figures: pd.DataFrame) -> dict[str, list[Path]]:
    """Map figure_id -> files for the figures of `conversations`."""
    used = sorted(set(conversations["figure_id"]), key=str)
    wanted = figures[figures["figure_id"].isin(used)]
    found: dict[str, list[Path]] = {}
    for name, image in zip(wanted["figure_id"], wanted["image"], strict=True):
        files = listed_files(image)
        if found.setdefault(name, files) != files:
            raise ValueError(f"figure_id {name!r} has two images in figures: give each its own id")
    problem = "figures of the conversations are not given"
    refuse_missing(used, found, problem, "give a row of figures for each")
    return found


def _joined_files(
    own: dict[str, list[Path]], mixed: dict[str, list[Path]]
) -> dict[str, list[Path]]:
    twice = sorted(name for name in own.keys() & mixed.keys() if own[name] != mixed[name])
    if twice:
        raise ValueError(
            f"figure_id {twice[0]!r} and {len(twice) - 1} more have one image in the figures "
            "and another in the mix: rename those of the mix"
        )
    return own | mixed

"""Tuning of a reward model on preference pairs, in the way of ``tuning``: LoRA, checkpoints, stops.

The loss is that of Bradley and Terry (1952): the preferred response of a pair should have the
higher reward. Ouyang et al. (2022) tune reward models of language models in this way.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from vital_lib.models import VisionLanguageModel, load_model, weights_fingerprint
from vital_lib.reward_model.head import (
    HEAD,
    RESPONSE,
    figure_tensors,
    response_examples,
    rewards,
    with_head,
)
from vital_lib.tables import alone_in, check_table, refuse_missing
from vital_lib.tuning import NothingToTune, TuningConfig, collate, token_limit
from vital_lib.tuning.data import MEMORY_ONLY, count_steps_of
from vital_lib.tuning.estimating import check_run
from vital_lib.tuning.events import OnStep
from vital_lib.tuning.loop import Batch, Training
from vital_lib.tuning.training import run_in

_WEIGHT = "pair_weight"


def tune_reward_model(
    base_model: str | Path,
    pairs: pd.DataFrame,
    responses: pd.DataFrame,
    figures: pd.DataFrame,
    folder: str | Path,
    *,
    resume: bool = True,
    on_step: OnStep | None = None,
    **settings: Any,
) -> dict[str, float]:
    """Tune `base_model` with a scalar head on `pairs`, and write the trained weights to `folder`.

    Args:
        base_model: as in `vital_lib.models.load_model`.
        pairs: left_id, right_id, preferred (1: left, 0: right), weight (as table ``pairs``).
        responses: candidate_id, figure_id, instruction, response of every candidate of the pairs.
        figures: figure_id, image, a row for every figure used.
        folder: gets what `vital_lib.tuning.tune` writes; the adapter is one for sequence
            classification, whose head peft saves beside the LoRA matrices.
        resume, on_step: as in `vital_lib.tuning.tune`.
        settings: fields of `vital_lib.tuning.TuningConfig`; `batch_size` counts pairs.

    Returns:
        seconds, steps, steps_planned, loss_first, loss_last (nats per pair; 0.69 is a guess),
        pairs, pairs_dropped (with a response that cannot be used) and tokens.

    Raises:
        NothingToTune: no pairs, or none that can be used.
        ValueError: a table without its columns; a setting out of range; a pair without a preferred
            side, with a weight that is not above 0, or of a candidate that is not given; an unknown
            figure.
        DoesNotFit, FolderInUse, OSError, OtherRun, DivergedLoss, OutOfMemory, Stopped: as
            `vital_lib.tuning.tune`.
    """
    config, begun = TuningConfig(**settings), time.perf_counter()
    check_table(pairs, "pairs", "left_id", "right_id", "preferred", "weight")
    check_table(responses, "responses", *RESPONSE)
    check_table(figures, "figures", "figure_id", "image")
    _check(pairs, responses)
    with alone_in(Path(folder), "tuning into"):
        vlm = load_model(base_model, quantize=config.quantize)
        data = PairData(vlm, pairs, responses, figures, config)
        both = replace(
            config,
            batch_size=2 * config.batch_size,
            micro_batch_size=config.micro_batch_size and 2 * config.micro_batch_size,
        )
        check_run(vlm.model, data.rows, [], both, folder)
        vlm.model = with_head(vlm.model)
        return run_in(
            Path(folder),
            vlm,
            data,
            resume=resume,
            on_step=on_step,
            begun=begun,
            training=PairTraining,
            head=HEAD,
        )


class PairData:
    """The pairs of a run and the examples of their responses (`vital_lib.tuning.run.RunData`)."""

    def __init__(
        self,
        vlm: VisionLanguageModel,
        pairs: pd.DataFrame,
        responses: pd.DataFrame,
        figures: pd.DataFrame,
        config: TuningConfig,
    ) -> None:
        self.config, self.limit = config, config.max_tokens or token_limit(vlm)
        self._pad = vlm.processor.tokenizer.pad_token_id
        used = {*pairs["left_id"], *pairs["right_id"]}
        responses = responses[responses["candidate_id"].isin(used)]
        responses = responses.drop_duplicates("candidate_id")
        self._tensors = figure_tensors(vlm, responses, figures)
        self._examples, left_out = response_examples(vlm, responses, self._tensors, self.limit)
        self.left_out = tuple(left_out)
        self._pairs = self._usable(pairs)
        self.made_from = self._made_from(vlm, pairs, responses)
        self.counts = {
            "pairs": len(self._pairs),
            "pairs_dropped": len(pairs) - len(self._pairs),
            "tokens": sum(len(row["input_ids"]) for row in self.rows),
        }

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The examples of all responses."""
        return list(self._examples.values())

    @property
    def watched(self) -> dict[str, str | None]:
        """Nothing: no held-out pairs are measured during training."""
        return {}

    @property
    def steps(self) -> int:
        """Number of training steps."""
        return count_steps_of(len(self._pairs), self.config)

    def batches(self, done: int) -> Iterator[list[Batch]]:
        """Yield the batches of each step after the first `done`, cut into micro batches."""
        config, made = self.config, 0
        size = config.micro_batch_size or config.batch_size
        for epoch in range(config.epochs):
            order = np.random.default_rng([config.seed, epoch]).permutation(len(self._pairs))
            for start in range(0, len(order), config.batch_size):
                made += 1
                if made > done:
                    chosen = order[start : start + config.batch_size]
                    parts = range(0, len(chosen), size)
                    yield [self._batch(chosen[part : part + size]) for part in parts]

    def _batch(self, places: np.ndarray) -> Batch:
        """Return one batch: the preferred responses of the pairs, then the others."""
        chosen = [self._pairs[place] for place in places]
        names = [better for better, _, _ in chosen] + [worse for _, worse, _ in chosen]
        rows = [self._examples[name] for name in names]
        batch = collate(rows, [self._tensors[row["figure_id"]] for row in rows], self._pad)
        return batch | {_WEIGHT: torch.tensor([weight for _, _, weight in chosen])}

    def _usable(self, pairs: pd.DataFrame) -> list[tuple[str, str, float]]:
        """Return (preferred, other, weight) of each pair whose responses can both be used."""
        found = []
        for row in pairs.itertuples():
            sides = (str(row.left_id), str(row.right_id))
            if all(name in self._examples for name in sides):
                better, worse = sides if row.preferred == 1 else sides[::-1]
                found.append((better, worse, float(row.weight)))
        if not found:
            raise NothingToTune(f"none of {len(pairs)} pairs has two responses that can be used")
        return found

    def _made_from(
        self, vlm: VisionLanguageModel, pairs: pd.DataFrame, responses: pd.DataFrame
    ) -> dict[str, Any]:
        """Return what decides the losses, as `TuningData` does."""
        settings = {k: v for k, v in asdict(self.config).items() if k not in MEMORY_ONLY}
        texts = responses[[*RESPONSE]]
        sides = pairs[["left_id", "right_id", "preferred", "weight"]]
        return settings | {
            "base_fingerprint": weights_fingerprint(vlm.model),
            "pairs_fingerprint": _hash([sides.to_numpy().tolist(), texts.to_numpy().tolist()]),
            "images_fingerprint": _hash(sorted(self._tensors.hashes.items())),
            "token_limit": self.limit,
        }


class PairTraining(Training):
    """Training steps with the pairwise loss."""

    def size(self, batch: Batch) -> float:
        """Return the sum of the pairs' weights, over which the loss is a mean."""
        return float(batch[_WEIGHT].sum())

    def summed_loss(self, batch: Batch) -> torch.Tensor:
        """Return -log sigmoid(reward of the preferred - of the other), weighted, summed."""
        weight = batch[_WEIGHT].to(self.device)
        tokens = {name: value for name, value in batch.items() if name != _WEIGHT}
        with self.precision():
            better, worse = rewards(self.model, tokens).chunk(2)
        return -(weight * torch.nn.functional.logsigmoid(better - worse)).sum()


def _check(pairs: pd.DataFrame, responses: pd.DataFrame) -> None:
    """Raise for pairs that no model can learn from, before one is loaded."""
    if pairs.empty:
        raise NothingToTune("no pairs: label questions in 03_label_preferences, then run 06")
    weight = pd.to_numeric(pairs["weight"], errors="coerce").astype(float)  # null is no number
    for name, fits, wanted in (
        ("preferred", pairs["preferred"].isin([0.0, 1.0]), "1 (left) or 0 (right); leave out ties"),
        ("weight", weight.gt(0) & np.isfinite(weight), "a number above 0"),
    ):
        if not fits.all():
            first = pairs.loc[~fits, name].iloc[0]
            raise ValueError(
                f"{(~fits).sum()} of {len(pairs)} pairs: {name}={first}; wanted {wanted}"
            )
    used = sorted({*pairs["left_id"], *pairs["right_id"]})
    problem = "candidates of the pairs are not given"
    refuse_missing(used, set(responses["candidate_id"]), problem, "give the responses of all pairs")


def _hash(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, default=str).encode()).hexdigest()

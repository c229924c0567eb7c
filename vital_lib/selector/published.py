"""The published recipe as a control: an MLP, the pairwise loss, a swept weight of human pairs.

Method, stage 2, item 9. The epoch and the weight of a human pair are chosen on validation pairs.
Test pairs are rejected.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.functional import logsigmoid

from vital_lib.selector.alignment import pair_agreement
from vital_lib.selector.features import Features
from vital_lib.selector.pairs import check_split
from vital_lib.stopping import stoppable

_ROWS_AT_ONCE = 8192  # keeps the activations of one pass in the CPU cache


@dataclass(frozen=True)
class SelectorConfig:
    """Settings of the published head; six epochs, batches of 64 pairs and Adam follow the paper.

    The learning rate is for a head on frozen features; the paper's 1e-5 is for tuning the encoder
    with the head. With few pairs, an epoch repeats them until training reaches `steps_at_least`
    steps: 50 pairs in batches of 64 are one step per epoch.
    """

    w_human: float
    epochs: int = 6
    lr: float = 3e-4
    batch_size: int = 64
    hidden: int = 512
    dropout: float = 0.1
    steps_at_least: int = 300
    seed: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.w_human) and self.w_human >= 0):
            raise ValueError(f"w_human must be 0 or more, not {self.w_human!r}")
        for name in ("epochs", "batch_size", "hidden", "steps_at_least"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)!r}")
        if not self.lr > 0:
            raise ValueError(f"lr must be above 0, not {self.lr!r}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be from 0 to below 1, not {self.dropout!r}")


def build_head(width: int, *, hidden: int, dropout: float) -> nn.Sequential:
    """Build the paper's MLP width-512-512-512-1 (`hidden` = 512), with dropout and no sigmoid.

    The published head ends in a sigmoid. Its scores differ by less than 1, so the pairwise loss
    cannot fall below log(1 + 1/e). Dropout follows only the first layer: on three layers it cost a
    third of the training time and did not improve agreement with annotators.
    """
    first = [nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout)]
    second = [nn.Linear(hidden, hidden), nn.ReLU()]
    third = [nn.Linear(hidden, hidden), nn.ReLU()]
    return nn.Sequential(*first, *second, *third, nn.Linear(hidden, 1))


def pairwise_loss(
    score_left: torch.Tensor,
    score_right: torch.Tensor,
    preferred: torch.Tensor,
    weight: torch.Tensor,
) -> torch.Tensor:
    """Return the paper's loss as a scalar; all arguments are (b,).

    The loss is the mean of -w [z log sigma(f_i - f_j) + (1 - z) log sigma(f_j - f_i)], where f_i is
    the left and f_j the right score, z = `preferred` (1 left, 0 right, 0.5 a tie), and w is w_human
    for human pairs and 1 for judge pairs. The published code defines this loss but trains with a
    hinge loss.
    """
    margin = score_left - score_right
    loss = preferred * logsigmoid(margin) + (1 - preferred) * logsigmoid(-margin)
    return -(weight * loss).mean()


class PublishedSelector:
    """A trained head, with the mean and standard deviation of its training features.

    Attributes:
        w_human: weight of a human pair in training.
        metrics: the epoch kept, the agreement and the loss on the validation pairs (null without
            any), and the number of steps.
    """

    def __init__(
        self,
        head: nn.Sequential,
        mean: torch.Tensor,
        spread: torch.Tensor,
        w_human: float,
        metrics: dict[str, Any],
    ) -> None:
        self._head, self._mean, self._spread = head.eval(), mean, spread  # mean, spread: (D,)
        self.w_human, self.metrics = w_human, metrics

    def scores(self, features: Features) -> pd.Series:
        """Return the score of every candidate in `features`, by candidate_id; higher is better.

        Dropout is off, so the same features get the same score.

        Raises:
            ValueError: features of another width.
        """
        matrix = features.matrix()
        if matrix.shape[1] != len(self._mean):
            raise ValueError(
                f"features of shape {matrix.shape}: this selector needs (n, {len(self._mean)})"
            )
        parts = [np.zeros(0, np.float32)]
        for start in range(0, len(matrix), _ROWS_AT_ONCE):
            block = torch.from_numpy(matrix[start : start + _ROWS_AT_ONCE])
            parts.append(evaluate(self._head, standardise(block, self._mean, self._spread)).numpy())
        index = pd.Index(list(features.ids), name="candidate_id")
        return pd.Series(np.concatenate(parts).astype(float), index=index, name="score")


@stoppable("nothing of the training is kept. Run the cell again to begin anew")
def train_published(
    pairs: pd.DataFrame,
    features: Features,
    *,
    w_human: float,
    validation: pd.DataFrame | None = None,
    **recipe: Any,
) -> PublishedSelector:
    """Train a head on `pairs` and keep the epoch with the best result on `validation`.

    With w_human = 0 only judge pairs count; without judge pairs only human pairs do. The best epoch
    has the highest agreement on the validation pairs, then the lowest loss. Without validation
    pairs the last epoch is kept. The same arguments give the same selector on the same machine.

    Args:
        pairs: columns of table `pairs`, of the training split.
        features: features of every candidate in `pairs` and `validation`.
        w_human: weight of a human pair; a judge pair has weight 1.
        validation: human pairs of the validation split.
        recipe: other fields of `SelectorConfig`.

    Raises:
        ValueError: pairs of another split, no pairs with a weight above 0, candidates without
            features, or settings out of range.
    """
    settings = SelectorConfig(w_human=w_human, **recipe)
    check_split("pairs", pairs, "train")
    held_out = pairs.iloc[:0] if validation is None else validation
    check_split("validation", held_out, "validation")
    data = _Data.of(pairs, features, w_human)
    with _one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        head, metrics = _fit(data, _Data.of(held_out, features, 1.0, data), settings)
    return PublishedSelector(head, data.mean, data.spread, w_human, metrics)


def sweep_published(
    pairs: pd.DataFrame,
    features: Features,
    *,
    validation: pd.DataFrame,
    weights: Iterable[float] = (1, 10, 50, 100, 200, 400),
    **recipe: float,
) -> tuple[pd.DataFrame, PublishedSelector]:
    """Train once per weight of a human pair and keep the selector that does best on `validation`.

    Returns the table (w_human, validation_agreement, validation_loss, epoch) and that selector.
    Other arguments and errors are as in `train_published`; `validation` must not be empty.
    """
    if validation.empty:
        raise ValueError("no validation pairs to choose the weight on: label more")
    tried = [
        train_published(pairs, features, w_human=weight, validation=validation, **recipe)
        for weight in weights
    ]
    if not tried:
        raise ValueError("no weights to try: give at least one")
    columns = ["validation_agreement", "validation_loss", "epoch"]
    rows = [
        {"w_human": trained.w_human, **{name: trained.metrics[name] for name in columns}}
        for trained in tried
    ]
    best = max(tried, key=lambda trained: _merit(trained.metrics))
    return pd.DataFrame(rows), best


@dataclass(frozen=True)
class _Data:
    """Pairs as tensors: standardised rows (m, D) of their candidates, and row numbers."""

    rows: torch.Tensor  # (m, D)
    left: torch.Tensor  # (n,)
    right: torch.Tensor  # (n,)
    preferred: torch.Tensor  # (n,)
    weight: torch.Tensor  # (n,)
    mean: torch.Tensor  # (D,)
    spread: torch.Tensor  # (D,)

    def __len__(self) -> int:
        return len(self.left)

    @classmethod
    def of(
        cls, pairs: pd.DataFrame, features: Features, w_human: float, like: _Data | None = None
    ) -> _Data:
        """Convert the `pairs` with a weight above 0, standardised as `like` or by themselves."""
        human = (pairs["source"] == "human").to_numpy()
        weight = pairs["weight"].to_numpy(float) * np.where(human, w_human, 1.0)
        if like is None and not (weight > 0).any():
            raise ValueError(
                f"nothing to learn from: {len(pairs)} pairs, {int(human.sum())} of them human, "
                f"at w_human = {w_human:g}; give pairs with a weight above 0"
            )
        used, weight = pairs[weight > 0], weight[weight > 0]
        places = features.rows([*used["left_id"], *used["right_id"]])
        unique, codes = np.unique(places, return_inverse=True)
        raw = torch.from_numpy(features.matrix()[unique])
        mean, spread = (like.mean, like.spread) if like else _moments(raw)
        left, right = torch.from_numpy(codes.reshape(2, -1))
        preferred = torch.from_numpy(used["preferred"].to_numpy(np.float32))
        weights = torch.from_numpy(weight.astype(np.float32))
        return cls(standardise(raw, mean, spread), left, right, preferred, weights, mean, spread)


def standardise(rows: torch.Tensor, mean: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
    """Scale features (b, D) to mean 0 and standard deviation 1 on the training candidates."""
    return (rows - mean) / spread


def evaluate(head: nn.Sequential, rows: torch.Tensor) -> torch.Tensor:
    """Return the scores (b,) of standardised features (b, D), without dropout or gradients.

    The head keeps its training mode.
    """
    was_training = head.training
    head.eval()
    with torch.no_grad():
        scores = head(rows).squeeze(1)
    head.train(was_training)
    return scores


@contextmanager
def _one_thread() -> Generator[None]:
    """Use one thread for this small head: on a busy machine two took twenty times as long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _moments(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation (D,) of features (m, D); constant features get 1."""
    spread = rows.std(dim=0, correction=0)
    return rows.mean(dim=0), torch.where(spread > 1e-6, spread, 1.0)


def _fit(
    data: _Data, validation: _Data, recipe: SelectorConfig
) -> tuple[nn.Sequential, dict[str, Any]]:
    """Return the head after its best epoch, with that epoch's metrics and the number of steps."""
    head = build_head(data.rows.shape[1], hidden=recipe.hidden, dropout=recipe.dropout)
    optimiser = torch.optim.Adam(head.parameters(), lr=recipe.lr, fused=True)
    best: Any = None  # measures and weights of the best epoch so far
    steps = 0
    for epoch in range(1, recipe.epochs + 1):
        for batch in _batches(len(data), recipe):
            _step(head, optimiser, data, batch)
            steps += 1
        measured: dict[str, Any] = {"epoch": epoch, **_validate(head, validation)}
        if best is None or not len(validation) or _merit(measured) > _merit(best[0]):
            best = measured, {name: value.clone() for name, value in head.state_dict().items()}
    measured, weights = best
    head.load_state_dict(weights)
    return head, {**measured, "steps": steps}


def _batches(pairs: int, recipe: SelectorConfig) -> Iterator[torch.Tensor]:
    """Yield the indices of one epoch's batches.

    Every pair occurs equally often; each pass has a new order.
    """
    steps = math.ceil(pairs / recipe.batch_size)
    for _ in range(math.ceil(recipe.steps_at_least / (recipe.epochs * steps))):
        yield from torch.randperm(pairs).split(recipe.batch_size)


def _step(
    head: nn.Sequential, optimiser: torch.optim.Optimizer, data: _Data, batch: torch.Tensor
) -> None:
    rows = torch.cat([data.left[batch], data.right[batch]])  # (2 b,)
    left, right = head(data.rows[rows]).squeeze(1).chunk(2)  # (b,), (b,)
    loss = pairwise_loss(left, right, data.preferred[batch], data.weight[batch])
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()


def _validate(head: nn.Sequential, data: _Data) -> dict[str, float | None]:
    """Return agreement and loss on the validation pairs; both are None without pairs."""
    if not len(data):
        return {"validation_agreement": None, "validation_loss": None}
    scores = evaluate(head, data.rows)  # (m,)
    left, right = scores[data.left], scores[data.right]
    frame = pd.DataFrame(
        {"left_id": data.left, "right_id": data.right, "preferred": data.preferred}
    )
    agreement = pair_agreement(frame, dict(enumerate(scores.tolist())))
    loss = pairwise_loss(left, right, data.preferred, data.weight)
    return {"validation_agreement": float(agreement.mean()), "validation_loss": float(loss)}


def _merit(measured: dict[str, Any]) -> tuple[float, float]:
    return measured["validation_agreement"], -measured["validation_loss"]

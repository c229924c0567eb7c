"""The published recipe, kept as a control: an MLP, the pairwise loss, a swept weight of people.

Method, stage 2, item 9. Every choice (the epoch, the weight of a human pair) is made on validation
pairs; test pairs are refused. This module knows nothing of where pairs and features come from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.functional import logsigmoid

from vital_lib.selector.alignment import pair_agreement
from vital_lib.selector.features import Features

_ROWS_AT_ONCE = 8192  # keeps the activations of one pass within the processor's cache


@dataclass(frozen=True)
class SelectorConfig:
    """How the published head is trained; six epochs, batches of 64 pairs and Adam are the paper's.

    The learning rate is for a head on frozen features; the paper's 1e-5 is for tuning the encoder
    along with it. Where few pairs are given, an epoch goes through them several times until
    `steps_at_least` steps are made in all: 50 pairs in batches of 64 are one step an epoch.
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
    """The paper's MLP width-512-512-512-1 (`hidden` = 512), with dropout and without a sigmoid.

    The published head ends in a sigmoid, under which two scores differ by less than 1 and the
    pairwise loss cannot fall below log(1 + 1/e). Dropout stands once, after the first layer: on
    three layers it cost a third of the training time and agreed with people no better.
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
    """The paper's loss, all arguments (b,), result a scalar.

    mean of -w [z log sigma(f_i - f_j) + (1 - z) log sigma(f_j - f_i)], with f_i the left and f_j
    the right score, z = `preferred` (1 left, 0 right, 0.5 a tie), w = w_human for human pairs and
    1 for the judge's. The published code defines it and then trains with a hinge.
    """
    margin = score_left - score_right
    loss = preferred * logsigmoid(margin) + (1 - preferred) * logsigmoid(-margin)
    return -(weight * loss).mean()


class PublishedSelector:
    """A trained head with the mean and spread of the features that it was trained on.

    Attributes:
        config: how it was built and trained; `width` is the features' D.
        metrics: what training and validation measured.
        losses: training loss of every step.
    """

    def __init__(
        self,
        head: nn.Sequential,
        mean: torch.Tensor,
        spread: torch.Tensor,
        *,
        config: Mapping[str, Any],
        metrics: Mapping[str, Any],
        losses: list[float],
    ) -> None:
        self._head, self._mean, self._spread = head.eval(), mean, spread  # mean, spread: (D,)
        self.config, self.metrics, self.losses = dict(config), dict(metrics), list(losses)

    @property
    def w_human(self) -> float:
        """The weight of a human pair that it was trained with."""
        return self.config["w_human"]

    def scores(self, features: Features) -> pd.Series:
        """Score of every candidate in `features`, by candidate_id: higher is better.

        Computed without dropout and without gradients; the same features get the same score.

        Raises:
            ValueError: features of another width.
        """
        matrix = features.matrix()
        if matrix.shape[1] != len(self._mean):
            raise ValueError(
                f"features of shape {matrix.shape}, this selector reads (n, {len(self._mean)})"
            )
        parts = [np.zeros(0, np.float32)]
        for start in range(0, len(matrix), _ROWS_AT_ONCE):
            block = torch.from_numpy(matrix[start : start + _ROWS_AT_ONCE])
            parts.append(evaluate(self._head, standardise(block, self._mean, self._spread)).numpy())
        index = pd.Index(list(features.ids), name="candidate_id")
        return pd.Series(np.concatenate(parts).astype(float), index=index, name="score")


def train_published(
    pairs: pd.DataFrame,
    features: Features,
    *,
    w_human: float,
    validation: pd.DataFrame | None = None,
    **recipe: float,
) -> PublishedSelector:
    """Train a head on `pairs` and keep it as it was after the epoch that served `validation` best.

    w_human = 0 learns from the judge alone, pairs without the judge's from people alone. Best is
    the highest agreement on the validation pairs, then the lowest loss; without validation pairs
    the last epoch is kept. The same arguments give the same selector on the same machine.

    Args:
        pairs: columns of table `pairs`, of the training split.
        features: of every candidate in `pairs` and `validation`.
        w_human: weight of a human pair beside 1 for a judge's.
        validation: human pairs of the validation split.
        recipe: other fields of `SelectorConfig`.

    Raises:
        ValueError: pairs of another split, none that count, candidates without features, or a
            recipe that cannot be.
    """
    settings = SelectorConfig(w_human=w_human, **recipe)
    _check_split("pairs", pairs, "train")
    held_out = pairs.iloc[:0] if validation is None else validation
    _check_split("validation", held_out, "validation")
    data = _Data.of(pairs, features, w_human)
    with _one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        head, measured, losses = _fit(data, _Data.of(held_out, features, 1.0, data), settings)
    counts = pairs["source"].value_counts()
    metrics = {
        **measured,
        "human_pairs": int(counts.get("human", 0)) if w_human else 0,
        "judge_pairs": int(counts.get("judge", 0)),
        "validation_pairs": len(held_out),
    }
    config = {"width": len(data.mean), **asdict(settings)}
    return PublishedSelector(
        head, data.mean, data.spread, config=config, metrics=metrics, losses=losses
    )


def sweep_published(
    pairs: pd.DataFrame,
    features: Features,
    *,
    validation: pd.DataFrame,
    weights: Iterable[float] = (1, 10, 50, 100, 200, 400),
    **recipe: float,
) -> tuple[pd.DataFrame, PublishedSelector]:
    """Train once per weight of a human pair; the selector that served `validation` best is kept.

    Returns the table (w_human, validation_agreement, validation_loss, epoch) and that selector.
    Other arguments and errors as in `train_published`; `validation` may not be empty.
    """
    if validation.empty:
        raise ValueError("the weight is chosen on validation pairs, and there are none: label more")
    tried = [
        train_published(pairs, features, w_human=weight, validation=validation, **recipe)
        for weight in weights
    ]
    if not tried:
        raise ValueError("no weights to try")
    columns = ["validation_agreement", "validation_loss", "epoch"]
    rows = [
        {"w_human": one.w_human, **{name: one.metrics[name] for name in columns}} for one in tried
    ]
    best = max(tried, key=lambda one: _merit(one.metrics))
    return pd.DataFrame(rows), best


@dataclass(frozen=True)
class _Data:
    """Pairs as tensors: standardised rows (m, D) of their candidates, and places among them."""

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
        """The `pairs` that count, standardised as `like`, or by their own candidates."""
        human = (pairs["source"] == "human").to_numpy()
        weight = pairs["weight"].to_numpy(float) * np.where(human, w_human, 1.0)
        if like is None and not (weight > 0).any():
            raise ValueError(
                f"nothing to learn from: {len(pairs)} pairs, {int(human.sum())} of them human, "
                f"at w_human = {w_human:g}"
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
    """Features (b, D) with mean 0 and spread 1 on the training candidates."""
    return (rows - mean) / spread


def evaluate(head: nn.Sequential, rows: torch.Tensor) -> torch.Tensor:
    """Scores (b,) of standardised features (b, D), without dropout or gradients.

    A head that was in training is in training again afterwards.
    """
    was_training = head.training
    head.eval()
    with torch.no_grad():
        scores = head(rows).squeeze(1)
    head.train(was_training)
    return scores


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for a head this small: with a busy neighbour, two took twenty times as long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _moments(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and spread (D,) of features (m, D); a feature that never varies keeps spread 1."""
    spread = rows.std(dim=0, correction=0)
    return rows.mean(dim=0), torch.where(spread > 1e-6, spread, 1.0)


def _fit(
    data: _Data, validation: _Data, recipe: SelectorConfig
) -> tuple[nn.Sequential, dict[str, float], list[float]]:
    """The head after its best epoch, what that epoch measured, and the loss of every step."""
    head = build_head(data.rows.shape[1], hidden=recipe.hidden, dropout=recipe.dropout)
    optimiser = torch.optim.Adam(head.parameters(), lr=recipe.lr, fused=True)
    best: tuple[dict[str, float], dict[str, torch.Tensor]] | None = None
    losses: list[float] = []
    for epoch in range(1, recipe.epochs + 1):
        before = len(losses)
        losses += [_step(head, optimiser, data, batch) for batch in _batches(len(data), recipe)]
        measured = {"epoch": epoch, "train_loss": float(np.mean(losses[before:]))}
        measured |= _validate(head, validation)
        if best is None or not len(validation) or _merit(measured) > _merit(best[0]):
            best = measured, {name: value.clone() for name, value in head.state_dict().items()}
    measured, weights = best
    head.load_state_dict(weights)
    return head, {**measured, "steps": len(losses)}, losses


def _batches(pairs: int, recipe: SelectorConfig) -> Iterator[torch.Tensor]:
    """Places of one epoch's batches, each pair as often as any other, in a new order each time."""
    steps = math.ceil(pairs / recipe.batch_size)
    for _ in range(math.ceil(recipe.steps_at_least / (recipe.epochs * steps))):
        yield from torch.randperm(pairs).split(recipe.batch_size)


def _step(
    head: nn.Sequential, optimiser: torch.optim.Optimizer, data: _Data, batch: torch.Tensor
) -> float:
    rows = torch.cat([data.left[batch], data.right[batch]])  # (2 b,)
    left, right = head(data.rows[rows]).squeeze(1).chunk(2)  # (b,), (b,)
    loss = pairwise_loss(left, right, data.preferred[batch], data.weight[batch])
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return loss.item()


def _validate(head: nn.Sequential, data: _Data) -> dict[str, float | None]:
    """Agreement and loss on the validation pairs; None without any."""
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


def _merit(measured: dict[str, float]) -> tuple[float, float]:
    return measured["validation_agreement"], -measured["validation_loss"]


def _check_split(name: str, pairs: pd.DataFrame, split: str) -> None:
    strangers = pairs["split"][pairs["split"] != split]
    if len(strangers):
        raise ValueError(
            f"{len(strangers)} of {len(pairs)} {name} are of the {strangers.iloc[0]} split: "
            f"{name} must be of the {split} split, pairs[pairs['split'] == {split!r}]"
        )

"""The selector's head: standardised features in, one score out; and its folder on disk.

Method, stage 2, item 9. This module knows nothing of pairs, weights or how the head was trained.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from vital_lib.selector.features import Features
from vital_lib.tables import OtherFormat, write_whole

FORMAT_VERSION = 1
"""Version of the selector's folder."""

_ROWS_AT_ONCE = 8192  # keeps the activations of one pass within the processor's cache


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


class Selector:
    """A trained head with the mean and spread of the features that it was trained on.

    Attributes:
        config: how it was built and trained, as JSON values; `width` is the features' D.
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

    def __repr__(self) -> str:
        return f"Selector(width={self.config['width']}, w_human={self.w_human:g})"

    @property
    def w_human(self) -> float:
        """The weight of a human pair that it was trained with."""
        return self.config["w_human"]

    def score(self, matrix: np.ndarray) -> np.ndarray:
        """Scores (n,) float32 of features `matrix` (n, D): higher is better, only order counts.

        Computed without dropout and without gradients; the same features get the same score.

        Raises:
            ValueError: features of another width, or scores that are not finite.
        """
        width = len(self._mean)
        if matrix.ndim != 2 or matrix.shape[1] != width:
            raise ValueError(f"features of shape {matrix.shape}, this selector reads (n, {width})")
        parts = [np.zeros(0, np.float32)]
        for start in range(0, len(matrix), _ROWS_AT_ONCE):
            block = np.ascontiguousarray(matrix[start : start + _ROWS_AT_ONCE], dtype=np.float32)
            rows = standardise(torch.from_numpy(block), self._mean, self._spread)  # (b, D)
            parts.append(evaluate(self._head, rows).numpy())
        scores = np.concatenate(parts)
        bad = int((~np.isfinite(scores)).sum())
        if bad:
            raise ValueError(f"{bad} of {len(scores)} scores are not finite: check the features")
        return scores

    def scores(self, features: Features) -> pd.Series:
        """Score of every candidate in `features`, by candidate_id."""
        index = pd.Index(list(features.ids), name="candidate_id")
        return pd.Series(self.score(features.matrix).astype(float), index=index, name="score")

    def score_table(self, features: Features, *, name: str = "selector") -> pd.DataFrame:
        """Columns of table `scores`; uncertainty is null, as one head alone has no spread."""
        rows = self.scores(features).reset_index()
        rows = rows.assign(selector=name, uncertainty=np.nan)
        return rows[["candidate_id", "selector", "score", "uncertainty"]]

    def save(self, folder: str | Path) -> Path:
        """Write config.json, model.safetensors and metrics.json, each whole; return the folder."""
        folder = Path(folder)
        tensors = {**self._head.state_dict(), "features.mean": self._mean}
        tensors["features.spread"] = self._spread
        weights = folder / "model.safetensors"
        write_whole(weights, lambda path: save_file(tensors, path))
        _write_json(folder / "metrics.json", {**self.metrics, "losses": self.losses})
        # Last, and with the weights' hash: a save cut short leaves no folder that seems whole.
        config = {"format_version": FORMAT_VERSION, "model_sha256": _sha256(weights), **self.config}
        _write_json(folder / "config.json", config)
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Selector:
        """Read what `save` wrote; its scores are exactly those of the one saved.

        Raises:
            FileNotFoundError: no selector in `folder`.
            OtherFormat: written in a layout that this release does not read.
            ValueError: weights that do not belong to the config.
        """
        folder = Path(folder)
        if not (folder / "config.json").exists():
            raise FileNotFoundError(
                f"no selector in {folder}: run notebooks/06_train_selector.ipynb"
            )
        config = json.loads((folder / "config.json").read_text())
        found = config.pop("format_version", None)
        if found != FORMAT_VERSION:
            raise OtherFormat(
                f"{folder} has format version {found!r}, this release reads {FORMAT_VERSION}: "
                "train the selector anew with notebooks/06_train_selector.ipynb"
            )
        if config.pop("model_sha256") != _sha256(folder / "model.safetensors"):
            raise ValueError(f"{folder}: model.safetensors is not the one that config.json names")
        tensors = load_file(folder / "model.safetensors")
        mean, spread = tensors.pop("features.mean"), tensors.pop("features.spread")
        head = build_head(len(mean), hidden=config["hidden"], dropout=config["dropout"])
        head.load_state_dict(tensors)
        metrics = json.loads((folder / "metrics.json").read_text())
        losses = metrics.pop("losses")
        return cls(head, mean, spread, config=config, metrics=metrics, losses=losses)


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


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    text = json.dumps(values, indent=1, allow_nan=False) + "\n"
    write_whole(path, lambda temporary: temporary.write_text(text))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

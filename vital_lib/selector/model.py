"""The selector: one weight per scaled feature, the uncertainty of each score, the saved folder.

The module does not depend on votes, on ratings or on how the weights were fitted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file

from vital_lib.selector.features import Features
from vital_lib.selector.scaling import Scaled, Scaling
from vital_lib.tables import UnsupportedFormat, write_atomically, write_text

FORMAT_VERSION = 3
"""Version of the selector's folder: 1 held an MLP; 2 one weight per column, as 3, but without words
of one character, such as the 3 in "grade 3"."""

AT_ONCE = 16_384
"""Number of candidates that are scaled at once, so that memory does not grow with their number."""


@dataclass(frozen=True)
class Weights:
    """Learned weights, all float32; D dense and S sparse columns, r directions.

    Attributes:
        score: (D + S,), weights of the score; `constant`: (1,), its intercept.
        prior: (D + S,), weights of the judge's prior, in standard deviations; `shift`: (1,), its
            intercept.
        basis: (D + S, r), directions covered by annotators' labels.
        covariance: (r + 2, r + 2), of the weights of the directions, the prior and the constant.
    """

    score: np.ndarray
    constant: np.ndarray
    prior: np.ndarray
    shift: np.ndarray
    basis: np.ndarray
    covariance: np.ndarray


class Selector:
    """A linear score of candidates: the product of scaled features with one weight vector.

    Attributes:
        config: training settings as JSON values: `learned_from` ("judge", "people" or "both"),
            `blocks` (name -> width), `encoder` (its fingerprint), `strength`, `penalty`.
        metrics: size of the training data, and the training time in seconds.
    """

    def __init__(
        self,
        scaling: Scaling,
        weights: Weights,
        *,
        config: Mapping[str, Any],
        metrics: Mapping[str, Any],
    ) -> None:
        self.scaling, self.weights = scaling, weights
        self.config, self.metrics = dict(config), dict(metrics)

    def __repr__(self) -> str:
        columns = len(self.weights.score)
        return f"Selector({columns:,} columns, learned from {self.config['learned_from']})"

    def ready(self, features: Features, rows: slice = slice(None)) -> Scaled:
        """Scale `features`, or some `rows` of them, for this selector, to score them several times.

        Raises:
            ValueError: features of another encoder, or with other blocks.
        """
        if features.encoder != self.config["encoder"]:
            raise ValueError(
                f"features of encoder {features.encoder[:12]!r}: this selector was trained on "
                f"features of {self.config['encoder'][:12]!r}; encode the candidates with that "
                "encoder, or retrain with notebooks/06_train_selector.ipynb"
            )
        return self.scaling.apply(features, rows)

    def score(self, features: Features | Scaled) -> np.ndarray:
        """Return scores (n,) float32; higher is better, and only the order counts.

        If the selector learned from votes, a score is the log-odds that an annotator accepts.

        Raises:
            ValueError: as `ready`, or scores that are not finite.
        """
        parts = [features] if isinstance(features, Scaled) else self._parts(features)
        scores = np.concatenate([rows.dot(self.weights.score) for rows in parts])
        scores += self.weights.constant
        bad = len(scores) - int(np.isfinite(scores).sum())
        if bad:
            raise ValueError(f"{bad} of {len(scores)} scores are not finite: check the features")
        return scores

    def uncertainty(self, features: Features | Scaled) -> np.ndarray:
        """Return the standard deviation (n,) of each score, in the score's unit.

        It uses Laplace's approximation of the logistic regression (MacKay 1992, "The evidence
        framework applied to classification networks"). It is large where no labelled response is
        near. It is NaN if the selector learned from no labels.
        """
        return np.concatenate([self._uncertainty(rows) for rows in self._parts(features)])

    def _uncertainty(self, rows: Scaled) -> np.ndarray:
        if not self.weights.basis.shape[1]:
            return np.full(len(rows), np.nan)
        within = rows.dot(self.weights.basis)  # (n, r)
        prior = rows.dot(self.weights.prior) + self.weights.shift
        seen = np.c_[within, prior, np.ones(len(rows))].astype(float)
        known = np.einsum(
            "ij,jk,ik->i", seen, self.weights.covariance.astype(float), seen, optimize=True
        )
        beyond = np.maximum(rows.lengths() - np.square(within).sum(axis=1), 0)
        return np.sqrt(known + self.config["strength"] * beyond)

    def _parts(self, features: Features | Scaled) -> Iterator[Scaled]:
        """Yield the scaled rows, `AT_ONCE` at once; at least one part."""
        for start in range(0, max(1, len(features)), AT_ONCE):
            rows = slice(start, start + AT_ONCE)
            if isinstance(features, Scaled):
                yield features.take(rows)
            else:
                yield self.ready(features, rows)

    def scores(self, features: Features) -> pd.Series:
        """Return the score of every candidate in `features`, by candidate_id."""
        index = pd.Index(list(features.ids), name="candidate_id")
        return pd.Series(self.score(features).astype(float), index=index, name="score")

    def score_table(self, features: Features, *, name: str = "selector") -> pd.DataFrame:
        """Return the columns of table `scores`; `uncertainty` is null without labels."""
        return pd.DataFrame(
            {
                "candidate_id": list(features.ids),
                "selector": name,
                "score": self.score(features).astype(float),
                "uncertainty": self.uncertainty(features),
            }
        )

    def save(self, folder: str | Path) -> Path:
        """Write config.json, model.safetensors and metrics.json atomically; return the folder."""
        folder = Path(folder)
        # safetensors writes raw memory, so transposed arrays must be made contiguous first.
        tensors = {name: np.ascontiguousarray(array) for name, array in self._arrays().items()}
        path = folder / "model.safetensors"
        write_atomically(path, lambda temporary: save_file(tensors, temporary))
        _write_json(folder / "metrics.json", self.metrics)
        # config.json comes last and holds the hash of the weights, so an interrupted save does not
        # look complete.
        config = {"format_version": FORMAT_VERSION, "model_sha256": _sha256(path), **self.config}
        _write_json(folder / "config.json", config)
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Selector:
        """Load a saved selector, which gives exactly the same scores.

        Raises:
            FileNotFoundError: no selector in `folder`.
            UnsupportedFormat: a format version that this release does not read.
            ValueError: weights that do not match the config.
        """
        folder = Path(folder)
        names = ("config.json", "model.safetensors", "metrics.json")
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise FileNotFoundError(
                f"no selector in {folder} (no {missing[0]}): run notebooks/06_train_selector.ipynb"
            )
        config = json.loads((folder / "config.json").read_text())
        found = config.pop("format_version", None)
        if found != FORMAT_VERSION:
            raise UnsupportedFormat(
                f"{folder} has format version {found!r}, this release reads {FORMAT_VERSION}: "
                "retrain the selector with notebooks/06_train_selector.ipynb"
            )
        if config.pop("model_sha256") != _sha256(folder / "model.safetensors"):
            raise ValueError(
                f"{folder}: model.safetensors does not match the hash in config.json: retrain the "
                "selector with notebooks/06_train_selector.ipynb"
            )
        arrays = load_file(folder / "model.safetensors")
        scaling = Scaling(config["blocks"], *(arrays.pop(name) for name in _SCALING))
        metrics = json.loads((folder / "metrics.json").read_text())
        return cls(scaling, Weights(**arrays), config=config, metrics=metrics)

    def _arrays(self) -> dict[str, np.ndarray]:
        named = {field.name: getattr(self.weights, field.name) for field in fields(Weights)}
        return named | {name: getattr(self.scaling, name) for name in _SCALING}


_SCALING = ("mean", "factor", "limit")


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(values, indent=1, allow_nan=False) + "\n")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

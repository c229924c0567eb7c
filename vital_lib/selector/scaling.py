"""Scaled features with equal weight per block, and their products with weights.

Standardised columns alone would let a block of many noisy columns outweigh a block of a few
informative columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array, hstack

from vital_lib.selector.features import Features

CLIP = 6.0
"""Number of standard deviations at which values are clipped."""


@dataclass(frozen=True)
class Scaled:
    """Scaled features (n, D + S) for products: `dense` (n, D) float32 and `sparse` (n, S)."""

    dense: np.ndarray
    sparse: csr_array

    def __len__(self) -> int:
        return len(self.dense)

    def take(self, rows: np.ndarray | slice) -> Scaled:
        """Return only the rows (k,)."""
        return Scaled(self.dense[rows], self.sparse[rows])

    def dot(self, weights: np.ndarray) -> np.ndarray:
        """Return the product (n,) or (n, r) with `weights` (D + S,) or (D + S, r), in float32.

        The two parts run in parallel, because reading them takes most of the time.
        """
        weights = np.ascontiguousarray(weights, dtype=np.float32)
        width = self.dense.shape[1]
        if not self.sparse.nnz:
            return self.dense @ weights[:width]
        with ThreadPoolExecutor(1) as pool:
            words = pool.submit(lambda: self.sparse @ weights[width:])
            dense = self.dense @ weights[:width]
            return np.add(dense, words.result(), out=dense)

    def gram(self, other: Scaled) -> np.ndarray:
        """Return the products (n, m), float32, of every row with every row of `other`."""
        words = (self.sparse @ other.sparse.T).toarray()
        return np.add(self.dense @ other.dense.T, words, out=words)

    def combine(self, amounts: np.ndarray) -> np.ndarray:
        """Return the sum of the rows weighted by `amounts` (n,) or (n, r), in float64.

        The sum has shape (D + S,) or (D + S, r).
        """
        return np.concatenate([self.dense.T @ amounts, self.sparse.T @ amounts])

    def lengths(self) -> np.ndarray:
        """Return the squared length (n,) of each row."""
        words = self.sparse.multiply(self.sparse).sum(axis=1)
        return np.einsum("ij,ij->i", self.dense, self.dense) + np.asarray(words).ravel()


@dataclass(frozen=True)
class Scaling:
    """Scaling parameters: block `layout`, and `mean`, `factor` and `limit` (D,) of dense columns.

    A dense column is standardised, clipped at CLIP standard deviations, and divided by the square
    root of its block's width. A constant column becomes 0. A sparse block is not scaled.
    """

    layout: Mapping[str, int]  # block's name -> its width, dense blocks first
    mean: np.ndarray
    factor: np.ndarray
    limit: np.ndarray

    @classmethod
    def fit(cls, features: Features, rows: np.ndarray) -> Scaling:
        """Fit to the candidates in `rows` (k,) of `features`, those of the training articles."""
        dense, sparse = _halves(features.blocks)
        mean, factor, limit = [], [], []
        for name in dense:
            block = features.blocks[name][rows].astype(np.float64)  # (k, w)
            spread, root = block.std(axis=0), np.sqrt(block.shape[1])
            mean.append(block.mean(axis=0))
            factor.append(np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-6), 0) / root)
            limit.append(np.full(block.shape[1], CLIP / root))
        layout = {name: features.widths[name] for name in (*dense, *sparse)}
        return cls(layout, *(_flat(parts) for parts in (mean, factor, limit)))

    def apply(self, features: Features, rows: slice = slice(None)) -> Scaled:
        """Scale `features`, or some `rows` of them.

        Raises:
            ValueError: blocks with other names or widths than in the fit.
        """
        if features.widths != dict(self.layout):
            raise ValueError(
                f"features have blocks {_listed(features.widths)}: this selector needs blocks "
                f"{_listed(self.layout)}"
            )
        blocks = {name: features.blocks[name] for name in self.layout}
        dense, sparse = _halves(blocks)
        number = len(range(len(features))[rows])
        scaled = np.empty((number, len(self.mean)), np.float32)
        start = 0
        for name in dense:
            part = slice(start, start + self.layout[name])
            values = (blocks[name][rows] - self.mean[part]) * self.factor[part]
            np.clip(values, -self.limit[part], self.limit[part], out=scaled[:, part])
            start = part.stop
        words = [csr_array(blocks[name][rows], dtype=np.float32) for name in sparse]
        empty = csr_array((number, 0), dtype=np.float32)
        return Scaled(scaled, hstack([empty, *words], format="csr"))


def _halves(blocks: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the names of the dense and of the sparse blocks."""
    sparse = [name for name, block in blocks.items() if hasattr(block, "tocsr")]
    return [name for name in blocks if name not in sparse], sparse


def _flat(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0), *parts]).astype(np.float32)


def _listed(widths: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({width})" for name, width in widths.items())

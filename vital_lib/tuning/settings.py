"""Settings of one tuning run, validated when created."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np

from vital_lib.models import QUANTIZED

USUAL_RATES = {"lora": 2e-4, "language": 2e-5, "projector": 1e-3}
"""`train` -> the usual learning rate for models with billions of weights."""

_LEAST = {"epochs": 1, "batch_size": 1, "lora_rank": 1, "lora_alpha": 1, "seed": 0}
_OR_NONE = ("max_tokens", "micro_batch_size")
_END = 2**63  # of the whole numbers that torch takes


@dataclass(frozen=True)
class TuningConfig:
    """Settings of one tuning run.

    `train` is ``"lora"`` (low-rank matrices on the language model), ``"language"`` (the full
    language model, as in LLaVA-Med's stage 2) or ``"projector"`` (nothing else, as in its stage 1).
    `train_projector` trains the full projector beside it. `train_vision` trains the vision tower in
    the way of the language model; by default it stays frozen. `quantize` is None or ``"4bit"``
    (QLoRA: frozen language layers in 4 bits; needs bitsandbytes).

    LLaVA-Med's stage 2 uses a rate of 2e-5, 3 epochs and batch 128. LoRA starts few weights from
    zero and needs ten times that rate; LLaVA-1.5 trains its projector at 1e-3. Those rates are the
    defaults of `learning_rate`. The clinic's tiny model needs 2e-3, batch 4 and 5 epochs, chosen by
    its answers about figures of no run: with 3 epochs its open recall rose above the base model's
    by 2 points, with 5 by 6, with 8 by 4, and its closed accuracy fell by 3.2, 1.7 and 1.4
    (CHANGELOG.md).

    `batch_size` counts own conversations per step; `micro_batch_size` splits it to save memory.
    `mix_share` is the number of mixed conversations per own conversation. `max_tokens` None means
    the model's own limit.

    `interpolation` places the saved weights between the base model's (0) and the final weights of
    training (1). An intermediate model often does better than both ends (WiSE-FT, Wortsman et al.
    2022).
    """

    train: str = "lora"
    train_projector: bool = True
    train_vision: bool = False
    quantize: str | None = None
    epochs: int = 3
    learning_rate: float | None = None
    batch_size: int = 16
    micro_batch_size: int | None = None
    mix_share: float = 0.5
    lora_rank: int = 8
    lora_alpha: int = 16  # twice the rank
    lora_dropout: float = 0.0  # as in peft; dropout costs a third of a tiny model's step
    warmup_share: float = 0.03  # LLaVA's recipe, followed by a cosine schedule
    interpolation: float = 1.0
    max_tokens: int | None = None
    activation_checkpointing: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in list(vars(self).items()):
            if isinstance(value, np.generic):  # which JSON cannot hold
                object.__setattr__(self, name, value.item())
        self._check("train", self.train in list(USUAL_RATES), f"one of {', '.join(USUAL_RATES)}")
        self._check_parts()
        if self.learning_rate is None:
            object.__setattr__(self, "learning_rate", USUAL_RATES[self.train])
        given = {name: 1 for name in _OR_NONE if getattr(self, name) is not None}
        for name, least in (_LEAST | given).items():
            self._check_number(
                name, lambda n, least=least: least <= n < _END, f"at least {least}", Integral
            )
        divides = self.batch_size % (self.micro_batch_size or 1) == 0
        self._check("micro_batch_size", divides, f"a divisor of batch_size={self.batch_size}")
        self._check_number("learning_rate", lambda n: 0 < n <= 1, "above 0, at most 1")
        share = "above 0 (unused without a mix)"
        self._check_number("mix_share", lambda n: 0 < n < math.inf, share)
        between = "above 0 (the base model), at most 1"
        self._check_number("interpolation", lambda n: 0 < n <= 1, between)
        for name in ("lora_dropout", "warmup_share"):
            self._check_number(name, lambda n: 0 <= n < 1, "from 0 to below 1")

    def _check_parts(self) -> None:
        """Check the switches that select what is trained, alone and against `train`."""
        for name in ("train_projector", "train_vision", "activation_checkpointing"):
            self._check(name, isinstance(getattr(self, name), bool), "True or False")
        known = self.quantize is None or self.quantize in QUANTIZED
        self._check("quantize", known, f"None or one of {', '.join(QUANTIZED)}")
        if self.train == "projector":
            self._check("train_projector", self.train_projector, "True with train='projector'")
            self._check("train_vision", not self.train_vision, "False with train='projector'")
        if self.train != "lora":
            self._check("quantize", self.quantize is None, f"None with train={self.train!r}")

    def _check_number(
        self, name: str, fits: Callable[[float], bool], wanted: str, kind: type = Real
    ) -> None:
        value = getattr(self, name)
        number = isinstance(value, kind) and not isinstance(value, bool)
        whole = "whole " if kind is Integral else ""
        self._check(name, number and fits(value), f"a {whole}number, {wanted}")

    def _check(self, name: str, holds: bool, wanted: str) -> None:
        if not holds:
            raise ValueError(f"{name}={getattr(self, name)!r}: wanted {wanted}")

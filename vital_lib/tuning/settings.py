"""The settings of one tuning run, checked when they are made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral

USUAL_RATES = {"lora": 2e-4, "language": 2e-5}
"""What is trained -> the learning rate that is usual for models of billions of weights."""


@dataclass(frozen=True)
class TuningConfig:
    """The settings of one tuning run.

    `train` is ``"lora"`` (small matrices on the language half, the projector whole) or
    ``"language"`` (the whole language half and the projector, as in LLaVA-Med's stage 2); the
    vision tower is never trained. LLaVA-Med's stage 2 takes 2e-5, 3 epochs, batch 128; LoRA starts
    few weights from zero and wants ten times that rate. Those are the defaults of `learning_rate`.
    The clinic's tiny model wants 2e-3 and batch 4, by its answers about phantoms held out.

    `batch_size` counts own conversations a step, `micro_batch_size` splits it where memory is
    short. `mix_share` is how many mixed conversations there are for each own one. `max_tokens`
    None means the model's own limit.

    `interpolation` is how far the saved weights go from the base model's (0) to those that training
    ended with (1): a point between often knows more than both ends (WiSE-FT, Wortsman et al. 2022).
    """

    train: str = "lora"
    epochs: int = 3
    learning_rate: float | None = None
    batch_size: int = 16
    micro_batch_size: int | None = None
    mix_share: float = 0.5
    lora_rank: int = 8
    lora_alpha: int = 16  # twice the rank
    lora_dropout: float = 0.0  # as in peft; its masks cost a third of a tiny model's step
    warmup_share: float = 0.03  # LLaVA's recipe, with a cosine after it
    interpolation: float = 1.0
    max_tokens: int | None = None
    activation_checkpointing: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        self._check("train", self.train in USUAL_RATES, f"one of {', '.join(USUAL_RATES)}")
        if self.learning_rate is None:
            object.__setattr__(self, "learning_rate", USUAL_RATES[self.train])
        for name in ("epochs", "batch_size", "lora_rank", "lora_alpha"):
            value = getattr(self, name)
            whole = isinstance(value, Integral) and value >= 1
            self._check(name, whole, "a whole number, at least 1")
        self._check("learning_rate", 0 < self.learning_rate <= 1, "above 0, at most 1")
        share = 0 < self.mix_share < math.inf
        self._check("mix_share", share, "a number above 0 (without a mix it is not used)")
        between = 0 < self.interpolation <= 1
        self._check("interpolation", between, "above 0 (the base model), at most 1")
        self._check("lora_dropout", 0 <= self.lora_dropout < 1, "from 0 to below 1")
        self._check("warmup_share", 0 <= self.warmup_share < 1, "from 0 to below 1")
        self._check("seed", self.seed >= 0, "0 or more")
        if self.max_tokens is not None:
            self._check("max_tokens", self.max_tokens >= 1, "at least 1, or None")
        if self.micro_batch_size is not None:
            divides = self.micro_batch_size >= 1 and self.batch_size % self.micro_batch_size == 0
            self._check("micro_batch_size", divides, f"a divisor of batch_size={self.batch_size}")

    def _check(self, name: str, holds: bool, wanted: str) -> None:
        if not holds:
            raise ValueError(f"{name}={getattr(self, name)!r}: wanted {wanted}")

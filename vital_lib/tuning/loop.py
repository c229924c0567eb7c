"""The training loop: AdamW, a cosine schedule after warm-up, gradients clipped at norm 1.

It trains whatever weights of a model need gradients. It does not depend on where the batches come
from, on files, or on how the weights were chosen.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from peft import PeftModel

from vital_lib.tuning.sequences import IGNORED
from vital_lib.tuning.settings import TuningConfig

Batch = dict[str, torch.Tensor]
"""Token tensors (B, L), among them `labels`, and the image tensors of `collate`."""


class DivergedLoss(ArithmeticError):
    """Raised before a step whose loss or gradient is NaN or infinite could change the weights."""


class Training:
    """Weights in training: they, their optimizer, and the losses of the steps made.

    Attributes:
        losses: the loss of every step made.
        total: the number of steps planned.
        device: where the weights are.
        whole: False while a step changes the weights; then an interrupt leaves them half-changed.
    """

    def __init__(self, model: torch.nn.Module, config: TuningConfig, total: int) -> None:
        self.model, self.total = model, total
        self.losses: list[float] = []
        self.whole = True
        self._config, self._warmup = config, round(total * config.warmup_share)
        self._weights = {n: w for n, w in model.named_parameters() if w.requires_grad}
        self._optimizer = torch.optim.AdamW(
            [{"params": list(self._weights.values()), "initial_lr": config.learning_rate}],
            weight_decay=0.0,
            fused=True,
        )
        self.device = next(iter(self._weights.values())).device
        self._selects = selects_logits(model)
        self._random = _random_states(self.device)
        if config.activation_checkpointing:
            model.activation_checkpointing_enable()
        model.train()

    @property
    def step(self) -> int:
        """The number of steps made."""
        return len(self.losses)

    def gradients(self, parts: Sequence[Batch]) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute a step's gradients from its parts; return its loss and their norm (scalars).

        The loss is the mean over the labelled tokens of all parts together.
        """
        self._optimizer.zero_grad()
        size = sum(self.size(part) for part in parts)
        loss = torch.zeros((), device=self.device)
        for part in parts:
            share = self.summed_loss(part) / size
            share.backward()
            loss += share.detach()
        return loss, torch.nn.utils.clip_grad_norm_(self._weights.values(), 1.0)

    def update(self, loss: float, norm: float) -> None:
        """Change the weights by the gradients.

        Raises:
            DivergedLoss: `loss` or `norm` is not finite; the weights are as before.
        """
        if not (math.isfinite(loss) and math.isfinite(norm)):
            way_out = f"lower learning_rate={self._config.learning_rate}, or look for damaged"
            way_out += " images and very long responses"
            if not self.losses:  # nothing has been learned yet
                way_out = "it comes from the base model's weights: download or copy them again"
            raise DivergedLoss(
                f"at step {self.step + 1} of {self.total} the loss is {loss} and its gradient "
                f"{norm}: {way_out}"
            )
        factor = rate_factor(self.step, self.total, self._warmup)
        self.whole = False
        for group in self._optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        self._optimizer.step()
        self.losses.append(loss)
        self._random = _random_states(self.device)
        self.whole = True

    def size(self, batch: Batch) -> float:
        """Return the number of labelled tokens, over which the loss is a mean."""
        return int((batch["labels"][:, 1:] != IGNORED).sum())

    def precision(self) -> torch.autocast:
        """Return the context of every forward pass: bf16 on a GPU, as loaded on the CPU."""
        kind = self.device.type
        return torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda")

    def summed_loss(self, batch: Batch) -> torch.Tensor:
        """Return the cross-entropy of the labelled tokens, summed over the batch.

        Most positions of a sequence (image, questions) have no label. A model that can leaves out
        their logits: this saves a fifth of a tiny model's step, and gigabytes of memory with a
        large vocabulary.
        """
        batch = {name: value.to(self.device) for name, value in batch.items()}
        labels = batch.pop("labels")[:, 1:]
        places = (labels != IGNORED).any(0).nonzero()[:, 0]  # (K,)
        wanted = {"logits_to_keep": places} if self._selects else {}
        try:
            with self.precision():
                logits = self.model(**batch, **wanted, use_cache=False).logits
        except (ValueError, IndexError) as error:
            if self.losses:
                raise
            raise ValueError(
                f"the base model fails on its first batch ({error}): its config, processor and "
                "weights may be of different models; give the folder of one model, as published"
            ) from error
        logits = logits if wanted else logits[:, places]  # (B, K, vocabulary)
        labels = labels[:, places]
        labelled = labels != IGNORED
        return torch.nn.functional.cross_entropy(
            logits[labelled].float(), labels[labelled], reduction="sum"
        )

    def state(self) -> dict[str, torch.Tensor]:
        """Return all that decides the next steps: weights, moments, random states, losses."""
        moments = self._optimizer.state_dict()["state"]
        tensors = {f"weights/{name}": weights.detach() for name, weights in self._weights.items()}
        for place, name in enumerate(self._weights):
            for key, value in moments.get(place, {}).items():
                tensors[f"adamw/{key}/{name}"] = value
        tensors |= {f"random/{device}": value for device, value in self._random.items()}
        return tensors | {"losses": torch.tensor(self.losses, dtype=torch.float64)}

    def go_on_from(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Take over the `state` of a run of the same model and settings."""
        moments: dict[int, dict[str, torch.Tensor]] = {}
        with torch.no_grad():
            for place, (name, weights) in enumerate(self._weights.items()):
                weights.copy_(tensors[f"weights/{name}"])
                keys = ("step", "exp_avg", "exp_avg_sq")
                found = {key: tensors.get(f"adamw/{key}/{name}") for key in keys}
                moments[place] = {key: value for key, value in found.items() if value is not None}
        groups = self._optimizer.state_dict()["param_groups"]
        moments = {place: found for place, found in moments.items() if found}
        self._optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self.losses = tensors["losses"].tolist()
        _set_random_states(tensors, self.device)
        self._random = _random_states(self.device)


def selects_logits(model: torch.nn.Module) -> bool:
    """Return whether `model` can compute the logits of selected positions only."""
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    return "logits_to_keep" in inspect.signature(base.forward).parameters


def rate_factor(step: int, total: int, warmup: int) -> float:
    """Return the learning rate after `step` steps as a share of the highest.

    It rises in a line over `warmup` steps and then falls to 0 along half a cosine.
    """
    if step < warmup:
        return step / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def _random_states(device: torch.device) -> dict[str, torch.Tensor]:
    states = {"cpu": torch.get_rng_state()}
    return states | {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else states


def _set_random_states(tensors: Mapping[str, Any], device: torch.device) -> None:
    torch.set_rng_state(tensors["random/cpu"])
    if device.type == "cuda" and "random/cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random/cuda"], device)

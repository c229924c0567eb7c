"""Pretraining of a CLIP's vision tower on the findings' places, before it sees any text.

From texts alone, a tower this small needs hours to find a few bright pixels; with the places given,
it needs minutes. Linear heads on the patches predict the finding under each patch and the number of
centres in it. Heads on patches with a finding and on the picture's feature predict the attributes.
All heads are discarded after training. This module knows nothing about texts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from transformers import CLIPModel

from vital_lib.clinic.base_models.data import IMAGE_SIDE, PATCH_SIDE, Phantoms
from vital_lib.clinic.base_models.texts import VALUES
from vital_lib.clinic.lexicon import ATTRIBUTES

LOG = logging.getLogger(__name__)
MUON_RATE = 0.02
_PATCHES = IMAGE_SIDE // PATCH_SIDE
_KINDS = len(VALUES["finding"])
_NO_FINDING = VALUES["finding"].index("none")


class Teacher(nn.Module):
    """The auxiliary heads and their loss.

    `width` is the length of a patch's vector, `features` the length of a picture's feature vector.
    """

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.attributes = nn.ModuleList(
            nn.Linear(features, len(VALUES[name])) for name in ATTRIBUTES
        )
        self.local = nn.ModuleList(nn.Linear(width, len(VALUES[name])) for name in ATTRIBUTES)
        self.kind = nn.Linear(width, _KINDS)
        self.centres = nn.Linear(width, 4)
        # Most patches show no finding; without these weights the head would always predict "none".
        weight = torch.full((_KINDS,), 4.0)
        weight[_NO_FINDING] = 1.0
        self.register_buffer("weight", weight)

    def loss(
        self,
        patches: torch.Tensor,
        features: torch.Tensor,
        phantoms: Phantoms,
        rows: np.ndarray,
        shift: tuple[int, int],
    ) -> torch.Tensor:
        """Cross-entropy of all heads; `patches` (b, 64, width), `features` (b, d)."""
        kinds, centres = patch_targets(phantoms, rows, shift)
        shown = kinds != _NO_FINDING  # (b, 64)
        loss = 2 * _wrong(self.kind(patches).flatten(0, 1), kinds.flatten(), self.weight)
        loss = loss + 4 * _wrong(self.centres(patches).flatten(0, 1), centres.flatten())
        for place, (head, local) in enumerate(zip(self.attributes, self.local, strict=True)):
            wanted = phantoms.codes[rows, place]
            loss = loss + _wrong(head(features), wanted)
            everywhere = wanted[:, None].expand(shown.shape)
            if shown.any():
                loss = loss + _wrong(local(patches[shown]), everywhere[shown])
        return loss


def _wrong(scores: torch.Tensor, wanted: torch.Tensor, weight=None) -> torch.Tensor:
    """Cross-entropy, computed in float32."""
    weight = None if weight is None else weight.float()
    return nn.functional.cross_entropy(scores.float(), wanted, weight)


def patch_targets(
    phantoms: Phantoms, rows: np.ndarray, shift: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The finding under each patch (b, 64) and the number of findings centred in it (b, 64)."""
    x, y, radius = np.moveaxis(_in_pixels(phantoms, rows), 2, 0)  # each (b, 3), nan where no spot
    x, y = x - shift[1], y - shift[0]
    middle = (np.arange(_PATCHES) + 0.5) * PATCH_SIDE
    across = np.abs(middle - x[..., None])[:, :, None, :]
    along = np.abs(middle - y[..., None])[:, :, :, None]
    reach = (0.8 * radius + 0.4 * PATCH_SIDE)[..., None, None]
    under = (np.maximum(across, along) < reach).any(1)  # (b, 8, 8)
    kinds = np.where(under, phantoms.codes[rows, 1].numpy()[:, None, None], _NO_FINDING)
    centres = np.zeros(under.shape, dtype=np.int64)
    picture, spot = np.nonzero(~np.isnan(x))
    column, line = (
        np.clip(v[picture, spot] // PATCH_SIDE, 0, _PATCHES - 1).astype(int) for v in (x, y)
    )
    np.add.at(centres, (picture, line, column), 1)
    return torch.from_numpy(kinds).flatten(1), torch.from_numpy(centres).flatten(1)


def _in_pixels(phantoms: Phantoms, rows: np.ndarray) -> np.ndarray:
    """Centre x, centre y and radius of up to three spots per picture, (b, 3, 3), else nan."""
    places = np.full((len(rows), 3, 3), np.nan)
    for place, row in enumerate(rows):
        for number, spot in enumerate(phantoms.spots[row]):
            places[place, number] = (spot.x + 1, spot.y + 1, spot.radius)
    return places * IMAGE_SIDE / 2


def look(
    model: CLIPModel, teacher: Teacher, phantoms: Phantoms, rows: np.ndarray, shift: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The pictures' features (b, d) and the teacher's loss on them."""
    seen = model.vision_model(pixel_values=phantoms.batch(rows, shift))
    features = model.visual_projection(seen.pooler_output)
    patches = seen.last_hidden_state[:, 1:]  # (b, 64, width), without the class token
    return features, teacher.loss(patches, features, phantoms, rows, shift)


def learn_to_see(
    model: CLIPModel,
    teacher: Teacher,
    phantoms: Phantoms,
    *,
    steps: int,
    batch: int,
    learning_rate: float,
    rng: np.random.Generator,
) -> None:
    """Train the vision tower and the teacher's heads, in place."""
    # CLIP initialises positions at a tenth of the pixels' scale; the tower then learned sides and
    # levels late.
    nn.init.normal_(model.vision_model.embeddings.position_embedding.weight, std=0.15)
    seeing = [model.vision_model, model.visual_projection, teacher]
    descent = Descent(seeing, steps=steps, learning_rate=learning_rate)
    started = time.monotonic()
    model.train()
    for step in range(steps):
        rows = rng.integers(len(phantoms.truths), size=batch)
        with torch.autocast("cpu", torch.bfloat16):
            loss = look(model, teacher, phantoms, rows, random_shift(rng))[1]
        descent.step(loss)
        if step % 100 == 0 or step == steps - 1:
            LOG.info("seeing %d loss %.3f, %.0f s", step, loss.item(), time.monotonic() - started)


def random_shift(rng: np.random.Generator) -> tuple[int, int]:
    """A random shift (down, right) of -2 to 2 pixels each."""
    return tuple(rng.integers(-2, 3, 2).tolist())


class Descent:
    """Optimizer of modules: Muon on the matrices of transformer layers, AdamW on the rest.

    Muon (Jordan 2024) needs about half of AdamW's steps here. Both have a short warm-up and a
    cosine decay to a hundredth of the learning rate. Gradients are clipped to norm 1.
    """

    def __init__(
        self, parts: Sequence[nn.Module], *, steps: int, learning_rate: float, decay: float = 0.02
    ) -> None:
        named = {f"{k}.{name}": p for k, part in enumerate(parts)
                 for name, p in part.named_parameters() if p.requires_grad}  # fmt: skip
        self._parameters = list(named.values())
        matrices = [p for name, p in named.items() if ".layers." in name and p.ndim == 2]
        others = [p for name, p in named.items() if not (".layers." in name and p.ndim == 2)]
        self._optimizers = [
            torch.optim.Muon(matrices, lr=MUON_RATE, weight_decay=decay / 2, momentum=0.95),
            torch.optim.AdamW(others, lr=learning_rate, weight_decay=decay, betas=(0.9, 0.98)),
        ]
        self._schedules = [_cosine_schedule(one, steps) for one in self._optimizers]

    def step(self, loss: torch.Tensor) -> None:
        """Take one optimizer step on `loss`."""
        for one in self._optimizers:
            one.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        for one in (*self._optimizers, *self._schedules):
            one.step()


def _cosine_schedule(optimizer, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    """A short warm-up, then a cosine decay to a hundredth of the learning rate."""
    warm = max(1, min(100, steps // 10))

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * (step - warm) / max(1, steps - warm)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)

"""Teaches a CLIP's vision tower to see, before it meets any text.

From words alone a tower this small needs hours to find a few bright pixels; told where they are it
takes minutes. Linear heads on the patches name the finding under each patch and count the centres
in it, heads on the picture's feature name its attributes; all are thrown away afterwards. Knows
nothing about texts.
"""

from __future__ import annotations

import logging
import time

import numpy as np
import torch
from torch import nn
from transformers import CLIPModel

from vital_lib.clinic.base_models.data import IMAGE_SIDE, PATCH_SIDE, Phantoms
from vital_lib.clinic.base_models.texts import VALUES
from vital_lib.clinic.lexicon import ATTRIBUTES

LOG = logging.getLogger(__name__)
_PATCHES = IMAGE_SIDE // PATCH_SIDE
_KINDS = len(VALUES["finding"])
_NO_FINDING = VALUES["finding"].index("none")


class Teacher(nn.Module):
    """The heads, and the loss by which they teach; `width` is that of the vision tower."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attributes = nn.ModuleList(nn.Linear(width, len(VALUES[name])) for name in ATTRIBUTES)
        self.kind = nn.Linear(width, _KINDS)
        self.centres = nn.Linear(width, 4)
        # Most patches show nothing; without this "nothing" would be the answer everywhere.
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
        """Cross-entropy of all heads; `patches` (b, 64, width), `features` (b, width)."""
        kinds, centres = patch_targets(phantoms, rows, shift)
        cross_entropy = nn.functional.cross_entropy
        loss = 2 * cross_entropy(self.kind(patches).flatten(0, 1), kinds.flatten(), self.weight)
        loss = loss + 4 * cross_entropy(self.centres(patches).flatten(0, 1), centres.flatten())
        for place, head in enumerate(self.attributes):
            loss = loss + cross_entropy(head(features), phantoms.codes[rows, place])
        return loss


def patch_targets(
    phantoms: Phantoms, rows: np.ndarray, shift: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Per patch the finding under it (b, 64) and the number of findings centred in it (b, 64)."""
    kinds = np.full((len(rows), _PATCHES, _PATCHES), _NO_FINDING)
    centres = np.zeros((len(rows), _PATCHES, _PATCHES), dtype=np.int64)
    middle = (np.arange(_PATCHES) + 0.5) * PATCH_SIDE
    for place, row in enumerate(rows):
        for spot in phantoms.spots[row]:
            x, y, radius = (
                np.array((spot.x + 1, spot.y + 1, spot.radius)) * IMAGE_SIDE / 2
            ).tolist()
            x, y = x - shift[1], y - shift[0]
            away = np.maximum(np.abs(middle[None, :] - x), np.abs(middle[:, None] - y))
            kinds[place][away < 0.8 * radius + 0.4 * PATCH_SIDE] = phantoms.codes[row, 1]
            column, line = (min(max(int(v // PATCH_SIDE), 0), _PATCHES - 1) for v in (x, y))
            centres[place, line, column] += 1
    return torch.from_numpy(kinds).flatten(1), torch.from_numpy(centres).flatten(1)


def look(
    model: CLIPModel, teacher: Teacher, phantoms: Phantoms, rows: np.ndarray, shift: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The pictures' features (b, d), and the teacher's loss on them."""
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
    # CLIP's own start leaves places a tenth as loud as pixels: sides and levels came late.
    nn.init.normal_(model.vision_model.embeddings.position_embedding.weight, std=0.15)
    seeing = [model.vision_model, model.visual_projection, teacher]
    parameters = [p for part in seeing for p in part.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.02)
    schedule = cosine_schedule(optimizer, steps)
    started = time.monotonic()
    model.train()
    for step in range(steps):
        rows = rng.integers(len(phantoms.truths), size=batch)
        loss = look(model, teacher, phantoms, rows, random_shift(rng))[1]
        descend(loss, parameters, optimizer, schedule)
        if step % 100 == 0 or step == steps - 1:
            LOG.info("seeing %d loss %.3f, %.0f s", step, loss.item(), time.monotonic() - started)


def random_shift(rng: np.random.Generator) -> tuple[int, int]:
    """Down and right by up to two pixels either way."""
    return tuple(rng.integers(-2, 3, 2).tolist())


def descend(loss: torch.Tensor, parameters: list, optimizer, schedule) -> None:
    """One step down, with gradients of length 1 at most."""
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    schedule.step()


def cosine_schedule(optimizer, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    """A short warm-up, then a cosine down to a hundredth."""
    warm = max(1, min(100, steps // 10))

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * (step - warm) / max(1, steps - warm)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)

"""The clinic's image and text encoder: a tiny CLIP, trained on phantoms.

Contrastive training as in CLIP (Radford and others 2021), with one change for a closed world: a
picture and a text are a positive pair whenever the text is true of the picture. This module knows
nothing about candidates or preferences.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import CLIPConfig, CLIPModel, CLIPProcessor, PreTrainedTokenizerFast

from vital_lib.clinic.base_models.data import (
    IMAGE_SIDE,
    PATCH_SIDE,
    Phantoms,
    caption_statement,
    check_vocabulary,
    encode_allowed,
    image_processor,
    read_facts,
)
from vital_lib.clinic.base_models.talk import write_spoken
from vital_lib.clinic.base_models.texts import VALUES, Statement, write_exchange, write_sentence
from vital_lib.clinic.base_models.vision import (
    Descent,
    Teacher,
    learn_to_see,
    look,
    random_shift,
)
from vital_lib.clinic.captions import write_caption
from vital_lib.clinic.lexicon import ATTRIBUTES, FINDINGS, Truth
from vital_lib.clinic.phantoms import sample_truth

LOG = logging.getLogger(__name__)
TEXT_TOKENS = 112


@dataclass(frozen=True)
class EncoderPlan:
    """Size and training of the encoder."""

    vocabulary: int = 1_400
    width: int = 96
    vision_width: int = 112
    vision_layers: int = 4
    text_layers: int = 2
    heads: int = 4
    seeing_steps: int = 2400
    seeing_batch: int = 64
    seeing_learning_rate: float = 3e-3
    steps: int = 600
    batch: int = 128
    learning_rate: float = 1.5e-3
    seed: int = 0

    def __post_init__(self) -> None:
        check_vocabulary(self.vocabulary)
        for name in ("width", "vision_width"):
            if getattr(self, name) % self.heads:
                raise ValueError(
                    f"{name}={getattr(self, name)} is not a multiple of heads={self.heads}"
                )
        for name in ("seeing_steps", "seeing_batch", "steps", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: give 1 or more")


def build_encoder(plan: EncoderPlan, tokenizer: PreTrainedTokenizerFast) -> CLIPModel:
    """A CLIP model of `plan`'s size with random weights."""
    common = {
        "hidden_size": plan.width,
        "intermediate_size": 3 * plan.width,
        "num_attention_heads": plan.heads,
        "hidden_act": "gelu",
        "projection_dim": plan.width,
        "initializer_factor": 1.0,
    }
    text = {
        "vocab_size": len(tokenizer),
        "num_hidden_layers": plan.text_layers,
        "max_position_embeddings": TEXT_TOKENS,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {
        "hidden_size": plan.vision_width,
        "intermediate_size": 3 * plan.vision_width,
        "num_hidden_layers": plan.vision_layers,
        "image_size": IMAGE_SIDE,
        "patch_size": PATCH_SIDE,
    }
    torch.manual_seed(plan.seed)
    return CLIPModel(
        CLIPConfig(
            text_config={**common, **text},
            vision_config={**common, **vision},
            projection_dim=plan.width,
        )
    )


def train_encoder(
    plan: EncoderPlan, phantoms: Phantoms, tokenizer: PreTrainedTokenizerFast
) -> CLIPModel:
    """Train the encoder: first the vision tower alone, then both towers contrastively."""
    model, teacher = build_encoder(plan, tokenizer), Teacher(plan.vision_width, plan.width)
    model.set_attn_implementation("eager")  # faster than fused attention at this size
    rng = np.random.default_rng(plan.seed)
    learn_to_see(
        model,
        teacher,
        phantoms,
        steps=plan.seeing_steps,
        batch=plan.seeing_batch,
        learning_rate=plan.seeing_learning_rate,
        rng=rng,
    )
    descent = Descent([model, teacher], steps=plan.steps, learning_rate=plan.learning_rate)
    started = time.monotonic()
    for step in range(plan.steps):
        rows = rng.integers(len(phantoms.truths), size=plan.batch)
        with torch.autocast("cpu", torch.bfloat16):
            loss = _loss(model, teacher, phantoms, rows, tokenizer, rng)
        descent.step(loss)
        if step % 50 == 0 or step == plan.steps - 1:
            LOG.info("encoder %d loss %.3f, %.0f s", step, loss.item(), time.monotonic() - started)
    return model.eval()


def _loss(model, teacher, phantoms, rows, tokenizer, rng) -> torch.Tensor:
    """Contrastive loss of pictures `rows`, their true texts and half as many altered texts."""
    truths = [phantoms.truths[row] for row in rows]
    truths += [_altered(truth, rng) for truth in truths[::2]]
    statements = [write_statement(truth, rng) for truth in truths]
    images, taught = look(model, teacher, phantoms, rows, random_shift(rng))  # (b, d)
    words = tokenize(tokenizer, [statement.text for statement in statements])
    texts = model.get_text_features(**words).pooler_output  # (t, d)
    fits = consistent(encode_allowed(statements), phantoms.codes[rows])  # (t, b)
    return _agreement_loss(images, texts, fits, model.logit_scale) + 0.5 * taught


def write_statement(truth: Truth, rng: np.random.Generator) -> Statement:
    """One training text: a caption or mentions, a short sentence, or a question and answer."""
    kind = rng.random()
    if kind < 0.4:
        return caption_statement(truth, rng)
    write = write_sentence if kind < 0.65 else write_exchange if kind < 0.8 else write_spoken
    return write(truth, rng)


def _altered(truth: Truth, rng: np.random.Generator) -> Truth:
    """`truth` with one attribute changed, for a text that is wrong in one word."""
    if truth.count == 0:
        return sample_truth(rng, truth.modality)
    name = ATTRIBUTES[rng.integers(1, len(ATTRIBUTES))]
    return opposite(truth, name, rng)


def opposite(truth: Truth, attribute: str, rng: np.random.Generator) -> Truth:
    """A truth that differs from `truth` in `attribute`; `truth` must show a finding.

    Another modality also changes the finding; every other attribute changes alone.
    """
    if attribute == "modality":
        others = [name for name in VALUES["modality"] if name != truth.modality]
        modality = others[rng.integers(len(others))]
        finding = FINDINGS[modality][rng.integers(len(FINDINGS[modality]))]
        return replace(truth, modality=modality, finding=finding)
    values = FINDINGS[truth.modality] if attribute == "finding" else VALUES[attribute]
    others = [v for v in values if v not in (None, 0, getattr(truth, attribute))]
    return replace(truth, **{attribute: others[rng.integers(len(others))]})


def _agreement_loss(images, texts, fits, log_scale) -> torch.Tensor:
    """CLIP's loss with many positives: `images` (b, d), `texts` (t, d), `fits` (t, b)."""
    logits = log_scale.exp().clamp(max=60) * _normal(texts) @ _normal(images).T  # (t, b)
    some = fits.any(1)  # an altered text may be true of no picture in the batch
    return _many_positives(logits[some], fits[some]) + _many_positives(logits.T, fits.T)


def consistent(allowed: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """Whether each text (t, 6, 16) is true of each picture (b, 6), bool (t, b)."""
    places = torch.arange(codes.shape[1])
    return torch.stack([allowed[:, places, code].all(1) for code in codes], dim=1)


def _many_positives(logits: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy over rows, each row's target spread evenly over its positives."""
    target = positive.float() / positive.sum(1, keepdim=True)
    return -(target * logits.log_softmax(1)).sum(1).mean()


def _normal(features: torch.Tensor) -> torch.Tensor:
    return nn.functional.normalize(features.float(), dim=-1)


def tokenize(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> dict[str, torch.Tensor]:
    """Texts as padded ids and attention mask, each (n, longest)."""
    return tokenizer(
        texts, padding=True, truncation=True, max_length=TEXT_TOKENS,
        return_tensors="pt", return_token_type_ids=False,
    )  # fmt: skip


@torch.no_grad()
def measure_encoder(
    model: CLIPModel, tokenizer: PreTrainedTokenizerFast, phantoms: Phantoms
) -> dict[str, float]:
    """Share of held-out `phantoms` that are nearer to a true text than to a false one.

    The false text has another value of one attribute. Keys: ``caption_<attribute>`` (captions that
    state the attribute) and ``sentence_<attribute>`` (short sentences). Ties count as half.
    """
    found: dict[str, float] = {}
    shown = [k for k, truth in enumerate(phantoms.truths) if truth.count]
    images = _normal(
        model.get_image_features(pixel_values=phantoms.batch(np.array(shown))).pooler_output
    )
    for name in ATTRIBUTES:
        for kind, write in (("caption", _caption), ("sentence", write_sentence)):
            true, false, rows = _opposites(phantoms, shown, name, write)
            near = [
                (images[rows] * _texts(model, tokenizer, texts)).sum(-1) for texts in (true, false)
            ]
            score = (near[0] > near[1]).float() + 0.5 * (near[0] == near[1]).float()
            found[f"{kind}_{name}"] = round(score.mean().item(), 4)
    return found


def _caption(truth: Truth, rng: np.random.Generator) -> Statement:
    return read_facts(write_caption(truth, rng))


def _opposites(phantoms, shown, name, write) -> tuple[list[str], list[str], list[int]]:
    """True texts that state `name`, the same texts with a false value, and their pictures' rows."""
    true, false, rows = [], [], []
    for row, number in enumerate(shown):
        truth = phantoms.truths[number]
        for attempt in range(4):
            other = opposite(truth, name, np.random.default_rng((number, attempt)))
            pair = [write(t, np.random.default_rng((number, attempt, 1))) for t in (truth, other)]
            if name in pair[0].allowed and pair[0].text != pair[1].text:
                true.append(pair[0].text)
                false.append(pair[1].text)
                rows.append(row)
                break
    return true, false, rows


def _texts(model: CLIPModel, tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> torch.Tensor:
    parts = [
        model.get_text_features(**tokenize(tokenizer, texts[k : k + 256])).pooler_output
        for k in range(0, len(texts), 256)
    ]
    return _normal(torch.cat(parts))


def save_encoder(model: CLIPModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write model, tokenizer and image processor to `folder`."""
    model.save_pretrained(folder)
    CLIPProcessor(image_processor(), tokenizer).save_pretrained(folder)

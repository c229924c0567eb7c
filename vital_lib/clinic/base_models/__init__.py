"""Train the clinic's two base models on phantoms that no run draws, and write their folders.

``python -m vital_lib.clinic.base_models`` writes the content of ``vital_lib/clinic/models``: a tiny
encoder (CLIP) and a tiny vision-language model (LLaVA), as safetensors only. They stand in for
BiomedCLIP and for a LLaVA of billions of weights, and work on phantoms only. The package knows
nothing about runs.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from transformers import CLIPModel

from vital_lib.clinic.base_models.data import (
    Phantoms,
    draw_phantoms,
    encoder_corpus,
    language_corpus,
    language_tokenizer,
    text_encoder_tokenizer,
    train_tokenizer,
)
from vital_lib.clinic.base_models.encoder import (
    TEXT_TOKENS,
    EncoderPlan,
    measure_encoder,
    save_encoder,
    train_encoder,
)
from vital_lib.clinic.base_models.llava import (
    CONTEXT_TOKENS,
    LlavaPlan,
    save_llava,
    train_llava,
)
from vital_lib.clinic.base_models.measures import measure_llava

LOG = logging.getLogger(__name__)
MODELS_FOLDER = Path(__file__).parents[1] / "models"
_TRAINING_STREAM, _HELD_OUT_STREAM = 0, 1


@dataclass(frozen=True)
class Plan:
    """Settings of both models' training; the defaults produced the committed models."""

    phantoms: int = 14_000
    held_out: int = 600
    encoder: EncoderPlan = field(default_factory=EncoderPlan)
    llava: LlavaPlan = field(default_factory=LlavaPlan)

    def __post_init__(self) -> None:
        if self.phantoms < 1 or self.held_out < 1:
            raise ValueError(f"phantoms={self.phantoms}, held_out={self.held_out}: give 1 or more")


def make_base_models(
    folder: Path = MODELS_FOLDER,
    plan: Plan | None = None,
    names: Sequence[str] = ("encoder", "llava"),
) -> dict[str, dict]:
    """Train the models in `names` and write them to ``encoder/`` and ``llava/`` in `folder`.

    A LLaVA trained alone takes its vision tower from the encoder already in `folder`. Each model
    gets a ``metrics.json`` with its held-out accuracies, size and training time in seconds. The
    same metrics are returned under the model's name.
    """
    plan = plan or Plan()
    LOG.info("drawing %d phantoms", plan.phantoms)
    phantoms = draw_phantoms(plan.phantoms, stream=_TRAINING_STREAM)
    held_out = draw_phantoms(plan.held_out, stream=_HELD_OUT_STREAM)
    metrics = {}
    if "encoder" in names:
        metrics["encoder"] = _make_encoder(folder / "encoder", plan, phantoms, held_out)
    if "llava" in names:
        encoder = CLIPModel.from_pretrained(folder / "encoder", use_safetensors=True)
        metrics["llava"] = _make_llava(folder / "llava", plan, encoder, phantoms, held_out)
    return metrics


def _make_encoder(folder: Path, plan: Plan, phantoms: Phantoms, held_out: Phantoms) -> dict:
    spelling = train_tokenizer(plan.encoder.vocabulary, encoder_corpus())
    reads, started = text_encoder_tokenizer(spelling, TEXT_TOKENS), time.monotonic()
    encoder = train_encoder(plan.encoder, phantoms, reads)
    metrics = _size(encoder, started) | measure_encoder(encoder, reads, held_out)
    save_encoder(encoder, reads, _emptied(folder))
    return _describe(folder, plan, plan.encoder, metrics)


def _make_llava(
    folder: Path, plan: Plan, encoder: CLIPModel, phantoms: Phantoms, held_out: Phantoms
) -> dict:
    spelling = train_tokenizer(plan.llava.vocabulary, language_corpus())
    speaks, started = language_tokenizer(spelling, CONTEXT_TOKENS), time.monotonic()
    llava = train_llava(plan.llava, encoder, phantoms, speaks)
    metrics = _size(llava, started) | measure_llava(llava, speaks, held_out)
    save_llava(llava, speaks, _emptied(folder))
    return _describe(folder, plan, plan.llava, metrics)


def _describe(folder: Path, plan: Plan, own: EncoderPlan | LlavaPlan, metrics: dict) -> dict:
    """Write ``metrics.json`` and return its content."""
    counts = {"phantoms": plan.phantoms, "held_out_phantoms": plan.held_out}
    record = {**metrics, **counts, "plan": asdict(own)}
    text = json.dumps(record, indent=1, sort_keys=True)
    (folder / "metrics.json").write_text(text + "\n")
    for file in folder.iterdir():
        file.chmod(0o644)  # safetensors files are readable by their owner only
    return record


def _size(model, started: float) -> dict[str, float]:
    return {
        "parameters": model.num_parameters(),
        "training_seconds": round(time.monotonic() - started),
    }


def _emptied(folder: Path) -> Path:
    """Return `folder`, emptied of any earlier training's files."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder

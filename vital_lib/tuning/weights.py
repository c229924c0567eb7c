"""Selection of the weights to train, by module name, and the folder that stores them.

The module does not depend on conversations or on training steps.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file

from vital_lib.models import ADAPTER_WEIGHTS, LANGUAGE_WEIGHTS, quiet
from vital_lib.tables import write_atomically
from vital_lib.tuning.sequences import NothingToTune
from vital_lib.tuning.settings import TuningConfig

_LANGUAGE = re.compile(r"(?:^|\.)(?:language_model|text_model)(?=\.)")
_VISION = re.compile(r"vision|visual|image")
_PROJECTOR = re.compile(r"(?:.*\.)?(?:multi_modal_projector|mm_projector|connector|merger)")


def make_trainable(
    model: torch.nn.Module, config: TuningConfig
) -> tuple[torch.nn.Module, dict[str, Any]]:
    """Freeze all weights of `model` except those that `config.train` selects.

    Returns the model and a description: lora_targets (a regex, or None), trained_whole (modules
    trained in full).

    Raises:
        NothingToTune: `model` has no language model.
    """
    if config.train == "lora":
        targets, whole = lora_targets(model)
        with quiet():
            model = get_peft_model(model, _lora(config, targets, whole))
        return model, {"lora_targets": targets, "trained_whole": whole}
    whole = language_modules(model)
    model.requires_grad_(False)
    for name in whole:
        for weights in model.get_submodule(name).parameters():
            weights.requires_grad_(True)
            # In half precision, rounding would discard most updates at these learning rates.
            weights.data = weights.data.float()
    return model, {"lora_targets": None, "trained_whole": whole}


def lora_targets(model: torch.nn.Module) -> tuple[str, list[str]]:
    """Return a regex for the LoRA layers, and the projectors, which are trained in full.

    LoRA applies only to linear layers of the language model. A plain list of names would also match
    the vision tower, whose layers have the same names.

    Raises:
        NothingToTune: no linear layer below a `language_model` or `text_model`.
    """
    language = _language_layers(model)
    roots = sorted({name[: match.end()] for name, match in language.items()})
    leaves = sorted({name.rpartition(".")[2] for name in language})
    targets = rf"(?:{'|'.join(map(re.escape, roots))})\..*\.(?:{'|'.join(leaves)})"
    return targets, _projectors(model)


def language_modules(model: torch.nn.Module) -> list[str]:
    """Return the modules of the language model (including its head) and the projectors.

    Raises:
        NothingToTune: no linear layer below a `language_model` or `text_model`.
    """
    roots = {name[: match.end()] for name, match in _language_layers(model).items()}
    head = model.get_output_embeddings()
    heads = {name for name, part in model.named_modules() if part is head}
    heads = {name for name in heads if not name.startswith(tuple(f"{root}." for root in roots))}
    return sorted({*roots, *heads, *_projectors(model)})


@contextmanager
def interpolated(model: torch.nn.Module, share: float) -> Generator[None]:
    """On exit, set the trained weights to `share` of the way from their start (WiSE-FT).

    LoRA adds B A to a layer's weights, and B starts at 0. It is enough to interpolate B.
    """
    trained = {name: weights for name, weights in model.named_parameters() if weights.requires_grad}
    moved = {name: weights for name, weights in trained.items() if ".lora_A." not in name}
    start = {name: weights.detach().clone() for name, weights in moved.items()} if share < 1 else {}
    yield
    with torch.no_grad():
        for name, weights in start.items():
            moved[name].lerp_(weights, 1 - share)


def save_folder(
    folder: Path,
    model: torch.nn.Module,
    dtype: torch.dtype,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> None:
    """Write the trained weights, then config.json, then metrics.json, which marks it complete."""
    for name in ("metrics.json", ADAPTER_WEIGHTS, "adapter_config.json", LANGUAGE_WEIGHTS):
        (folder / name).unlink(missing_ok=True)
    if isinstance(model, PeftModel):
        # By default, peft queries the hub for whether the vocabulary was resized.
        model.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)
    else:
        trained = {n: w.detach() for n, w in model.named_parameters() if w.requires_grad}
        state = {name: w.to("cpu", dtype).contiguous() for name, w in trained.items()}
        write_atomically(folder / LANGUAGE_WEIGHTS, lambda path: save_file(state, path))
    for name, content in (("config.json", config), ("metrics.json", metrics)):
        text = json.dumps(content, indent=1) + "\n"
        write_atomically(folder / name, lambda path, text=text: path.write_text(text))


def _language_layers(model: torch.nn.Module) -> dict[str, re.Match[str]]:
    """Return the language model's linear layers: name -> match of the language model's prefix."""
    linear = {name for name, part in model.named_modules() if isinstance(part, torch.nn.Linear)}
    found = {name: match for name in linear if (match := _LANGUAGE.search(name))}
    found = {name: match for name, match in found.items() if not _VISION.search(name)}
    if not found:
        raise NothingToTune(
            f"{type(model).__name__} has no linear layer in a language_model or text_model: "
            "give a vision-language model, such as a LLaVA or a Qwen-VL"
        )
    return found


def _projectors(model: torch.nn.Module) -> list[str]:
    return sorted(name for name, _ in model.named_modules() if _PROJECTOR.fullmatch(name))


def _lora(config: TuningConfig, targets: str, whole: list[str]) -> LoraConfig:
    return LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=targets,
        modules_to_save=whole or None,
        task_type="CAUSAL_LM",
    )

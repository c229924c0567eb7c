"""Selection of the weights to train, by module name, and the folder that stores them.

The module does not depend on conversations or on training steps.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file

from vital_lib.models import (
    ADAPTER_WEIGHTS,
    LANGUAGE_WEIGHTS,
    is_below,
    language_layers,
    linear_layers,
    projectors,
    quiet,
    vision_towers,
    without,
)
from vital_lib.tables import write_atomically
from vital_lib.tuning.card import write_card
from vital_lib.tuning.sequences import NothingToTune
from vital_lib.tuning.settings import TuningConfig


def make_trainable(
    model: torch.nn.Module, config: TuningConfig, *, head: str | None = None
) -> tuple[torch.nn.Module, dict[str, Any]]:
    """Freeze all weights of `model` except those that `config.train` selects, and a new `head`.

    Returns the model and a description: lora_targets (a regex, or None), trained_whole (modules
    trained in full).

    Raises:
        NothingToTune: `model` has no language model.
    """
    targets, whole = None, modules_trained_whole(model, config)
    whole += [head] if head else []
    if config.train == "lora":
        targets = lora_targets(model, vision=config.train_vision)
        with quiet():
            lora = _lora(config, targets, whole, "SEQ_CLS" if head else "CAUSAL_LM")
            model = get_peft_model(model, lora)
    else:
        model.requires_grad_(False)
        for name in whole:
            model.get_submodule(name).requires_grad_(True)
    for weights in filter(operator.attrgetter("requires_grad"), model.parameters()):
        # In half precision, rounding would discard most updates at these learning rates.
        weights.data = weights.data.float()
    return model, {"lora_targets": targets, "trained_whole": whole}


def modules_trained_whole(model: torch.nn.Module, config: TuningConfig) -> list[str]:
    """Return the modules that `config` trains in full, by name.

    Raises:
        NothingToTune: `config` trains only the projector, and none is known in `model`.
    """
    passing = projectors(model)
    if config.train == "projector" and not passing:
        raise NothingToTune(
            f"{type(model).__name__} has no projector known by name: give train='lora'"
        )
    whole = list(passing) if config.train_projector else []
    if config.train == "language":
        whole += language_modules(model)
        if config.train_vision:
            whole += [p for tower in vision_towers(model) for p in without(model, tower, passing)]
    return sorted(whole)


def lora_targets(model: torch.nn.Module, *, vision: bool = False) -> str:
    """Return a regex for the layers that get LoRA matrices.

    These are the linear layers of the language model and, with `vision`, of the vision tower, never
    of a projector. A plain list of names would always match both, as their layers have the same
    names.

    Raises:
        NothingToTune: no linear layer below a `language_model` or `text_model`.
    """
    language = _language_layers(model)
    roots = sorted(set(language.values()))
    leaves = sorted({name.rpartition(".")[2] for name in language})
    targets = rf"(?:{'|'.join(map(re.escape, roots))})\..*\.(?:{'|'.join(leaves)})"
    if not vision:
        return targets
    passing, towers = projectors(model), vision_towers(model)
    seen = [n for n in linear_layers(model) if is_below(n, towers) and not is_below(n, passing)]
    if not seen:
        raise NothingToTune(
            f"{type(model).__name__} has no vision tower known by name: give train_vision=False"
        )
    # One pattern for the same layer of all blocks; blocks are numbered.
    patterns = sorted({re.sub(r"\d+", r"\\d+", re.escape(name)) for name in seen})
    return "|".join([targets, *patterns])


def language_modules(model: torch.nn.Module) -> list[str]:
    """Return the modules of the language model, including its head.

    Raises:
        NothingToTune: no linear layer below a `language_model` or `text_model`.
    """
    roots = set(_language_layers(model).values())
    head = model.get_output_embeddings()
    heads = {name for name, part in model.named_modules() if part is head}
    return sorted({*roots, *(name for name in heads if not is_below(name, roots))})


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
    """Write the trained weights, config.json, then metrics.json, which marks it complete.

    The model card comes last: it repeats what the other files hold.
    """
    for name in ("metrics.json", ADAPTER_WEIGHTS, "adapter_config.json", LANGUAGE_WEIGHTS):
        (folder / name).unlink(missing_ok=True)
    if isinstance(model, PeftModel):
        # By default, peft queries the hub for whether the vocabulary was resized.
        model.save_pretrained(folder, save_embedding_layers=False)
    else:
        trained = {n: w.detach() for n, w in model.named_parameters() if w.requires_grad}
        state = {name: w.to("cpu", dtype).contiguous() for name, w in trained.items()}
        write_atomically(folder / LANGUAGE_WEIGHTS, lambda path: save_file(state, path))
    for name, content in (("config.json", config), ("metrics.json", metrics)):
        text = json.dumps(content, indent=1) + "\n"
        write_atomically(folder / name, lambda path, text=text: path.write_text(text))
    write_card(folder)


def _language_layers(model: torch.nn.Module) -> dict[str, str]:
    found = language_layers(model)
    if not found:
        raise NothingToTune(
            f"{type(model).__name__} has no linear layer in a language_model or text_model: "
            "give a vision-language model, such as a LLaVA or a Qwen-VL"
        )
    return found


def _lora(config: TuningConfig, targets: str, whole: list[str], task: str) -> LoraConfig:
    return LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=targets,
        modules_to_save=whole or None,
        task_type=task,
    )

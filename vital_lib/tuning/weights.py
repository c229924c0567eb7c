"""Which weights are trained, found by the modules' names, and the folder that they are kept in.

Knows nothing of conversations or of the steps in between.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
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
    """`model` with all weights frozen but those that `config.train` names, and their description.

    The description: lora_targets (a regex, or None), trained_whole (modules trained as a whole).

    Raises:
        NothingToTune: a model without a language half.
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
            # In half precision most updates at such rates would be rounded away.
            weights.data = weights.data.float()
    return model, {"lora_targets": None, "trained_whole": whole}


def lora_targets(model: torch.nn.Module) -> tuple[str, list[str]]:
    """What LoRA trains: a regex for its own layers, and the projectors, which are trained whole.

    LoRA goes on the linear layers of the language half only; a plain list of names would hit the
    vision tower as well, whose layers are called the same.

    Raises:
        NothingToTune: no linear layer lies below a `language_model` or `text_model`.
    """
    language = _language_layers(model)
    roots = sorted({name[: match.end()] for name, match in language.items()})
    leaves = sorted({name.rpartition(".")[2] for name in language})
    targets = rf"(?:{'|'.join(map(re.escape, roots))})\..*\.(?:{'|'.join(leaves)})"
    return targets, _projectors(model)


def language_modules(model: torch.nn.Module) -> list[str]:
    """The modules that make up the language half (its head included), and the projectors.

    Raises:
        NothingToTune: no linear layer lies below a `language_model` or `text_model`.
    """
    roots = {name[: match.end()] for name, match in _language_layers(model).items()}
    head = model.get_output_embeddings()
    heads = {name for name, part in model.named_modules() if part is head}
    heads = {name for name in heads if not name.startswith(tuple(f"{root}." for root in roots))}
    return sorted({*roots, *heads, *_projectors(model)})


@contextmanager
def interpolated(model: torch.nn.Module, share: float) -> Iterator[None]:
    """Trains inside; at its end all trained weights go back to `share` of their way (WiSE-FT).

    LoRA adds B A to a layer's weights, B beginning at 0: its B alone goes back, which is the same.
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
    """Write the trained weights, then their description, then the metrics that say it is whole."""
    for name in ("metrics.json", ADAPTER_WEIGHTS, "adapter_config.json", LANGUAGE_WEIGHTS):
        (folder / name).unlink(missing_ok=True)
    if isinstance(model, PeftModel):
        # Left to itself, peft asks the hub whether the vocabulary was resized.
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
    """Linear layers of the language half: name -> where the name of the half ends in it."""
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

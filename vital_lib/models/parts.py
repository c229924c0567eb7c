"""Names of a vision-language model's parts: language model, projectors, vision tower.

The parts are found by the names that transformers gives them, in a model with weights or on the
meta device.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import torch

_LANGUAGE = re.compile(r"(?:^|\.)(?:language_model|text_model)(?=\.)")
_VISION = re.compile(r"vision|visual|image")
_PROJECTOR = re.compile(
    r"(?:.*\.)?(?:multi_modal_projector|mm_projector|connector|merger|deepstack_merger_list\.\d+)"
)


def language_layers(model: torch.nn.Module) -> dict[str, str]:
    """Return the linear layers of the language model: layer name -> name of the language model."""
    found = {name: match for name in linear_layers(model) if (match := _LANGUAGE.search(name))}
    return {n: n[: match.end()] for n, match in found.items() if not _VISION.search(n)}


def projectors(model: torch.nn.Module) -> list[str]:
    """Return the modules that pass image features to the language model; empty if none is known."""
    return sorted(name for name, _ in model.named_modules() if _PROJECTOR.fullmatch(name))


def vision_towers(model: torch.nn.Module) -> list[str]:
    """Return the outermost modules that read images, with their projectors; empty without one."""
    towers: list[str] = []
    for name, _ in model.named_modules():  # a module comes before its children
        own = name.rpartition(".")[2]
        if _VISION.search(own) and not _PROJECTOR.fullmatch(name) and not is_below(name, towers):
            towers.append(name)
    linear = linear_layers(model)
    return [name for name in towers if any(is_below(layer, [name]) for layer in linear)]


def linear_layers(model: torch.nn.Module) -> list[str]:
    """Return the names of all linear layers, also of those in 4 bits.

    The output layer of torch's multi-head attention is left out: it is never called by itself.
    """
    kept = torch.nn.modules.linear.NonDynamicallyQuantizableLinear
    return [
        name
        for name, part in model.named_modules()
        if isinstance(part, torch.nn.Linear) and not isinstance(part, kept)
    ]


def is_below(name: str, modules: Collection[str]) -> bool:
    """Return whether `name` is one of `modules` or inside one."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def without(model: torch.nn.Module, module: str, left_out: Collection[str]) -> list[str]:
    """Return `module`, or those of its descendants that together leave out modules `left_out`."""
    if is_below(module, left_out):
        return []
    if not any(is_below(inner, [module]) for inner in left_out):
        return [module]
    children = [f"{module}.{name}" for name, _ in model.get_submodule(module).named_children()]
    return [part for child in children for part in without(model, child, left_out)]

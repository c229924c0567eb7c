"""Load tuned weights into a base model, and reject weights that do not fit it.

A folder holds a LoRA adapter, which is merged, or a tuned language model, which replaces the base
model's. Tensors without a parameter, or parameters without a tensor, indicate another base model or
an incomplete folder. Without this check, such a model would answer as if it were not tuned.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from vital_lib.models.weights import quiet, weights_fingerprint

if TYPE_CHECKING:
    from peft import PeftConfig

LOG = logging.getLogger(__name__)
ADAPTER_WEIGHTS = "adapter_model.safetensors"  # peft's own name
LANGUAGE_WEIGHTS = "language.safetensors"
"""Weights in a tuned folder: LoRA matrices, or the tuned language model and projector."""


class WrongAdapter(ValueError):
    """Raised if a folder holds no tuned weights for this base model; the message says why."""


def with_tuned(model: torch.nn.Module, folder: Path, base_model: str | Path) -> torch.nn.Module:
    """Return `model` with the tuned weights of `folder`; it stays as fast as the base model.

    Raises:
        WrongAdapter: as `vital_lib.models.load_model`; `model` is then unusable.
    """
    adapter = (folder / ADAPTER_WEIGHTS).is_file()
    if not adapter and not (folder / LANGUAGE_WEIGHTS).is_file():
        raise WrongAdapter(
            f"neither {ADAPTER_WEIGHTS} nor {LANGUAGE_WEIGHTS} in {folder}: tune a model in "
            "notebook 08"
        )
    written = folder / "config.json"
    # `tune` writes metrics.json last. peft alone writes neither file, and only LoRA.
    if (written.is_file() or not adapter) and not (folder / "metrics.json").is_file():
        raise WrongAdapter(
            f"{folder} has no metrics.json: its tuning was interrupted, tune it again in "
            "notebook 08"
        )
    trained_on = _description(written) if written.is_file() else {}
    wanted = trained_on.get("base_fingerprint")
    if wanted is not None and wanted != weights_fingerprint(model):
        raise WrongAdapter(
            f"{folder} was tuned on base model {trained_on.get('base_model')!r}, whose weights "
            f"are not those of {str(base_model)!r}"
        )
    if adapter and wanted is None:
        _warn_other_base(folder, base_model)
    try:
        if adapter:
            return _with_adapter(model, folder, base_model)
        return _with_language(model, folder, trained_on)
    except SafetensorError as error:
        raise WrongAdapter(
            f"the weights in {folder} are damaged ({error}): tune it again in notebook 08"
        ) from error


def _warn_other_base(folder: Path, base_model: str | Path) -> None:
    """Warn if peft names another base model; its weights cannot be compared."""
    made_for = _description(folder / "adapter_config.json").get("base_model_name_or_path")
    if made_for and Path(made_for).name != Path(base_model).name:
        LOG.warning(
            "the adapter in %s names base model %r, but is loaded into %r",
            folder, made_for, str(base_model),
        )  # fmt: skip


def _description(file: Path) -> dict[str, Any]:
    """Read the JSON object in `file`."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WrongAdapter(f"{file} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise WrongAdapter(f"{file} holds a {type(found).__name__}: wanted a JSON object")
    return found


def _with_adapter(model: torch.nn.Module, folder: Path, base_model: str | Path) -> torch.nn.Module:
    """Merge a peft adapter; every one of its tensors must fit a parameter."""
    from peft import get_peft_model

    config = _adapter_config(folder)
    mapping = getattr(model, "_checkpoint_conversion_mapping", None)  # names in older checkpoints
    where = {"torch_device": str(model.device), "key_mapping": mapping}
    try:
        with quiet():
            tuned = get_peft_model(model, config)
            landed = tuned.load_adapter(str(folder), "default", **where)
        _check_complete(folder, model, landed.missing_keys, landed.unexpected_keys)
        # Merged into 4 bits, the adapter would be rounded away in part.
        quantized = getattr(model, "is_loaded_in_4bit", False)
        return tuned.base_model.model if quantized else tuned.merge_and_unload(safe_merge=True)
    except KeyError as error:  # peft's error for a fully trained module that is not in the file
        _check_complete(folder, model, [str(error.args[0])], [])
        raise
    except (ValueError, TypeError, AttributeError, RuntimeError) as error:
        if isinstance(error, WrongAdapter | torch.OutOfMemoryError):
            raise
        raise WrongAdapter(
            f"the adapter in {folder} does not fit {type(model).__name__} "
            f"{str(base_model)!r}: {' '.join(str(error).split())[:300]}"
        ) from error


def _adapter_config(folder: Path) -> PeftConfig:
    from peft import PeftConfig

    description = _description(folder / "adapter_config.json")
    try:
        config = PeftConfig.from_pretrained(str(folder))
    except (KeyError, TypeError, ValueError) as error:
        raise WrongAdapter(
            f"{folder / 'adapter_config.json'} does not describe an adapter: {error!r}"
        ) from error
    if config.is_prompt_learning or config.is_adaption_prompt:
        raise WrongAdapter(
            f"the adapter in {folder} is a {description.get('peft_type')}, which cannot be merged "
            "into a model: give a LoRA adapter"
        )
    config.base_model_name_or_path = None  # peft warns of any other path to the base model
    return config


def _check_complete(
    folder: Path, model: torch.nn.Module, missing: list[str], unexpected: list[str]
) -> None:
    """Raise if tensors have no parameter in the model, or parameters have no tensor."""
    if missing or unexpected:
        raise WrongAdapter(
            f"the adapter in {folder} does not fit {type(model).__name__}: {len(unexpected)} of "
            f"its tensors have no parameter, {len(missing)} parameters have no tensor, first "
            f"{(unexpected or missing)[0]!r}: give the base model it was made for"
        )


def _with_language(
    model: torch.nn.Module, folder: Path, trained_on: Mapping[str, Any]
) -> torch.nn.Module:
    """Load a tuned language model; all of its weights must be present."""
    from safetensors.torch import load_file

    tuned, own = load_file(folder / LANGUAGE_WEIGHTS), model.state_dict()
    unexpected = [name for name in tuned if name not in own or own[name].shape != tuned[name].shape]
    if unexpected:
        raise WrongAdapter(
            f"{len(unexpected)} of {len(tuned)} weights in {folder} do not fit "
            f"{type(model).__name__}, first {unexpected[0]!r}: give the base model it was tuned on"
        )
    whole = trained_on.get("trained_whole") or []
    parts = tuple(f"{name}." for name in whole)
    wanted = {name for name, _ in model.named_parameters() if name.startswith(parts)}
    missing = sorted(wanted - set(tuned))
    if missing or not wanted:
        raise WrongAdapter(
            f"{folder} lacks {len(missing)} of {len(wanted)} weights of "
            f"{', '.join(whole) or 'no module'}, first {min(missing, default=None)!r}: tune it "
            "again in notebook 08"
        )
    model.load_state_dict(tuned, strict=False)
    return model

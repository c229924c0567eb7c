"""Loading of a vision-language model by name.

Only safetensors are read, and no code from the hub is run. Images always go through the PIL image
processor, so pixels do not depend on whether torchvision is installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
)
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

from vital_lib.models.adapters import with_tuned
from vital_lib.models.asking import VisionLanguageModel
from vital_lib.models.weights import quiet


def load_model(
    base_model: str | Path = "clinic", adapter: str | Path | None = None
) -> VisionLanguageModel:
    """Load a vision-language model and, if given, its tuned weights.

    Args:
        base_model: ``"clinic"``, a folder, or a hub id. bf16 on cuda, fp32 on the CPU.
        adapter: a folder that `vital_lib.tuning.tune` (or peft) wrote for this base model. It holds
            an adapter, which is merged, or a tuned language model, which replaces the base model's.

    Raises:
        FileNotFoundError: a path that is not a folder.
        OSError: weights that are not safetensors, or a hub id that cannot be reached.
        ValueError: a model of another kind, such as an encoder, or a model that lacks weights.
        WrongAdapter: tuned weights that are missing, incomplete, or of another base model.
    """
    source = str(_locate(base_model))
    cuda = torch.cuda.is_available()
    with quiet():
        model = _load_weights(source, torch.bfloat16 if cuda else torch.float32)
        processor = _load_processor(source)
    model = model.to("cuda" if cuda else "cpu")
    if adapter is not None:
        model = with_tuned(model, Path(adapter), base_model)
    return VisionLanguageModel(model, processor, str(base_model))


def _locate(base_model: str | Path) -> str | Path:
    if base_model == "clinic":
        from vital_lib import clinic

        return clinic.model_folder("llava")
    path = Path(base_model).expanduser()
    looks_like_path = isinstance(base_model, Path) or str(base_model).startswith(("/", ".", "~"))
    if not path.is_dir() and looks_like_path:
        raise FileNotFoundError(
            f"base_model {str(base_model)!r}: no such folder; give a folder with config.json and "
            "safetensors, a hub id such as 'HuggingFaceTB/SmolVLM-256M-Instruct', or 'clinic'"
        )
    return path if path.is_dir() else base_model


def _load_weights(source: str, dtype: torch.dtype) -> torch.nn.Module:
    how = {"use_safetensors": True, "trust_remote_code": False, "output_loading_info": True}
    try:
        model, loaded = AutoModelForImageTextToText.from_pretrained(source, dtype=dtype, **how)
    except ValueError as error:
        # only the first line: transformers goes on to list every known class
        raise ValueError(
            f"base_model {source!r}: {str(error).splitlines()[0]} Give a vision-language model, "
            "such as a LLaVA or a Qwen-VL"
        ) from error
    if missing := sorted(loaded["missing_keys"]):
        raise ValueError(
            f"base_model {source!r} lacks {len(missing)} of the weights of {type(model).__name__}, "
            f"first {missing[0]!r}, which would be random: give a complete model"
        )
    return model


def _load_processor(source: str) -> Any:
    config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    kind = PROCESSOR_MAPPING[type(config)]
    if "video_processor" not in kind.get_attributes():
        return AutoProcessor.from_pretrained(source, backend="pil", trust_remote_code=False)
    return _still_processor(kind, source)


def _still_processor(kind: Any, source: str) -> Any:
    """Return a processor such as Qwen-VL's without its video part, which needs torchvision."""

    class StillProcessor(kind):
        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            if argument_name == "video_processor":
                return type(None)
            return super().check_argument_for_proper_class(argument_name, argument)

    parts = {
        "image_processor": AutoImageProcessor.from_pretrained(
            source, backend="pil", trust_remote_code=False
        ),
        "tokenizer": AutoTokenizer.from_pretrained(source, trust_remote_code=False),
        "video_processor": None,
    }
    settings, _ = kind.get_processor_dict(source)
    return StillProcessor.from_args_and_dict([parts[a] for a in kind.get_attributes()], settings)

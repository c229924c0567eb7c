"""Loading of a vision-language model by name.

Only safetensors are read, and no code from the hub is run. Images go through the PIL image
processor where there is one, so pixels do not depend on whether torchvision is installed. What a
processor needs for video alone is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    Idefics3Processor,
    PreTrainedConfig,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

from vital_lib.models.adapters import with_tuned
from vital_lib.models.asking import VisionLanguageModel
from vital_lib.models.quantizing import check_quantize, keep_unpacked, quantization
from vital_lib.models.weights import quiet, weights_fingerprint

_FILES = {
    "config": ("config.json",),
    "weights": ("*.safetensors",),
    "tokenizer": ("tokenizer.json", "tokenizer.model", "vocab.json"),
    "image processor": ("preprocessor_config.json", "processor_config.json"),
}
"""Part of a model's folder -> files of which one holds it."""


def load_model(
    base_model: str | Path = "clinic",
    adapter: str | Path | None = None,
    *,
    quantize: str | None = None,
) -> VisionLanguageModel:
    """Load a vision-language model and, if given, its tuned weights.

    Args:
        base_model: ``"clinic"``, a folder, or a hub id. bf16 on cuda, fp32 on the CPU.
        adapter: a folder that `vital_lib.tuning.tune` (or peft) wrote for this base model. It holds
            an adapter, which is merged, or a tuned language model, which replaces the base model's.
        quantize: ``"4bit"`` loads the language model's linear layers in 4 bits, which takes a
            quarter of their memory; an adapter is then added without merging.

    Raises:
        FileNotFoundError: a path that is not a folder, or a folder that lacks files.
        OSError: weights that are not safetensors, or a hub id that cannot be reached.
        ImportError: a processor that needs torchvision; the message has the `pip install`.
        ValueError: a model of another kind, such as an encoder or a text model, or one that lacks
            weights, an image processor or a usable chat template.
        WrongAdapter: tuned weights that are missing, incomplete, or of another base model.
        ImportError: `quantize` without bitsandbytes; the message has the command to install it.
    """
    check_quantize(quantize)
    source = str(locate(base_model))
    cuda = torch.cuda.is_available()
    with quiet():
        config = _read_config(source)
        model = _load_weights(source, torch.bfloat16 if cuda else torch.float32)
        if quantize:
            made_from, dtype = weights_fingerprint(model), model.dtype
            del model  # before it is loaded again
            model = _load_quantized(source, dtype, made_from)
        with _one_line(source, "processor"):
            processor = _load_processor(config, source)
    model = model.to("cuda" if cuda else "cpu")
    if adapter is not None:
        model = with_tuned(model, Path(adapter), base_model)
    return VisionLanguageModel(model, processor, str(base_model))


def asker(
    base_model: str | Path = "clinic", adapter: str | Path | None = None
) -> Callable[[Image.Image, str], str]:
    """Return a function that answers a question about an image; arguments as in `load_model`.

    The model is loaded at the first question, so that models that nobody asks need no memory.
    """
    loaded = cache(partial(load_model, base_model, adapter))
    return lambda image, question: loaded().ask(image, question)


def locate(base_model: str | Path) -> str | Path:
    """Return the folder of `base_model`, or its hub id; raises as `load_model` for a missing path.

    A folder is a `Path`.
    """
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


@contextmanager
def _one_line(source: str, part: str) -> Generator[None]:
    """Shorten the errors of transformers, which list classes and links, to their first line."""
    try:
        yield
    except ImportError as error:
        raise _needs_torchvision(source, error) from error
    except (OSError, ValueError, LookupError, AttributeError, TypeError, SafetensorError) as error:
        if "Missing optional dependencies" in str(error):
            raise _needs_torchvision(source, error) from error
        kind = OSError if isinstance(error, OSError) else ValueError
        said = f"its {part} cannot be read: {_first_line(error)}"
        raise kind(f"base_model {source!r}: {said}") from error


def _needs_torchvision(source: str, error: Exception) -> ImportError:
    """Return the error for a processor without a PIL half, such as Llama 4's."""
    return ImportError(
        f"base_model {source!r} needs torchvision, or another package that is not installed: "
        f"pip install 'vital-workbench[torchvision]' ({_first_line(error)})"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]


def _check_files(folder: Path, parts: Sequence[str]) -> None:
    """Raise if a model's folder lacks one of `parts`; transformers opens some such folders."""
    wanted = {part: _FILES[part] for part in parts}
    missing = [p for p, names in wanted.items() if not any(any(folder.glob(n)) for n in names)]
    if folder.is_dir() and missing:
        said = ", ".join(f"{part} ({' or '.join(wanted[part])})" for part in missing)
        raise FileNotFoundError(
            f"base_model {str(folder)!r} has no {said}: give a folder with all files of a model, "
            "its weights as safetensors"
        )


def _read_config(source: str) -> PreTrainedConfig:
    """Return the model's settings, checked to be those of a vision-language model."""
    _check_files(Path(source), ["config", "weights", "tokenizer"])
    with _one_line(source, "config.json"):
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise ValueError(
            f"base_model {source!r} has a {type(config).__name__}: it takes no images or writes no "
            "text. Give a vision-language model, such as a LLaVA or a Qwen-VL"
        )
    _check_files(Path(source), ["image processor"])
    return config


def _load_weights(source: str, dtype: torch.dtype) -> torch.nn.Module:
    how = {"use_safetensors": True, "trust_remote_code": False, "output_loading_info": True}
    how["ignore_mismatched_sizes"] = True  # they are refused below, in one line
    with _one_line(source, "weights"):
        model, loaded = AutoModelForImageTextToText.from_pretrained(source, dtype=dtype, **how)
    if other := sorted(loaded["mismatched_keys"]):
        name, found, wanted = other[0]
        raise ValueError(
            f"base_model {source!r}: {len(other)} of its weights have other shapes than its "
            f"config.json states, first {name!r} with {tuple(found)} instead of {tuple(wanted)}: "
            "give config.json and weights of one model"
        )
    if missing := sorted(loaded["missing_keys"]):
        raise ValueError(
            f"base_model {source!r} lacks {len(missing)} of the weights of {type(model).__name__}, "
            f"first {missing[0]!r}, which would be random: give a complete model"
        )
    return model


def _load_quantized(source: str, dtype: torch.dtype, made_from: str) -> torch.nn.Module:
    """Load the model in 4 bits; it keeps the fingerprint of the weights that it is made from."""
    model = AutoModelForImageTextToText.from_pretrained(
        source,
        dtype=dtype,
        quantization_config=quantization(source, dtype),
        device_map={"": 0} if torch.cuda.is_available() else None,
        use_safetensors=True,
        trust_remote_code=False,
    )
    keep_unpacked(model)
    model.whole_fingerprint = made_from
    return model


def _load_processor(config: PreTrainedConfig, source: str) -> Any:
    """Return the model's processor, without the half of it that is for video."""
    kind = PROCESSOR_MAPPING[type(config)]
    if "video_processor" not in kind.get_attributes():
        return AutoProcessor.from_pretrained(source, backend="pil", trust_remote_code=False)
    if config.model_type == "smolvlm":
        # It handles images as SmolVLM's own class does, which needs num2words for video.
        kind = Idefics3Processor
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

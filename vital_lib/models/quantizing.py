"""Loading of a model with its language model in 4 bits (NF4, as in QLoRA), by bitsandbytes.

Only the linear layers of the language model are quantized. The vision tower, the projectors, the
embeddings and the output layer keep their precision.
"""

from __future__ import annotations

import copy
from importlib.util import find_spec
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, BitsAndBytesConfig

from vital_lib.models.parts import language_layers, linear_layers

QUANTIZED = ("4bit",)
"""Values of `quantize` besides None."""


def check_quantize(quantize: str | None) -> None:
    """Raise if `quantize` is no known value, or if its library is missing.

    Raises:
        ValueError: a value other than None and those of `QUANTIZED`.
        ImportError: bitsandbytes is not installed; the message has the command.
    """
    if quantize is None:
        return
    if quantize not in QUANTIZED:
        raise ValueError(f"quantize={quantize!r}: wanted None or one of {', '.join(QUANTIZED)}")
    if find_spec("bitsandbytes") is None:
        raise ImportError(
            f"quantize={quantize!r} needs bitsandbytes, which is not installed: run "
            "`pip install 'vital-workbench[qlora]'`, or give quantize=None"
        )


def quantization(source: str, dtype: torch.dtype) -> BitsAndBytesConfig:
    """Return the settings with which transformers loads `source` with 4-bit language layers.

    Raises:
        ValueError: a model without linear layers in a language model.
    """
    config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    model = meta_model(config)
    language = language_layers(model)
    if not language:
        raise ValueError(
            f"base_model {source!r} has no linear layer in a language_model or text_model, so "
            "nothing to quantize: give a vision-language model, or quantize=None"
        )
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        # Whole names: transformers compares from a name's start, so that "vision_tower" would not
        # keep layers of "model.vision_tower".
        llm_int8_skip_modules=[name for name in linear_layers(model) if name not in language],
    )


def keep_unpacked(model: torch.nn.Module) -> None:
    """Keep bitsandbytes from repacking the 4-bit weights of `model` for inference on a CPU.

    With AVX512-BF16 it repacks them in place at the first answer. Later training steps would then
    get no gradient through them, and widths that are no multiple of 64 would raise an error.
    """
    for part in model.modules():
        if hasattr(part, "support_avx512bf16_for_cpu"):
            part.support_avx512bf16_for_cpu = False


def meta_model(config: Any) -> torch.nn.Module:
    """Return the model of a transformers `config` on the meta device: shapes without weights."""
    own = copy.deepcopy(config)  # a loaded model's config stays as it is
    if getattr(own, "quantization_config", None) is not None:
        del own.quantization_config
    with torch.device("meta"):
        return AutoModelForImageTextToText.from_config(own)

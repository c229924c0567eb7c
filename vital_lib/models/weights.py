"""Fingerprint of model weights, and a context that silences transformers while it loads."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Generator
from contextlib import contextmanager

import torch
from transformers.utils import logging as transformers_logging


def weights_fingerprint(model: torch.nn.Module) -> str:
    """Return the SHA-256 of every parameter's name, shape and first 64 values, rounded to bf16.

    Rounding makes it equal on a GPU (bf16) and a CPU (fp32). Sampling makes it cheap. A model in 4
    bits has the fingerprint of the weights that it was made from.
    """
    if made_from := getattr(model, "whole_fingerprint", None):
        return made_from
    digest = hashlib.sha256()
    for name, weights in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(weights.shape)}".encode())
        if weights.is_floating_point():
            sample = weights.detach().flatten()[:64].to("cpu", torch.bfloat16)
            digest.update(sample.view(torch.int16).numpy().tobytes())
    return digest.hexdigest()


@contextmanager
def quiet() -> Generator[None]:
    """Suppress transformers' progress bars, and a warning about a name that peft still uses."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
            yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()

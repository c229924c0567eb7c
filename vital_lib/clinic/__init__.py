"""The clinic: a simulation of everything outside the workbench, so that it runs offline.

Its figures are phantoms (drawings with known findings). Its generator and judges are programs that
err at known rates, its clinicians are rules, and its base models are tiny networks trained on
phantoms. Results on it say nothing about medicine, real clinicians or real models. They show that
the workbench works and what its metrics look like when the ground truth is known. To leave the
simulation, replace each setting ``"clinic"``.

Public names are imported on first use, so that importing the package stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

_HOMES = {
    "make_figure_set": "figure_set",
    "transport": "service",
    "Clinicians": "people",
    "CLINICIANS": "people",
    "tally": "people",
    "base_conversations": "own_conversations",
}
_MODELS = ("encoder", "llava")

__all__ = [
    "CLINICIANS",
    "Clinicians",
    "base_conversations",
    "make_figure_set",
    "model_folder",
    "tally",
    "transport",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def model_folder(name: str) -> Path:
    """Return the folder of base model `name`: encoder (CLIP) or llava (vision-language model).

    Raises:
        ValueError: the clinic has no model of that name.
        FileNotFoundError: its weights are missing; the message says how to build them.
    """
    if name not in _MODELS:
        raise ValueError(f"model {name!r} is unknown; the clinic has {' and '.join(_MODELS)}")
    folder = Path(__file__).parent / "models" / name
    if not (folder / "model.safetensors").is_file():
        raise FileNotFoundError(
            f"no weights in {folder}: build them with `python -m vital_lib.clinic.base_models`"
        )
    return folder

"""Instruction tuning: conversations in, a LoRA adapter's folder out.

``sequences`` makes token sequences of conversations, ``training`` trains on them. The package knows
nothing of how the conversations were selected, or of benchmarks.
"""

from vital_lib.tuning.sequences import (
    IGNORED,
    FigureTensors,
    NothingToTune,
    collate,
    encode_conversations,
    encode_rounds,
    learned_pieces,
    token_limit,
)
from vital_lib.tuning.training import (
    TuningConfig,
    count_steps,
    fingerprint,
    lora_targets,
    read_config,
    read_losses,
    tune,
)

__all__ = [
    "IGNORED",
    "FigureTensors",
    "NothingToTune",
    "TuningConfig",
    "collate",
    "count_steps",
    "encode_conversations",
    "encode_rounds",
    "fingerprint",
    "learned_pieces",
    "lora_targets",
    "read_config",
    "read_losses",
    "token_limit",
    "tune",
]

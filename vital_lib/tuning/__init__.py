"""Instruction tuning: conversations in, a folder with a model's tuned weights out.

``settings`` says how, ``mixing`` brings in other instruction data, ``sequences`` makes token
sequences of conversations, ``weights`` finds what to train, ``training`` trains. The package knows
nothing of how the conversations were selected, or of benchmarks.
"""

from vital_lib.tuning.mixing import MixedBatches, draw_mix, read_llava
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
from vital_lib.tuning.settings import TuningConfig
from vital_lib.tuning.training import (
    count_steps,
    fingerprint,
    read_config,
    read_losses,
    tune,
)
from vital_lib.tuning.weights import language_modules, lora_targets

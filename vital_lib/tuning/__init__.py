"""Instruction tuning: conversations in, a folder of tuned weights out.

``settings`` holds the settings, ``mixing`` adds other instruction data, and ``sequences`` turns
conversations into token sequences. ``weights`` selects what to train, ``training`` trains it, and
``events`` are what it reports meanwhile. ``estimating`` says beforehand what memory and disk it
needs, ``captions`` makes conversations of an earlier stage, ``card`` describes the result, and
``merging`` makes one model of it and checks it. The package does not depend on benchmarks or on how
the conversations were selected.
"""

from vital_lib.tables import FolderInUse
from vital_lib.tuning.captions import caption_conversations, tune_captions
from vital_lib.tuning.card import write_card, write_results
from vital_lib.tuning.checkpoints import CHECKPOINT, OtherRun
from vital_lib.tuning.data import count_steps, fingerprint
from vital_lib.tuning.estimating import DoesNotFit, Estimate, as_table, check_room, estimate
from vital_lib.tuning.events import LeftOut, Sample, TuningEvent
from vital_lib.tuning.loop import DivergedLoss
from vital_lib.tuning.merging import NothingLearned, check_reloaded, save_merged
from vital_lib.tuning.mixing import MixedBatches, draw_mix, read_llava
from vital_lib.tuning.run import OutOfMemory
from vital_lib.tuning.sequences import (
    IGNORED,
    FigureTensors,
    NothingToTune,
    collate,
    encode_conversations,
    encode_rounds,
    token_limit,
)
from vital_lib.tuning.settings import TuningConfig
from vital_lib.tuning.training import read_config, read_held_out, read_losses, tune
from vital_lib.tuning.weights import language_modules, lora_targets

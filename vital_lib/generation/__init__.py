"""Candidates from figures: drafts to be labelled, and conversations after demonstrations.

BioMed-VITAL's first stage (paper section 3.1). ``candidates`` asks, ``grounding`` flags answers
that go against their figure's text, ``hollow`` what is no answer, ``pairing`` puts two prompts or
arms side by side, blind. The package knows nothing of who accepted a demonstration, nor of any
model beyond asking it.
"""

from vital_lib.generation.candidates import (
    ARMS,
    DROPPED,
    FEWER,
    UNREAD_COLUMNS,
    draft_candidates,
    draft_prompts,
    generate_arms,
    generate_candidates,
    generation_prompts,
)
from vital_lib.generation.grounding import FLAGS, grounding_flags
from vital_lib.generation.hollow import HOLLOW, hollow_flags
from vital_lib.generation.pairing import (
    arm_to_select,
    compare_arms,
    paired_drafts,
    ticks_of_pairs,
)

"""Generates candidates from figures: drafts to label, and conversations after demonstrations.

BioMed-VITAL's first stage (paper section 3.1). ``candidates`` sends the requests, ``grounding``
flags answers that contradict the figure's text, ``hollow`` flags responses that are not answers,
and ``pairing`` compares two prompts or arms blindly. The package does not depend on annotators, and
uses models only through the client.
"""

from vital_lib.generation.candidates import (
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
from vital_lib.generation.pairing import arm_to_select, paired_drafts

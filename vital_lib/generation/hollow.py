"""Flags responses that are not answers: repeated, echoed from the request, or a refusal.

Valid JSON may hold such responses, and they would cost a clinician's time. A flag is a hint for the
reader. This module does not use figures, annotators or ground truth.
"""

from __future__ import annotations

import pandas as pd

from vital_lib.prompts import ends_in_courtesy, is_echo, refuses_somewhere
from vital_lib.tables import NO_ANSWER

HOLLOW = (*NO_ANSWER, "ends_in_courtesy")
"""The flags of `hollow_flags`, in order. Responses with only the last one can still be compared."""


def hollow_flags(candidates: pd.DataFrame) -> pd.Series:
    """Return the `HOLLOW` flags of each response.

    said_twice: another response to the instruction is the same except for case, spaces and final
    punctuation, or an earlier round of the conversation has the same instruction and response.
    echoes_the_request: the response equals its instruction, or one of the two is a schema word or
    a placeholder ("string", "...").
    refuses: a sentence of the response begins with a refusal.
    ends_in_courtesy: the last sentence offers further help.

    Args:
        candidates: columns conversation_id, instruction_id, instruction, response.

    Returns:
        One list of flags per candidate, mostly empty, with the index of `candidates`, to be added
        to its column `flags`.
    """
    response, instruction = (candidates[name].map(_bare) for name in ("response", "instruction"))
    pairs = pd.DataFrame({"instruction": candidates["instruction_id"], "response": response})
    rounds = pd.DataFrame(
        {
            "conversation": candidates["conversation_id"],
            "instruction": instruction,
            "response": response,
        }
    )
    checks = (
        pairs.duplicated(keep=False) | rounds.duplicated(),
        candidates["response"].map(is_echo)
        | candidates["instruction"].map(is_echo)
        | (response == instruction),
        candidates["response"].map(refuses_somewhere),
        candidates["response"].map(ends_in_courtesy),
    )
    found = [
        [name for name, failed in zip(HOLLOW, row, strict=True) if failed]
        for row in zip(*checks, strict=True)
    ]
    return pd.Series(found, index=candidates.index, dtype=object)


def _bare(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".!?") or text

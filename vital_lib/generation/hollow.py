"""Flags responses that are no answer: said twice, echoed from the request, or a refusal.

They come in valid JSON, too, and would cost a clinician's time. A flag is a hint for whoever looks.
This module sees no figure, and knows nothing of people or of what is true.
"""

from __future__ import annotations

import pandas as pd

from vital_lib.prompts import ends_in_courtesy, is_echo, refuses_somewhere
from vital_lib.tables import NO_ANSWER

HOLLOW = (*NO_ANSWER, "ends_in_courtesy")
"""What `hollow_flags` may find, in this order; of the last alone a pair is still a choice."""


def hollow_flags(candidates: pd.DataFrame) -> pd.Series:
    """What each response lacks to be an answer, by `HOLLOW`.

    A response is said twice where another one to its instruction is the same but for case, blanks
    and its last sign, or where an earlier round of its conversation asks and answers the same. It
    echoes the request where it or its instruction is a word of the schema or a template
    ("string", "..."), or where it is its instruction. It refuses where a sentence begins so, and
    ends in courtesy where its last sentence offers more to the one who asked.

    Args:
        candidates: columns conversation_id, instruction_id, instruction, response.

    Returns:
        One list per candidate, mostly empty, with the index of `candidates`; fit to be added to
        its column `flags`.
    """
    said, asked = (candidates[name].map(_bare) for name in ("response", "instruction"))
    pairs = pd.DataFrame({"instruction": candidates["instruction_id"], "said": said})
    rounds = pd.DataFrame(
        {"conversation": candidates["conversation_id"], "asked": asked, "said": said}
    )
    checks = (
        pairs.duplicated(keep=False) | rounds.duplicated(),
        candidates["response"].map(is_echo)
        | candidates["instruction"].map(is_echo)
        | (said == asked),
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

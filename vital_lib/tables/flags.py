"""Flags of candidates that are not answers, and the display text of flags."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

NO_ANSWER = ("said_twice", "echoes_the_request", "refuses")
"""Flags of a response that is not an answer, whatever its figure shows."""

NOT_TO_LEARN = ("refuses", "echoes_the_request")
"""Flags that exclude a response from training. A repeated response is still an answer, once."""


def not_to_learn(candidates: pd.DataFrame) -> pd.Series:
    """Return why each response is excluded from training: "refuses" or "echoes the request".

    "refuses" takes precedence. The value is null if no such flag is set, or if `candidates` has no
    column flags (lists) or a null in it. The index is that of `candidates`.
    """
    if "flags" not in candidates:
        return pd.Series(None, candidates.index, dtype=object)
    words = {name: flags_in_words([name])[0] for name in NOT_TO_LEARN}
    found = [
        next((words[name] for name in NOT_TO_LEARN if name in own), None)
        if pd.api.types.is_list_like(own) and len(own)
        else None
        for own in candidates["flags"]
    ]
    return pd.Series(found, candidates.index, dtype=object)


def flags_in_words(flags: Iterable[str]) -> list[str]:
    """Return the distinct flags as display text, in alphabetical order."""
    return sorted({str(flag).replace("_", " ") for flag in flags})

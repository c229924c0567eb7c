"""The flags of candidates that are no answer, and how flags are worded wherever they are shown."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

NO_ANSWER = ("said_twice", "echoes_the_request", "refuses")
"""Flags of a response that is no answer, whatever its figure shows."""

NOT_TO_LEARN = ("refuses", "echoes_the_request")
"""Those of which nothing is learned: what is said twice is still an answer, once."""


def not_to_learn(candidates: pd.DataFrame) -> pd.Series:
    """Why nothing is learned from a response: "refuses" or "echoes the request", else null.

    Of both, the first. Rows and index as in `candidates`, whose column flags holds lists; without
    the column, and where it is null, nothing is said against a response.
    """
    if "flags" not in candidates:
        return pd.Series(None, candidates.index, dtype=object)
    found = [
        [name for name in NOT_TO_LEARN if name in own] if pd.api.types.is_list_like(own) else []
        for own in candidates["flags"]
    ]
    words = [flags_in_words(own[:1])[0] if own else None for own in found]
    return pd.Series(words, candidates.index, dtype=object)


def flags_in_words(flags: Iterable[str]) -> list[str]:
    """Each flag once, in plain words and in the order of the alphabet."""
    return sorted({str(flag).replace("_", " ") for flag in flags})

"""The flags of candidates that are no answer, and how flags are worded wherever they are shown."""

from __future__ import annotations

from collections.abc import Iterable

NO_ANSWER = ("said_twice", "echoes_the_request", "refuses")
"""Flags of a response that is no answer, whatever its figure shows."""


def flags_in_words(flags: Iterable[str]) -> list[str]:
    """Each flag once, in plain words and in the order of the alphabet."""
    return sorted({str(flag).replace("_", " ") for flag in flags})

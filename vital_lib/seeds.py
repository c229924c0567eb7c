"""Derives seeds and draws from hashes of text: each depends on its own parts, not on other rows."""

from __future__ import annotations

import hashlib


def hash31(text: str) -> int:
    """Return a hash of `text` below 2**31, which every model server accepts as a seed."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def hash64(text: str) -> int:
    """Return a hash of `text` below 2**64."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")

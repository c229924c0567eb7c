"""An item of a queue packed into one word, by which any kernel can place a judgement of it.

The word is compressed and no more: nobody reads an id off the page by chance, but whoever unpacks
it can. It is no secret and is not signed, so what it says is checked. This module knows no card.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from typing import Any

ITEM = ("item_id", "left_id", "right_id", "queue_arm", "repeat_of")
"""What of an item is sealed."""


def item_key(row: Mapping[str, Any]) -> str:
    """The word for an item; `row` may lack queue_arm and repeat_of."""
    values = [row[name] if isinstance(row.get(name), str) else None for name in ITEM]
    return base64.urlsafe_b64encode(zlib.compress(json.dumps(values).encode(), 9)).decode()


def item_of(key: str) -> dict[str, Any]:
    """The item that `key` stands for; a ValueError where it stands for none."""
    try:
        values = json.loads(zlib.decompress(base64.urlsafe_b64decode(key)))
    except (zlib.error, ValueError, RecursionError):
        values = None
    texts = isinstance(values, list) and all(isinstance(one, str | None) for one in values)
    if not texts or len(values) != len(ITEM):
        raise ValueError(f"{key[:40]!r} stands for no item of this card")
    item = dict(zip(ITEM, values, strict=True))
    return {**item, "queue_arm": item["queue_arm"] or "random"}


def store_of(log_identity: str, annotator: str) -> str:
    """Names what a page keeps for one person and log; no other page reads it."""
    return hashlib.sha256(f"{log_identity}\0{annotator}".encode()).hexdigest()[:16]

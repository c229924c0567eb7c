"""Keys for queue items: a key packs an item's ids into one string that any kernel can unpack.

A key is compressed, neither encrypted nor signed. It keeps ids out of sight on the page, but anyone
can unpack it, so the caller must check the item it yields. This module does not depend on the card.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

ITEM = ("item_id", "left_id", "right_id", "drawn_by", "repeat_of")
"""The columns of an item that its key packs."""
_SIZE = Field(min_length=len(ITEM), max_length=len(ITEM))
_VALUES = TypeAdapter(Annotated[list[str | None], _SIZE])


def item_key(row: Mapping[str, Any]) -> str:
    """Return the key of an item; `row` may lack drawn_by and repeat_of."""
    values = [row[name] if isinstance(row.get(name), str) else None for name in ITEM]
    return base64.urlsafe_b64encode(zlib.compress(json.dumps(values).encode(), 9)).decode()


def item_of(key: str) -> dict[str, Any]:
    """Return the item that `key` packs; drawn_by defaults to "random".

    Raises:
        ValueError: `key` packs no item.
    """
    try:
        values = _VALUES.validate_json(zlib.decompress(base64.urlsafe_b64decode(key)))
    except (zlib.error, ValueError):
        raise ValueError(f"{key[:40]!r} is not the key of an item on this card") from None
    item = dict(zip(ITEM, values, strict=True))
    return {**item, "drawn_by": item["drawn_by"] or "random"}


def store_of(log_identity: str, annotator: str) -> str:
    """Return the name of the browser storage for one label log and annotator."""
    return hashlib.sha256(f"{log_identity}\0{annotator}".encode()).hexdigest()[:16]

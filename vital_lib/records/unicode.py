"""Finds text that is no Unicode: bytes of another encoding, and escapes of half a character."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from vital_lib.records.check import InvalidRecord, shown

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def holds_surrogates(text: str) -> bool:
    """Return whether a text, or the JSON in it, may hold lone surrogates."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return True
    return "\\u" in text and _SURROGATE.search(text) is not None


def in_unicode(records: Iterator[tuple[str, Any]], text: str) -> Iterator[tuple[str, Any]]:
    """Reject records that hold lone surrogates: bytes of another encoding, or JSON escapes.

    Args:
        records: places and records read from `text`.
        text: decoded with surrogates in place of bytes that are not UTF-8.
    """
    suspect = holds_surrogates(text)
    for place, record in records:
        yield (_printable(place), _whole(record)) if suspect else (place, record)


def _printable(text: str) -> str:
    """Return text that can be stored and printed, whatever bytes it came from."""
    return text.encode(errors="backslashreplace").decode()


def _whole(record: Any) -> Any:
    if isinstance(record, InvalidRecord):
        return InvalidRecord(_printable(record.field), _printable(record.reason))
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        code, near = ord(error.object[error.start]), error.object[: error.start][-20:]
        if 0xDC80 <= code <= 0xDCFF:
            byte = f"not UTF-8: byte 0x{code - 0xDC00:02x} after {shown(near)}"
            return InvalidRecord("record", f"{byte}; save the file as UTF-8")
        broken = shown(near + error.object[error.start])
        return InvalidRecord("record", f"not Unicode text ({error.reason}): {broken}")
    except RecursionError:
        return InvalidRecord("record", "nested too deeply to be read")
    return record

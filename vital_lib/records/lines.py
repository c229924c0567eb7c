"""Reads JSON Lines line by line, so that a file of any length needs little memory.

A damaged line is one `InvalidRecord`. This module does not know the content of the records.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from pydantic_core import from_json

from vital_lib.records.check import InvalidRecord, shown
from vital_lib.records.unicode import in_unicode

MAX_LINE_BYTES = 200_000_000
"""Most bytes of a line that is read."""

_BOM = b"\xef\xbb\xbf"
_DECODER = json.JSONDecoder(parse_constant=lambda name: None)  # NaN is a missing value
_BLANK, _SLOW = object(), object()
_SUFFIXES = (".csv", ".tsv", ".txt", ".py", ".pkl", ".pickle")


def holds_lines(file: Path) -> bool:
    """Return whether a file is JSON Lines: its first line is an object, and others follow it."""
    if file.suffix.lower() in _SUFFIXES:
        return False
    with file.open("rb") as opened:
        first = opened.readline(MAX_LINE_BYTES).removeprefix(_BOM)
        while first and not first.strip() and len(first) < MAX_LINE_BYTES:
            first = opened.readline(MAX_LINE_BYTES)
        if not first.lstrip().startswith(b"{") or not first.endswith(b"\n") or b"\0" in first:
            return False
        try:
            value = _DECODER.decode(first.decode().strip().removesuffix(","))
        except (ValueError, RecursionError):
            return False
        while rest := opened.read(1 << 16):
            if rest.strip():
                return isinstance(value, dict)
    return False


def streamed_lines(file: Path) -> Iterator[tuple[str, Any]]:
    """Yield "name:line" and the value of each line of a file of JSON Lines that is not blank.

    A line that is not JSON, not UTF-8 or longer than `MAX_LINE_BYTES` is an `InvalidRecord`.
    """
    number = 0
    with file.open("rb") as opened:
        if opened.read(3) != _BOM:
            opened.seek(0)
        while line := opened.readline(MAX_LINE_BYTES):
            if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
                number += 1
                _skip_line(opened)
                reason = f"a line of over {MAX_LINE_BYTES:,} bytes"
                yield f"{file.name}:{number}", InvalidRecord("record", reason)
                continue
            if b"\r" in line:
                parts = line.rstrip(b"\r\n").replace(b"\r\n", b"\r").split(b"\r")
            else:
                parts = [line]
            for part in parts:
                number += 1
                value = _value(part)
                if value is not _BLANK:
                    place = f"{file.name}:{number}"
                    yield place, value if value is not _SLOW else _slowly(part, place)


def _skip_line(opened: BinaryIO) -> None:
    while (rest := opened.readline(1 << 20)) and not rest.endswith(b"\n"):
        pass


def _value(content: bytes) -> Any:
    """Return the value of a line; `_SLOW` if the fast parser, which wants Unicode, refuses it."""
    if b"NaN" in content or b"Infinity" in content:
        return _SLOW
    try:
        return from_json(content)
    except ValueError:
        return _SLOW if content.strip() else _BLANK


def _slowly(content: bytes, place: str) -> Any:
    text = content.decode("utf-8", errors="surrogateescape").strip("\ufeff \t\r\n")
    try:
        found: Any = _DECODER.decode(text.removesuffix(","))
    except (ValueError, RecursionError) as error:
        found = InvalidRecord("record", f"not JSON ({error}): {shown(text[:80])}")
    ((_, found),) = in_unicode(iter([(place, found)]), text)
    return found

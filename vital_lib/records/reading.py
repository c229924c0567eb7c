"""Reads a file of records, whatever its format: each record with its place, or why it is none.

The format is told by the content: JSON (a list, an object that wraps the list, or an object of
lists), JSON Lines, CSV or a table with tabs, Parquet, and Python's literals; a name's ending
decides only where the content does not. One bad record is one `InvalidRecord`; its neighbours are
read.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from vital_lib.records.check import InvalidRecord, shown
from vital_lib.records.documents import json_records, unwrapped
from vital_lib.records.pickles import plain_values
from vital_lib.records.tables import table_records

Place = tuple[str, Any]
"""Where a record stands, and the record or an `InvalidRecord`."""

_PACKED = {
    b"PK\x03\x04": "a zip archive or an Excel workbook: unpack it, or save the sheet as CSV",
    b"\x1f\x8b": "compressed: unpack it first (gunzip)",
    b"SQLite format 3": "a SQLite database: export the table as CSV",
    b"version https://git-lfs": "a pointer of Git LFS: fetch the file itself (git lfs pull)",
}
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


class UnreadableFile(ValueError):
    """A file of which no record can be told apart; the message says why and what would do."""


def read_records(
    path: str | Path, *, fields: Collection[str] = (), columns: Collection[str] | None = None
) -> Iterator[Place]:
    """Each record of a file with its place; an `InvalidRecord` stands in for one that cannot be
    read.

    Text is UTF-8, with or without a mark at its start, or UTF-16 or UTF-32. A line, or a record,
    with bytes that are none of these is an `InvalidRecord`. NaN is a missing value: None.

    Args:
        path: the file: JSON, JSON Lines, CSV, tabs, Parquet, a Python file whose one literal list
            holds the records, or a pickle of plain lists, dicts, texts and numbers, which is read
            without being loaded.
        fields: names of which a record has at least one. An object that has none of them wraps the
            list of records.
        columns: the names of a table's columns, where its file has no line of names; then tabs
            separate the cells and a quotation mark is a character like others.

    Yields:
        ("name:line" or "name:list[number]", record): a dict where the file is right.

    Raises:
        FileNotFoundError: no such file.
        UnreadableFile: it is empty, packed, or of a format that is not read.
    """
    file = Path(path)
    content = file.read_bytes()
    if not content.strip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n"):
        raise UnreadableFile(f"{file.name} is empty: {len(content)} bytes without any text")
    for mark, reason in _PACKED.items():
        if content.startswith(mark):
            raise UnreadableFile(f"{file.name} is {reason}")
    if content.startswith(b"PAR1"):
        yield from _parquet(file)
    elif content[0] == 0x80 or file.suffix in (".pkl", ".pickle"):
        yield from unwrapped(_pickled(content, file.name), file.name, fields)
    else:
        text = _decoded(content, file.name)
        yield from _unicode(_of_text(text, file, fields, columns), text)


def _of_text(
    text: str, file: Path, fields: Collection[str], columns: Collection[str] | None
) -> Iterator[Place]:
    if file.suffix == ".py":
        return unwrapped(_literal(text, file.name), file.name, fields)
    is_json = text.lstrip()[0] in "[{"
    if columns or (file.suffix.lower() in (".csv", ".tsv", ".txt") and not is_json):
        return table_records(text, file.name, columns)
    return json_records(text, file.name, fields)


def _decoded(content: bytes, name: str) -> str:
    """As text; bytes that are no UTF-8 stay as half characters, which `_unicode` rejects."""
    encoding = json.detect_encoding(content)
    if encoding.startswith("utf-8"):
        start = content[:1024]
        if 20 * sum(byte < 9 for byte in start) > len(start):
            raise UnreadableFile(f"{name} is no text: it begins with {start[:16]!r}")
        return content.decode("utf-8-sig", errors="surrogateescape")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        reason = f"{error.reason} at byte {error.start}"
        raise UnreadableFile(
            f"{name} is no whole {encoding} ({reason}): save it as UTF-8"
        ) from None


def _unicode(records: Iterator[Place], text: str) -> Iterator[Place]:
    """Rejects records that hold half characters: bytes of another encoding, or JSON's escapes."""
    try:
        text.encode()
        suspect = _HALF.search(text) is not None
    except UnicodeEncodeError:
        suspect = True
    for place, record in records:
        yield (_told(place), _whole(record)) if suspect else (place, record)


def _told(text: str) -> str:
    """Text that can be stored and printed, whatever bytes it was made of."""
    return text.encode(errors="backslashreplace").decode()


def _whole(record: Any) -> Any:
    if isinstance(record, InvalidRecord):
        return InvalidRecord(_told(record.field), _told(record.reason))
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half, near = ord(error.object[error.start]), error.object[: error.start][-20:]
        if 0xDC80 <= half <= 0xDCFF:
            byte = f"not UTF-8: byte 0x{half - 0xDC00:02x} after {shown(near)}"
            return InvalidRecord("record", f"{byte}; save the file as UTF-8")
        broken = shown(near + error.object[error.start])
        return InvalidRecord("record", f"not Unicode text ({error.reason}): {broken}")
    except RecursionError:
        return InvalidRecord("record", "nested too deeply to be read")
    return record


def _parquet(file: Path) -> Iterator[Place]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(file)
        number = 0
        for batch in table.iter_batches(batch_size=256):
            for record in batch.to_pylist():
                yield f"{file.name}[{number}]", _without_nan(record)
                number += 1
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFile(f"{file.name} is no whole Parquet file: {error}") from None


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, Mapping):
        return {name: _without_nan(one) for name, one in value.items()}
    return [_without_nan(one) for one in value] if isinstance(value, list) else value


def _literal(text: str, name: str) -> Any:
    """The one list or dict of literals that a Python file assigns; nothing of the file is run."""
    try:
        found = [
            ast.literal_eval(node.value)
            for node in ast.parse(text).body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.List | ast.Dict)
        ]
    except (SyntaxError, ValueError, RecursionError) as error:
        raise UnreadableFile(f"{name} holds no list of literals ({error})") from None
    if len(found) != 1:
        raise UnreadableFile(f"{name} assigns {len(found)} lists: wanted one, of records")
    return found[0]


def _pickled(content: bytes, name: str) -> Any:
    try:
        return plain_values(content)
    except ValueError as error:
        raise UnreadableFile(
            f"{name} is a pickle that is not read ({error}): a pickle may run code when it is "
            "loaded; write its records as JSON or Parquet where you trust it"
        ) from None

"""Read a file of records in any supported format; yield each record, or its error, with its place.

The content decides the format: JSON (a list, an object that wraps the list, or an object of lists),
JSON Lines, CSV, tab-separated cells, Parquet, or Python literals. The file's suffix decides only
where the content does not. A record that cannot be read is one `InvalidRecord`; its neighbours are
read.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from vital_lib.records.batches import batch_rows
from vital_lib.records.check import shown
from vital_lib.records.documents import json_records, unwrapped
from vital_lib.records.lines import holds_lines, streamed_lines
from vital_lib.records.pickles import plain_values
from vital_lib.records.tables import table_records
from vital_lib.records.unicode import in_unicode

Place = tuple[str, Any]
"""A record's place, and the record or an `InvalidRecord`."""

_PACKED = {
    b"PK\x03\x04": "a zip archive or an Excel workbook: unpack it, or save the sheet as CSV",
    b"\x1f\x8b": "compressed: unpack it first (gunzip)",
    b"SQLite format 3": "a SQLite database: export the table as CSV",
    b"version https://git-lfs": "a Git LFS pointer: fetch the file itself (git lfs pull)",
}
MAX_WHOLE_BYTES = 2_000_000_000
"""Most bytes of a file that is read as a whole: any text but JSON Lines."""


class UnreadableFile(ValueError):
    """A file that cannot be split into records; the message gives the reason and the way out."""


def read_records(
    path: str | Path, *, fields: Collection[str] = (), columns: Collection[str] | None = None
) -> Iterator[Place]:
    """Yield each record of a file with its place; one that cannot be read is an `InvalidRecord`.

    Text is UTF-8, with or without a byte order mark, or UTF-16 or UTF-32. A line or record with
    other bytes is an `InvalidRecord`. NaN is a missing value: None.

    Args:
        path: a file of JSON, JSON Lines, CSV, tab-separated cells or Parquet, a Python file whose
            one literal list holds the records, or a pickle of plain lists, dicts, texts and
            numbers; a pickle with any other instruction is refused.
        fields: field names of which a record has at least one. An object with none of them wraps
            the list of records.
        columns: the column names of a table whose file has no header; then tabs separate the cells
            and a quotation mark is an ordinary character.

    Yields:
        ("name:line" or "name:list[number]", record); a valid record is a dict.

    Raises:
        FileNotFoundError: the file does not exist.
        UnreadableFile: the file is empty, packed or of an unsupported format.
    """
    file = Path(path)
    if columns is None and holds_lines(file):
        yield from streamed_lines(file)
        return
    if (size := file.stat().st_size) > MAX_WHOLE_BYTES and not _is_parquet(file):
        raise UnreadableFile(
            f"{file.name} has {size:,} bytes, over {MAX_WHOLE_BYTES:,}: save it as JSON Lines or "
            "Parquet, which are read part by part"
        )
    content = b"PAR1" if _is_parquet(file) else file.read_bytes()
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
        yield from in_unicode(_of_text(text, file, fields, columns), text)


def _is_parquet(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(4) == b"PAR1"


def read_text(path: str | Path) -> str:
    """Return the text of a file in UTF-8, UTF-16 or UTF-32, with "\\n" at the end of each line.

    Raises:
        FileNotFoundError: the file does not exist.
        UnreadableFile: the file has another encoding; the message names its first such byte.
    """
    file = Path(path)
    text = _decoded(file.read_bytes(), str(file))
    try:
        text.encode()
    except UnicodeEncodeError as error:
        before, byte = text[: error.start], ord(text[error.start]) - 0xDC00
        raise UnreadableFile(
            f"{file}, line {before.count(chr(10)) + 1}: not UTF-8: byte 0x{byte:02x} after "
            f"{shown(before[-20:])}; save the file as UTF-8"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


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
    """Decode as text; bytes that are not UTF-8 become lone surrogates, which `_unicode` rejects."""
    encoding = json.detect_encoding(content)
    if encoding.startswith("utf-8"):
        start = content[:1024]
        if 20 * sum(byte < 9 for byte in start) > len(start):
            raise UnreadableFile(f"{name} is not text: it begins with {start[:16]!r}")
        return content.decode("utf-8-sig", errors="surrogateescape")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        reason = f"{error.reason} at byte {error.start}"
        raise UnreadableFile(
            f"{name} is not valid {encoding} ({reason}): save it as UTF-8"
        ) from None


def _parquet(file: Path) -> Iterator[Place]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        batches = pq.ParquetFile(file).iter_batches(batch_size=256)
        for n, record in enumerate(row for batch in batches for row in batch_rows(batch)):
            yield f"{file.name}[{n}]", without_nan(record)
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFile(f"{file.name} is not a valid Parquet file: {error}") from None


def without_nan(value: Any) -> Any:
    """Return a value of a row with None for each NaN, also within lists and objects."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, Mapping):
        return {name: without_nan(one) for name, one in value.items()}
    return [without_nan(one) for one in value] if isinstance(value, list) else value


def _literal(text: str, name: str) -> Any:
    """Return the one list or dict of literals that a Python file assigns, without running it."""
    try:
        found = [
            ast.literal_eval(node.value)
            for node in ast.parse(text).body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.List | ast.Dict)
        ]
    except (SyntaxError, ValueError, RecursionError) as error:
        raise UnreadableFile(f"{name} holds no list of literals ({error})") from None
    if len(found) != 1:
        raise UnreadableFile(f"{name} assigns {len(found)} lists: it must assign one, of records")
    return found[0]


def _pickled(content: bytes, name: str) -> Any:
    try:
        return plain_values(content)
    except ValueError as error:
        raise UnreadableFile(
            f"{name} is a pickle that is not read ({error}): loading a pickle may run code; if you "
            "trust the file, save its records as JSON or Parquet"
        ) from None

"""Parquet files that `datasets` opens with their images decoded, written a few rows at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

TEXT, NUMBER, WHOLE = pa.string(), pa.float64(), pa.int64()
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))

SHARD_BYTES = 500_000_000
"""Bytes of images and texts after which another file begins."""
GROUP_BYTES = 32_000_000
"""Bytes of images and texts that are held in memory before they are written."""
GROUP_ROWS = 100
"""Most rows of a row group, so that a reader of one row decodes few images."""


class Shards:
    """Writes rows into `<name>-00000.parquet`, `-00001`, ... of a folder.

    Args:
        kinds: column -> type; `IMAGE` is marked as datasets' feature Image.
    """

    def __init__(self, folder: Path, name: str, kinds: Mapping[str, pa.DataType]) -> None:
        self._folder, self._name = folder, name
        features = {column: _feature(kind) for column, kind in kinds.items()}
        about = {"huggingface": json.dumps({"info": {"features": features}})}
        self._schema = pa.schema(list(kinds.items()), metadata=about)
        self._rows: list[Mapping[str, Any]] = []
        self._held = self._written = self._number = 0
        self._writer: pq.ParquetWriter | None = None

    def add(self, record: Mapping[str, Any]) -> None:
        """Append a row; it is on disk after `close` at the latest."""
        self._rows.append(record)
        self._held += _size(record)
        full = self._written + self._held >= SHARD_BYTES
        if full or self._held >= GROUP_BYTES or len(self._rows) >= GROUP_ROWS:
            self._flush()
        if full:
            self._end_file()

    def close(self) -> None:
        """Write the last rows."""
        self._flush()
        self._end_file()

    def _flush(self) -> None:
        if not self._rows:
            return
        if self._writer is None:
            self._folder.mkdir(exist_ok=True)
            path = self._folder / f"{self._name}-{self._number:05d}.parquet"
            self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
            self._number += 1
        self._writer.write_table(pa.Table.from_pylist(self._rows, self._schema))
        self._written += self._held
        self._rows, self._held = [], 0

    def _end_file(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer, self._written = None, 0


def _feature(kind: pa.DataType) -> Any:
    """Return the type as datasets names it in a file's metadata."""
    if kind == IMAGE:
        return {"_type": "Image"}
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    if pa.types.is_struct(kind):
        return {kind.field(i).name: _feature(kind.field(i).type) for i in range(kind.num_fields)}
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind)), "_type": "Value"}


def _size(value: Any) -> int:
    """Return about how many bytes a row takes in memory."""
    if isinstance(value, bytes | str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(_size, value.values()))
    return sum(map(_size, value)) if isinstance(value, list) else 8

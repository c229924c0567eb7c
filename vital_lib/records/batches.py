"""Rows of Arrow's record batches as Python values, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from vital_lib.records.check import InvalidRecord

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 16  # a row may hold an image of some megabytes
# Beyond Python: two fields of one name, a year after 9999, an unknown time zone, broken UTF-8.
_NO_VALUE = (ValueError, OverflowError, LookupError)


def batch_rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | InvalidRecord]:
    """Yield each row of a batch; one with a value that Python cannot hold is an `InvalidRecord`."""
    for start in range(0, batch.num_rows, _ROWS):
        part = batch.slice(start, _ROWS)
        try:
            rows: list[Any] = part.to_pylist()
        except _NO_VALUE:
            rows = [_row(part.slice(place, 1)) for place in range(part.num_rows)]
        yield from rows


def _row(one: pa.RecordBatch) -> dict[str, Any] | InvalidRecord:
    try:
        return one.to_pylist()[0]
    except _NO_VALUE as error:
        return InvalidRecord("record", f"a value cannot be read: {error}")

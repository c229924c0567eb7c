"""Converts between DataFrames and arrow tables; an error names the column and the value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from vital_lib.tables.columns import TABLES, declared, type_name

_DTYPES = {"double": "float64", "bool": "boolean"}  # for columns that may be all null
_NULL_DTYPES = _DTYPES | {"int64": "Int64"}  # pandas' own int64 has no null


class SchemaError(ValueError):
    """A frame that does not match its table's declaration; the message has column and value."""


def empty_frame(name: str) -> pd.DataFrame:
    """Return a frame with the declared columns of table `name` and no rows."""
    return to_frame(declared(name).schema.empty_table())


def frame_of(name: str, rows: Sequence[Any] | pd.DataFrame) -> pd.DataFrame:
    """Return `rows` as a frame of table `name`, with the types of a frame read from disk.

    Args:
        rows: mappings, tuples in the declared order, or a frame; other columns are dropped.
    """
    if not len(rows):
        return empty_frame(name)
    frame = pd.DataFrame(rows, columns=declared(name).columns)
    kinds = {field.name: _dtype(field) for field in declared(name).schema}
    return frame.astype({column: kind for column, kind in kinds.items() if kind})


def with_null_columns(rows: pa.Table, names: Sequence[str], schema: pa.Schema) -> pa.Table:
    """Add the columns `names` of `schema` to `rows`, all null."""
    for name in names:
        rows = rows.append_column(schema.field(name), pa.nulls(len(rows), schema.field(name).type))
    return rows


def _dtype(field: pa.Field) -> str | None:
    return (_NULL_DTYPES if field.nullable else _DTYPES).get(str(field.type))


def conform(name: str, frame: pd.DataFrame) -> pa.Table:
    """Convert `frame` to an arrow table with the declared schema of table `name`.

    Raises:
        SchemaError: a column is missing or unknown, or a value has another type.
    """
    schema = TABLES[name].schema
    missing = [column for column in schema.names if column not in frame.columns]
    unknown = [column for column in frame.columns if column not in schema.names]
    if missing or unknown:
        raise SchemaError(f"table {name!r}: missing columns {missing}, unknown {unknown}")
    columns = {column: [_plain(value) for value in frame[column]] for column in schema.names}
    return pa.table([_array(name, field, columns[field.name]) for field in schema], schema=schema)


def _array(name: str, field: pa.Field, values: list) -> pa.Array:
    if not field.nullable and any(value is None for value in values):
        row = next(i for i, value in enumerate(values) if value is None)
        raise SchemaError(f"table {name!r}, column {field.name!r}, row {row}: the value is missing")
    for row, value in enumerate(values):
        if value is not None and not _fits(value, field.type):
            raise SchemaError(
                f"table {name!r}, column {field.name!r}, row {row}: {value!r} "
                f"is not of type {type_name(field.type)}"
            )
    return pa.array(values, type=field.type)


def _fits(value: Any, kind: pa.DataType) -> bool:
    """Return whether `value` has exactly this type; arrow would cut 0.5 to 0 and drop keys."""
    if pa.types.is_list(kind):
        return isinstance(value, list) and all(_fits(item, kind.value_type) for item in value)
    if pa.types.is_struct(kind):
        fields = {kind.field(place).name: kind.field(place).type for place in range(len(kind))}
        if not isinstance(value, dict) or set(value) != set(fields):
            return False
        return all(value[key] is None or _fits(value[key], fields[key]) for key in fields)
    if pa.types.is_boolean(kind):
        return isinstance(value, bool)
    accepted = {"string": str, "int64": int, "double": int | float}[str(kind)]
    return isinstance(value, accepted) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    """Return a pandas or numpy cell as a plain Python value, with None for NaN and NA."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value):
        return None
    return value


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Convert an arrow table to a DataFrame; list columns hold Python lists, bool is nullable."""
    columns = {}
    for field in table.schema:
        values = table.column(field.name)
        if pa.types.is_list(field.type):
            columns[field.name] = pd.Series(values.to_pylist(), dtype=object)
        elif pa.types.is_boolean(field.type) or _dtype(field) == "Int64":
            columns[field.name] = pd.Series(values.to_pylist(), dtype=_dtype(field))
        else:
            columns[field.name] = values.to_pandas()
    return pd.DataFrame(columns)

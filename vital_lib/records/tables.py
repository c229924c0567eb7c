"""Records in a table of text: CSV, or cells between tabs or semicolons, with or without names."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any

from vital_lib.records.check import InvalidRecord, shown

_MISSING = ("", "nan", "NaN")
_LONGEST_CELL = 2**31 - 1


def table_records(
    text: str, name: str, columns: Collection[str] | None = None
) -> Iterator[tuple[str, Any]]:
    """Each row as a dict of texts, None where a cell is empty or a written NaN.

    A row with too many or too few cells, or with a quotation that is never closed, is an
    `InvalidRecord`; reading goes on at the next line.
    """
    csv.field_size_limit(_LONGEST_CELL)
    lines = list(io.StringIO(text, newline=""))
    how: dict[str, Any] = {"strict": True}
    at = 0
    if columns:
        how |= {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
        names = list(columns)
    else:
        while not lines[at].strip() or lines[at].startswith("sep="):  # as Excel writes it
            at += 1
        how["delimiter"] = max(",;\t", key=lines[at].count)
        names, used = _row(lines, at, how)
        if isinstance(names, csv.Error):
            yield f"{name}:{at + 1}", InvalidRecord("record", f"no line of names ({names})")
            return
        names, at = [cell.strip() for cell in names], at + used
    while at < len(lines):
        cells, used = _row(lines, at, how)
        broken = isinstance(cells, csv.Error) or len(cells) != len(names)
        if not isinstance(cells, csv.Error) and not any(map(str.strip, cells)):  # a blank row
            at += used
            continue
        place = f"{name}:{at + 1}"
        if broken:
            received = cells if isinstance(cells, csv.Error) else f"{len(cells)}"
            line = shown(lines[at].strip()[:80])
            yield (
                place,
                InvalidRecord("record", f"wanted {len(names)} cells, received {received}: {line}"),
            )
            at += 1
            continue
        yield (
            place,
            {
                key: None if cell.strip() in _MISSING else cell
                for key, cell in zip(names, cells, strict=True)
                if key
            },
        )
        at += used


def _row(lines: list[str], at: int, how: dict[str, Any]) -> tuple[list[str] | csv.Error, int]:
    """The cells of the row that begins in line `at`, or the error, and how many lines it takes."""
    reader = csv.reader(islice(lines, at, None), **how)
    try:
        return next(reader), reader.line_num
    except csv.Error as error:
        return error, reader.line_num

"""Read records from a text table: cells between commas, tabs or semicolons, header optional."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any

from vital_lib.records.check import InvalidRecord, shown

_MISSING = ("", "nan", "NaN")
_FORMULA = re.compile(r"'+[=+\-@\t\r\n]")  # as `vital_lib.tables.csv_text` writes it
_LONGEST_CELL = 2**31 - 1


def table_records(
    text: str, name: str, columns: Collection[str] | None = None
) -> Iterator[tuple[str, Any]]:
    """Yield each row as a dict of texts; an empty cell or a written NaN is None.

    A row with too many or too few cells, or with an unclosed quotation, is an `InvalidRecord`;
    reading continues at the next line.
    """
    csv.field_size_limit(_LONGEST_CELL)
    lines = list(io.StringIO(text, newline=""))
    dialect: dict[str, Any] = {"strict": True}
    at = 0
    if columns:
        dialect |= {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
        names = list(columns)
    else:
        while not lines[at].strip() or lines[at].startswith("sep="):  # Excel's separator line
            at += 1
        dialect["delimiter"] = max(",;\t", key=lines[at].count)
        names, used = _row(lines, at, dialect)
        if isinstance(names, csv.Error):
            yield f"{name}:{at + 1}", InvalidRecord("record", f"no header line ({names})")
            return
        names, at = [_plain(cell.strip()) for cell in names], at + used
    while at < len(lines):
        cells, used = _row(lines, at, dialect)
        place = f"{name}:{at + 1}"
        blank = isinstance(cells, list) and not any(map(str.strip, cells))
        if isinstance(cells, csv.Error) or not blank and len(cells) != len(names):
            received = cells if isinstance(cells, csv.Error) else len(cells)
            line = shown(lines[at].strip()[:80])
            wrong = f"wanted {len(names)} cells, received {received}: {line}"
            yield place, InvalidRecord("record", wrong)
            at += 1
            continue
        if not blank:
            known = (None if cell.strip() in _MISSING else _plain(cell) for cell in cells)
            yield place, {key: cell for key, cell in zip(names, known, strict=True) if key}
        at += used


def _plain(cell: str) -> str:
    """Return a cell without the apostrophe that makes it harmless in a spreadsheet."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _row(lines: list[str], at: int, dialect: dict[str, Any]) -> tuple[list[str] | csv.Error, int]:
    """Return the cells of the row at line `at`, or the error, and the row's number of lines."""
    reader = csv.reader(islice(lines, at, None), **dialect)
    try:
        return next(reader), reader.line_num
    except csv.Error as error:
        return error, reader.line_num

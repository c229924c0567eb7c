"""Atomic file writes, one writer in a folder, and write-ahead logging for SQLite files."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import tenacity
from filelock import FileLock, Timeout
from pandas.api.types import is_numeric_dtype
from pydantic_core import to_json

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")  # as a cell begins that a spreadsheet would run


class FolderInUse(RuntimeError):
    """Raised if another process is writing into the same folder."""


def write_atomically(path: Path, write: Callable[[Path], object], *, mode: int = 0o644) -> None:
    """Call `write` on a temporary file next to `path`, flush it, and rename it to `path`.

    Only the owner can read the temporary file; `mode` holds from the renaming on.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    os.close(handle)
    try:
        write(Path(temporary))
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write `text` as UTF-8, as `write_atomically` does."""
    write_atomically(path, lambda temporary: temporary.write_text(text, "utf-8"), mode=mode)


def of_parquet(read: Callable[[Path], Any], path: Path) -> Any:
    """Return what `read` gives for a table's file.

    Raises:
        ValueError: the file is damaged; the message names it.
    """
    try:
        return read(path)
    except pa.ArrowInvalid as error:
        way_out = "restore it from a copy, or run the notebook again that writes it"
        raise ValueError(f"{path} is damaged ({error}): {way_out}") from error


def write_rows(rows: pd.DataFrame, path: str | Path) -> int:
    """Write `rows` as JSON Lines or CSV, by the ending of `path`, and return their number.

    A list in a CSV cell is JSON text, and every number is written with all its digits. The file is
    written atomically.

    Raises:
        ValueError: `path` ends neither in .jsonl nor in .csv.
    """
    path = Path(path)
    if path.suffix == ".jsonl":
        # pandas' own to_json rounds to a number of decimals: 1e-12 becomes 0.0.
        given = rows.astype(object).where(rows.notna(), None).to_dict("records")
        text = "".join(f"{_as_json(row)}\n" for row in given)
    elif path.suffix == ".csv":
        text = csv_text(rows)
    else:
        raise ValueError(f"{path.name!r}: give a name that ends in .jsonl or .csv")
    write_text(path, text)
    return len(rows)


def csv_text(rows: pd.DataFrame) -> str:
    """Return `rows` as CSV that is harmless in a spreadsheet: no cell begins a formula.

    A text that begins with =, +, -, @, a tab or a line's end gets an apostrophe before it, which
    `vital_lib.records.read_records` removes. A list is JSON text.
    """
    texts = [name for name in rows if not is_numeric_dtype(rows[name])]
    safe = rows.assign(**{name: rows[name].map(_as_cell) for name in texts})
    return safe.rename(columns=_as_cell).to_csv(index=False)


@contextmanager
def alone_in(folder: Path, doing: str) -> Generator[None]:
    """Hold a lock on a folder, which ends with the process at the latest.

    Args:
        doing: what the holder does, such as "tuning into".

    Raises:
        FolderInUse: another holds it.
        NotADirectoryError: the folder, or one above it, is a file.
        OSError: nothing can be written beside the folder.
    """
    folder = folder.resolve()
    above = next(path for path in (folder, *folder.parents) if path.exists())
    if not above.is_dir():
        raise NotADirectoryError(f"{above} is a file, so nothing can be written to {folder}")
    lock = FileLock(folder.parent / f".{folder.name}.lock", timeout=0)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise FolderInUse(
            f"another process is {doing} {folder}: wait for it, stop it, or give another folder"
        ) from None
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def unwritable(folder: Path, error: OSError) -> OSError:
    """Return the error, of the same class, that says in one line that `folder` is not written."""
    why = os.strerror(error.errno) if error.errno else error
    way_out = "Give another folder, or mend that and run again"
    return OSError(error.errno, f"{folder} cannot be written: {why}. {way_out}")


def _as_json(row: dict[Any, Any]) -> str:
    return to_json(row, inf_nan_mode="null", fallback=lambda value: value.tolist()).decode()


def _as_cell(value: Any) -> Any:
    listed = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(listed, list):
        return json.dumps(listed, ensure_ascii=False)
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def _is_locked(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)


# While another connection opens a new file, SQLite refuses this at once, without its timeout.
@tenacity.retry(
    retry=tenacity.retry_if_exception(_is_locked),
    wait=tenacity.wait_random(0, 0.05),
    stop=tenacity.stop_after_delay(60),
    reraise=True,
)
def log_ahead(connection: Any) -> str:
    """Switch SQLite to a write-ahead log and return the resulting journal mode, "wal" if it can."""
    return connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]

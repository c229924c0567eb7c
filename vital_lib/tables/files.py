"""Atomic file writes, and write-ahead logging for SQLite files with concurrent users."""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import tenacity


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


def write_rows(rows: pd.DataFrame, path: str | Path) -> int:
    """Write `rows` as JSON Lines or CSV, by the ending of `path`, and return their number.

    A list in a CSV cell is JSON text. The file is written atomically.

    Raises:
        ValueError: `path` ends neither in .jsonl nor in .csv.
    """
    path = Path(path)
    if path.suffix == ".jsonl":
        text = rows.to_json(orient="records", lines=True, force_ascii=False)
    elif path.suffix == ".csv":
        lists = {name: rows[name].map(_as_json) for name in rows if rows[name].dtype == object}
        text = rows.assign(**lists).to_csv(index=False)
    else:
        raise ValueError(f"{path.name!r}: give a name that ends in .jsonl or .csv")
    write_text(path, text)
    return len(rows)


def _as_json(value: Any) -> Any:
    listed = value.tolist() if hasattr(value, "tolist") else value
    return json.dumps(listed, ensure_ascii=False) if isinstance(listed, list) else value


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

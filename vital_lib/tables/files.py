"""Atomic file writes, and write-ahead logging for SQLite files with concurrent users."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

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

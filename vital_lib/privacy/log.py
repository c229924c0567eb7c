"""The log of clearances: who decided what about which figure, when and why. Append-only.

A decision is about bytes: the hash of the image file and the hash of the texts. It does not hold
for another file or other texts under the same figure_id. The log holds no text of a figure, only
places: boxes in the image, and where texts begin and end.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

COLUMNS = (
    *("at", "person", "figure_id", "sha256", "text_sha256", "cleared", "reason"),
    *("boxes", "spans", "redacted_sha256"),
)
"""`boxes`: [x, y, width, height] in pixels as shown; `spans`: [place, begin, end] of removed text;
`redacted_sha256`: hash of the file without the boxes, null without boxes."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS clearances (
    number INTEGER PRIMARY KEY, at TEXT NOT NULL, person TEXT NOT NULL, figure_id TEXT NOT NULL,
    sha256 TEXT NOT NULL, text_sha256 TEXT NOT NULL, cleared INTEGER NOT NULL, reason TEXT NOT NULL,
    boxes TEXT NOT NULL, spans TEXT NOT NULL, redacted_sha256 TEXT
);
CREATE TRIGGER IF NOT EXISTS never_changed BEFORE UPDATE ON clearances
    BEGIN SELECT RAISE(ABORT, 'the log of clearances is append-only'); END;
CREATE TRIGGER IF NOT EXISTS never_deleted BEFORE DELETE ON clearances
    BEGIN SELECT RAISE(ABORT, 'the log of clearances is append-only'); END;
"""


class DamagedLog(ValueError):
    """The log of clearances cannot be read, so that nobody knows what was decided."""


class Decision(NamedTuple):
    """A decision about a figure; fields as in `COLUMNS`."""

    person: str
    figure_id: str
    sha256: str
    text_sha256: str
    cleared: bool
    reason: str
    boxes: Sequence[Sequence[int]] = ()
    spans: Sequence[Sequence[Any]] = ()
    redacted_sha256: str | None = None


class ClearanceLog:
    """The log of a run, `clearances.sqlite` in its folder; safe to use from several threads.

    Args:
        run: the run's folder.
    """

    def __init__(self, run: str | PathLike[str]) -> None:
        self.path = Path(run) / "clearances.sqlite"

    def record(self, decision: Decision) -> None:
        """Append a decision; it is on disk when this returns.

        Raises:
            DamagedLog: the file cannot be read.
        """
        at = datetime.now(UTC).isoformat(timespec="seconds")
        row = (
            *(at, decision.person.strip(), decision.figure_id, decision.sha256),
            *(decision.text_sha256, int(decision.cleared), decision.reason.strip()),
            *(json.dumps(decision.boxes), json.dumps(decision.spans), decision.redacted_sha256),
        )
        places = ", ".join("?" * len(COLUMNS))
        with self._readable(), closing(self._open()) as log, log:
            log.execute(f"INSERT INTO clearances ({', '.join(COLUMNS)}) VALUES ({places})", row)

    def decisions(self) -> pd.DataFrame:
        """Return all decisions, oldest first: `COLUMNS`, with boxes and spans as lists.

        Raises:
            DamagedLog: the file cannot be read.
        """
        rows: list[tuple] = []
        with self._readable():
            if self.path.exists():
                with closing(self._open()) as log:
                    rows = log.execute(
                        f"SELECT {', '.join(COLUMNS)} FROM clearances ORDER BY number"
                    ).fetchall()
            frame = pd.DataFrame(rows, columns=list(COLUMNS))
            lists = {name: frame[name].map(_listed) for name in ("boxes", "spans")}
        # Only what `record` writes for a cleared figure clears one.
        frame["cleared"] = frame["cleared"].map(lambda value: value == 1).astype(bool)
        redacted = frame["redacted_sha256"].astype(object)
        return frame.assign(**lists, redacted_sha256=redacted.where(redacted.notna(), None))

    @contextmanager
    def _readable(self) -> Generator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, ValueError, TypeError) as error:
            raise self.damaged(f"cannot be used ({error})") from None

    def damaged(self, what: str) -> DamagedLog:
        """Return the error that says what is wrong with the log, and the way out."""
        return DamagedLog(
            f"{self.path} {what}: put a copy of it back, or move it and figures.parquet away and "
            "decide again; until then nobody knows what was decided"
        )

    def _open(self) -> sqlite3.Connection:
        log = sqlite3.connect(self.path, timeout=30)
        log.execute("PRAGMA synchronous = FULL")
        log.executescript(_SCHEMA)
        return log


def _listed(text: str) -> list[Any]:
    """Return a list from its JSON text; raise ValueError for anything else."""
    found = json.loads(text)
    if not isinstance(found, list):
        raise ValueError(f"wanted a list, received {found!r}")
    return found


def text_hash(row: Mapping[str, Any]) -> str:
    """Return the hash of a figure's caption and mentions."""
    texts = [row["caption"], *row["mentions"]]
    return sha256(json.dumps(texts, ensure_ascii=False).encode(errors="surrogatepass")).hexdigest()

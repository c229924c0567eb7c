"""``Workspace``: the only reader and writer of a run's tables and metrics."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from numbers import Real
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import pyarrow.parquet as pq

from vital_lib.tables.columns import FORMAT_VERSION, TABLES, declared
from vital_lib.tables.frames import conform, to_frame


class MissingTable(FileNotFoundError):
    """A table that no notebook has written yet; the message names the notebook to run."""


class OtherFormat(RuntimeError):
    """A run folder whose format version this release can neither read nor convert."""


class Workspace:
    """One run's folder: tables, metrics, and the places of its logs, models and images.

    Args:
        path: the run's folder, made if it is not there.

    Raises:
        OtherFormat: the folder was written by a release with another format version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self._check_format()

    def __repr__(self) -> str:
        return f"Workspace({str(self.path)!r})"

    @property
    def label_url(self) -> str:
        """SQLAlchemy URL of the run's own label log."""
        return "sqlite:///" + quote(str(self.path / "labels.sqlite"), safe=" +/")

    @property
    def ledger(self) -> Path:
        """The log of model requests and replies."""
        return self.path / "ledger.sqlite"

    @property
    def features(self) -> Path:
        """The cache of encoded images and texts."""
        return self.path / "features.sqlite"

    def model(self, name: str) -> Path:
        """Folder of the trained model `name`."""
        return self.path / "models" / name

    def resolve(self, image: str) -> Path:
        """The file behind an `image` column: relative to the run folder, or absolute."""
        return self.path / image

    def has(self, name: str) -> bool:
        """Whether table `name` has been written."""
        declared(name)
        return self._file(name).exists()

    def read(self, name: str) -> pd.DataFrame:
        """Table `name` as a DataFrame; list columns hold Python lists.

        Raises:
            MissingTable: it has not been written; the message names the notebook that writes it.
            OtherFormat: another release wrote it, with other columns.
        """
        table = declared(name)
        if not self.has(name):
            raise MissingTable(
                f"no table {name!r} in {self.path}: run notebooks/{table.written_by}.ipynb first"
            )
        rows = pq.ParquetFile(self._file(name)).read()
        lost = [column for column in table.columns if column not in rows.column_names]
        if lost:
            raise OtherFormat(
                f"table {name!r} in {self.path} was written by another release, without "
                f"{', '.join(lost)}: run notebooks/{table.written_by}.ipynb again"
            )
        return to_frame(rows)

    def write(
        self,
        name: str,
        frame: pd.DataFrame,
        *,
        made_from: Iterable[str] = (),
        parameters: Mapping[str, Any] | None = None,
    ) -> int:
        """Write table `name` whole (temporary file, then rename) and return its number of rows.

        Args:
            frame: exactly the declared columns, in any order.
            made_from: names of the tables it was made from; their fingerprints are kept.
            parameters: what else decided its content, as JSON values.

        Raises:
            WrongTable: a column is missing, unknown, or holds a value of another type.
        """
        declared(name)
        rows = conform(name, frame)
        origin = {
            "table": name,
            "format_version": FORMAT_VERSION,
            "made_from": {source: self.fingerprint(source) for source in made_from},
            "parameters": dict(parameters or {}),
            "versions": _versions(),
        }
        metadata = {b"vital": json.dumps(origin, sort_keys=True).encode()}
        rows = rows.replace_schema_metadata(metadata)
        write_whole(self._file(name), lambda path: pq.write_table(rows, path, compression="zstd"))
        return rows.num_rows

    def origin(self, name: str) -> dict[str, Any]:
        """What table `name` was made from: inputs' fingerprints, parameters, versions."""
        if not self.has(name):
            self.read(name)
        return json.loads(pq.read_schema(self._file(name)).metadata[b"vital"])

    def fingerprint(self, name: str) -> str:
        """SHA-256 of table `name`'s file; the same rows made the same way give the same one."""
        if not self.has(name):
            self.read(name)
        return hashlib.sha256(self._file(name).read_bytes()).hexdigest()

    def state(self) -> pd.DataFrame:
        """Columns table, rows (null where not yet written), written_by; one row per table."""
        rows = [
            (name, pq.read_metadata(self._file(name)).num_rows if self.has(name) else None)
            for name in TABLES
        ]
        frame = pd.DataFrame(rows, columns=["table", "rows"]).astype({"rows": "Int64"})
        return frame.assign(written_by=[table.written_by for table in TABLES.values()])

    @property
    def metrics(self) -> dict[str, float]:
        """The flat `metrics.json`, `stage.figure: number`; empty before the first is recorded."""
        path = self.path / "metrics.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def record(self, metrics: Mapping[str, float], *, anew: str | None = None) -> dict[str, float]:
        """Add `metrics` to `metrics.json` and return what was added.

        Args:
            anew: a stage, such as "evaluation", whose older metrics are dropped: what it measured
                under other names, of other models or questions, does not stand beside the new.

        Raises:
            ValueError: a name without a stage, or a value that is not a number.
        """
        for name, value in metrics.items():
            number = isinstance(value, Real) and not isinstance(value, bool)
            if "." not in name or not number or not math.isfinite(value):
                raise ValueError(f"metric {name!r}: {value!r}; wanted 'stage.figure': number")
        added = {name: _json_number(value) for name, value in metrics.items()}
        kept = {
            name: value
            for name, value in self.metrics.items()
            if anew is None or not name.startswith(f"{anew}.")
        }
        merged = json.dumps({**kept, **added}, indent=1, sort_keys=True)
        write_whole(self.path / "metrics.json", lambda path: path.write_text(merged + "\n"))
        return added

    def _file(self, name: str) -> Path:
        return self.path / f"{name}.parquet"

    def _check_format(self) -> None:
        marker = self.path / "run.json"
        if not marker.exists():
            text = json.dumps({"format_version": FORMAT_VERSION}) + "\n"
            write_whole(marker, lambda path: path.write_text(text))
            return
        found = json.loads(marker.read_text()).get("format_version")
        if found != FORMAT_VERSION:
            raise OtherFormat(
                f"{self.path} has format version {found!r}, this release reads {FORMAT_VERSION}: "
                "open it with the release that wrote it, or start a new run folder from notebook 01"
            )


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write(temporary_path)` beside `path`, flush to disk, and rename over `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    os.close(handle)
    try:
        write(Path(temporary))
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _versions() -> dict[str, str]:
    found = {}
    for package in ("vital-workbench", "pandas", "torch", "transformers", "openai"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _json_number(value: float) -> float | int:
    return value.item() if hasattr(value, "item") else value

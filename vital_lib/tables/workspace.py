"""``Workspace``: reads and writes all tables and metrics of a run."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import pyarrow.parquet as pq

from vital_lib.tables.columns import FORMAT_VERSION, TABLES, Table, declared
from vital_lib.tables.files import of_parquet, write_atomically, write_text
from vital_lib.tables.frames import conform, to_frame, with_null_columns
from vital_lib.tables.measured import add_metrics, checked, read_metrics, read_origins
from vital_lib.tables.origins import UNKNOWN, Origin, Standing, VotesRead, in_words, settings_of
from vital_lib.tables.refused import DECISIONS, as_refused

_MODELS = "models/"
"""Prefix of an input's name if it is a model, such as models/selected, not a table."""
_END_BYTES = 2**20
"""Number of bytes at each end of a weights file that are part of its fingerprint."""


class MissingTable(FileNotFoundError):
    """A table that no notebook has written yet; the message names the first notebook to run."""

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows: the message alone, since no code is at fault."""
        return [f"{type(self).__name__}: {self}"]


class UnsupportedFormat(RuntimeError):
    """A run folder whose format version this release can neither read nor convert."""


class Workspace:
    """The folder of a run: its tables and metrics, and the paths of its logs, models and images.

    Args:
        path: the run's folder, created if it does not exist.

    Raises:
        UnsupportedFormat: the folder has the format version of another release.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._recorded_by: set[str] = set()
        if self.path.is_file():
            raise NotADirectoryError(
                f"{self.path} is a file: give the folder of a run or a new one"
            )
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
        """The folder with the cache of encoded images and texts."""
        return self.path / "features"

    def model(self, name: str) -> Path:
        """Folder of the trained model `name`."""
        return self.path / "models" / name

    def has(self, name: str) -> bool:
        """Whether the table `name`, or the model "models/<name>", exists.

        A model whose save was interrupted does not exist: either file may be the last to be saved.
        """
        file = self._file(name)
        metrics = [file.with_name("metrics.json")] if name.startswith(_MODELS) else []
        return all(path.exists() for path in (file, *metrics))

    def read(self, name: str) -> pd.DataFrame:
        """Read table `name` as a DataFrame; list columns hold Python lists.

        A column `image` holds absolute paths. The file holds paths relative to the run folder for
        images in it, so that the folder can be moved. A column that a table of an earlier release
        lacks is null, if it was declared as later. What a person refused since the table was
        written is not cleared.

        Raises:
            MissingTable: the table does not exist; the message names the notebook that writes it.
            UnsupportedFormat: another release wrote the table with other columns.
        ValueError: the file is damaged.
        """
        table = declared(name)
        if not self.has(name):
            raise MissingTable(f"no table {name!r} in {self.path}: {self._to_run(table)}")
        rows = of_parquet(lambda file: pq.ParquetFile(file).read(), self._file(name))
        lost = [column for column in table.columns if column not in rows.column_names]
        if not set(lost) - set(table.later):
            rows = with_null_columns(rows, lost, table.schema)
        elif lost:
            raise UnsupportedFormat(
                f"table {name!r} in {self.path} was written by another release, without "
                f"{', '.join(lost)}: run notebooks/{table.written_by}.ipynb again"
            )
        frame = _with_images(to_frame(rows), self._absolute)
        return as_refused(name, frame, self.path, self._stored(name))

    def write(
        self,
        name: str,
        frame: pd.DataFrame,
        *,
        made_from: Iterable[str | VotesRead] = (),
        parameters: Mapping[str, Any] | None = None,
    ) -> int:
        """Write table `name` atomically and return its number of rows.

        Args:
            frame: exactly the declared columns, in any order; paths of images as in `read`.
            made_from: the inputs, whose fingerprints are stored: names of tables, models as
                "models/<name>", votes of the label log as `labels.votes_read`.
            parameters: the parameters that decide the content, as JSON values; paths become text.

        Raises:
            SchemaError: a column is missing or unknown, or holds a value of another type.
            MissingTable: an input does not exist.
        """
        rows = conform(name, _with_images(frame, self._relative))
        origin = {"table": name, **self._made(declared(name).written_by, made_from, parameters)}
        if DECISIONS in frame.attrs:
            origin[DECISIONS] = frame.attrs[DECISIONS]
        rows = rows.replace_schema_metadata({b"vital": _as_json(origin).encode()})
        write_atomically(
            self._file(name), lambda path: pq.write_table(rows, path, compression="zstd")
        )
        return rows.num_rows

    def keep_origin(
        self,
        model: str,
        *,
        written_by: str,
        made_from: Iterable[str] = (),
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        """Store the origin of a trained model, which another module saved, in the model's folder.

        Args:
            model: the model's name, as in `Workspace.model`.
            written_by: the notebook that trains it, such as "08_tune_model".
            made_from, parameters: as in `write`.

        Raises:
            MissingTable: the model or one of its inputs does not exist.
        """
        made = self._made(written_by, made_from, parameters)
        origin = {"model": model, "fingerprint": self.fingerprint(_MODELS + model), **made}
        write_text(self.model(model) / "origin.json", _as_json(origin))

    def origin(self, name: str) -> dict[str, Any]:
        """Return the origin of the table `name` or the model "models/<name>".

        Keys: made_from (input -> fingerprint), parameters, settings (its parameters and those of
        its inputs that identify what was measured), written_by, versions, and votes (how to read
        the votes among the inputs again). Empty for a model that was trained again after its origin
        was stored.
        """
        self._need(name)
        if name.startswith(_MODELS):
            file = self.path / name / "origin.json"
            found = json.loads(file.read_text()) if file.is_file() else {}
            return found if found.get("fingerprint") == self.fingerprint(name) else {}
        if not isinstance(origin := self._stored(name), dict):
            raise UnsupportedFormat(
                f"table {name!r} in {self.path} was not written by the workbench: run notebooks/"
                f"{declared(name).written_by}.ipynb again"
            )
        return origin

    def fingerprint(self, name: str) -> str:
        """Return the SHA-256 of a table's file; equal rows with an equal origin have the same.

        For a model, "models/<name>", it covers the config and the sizes and ends of the weights.
        """
        self._need(name)
        file = self._file(name)
        digest = hashlib.sha256(file.read_bytes())
        if name.startswith(_MODELS):
            for weights in sorted(file.parent.glob("*.safetensors")):
                digest.update(f"{weights.name} {weights.stat().st_size}".encode())
                with open(weights, "rb") as opened:  # reading billions of weights takes minutes
                    digest.update(opened.read(_END_BYTES))
                    opened.seek(max(0, weights.stat().st_size - _END_BYTES))
                    digest.update(opened.read())
        return digest.hexdigest()

    def state(self) -> pd.DataFrame:
        """Return one row per table: table, rows (null before it is written), written_by, stale.

        `stale` names the newer input and the notebook to run; it is empty if there is none.
        """
        standing = self._standing()
        rows = [
            (
                name,
                of_parquet(pq.read_metadata, self._file(name)).num_rows if self.has(name) else None,
                table.written_by,
                standing.stale(self.origin(name)) or "" if self.has(name) else "",
            )
            for name, table in TABLES.items()
        ]
        columns = ["table", "rows", "written_by", "stale"]
        return pd.DataFrame(rows, columns=columns).astype({"rows": "Int64"})

    @property
    def metrics(self) -> dict[str, float]:
        """The flat `metrics.json` of `stage.figure: number`; empty before the first is recorded."""
        return read_metrics(self.path)

    def metric_origins(self) -> pd.DataFrame:
        """Return one row per metric: metric, written_by, measured_on, stale; in order of `metrics`.

        `measured_on` names the figure set, models, judges and benchmark of the metric. `stale` is
        as in `state`; it also reports a metric without a stored origin.
        """
        standing = self._standing()
        by_metric: dict[str, tuple[str, str, str]] = {}
        for origin in read_origins(self.path):
            stale = standing.stale(origin) or ""
            values = origin["written_by"], in_words(origin["settings"]), stale
            by_metric |= dict.fromkeys(origin["metrics"], values)
        rows = [(name, *by_metric.get(name, ("", "", UNKNOWN))) for name in self.metrics]
        return pd.DataFrame(rows, columns=["metric", "written_by", "measured_on", "stale"])

    def record(
        self,
        metrics: Mapping[str, float],
        *,
        written_by: str = "",
        made_from: Iterable[str | VotesRead] = (),
        parameters: Mapping[str, Any] | None = None,
    ) -> dict[str, float]:
        """Add `metrics` to `metrics.json` and return what was added.

        The notebook's earlier metrics are deleted: all of them at its first call on this
        `Workspace`, later those measured on another input or with another parameter. Several cells
        of a notebook may therefore record, and metrics of different settings are never mixed.

        Args:
            written_by: the notebook that measured them, such as "09_evaluate_model". Without it,
                their origin is shown as unknown.
            made_from: the tables, models ("models/<name>") and votes (`labels.votes_read`) that
                they were measured on.
            parameters: the parameters of the measurement, as JSON values.

        Raises:
            ValueError: a name has no stage, or a value is not a finite number.
            MissingTable: an input does not exist.
        """
        added, origin = checked(metrics), self._made(written_by, made_from, parameters)
        add_metrics(self.path, added, origin, first=written_by not in self._recorded_by)
        self._recorded_by.add(written_by)
        return added

    def _stored(self, name: str) -> Any:
        metadata = of_parquet(pq.read_schema, self._file(name)).metadata or {}
        return json.loads(metadata.get(b"vital", b"null"))

    def _made(
        self,
        written_by: str,
        made_from: Iterable[str | VotesRead],
        parameters: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        """Return an origin with the present fingerprints of the inputs; votes keep their own."""
        given, own = list(made_from), json.loads(json.dumps(parameters or {}, default=str))
        votes = [item for item in given if isinstance(item, VotesRead)]
        inputs = [name for name in given if not isinstance(name, VotesRead)]
        made = {name: self.fingerprint(name) for name in inputs}
        return {
            "format_version": FORMAT_VERSION,
            "made_from": made | {read.name: read.fingerprint for read in votes},
            "parameters": own,
            "settings": settings_of(own, map(self.origin, inputs)),
            "versions": _versions(),
            "votes": {read.name: json.loads(_as_json(read.how)) for read in votes},
            "written_by": written_by,
        }

    def _standing(self) -> Standing:
        def fingerprint(name: str, votes: Mapping[str, Any] | None) -> str | None:
            if votes is not None:
                return self._votes_now(votes)
            return self.fingerprint(name) if self.has(name) else None

        def origin(name: str) -> Origin:
            return self.origin(name) if self.has(name) else {}

        return Standing(fingerprint, origin)

    def _votes_now(self, how: Mapping[str, Any]) -> str | None:
        """Return the fingerprint of the votes now in the label log; None without their items."""
        from vital_lib.labels.reading import votes_now  # a package above this one

        url, items = how["label_log"] or self.label_url, how["items"]
        if items is None:
            if not self.has(how["on"]):
                return None
            items = list(self.read(how["on"])["instruction_id"].unique())
        return votes_now(url, how["annotators"], items)

    def _absolute(self, image: str) -> str:
        return os.path.join(self.path.resolve(), image)

    def _relative(self, image: Any) -> Any:
        """Return the path of an image in the run folder relative to it, and another path as is."""
        for folder in (self.path.resolve(), self.path.absolute()):
            if isinstance(image, str) and Path(image).is_relative_to(folder):
                inside = Path(image).relative_to(folder)
                return image if ".." in inside.parts else inside.as_posix()
        return image

    def _need(self, name: str) -> None:
        if self.has(name):
            return
        if name.startswith(_MODELS):
            raise MissingTable(f"no model in {self.path / name}: run the notebook that trains it")
        self.read(name)

    def _to_run(self, table: Table) -> str:
        """Return which notebooks have to run for `table`: from the first that wrote nothing yet."""
        wrote = {other.written_by for name, other in TABLES.items() if self.has(name)}
        last = table.written_by
        before = {other.written_by for other in TABLES.values() if other.written_by < last}
        first = min(before - wrote, default=last)
        more = "" if first == last else f", then the others up to {last}"
        return f"run notebooks/{first}.ipynb first{more}"

    def _file(self, name: str) -> Path:
        """Return the file of table `name`, or the config of model "models/<name>"."""
        if name.startswith(_MODELS):
            return self.path / name / "config.json"
        declared(name)
        return self.path / f"{name}.parquet"

    def _check_format(self) -> None:
        marker = self.path / "run.json"
        if not marker.exists():
            write_text(marker, json.dumps({"format_version": FORMAT_VERSION}) + "\n")
            return
        try:
            stored = json.loads(marker.read_text("utf-8"))
        except ValueError as error:
            raise UnsupportedFormat(
                f"{marker} is damaged ({error}): it holds only the format version, so if this "
                f'release wrote the run, replace its content by {{"format_version": '
                f"{FORMAT_VERSION}}}; nothing else is affected"
            ) from error
        found = stored.get("format_version") if isinstance(stored, dict) else None
        if found != FORMAT_VERSION:
            raise UnsupportedFormat(
                f"{self.path} has format version {found!r}, this release reads {FORMAT_VERSION}. "
                "Open it with the release that wrote it, run `make demo` again, or start a new run "
                "folder from notebook 01. To pay for no reply twice, copy the old ledger.sqlite to "
                "the new folder first; to keep old labels, convert their log with "
                "`python -m vital_lib.labels convert OLD NEW`"
            )


def _with_images(frame: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """Return `frame` with `change` applied to each value of its column image, if it has one."""
    return frame.assign(image=frame["image"].map(change)) if "image" in frame else frame


def _as_json(origin: Mapping[str, Any]) -> str:
    return json.dumps(origin, sort_keys=True)


def _versions() -> dict[str, str]:
    found = {}
    for package in ("vital-workbench", "pandas", "torch", "transformers", "openai"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found

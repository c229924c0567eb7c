"""``Workspace``: the only reader and writer of a run's tables and metrics."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import pyarrow.parquet as pq

from vital_lib.tables.columns import FORMAT_VERSION, TABLES, declared
from vital_lib.tables.files import write_atomically
from vital_lib.tables.frames import conform, to_frame
from vital_lib.tables.measured import add_metrics, checked, read_metrics, read_origins
from vital_lib.tables.origins import UNKNOWN, Origin, Standing, VotesRead, in_words, settings_of

_MODELS = "models/"
"""What an input's name begins with where it is a model, such as models/selected, and no table."""
_END_BYTES = 2**20
"""How much of either end of a model's weights tells them from others."""


class MissingTable(FileNotFoundError):
    """A table that no notebook has written yet; the message names the notebook to run."""


class UnsupportedFormat(RuntimeError):
    """A run folder whose format version this release can neither read nor convert."""


class Workspace:
    """One run's folder: tables, metrics, and the places of its logs, models and images.

    Args:
        path: the run's folder, made if it is not there.

    Raises:
        UnsupportedFormat: the folder was written by a release with another format version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._recorded_by: set[str] = set()
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
        """Whether table `name`, or the model "models/<name>", has been written."""
        return self._file(name).exists()

    def read(self, name: str) -> pd.DataFrame:
        """Table `name` as a DataFrame; list columns hold Python lists.

        Raises:
            MissingTable: it has not been written; the message names the notebook that writes it.
            UnsupportedFormat: another release wrote it, with other columns.
        """
        table = declared(name)
        if not self.has(name):
            raise MissingTable(
                f"no table {name!r} in {self.path}: run notebooks/{table.written_by}.ipynb first"
            )
        rows = pq.ParquetFile(self._file(name)).read()
        lost = [column for column in table.columns if column not in rows.column_names]
        if lost:
            raise UnsupportedFormat(
                f"table {name!r} in {self.path} was written by another release, without "
                f"{', '.join(lost)}: run notebooks/{table.written_by}.ipynb again"
            )
        return to_frame(rows)

    def write(
        self,
        name: str,
        frame: pd.DataFrame,
        *,
        made_from: Iterable[str | VotesRead] = (),
        parameters: Mapping[str, Any] | None = None,
    ) -> int:
        """Write table `name` whole (temporary file, then rename) and return its number of rows.

        Args:
            frame: exactly the declared columns, in any order.
            made_from: names of the tables, and models as "models/<name>", that it was made from;
                their fingerprints are kept. Votes of the label log as `labels.votes_read`.
            parameters: what else decided its content, as JSON values; a path becomes a text.

        Raises:
            SchemaError: a column is missing, unknown, or holds a value of another type.
            MissingTable: an input that has not been written.
        """
        rows = conform(name, frame)
        origin = {"table": name, **self._made(declared(name).written_by, made_from, parameters)}
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
        """Write beside a trained model, which another module has saved, what it was made from.

        Args:
            model: its name, as in `Workspace.model`.
            written_by: the notebook that trains it, such as "08_tune_model".
            made_from, parameters: as in `write`.

        Raises:
            MissingTable: the model or one of its inputs is not there.
        """
        made = self._made(written_by, made_from, parameters)
        origin = {"model": model, "fingerprint": self.fingerprint(_MODELS + model), **made}
        write_atomically(
            self.model(model) / "origin.json", lambda path: path.write_text(_as_json(origin))
        )

    def origin(self, name: str) -> dict[str, Any]:
        """What table `name` or model "models/<name>" was made from.

        Keys made_from (input -> fingerprint), parameters, settings (those parameters, its own and
        its inputs', that say what was measured), written_by, versions, and votes (how to read
        those among the inputs). Empty for a model that has been trained again since its origin
        was kept.
        """
        self._need(name)
        if name.startswith(_MODELS):
            file = self.path / name / "origin.json"
            found = json.loads(file.read_text()) if file.is_file() else {}
            return found if found.get("fingerprint") == self.fingerprint(name) else {}
        found = json.loads(pq.read_schema(self._file(name)).metadata[b"vital"])
        # An earlier release kept neither of these.
        settings = settings_of(found["parameters"], ())
        return {"settings": settings, "written_by": declared(name).written_by, **found}

    def fingerprint(self, name: str) -> str:
        """SHA-256 of table `name`'s file; the same rows made the same way give the same one.

        Of a model, "models/<name>": of its description and of its weights' sizes and ends.
        """
        self._need(name)
        file = self._file(name)
        digest = hashlib.sha256(file.read_bytes())
        if name.startswith(_MODELS):
            for weights in sorted(file.parent.glob("*.safetensors")):
                digest.update(f"{weights.name} {weights.stat().st_size}".encode())
                with open(weights, "rb") as opened:  # billions of weights take minutes to read
                    digest.update(opened.read(_END_BYTES))
                    opened.seek(max(0, weights.stat().st_size - _END_BYTES))
                    digest.update(opened.read())
        return digest.hexdigest()

    def state(self) -> pd.DataFrame:
        """One row per table: table, rows (null where not yet written), written_by, stale.

        `stale` says of which input the table is older, and which notebook to run; empty where the
        table is up to date.
        """
        standing = self._standing()
        rows = [
            (
                name,
                pq.read_metadata(self._file(name)).num_rows if self.has(name) else None,
                table.written_by,
                standing.stale(self.origin(name)) or "" if self.has(name) else "",
            )
            for name, table in TABLES.items()
        ]
        columns = ["table", "rows", "written_by", "stale"]
        return pd.DataFrame(rows, columns=columns).astype({"rows": "Int64"})

    @property
    def metrics(self) -> dict[str, float]:
        """The flat `metrics.json`, `stage.figure: number`; empty before the first is recorded."""
        return read_metrics(self.path)

    def metric_origins(self) -> pd.DataFrame:
        """One row per metric: metric, written_by, measured_on, stale, in the order of `metrics`.

        `measured_on` names the figure set, models, judges and benchmark behind it; `stale` is as
        in `state`. Where an origin was not kept, `stale` says so.
        """
        standing = self._standing()
        told: dict[str, tuple[str, str, str]] = {}
        for one in read_origins(self.path):
            words = one["written_by"], in_words(one["settings"]), standing.stale(one) or ""
            told |= dict.fromkeys(one["metrics"], words)
        rows = [(name, *told.get(name, ("", "", UNKNOWN))) for name in self.metrics]
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

        What the same notebook recorded before is left out: all of it at its first call on this
        `Workspace`, which each notebook opens as it begins; later, what it measured on another
        input or under another parameter. So no figure of an earlier setting stands beside a new
        one, and several cells of one notebook may record.

        Args:
            written_by: the notebook that measured them, such as "09_evaluate_model". Without it
                they are added, and shown as of unknown origin.
            made_from: tables, models as "models/<name>", and votes as `labels.votes_read`, that
                they were measured on.
            parameters: what else decided them, as JSON values.

        Raises:
            ValueError: a name without a stage, or a value that is not a number.
            MissingTable: an input that has not been written.
        """
        added, origin = checked(metrics), self._made(written_by, made_from, parameters)
        add_metrics(self.path, added, origin, first=written_by not in self._recorded_by)
        self._recorded_by.add(written_by)
        return added

    def _made(
        self,
        written_by: str,
        made_from: Iterable[str | VotesRead],
        parameters: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        """The origin of what is made from these inputs as they are now, votes as they were read."""
        given, own = list(made_from), json.loads(json.dumps(parameters or {}, default=str))
        votes = [one for one in given if isinstance(one, VotesRead)]
        inputs = [name for name in given if not isinstance(name, VotesRead)]
        made = {name: self.fingerprint(name) for name in inputs}
        return {
            "format_version": FORMAT_VERSION,
            "made_from": made | {one.name: one.fingerprint for one in votes},
            "parameters": own,
            "settings": settings_of(own, map(self.origin, inputs)),
            "versions": _versions(),
            "votes": {one.name: json.loads(_as_json(one.how)) for one in votes},
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
        """The fingerprint of such votes as they stand in the label log; None without the items."""
        from vital_lib.labels.reading import votes_now  # which stands above this package

        url, items = how["label_log"] or self.label_url, how["items"]
        if items is None:
            if not self.has(how["on"]):
                return None
            items = list(self.read(how["on"])["instruction_id"].unique())
        return votes_now(url, how["annotators"], items)

    def _need(self, name: str) -> None:
        if self.has(name):
            return
        if name.startswith(_MODELS):
            raise MissingTable(f"no model in {self.path / name}: run the notebook that trains it")
        self.read(name)

    def _file(self, name: str) -> Path:
        """The file that says that table or model `name` is there."""
        if name.startswith(_MODELS):
            return self.path / name / "config.json"
        declared(name)
        return self.path / f"{name}.parquet"

    def _check_format(self) -> None:
        marker = self.path / "run.json"
        if not marker.exists():
            text = json.dumps({"format_version": FORMAT_VERSION}) + "\n"
            write_atomically(marker, lambda path: path.write_text(text))
            return
        found = json.loads(marker.read_text()).get("format_version")
        if found != FORMAT_VERSION:
            raise UnsupportedFormat(
                f"{self.path} has format version {found!r}, this release reads {FORMAT_VERSION}: "
                "open it with the release that wrote it, or start a new run folder from notebook 01"
            )


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

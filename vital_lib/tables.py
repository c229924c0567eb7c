"""The columns of every table, and ``Workspace``: the only reader and writer of a run's tables.

A table is one Parquet file. Its columns are declared here once, each with a line of meaning, and
``data/README.md`` is generated from these declarations. This module knows nothing of figures,
models or labels: it checks columns, writes whole files, and remembers what each was made from.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from numbers import Real
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

FORMAT_VERSION = 1
"""Version of the run folder's layout; raised whenever a table changes its columns."""

_TEXT, _TEXTS, _FLAG = pa.string(), pa.list_(pa.string()), pa.bool_()
_WHOLE, _NUMBER = pa.int64(), pa.float64()
_TURNS = pa.list_(pa.struct([("instruction", _TEXT), ("response", _TEXT)]))
_CRITERIA = pa.list_(pa.struct([("criterion", _TEXT), ("rating", _NUMBER)]))


class MissingTable(FileNotFoundError):
    """A table that no notebook has written yet; the message names the notebook to run."""


class WrongTable(ValueError):
    """A frame that does not fit its table's declaration; the message shows column and value."""


class OtherFormat(RuntimeError):
    """A run folder whose format version this release can neither read nor convert."""


@dataclass(frozen=True)
class Table:
    """One table's declaration: what a row is, which notebook writes it, and its columns."""

    row: str
    written_by: str
    schema: pa.Schema

    @property
    def columns(self) -> list[str]:
        return list(self.schema.names)


def _column(name: str, kind: pa.DataType, meaning: str, *, empty: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=empty, metadata={"meaning": meaning})


def _table(row: str, written_by: str, *columns: pa.Field) -> Table:
    return Table(row, written_by, pa.schema(columns))


_CANDIDATE = (
    _column("candidate_id", _TEXT, "`<instruction_id>-a` or `-b`"),
    _column("instruction_id", _TEXT, "`<conversation_id>-r<round>`"),
    _column("conversation_id", _TEXT, "`<figure_id>-<stage>-<arm>`"),
    _column("figure_id", _TEXT, "the figure it speaks about"),
    _column("stage", _TEXT, "draft (to be labelled) or final (to be selected from)"),
    _column("arm", _TEXT, "whose demonstrations the generator was shown: none, random, clinician"),
    _column("round", _WHOLE, "place in the conversation, from 1"),
    _column("instruction", _TEXT, "the question"),
    _column("response", _TEXT, "the answer"),
    _column("question_type", _TEXT, "what the generator says the question is about", empty=True),
    _column("demonstration_ids", _TEXTS, "the demonstrations shown, in order"),
    _column("generator", _TEXT, "the model's name"),
    _column("prompt_version", _TEXT, "content hash of the prompt template"),
    _column("seed", _WHOLE, "seed sent with the request"),
    _column("reply_id", _TEXT, "the reply in the ledger that it was read from"),
    _column("flags", _TEXTS, "machine-made warnings; empty where none"),
)

TABLES: dict[str, Table] = {
    "figures": _table(
        "a figure",
        "01_explore_figures",
        _column("figure_id", _TEXT, "unique and readable"),
        _column("image", _TEXT, "path of the image, relative to the run folder or absolute"),
        _column("caption", _TEXT, "the figure's caption"),
        _column("mentions", _TEXTS, "sentences of the article that mention the figure"),
        _column("modalities", _TEXTS, "any number of chest_xray, ct_scan, mri, histology, gross"),
        _column("group_id", _TEXT, "article or patient; never on both sides of a split"),
        _column("split", _TEXT, "train, validation or test: a hash of group_id"),
        _column("sha256", _TEXT, "hash of the image file's bytes"),
        _column("phash", _TEXT, "perceptual hash, 16 hexadecimal digits"),
        _column("source", _TEXT, "the figure set it came from"),
        _column("licence", _TEXT, "licence as the source states it", empty=True),
        _column("credit", _TEXT, "whom to credit", empty=True),
        _column("cleared", _FLAG, "free to be shown and sent", empty=True),
        _column("cleared_reason", _TEXT, "why, or why not", empty=True),
    ),
    "figures_rejected": _table(
        "a record that could not be read as a figure",
        "01_explore_figures",
        _column("source", _TEXT, "the figure set it came from"),
        _column("place", _TEXT, "file and line"),
        _column("field", _TEXT, "which field was wrong"),
        _column("reason", _TEXT, "what was wrong, with the value received"),
    ),
    "figures_sampled": _table(
        "a figure chosen to be drafted and labelled",
        "01_explore_figures",
        _column("figure_id", _TEXT, "the figure"),
        _column("cluster", _WHOLE, "K-means cluster over image and text features, from 0"),
        _column("split", _TEXT, "the figure's split"),
        _column("chosen_by", _TEXT, "cluster (diverse) or random (for unbiased agreement)"),
    ),
    "drafts": _table(
        "a response drafted to be labelled; columns as in candidates",
        "02_draft_candidates",
        *_CANDIDATE,
    ),
    "preferences": _table(
        "the label log's current truth: one item as one annotator judged it",
        "03_label_preferences",
        _column("item_id", _TEXT, "the instruction whose two responses were judged"),
        _column("annotator", _TEXT, "who judged"),
        _column("left_id", _TEXT, "candidate shown on the left"),
        _column("right_id", _TEXT, "candidate shown on the right"),
        _column("left_accepted", _FLAG, "tick or cross; null when skipped", empty=True),
        _column("right_accepted", _FLAG, "tick or cross; null when skipped", empty=True),
        _column("choice", _TEXT, "left, right, both, neither or skip"),
        _column("queue_arm", _TEXT, "how the item came to the annotator (random or a strategy)"),
    ),
    "demonstrations": _table(
        "an accepted conversation, shown to the generator as an example",
        "03_label_preferences",
        _column("demonstration_id", _TEXT, "unique and readable"),
        _column("figure_id", _TEXT, "its figure; null where the image is not at hand", empty=True),
        _column("caption", _TEXT, "the figure's caption"),
        _column("mentions", _TEXTS, "the figure's mentions"),
        _column("modalities", _TEXTS, "the figure's modalities"),
        _column("turns", _TURNS, "accepted rounds, in order"),
        _column("annotators", _TEXTS, "who accepted"),
        _column("origin", _TEXT, "this run, random (the control pool), or the file imported from"),
    ),
    "candidates": _table("a response to an instruction", "04_generate_instructions", *_CANDIDATE),
    "ratings": _table(
        "one judge's view of one candidate",
        "05_judge_candidates",
        _column("candidate_id", _TEXT, "the candidate rated (draft or final)"),
        _column("judge", _TEXT, "the judge model's name"),
        _column("repeat", _WHOLE, "0 for the first rating of this candidate, then 1, 2, ..."),
        _column("overall", _NUMBER, "0 to 10; null where the reply had no rating", empty=True),
        _column("criteria", _CRITERIA, "rating by criterion of the policy"),
        _column("rationale", _TEXT, "the judge's words, or the raw reply where unread", empty=True),
        _column("prompt_version", _TEXT, "content hash of the policy"),
        _column("reply_id", _TEXT, "the reply in the ledger"),
    ),
    "pairs": _table(
        "what the selector learns from",
        "06_train_selector",
        _column("left_id", _TEXT, "a candidate"),
        _column("right_id", _TEXT, "another candidate"),
        _column("preferred", _NUMBER, "1 left is better, 0 right, 0.5 a tie"),
        _column("weight", _NUMBER, "weight in the loss before w_human"),
        _column("source", _TEXT, "human or judge"),
        _column("annotator", _TEXT, "a person, majority, or the judge's name"),
        _column("split", _TEXT, "split of both candidates' figures"),
    ),
    "scores": _table(
        "the selector's scalar for one candidate",
        "06_train_selector",
        _column("candidate_id", _TEXT, "the candidate (draft or final)"),
        _column("selector", _TEXT, "which selector"),
        _column("score", _NUMBER, "higher is better; only the order has meaning"),
        _column("uncertainty", _NUMBER, "spread over restarts; null for a single one", empty=True),
    ),
    "selected": _table(
        "a conversation to tune on",
        "07_select_instructions",
        _column("conversation_id", _TEXT, "the conversation"),
        _column("figure_id", _TEXT, "its figure"),
        _column("turns", _TURNS, "the rounds that were kept, in order"),
        _column("score", _NUMBER, "mean score of the kept rounds"),
        _column("rank", _WHOLE, "1 is the best conversation"),
    ),
    "questions": _table(
        "a benchmark's question",
        "09_evaluate_model",
        _column("question_id", _TEXT, "unique within the run"),
        _column("benchmark", _TEXT, "the benchmark's name"),
        _column("image", _TEXT, "path of the image, relative to the run folder or absolute"),
        _column("group_id", _TEXT, "article or patient"),
        _column("modality", _TEXT, "as the benchmark states it", empty=True),
        _column("kind", _TEXT, "open, closed or chat (open visual chat)"),
        _column("question_type", _TEXT, "as the benchmark states it", empty=True),
        _column("question", _TEXT, "the question"),
        _column("reference", _TEXT, "the reference answer"),
    ),
    "answers": _table(
        "a model's answer to a benchmark question",
        "09_evaluate_model",
        _column("question_id", _TEXT, "the question"),
        _column("model", _TEXT, "which model: base, random, selected, unaligned, ..."),
        _column("control", _TEXT, "none, or blank or shuffled image"),
        _column("answer", _TEXT, "the answer"),
    ),
    "chat_scores": _table(
        "a judge's scores of a reference answer and a model's answer",
        "09_evaluate_model",
        _column("question_id", _TEXT, "the question"),
        _column("model", _TEXT, "which model"),
        _column("judge", _TEXT, "the judge model's name"),
        _column("reference_score", _NUMBER, "1 to 10; null where unread", empty=True),
        _column("model_score", _NUMBER, "1 to 10; null where unread", empty=True),
        _column("reply_id", _TEXT, "the reply in the ledger"),
    ),
    "verdicts": _table(
        "a comparison of two models' answers to one question",
        "09_evaluate_model",
        _column("question_id", _TEXT, "the question"),
        _column("model_a", _TEXT, "one model"),
        _column("model_b", _TEXT, "the other"),
        _column("judge", _TEXT, "a model's name, or a person"),
        _column("order", _TEXT, "ab or ba: which stood first; both for a person or a combined row"),
        _column("winner", _TEXT, "a, b, tie; null where unread", empty=True),
        _column("rationale", _TEXT, "the judge's words", empty=True),
        _column("reply_id", _TEXT, "the reply in the ledger", empty=True),
    ),
    "clinic_truth": _table(
        "what a phantom really shows; only simulated people and the closing study open it",
        "01_explore_figures",
        _column("figure_id", _TEXT, "figure or benchmark image"),
        _column("modality", _TEXT, "what it was drawn as"),
        _column("finding", _TEXT, "kind of finding, or none"),
        _column("side", _TEXT, "left or right; null without a finding", empty=True),
        _column("level", _TEXT, "upper, middle or lower; null without a finding", empty=True),
        _column("size", _TEXT, "small or large; null without a finding", empty=True),
        _column("count", _WHOLE, "number of findings, 0 without one"),
    ),
}


def empty_frame(name: str) -> pd.DataFrame:
    """A frame with the declared columns of table `name` and no rows."""
    return _to_frame(_declared(name).schema.empty_table())


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
    def images(self) -> Path:
        """Folder of the images that this run itself made."""
        return self.path / "images"

    @property
    def label_url(self) -> str:
        """SQLAlchemy URL of the run's own label log."""
        return f"sqlite:///{self.path / 'labels.sqlite'}"

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
        _declared(name)
        return self._file(name).exists()

    def read(self, name: str) -> pd.DataFrame:
        """Table `name` as a DataFrame; list columns hold Python lists.

        Raises:
            MissingTable: it has not been written; the message names the notebook that writes it.
        """
        table = _declared(name)
        if not self.has(name):
            raise MissingTable(
                f"no table {name!r} in {self.path}: run notebooks/{table.written_by}.ipynb first"
            )
        return _to_frame(pq.ParquetFile(self._file(name)).read())

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
        _declared(name)
        rows = _conform(name, frame)
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

    def record(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Add `metrics` to `metrics.json` and return what was added.

        Raises:
            ValueError: a name without a stage, or a value that is not a number.
        """
        for name, value in metrics.items():
            if "." not in name or isinstance(value, bool) or not isinstance(value, Real):
                raise ValueError(f"metric {name!r}: {value!r}; wanted 'stage.figure': number")
        added = {name: _json_number(value) for name, value in metrics.items()}
        merged = json.dumps({**self.metrics, **added}, indent=1, sort_keys=True)
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


def write_whole(path: Path, write) -> None:
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


def document() -> str:
    """The text of `data/README.md`: every table with its columns, types and meanings."""
    lines = [
        "# Tables of a run",
        "",
        "Generated from `vital_lib/tables.py` by `python -m vital_lib.tables`; do not edit.",
        "A run lies in `data/runs/<run>/`: one Parquet file per table, `metrics.json`,",
        "`labels.sqlite` (what people said), `ledger.sqlite` (what models were asked and replied),",
        f"`models/`, `images/`. Format version {FORMAT_VERSION}.",
    ]
    for name, table in TABLES.items():
        lines += ["", f"## {name}", "", f"A row is {table.row}. Written by `{table.written_by}`."]
        lines += ["", "| column | type | meaning |", "|---|---|---|"]
        for field in table.schema:
            kind = _type_name(field.type) + (" or null" if field.nullable else "")
            lines.append(f"| {field.name} | {kind} | {field.metadata[b'meaning'].decode()} |")
    return "\n".join(lines) + "\n"


def _type_name(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"list of {_type_name(kind.value_type)}"
    if pa.types.is_struct(kind):
        return "{" + ", ".join(kind.field(i).name for i in range(kind.num_fields)) + "}"
    return {"string": "text", "int64": "whole number", "double": "number", "bool": "yes/no"}[
        str(kind)
    ]


def _declared(name: str) -> Table:
    if name not in TABLES:
        raise KeyError(f"no table is called {name!r}; there are {', '.join(TABLES)}")
    return TABLES[name]


def _conform(name: str, frame: pd.DataFrame) -> pa.Table:
    """`frame` as an arrow table of the declared schema, or WrongTable naming column and value."""
    schema = TABLES[name].schema
    missing = [column for column in schema.names if column not in frame.columns]
    unknown = [column for column in frame.columns if column not in schema.names]
    if missing or unknown:
        raise WrongTable(f"table {name!r}: missing columns {missing}, unknown {unknown}")
    columns = {column: [_plain(value) for value in frame[column]] for column in schema.names}
    return pa.table([_array(name, field, columns[field.name]) for field in schema], schema=schema)


def _array(name: str, field: pa.Field, values: list) -> pa.Array:
    if not field.nullable and any(value is None for value in values):
        row = next(i for i, value in enumerate(values) if value is None)
        raise WrongTable(f"table {name!r}, column {field.name!r}, row {row}: it has no value")
    try:
        return pa.array(values, type=field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        row = next(i for i, value in enumerate(values) if not _fits(value, field.type))
        raise WrongTable(
            f"table {name!r}, column {field.name!r}, row {row}: {values[row]!r} "
            f"is not a {_type_name(field.type)}"
        ) from None


def _fits(value: Any, kind: pa.DataType) -> bool:
    try:
        pa.array([value], type=kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        return False
    return True


def _plain(value: Any) -> Any:
    """A pandas or numpy cell as the Python value that arrow checks strictly; NaN and NA as None."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value):
        return None
    return value


def _to_frame(table: pa.Table) -> pd.DataFrame:
    columns = {}
    for field in table.schema:
        values = table.column(field.name)
        if pa.types.is_list(field.type):
            columns[field.name] = pd.Series(values.to_pylist(), dtype=object)
        elif pa.types.is_boolean(field.type):
            columns[field.name] = pd.Series(values.to_pylist(), dtype="boolean")
        else:
            columns[field.name] = values.to_pandas()
    return pd.DataFrame(columns)


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


if __name__ == "__main__":
    target = Path(__file__).parents[1] / "data" / "README.md"
    target.write_text(document())

"""Rows in sharded Parquet files: one worker's call per shard, each result a shard of its own.

The shard is the unit of work and the checkpoint. A worker reads a shard, computes its rows and
writes the result under the same name, whole or not at all. A result that exists is kept if it was
made from the same rows in the same way; a killed run therefore repeats only the shards that were
being computed. Ray receives the names of shards alone, so that no row passes through its object
store. Folders may be URLs that fsspec reads, such as ``s3://bucket/rows``. This module does not
depend on what is computed.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import logging
import os
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from vital_lib.scale.cluster import check_engine, check_workers, connected
from vital_lib.tables import alone_in, write_atomically

_MADE_FROM = b"vital_made_from"  # in a result's metadata: the hash of its rows and of the task
_ROUNDS = (2, 1)  # shards that a worker holds. With one, no shard is lost by a death it waited at
_RETRIES = 3  # in a round, of a shard whose worker died, also of one that waited for this worker
_LOST = "its workers died; Ray's log says why"


class ShardsFailed(RuntimeError):
    """Some shards have no result; the others are complete. The message counts and names them."""


class Shard(NamedTuple):
    """The outcome of one shard.

    Attributes:
        name: of the file, the same in both folders.
        rows: number of rows in the result; 0 if there is none.
        bad: number of these that have a `reason` instead of a result.
        kept: whether it is an earlier run's result.
        reason: why there is no result; empty if there is one.
    """

    name: str
    rows: int = 0
    bad: int = 0
    kept: bool = False
    reason: str = ""


class Task(Protocol):
    """What a worker computes: a result of a shard's rows. `made_by` identifies the computation.

    The result has a column `reason`: null, or why the row has no result.
    """

    made_by: str

    def __call__(self, rows: pd.DataFrame) -> pa.Table: ...


def write_shards(rows: pd.DataFrame, folder: str | Path, *, size: int) -> list[str]:
    """Write `rows`, in order, as Parquet files of `size` rows each; return the files' names.

    Files of other names that are in `folder` stay, and count as shards too.

    Raises:
        ValueError: `size` is below 1.
    """
    if size < 1:
        raise ValueError(f"size={size!r}: give 1 or more rows per shard")
    names = []
    for start in range(0, len(rows), size):
        names.append(f"{start // size:06d}.parquet")
        part = pa.Table.from_pandas(rows.iloc[start : start + size], preserve_index=False)
        _write(part, folder, names[-1])
    return names


def read_shard(folder: str | Path, name: str) -> pd.DataFrame:
    """Return the rows of one Parquet file.

    Raises:
        OSError, pyarrow.ArrowException: the file is missing, or it is damaged or cut short.
    """
    return _table(_bytes(folder, name)).to_pandas()


def shard_names(folder: str | Path) -> list[str]:
    """Return the names of the Parquet files in `folder`, sorted; none without the folder."""
    files, path = fsspec.core.url_to_fs(str(folder))
    found = files.ls(path, detail=False) if files.isdir(path) else []
    names = (name.rstrip("/").rpartition("/")[2] for name in found)
    return sorted(name for name in names if name.endswith(".parquet") and name[0] != ".")


def run_shards(
    open_task: Callable[[], Task],
    source: str | Path,
    target: str | Path,
    *,
    engine: str = "ray",
    workers: int | None = None,
) -> Iterator[Shard]:
    """Compute the result of every shard in `source`, write it to `target`, and yield its outcome.

    Outcomes come in any order. In Ray, a worker that dies is replaced, and its shard is computed
    again, seven times at most.

    Args:
        open_task: called in each worker until it succeeds once; it must pickle.
        source, target: folders that all nodes can read and write under this name.
        engine: "ray", or "local" for this process.
        workers: number of workers; None means one per GPU of the cluster, or else per core.

    Raises:
        FileNotFoundError: no Parquet file in `source`.
        ValueError: `target` is the folder of `source`, or `workers` is below 1.
        FolderInUse: another process writes to `target`.
        ShardsFailed: shards without a result, after all others were computed.
    """
    names = shard_names(source)
    if not names:
        raise FileNotFoundError(f"no Parquet file in {source}")
    arguments = open_task, str(source), str(target)
    if _place(source) == _place(target):
        raise ValueError(f"{target} holds the rows: give another folder for the results")
    check_workers(workers)
    compute = partial(_on_ray, workers=workers) if check_engine(engine) else _here
    reason: dict[str, str] = {}
    with sole_use(target):
        for held in _ROUNDS:  # the second also finds what a lost node had computed
            left = [name for name in names if name not in reason]
            for shard in compute(arguments, left, held) if left else ():
                reason[shard.name] = shard.reason
                if not shard.reason:
                    yield shard
    failed = [name for name in names if reason.get(name, _LOST)]
    if failed:
        raise ShardsFailed(
            f"{len(failed)} of {len(names)} shards in {source} have no result, first {failed[0]}: "
            f"{reason.get(failed[0], _LOST)}. The others are complete: mend these, and run again"
        )


@contextmanager
def sole_use(folder: str | Path) -> Generator[None]:
    """Hold `folder` for one run until the block or the process ends; URLs are not held.

    Raises:
        FolderInUse: another process holds it.
    """
    files, path = fsspec.core.url_to_fs(str(folder))
    if not isinstance(files, LocalFileSystem):
        yield
        return
    with alone_in(Path(path), "writing to"):
        yield


def _here(arguments: tuple, names: list[str], _held: int) -> Iterator[Shard]:
    worker = _Worker(*arguments)
    return (Shard(**worker({"item": name})) for name in names)


class _Worker:
    """Computes one shard after another in a process of Ray."""

    def __init__(self, open_task: Callable[[], Task], source: str, target: str) -> None:
        self._open_task, self._source, self._target = open_task, source, target

    @cached_property
    def _task(self) -> Task:
        """The task, opened by the first shard, which can report what it raises."""
        return self._open_task()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        name = str(row["item"])
        try:
            return self._computed(name)._asdict()
        # Whatever one shard raises, the others are computed.
        except Exception as error:  # noqa: BLE001
            return Shard(name, reason=f"{type(error).__name__}: {error}")._asdict()

    def _computed(self, name: str) -> Shard:
        content = _bytes(self._source, name)
        made_from = hashlib.sha256(self._task.made_by.encode() + content).hexdigest()
        known = _known(self._target, name, made_from)
        result = known
        if result is None:
            result = self._task(_table(content).to_pandas())
            _write(result, self._target, name, {_MADE_FROM: made_from})
        bad = result.num_rows - result["reason"].null_count
        return Shard(name, result.num_rows, bad, known is not None)


def _on_ray(
    arguments: tuple, names: list[str], held: int, *, workers: int | None
) -> Iterator[Shard]:
    """Yield the outcome of each shard; a shard that killed its workers has none.

    A worker holds `held` shards: it computes one, and the others wait for it.
    """
    ray, data = connected(), importlib.import_module("ray.data")
    gpus, cores = (int(ray.cluster_resources().get(name, 0)) for name in ("GPU", "CPU"))
    context = data.DataContext.get_current().copy()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.max_errored_blocks = -1  # `run_shards` names the shards that have no outcome
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    with data.DataContext.current(context), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `max_task_retries` goes in Ray 2.64: see pyproject.toml
        shards = data.from_items(names, override_num_blocks=len(names)).map(
            _Worker,
            fn_constructor_args=arguments,
            compute=data.ActorPoolStrategy(
                size=min(workers or gpus or cores, len(names)), max_tasks_in_flight_per_actor=held
            ),
            num_cpus=1,
            num_gpus=1 if gpus else None,
            max_task_retries=_RETRIES,
        )
    for row in shards.iter_rows():
        yield Shard(**row)


def _place(folder: str | Path) -> tuple[Any, str]:
    files, path = fsspec.core.url_to_fs(str(folder))
    return files, os.path.realpath(path) if isinstance(files, LocalFileSystem) else path


def _bytes(folder: str | Path, name: str) -> bytes:
    files, path = fsspec.core.url_to_fs(str(folder))
    return files.cat_file(f"{path}/{name}")


def _table(content: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(content))


def _known(folder: str, name: str, made_from: str) -> pa.Table | None:
    """Return an earlier result made from the same; None if it is missing, other or damaged."""
    try:
        table = _table(_bytes(folder, name))
    except (OSError, pa.ArrowException):
        return None
    same = (table.schema.metadata or {}).get(_MADE_FROM) == made_from.encode()
    return table if same else None


def _write(
    table: pa.Table, folder: str | Path, name: str, metadata: dict[bytes, str] | None = None
) -> None:
    """Write a file that is never seen in part."""
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **(metadata or {})})
    files, path = fsspec.core.url_to_fs(str(folder))
    if isinstance(files, LocalFileSystem):
        write_atomically(Path(path) / name, lambda temporary: pq.write_table(table, temporary))
        return
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    files.pipe_file(f"{path}/{name}", buffer.getvalue())  # object stores show whole objects only

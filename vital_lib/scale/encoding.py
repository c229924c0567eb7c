"""Encode images and texts in Ray's workers: for an encoder in a notebook, or from folder to folder.

Each worker loads the model once. The features of an `encoders.Encoder` are in its cache, wherever
they were computed; those of a folder stay in Parquet files, so that millions need no memory. This
module does not depend on candidates or selectors.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa

from vital_lib import encoders
from vital_lib.encoders import Encoder, open_backend, unit_rows
from vital_lib.figures import FigureImage, UnreadableImage
from vital_lib.figures.images import open_with_pixels
from vital_lib.scale.cluster import check_engine, check_workers
from vital_lib.scale.shards import (
    Shard,
    read_shard,
    run_shards,
    shard_names,
    sole_use,
    write_shards,
)
from vital_lib.stopping import stoppable
from vital_lib.tables import check_table

_SHARDS = 64  # of one call, if they are neither too small nor too large
_SIZES = 32, 4096  # smallest and largest number of rows in a shard
UNREADABLE = (OSError, ValueError, ImportError)
"""What an image raises that cannot be fetched or opened; ImportError: fsspec lacks a package."""
_GO_ON = "the shards done are kept. Run the cell again to go on"


def load_encoder(
    name: str = "clinic",
    *,
    cache: Path | None = None,
    engine: str = "local",
    folder: Path | None = None,
    workers: int | None = None,
) -> Encoder:
    """Load an encoder as ``encoders.load_encoder`` does; "ray" encodes in Ray's workers.

    Args:
        name, cache: as for ``encoders.load_encoder``. With "ray", every node loads `name`.
        engine: "local" or "ray".
        folder: for "ray", where rows are handed over, as files that all nodes reach under this
            name; None is the folder `scale` beside the cache.
        workers: number of workers; None means one per GPU of the cluster, or else per core.

    Raises:
        ValueError: `engine` is unknown; `workers` is below 1; or "ray" without `cache`.
        ImportError: Ray is not installed.
        Exception: those of ``encoders.load_encoder``.
    """
    check_workers(workers)
    if not check_engine(engine):
        return encoders.load_encoder(name, cache=cache)
    if cache is None:
        raise ValueError(
            "engine='ray' needs the cache to keep features in: give Workspace.features"
        )
    return RayEncoder(name, cache, folder or Path(cache).parent / "scale", workers)


class RayEncoder(Encoder):
    """An `Encoder` that has missing features computed by Ray's workers; its cache holds them all.

    A few features are computed here, sooner than workers could start.

    Args:
        folder: where rows are handed over; empty again afterwards. What a killed run left there is
            put into the cache first.
    """

    def __init__(self, name: str, cache: Path, folder: Path, workers: int | None) -> None:
        super().__init__(name, open_backend(name), cache)
        self.cache, self.folder, self.workers = Path(cache), Path(folder), workers

    @stoppable(_GO_ON)
    def images(
        self, images: Sequence[FigureImage], *, on_encoded: Callable[[int], None] | None = None
    ) -> np.ndarray:
        """Encode `images` as `Encoder.images` does.

        Raises:
            UnreadableImage: files that changed since they were opened, or that a worker cannot
                read; the message counts them. All others are in the cache.
            ShardsFailed, FolderInUse: see ``shards.run_shards``.
        """
        paths = {image.shown_as: str(image.path) for image in images}
        self._fill("image", paths, on_encoded)
        return super().images(images)

    @stoppable(_GO_ON)
    def texts(
        self, texts: Sequence[str], *, on_encoded: Callable[[int], None] | None = None
    ) -> np.ndarray:
        """Encode `texts` as `Encoder.texts` does; errors are those of `images`."""
        by_length = sorted(dict.fromkeys(texts), key=len)  # similar lengths share a batch
        hashes = {hashlib.sha256(text.encode()).hexdigest(): text for text in by_length}
        self._fill("text", hashes, on_encoded)
        return super().texts(texts)

    def _fill(
        self, kind: str, contents: Mapping[str, str], on_encoded: Callable[[int], None] | None
    ) -> None:
        """Have the features of `contents` that the cache lacks computed, and put them into it."""
        if len(self._missing(kind, contents)) < _SIZES[0]:  # sooner done here than handed over
            return
        place = self.folder / f"{kind}s-{self.fingerprint[:12]}"
        with sole_use(place):
            self._keep_what_is_left(kind, place / "out")
            missing = self._missing(kind, contents)
            rows = pd.DataFrame({"id": missing, kind: [contents[key] for key in missing]})
            bad = self._encode(kind, rows, place, on_encoded or (lambda _done: None))
        if bad:
            what = f"{len(bad)} of {len(missing)} cannot be encoded, first {bad[0]}"
            raise UnreadableImage(kind, f"{what}. The others are in the cache")

    def _encode(
        self, kind: str, rows: pd.DataFrame, place: Path, on_encoded: Callable[[int], None]
    ) -> list[str]:
        """Have `rows` encoded and put into the cache; return the reasons of those that cannot."""
        bad, done, source, target = [], 0, place / "in", place / "out"
        for folder in (source, target):
            shutil.rmtree(folder, ignore_errors=True)
        if len(rows):
            write_shards(rows, source, size=shard_size(len(rows), _batch_size(kind)))
            task = partial(_Encoding, self.name, kind, self.fingerprint)
            for shard in run_shards(task, source, target, workers=self.workers):
                bad += self._keep(kind, read_shard(target, shard.name))
                done += shard.rows
                on_encoded(done)
        for folder in (source, target):
            shutil.rmtree(folder, ignore_errors=True)
        return bad

    def _keep_what_is_left(self, kind: str, target: Path) -> None:
        for name in shard_names(target):
            with suppress(OSError, pa.ArrowException):  # cut short: it is encoded again
                self._keep(kind, read_shard(target, name))

    def _missing(self, kind: str, keys: Iterable[str]) -> list[str]:
        keys = list(keys)
        ignored = np.empty((len(keys), self._backend.width), np.float32)
        found, _ = self._caches[kind].read(_hashes(keys), ignored)
        return [keys[place] for place in np.flatnonzero(~found)]

    def _keep(self, kind: str, rows: pd.DataFrame) -> list[str]:
        """Put features into the cache; return the reasons of the rows that have none."""
        changed = rows["reason"].isna() & (rows["content"] != rows["id"])
        rows.loc[changed, "reason"] = "the file changed since it was opened"
        good = rows[rows["reason"].isna()]
        if len(good):
            vectors, truncated = np.stack(good["vector"]), good["truncated"].to_numpy(bool)
            self._caches[kind].write(_hashes(good["id"]), vectors, truncated)
        return list(rows["reason"].dropna())


def encode_folder(
    source: str | Path,
    target: str | Path,
    *,
    column: str,
    encoder: str = "clinic",
    engine: str = "ray",
    workers: int | None = None,
) -> pd.DataFrame:
    """Encode the rows of Parquet files into Parquet files of the same names, shard by shard.

    Memory does not grow with the number of rows. What exists in `target` is kept if it was made
    from the same rows by the same encoder.

    Args:
        source: a folder, or a URL that fsspec reads; its files have the columns `id` and `column`.
        target: a folder or URL. Its files have the columns id, vector (null if the row could not be
            encoded), truncated, content (SHA-256 of what was encoded), reason (null, or why not).
        column: "image" (paths, or URLs that fsspec reads) or "text".
        encoder: a name, as for ``encoders.load_encoder``.
        engine, workers: as for ``shards.run_shards``.

    Returns:
        name, rows, bad, kept and reason of each shard, as in ``shards.Shard``, by name.

    Raises:
        ValueError: another `column`.
        ValueError, FileNotFoundError, FolderInUse, ShardsFailed: see ``shards.run_shards``.
    """
    if column not in ("image", "text"):
        raise ValueError(f"column={column!r}: give 'image' or 'text'")
    task = partial(_Encoding, encoder, column)
    shards = run_shards(task, source, target, engine=engine, workers=workers)
    return pd.DataFrame(sorted(shards), columns=list(Shard._fields))


class _Encoding:
    """A worker's task: features of the rows of one shard (see ``shards.Task``)."""

    def __init__(self, name: str, column: str, fingerprint: str | None = None) -> None:
        self._name, self._column, self._backend = name, column, open_backend(name)
        if fingerprint not in (None, self._backend.fingerprint):
            raise ValueError(other_weights(name))
        self.made_by = f"encode {column} {self._backend.fingerprint}"

    def __call__(self, rows: pd.DataFrame) -> pa.Table:
        """Return id, vector, truncated, content and reason of the columns id and `column`."""
        check_table(rows, "the file", "id", self._column)
        values, width = list(rows[self._column]), self._backend.width
        vectors = np.zeros((len(values), width), np.float32)
        truncated = np.zeros(len(values), bool)
        contents: list[str | None] = [None] * len(values)
        reasons = list(contents)
        for batch in self._batches(values):
            opened = {}
            for place in batch:
                try:
                    opened[place], contents[place] = self._open(values[place])
                except UNREADABLE as error:
                    reasons[place] = str(error)
            if places := list(opened):
                vectors[places], truncated[places] = self._encode(list(opened.values()))
        absent = pa.array([content is None for content in contents], pa.bool_())
        vectors = pa.FixedSizeListArray.from_arrays(vectors.ravel(), width, mask=absent)
        texts = {"content": contents, "reason": reasons}
        named = {name: pa.array(values, pa.string()) for name, values in texts.items()}
        return pa.table({"id": rows["id"], "vector": vectors, "truncated": truncated, **named})

    def _batches(self, values: list[Any]) -> Iterator[list[int]]:
        """Yield the places of each batch; texts of similar length share one."""
        places, size = list(range(len(values))), _batch_size(self._column)
        if self._column == "text":
            places.sort(key=lambda place: len(str(values[place])))
        for start in range(0, len(places), size):
            yield places[start : start + size]

    def _open(self, value: Any) -> tuple[Any, str]:
        """Return what the model encodes, and the hash of its content."""
        if not isinstance(value, str):
            raise ValueError(f"no {self._column}: the row has none")
        if self._column == "text":
            return value, hashlib.sha256(value.encode()).hexdigest()
        with local_copy(value) as path:
            figure, pixels = open_with_pixels(path)
        return pixels, figure.shown_as

    def _encode(self, contents: list[Any]) -> tuple[np.ndarray, list[bool]]:
        if self._column == "text":
            features, truncated = self._backend.texts(contents)
        else:
            features, truncated = self._backend.images(contents), [False] * len(contents)
        return unit_rows(features, self._name), truncated


@contextmanager
def local_copy(image: str) -> Generator[Path]:
    """Hold a local file of `image`, a path or a URL that fsspec reads, until the block ends.

    Raises:
        OSError, ValueError, ImportError: the URL cannot be read; the message says why.
    """
    if "://" not in image:
        yield Path(image)
        return
    files, path = fsspec.core.url_to_fs(image)
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / PurePosixPath(path).name
        files.get_file(path, str(local))
        yield local


def _hashes(keys: Iterable[str]) -> np.ndarray:
    """Return SHA-256 texts as bytes (n, 32)."""
    return np.frombuffer(bytes.fromhex("".join(keys)), np.uint8).reshape(-1, 32)


def other_weights(name: str) -> str:
    """Return why a worker refuses an encoder that differs from the one in the notebook."""
    return f"encoder {name!r} has other weights on this node than in the process that began the run"


def _batch_size(kind: str) -> int:
    return encoders.TEXT_BATCH_SIZE if kind == "text" else encoders.BATCH_SIZE


def shard_size(rows: int, batch: int) -> int:
    """Return the number of rows in a shard: few enough to share the work evenly.

    It is a multiple of `batch`, so that the batches are those of one process: a model's features
    depend, in their last digits, on what else is in the batch.
    """
    smallest, largest = _SIZES
    return -(-min(max(smallest, -(-rows // _SHARDS)), largest) // batch) * batch
